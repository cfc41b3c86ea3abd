/* wire/tls_test.c - what is issued is what a strict verifier (OpenSSL, RFC 5280) accepts, and no
 * more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "wire/tls.h"

DEFINE_CLEANUP(x509, X509 *, X509_free)

static X509 *read_cert(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    assert_non_null(cert);
    return cert;
}

/* X509_V_OK, or why the leaf is refused as a `purpose` of that CA. */
static int verify(X509 *ca, X509 *leaf, int purpose)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    int result;

    assert_int_equal(X509_STORE_add_cert(store, ca), 1);
    assert_int_equal(X509_STORE_CTX_init(context, store, leaf, NULL), 1);
    X509_STORE_CTX_set_purpose(context, purpose);
    X509_STORE_CTX_set_flags(context, X509_V_FLAG_X509_STRICT);
    result = X509_verify_cert(context) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return result;
}

static void leaf_is_good_for_its_purpose_only(void **state)
{
    CLEANUP(tls_pair) struct tls_pair ca = TLS_PAIR_INIT, other = TLS_PAIR_INIT;
    CLEANUP(tls_pair) struct tls_pair server = TLS_PAIR_INIT, client = TLS_PAIR_INIT;
    static const char *const names[] = {"kubernetes", "*.apps.example", "10.96.1.1", "::1", NULL};
    const struct tls_leaf_options server_options = {"api", NULL, names, true};
    const struct tls_leaf_options client_options = {"admin", "system:masters", NULL, false};
    struct error err = ERROR_INIT;
    char text[100];

    assert_int_equal(tls_make_ca("test CA", &ca, &err), 0);
    assert_int_equal(tls_make_ca("test CA", &other, &err), 0);
    assert_int_equal(tls_issue(&ca, &server_options, &server, &err), 0);
    assert_int_equal(tls_issue(&ca, &client_options, &client, &err), 0);
    CLEANUP(x509) X509 *ca_cert = read_cert(ca.cert_pem);
    CLEANUP(x509) X509 *other_cert = read_cert(other.cert_pem);
    CLEANUP(x509) X509 *server_cert = read_cert(server.cert_pem);
    CLEANUP(x509) X509 *client_cert = read_cert(client.cert_pem);

    assert_int_equal(verify(ca_cert, server_cert, X509_PURPOSE_SSL_SERVER), X509_V_OK);
    assert_int_equal(verify(ca_cert, client_cert, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    assert_int_equal(verify(ca_cert, server_cert, X509_PURPOSE_SSL_CLIENT),
                     X509_V_ERR_INVALID_PURPOSE);
    assert_int_equal(verify(ca_cert, client_cert, X509_PURPOSE_SSL_SERVER),
                     X509_V_ERR_INVALID_PURPOSE);
    assert_int_not_equal(verify(other_cert, server_cert, X509_PURPOSE_SSL_SERVER), X509_V_OK);

    assert_int_equal(X509_check_host(server_cert, "kubernetes", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(server_cert, "a.apps.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(server_cert, "api", 0, 0, NULL),
                     0); /* names hold, not the CN */
    assert_int_equal(X509_check_ip_asc(server_cert, "10.96.1.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(server_cert, "::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(server_cert, "10.96.1.2", 0), 0);
    (void)X509_NAME_get_text_by_NID(X509_get_subject_name(client_cert), NID_organizationName, text,
                                    sizeof text); /* the text is checked */
    assert_string_equal(text, "system:masters");
    assert_int_equal(X509_cmp_time(X509_get0_notBefore(client_cert), NULL), -1);
}

static void issuing_by_a_broken_ca_is_refused(void **state)
{
    CLEANUP(tls_pair) struct tls_pair ca = TLS_PAIR_INIT, other = TLS_PAIR_INIT;
    struct tls_pair leaf = TLS_PAIR_INIT;
    const struct tls_leaf_options options = {"x", NULL, NULL, false};
    struct tls_pair garbage = {.cert_pem = (char *)"no", .key_pem = (char *)"pem"};
    struct error err = ERROR_INIT;

    assert_int_equal(tls_make_ca("a", &ca, &err), 0);
    assert_int_equal(tls_make_ca("b", &other, &err), 0);
    assert_int_equal(tls_issue(&garbage, &options, &leaf, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    struct tls_pair mixed = {.cert_pem = ca.cert_pem, .key_pem = other.key_pem};
    assert_int_equal(tls_issue(&mixed, &options, &leaf, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_null(leaf.cert_pem);
}

static void name_that_x509_cannot_hold_is_refused(void **state)
{
    CLEANUP(tls_pair) struct tls_pair ca = TLS_PAIR_INIT;
    char name[66];
    struct error err = ERROR_INIT;

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_int_equal(tls_make_ca(name, &ca, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_int_equal(tls_make_ca("", &ca, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaf_is_good_for_its_purpose_only),
        cmocka_unit_test(issuing_by_a_broken_ca_is_refused),
        cmocka_unit_test(name_that_x509_cannot_hold_is_refused),
    };

    return cmocka_run_group_tests_name("tls", tests, NULL, NULL);
}
