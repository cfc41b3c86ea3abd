/* advisory/version_alpine.c - Alpine's apk. Source: apk-tools, src/version.c:
 * num{.num}[letter]{_suffix[num]}{~hash}{-rNUM}. */
#include "advisory/version_internal.h"

enum kind { FIRST, DIGITS, LETTER, SUFFIX, SUFFIX_NUMBER, HASH, REVISION, END, WRONG };

enum { SUFFIX_NONE = 4 }; /* in the list below: what stands before it is a prerelease */
static const char *const suffixes[] = {"alpha", "beta", "pre", "rc", "",
                                       "cvs",   "svn",  "git", "hg", "p"};

struct token {
    enum kind kind;
    struct str text;
    int suffix; /* index into suffixes */
};

static enum kind take_suffix(struct str *rest, struct token *t)
{
    size_t len = 0;

    while (len < rest->len && rest->ptr[len] >= 'a' && rest->ptr[len] <= 'z')
        len++;
    t->text = str_first(*rest, len);
    *rest = str_skip(*rest, len);
    for (int i = 0; i < (int)ARRAY_LEN(suffixes); i++) {
        if (i != SUFFIX_NONE && str_is(t->text, suffixes[i])) {
            t->suffix = i;
            return SUFFIX;
        }
    }
    return WRONG;
}

static bool is_hex(char c)
{
    return version_is_digit(c) || (c >= 'a' && c <= 'f');
}

static enum kind take_hash(struct str *rest, struct token *t)
{
    size_t len = 0;

    while (len < rest->len && is_hex(rest->ptr[len]))
        len++;
    t->text = str_first(*rest, len);
    *rest = str_skip(*rest, len);
    return len ? HASH : WRONG;
}

static enum kind take_digits(struct str *rest, struct token *t, enum kind kind)
{
    t->text = version_take_digits(rest);
    return t->text.len ? kind : WRONG;
}

/* `before`: kind of the token before, END at the start. */
static struct token next(struct str *rest, enum kind before)
{
    struct token t = {.kind = END, .suffix = SUFFIX_NONE};
    char c;

    if (before == END) {
        t.kind = take_digits(rest, &t, FIRST);
        return t;
    }
    if (rest->len == 0)
        return t;
    c = rest->ptr[0];
    if (before == SUFFIX && version_is_digit(c)) {
        t.kind = take_digits(rest, &t, SUFFIX_NUMBER);
        return t;
    }
    if (c >= 'a' && c <= 'z' && before <= DIGITS) {
        t.text = str_first(*rest, 1);
        *rest = str_skip(*rest, 1);
        t.kind = LETTER;
        return t;
    }
    *rest = str_skip(*rest, 1);
    if (c == '.' && before <= DIGITS) {
        t.kind = take_digits(rest, &t, DIGITS);
    } else if (c == '_' && before <= SUFFIX_NUMBER) {
        t.kind = take_suffix(rest, &t);
    } else if (c == '~' && before <= SUFFIX_NUMBER) {
        t.kind = take_hash(rest, &t);
    } else if (c == '-' && before <= HASH && rest->len && rest->ptr[0] == 'r') {
        *rest = str_skip(*rest, 1);
        t.kind = take_digits(rest, &t, REVISION);
    } else {
        t.kind = WRONG;
    }
    return t;
}

static int compare_tokens(const struct token *a, const struct token *b)
{
    switch (a->kind) {
    case DIGITS:
        if ((a->text.ptr[0] == '0' || b->text.ptr[0] == '0'))
            return version_compare_text(a->text, b->text);
        return version_compare_numbers(a->text, b->text);
    case FIRST:
    case SUFFIX_NUMBER:
    case REVISION:
        return version_compare_numbers(a->text, b->text);
    case SUFFIX:
        return version_sign(a->suffix - b->suffix);
    case LETTER:
    case HASH:
        return version_compare_text(a->text, b->text);
    case END:
    case WRONG:
        break;
    }
    return 0;
}

bool version_alpine_valid(struct str v)
{
    struct token t = {.kind = END};

    do {
        t = next(&v, t.kind);
    } while (t.kind < END);
    return t.kind == END;
}

int version_alpine_compare(struct str a, struct str b)
{
    struct token x = {.kind = END}, y = {.kind = END};

    do {
        int order;
        x = next(&a, x.kind);
        y = next(&b, y.kind);
        if (x.kind != y.kind)
            break;
        order = compare_tokens(&x, &y);
        if (order)
            return order;
    } while (x.kind < END);
    if (x.kind == y.kind)
        return 0;
    if (x.kind == SUFFIX && x.suffix < SUFFIX_NONE)
        return -1;
    if (y.kind == SUFFIX && y.suffix < SUFFIX_NONE)
        return 1;
    return x.kind > y.kind ? -1 : 1;
}
