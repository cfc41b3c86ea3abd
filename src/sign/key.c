/* sign/key.c - ECDSA P-256 keys: made, written as cosign writes them, read, used once. */
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/fs.h"
#include "sign/sign_internal.h"

enum { KEY_FILE_MAX = 64 << 10 /* bytes: a PEM file with one key */ };

struct sign_key {
    EVP_PKEY *pkey; /* owned */
};

int sign_openssl_error(struct error *err, const char *what)
{
    char reason[256] = "no reason given";
    unsigned long code = ERR_peek_last_error();

    if (code)
        ERR_error_string_n(code, reason, sizeof(reason));
    ERR_clear_error();
    return error_set(err, ERR_INTERNAL, "%s: %s", what, reason);
}

int sign_check_curve(const EVP_PKEY *pkey, const char *file, struct error *err)
{
    char group[64] = "";

    if (!EVP_PKEY_is_a(pkey, "EC"))
        return error_set(err, ERR_UNSUPPORTED, "%s: expected an ECDSA P-256 key, got %s", file,
                         EVP_PKEY_get0_type_name(pkey));
    if (EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1 ||
        strcmp(group, "prime256v1") != 0)
        return error_set(err, ERR_UNSUPPORTED, "%s: expected an ECDSA P-256 key, got curve '%s'",
                         file, group);
    return 0;
}

static struct sign_key *new_key(EVP_PKEY *take_pkey)
{
    struct sign_key *key = calloc(1, sizeof(*key));

    if (key)
        key->pkey = take_pkey;
    else
        EVP_PKEY_free(take_pkey);
    return key;
}

int sign_key_make(struct sign_key **ret, struct error *err)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");

    if (!pkey)
        return sign_openssl_error(err, "making a key");
    struct sign_key *key = new_key(pkey);
    if (!key)
        return error_no_memory(err);
    *ret = key;
    return 0;
}

void sign_key_free(struct sign_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

int sign_pkey_id(const EVP_PKEY *pkey, struct digest *ret, struct error *err)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(pkey, &der);

    if (len <= 0)
        return sign_openssl_error(err, "writing a public key");
    *ret = digest_of(str_slice((char *)der, (size_t)len));
    OPENSSL_free(der);
    return 0;
}

static int bio_to_buf(BIO *bio, struct buf *out, struct error *err)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);

    buf_add(out, bytes, len > 0 ? (size_t)len : 0);
    return buf_ok(out, err);
}

int sign_pkey_pem(const EVP_PKEY *pkey, struct buf *out, struct error *err)
{
    CLEANUP(bio) BIO *bio = BIO_new(BIO_s_mem());

    if (!bio || PEM_write_bio_PUBKEY(bio, pkey) != 1)
        return sign_openssl_error(err, "writing a public key");
    return bio_to_buf(bio, out, err);
}

int sign_key_public_pem(const struct sign_key *key, struct buf *out, struct error *err)
{
    return sign_pkey_pem(key->pkey, out, err);
}

int sign_parse_public(const char *file, struct str pem, EVP_PKEY **ret, struct error *err)
{
    if (pem.len > KEY_FILE_MAX)
        return error_set(err, ERR_LIMIT, "%s: public key of %zu bytes", file, pem.len);
    CLEANUP(bio) BIO *bio = BIO_new_mem_buf(pem.len ? pem.ptr : "", (int)pem.len);
    if (!bio)
        return error_no_memory(err);
    CLEANUP(evp_pkey) EVP_PKEY *pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    ERR_clear_error();
    if (!pkey)
        return error_set(err, ERR_INVALID, "%s: expected a PEM block 'PUBLIC KEY'", file);
    if (sign_check_curve(pkey, file, err) < 0)
        return -1;
    *ret = TAKE(pkey);
    return 0;
}

int sign_public_id(const char *file, struct str pem, struct digest *ret, struct error *err)
{
    CLEANUP(evp_pkey) EVP_PKEY *pkey = NULL;

    if (sign_parse_public(file, pem, &pkey, err) < 0)
        return -1;
    return sign_pkey_id(pkey, ret, err);
}

/* The PKCS#8 bytes of the key. */
static int key_pkcs8(const struct sign_key *key, struct secret *ret, struct error *err)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key->pkey);
    unsigned char *der = NULL;
    int len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;

    PKCS8_PRIV_KEY_INFO_free(info);
    if (len <= 0)
        return sign_openssl_error(err, "writing a private key");
    int result = secret_set(ret, str_slice((char *)der, (size_t)len), err);
    OPENSSL_clear_free(der, (size_t)len);
    return result;
}

static int key_private_pem(const struct sign_key *key, struct str password, struct buf *out,
                           struct error *err)
{
    CLEANUP(secret) struct secret pkcs8 = SECRET_INIT;
    CLEANUP(buf) struct buf body = BUF_INIT(KEY_FILE_MAX);
    CLEANUP(bio) BIO *bio = BIO_new(BIO_s_mem());

    if (!bio)
        return error_no_memory(err);
    if (key_pkcs8(key, &pkcs8, err) < 0 ||
        keyfile_seal(secret_str(&pkcs8), password, &body, err) < 0)
        return -1;
    if (PEM_write_bio(bio, KEYFILE_PEM_NAME, "", (const unsigned char *)buf_text(&body),
                      (long)body.len) <= 0)
        return sign_openssl_error(err, "writing a private key");
    return bio_to_buf(bio, out, err);
}

int sign_key_write(const struct sign_key *key, const char *dir, const char *name,
                   struct str password, struct error *err)
{
    CLEANUP(buf) struct buf private_pem = BUF_INIT(KEY_FILE_MAX);
    CLEANUP(buf) struct buf public_pem = BUF_INIT(KEY_FILE_MAX);
    CLEANUP(text) char *private_path = str_format("%s/%s.key", dir, name);
    CLEANUP(text) char *public_path = str_format("%s/%s.pub", dir, name);

    if (!private_path || !public_path)
        return error_no_memory(err);
    if (fs_exists(AT_FDCWD, private_path))
        return error_set(err, ERR_CONFLICT,
                         "'%s' exists; a key is never overwritten: choose another name",
                         private_path);
    if (key_private_pem(key, password, &private_pem, err) < 0 ||
        sign_key_public_pem(key, &public_pem, err) < 0 ||
        fs_make_dirs(AT_FDCWD, dir, 0700, err) < 0 ||
        fs_write_atomic(AT_FDCWD, private_path, buf_str(&private_pem), 0600, err) < 0 ||
        fs_write_atomic(AT_FDCWD, public_path, buf_str(&public_pem), 0644, err) < 0)
        return error_wrap(err, "writing key '%s'", name);
    return 0;
}

static EVP_PKEY *pkey_from_pkcs8(struct str der)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der.len);
    EVP_PKEY *pkey = info ? EVP_PKCS82PKEY(info) : NULL;

    PKCS8_PRIV_KEY_INFO_free(info);
    ERR_clear_error();
    return pkey;
}

/* The body of an encrypted PEM block → key. */
static int open_encrypted(const char *file, struct str body, struct str password, EVP_PKEY **ret,
                          struct error *err)
{
    CLEANUP(secret) struct secret pkcs8 = SECRET_INIT;

    if (keyfile_open(file, body, password, &pkcs8, err) < 0)
        return -1;
    *ret = pkey_from_pkcs8(secret_str(&pkcs8));
    if (!*ret)
        return error_set(err, ERR_INVALID, "%s: no PKCS#8 key inside", file);
    return 0;
}

static int no_password(char *out, int size, int for_writing, void *ctx)
{
    return -1; /* an encrypted PKCS#8 file must not make OpenSSL ask on the terminal */
}

int sign_key_parse(const char *file, struct str text, struct str password, struct sign_key **ret,
                   struct error *err)
{
    CLEANUP(evp_pkey) EVP_PKEY *pkey = NULL;
    char *name = NULL, *header = NULL;
    unsigned char *body = NULL;
    long len = 0;

    if (text.len > KEY_FILE_MAX)
        return error_set(err, ERR_LIMIT, "%s: key file of %zu bytes", file, text.len);
    CLEANUP(bio) BIO *bio = BIO_new_mem_buf(text.len ? text.ptr : "", (int)text.len);
    if (!bio)
        return error_no_memory(err);
    int found = PEM_read_bio(bio, &name, &header, &body, &len);
    int result = 0;
    if (found && (!strcmp(name, KEYFILE_PEM_NAME) || !strcmp(name, KEYFILE_PEM_NAME_OLD))) {
        result = open_encrypted(file, str_slice((char *)body, (size_t)len), password, &pkey, err);
    } else if (found) {
        (void)BIO_reset(bio); /* a memory BIO that only reads cannot fail to rewind */
        pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    }
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(body, len > 0 ? (size_t)len : 0);
    ERR_clear_error();
    if (result < 0)
        return -1;
    if (!pkey)
        return error_set(err, ERR_INVALID,
                         "%s: expected a PEM block '" KEYFILE_PEM_NAME
                         "', 'PRIVATE KEY' or 'EC PRIVATE KEY'",
                         file);
    if (sign_check_curve(pkey, file, err) < 0)
        return -1;
    struct sign_key *key = new_key(TAKE(pkey));
    if (!key)
        return error_no_memory(err);
    *ret = key;
    return 0;
}

int sign_key_read(const char *path, struct str password, struct sign_key **ret, struct error *err)
{
    CLEANUP(secret) struct secret text = SECRET_INIT;

    if (secret_read(&text, AT_FDCWD, path, err) < 0)
        return error_wrap(err, "reading key");
    return sign_key_parse(path, secret_str(&text), password, ret, err);
}

int sign_key_sign(const struct sign_key *key, const uint8_t sha256[SHA256_SIZE],
                  struct signature *ret, struct error *err)
{
    CLEANUP(evp_pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
    struct signature made = {.len = sizeof(made.bytes)};

    if (!ctx || EVP_PKEY_sign_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) != 1 ||
        EVP_PKEY_sign(ctx, made.bytes, &made.len, sha256, SHA256_SIZE) != 1)
        return sign_openssl_error(err, "signing");
    *ret = made;
    return 0;
}
