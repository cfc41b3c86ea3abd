/* sbom/texts.c - see texts.h. Chunks grow by doubling up to 256 KiB; large items get one of their
 * own. */
#include "sbom/texts.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>

enum { CHUNK_FIRST = 4096, CHUNK_MAX = 256 << 10 };

struct texts_chunk {
    struct texts_chunk *next;
    size_t used, size;
    alignas(max_align_t) char bytes[];
};

static void *take(struct texts *t, size_t size, size_t alignment)
{
    struct texts_chunk *c = t->chunks;
    size_t at = c ? (c->used + alignment - 1) & ~(alignment - 1) : 0;

    if (t->failed)
        return NULL;
    if (t->limit && (size > t->limit || t->bytes > t->limit - size)) {
        t->failed = 2;
        return NULL;
    }
    if (!c || at > c->size || size > c->size - at) {
        size_t room = c ? c->size * 2 : CHUNK_FIRST;
        if (room > CHUNK_MAX)
            room = CHUNK_MAX;
        if (room < size)
            room = size;
        c = malloc(sizeof *c + room);
        if (!c) {
            t->failed = 1;
            return NULL;
        }
        *c = (struct texts_chunk){.next = t->chunks, .size = room};
        t->chunks = c;
        at = 0;
    }
    c->used = at + size;
    t->bytes += size;
    return c->bytes + at;
}

/* Length of the UTF-8 character at `s`, or 0 if there is none (RFC 3629: no surrogates, shortest
 * form). */
static size_t utf8_len(const unsigned char *s, size_t left)
{
    size_t len = s[0] < 0x80   ? 1
                 : s[0] < 0xc2 ? 0
                 : s[0] < 0xe0 ? 2
                 : s[0] < 0xf0 ? 3
                 : s[0] < 0xf5 ? 4
                               : 0;

    if (len == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

const char *texts_add(struct texts *t, struct str s)
{
    char *copy;

    if (s.len == 0)
        return "";
    copy = s.len < SIZE_MAX ? take(t, s.len + 1, 1) : NULL;
    if (!copy)
        return "";
    memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    for (size_t i = 0; i < s.len;) {
        size_t len = utf8_len((const unsigned char *)copy + i, s.len - i);
        if (len == 0)
            copy[i] = '?';
        i += len ? len : 1;
    }
    return copy;
}

const char *texts_addf(struct texts *t, const char *format, ...)
{
    va_list args;
    char *copy;
    int len;

    va_start(args, format);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    copy = len >= 0 ? take(t, (size_t)len + 1, 1) : NULL;
    if (!copy)
        return "";
    va_start(args, format);
    (void)vsnprintf(copy, (size_t)len + 1, format, args); /* measured above */
    va_end(args);
    return copy;
}

void *texts_room(struct texts *t, size_t count, size_t size)
{
    size_t bytes;
    void *room;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        t->failed = t->failed ? t->failed : 2;
        return NULL;
    }
    room = take(t, bytes ? bytes : 1, alignof(max_align_t));
    if (room)
        memset(room, 0, bytes);
    return room;
}

int texts_ok(const struct texts *t, struct error *err)
{
    if (t->failed == 1)
        return error_no_memory(err);
    if (t->failed)
        return error_set(err, ERR_LIMIT, "more than %zu bytes of package facts", t->limit);
    return 0;
}

void texts_done(struct texts *t)
{
    while (t->chunks) {
        struct texts_chunk *next = t->chunks->next;
        free(t->chunks);
        t->chunks = next;
    }
    *t = (struct texts){.limit = t->limit};
}
