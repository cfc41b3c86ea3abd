/* wire/tls.c - see wire/tls.h. RFC 5280 profiles: the extensions that Go, OpenSSL and GnuTLS all
 * check. */
#include "wire/tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

enum {
    SERIAL_SIZE = 16,    /* bytes: random, so that no two certificates of a CA share one */
    BACKDATE_S = 5 * 60, /* clocks of two machines differ a little */
    NAME_MAX_BYTES = 64, /* X.520 ub-common-name */
};

DEFINE_CLEANUP(pkey, EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(x509, X509 *, X509_free)
DEFINE_CLEANUP(bio, BIO *, BIO_free_all)
DEFINE_CLEANUP(general_names, GENERAL_NAMES *, GENERAL_NAMES_free)

static int openssl_failed(const char *doing, struct error *err)
{
    char reason[160];
    unsigned long code = ERR_get_error();

    ERR_error_string_n(code, reason, sizeof reason);
    ERR_clear_error();
    if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
        return error_no_memory(err);
    return error_set(err, ERR_INTERNAL, "%s: %s", doing, reason);
}

void tls_pair_done(struct tls_pair *pair)
{
    if (pair->key_pem)
        OPENSSL_cleanse(pair->key_pem, strlen(pair->key_pem));
    free(pair->key_pem);
    free(pair->cert_pem);
    *pair = (struct tls_pair)TLS_PAIR_INIT;
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value, struct error *err)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    int added = extension ? X509_add_ext(cert, extension, -1) : 0;
    X509_EXTENSION_free(extension);
    return added == 1 ? 0 : openssl_failed("adding a certificate's extension", err);
}

static int add_name(X509_NAME *name, const char *field, const char *text, struct error *err)
{
    if (strlen(text) > NAME_MAX_BYTES || !text[0])
        return error_set(err, ERR_LIMIT, "name '%s' has not 1 to %d bytes", text, NAME_MAX_BYTES);
    if (X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)text, -1, -1,
                                   0) != 1)
        return openssl_failed("setting a certificate's name", err);
    return 0;
}

/* Version, serial, times, subject and key; the issuer and the extensions are still missing. */
static int start_cert(const char *common_name, const char *organisation, int days, EVP_PKEY *key,
                      X509 **ret_cert, struct error *err)
{
    CLEANUP(x509) X509 *cert = X509_new();
    unsigned char serial[SERIAL_SIZE];

    if (!cert || RAND_bytes(serial, sizeof serial) != 1)
        return openssl_failed("making a certificate", err);
    serial[0] &= 0x7F; /* positive, RFC 5280 4.1.2.2 */
    serial[0] |= 0x40; /* and never shorter */
    BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
    bool has_serial = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    if (!has_serial || X509_set_version(cert, X509_VERSION_3) != 1 ||
        !X509_gmtime_adj(X509_getm_notBefore(cert), -(long)BACKDATE_S) ||
        !X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, NULL) ||
        X509_set_pubkey(cert, key) != 1)
        return openssl_failed("making a certificate", err);

    X509_NAME *subject = X509_get_subject_name(cert);
    if (organisation && add_name(subject, "O", organisation, err) < 0)
        return -1;
    if (add_name(subject, "CN", common_name, err) < 0)
        return -1;
    *ret_cert = TAKE(cert);
    return 0;
}

static int bio_take_text(BIO *bio, char **ret_text, struct error *err)
{
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    char *text = len > 0 ? str_dup(str_slice(bytes, (size_t)len)) : NULL;

    if (!text)
        return error_no_memory(err);
    *ret_text = text;
    return 0;
}

static int write_pair(X509 *cert, EVP_PKEY *key, struct tls_pair *ret, struct error *err)
{
    CLEANUP(bio) BIO *cert_bio = BIO_new(BIO_s_mem());
    CLEANUP(bio) BIO *key_bio = BIO_new(BIO_s_secmem());
    CLEANUP(tls_pair) struct tls_pair pair = TLS_PAIR_INIT;

    if (!cert_bio || !key_bio || PEM_write_bio_X509(cert_bio, cert) != 1 ||
        PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return openssl_failed("writing a certificate", err);
    if (bio_take_text(cert_bio, &pair.cert_pem, err) < 0 ||
        bio_take_text(key_bio, &pair.key_pem, err) < 0)
        return -1;
    *ret = pair;
    pair = (struct tls_pair)TLS_PAIR_INIT;
    return 0;
}

int tls_make_ca(const char *common_name, struct tls_pair *ret, struct error *err)
{
    CLEANUP(pkey) EVP_PKEY *key = EVP_EC_gen("P-256");
    CLEANUP(x509) X509 *cert = NULL;

    if (!key)
        return openssl_failed("making a key", err);
    if (start_cert(common_name, NULL, TLS_CA_DAYS, key, &cert, err) < 0)
        return -1;
    if (X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1)
        return openssl_failed("setting a certificate's issuer", err);
    if (add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE", err) < 0 ||
        add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature",
                      err) < 0 ||
        add_extension(cert, cert, NID_subject_key_identifier, "hash", err) < 0)
        return -1;
    if (X509_sign(cert, key, EVP_sha256()) <= 0)
        return openssl_failed("signing a certificate", err);
    return write_pair(cert, key, ret, err);
}

static int load_ca(const struct tls_pair *ca, X509 **ret_cert, EVP_PKEY **ret_key,
                   struct error *err)
{
    CLEANUP(bio) BIO *cert_bio = BIO_new_mem_buf(ca->cert_pem, -1);
    CLEANUP(bio) BIO *key_bio = BIO_new_mem_buf(ca->key_pem, -1);
    CLEANUP(x509) X509 *cert = cert_bio ? PEM_read_bio_X509(cert_bio, NULL, NULL, NULL) : NULL;
    CLEANUP(pkey)
    EVP_PKEY *key = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL) : NULL;

    if (!cert || !key) {
        ERR_clear_error();
        return error_set(err, ERR_INVALID, "the CA's certificate or key is not PEM");
    }
    if (X509_check_private_key(cert, key) != 1) {
        ERR_clear_error();
        return error_set(err, ERR_INVALID, "the CA's key does not belong to its certificate");
    }
    *ret_cert = TAKE(cert);
    *ret_key = TAKE(key);
    return 0;
}

static int add_alternative_name(GENERAL_NAMES *names, const char *text, struct error *err)
{
    unsigned char address[sizeof(struct in6_addr)];
    int size = inet_pton(AF_INET, text, address) == 1    ? 4
               : inet_pton(AF_INET6, text, address) == 1 ? 16
                                                         : 0;
    int type = size ? GEN_IPADD : GEN_DNS;
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = size ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    const void *bytes = size ? (const void *)address : text;

    if (!name || !value || ASN1_STRING_set(value, bytes, size ? size : (int)strlen(text)) != 1) {
        ASN1_STRING_free(value);
        GENERAL_NAME_free(name);
        return openssl_failed("adding a name to a certificate", err);
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) == 0) {
        GENERAL_NAME_free(name);
        return openssl_failed("adding a name to a certificate", err);
    }
    return 0;
}

static int add_alternative_names(X509 *cert, const char *const *texts, struct error *err)
{
    CLEANUP(general_names) GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();

    if (!names)
        return error_no_memory(err);
    for (size_t i = 0; texts[i]; i++) {
        if (add_alternative_name(names, texts[i], err) < 0)
            return -1;
    }
    if (X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) != 1)
        return openssl_failed("adding names to a certificate", err);
    return 0;
}

static int add_leaf_extensions(X509 *cert, X509 *issuer, const struct tls_leaf_options *options,
                               struct error *err)
{
    if (add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE", err) < 0 ||
        add_extension(cert, issuer, NID_key_usage, "critical,digitalSignature", err) < 0 ||
        add_extension(cert, issuer, NID_ext_key_usage,
                      options->is_server ? "serverAuth" : "clientAuth", err) < 0 ||
        add_extension(cert, issuer, NID_subject_key_identifier, "hash", err) < 0 ||
        add_extension(cert, issuer, NID_authority_key_identifier, "keyid", err) < 0)
        return -1;
    if (options->names && options->names[0])
        return add_alternative_names(cert, options->names, err);
    return 0;
}

int tls_issue(const struct tls_pair *ca, const struct tls_leaf_options *options,
              struct tls_pair *ret, struct error *err)
{
    CLEANUP(x509) X509 *issuer = NULL;
    CLEANUP(pkey) EVP_PKEY *issuer_key = NULL;
    CLEANUP(x509) X509 *cert = NULL;

    if (load_ca(ca, &issuer, &issuer_key, err) < 0)
        return -1;
    CLEANUP(pkey) EVP_PKEY *key = EVP_EC_gen("P-256");
    if (!key)
        return openssl_failed("making a key", err);
    if (start_cert(options->common_name, options->organisation, TLS_LEAF_DAYS, key, &cert, err) < 0)
        return -1;
    if (X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 1)
        return openssl_failed("setting a certificate's issuer", err);
    if (add_leaf_extensions(cert, issuer, options, err) < 0)
        return -1;
    if (X509_sign(cert, issuer_key, EVP_sha256()) <= 0)
        return openssl_failed("signing a certificate", err);
    return write_pair(cert, key, ret, err);
}
