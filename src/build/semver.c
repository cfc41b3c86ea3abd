/* build/semver.c - see semver.h. A range becomes sets of comparators; one set must hold whole. */
#include "build/semver.h"

#include <stdio.h>

enum {
    RANGE_SETS_MAX = 64,  /* of '||': real ranges have three */
    RANGE_PARTS_MAX = 32, /* comparators of a set */
};
#define SEMVER_NUMBER_MAX                                                                          \
    ((uint64_t)1 << 53) /* Number.MAX_SAFE_INTEGER, which npm refuses to pass */

enum op { OP_LT, OP_LE, OP_EQ, OP_GE, OP_GT };

struct comparator {
    enum op op;
    struct semver version;
};

struct semver_range {
    size_t set_count;
    struct set {
        size_t count;
        struct comparator items[RANGE_PARTS_MAX];
    } sets[RANGE_SETS_MAX];
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_pre_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.';
}

/* A number without leading zeros at the front of *in. */
static bool take_number(struct str *in, uint64_t *ret)
{
    size_t n = 0;
    uint64_t value = 0;

    while (n < in->len && is_digit(in->ptr[n])) {
        value = value * 10 + (uint64_t)(in->ptr[n] - '0');
        if (value >= SEMVER_NUMBER_MAX)
            return false;
        n++;
    }
    if (n == 0 || (n > 1 && in->ptr[0] == '0'))
        return false;
    *in = str_skip(*in, n);
    *ret = value;
    return true;
}

/* Dot-separated identifiers, none empty, numbers without leading zeros. */
static bool pre_is_valid(struct str pre)
{
    if (pre.len == 0)
        return false;
    while (pre.ptr) {
        struct str id = str_cut(&pre, '.');
        bool digits = true;

        if (id.len == 0)
            return false;
        for (size_t i = 0; i < id.len; i++)
            digits = digits && is_digit(id.ptr[i]);
        if (digits && id.len > 1 && id.ptr[0] == '0')
            return false;
    }
    return true;
}

/* "-pre" and "+build" at the front of *in. */
static bool take_tail(struct str *in, char pre[SEMVER_PRE_MAX])
{
    pre[0] = 0;
    if (in->len && in->ptr[0] == '-') {
        size_t n = 1;

        while (n < in->len && is_pre_char(in->ptr[n]))
            n++;
        struct str text = str_slice(in->ptr + 1, n - 1);
        if (text.len >= SEMVER_PRE_MAX || !pre_is_valid(text))
            return false;
        memcpy(pre, text.ptr, text.len);
        pre[text.len] = 0;
        *in = str_skip(*in, n);
    }
    if (in->len && in->ptr[0] == '+') {
        size_t n = 1;

        while (n < in->len && is_pre_char(in->ptr[n]))
            n++;
        if (n == 1)
            return false;
        *in = str_skip(*in, n);
    }
    return true;
}

bool semver_parse(struct str text, struct semver *ret)
{
    struct semver v = {0};

    text = str_trim(text);
    if (text.len && (text.ptr[0] == 'v' || text.ptr[0] == '='))
        text = str_skip(text, 1);
    if (!take_number(&text, &v.major) || !text.len || text.ptr[0] != '.')
        return false;
    text = str_skip(text, 1);
    if (!take_number(&text, &v.minor) || !text.len || text.ptr[0] != '.')
        return false;
    text = str_skip(text, 1);
    if (!take_number(&text, &v.patch) || !take_tail(&text, v.pre) || text.len)
        return false;
    *ret = v;
    return true;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_identifiers(struct str a, struct str b)
{
    uint64_t x = 0, y = 0;
    struct str rest_a = a, rest_b = b;
    bool a_number = take_number(&rest_a, &x) && rest_a.len == 0;
    bool b_number = take_number(&rest_b, &y) && rest_b.len == 0;

    if (a_number && b_number)
        return compare_numbers(x, y);
    if (a_number != b_number)
        return a_number ? -1 : 1;
    return str_compare(a, b);
}

static int compare_pre(const char *a, const char *b)
{
    if (!a[0] || !b[0])
        return (b[0] != 0) - (a[0] != 0); /* a release is above its pre-releases */

    struct str x = str_of(a), y = str_of(b);
    while (x.ptr && y.ptr) {
        int order = compare_identifiers(str_cut(&x, '.'), str_cut(&y, '.'));
        if (order)
            return order;
    }
    return (x.ptr != NULL) - (y.ptr != NULL);
}

int semver_compare(const struct semver *a, const struct semver *b)
{
    int order = compare_numbers(a->major, b->major);

    if (!order)
        order = compare_numbers(a->minor, b->minor);
    if (!order)
        order = compare_numbers(a->patch, b->patch);
    return order ? order : compare_pre(a->pre, b->pre);
}

/* "1.2.3", "1.2", "1.x", "*", "": what is missing is counted. */
struct partial {
    struct semver version;
    int given; /* 0: "*", 1: major, 2: major.minor, 3: all */
};

static bool is_x(struct str s)
{
    return s.len && (s.ptr[0] == 'x' || s.ptr[0] == 'X' || s.ptr[0] == '*');
}

static bool parse_partial(struct str text, struct partial *ret)
{
    struct partial p = {0};
    uint64_t *parts[] = {&p.version.major, &p.version.minor, &p.version.patch};
    bool wild = false;

    while (text.len && (text.ptr[0] == 'v' || text.ptr[0] == '='))
        text = str_skip(text, 1);
    for (int i = 0; i < 3 && text.len; i++) {
        if (i > 0) {
            if (text.ptr[0] != '.')
                break;
            text = str_skip(text, 1);
        }
        if (is_x(text)) {
            wild = true;
            text = str_skip(text, 1);
        } else {
            uint64_t ignored;
            if (!take_number(&text, wild ? &ignored : parts[i]))
                return false;
            if (!wild)
                p.given = i + 1;
        }
    }
    if (!take_tail(&text, p.version.pre) || text.len)
        return false;
    if (p.given < 3)
        p.version.pre[0] = 0;
    *ret = p;
    return true;
}

static bool set_add(struct set *set, enum op op, struct semver version)
{
    if (set->count == RANGE_PARTS_MAX)
        return false;
    set->items[set->count++] = (struct comparator){op, version};
    return true;
}

/* "<X.0.0-0": below every pre-release of the bound. */
static bool set_add_below(struct set *set, uint64_t major, uint64_t minor, uint64_t patch)
{
    return set_add(set, OP_LT, (struct semver){major, minor, patch, "0"});
}

static bool set_add_nothing(struct set *set)
{
    return set_add_below(set, 0, 0, 0);
}

/* The first version above everything that the partial names. */
static bool set_add_ceiling(struct set *set, const struct partial *p)
{
    const struct semver *v = &p->version;

    return p->given == 1 ? set_add_below(set, v->major + 1, 0, 0)
                         : set_add_below(set, v->major, v->minor + 1, 0);
}

static bool add_tilde(struct set *set, const struct partial *p)
{
    if (p->given == 0)
        return true;
    return set_add(set, OP_GE, p->version) && set_add_ceiling(set, p);
}

static bool add_caret(struct set *set, const struct partial *p)
{
    const struct semver *v = &p->version;

    if (p->given == 0)
        return true;
    if (!set_add(set, OP_GE, *v))
        return false;
    if (v->major > 0 || p->given == 1)
        return set_add_below(set, v->major + 1, 0, 0);
    if (v->minor > 0 || p->given == 2)
        return set_add_below(set, 0, v->minor + 1, 0);
    return set_add_below(set, 0, 0, v->patch + 1);
}

static bool add_plain(struct set *set, enum op op, const struct partial *p)
{
    struct semver v = p->version;

    if (p->given == 3)
        return set_add(set, op, v);
    if (p->given == 0) /* ">*" and "<*" hold for nothing, the others for all */
        return op == OP_GT || op == OP_LT ? set_add_nothing(set) : true;
    switch (op) {
    case OP_EQ:
        return set_add(set, OP_GE, v) && set_add_ceiling(set, p);
    case OP_GE:
        return set_add(set, OP_GE, v);
    case OP_LE:
        return set_add_ceiling(set, p);
    case OP_LT:
        return set_add_below(set, v.major, v.minor, 0);
    case OP_GT:
        if (p->given == 1)
            return set_add(set, OP_GE, (struct semver){v.major + 1, 0, 0, ""});
        return set_add(set, OP_GE, (struct semver){v.major, v.minor + 1, 0, ""});
    }
    return false;
}

static bool starts(struct str *text, const char *what)
{
    if (!str_starts(*text, str_of(what)))
        return false;
    *text = str_skip(*text, strlen(what));
    return true;
}

/* The next comparator's operator and operand; spaces may stand between the two. */
static bool parse_comparator(struct str *rest, struct set *set)
{
    struct partial p;
    bool tilde = false, caret = false;
    enum op op = OP_EQ;

    if (starts(rest, "~>") || starts(rest, "~"))
        tilde = true;
    else if (starts(rest, "^"))
        caret = true;
    else if (starts(rest, ">="))
        op = OP_GE;
    else if (starts(rest, "<="))
        op = OP_LE;
    else if (starts(rest, ">"))
        op = OP_GT;
    else if (starts(rest, "<"))
        op = OP_LT;
    struct str operand = str_word(rest);
    if (operand.len == 0 || !parse_partial(operand, &p))
        return false;
    if (tilde)
        return add_tilde(set, &p);
    return caret ? add_caret(set, &p) : add_plain(set, op, &p);
}

/* "A - B". */
static bool parse_hyphen(struct str low, struct str high, struct set *set)
{
    struct partial a, b;

    if (!parse_partial(str_trim(low), &a) || !parse_partial(str_trim(high), &b))
        return false;
    if (a.given && !set_add(set, OP_GE, a.version))
        return false;
    return b.given == 0 || add_plain(set, OP_LE, &b);
}

static bool parse_set(struct str text, struct set *set)
{
    ptrdiff_t hyphen = str_find_text(text, STR(" - "));

    if (hyphen >= 0)
        return parse_hyphen(str_first(text, (size_t)hyphen), str_skip(text, (size_t)hyphen + 3),
                            set);
    for (struct str rest = str_trim(text); rest.len; rest = str_trim(rest)) {
        if (!parse_comparator(&rest, set))
            return false;
    }
    return true;
}

struct semver_range *semver_range_parse(struct str text)
{
    CLEANUP(semver_range) struct semver_range *range = calloc(1, sizeof(*range));

    if (!range)
        return NULL;
    for (;;) {
        ptrdiff_t bar = str_find_text(text, STR("||"));
        struct str part = bar < 0 ? text : str_first(text, (size_t)bar);

        if (range->set_count == RANGE_SETS_MAX || !parse_set(part, &range->sets[range->set_count]))
            return NULL;
        range->set_count++;
        if (bar < 0)
            return TAKE(range);
        text = str_skip(text, (size_t)bar + 2);
    }
}

static bool comparator_holds(const struct comparator *c, const struct semver *v)
{
    int order = semver_compare(v, &c->version);

    switch (c->op) {
    case OP_LT:
        return order < 0;
    case OP_LE:
        return order <= 0;
    case OP_EQ:
        return order == 0;
    case OP_GE:
        return order >= 0;
    case OP_GT:
        return order > 0;
    }
    return false;
}

static bool same_release(const struct semver *a, const struct semver *b)
{
    return a->major == b->major && a->minor == b->minor && a->patch == b->patch;
}

static bool set_has(const struct set *set, const struct semver *v)
{
    bool pre_allowed = !v->pre[0];

    for (size_t i = 0; i < set->count; i++) {
        const struct comparator *c = &set->items[i];
        if (!comparator_holds(c, v))
            return false;
        pre_allowed = pre_allowed || (c->version.pre[0] && same_release(&c->version, v));
    }
    return pre_allowed;
}

bool semver_range_has(const struct semver_range *range, const struct semver *version)
{
    for (size_t i = 0; i < range->set_count; i++) {
        if (set_has(&range->sets[i], version))
            return true;
    }
    return false;
}

void semver_range_free(struct semver_range *range)
{
    free(range);
}
