/* sbom/texts.h - many small texts and arrays that live and die together.
 *
 * An inventory of 3,000 packages has 30,000 texts: one pool frees them at once, and a struct that
 * borrows from it needs no free function of its own. Sticky on failure like struct buf: adds give
 * "" or NULL from then on, and one texts_ok() at the end tells. */
#pragma once
#include "base/error.h"
#include "base/str.h"

struct texts_chunk;
struct texts {
    struct texts_chunk *chunks; /* owned; newest first */
    size_t bytes;               /* handed out */
    size_t limit;
    uint8_t failed; /* 0, or why: 1 no memory, 2 limit */
};
#define TEXTS_INIT(limit_bytes)                                                                    \
    {                                                                                              \
        .limit = (limit_bytes)                                                                     \
    }

/* A terminated copy, never NULL, always UTF-8: bytes that are not become '?'. A NUL inside ends it.
 */
const char *texts_add(struct texts *t, struct str s);
const char *texts_addf(struct texts *t, const char *format, ...) PRINTF_LIKE(2, 3);
/* Zeroed room for `count` items of `size` bytes, aligned for any type; NULL on failure. */
void *texts_room(struct texts *t, size_t count, size_t size);
NODISCARD int texts_ok(const struct texts *t, struct error *err); /* NO_MEMORY or LIMIT */
void texts_done(struct texts *t);
DEFINE_CLEANUP_VALUE(texts, struct texts, texts_done)
