/* advisory/version_pypi.c - Python. Source: PEP 440, "Version scheme", appendix B. */
#include "advisory/version_internal.h"

#include <strings.h>

struct pep440 {
    struct str epoch, release;
    int pre; /* 0: none, else 'a', 'b', 'c' (rc) */
    struct str pre_number, post_number, dev_number;
    bool has_post, has_dev;
    struct str local; /* ptr NULL: none */
};

static struct str skip_separator(struct str s)
{
    return s.len && strchr(".-_", s.ptr[0]) ? str_skip(s, 1) : s;
}

/* One of the words at the start of *rest, in any case; it is cut off. */
static bool take_word(struct str *rest, const char *const *words, size_t *ret_index)
{
    for (size_t i = 0; words[i]; i++) {
        size_t len = strlen(words[i]);
        if (rest->len >= len && strncasecmp(rest->ptr, words[i], len) == 0) {
            *rest = str_skip(*rest, len);
            *ret_index = i;
            return true;
        }
    }
    return false;
}

/* [separator] word [separator] [number] */
static bool take_marked(struct str *rest, const char *const *words, size_t *ret_index,
                        struct str *ret_number)
{
    struct str s = skip_separator(*rest);
    struct str after;

    if (!take_word(&s, words, ret_index))
        return false;
    after = skip_separator(s);
    if (after.len && version_is_digit(after.ptr[0]))
        s = after;
    *ret_number = version_take_digits(&s);
    *rest = s;
    return true;
}

static bool take_release(struct str *rest, struct str *ret)
{
    const char *start = rest->ptr;

    if (version_take_digits(rest).len == 0)
        return false;
    while (rest->len > 1 && rest->ptr[0] == '.' && version_is_digit(rest->ptr[1])) {
        *rest = str_skip(*rest, 1);
        (void)version_take_digits(rest);
    }
    *ret = str_slice(start, (size_t)(rest->ptr - start));
    return true;
}

static bool is_local(struct str local)
{
    bool was_separator = true;

    for (size_t i = 0; i < local.len; i++) {
        bool is_separator = strchr(".-_", local.ptr[i]) != NULL;
        if (is_separator ? was_separator
                         : !version_is_digit(local.ptr[i]) && !version_is_letter(local.ptr[i]))
            return false;
        was_separator = is_separator;
    }
    return !was_separator;
}

static bool parse(struct str v, struct pep440 *ret)
{
    static const char *const pre_words[] = {"alpha", "beta", "preview", "pre", "a",
                                            "b",     "rc",   "c",       NULL};
    static const char pre_kinds[] = "abccabcc";
    static const char *const post_words[] = {"post", "rev", "r", NULL};
    static const char *const dev_words[] = {"dev", NULL};
    struct str rest = str_trim(v), ahead;
    size_t index;

    *ret = (struct pep440){0};
    if (rest.len && (rest.ptr[0] == 'v' || rest.ptr[0] == 'V'))
        rest = str_skip(rest, 1);
    ahead = rest;
    ret->epoch = version_take_digits(&ahead);
    if (ret->epoch.len && ahead.len && ahead.ptr[0] == '!')
        rest = str_skip(ahead, 1);
    else
        ret->epoch = STR_NONE;
    if (!take_release(&rest, &ret->release))
        return false;
    if (take_marked(&rest, pre_words, &index, &ret->pre_number))
        ret->pre = pre_kinds[index];
    if (rest.len > 1 && rest.ptr[0] == '-' && version_is_digit(rest.ptr[1])) {
        rest = str_skip(rest, 1);
        ret->post_number = version_take_digits(&rest);
        ret->has_post = true;
    } else {
        ret->has_post = take_marked(&rest, post_words, &index, &ret->post_number);
    }
    ret->has_dev = take_marked(&rest, dev_words, &index, &ret->dev_number);
    if (rest.len && rest.ptr[0] == '+') {
        ret->local = str_skip(rest, 1);
        return is_local(ret->local);
    }
    return rest.len == 0;
}

static int compare_release(struct str a, struct str b)
{
    while (a.ptr || b.ptr) { /* trailing zeros do not count: a missing part is 0 */
        struct str x = a.ptr ? str_cut(&a, '.') : STR_NONE;
        struct str y = b.ptr ? str_cut(&b, '.') : STR_NONE;
        int order = version_compare_numbers(x, y);
        if (order)
            return order;
    }
    return 0;
}

/* Only a dev release: before all prereleases. Neither: after them. */
static int pre_rank(const struct pep440 *p)
{
    if (p->pre)
        return p->pre;
    return p->has_dev && !p->has_post ? 0 : 1000;
}

static struct str next_segment(struct str *rest)
{
    struct str segment = *rest;
    size_t len = 0;

    while (len < rest->len && !strchr(".-_", rest->ptr[len]))
        len++;
    segment.len = len;
    *rest = len < rest->len ? str_skip(*rest, len + 1) : STR_NONE;
    return segment;
}

static int compare_local(struct str a, struct str b)
{
    if (!a.ptr || !b.ptr)
        return (a.ptr != NULL) - (b.ptr != NULL);
    while (a.ptr && b.ptr) {
        struct str x = next_segment(&a);
        struct str y = next_segment(&b);
        bool x_number = version_is_number(x), y_number = version_is_number(y);
        int order;
        if (x_number != y_number)
            return x_number ? 1 : -1;
        order = x_number ? version_compare_numbers(x, y) : version_compare_text_any_case(x, y);
        if (order)
            return order;
    }
    return (a.ptr != NULL) - (b.ptr != NULL);
}

bool version_pypi_valid(struct str v)
{
    struct pep440 p;

    return parse(v, &p);
}

int version_pypi_compare(struct str a, struct str b)
{
    struct pep440 x, y;
    int order;

    (void)parse(a, &x); /* version_compare() has checked both */
    (void)parse(b, &y);
    order = version_compare_numbers(x.epoch, y.epoch);
    if (order == 0)
        order = compare_release(x.release, y.release);
    if (order == 0)
        order = version_sign(pre_rank(&x) - pre_rank(&y));
    if (order == 0)
        order = version_compare_numbers(x.pre_number, y.pre_number);
    if (order == 0)
        order = x.has_post - y.has_post;
    if (order == 0)
        order = version_compare_numbers(x.post_number, y.post_number);
    if (order == 0)
        order = y.has_dev - x.has_dev; /* a dev release is lower than none */
    if (order == 0)
        order = version_compare_numbers(x.dev_number, y.dev_number);
    return order ? order : compare_local(x.local, y.local);
}
