/* sign/sign_test.c - keys, the signer process, DSSE, statements, cosign's formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/fs.h"
#include "sign/sign.h"

struct fixture {
    char *dir;
    struct signer *signer;
    struct trust *trust;
};

#define OK(call) check_ok((call), &err, #call)
static void check_ok(int result, const struct error *err, const char *what)
{
    if (result < 0)
        fail_msg("%s: %s", what, err->text);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = ERROR_INIT;
    struct sign_key *key = NULL;

    OK(fs_make_temp_dir("/tmp/monban-sign-", &f->dir, &err));
    OK(sign_key_make(&key, &err));
    OK(signer_new_local(key, &f->signer, &err));
    OK(trust_new(&f->trust, &err));
    OK(trust_add_pem(f->trust, "test", str_of(signer_public_pem(f->signer)), &err));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;

    signer_free(f->signer);
    trust_free(f->trust);
    OK(fs_remove_tree(AT_FDCWD, f->dir, &err));
    free(f->dir);
    free(f);
    return 0;
}

static const struct digest SOME = {
    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
static const struct digest OTHER = {
    "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"};

static void pae_is_as_the_protocol_says(void **state)
{
    CLEANUP(buf) struct buf out = BUF_INIT(1000);

    dsse_pae("http://example.com/HelloWorld", STR("hello world"), &out);
    assert_string_equal(buf_text(&out), "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

static void key_is_written_and_read_with_its_password(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(sign_key) struct sign_key *made = NULL, *read = NULL;
    CLEANUP(buf) struct buf a = BUF_INIT(1000), b = BUF_INIT(1000), file = BUF_INIT(1000);
    CLEANUP(text) char *path = str_format("%s/k.key", f->dir);
    struct stat info;

    OK(sign_key_make(&made, &err));
    OK(sign_key_write(made, f->dir, "k", STR("secret"), &err));
    OK(sign_key_read(path, STR("secret"), &read, &err));
    OK(sign_key_public_pem(made, &a, &err));
    OK(sign_key_public_pem(read, &b, &err));
    assert_string_equal(buf_text(&a), buf_text(&b));
    OK(fs_read_at(AT_FDCWD, path, &file, &err));
    assert_true(
        str_starts(buf_str(&file), STR("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n")));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void wrong_password_is_untrusted(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(sign_key) struct sign_key *made = NULL, *read = NULL;
    CLEANUP(text) char *path = str_format("%s/k.key", f->dir);

    OK(sign_key_make(&made, &err));
    OK(sign_key_write(made, f->dir, "k", STR("secret"), &err));
    assert_int_equal(sign_key_read(path, STR("other"), &read, &err), -1);
    assert_int_equal(err.kind, ERR_UNTRUSTED);
    assert_non_null(strstr(err.text, "wrong password"));
}

static void key_is_never_overwritten(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(sign_key) struct sign_key *made = NULL;

    OK(sign_key_make(&made, &err));
    OK(sign_key_write(made, f->dir, "k", STR(""), &err));
    assert_int_equal(sign_key_write(made, f->dir, "k", STR(""), &err), -1);
    assert_int_equal(err.kind, ERR_CONFLICT);
}

/* Made by `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`. */
static void plain_pkcs8_of_openssl_is_read(void **state)
{
    struct error err = ERROR_INIT;
    CLEANUP(sign_key) struct sign_key *read = NULL;
    const char *pem = "-----BEGIN PRIVATE KEY-----\n"
                      "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgt+ZnrpKPoTyRBFsp\n"
                      "cKV2zhYaDKXPz7Rmu/cBe7XUmSmhRANCAASHed+aq8xFjtCqP+d4WNQH0q9O4yWq\n"
                      "cpENXR78JvJQPcbfQiw+ia+Skxi58IRcas5gxHj5yYFUg3nVUn4xhiEJ\n"
                      "-----END PRIVATE KEY-----\n";

    OK(sign_key_parse("rfc", str_of(pem), STR(""), &read, &err));
    assert_non_null(read);
}

/* Both made by cosign 2.5.0, `cosign generate-key-pair`, with the password "pw". */
static void key_pair_of_cosign_is_read(void **state)
{
    struct error err = ERROR_INIT;
    CLEANUP(sign_key) struct sign_key *read = NULL;
    CLEANUP(buf) struct buf pem = BUF_INIT(1000);
    const char *private_pem = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"
                              "eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6\n"
                              "OCwicCI6MX0sInNhbHQiOiJlZkxpT2J1aU9lR2swdUtIcEY0UytxN2trbFhPbTEr\n"
                              "ZzBUbVVxeFRTaUYwPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94\n"
                              "Iiwibm9uY2UiOiIyN1NOUURkUDQyRWE3TUdEbXlORkpmaWNCM1lTK3NyVSJ9LCJj\n"
                              "aXBoZXJ0ZXh0IjoiNXBqRXo3YmpXWisrVGRSTDh0T0RqT2hTS0dLeDJaOTdBdWdU\n"
                              "czI3dzdMMHBwbjM0aGxtRFNWM0N2UE1neVlLMkhWNjdzdGFCNHpPNGxBTkF5MFpE\n"
                              "aXhkbFFtZGRha0hFZG1NSG9TbERyaWdNUndtZDJqQjg0K1c1R0xlWGk0dmhtK2pT\n"
                              "YTJzYzdzT2Q0ZnNyc1FmT3hhK29wUzZEampsS093V05wN25KWjVyU05HSGpuemZ1\n"
                              "Z2JpOW12amR3em9DaDhUdzhyckdiblRnWGc9PSJ9\n"
                              "-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n";
    const char *public_pem = "-----BEGIN PUBLIC KEY-----\n"
                             "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEOhAhSDIlED7rWkfU5ZB1DAniOTEk\n"
                             "OLVuSt5mWOCoYIvV4gI9XvwNfHXczEZNjoiQrFUS1kowoBAJnd4uXXd1Gw==\n"
                             "-----END PUBLIC KEY-----\n";

    OK(sign_key_parse("cosign.key", str_of(private_pem), STR("pw"), &read, &err));
    OK(sign_key_public_pem(read, &pem, &err));
    assert_string_equal(buf_text(&pem), public_pem);
}

static void another_kind_of_key_is_unsupported(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    /* Ed25519, RFC 8410 section 10.1 */
    const char *pem = "-----BEGIN PUBLIC KEY-----\n"
                      "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
                      "-----END PUBLIC KEY-----\n";

    assert_int_equal(trust_add_pem(f->trust, "ed.pub", str_of(pem), &err), -1);
    assert_int_equal(err.kind, ERR_UNSUPPORTED);
    assert_string_equal(err.text, "ed.pub: expected an ECDSA P-256 key, got ED25519");
}

static void envelope_verifies_and_gives_its_payload(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf envelope = BUF_INIT(10000), payload = BUF_INIT(10000);
    struct digest key_id;

    OK(dsse_sign(f->signer, "text/x", STR("hello"), &envelope, &err));
    OK(dsse_open(f->trust, "e", buf_str(&envelope), "text/x", &payload, &key_id, &err));
    assert_string_equal(buf_text(&payload), "hello");
    assert_true(digest_equal(&key_id, signer_key_id(f->signer)));
}

static void envelope_with_one_changed_byte_is_untrusted(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf envelope = BUF_INIT(10000), payload = BUF_INIT(10000);

    OK(dsse_sign(f->signer, "text/x", STR("hello"), &envelope, &err));
    char *at = strstr(envelope.ptr, "aGVsbG8");
    assert_non_null(at);
    at[1] ^= 1;
    assert_int_equal(dsse_open(f->trust, "e", buf_str(&envelope), "text/x", &payload, NULL, &err),
                     -1);
    assert_int_equal(err.kind, ERR_UNTRUSTED);
    assert_non_null(strstr(err.text, "no signature by a trusted key"));
    assert_int_equal(payload.len, 0);
}

static void envelope_of_another_type_is_untrusted(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf envelope = BUF_INIT(10000), payload = BUF_INIT(10000);

    OK(dsse_sign(f->signer, "text/x", STR("hello"), &envelope, &err));
    assert_int_equal(dsse_open(f->trust, "e", buf_str(&envelope), "text/y", &payload, NULL, &err),
                     -1);
    assert_string_equal(err.text, "e: payload type 'text/x', expected 'text/y'");
}

static void envelope_by_another_key_is_untrusted(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(sign_key) struct sign_key *key = NULL;
    CLEANUP(signer) struct signer *stranger = NULL;
    CLEANUP(buf) struct buf envelope = BUF_INIT(10000), payload = BUF_INIT(10000);

    OK(sign_key_make(&key, &err));
    OK(signer_new_local(TAKE(key), &stranger, &err));
    OK(dsse_sign(stranger, "text/x", STR("hello"), &envelope, &err));
    assert_int_equal(dsse_open(f->trust, "e", buf_str(&envelope), "text/x", &payload, NULL, &err),
                     -1);
    assert_int_equal(err.kind, ERR_UNTRUSTED);
}

static void make_statement(struct fixture *f, struct buf *envelope)
{
    struct error err = ERROR_INIT;
    CLEANUP(json) json_t *statement = NULL;

    OK(statement_new("apps/x", &SOME, PREDICATE_RELEASE, json_pack("{s:i}", "sequence", 7),
                     &statement, &err));
    OK(statement_sign(f->signer, statement, envelope, &err));
}

static void statement_opens_for_its_subject_and_type(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf envelope = BUF_INIT(10000);
    CLEANUP(json) json_t *statement = NULL;

    make_statement(f, &envelope);
    OK(statement_open(f->trust, "s", buf_str(&envelope), &SOME, PREDICATE_RELEASE, &statement, NULL,
                      &err));
    assert_int_equal(json_int_at(statement, "predicate.sequence", 0), 7);
}

static void statement_about_another_image_is_untrusted(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf envelope = BUF_INIT(10000);
    CLEANUP(json) json_t *statement = NULL;

    make_statement(f, &envelope);
    assert_int_equal(statement_open(f->trust, "s", buf_str(&envelope), &OTHER, PREDICATE_RELEASE,
                                    &statement, NULL, &err),
                     -1);
    assert_int_equal(err.kind, ERR_UNTRUSTED);
    assert_non_null(strstr(err.text, OTHER.text));
}

static void statement_of_another_type_is_untrusted(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf envelope = BUF_INIT(10000);
    CLEANUP(json) json_t *statement = NULL;

    make_statement(f, &envelope);
    assert_int_equal(statement_open(f->trust, "s", buf_str(&envelope), &SOME, PREDICATE_PROMOTION,
                                    &statement, NULL, &err),
                     -1);
    assert_int_equal(err.kind, ERR_UNTRUSTED);
}

static void simple_signature_names_its_manifest(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf payload = BUF_INIT(10000), signature = BUF_INIT(1000);

    OK(simple_payload("r.local/apps/x", &SOME, &payload, &err));
    OK(simple_sign(f->signer, buf_str(&payload), &signature, &err));
    OK(simple_verify(f->trust, buf_str(&payload), buf_str(&signature), &SOME, "r.local/apps/x",
                     &err));
    assert_int_equal(
        simple_verify(f->trust, buf_str(&payload), buf_str(&signature), &OTHER, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_UNTRUSTED);
    assert_int_equal(
        simple_verify(f->trust, buf_str(&payload), buf_str(&signature), &SOME, "r.local/y", &err),
        -1);
    payload.ptr[payload.len - 2] ^= 1;
    assert_int_equal(
        simple_verify(f->trust, buf_str(&payload), buf_str(&signature), &SOME, NULL, &err), -1);
}

static void bundle_holds_the_envelope(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf envelope = BUF_INIT(10000), bundle = BUF_INIT(20000);
    CLEANUP(buf) struct buf back = BUF_INIT(20000);
    CLEANUP(json) json_t *statement = NULL;

    make_statement(f, &envelope);
    OK(bundle_write(buf_str(&envelope), signer_public_pem(f->signer), &bundle, &err));
    OK(bundle_read("b", buf_str(&bundle), &back, &err));
    OK(statement_open(f->trust, "s", buf_str(&back), &SOME, PREDICATE_RELEASE, &statement, NULL,
                      &err));
}

static char *write_key(struct fixture *f)
{
    struct error err = ERROR_INIT;
    CLEANUP(sign_key) struct sign_key *made = NULL;

    OK(sign_key_make(&made, &err));
    OK(sign_key_write(made, f->dir, "gate", STR("pw"), &err));
    return str_format("%s/gate.key", f->dir);
}

static void signer_process_signs(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(text) char *path = write_key(f);
    CLEANUP(signer) struct signer *signer = NULL;
    CLEANUP(trust) struct trust *trust = NULL;
    CLEANUP(buf) struct buf envelope = BUF_INIT(10000), payload = BUF_INIT(10000);

    OK(signer_start(path, STR("pw"), &signer, &err));
    OK(trust_new(&trust, &err));
    OK(trust_add_folder(trust, f->dir, &err));
    OK(dsse_sign(signer, "text/x", STR("hello"), &envelope, &err));
    OK(dsse_open(trust, "e", buf_str(&envelope), "text/x", &payload, NULL, &err));
}

static void signer_process_answers_two_askers_that_share_its_socket(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(text) char *path = write_key(f);
    CLEANUP(signer) struct signer *signer = NULL, *second = NULL;
    uint8_t sha256[SHA256_SIZE] = {1};
    struct signature a, b;
    int status = -1;

    OK(signer_start(path, STR("pw"), &signer, &err));
    OK(signer_new_from_fd(dup(signer_fd(signer)), &second, &err));
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 50; i++)
            if (signer_sign(second, sha256, &b, &err) < 0)
                _exit(1);
        _exit(0);
    }
    for (int i = 0; i < 50; i++)
        OK(signer_sign(signer, sha256, &a, &err));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void signer_without_its_key_says_why(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(text) char *path = write_key(f);
    CLEANUP(signer) struct signer *signer = NULL;

    assert_int_equal(signer_start(path, STR("wrong"), &signer, &err), -1);
    assert_int_equal(err.kind, ERR_UNTRUSTED);
    assert_non_null(strstr(err.text, "wrong password"));
    assert_int_equal(signer_start("/nowhere/x.key", STR("wrong"), &signer, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void signer_drops_malformed_requests_and_goes_on(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(text) char *path = write_key(f);
    CLEANUP(signer) struct signer *signer = NULL;
    uint8_t sha256[SHA256_SIZE] = {1};
    struct signature made;

    OK(signer_start(path, STR("pw"), &signer, &err));
    assert_int_equal(write(signer_fd(signer), "garbage", 7), 7);
    char big[2000] = {0};
    assert_int_equal(write(signer_fd(signer), big, sizeof(big)), sizeof(big));
    OK(signer_sign(signer, sha256, &made, &err));
    assert_true(made.len > 60);
}

static void provenance_names_source_and_builder(void **state)
{
    struct error err = ERROR_INIT;
    CLEANUP(json) json_t *predicate = NULL;
    CLEANUP(buf) struct buf out = BUF_INIT(10000);
    struct provenance_input input = {.source_uri = "git+file:///x@refs/heads/main",
                                     .commit = "0123",
                                     .ref = "refs/heads/main",
                                     .builder_version = "0.1.0",
                                     .invocation_id = "i",
                                     .started_s = 1,
                                     .finished_s = 2};

    OK(provenance_new(&input, &predicate, &err));
    OK(json_write(predicate, false, &out, &err));
    assert_string_equal(
        buf_text(&out),
        "{\"buildDefinition\":{\"buildType\":\"https://monban.dev/buildtypes/cnb/v1\","
        "\"externalParameters\":{\"source\":\"git+file:///x@refs/heads/main\","
        "\"ref\":\"refs/heads/main\",\"env\":[]},\"resolvedDependencies\":[{\"uri\":"
        "\"git+file:///x@refs/heads/main\",\"digest\":{\"gitCommit\":\"0123\"}}]},"
        "\"runDetails\":{\"builder\":{\"id\":\"https://monban.dev/builder/v1\",\"version\":"
        "{\"monban\":\"0.1.0\"}},\"metadata\":{\"invocationId\":\"i\",\"startedOn\":"
        "\"1970-01-01T00:00:01Z\",\"finishedOn\":\"1970-01-01T00:00:02Z\"}}}");
}

static void summary_says_passed_or_failed(void **state)
{
    struct error err = ERROR_INIT;
    CLEANUP(json) json_t *passed = NULL, *failed = NULL;
    struct vsa_input input = {.resource_uri = "oci://x",
                              .policy_uri = "p",
                              .policy = &SOME,
                              .passed = true,
                              .verified_s = 1};

    OK(vsa_new(&input, &passed, &err));
    assert_string_equal(json_str_at(passed, "verificationResult"), "PASSED");
    assert_string_equal(json_str_at(passed, "verifiedLevels[0]"), "SLSA_BUILD_LEVEL_2");
    assert_string_equal(json_str_at(passed, "policy.digest.sha256"), digest_hex(&SOME));
    input.passed = false;
    OK(vsa_new(&input, &failed, &err));
    assert_string_equal(json_str_at(failed, "verificationResult"), "FAILED");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pae_is_as_the_protocol_says),
        TEST(key_is_written_and_read_with_its_password),
        TEST(wrong_password_is_untrusted),
        TEST(key_is_never_overwritten),
        TEST(plain_pkcs8_of_openssl_is_read),
        TEST(key_pair_of_cosign_is_read),
        TEST(another_kind_of_key_is_unsupported),
        TEST(envelope_verifies_and_gives_its_payload),
        TEST(envelope_with_one_changed_byte_is_untrusted),
        TEST(envelope_of_another_type_is_untrusted),
        TEST(envelope_by_another_key_is_untrusted),
        TEST(statement_opens_for_its_subject_and_type),
        TEST(statement_about_another_image_is_untrusted),
        TEST(statement_of_another_type_is_untrusted),
        TEST(simple_signature_names_its_manifest),
        TEST(bundle_holds_the_envelope),
        TEST(signer_process_signs),
        TEST(signer_process_answers_two_askers_that_share_its_socket),
        TEST(signer_without_its_key_says_why),
        TEST(signer_drops_malformed_requests_and_goes_on),
        TEST(provenance_names_source_and_builder),
        TEST(summary_says_passed_or_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
