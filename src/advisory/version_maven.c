/* advisory/version_maven.c - Maven. Source: Maven POM reference, "Version Order Specification". */
#include "advisory/version_internal.h"

enum { TOKENS_MAX = VERSION_BYTES_MAX + 2 };

struct token {
    char prefix; /* '.' or '-' */
    bool is_number;
    struct str text; /* a number's digits, or a qualifier; "" and 0 are null */
};
struct tokens {
    struct token items[TOKENS_MAX];
    size_t count;
};

static bool is_word(struct str s, const char *word)
{
    return version_compare_text_any_case(s, str_of(word)) == 0;
}

static struct str qualifier(struct str s, bool before_digit)
{
    if (is_word(s, "ga") || is_word(s, "final") || is_word(s, "release"))
        return STR("");
    if (is_word(s, "cr"))
        return STR("rc");
    if (before_digit && is_word(s, "a"))
        return STR("alpha");
    if (before_digit && is_word(s, "b"))
        return STR("beta");
    if (before_digit && is_word(s, "m"))
        return STR("milestone");
    return s;
}

static void add(struct tokens *t, char prefix, struct str text, bool before_digit)
{
    bool is_number = text.len == 0 || version_is_digit(text.ptr[0]);

    if (t->count == TOKENS_MAX)
        return;
    t->items[t->count++] = (struct token){prefix, is_number,
                                          text.len == 0 ? STR("0")
                                          : is_number   ? text
                                                        : qualifier(text, before_digit)};
}

static bool is_null(const struct token *t)
{
    return t->is_number ? version_compare_numbers(t->text, STR("0")) == 0 : t->text.len == 0;
}

/* Null tokens at the end, and before each '-', say nothing: 1.0.0 is 1, 1.0-x is 1-x. */
static void trim(struct tokens *t)
{
    size_t end = t->count;

    while (end > 1) {
        size_t first = end;
        while (first > 1 && is_null(&t->items[first - 1]))
            first--;
        memmove(&t->items[first], &t->items[end], (t->count - end) * sizeof *t->items);
        t->count -= end - first;
        end = first;
        while (end > 1 && t->items[end - 1].prefix != '-')
            end--;
        if (end > 1)
            end--; /* before this '-' */
    }
}

static void tokenize(struct str v, struct tokens *t)
{
    char prefix = '-';
    size_t start = 0;

    t->count = 0;
    for (size_t i = 0; i <= v.len; i++) {
        bool at_end = i == v.len;
        bool is_separator = !at_end && (v.ptr[i] == '.' || v.ptr[i] == '-');
        bool is_turn = !at_end && !is_separator && i > start &&
                       version_is_digit(v.ptr[i]) != version_is_digit(v.ptr[i - 1]);
        if (!at_end && !is_separator && !is_turn)
            continue;
        add(t, prefix, str_slice(v.ptr + start, i - start), is_turn && version_is_digit(v.ptr[i]));
        prefix = is_separator ? v.ptr[i] : '-';
        start = is_separator ? i + 1 : i;
    }
    trim(t);
}

static int rank(struct str q)
{
    static const char *const known[] = {"alpha", "beta", "milestone", "rc", "snapshot", "", "sp"};

    for (int i = 0; i < (int)ARRAY_LEN(known); i++) {
        if (is_word(q, known[i]))
            return i;
    }
    return (int)ARRAY_LEN(known);
}

static int compare_qualifiers(struct str a, struct str b)
{
    int order = version_sign(rank(a) - rank(b));

    if (order || rank(a) < 7)
        return order;
    return version_compare_text_any_case(a, b);
}

/* .qualifier < -qualifier < -number < .number */
static int shape(const struct token *t)
{
    if (t->is_number)
        return t->prefix == '-' ? 2 : 3;
    return t->prefix == '.' ? 0 : 1;
}

static int compare_tokens(const struct token *a, const struct token *b)
{
    if (a->prefix != b->prefix)
        return version_sign(shape(a) - shape(b));
    if (a->is_number && b->is_number)
        return version_compare_numbers(a->text, b->text);
    if (a->is_number != b->is_number)
        return a->is_number ? 1 : -1;
    return compare_qualifiers(a->text, b->text);
}

static struct token padding(const struct token *other)
{
    if (other->prefix == '-' || (!other->is_number && is_word(other->text, "sp")))
        return (struct token){other->prefix, false, STR("")};
    return (struct token){other->prefix, true, STR("0")};
}

bool version_maven_valid(struct str v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] <= ' ' || v.ptr[i] == 0x7f)
            return false;
    }
    return true;
}

int version_maven_compare(struct str a, struct str b)
{
    struct tokens x, y;

    tokenize(a, &x);
    tokenize(b, &y);
    for (size_t i = 0; i < x.count || i < y.count; i++) {
        struct token p = i < x.count ? x.items[i] : padding(&y.items[i]);
        struct token q = i < y.count ? y.items[i] : padding(&x.items[i]);
        int order = compare_tokens(&p, &q);
        if (order)
            return order;
    }
    return 0;
}
