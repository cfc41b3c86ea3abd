/* wire/plain.c - see wire/plain.h. */
#include "wire/plain.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>

enum { NUMBER_LEN_MAX = 128 }; /* bytes: longer digits are text, not a number */

static bool is_one_of(struct str text, const char *const *words)
{
    for (size_t i = 0; words[i]; i++) {
        if (str_is(text, words[i]))
            return true;
    }
    return false;
}

static bool is_null(struct str text)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};

    return is_one_of(text, words);
}

static bool is_true(struct str text)
{
    static const char *const words[] = {"true", "True", "TRUE", NULL};

    return is_one_of(text, words);
}

static bool is_false(struct str text)
{
    static const char *const words[] = {"false", "False", "FALSE", NULL};

    return is_one_of(text, words);
}

static bool is_no_number(struct str text)
{
    static const char *const words[] = {".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",
                                        ".INF",  "+.inf", "+.Inf", "+.INF", "-.inf",
                                        "-.Inf", "-.INF", NULL};

    return is_one_of(text, words);
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool looks_real(const char *p)
{
    size_t whole, fraction = 0;

    if (*p == '-' || *p == '+')
        p++;
    whole = strspn(p, "0123456789");
    p += whole;
    if (*p == '.') {
        fraction = strspn(p + 1, "0123456789");
        p += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        if (*p == '-' || *p == '+')
            p++;
        size_t digits = strspn(p, "0123456789");
        if (digits == 0)
            return false;
        p += digits;
    }
    return *p == 0;
}

/* Base prefixes as of Go's ParseInt(s, 0, 64): 0x, 0b, 0o, and a leading 0 for octal. */
static bool read_integer(const char *p, int64_t *ret)
{
    bool is_negative = *p == '-';
    unsigned base = 10;
    uint64_t value = 0;

    if (*p == '-' || *p == '+')
        p++;
    if (*p == '0' && p[1]) {
        char letter = (char)tolower((unsigned char)p[1]);
        base = letter == 'x' ? 16 : letter == 'b' ? 2 : 8;
        p += letter == 'x' || letter == 'b' || letter == 'o' ? 2 : 1;
    }
    if (!*p)
        return false;
    for (; *p; p++) {
        unsigned char c = (unsigned char)*p;
        unsigned digit = 99;
        if (isdigit(c))
            digit = (unsigned)(c - '0');
        else if (isxdigit(c))
            digit = (unsigned)(tolower(c) - 'a' + 10);
        if (digit >= base || __builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    if (value > (uint64_t)INT64_MAX + (is_negative ? 1 : 0))
        return false;
    *ret = is_negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

static struct plain resolve_number(struct str text)
{
    struct plain plain = {.kind = PLAIN_TEXT};
    char digits[NUMBER_LEN_MAX];
    size_t len = 0;

    if (text.len >= sizeof digits)
        return plain;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == 0)
            return plain;
        if (text.ptr[i] != '_') /* 1_000 is 1000 */
            digits[len++] = text.ptr[i];
    }
    digits[len] = 0;
    if (read_integer(digits, &plain.integer)) {
        plain.kind = PLAIN_INTEGER;
    } else if (looks_real(digits)) {
        plain.real = strtod(digits, NULL);
        if (isfinite(plain.real)) /* 1e999 (say, a commit id) is text */
            plain.kind = PLAIN_REAL;
    }
    return plain;
}

struct plain plain_resolve(struct str text)
{
    if (is_null(text))
        return (struct plain){.kind = PLAIN_NULL};
    if (is_true(text) || is_false(text))
        return (struct plain){.kind = PLAIN_BOOL, .truth = is_true(text)};
    if (is_no_number(text))
        return (struct plain){.kind = PLAIN_NO_NUMBER};
    if (isdigit((unsigned char)text.ptr[0]) || memchr("+-.", text.ptr[0], 3))
        return resolve_number(text);
    return (struct plain){.kind = PLAIN_TEXT};
}

bool plain_is_ambiguous(struct str text)
{
    static const char *const words[] = {"y",    "n",     "yes",  "no", "on", "off",
                                        "true", "false", "null", "=",  "<<", NULL};
    static const char numeric[] = "0123456789abcdefABCDEFxXoO_+-.:TZtz ";
    char lower[8] = "";

    if (plain_resolve(text).kind != PLAIN_TEXT)
        return true;
    if (text.len < sizeof lower) {
        for (size_t i = 0; i < text.len; i++)
            lower[i] = (char)tolower((unsigned char)text.ptr[i]);
        if (is_one_of(str_slice(lower, text.len), words))
            return true;
    }
    if (!isdigit((unsigned char)text.ptr[0]) && !memchr("+-.", text.ptr[0], 3))
        return false;
    for (size_t i = 0; i < text.len; i++) { /* dates, times, 1:30, 1_000, 0o7, 1.2.3 */
        if (!memchr(numeric, text.ptr[i], sizeof numeric - 1))
            return false;
    }
    return true;
}
