/* sign/sign_internal.h - what the files of this folder share. */
#pragma once
#include <openssl/evp.h>

#include "sign/sign.h"

DEFINE_CLEANUP(evp_pkey, EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(evp_pkey_ctx, EVP_PKEY_CTX *, EVP_PKEY_CTX_free)
DEFINE_CLEANUP(bio, BIO *, BIO_free_all)

/* INTERNAL with OpenSSL's reason for the last failure; empties its queue. */
int sign_openssl_error(struct error *err, const char *what);
/* UNSUPPORTED unless it is ECDSA P-256. */
NODISCARD int sign_check_curve(const EVP_PKEY *pkey, const char *file, struct error *err);
NODISCARD int sign_pkey_id(const EVP_PKEY *pkey, struct digest *ret, struct error *err);
NODISCARD int sign_pkey_pem(const EVP_PKEY *pkey, struct buf *out, struct error *err);
NODISCARD int sign_parse_public(const char *file, struct str pem, EVP_PKEY **ret,
                                struct error *err);
/* The signature over a sha256 value by a key of this process. */
NODISCARD int sign_key_sign(const struct sign_key *key, const uint8_t sha256[SHA256_SIZE],
                            struct signature *ret, struct error *err);

/* The encrypted form of a private key: cosign's PEM block of a JSON text (keyfile.c). */
NODISCARD int keyfile_seal(struct str pkcs8, struct str password, struct buf *out,
                           struct error *err);
NODISCARD int keyfile_open(const char *file, struct str body, struct str password,
                           struct secret *ret_pkcs8, struct error *err);
#define KEYFILE_PEM_NAME     "ENCRYPTED SIGSTORE PRIVATE KEY"
#define KEYFILE_PEM_NAME_OLD "ENCRYPTED COSIGN PRIVATE KEY"
