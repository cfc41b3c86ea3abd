/* base/buf.c - see base/buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 256 };

static bool reserve(struct buf *b, size_t more)
{
    size_t need;

    if (b->failed)
        return false;
    if (__builtin_add_overflow(b->len, more, &need) || need > b->limit) {
        b->failed = 2;
        return false;
    }
    if (b->ptr && need < b->capacity)
        return true;
    size_t capacity = b->capacity ? b->capacity : FIRST_CAPACITY;
    while (capacity <= need) {
        if (__builtin_mul_overflow(capacity, (size_t)2, &capacity)) {
            b->failed = 2;
            return false;
        }
    }
    char *grown = realloc(b->ptr, capacity);
    if (!grown) {
        b->failed = 1;
        return false;
    }
    b->ptr = grown;
    b->capacity = capacity;
    b->ptr[b->len] = 0;
    return true;
}

void buf_add(struct buf *b, const void *bytes, size_t len)
{
    if (!reserve(b, len))
        return;
    if (len)
        memcpy(b->ptr + b->len, bytes, len);
    b->len += len;
    b->ptr[b->len] = 0;
}

void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.ptr, s.len);
}

void buf_add_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_add_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (need < 0 || !reserve(b, (size_t)need)) {
        if (!b->failed)
            b->failed = 1;
        return;
    }
    va_start(args, format);
    (void)vsnprintf(b->ptr + b->len, (size_t)need + 1, format, args); /* just measured */
    va_end(args);
    b->len += (size_t)need;
}

char *buf_room(struct buf *b, size_t len)
{
    return reserve(b, len) ? b->ptr + b->len : NULL;
}

void buf_grew(struct buf *b, size_t len)
{
    if (b->failed || !b->ptr)
        return;
    b->len += len;
    b->ptr[b->len] = 0;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = 0;
    if (b->ptr)
        b->ptr[0] = 0;
}

void buf_drop(struct buf *b, size_t count)
{
    if (!b->ptr || count == 0)
        return;
    if (count > b->len)
        count = b->len;
    memmove(b->ptr, b->ptr + count, b->len - count + 1);
    b->len -= count;
}

void buf_truncate(struct buf *b, size_t len)
{
    if (!b->ptr || len >= b->len)
        return;
    b->len = len;
    b->ptr[len] = 0;
}

int buf_ok(const struct buf *b, struct error *err)
{
    if (b->failed == 1)
        return error_no_memory(err);
    if (b->failed == 2)
        return error_set(err, ERR_LIMIT, "more than %zu bytes", b->limit);
    return 0;
}

char *buf_take(struct buf *b)
{
    char *bytes = b->failed ? NULL : b->ptr;

    if (!b->failed && !bytes)
        bytes = calloc(1, 1);
    else if (b->failed)
        free(b->ptr);
    *b = (struct buf)BUF_INIT(b->limit);
    return bytes;
}

void buf_done(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf)BUF_INIT(b->limit);
}
