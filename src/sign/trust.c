/* sign/trust.c - a set of public keys, and whether one of them made a signature. */
#include <fcntl.h>
#include <openssl/err.h>

#include "base/fs.h"
#include "sign/sign_internal.h"

enum { PUBLIC_FILE_MAX = 64 << 10 };

struct trust {
    struct {
        EVP_PKEY *pkey; /* owned */
        struct digest id;
    } keys[SIGN_TRUST_KEYS_MAX];
    size_t count;
};

int trust_new(struct trust **ret, struct error *err)
{
    struct trust *trust = calloc(1, sizeof(*trust));

    if (!trust)
        return error_no_memory(err);
    *ret = trust;
    return 0;
}

void trust_free(struct trust *trust)
{
    if (!trust)
        return;
    for (size_t i = 0; i < trust->count; i++)
        EVP_PKEY_free(trust->keys[i].pkey);
    free(trust);
}

int trust_add_pem(struct trust *trust, const char *file, struct str pem, struct error *err)
{
    CLEANUP(evp_pkey) EVP_PKEY *pkey = NULL;
    struct digest id;

    if (sign_parse_public(file, pem, &pkey, err) < 0 || sign_pkey_id(pkey, &id, err) < 0)
        return -1;
    for (size_t i = 0; i < trust->count; i++)
        if (digest_equal(&trust->keys[i].id, &id))
            return 0;
    if (trust->count == SIGN_TRUST_KEYS_MAX)
        return error_set(err, ERR_LIMIT, "%s: more than %d trusted keys", file,
                         SIGN_TRUST_KEYS_MAX);
    trust->keys[trust->count].pkey = TAKE(pkey);
    trust->keys[trust->count].id = id;
    trust->count++;
    return 0;
}

int trust_add_file(struct trust *trust, const char *path, struct error *err)
{
    CLEANUP(buf) struct buf pem = BUF_INIT(PUBLIC_FILE_MAX);

    if (fs_read_at(AT_FDCWD, path, &pem, err) < 0)
        return error_wrap(err, "reading trusted key");
    return trust_add_pem(trust, path, buf_str(&pem), err);
}

int trust_add_folder(struct trust *trust, const char *dir, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;

    if (fs_list(AT_FDCWD, dir, &names, err) < 0)
        return error_wrap(err, "reading trusted keys");
    for (size_t i = 0; i < names.count; i++) {
        if (!str_ends(str_of(names.items[i]), STR(".pub")))
            continue;
        CLEANUP(text) char *path = fs_join(dir, names.items[i]);
        if (!path)
            return error_no_memory(err);
        if (trust_add_file(trust, path, err) < 0)
            return -1;
    }
    return 0;
}

size_t trust_count(const struct trust *trust)
{
    return trust->count;
}

static bool key_made(EVP_PKEY *pkey, const uint8_t sha256[SHA256_SIZE], struct str signature)
{
    CLEANUP(evp_pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);

    return ctx && EVP_PKEY_verify_init(ctx) == 1 &&
           EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
           EVP_PKEY_verify(ctx, (const uint8_t *)signature.ptr, signature.len, sha256,
                           SHA256_SIZE) == 1;
}

bool trust_verify(const struct trust *trust, const uint8_t sha256[SHA256_SIZE],
                  struct str signature, struct digest *ret_key_id)
{
    bool is_made = false;

    for (size_t i = 0; i < trust->count && !is_made; i++) {
        is_made = key_made(trust->keys[i].pkey, sha256, signature);
        if (is_made && ret_key_id)
            *ret_key_id = trust->keys[i].id;
    }
    ERR_clear_error();
    return is_made;
}
