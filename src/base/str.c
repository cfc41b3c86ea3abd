/* base/str.c - see base/str.h. */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_is(struct str a, const char *text)
{
    return str_equal(a, str_of(text));
}

int str_compare(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.ptr, b.ptr, len) : 0;

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_equal(str_first(s, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_equal(str_skip(s, s.len - suffix.len), suffix);
}

ptrdiff_t str_find(struct str s, char c)
{
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;

    return at ? at - s.ptr : -1;
}

ptrdiff_t str_find_last(struct str s, char c)
{
    const char *at = s.len ? memrchr(s.ptr, c, s.len) : NULL;

    return at ? at - s.ptr : -1;
}

ptrdiff_t str_find_text(struct str s, struct str needle)
{
    const char *at = s.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;

    return at ? at - s.ptr : -1;
}

struct str str_skip(struct str s, size_t count)
{
    if (count > s.len)
        count = s.len;
    return count ? str_slice(s.ptr + count, s.len - count) : s;
}

struct str str_first(struct str s, size_t count)
{
    return str_slice(s.ptr, count < s.len ? count : s.len);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && is_space(s.ptr[0]))
        s = str_skip(s, 1);
    while (s.len > 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

struct str str_trim_end(struct str s, char c)
{
    while (s.len > 0 && s.ptr[s.len - 1] == c)
        s.len--;
    return s;
}

struct str str_cut(struct str *rest, char c)
{
    ptrdiff_t at = str_find(*rest, c);
    struct str head = *rest;

    if (at < 0) {
        *rest = STR_NONE;
        return head;
    }
    head.len = (size_t)at;
    *rest = str_skip(*rest, (size_t)at + 1);
    return head;
}

struct str str_word(struct str *rest)
{
    size_t end = 0;

    while (rest->len > 0 && is_space(rest->ptr[0]))
        *rest = str_skip(*rest, 1);
    while (end < rest->len && !is_space(rest->ptr[end]))
        end++;
    struct str word = str_first(*rest, end);
    *rest = str_skip(*rest, end);
    while (rest->len > 0 && is_space(rest->ptr[0]))
        *rest = str_skip(*rest, 1);
    return word;
}

char *str_dup(struct str s)
{
    char *copy = malloc(s.len + 1);

    if (!copy)
        return NULL;
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = 0;
    return copy;
}

char *str_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    return text;
}

bool str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t value = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value))
            return false;
    }
    *ret = value;
    return true;
}

bool str_to_i64(struct str s, int64_t *ret)
{
    bool is_negative = s.len > 0 && s.ptr[0] == '-';
    uint64_t value;

    if (!str_to_u64(is_negative ? str_skip(s, 1) : s, &value))
        return false;
    if (value > (uint64_t)INT64_MAX + (is_negative ? 1 : 0))
        return false;
    *ret = is_negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

struct lines lines_over(const char *file, struct str text)
{
    return (struct lines){.file = file, .text = text, .rest = text};
}

bool lines_next(struct lines *in, struct str *ret_line)
{
    if (in->rest.len == 0)
        return false;
    in->line_start = in->rest.ptr;
    in->line++;
    struct str line = str_cut(&in->rest, '\n');
    *ret_line = str_ends(line, STR("\r")) ? str_first(line, line.len - 1) : line;
    return true;
}

struct place lines_place(const struct lines *in, const char *at)
{
    return (struct place){in->file, in->line,
                          at ? (uint32_t)(at - in->line_start) + 1 : (uint32_t)1};
}

static void strv_take(struct strv *v, char *take_text)
{
    char **grown = take_text ? reallocarray(v->items, v->count + 2, sizeof *grown) : NULL;

    if (!grown) {
        free(take_text);
        v->failed = true;
        return;
    }
    v->items = grown;
    v->items[v->count++] = take_text;
    v->items[v->count] = NULL;
}

void strv_add(struct strv *v, const char *text)
{
    strv_take(v, str_dup(str_of(text)));
}

void strv_add_str(struct strv *v, struct str text)
{
    strv_take(v, str_dup(text));
}

void strv_addf(struct strv *v, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    strv_take(v, text);
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *v)
{
    if (v->count > 1)
        qsort(v->items, v->count, sizeof *v->items, compare_items);
}

bool strv_has(const struct strv *v, const char *text)
{
    for (size_t i = 0; i < v->count; i++) {
        if (strcmp(v->items[i], text) == 0)
            return true;
    }
    return false;
}

int strv_ok(const struct strv *v, struct error *err)
{
    return v->failed ? error_no_memory(err) : 0;
}

void strv_done(struct strv *v)
{
    for (size_t i = 0; i < v->count; i++)
        free(v->items[i]);
    free(v->items);
    *v = (struct strv)STRV_INIT;
}
