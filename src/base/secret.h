/* base/secret.h - bytes that must not leak: locked in memory, wiped on free, never printed. */
#pragma once
#include "base/error.h"
#include "base/str.h"

struct secret {
    char *ptr; /* owned, locked; terminated */
    size_t len;
};
#define SECRET_INIT                                                                                \
    {                                                                                              \
        0                                                                                          \
    }
NODISCARD int secret_set(struct secret *s, struct str bytes, struct error *err);
/* From a file, without its trailing newline. */
NODISCARD int secret_read(struct secret *s, int dir_fd, const char *path, struct error *err);
bool secret_equal(struct str a, struct str b); /* in constant time for equal lengths */
static inline struct str secret_str(const struct secret *s)
{
    return (struct str){s->ptr ? s->ptr : "", s->len};
}
void secret_done(struct secret *s);
DEFINE_CLEANUP_VALUE(secret, struct secret, secret_done)
