/* base/digest.c - see base/digest.h. */
#include "base/digest.h"

#include <openssl/evp.h>
#include <unistd.h>

#include "base/fs.h"

enum { FILE_CHUNK = 256 << 10 };

struct sha256 {
    EVP_MD_CTX *context; /* owned */
};

static void start(struct sha256 *hash)
{
    if (EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL) != 1)
        abort(); /* the library has no sha256: nothing here can be trusted */
}

struct sha256 *sha256_new(void)
{
    struct sha256 *hash = calloc(1, sizeof *hash);

    if (!hash)
        return NULL;
    hash->context = EVP_MD_CTX_new();
    if (!hash->context) {
        free(hash);
        return NULL;
    }
    start(hash);
    return hash;
}

void sha256_add(struct sha256 *hash, const void *bytes, size_t len)
{
    if (len && EVP_DigestUpdate(hash->context, bytes, len) != 1)
        abort(); /* as above */
}

void sha256_end(struct sha256 *hash, uint8_t out[SHA256_SIZE])
{
    if (EVP_DigestFinal_ex(hash->context, out, NULL) != 1)
        abort(); /* as above */
    start(hash);
}

struct digest sha256_end_digest(struct sha256 *hash)
{
    uint8_t bytes[SHA256_SIZE];

    sha256_end(hash, bytes);
    return digest_from_bytes(bytes);
}

void sha256_free(struct sha256 *hash)
{
    if (!hash)
        return;
    EVP_MD_CTX_free(hash->context);
    free(hash);
}

void sha256_of(struct str bytes, uint8_t out[SHA256_SIZE])
{
    if (EVP_Digest(bytes.len ? bytes.ptr : "", bytes.len, out, NULL, EVP_sha256(), NULL) != 1)
        abort(); /* as above */
}

struct digest digest_of(struct str bytes)
{
    uint8_t out[SHA256_SIZE];

    sha256_of(bytes, out);
    return digest_from_bytes(out);
}

struct digest digest_from_bytes(const uint8_t bytes[SHA256_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    struct digest d = {.text = "sha256:"};

    for (size_t i = 0; i < SHA256_SIZE; i++) {
        d.text[7 + 2 * i] = digits[bytes[i] >> 4];
        d.text[8 + 2 * i] = digits[bytes[i] & 15];
    }
    return d;
}

bool digest_parse(struct str text, struct digest *ret)
{
    if (text.len != DIGEST_TEXT_SIZE - 1 || !str_starts(text, STR("sha256:")))
        return false;
    for (size_t i = 7; i < text.len; i++) {
        if (!((text.ptr[i] >= '0' && text.ptr[i] <= '9') ||
              (text.ptr[i] >= 'a' && text.ptr[i] <= 'f')))
            return false;
    }
    memcpy(ret->text, text.ptr, text.len);
    ret->text[text.len] = 0;
    return true;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return strcmp(a->text, b->text) == 0;
}

const char *digest_hex(const struct digest *d)
{
    return d->text[0] ? d->text + 7 : "";
}

int digest_of_file(int dir_fd, const char *path, struct digest *ret, uint64_t *ret_size,
                   struct error *err)
{
    CLEANUP(fd) int fd = -1;
    CLEANUP(text) char *chunk = malloc(FILE_CHUNK);
    CLEANUP(sha256) struct sha256 *hash = sha256_new();
    uint64_t size = 0;
    size_t got;

    if (!chunk || !hash)
        return error_no_memory(err);
    if (fs_open_read(dir_fd, path, &fd, err) < 0)
        return -1;
    do {
        if (io_read(fd, chunk, FILE_CHUNK, &got, err) < 0)
            return error_wrap(err, "reading '%s'", path);
        sha256_add(hash, chunk, got);
        size += got;
    } while (got == FILE_CHUNK);
    *ret = sha256_end_digest(hash);
    if (ret_size)
        *ret_size = size;
    return 0;
}
