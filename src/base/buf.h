/* base/buf.h - the one growable buffer: always terminated, with a hard limit, sticky on failure.
 *
 * A run of buf_add…() is checked once, at its end, with buf_ok(). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct buf {
    char *ptr; /* owned; never NULL to readers: use buf_text() */
    size_t len;
    size_t capacity;
    size_t limit;   /* bytes; an add that would pass it fails */
    uint8_t failed; /* 0, or why: 1 no memory, 2 limit */
};

#define BUF_INIT(limit_bytes)                                                                      \
    {                                                                                              \
        .limit = (limit_bytes)                                                                     \
    }

void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_add_str(struct buf *b, struct str s);
void buf_add_text(struct buf *b, const char *text);
void buf_add_char(struct buf *b, char c);
void buf_addf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
/* Room for `len` more bytes, to be filled by the caller, then buf_grew(). NULL on failure (sticky).
 */
char *buf_room(struct buf *b, size_t len);
void buf_grew(struct buf *b, size_t len);
void buf_clear(struct buf *b);              /* empty and not failed; keeps memory and limit */
void buf_drop(struct buf *b, size_t count); /* remove the first `count` bytes */
void buf_truncate(struct buf *b, size_t len);

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->ptr ? b->ptr : "", b->len};
}
static inline const char *buf_text(const struct buf *b) /* borrowed, terminated */
{
    return b->ptr ? b->ptr : "";
}
NODISCARD int buf_ok(const struct buf *b, struct error *err); /* NO_MEMORY or LIMIT */
/* The terminated bytes, the caller's to free(); the buffer is empty after. NULL if it had failed.
 */
char *buf_take(struct buf *b);
void buf_done(struct buf *b);
DEFINE_CLEANUP_VALUE(buf, struct buf, buf_done)
