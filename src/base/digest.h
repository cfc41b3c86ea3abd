/* base/digest.h - sha256, and its text form "sha256:<64 hex>" (OCI image-spec, descriptor.md,
 * Digests). */
#pragma once
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum { SHA256_SIZE = 32, DIGEST_TEXT_SIZE = 72 }; /* "sha256:" + 64 + terminator */

struct digest {
    char text[DIGEST_TEXT_SIZE]; /* "sha256:…", or "" for none */
};

struct sha256;                   /* a running hash; OpenSSL EVP */
struct sha256 *sha256_new(void); /* NULL without memory */
void sha256_add(struct sha256 *hash, const void *bytes, size_t len);
void sha256_end(struct sha256 *hash, uint8_t out[SHA256_SIZE]); /* then ready for the next */
struct digest sha256_end_digest(struct sha256 *hash);
void sha256_free(struct sha256 *hash);
DEFINE_CLEANUP(sha256, struct sha256 *, sha256_free)

void sha256_of(struct str bytes, uint8_t out[SHA256_SIZE]);
struct digest digest_of(struct str bytes);
struct digest digest_from_bytes(const uint8_t bytes[SHA256_SIZE]);
/* Strict: exactly "sha256:" and 64 lower-case hex digits. */
bool digest_parse(struct str text, struct digest *ret);
bool digest_equal(const struct digest *a, const struct digest *b);
const char *digest_hex(const struct digest *d); /* borrowed: the 64 digits */
/* The digest of a whole file. Blocks on disk. */
NODISCARD int digest_of_file(int dir_fd, const char *path, struct digest *ret, uint64_t *ret_size,
                             struct error *err);
