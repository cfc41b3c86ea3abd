/* sbom/evidence_test.c - dpkg's, npm's and Node's records, and package URLs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sbom/evidence.h"
#include "sbom/purl.h"

struct parsed {
    struct texts texts;
    struct fact_list list;
    struct error err;
};
#define PARSED_INIT                                                                                \
    {                                                                                              \
        .texts = TEXTS_INIT(1 << 20), .err = ERROR_INIT                                            \
    }
static void parsed_done(struct parsed *p)
{
    texts_done(&p->texts);
    fact_list_done(&p->list);
}
DEFINE_CLEANUP_VALUE(parsed, struct parsed, parsed_done)

static void a_dpkg_status_gives_installed_packages_with_their_source(void **state)
{
    CLEANUP(parsed) struct parsed p = PARSED_INIT;

    (void)state;
    assert_int_equal(
        dpkg_parse(STR("Package: libssl3\nStatus: install ok installed\n"
                       "Architecture: amd64\nSource: openssl (3.0.11-1)\n"
                       "Version: 3.0.11-1+b1\nDescription: x\n Version: 9\n\n"
                       "package: gone\nstatus: deinstall ok config-files\nversion: 1\n\n"
                       "Package: tar\nStatus: hold ok installed\nVersion: 1.34"),
                   true, &p.texts, &p.list, &p.err),
        0);
    assert_int_equal(p.list.count, 2);
    assert_string_equal(p.list.items[0].name, "libssl3");
    assert_string_equal(p.list.items[0].version, "3.0.11-1+b1");
    assert_string_equal(p.list.items[0].source_name, "openssl");
    assert_string_equal(p.list.items[0].source_version, "3.0.11-1");
    assert_string_equal(p.list.items[0].architecture, "amd64");
    assert_string_equal(p.list.items[1].source_name, "tar");
    assert_string_equal(p.list.items[1].source_version, "1.34");
}

static void a_status_without_state_counts_in_status_d(void **state)
{
    CLEANUP(parsed) struct parsed p = PARSED_INIT;

    (void)state;
    assert_int_equal(
        dpkg_parse(STR("Package: tzdata\nVersion: 2024a\n"), false, &p.texts, &p.list, &p.err), 0);
    assert_int_equal(p.list.count, 1);
}

static void a_binary_status_is_invalid(void **state)
{
    CLEANUP(parsed) struct parsed p = PARSED_INIT;

    (void)state;
    assert_int_equal(dpkg_parse(str_slice("a\0b", 3), true, &p.texts, &p.list, &p.err), -1);
    assert_int_equal(p.err.kind, ERR_INVALID);
}

static void os_release_loses_its_quotes(void **state)
{
    CLEANUP(parsed) struct parsed p = PARSED_INIT;

    (void)state;
    assert_int_equal(osrelease_parse(STR("NAME=x\nID=debian\nVERSION_ID=\"12\"\n"
                                         "VERSION_CODENAME='bookworm'\n"),
                                     &p.texts, &p.list, &p.err),
                     0);
    assert_string_equal(p.list.items[0].name, "debian");
    assert_string_equal(p.list.items[0].version, "12");
    assert_string_equal(p.list.items[0].source_name, "bookworm");
}

static void node_says_its_version_in_header_and_binary(void **state)
{
    CLEANUP(parsed) struct parsed p = PARSED_INIT;

    (void)state;
    assert_int_equal(node_parse_version(STR("#define NODE_MAJOR_VERSION 22\n"
                                            "#define NODE_MINOR_VERSION 11\n"
                                            "#define NODE_PATCH_VERSION 0\n"),
                                        &p.texts, &p.list, &p.err),
                     0);
    assert_int_equal(
        node_parse_version(STR("https://nodejs.org/download/release/v20.1.2/node-v20.1.2.tar.gz"),
                           &p.texts, &p.list, &p.err),
        0);
    assert_string_equal(p.list.items[0].version, "22.11.0");
    assert_string_equal(p.list.items[1].version, "20.1.2");
    assert_int_equal(node_parse_version(STR("#define X 1\n"), &p.texts, &p.list, &p.err), -1);
}

static void a_lock_file_of_version_3_is_flat(void **state)
{
    CLEANUP(parsed) struct parsed p = PARSED_INIT;

    (void)state;
    assert_int_equal(
        npm_parse_lock(
            STR("{\"lockfileVersion\":3,\"packages\":{"
                "\"\":{\"name\":\"app\",\"version\":\"1.0.0\",\"dependencies\":{\"a\":\"^1\"}},"
                "\"node_modules/a\":{\"version\":\"1.2.3\",\"dependencies\":{\"@s/b\":\"~2.0\"}},"
                "\"node_modules/a/node_modules/@s/b\":{\"version\":\"2.0.1\",\"dev\":true},"
                "\"node_modules/alias\":{\"name\":\"real\",\"version\":\"3.0.0\"},"
                "\"node_modules/linked\":{\"resolved\":\"packages/x\",\"link\":true},"
                "\"packages/x\":{\"name\":\"x\",\"version\":\"0.1.0\"}}}"),
            &p.texts, &p.list, &p.err),
        0);
    assert_int_equal(p.list.count, 4);
    assert_string_equal(p.list.items[0].location, "");
    assert_string_equal(p.list.items[0].needs[0].name, "a");
    assert_string_equal(p.list.items[0].needs[0].range, "^1");
    assert_string_equal(p.list.items[1].name, "a");
    assert_string_equal(p.list.items[2].name, "@s/b");
    assert_string_equal(p.list.items[2].location, "node_modules/a/node_modules/@s/b");
    assert_true(p.list.items[2].is_dev);
    assert_string_equal(p.list.items[3].name, "real");
}

static void a_lock_file_of_version_1_is_nested(void **state)
{
    CLEANUP(parsed) struct parsed p = PARSED_INIT;

    (void)state;
    assert_int_equal(npm_parse_lock(STR("{\"name\":\"app\",\"lockfileVersion\":1,\"dependencies\":{"
                                        "\"a\":{\"version\":\"1.0.0\",\"requires\":{\"b\":\"2.x\"},"
                                        "\"dependencies\":{\"b\":{\"version\":\"2.1.0\"}}},"
                                        "\"c\":{\"version\":\"npm:real@3.0.0\"},"
                                        "\"d\":{\"version\":\"git+https://x/y.git#1\"}}}"),
                                    &p.texts, &p.list, &p.err),
                     0);
    assert_int_equal(p.list.count, 4);
    assert_string_equal(p.list.items[1].needs[0].range, "2.x");
    assert_string_equal(p.list.items[2].location, "node_modules/a/node_modules/b");
    assert_string_equal(p.list.items[3].name, "real");
    assert_string_equal(p.list.items[3].version, "3.0.0");
}

static void a_package_json_with_doubled_keys_is_read_as_node_reads_it(void **state)
{
    CLEANUP(parsed) struct parsed p = PARSED_INIT;

    (void)state;
    assert_int_equal(npm_parse_manifest(STR("\xef\xbb\xbf{\"name\":\"a\",\"version\":\"0.0.1\","
                                            "\"version\":\"1.0.0\"}"),
                                        false, &p.texts, &p.list, &p.err),
                     0);
    assert_string_equal(p.list.items[0].version, "1.0.0");
}

static void names_that_lead_out_are_not_taken(void **state)
{
    CLEANUP(parsed) struct parsed p = PARSED_INIT;

    (void)state;
    assert_int_equal(npm_parse_manifest(STR("{\"name\":\"../../etc\",\"version\":\"1.0.0\"}"),
                                        false, &p.texts, &p.list, &p.err),
                     -1);
    assert_int_equal(p.err.kind, ERR_INVALID);
}

static void a_broken_lock_file_says_where(void **state)
{
    CLEANUP(parsed) struct parsed p = PARSED_INIT;

    (void)state;
    assert_int_equal(npm_parse_lock(STR("{\"packages\":\n[}"), &p.texts, &p.list, &p.err), -1);
    assert_int_equal(p.err.kind, ERR_INVALID);
    assert_non_null(strstr(p.err.text, "line 2"));
}

static void files_are_evidence_by_their_path(void **state)
{
    static const struct {
        const char *path;
        uint64_t size;
        enum evidence_kind kind;
    } cases[] = {
        {"var/lib/dpkg/status", 10, EVIDENCE_DPKG},
        {"var/lib/dpkg/status.d/tzdata", 10, EVIDENCE_DPKG_ONE},
        {"var/lib/dpkg/status.d/tzdata.md5sums", 10, EVIDENCE_NONE},
        {"usr/lib/os-release", 10, EVIDENCE_OS_RELEASE},
        {"w/node_modules/a/package.json", 10, EVIDENCE_NPM_PACKAGE},
        {"w/node_modules/@s/a/package.json", 10, EVIDENCE_NPM_PACKAGE},
        {"w/node_modules/a/node_modules/b/package.json", 10, EVIDENCE_NPM_PACKAGE},
        {"w/node_modules/a/test/package.json", 10, EVIDENCE_NONE},
        {"w/my_node_modules/a/package.json", 10, EVIDENCE_NPM_MANIFEST},
        {"w/package.json", 10, EVIDENCE_NPM_MANIFEST},
        {"package-lock.json", 10, EVIDENCE_NPM_LOCK},
        {"w/node_modules/a/package-lock.json", 10, EVIDENCE_NONE},
        {"opt/include/node/node_version.h", 10, EVIDENCE_NODE},
        {"usr/bin/node", 90000000, EVIDENCE_NODE},
        {"usr/bin/node", 10, EVIDENCE_NONE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t limit;
        enum evidence_kind got = evidence_kind_of(str_of(cases[i].path), cases[i].size, &limit);
        if (got != cases[i].kind)
            fail_msg("%s: expected %d, got %d", cases[i].path, (int)cases[i].kind, (int)got);
    }
}

static void check_purl(const char *text, const char *canonical)
{
    CLEANUP(purl) struct purl purl = PURL_INIT;
    CLEANUP(buf) struct buf out = BUF_INIT(65536);
    struct error err = ERROR_INIT;

    if (purl_parse(str_of(text), &purl, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    purl_write(&purl, &out);
    assert_string_equal(buf_text(&out), canonical);
}

static void package_urls_have_one_canonical_form(void **state)
{
    (void)state;
    check_purl("pkg:NPM/%40Scope/Name@1.0", "pkg:npm/%40scope/name@1.0");
    check_purl("pkg://npm/@scope/name@1.0", "pkg:npm/%40scope/name@1.0");
    check_purl("pkg:deb/Debian/libC6@2.36-9%2Bdeb12u4?distro=debian-12&arch=amd64&x=",
               "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12");
    check_purl("pkg:pypi/My_Pkg@1.0RC1", "pkg:pypi/my-pkg@1.0rc1");
    check_purl("pkg:golang/github.com/a/b@v1.0.0#/c/./../d/",
               "pkg:golang/github.com/a/b@v1.0.0#c/d");
    check_purl("pkg:oci/app@sha256%3Aab?repository_url=h/app",
               "pkg:oci/app@sha256:ab?repository_url=h%2Fapp");
}

static void check_osv(const char *text, const char *ecosystem, const char *name)
{
    CLEANUP(purl) struct purl purl = PURL_INIT;
    CLEANUP(buf) struct buf got_ecosystem = BUF_INIT(1024);
    CLEANUP(buf) struct buf got_name = BUF_INIT(1024);
    struct error err = ERROR_INIT;

    assert_int_equal(purl_parse(str_of(text), &purl, &err), 0);
    assert_true(purl_osv(&purl, &got_ecosystem, &got_name));
    assert_string_equal(buf_text(&got_ecosystem), ecosystem);
    assert_string_equal(buf_text(&got_name), name);
}

static void package_urls_name_ecosystem_and_source(void **state)
{
    (void)state;
    check_osv("pkg:npm/%40s/a@1", "npm", "@s/a");
    check_osv("pkg:maven/g/a@1", "Maven", "g:a");
    check_osv("pkg:deb/debian/libssl3@3?distro=bookworm&upstream=openssl%403.0", "Debian:12",
              "openssl");
    check_osv("pkg:deb/ubuntu/tar@1?distro=ubuntu-22.04", "Ubuntu:22.04:LTS", "tar");
    check_osv("pkg:apk/alpine/busybox@1?distro=alpine-3.20.1", "Alpine:v3.20", "busybox");
}

static void broken_package_urls_say_why(void **state)
{
    static const char *const broken[] = {"npm/a@1",      "pkg:npm",     "pkg:npm/@1",
                                         "pkg:npm/a%zz", "pkg:deb/a@1", "pkg:npm/a@1?b%20c=d",
                                         "pkg:3x/a"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        CLEANUP(purl) struct purl purl = PURL_INIT;
        struct error err = ERROR_INIT;
        if (purl_parse(str_of(broken[i]), &purl, &err) == 0)
            fail_msg("%s was taken", broken[i]);
        assert_int_equal(err.kind, ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dpkg_status_gives_installed_packages_with_their_source),
        cmocka_unit_test(a_status_without_state_counts_in_status_d),
        cmocka_unit_test(a_binary_status_is_invalid),
        cmocka_unit_test(os_release_loses_its_quotes),
        cmocka_unit_test(node_says_its_version_in_header_and_binary),
        cmocka_unit_test(a_lock_file_of_version_3_is_flat),
        cmocka_unit_test(a_lock_file_of_version_1_is_nested),
        cmocka_unit_test(a_package_json_with_doubled_keys_is_read_as_node_reads_it),
        cmocka_unit_test(names_that_lead_out_are_not_taken),
        cmocka_unit_test(a_broken_lock_file_says_where),
        cmocka_unit_test(files_are_evidence_by_their_path),
        cmocka_unit_test(package_urls_have_one_canonical_form),
        cmocka_unit_test(package_urls_name_ecosystem_and_source),
        cmocka_unit_test(broken_package_urls_say_why),
    };

    return cmocka_run_group_tests_name("evidence", tests, NULL, NULL);
}
