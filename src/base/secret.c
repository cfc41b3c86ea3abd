/* base/secret.c - see base/secret.h. */
#include "base/secret.h"

#include <openssl/crypto.h>
#include <sys/mman.h>

#include "base/fs.h"

enum { SECRET_MAX = 1 << 20 };

int secret_set(struct secret *s, struct str bytes, struct error *err)
{
    secret_done(s);
    s->ptr = malloc(bytes.len + 1);
    if (!s->ptr)
        return error_no_memory(err);
    (void)mlock(s->ptr, bytes.len + 1); /* best effort: the limit may be small */
    if (bytes.len)
        memcpy(s->ptr, bytes.ptr, bytes.len);
    s->ptr[bytes.len] = 0;
    s->len = bytes.len;
    return 0;
}

int secret_read(struct secret *s, int dir_fd, const char *path, struct error *err)
{
    struct buf text = BUF_INIT(SECRET_MAX);
    int result = fs_read_at(dir_fd, path, &text, err);

    if (result == 0)
        result = secret_set(s, str_trim_end(buf_str(&text), '\n'), err);
    if (text.ptr)
        OPENSSL_cleanse(text.ptr, text.capacity);
    buf_done(&text);
    return result;
}

bool secret_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

void secret_done(struct secret *s)
{
    if (s->ptr) {
        OPENSSL_cleanse(s->ptr, s->len);
        (void)munlock(s->ptr, s->len + 1); /* it may never have been locked */
        free(s->ptr);
    }
    *s = (struct secret)SECRET_INIT;
}
