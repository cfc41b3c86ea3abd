/* wire/tls.h - the certificates of a platform: small private CAs (OpenSSL, ECDSA P-256, X.509 v3).
 */
#pragma once
#include "base/buf.h"

struct tls_pair {   /* a certificate and its key */
    char *cert_pem; /* owned */
    char *key_pem;  /* owned; PKCS#8 */
};
#define TLS_PAIR_INIT                                                                              \
    {                                                                                              \
        0                                                                                          \
    }
void tls_pair_done(struct tls_pair *pair); /* wipes the key */
DEFINE_CLEANUP_VALUE(tls_pair, struct tls_pair, tls_pair_done)

enum { TLS_CA_DAYS = 3650, TLS_LEAF_DAYS = 397 };

NODISCARD int tls_make_ca(const char *common_name, struct tls_pair *ret, struct error *err);

struct tls_leaf_options {
    const char *common_name;
    const char *organisation; /* NULL: none; the groups of a Kubernetes user */
    const char *const *names; /* NULL-ended: DNS names and IP addresses; may be NULL */
    bool is_server;           /* extended key usage: server, else client */
};
NODISCARD int tls_issue(const struct tls_pair *ca, const struct tls_leaf_options *options,
                        struct tls_pair *ret, struct error *err);
