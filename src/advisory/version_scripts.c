/* advisory/version_scripts.c - RubyGems and Packagist: runs of digits and letters.
 *
 * Sources: Gem::Version (#segments, #canonical_segments, #<=>); PHP's version_compare(). */
#include "advisory/version_internal.h"

enum { SEGMENTS_MAX = VERSION_BYTES_MAX + 2 };

struct segments {
    struct str items[SEGMENTS_MAX]; /* digits, or letters */
    size_t count;
};

static void add(struct segments *s, struct str item)
{
    if (s->count < SEGMENTS_MAX)
        s->items[s->count++] = item;
}

static bool is_alnum(char c)
{
    return version_is_digit(c) || version_is_letter(c);
}

/* Runs of digits and runs of letters; for gems a '-' stands for ".pre.". */
static void split_gem(struct str v, struct segments *s)
{
    s->count = 0;
    for (size_t i = 0; i < v.len;) {
        size_t start = i;
        if (v.ptr[i] == '-')
            add(s, STR("pre"));
        if (!is_alnum(v.ptr[i])) {
            i++;
            continue;
        }
        while (i < v.len && is_alnum(v.ptr[i]) &&
               version_is_digit(v.ptr[i]) == version_is_digit(v.ptr[start]))
            i++;
        add(s, str_slice(v.ptr + start, i - start));
    }
}

static bool is_zero(struct str s)
{
    return version_is_number(s) && version_compare_numbers(s, STR("0")) == 0;
}

/* Trailing zeros of the head (before the first letters) and of the whole do not count. */
static void trim_gem(struct segments *s)
{
    size_t head = 0, end;

    while (head < s->count && version_is_number(s->items[head]))
        head++;
    while (s->count > head && is_zero(s->items[s->count - 1]))
        s->count--;
    end = head;
    while (end > 0 && is_zero(s->items[end - 1]))
        end--;
    memmove(&s->items[end], &s->items[head], (s->count - head) * sizeof *s->items);
    s->count -= head - end;
}

bool version_rubygems_valid(struct str v)
{
    bool was_alnum = false;

    v = str_trim(v);
    if (v.len == 0 || !version_is_digit(v.ptr[0]))
        return false;
    for (size_t i = 0; i < v.len;
         i++) { /* [0-9]+(\.[0-9a-zA-Z]+)*(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)? */
        bool now = is_alnum(v.ptr[i]);
        if (!now && (v.ptr[i] != '.' && v.ptr[i] != '-'))
            return false;
        if (v.ptr[i] == '.' && !was_alnum)
            return false;
        was_alnum = now;
    }
    return was_alnum;
}

int version_rubygems_compare(struct str a, struct str b)
{
    struct segments x, y;

    split_gem(str_trim(a), &x);
    split_gem(str_trim(b), &y);
    trim_gem(&x);
    trim_gem(&y);
    for (size_t i = 0; i < x.count || i < y.count; i++) {
        struct str p = i < x.count ? x.items[i] : STR("0");
        struct str q = i < y.count ? y.items[i] : STR("0");
        bool p_number = version_is_number(p), q_number = version_is_number(q);
        int order;
        if (p_number != q_number)
            return p_number ? 1 : -1;
        order = p_number ? version_compare_numbers(p, q) : version_compare_text(p, q);
        if (order)
            return order;
    }
    return 0;
}

/* version_compare(): '-', '_', '+' are dots, and a dot stands between digits and others. */
static void split_php(struct str v, struct segments *s)
{
    s->count = 0;
    v = str_trim(v);
    if (v.len > 1 && (v.ptr[0] == 'v' || v.ptr[0] == 'V') && version_is_digit(v.ptr[1]))
        v = str_skip(v, 1);
    for (size_t i = 0; i < v.len;) {
        size_t start = i;
        if (strchr("-_+.", v.ptr[i])) {
            i++;
            continue;
        }
        while (i < v.len && !strchr("-_+.", v.ptr[i]) &&
               version_is_digit(v.ptr[i]) == version_is_digit(v.ptr[start]))
            i++;
        add(s, str_slice(v.ptr + start, i - start));
    }
}

enum { PHP_NUMBER = 5 };

static int php_rank(struct str s)
{
    static const struct {
        const char *word;
        int rank;
    } known[] = {{"dev", 1}, {"alpha", 2}, {"a", 2},          {"beta", 3}, {"b", 3},
                 {"RC", 4},  {"rc", 4},    {"#", PHP_NUMBER}, {"pl", 6},   {"p", 6}};

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (str_starts(s, str_of(known[i].word)))
            return known[i].rank;
    }
    return 0;
}

static int compare_php(struct str a, struct str b)
{
    bool a_number = version_is_number(a), b_number = version_is_number(b);

    if (a_number && b_number)
        return version_compare_numbers(a, b);
    return version_sign((a_number ? PHP_NUMBER : php_rank(a)) -
                        (b_number ? PHP_NUMBER : php_rank(b)));
}

bool version_packagist_valid(struct str v)
{
    struct segments s;

    if (str_starts(v, STR("dev-"))) /* a branch, which no range holds */
        return false;
    split_php(v, &s);
    return s.count && version_is_number(s.items[0]);
}

int version_packagist_compare(struct str a, struct str b)
{
    struct segments x, y;
    size_t i = 0;

    split_php(a, &x);
    split_php(b, &y);
    for (; i < x.count && i < y.count; i++) {
        int order = compare_php(x.items[i], y.items[i]);
        if (order)
            return order;
    }
    if (i < x.count)
        return version_is_number(x.items[i]) ? 1 : compare_php(x.items[i], STR("#"));
    if (i < y.count)
        return version_is_number(y.items[i]) ? -1 : compare_php(STR("#"), y.items[i]);
    return 0;
}
