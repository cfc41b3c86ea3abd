/* sign/keyfile.c - the encrypted private key as cosign writes it: JSON that names scrypt (RFC 7914)
 * and nacl/secretbox (XSalsa20-Poly1305), around the PKCS#8 bytes. Source: cosign,
 * pkg/cosign/keys.go. */
#include <sodium.h>

#include "base/encode.h"
#include "base/random.h"
#include "sign/sign_internal.h"

enum {
    SALT_SIZE = 32,
    SCRYPT_R = 8,
    SCRYPT_P = 1,
    SCRYPT_N = 65536,
    SCRYPT_MEMORY_MAX =
        256 << 20,         /* bytes: 128 * N * r of the largest N that is accepted, and room */
    SEALED_MAX = 16 << 10, /* bytes of PKCS#8: P-256 has 138 */
};

static int derive(struct str password, struct str salt, uint64_t n,
                  uint8_t key[crypto_secretbox_KEYBYTES], struct error *err)
{
    if (EVP_PBE_scrypt(password.len ? password.ptr : "", password.len, (const uint8_t *)salt.ptr,
                       salt.len, n, SCRYPT_R, SCRYPT_P, SCRYPT_MEMORY_MAX, key,
                       crypto_secretbox_KEYBYTES) != 1)
        return sign_openssl_error(err, "deriving the key file's key");
    return 0;
}

static void add_base64_member(struct buf *out, const char *name, const void *bytes, size_t len)
{
    buf_addf(out, "\"%s\":\"", name);
    base64_encode(str_slice(bytes, len), out);
    buf_add_char(out, '"');
}

int keyfile_seal(struct str pkcs8, struct str password, struct buf *out, struct error *err)
{
    uint8_t salt[SALT_SIZE], nonce[crypto_secretbox_NONCEBYTES], key[crypto_secretbox_KEYBYTES];
    uint8_t sealed[SEALED_MAX + crypto_secretbox_MACBYTES];

    if (pkcs8.len > SEALED_MAX)
        return error_set(err, ERR_LIMIT, "private key of %zu bytes", pkcs8.len);
    random_bytes(salt, sizeof(salt));
    random_bytes(nonce, sizeof(nonce));
    if (derive(password, str_slice((char *)salt, sizeof(salt)), SCRYPT_N, key, err) < 0)
        return -1;
    int failed = crypto_secretbox_easy(sealed, (const uint8_t *)pkcs8.ptr, pkcs8.len, nonce, key);
    sodium_memzero(key, sizeof(key));
    if (failed)
        return error_set(err, ERR_INTERNAL, "sealing the private key failed");

    buf_addf(out, "{\"kdf\":{\"name\":\"scrypt\",\"params\":{\"N\":%d,\"r\":%d,\"p\":%d},",
             SCRYPT_N, SCRYPT_R, SCRYPT_P);
    add_base64_member(out, "salt", salt, sizeof(salt));
    buf_add_text(out, "},\"cipher\":{\"name\":\"nacl/secretbox\",");
    add_base64_member(out, "nonce", nonce, sizeof(nonce));
    buf_add_text(out, "},");
    add_base64_member(out, "ciphertext", sealed, pkcs8.len + crypto_secretbox_MACBYTES);
    buf_add_char(out, '}');
    return buf_ok(out, err);
}

/* A base64 member of exactly `want` bytes (0: any). */
static int read_bytes(const json_t *root, const char *path, const char *file, size_t want,
                      struct buf *out, struct error *err)
{
    const char *text = json_str_at(root, path);

    if (!text || !base64_decode(str_of(text), out))
        return error_set(err, ERR_INVALID, "%s: expected base64 in '%s'", file, path);
    if (buf_ok(out, err) < 0)
        return -1;
    if (want && out->len != want)
        return error_set(err, ERR_INVALID, "%s: expected %zu bytes in '%s', got %zu", file, want,
                         path, out->len);
    return 0;
}

/* cosign wrote 32768, writes 65536, and reads 131072; anything else is a way to make us burn
 * memory. */
static int check_parameters(const json_t *root, const char *file, uint64_t *ret_n,
                            struct error *err)
{
    const char *kdf = json_str_at(root, "kdf.name"), *cipher = json_str_at(root, "cipher.name");
    int64_t n = json_int_at(root, "kdf.params.N", 0);

    if (!kdf || strcmp(kdf, "scrypt") != 0)
        return error_set(err, ERR_UNSUPPORTED, "%s: key derivation '%s'; only scrypt is read", file,
                         kdf ? kdf : "");
    if (!cipher || strcmp(cipher, "nacl/secretbox") != 0)
        return error_set(err, ERR_UNSUPPORTED, "%s: cipher '%s'; only nacl/secretbox is read", file,
                         cipher ? cipher : "");
    if ((n != 32768 && n != 65536 && n != 131072) ||
        json_int_at(root, "kdf.params.r", 0) != SCRYPT_R ||
        json_int_at(root, "kdf.params.p", 0) != SCRYPT_P)
        return error_set(err, ERR_UNSUPPORTED, "%s: scrypt parameters that cosign does not use",
                         file);
    *ret_n = (uint64_t)n;
    return 0;
}

int keyfile_open(const char *file, struct str body, struct str password, struct secret *ret_pkcs8,
                 struct error *err)
{
    CLEANUP(json) json_t *root = NULL;
    CLEANUP(buf) struct buf salt = BUF_INIT(256);
    CLEANUP(buf) struct buf nonce = BUF_INIT(256);
    CLEANUP(buf) struct buf sealed = BUF_INIT(SEALED_MAX + crypto_secretbox_MACBYTES);
    uint8_t key[crypto_secretbox_KEYBYTES], plain[SEALED_MAX];
    uint64_t n = 0;

    if (json_parse(file, body, &root, err) < 0 || check_parameters(root, file, &n, err) < 0 ||
        read_bytes(root, "kdf.salt", file, SALT_SIZE, &salt, err) < 0 ||
        read_bytes(root, "cipher.nonce", file, crypto_secretbox_NONCEBYTES, &nonce, err) < 0 ||
        read_bytes(root, "ciphertext", file, 0, &sealed, err) < 0)
        return -1;
    if (sealed.len <= crypto_secretbox_MACBYTES)
        return error_set(err, ERR_INVALID, "%s: 'ciphertext' is too short", file);
    if (derive(password, buf_str(&salt), n, key, err) < 0)
        return -1;
    int failed = crypto_secretbox_open_easy(plain, (const uint8_t *)buf_text(&sealed), sealed.len,
                                            (const uint8_t *)buf_text(&nonce), key);
    sodium_memzero(key, sizeof(key));
    if (failed)
        return error_set(err, ERR_UNTRUSTED, "%s: wrong password, or the key file was changed",
                         file);
    int result = secret_set(ret_pkcs8,
                            str_slice((char *)plain, sealed.len - crypto_secretbox_MACBYTES), err);
    sodium_memzero(plain, sizeof(plain));
    return result;
}
