/* Tests of kube/config.c: what a kubeconfig says, and where it is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "base/fs.h"
#include "kube/config.h"

static const char good[] =
    "apiVersion: v1\n"
    "kind: Config\n"
    "current-context: a\n"
    "clusters:\n"
    "- name: one\n"
    "  cluster:\n"
    "    server: https://10.90.1.1:6443/\n"
    "    certificate-authority-data: Q0E=\n"
    "- name: two\n"
    "  cluster: {server: 'https://two:443', insecure-skip-tls-verify: true,\n"
    "            tls-server-name: kubernetes}\n"
    "users:\n"
    "- name: admin\n"
    "  user:\n"
    "    client-certificate-data: Q0VSVA==\n"
    "    client-key-data: S0VZ\n"
    "- name: bot\n"
    "  user: {token: s3cret}\n"
    "- name: plugin\n"
    "  user: {exec: {command: aws}}\n"
    "contexts:\n"
    "- name: a\n"
    "  context: {cluster: one, user: admin}\n"
    "- name: b\n"
    "  context: {cluster: two, user: bot, namespace: team-a}\n"
    "- name: c\n"
    "  context: {cluster: two, user: plugin}\n"
    "- name: d\n"
    "  context: {cluster: three, user: bot}\n";

static int parse(const char *text, const char *context, struct kube_config *ret, struct error *err)
{
    return kube_config_parse("cfg", str_of(text), AT_FDCWD, context, ret, err);
}

static void current_context_gives_server_and_certificates(void **state)
{
    struct kube_config config = KUBE_CONFIG_INIT;
    struct error err = ERROR_INIT;

    assert_int_equal(parse(good, NULL, &config, &err), 0);
    assert_string_equal(config.server, "https://10.90.1.1:6443");
    assert_string_equal(config.ca_pem, "CA");
    assert_string_equal(config.client_cert_pem, "CERT");
    assert_string_equal(config.client_key_pem.ptr, "KEY");
    assert_string_equal(config.ns, "default");
    assert_false(config.insecure);
    kube_config_done(&config);
}

static void named_context_gives_token_and_namespace(void **state)
{
    struct kube_config config = KUBE_CONFIG_INIT;
    struct kube_config copy = KUBE_CONFIG_INIT;
    struct error err = ERROR_INIT;

    assert_int_equal(parse(good, "b", &config, &err), 0);
    assert_int_equal(kube_config_copy(&config, &copy, &err), 0);
    kube_config_done(&config);
    assert_string_equal(copy.token.ptr, "s3cret");
    assert_string_equal(copy.ns, "team-a");
    assert_string_equal(copy.tls_server_name, "kubernetes");
    assert_true(copy.insecure);
    kube_config_done(&copy);
}

static void expect(const char *text, const char *context, enum error_kind kind, const char *place)
{
    struct kube_config config = KUBE_CONFIG_INIT;
    struct error err = ERROR_INIT;

    assert_int_equal(parse(text, context, &config, &err), -1);
    assert_int_equal(err.kind, kind);
    assert_string_equal(err.place, place);
    assert_null(config.server); /* untouched */
}

static void faults_stand_at_their_place(void **state)
{
    expect(good, "c", ERR_UNSUPPORTED, "cfg:20:10");
    expect(good, "d", ERR_NOT_FOUND, "cfg:4:1");
    expect(good, "z", ERR_NOT_FOUND, "cfg:21:1");
    expect("a: [", NULL, ERR_INVALID, "cfg:2:1");
    expect("clusters: []\n", NULL, ERR_INVALID, "cfg:1:1");
    expect("current-context: x\ncontexts:\n- name: x\n  context: {cluster: 7}\n", NULL, ERR_INVALID,
           "cfg:4:22");
    expect("current-context: x\ncontexts:\n- name: x\n  context: {cluster: k}\n"
           "clusters:\n- name: k\n  cluster: {server: ftp://x}\n",
           NULL, ERR_INVALID, "cfg:7:21");
    expect(
        "current-context: x\ncontexts:\n- name: x\n  context: {cluster: k}\n"
        "clusters:\n- name: k\n  cluster: {server: 'https://x', certificate-authority-data: '*'}\n",
        NULL, ERR_INVALID, "cfg:7:62");
}

static void paths_are_relative_to_the_file(void **state)
{
    char *dir = NULL;
    struct error err = ERROR_INIT;
    struct kube_config config = KUBE_CONFIG_INIT;

    assert_int_equal(fs_make_temp_dir("/tmp/kube-config-", &dir, &err), 0);
    CLEANUP(text) char *ca = fs_join(dir, "ca.pem");
    CLEANUP(text) char *token = fs_join(dir, "token");
    CLEANUP(text) char *path = fs_join(dir, "config");
    static const char text[] = "current-context: x\n"
                               "contexts: [{name: x, context: {cluster: k, user: u}}]\n"
                               "clusters: [{name: k, cluster: {server: 'https://k', "
                               "certificate-authority: ca.pem}}]\n"
                               "users: [{name: u, user: {tokenFile: token}}]\n";
    assert_int_equal(fs_write_quick(AT_FDCWD, ca, STR("PEM"), 0600, &err), 0);
    assert_int_equal(fs_write_quick(AT_FDCWD, token, STR("from-file\n"), 0600, &err), 0);
    assert_int_equal(fs_write_quick(AT_FDCWD, path, str_of(text), 0600, &err), 0);
    assert_int_equal(kube_config_load(path, NULL, &config, &err), 0);
    assert_string_equal(config.ca_pem, "PEM");
    assert_string_equal(config.token.ptr, "from-file");
    kube_config_done(&config);
    assert_int_equal(fs_remove(AT_FDCWD, ca, &err), 0);
    assert_int_equal(kube_config_load(path, NULL, &config, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_int_equal(fs_remove_tree(AT_FDCWD, dir, &err), 0);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(current_context_gives_server_and_certificates),
        cmocka_unit_test(named_context_gives_token_and_namespace),
        cmocka_unit_test(faults_stand_at_their_place),
        cmocka_unit_test(paths_are_relative_to_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
