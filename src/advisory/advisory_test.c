/* advisory/advisory_test.c - records in, matches out: import, merging, ranges, fixes, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>

#include "advisory/db_internal.h"
#include "base/fs.h"

struct fixture {
    char *folder; /* owned */
    char *db;     /* owned: path */
    char *dump;   /* owned: path of a folder of records */
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct error err = ERROR_INIT;

    assert_non_null(f);
    assert_int_equal(fs_make_temp_dir("/tmp/advisory-test-", &f->folder, &err), 0);
    f->db = str_format("%s/db/advisories.db", f->folder);
    f->dump = str_format("%s/dump", f->folder);
    assert_int_equal(fs_make_dirs(AT_FDCWD, f->dump, 0700, &err), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;

    assert_int_equal(fs_remove_tree(AT_FDCWD, f->folder, &err), 0);
    free(f->folder);
    free(f->db);
    free(f->dump);
    free(f);
    return 0;
}

static void put(const struct fixture *f, const char *name, const char *json)
{
    CLEANUP(text) char *path = str_format("%s/%s", f->dump, name);
    struct error err = ERROR_INIT;

    assert_int_equal(fs_write_quick(AT_FDCWD, path, str_of(json), 0600, &err), 0);
}

static struct advisory_report import(const struct fixture *f, const char *source, int64_t now_s)
{
    struct advisory_report report = ADVISORY_REPORT_INIT;
    struct error err = ERROR_INIT;

    if (advisory_import(f->db, source, now_s, &report, &err) < 0)
        fail_msg("%s", err.text);
    return report;
}

static void import_dump(const struct fixture *f)
{
    struct advisory_report report = import(f, f->dump, 1000);

    if (report.malformed)
        fail_msg("%s: %s", report.faults[0].name, report.faults[0].text);
    advisory_report_done(&report);
}

static struct advisory_db *open_db(const struct fixture *f)
{
    struct advisory_db *db = NULL;
    struct error err = ERROR_INIT;

    if (advisory_db_open(f->db, &db, &err) < 0)
        fail_msg("%s", err.text);
    return db;
}

/* "ID fixed=V severity; ID …" of all matches, in order. */
static void expect_match(const struct fixture *f, const char *ecosystem, const char *name,
                         const char *version, const char *want)
{
    CLEANUP(advisory_db) struct advisory_db *db = open_db(f);
    CLEANUP(advisory_matches) struct advisory_matches matches = ADVISORY_MATCHES_INIT;
    CLEANUP(buf) struct buf got = BUF_INIT(65536);
    struct advisory_query query = {ecosystem, name, version};
    struct error err = ERROR_INIT;

    if (advisory_match(db, &query, &matches, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < matches.count; i++)
        buf_addf(&got, "%s%s fixed=%s %s", i ? "; " : "", matches.items[i].id,
                 matches.items[i].fixed, severity_name(matches.items[i].severity));
    if (strcmp(buf_text(&got), want) != 0)
        fail_msg("%s %s %s: expected '%s', got '%s'", ecosystem, name, version, want,
                 buf_text(&got));
}

static void expect_safe(const struct fixture *f, const char *name, const char *version,
                        const char *want)
{
    CLEANUP(advisory_db) struct advisory_db *db = open_db(f);
    CLEANUP(buf) struct buf got = BUF_INIT(65536);
    struct advisory_query query = {"npm", name, version};
    struct error err = ERROR_INIT;

    assert_int_equal(advisory_safe_version(db, &query, &got, &err), 0);
    assert_string_equal(buf_text(&got), want);
}

#define RECORD(id, modified, rest) "{\"id\":\"" id "\",\"modified\":\"" modified "\"," rest "}"
#define AFFECTED(eco, name, events)                                                                \
    "{\"package\":{\"ecosystem\":\"" eco "\",\"name\":\"" name                                     \
    "\"},\"ranges\":[{\"type\":\"ECOSYSTEM\",\"events\":[" events "]}]}"
#define DAY "2024-01-01T00:00:00Z"

static void introduced_fixed_and_last_affected_bound_a_range(void **state)
{
    struct fixture *f = *state;

    put(f, "a.json",
        RECORD("GHSA-1", DAY,
               "\"affected\":[" AFFECTED(
                   "npm", "a",
                   "{\"introduced\":\"1.0.0\"},{\"fixed\":\"1.2.0\"},{\"introduced\":\"2.0.0\"},"
                   "{\"fixed\":\"2.1.0\"}") "]"));
    put(f, "b.json",
        RECORD("GHSA-2", DAY,
               "\"affected\":[" AFFECTED(
                   "npm", "b", "{\"introduced\":\"0\"},{\"last_affected\":\"1.5.0\"}") "]"));
    import_dump(f);
    expect_match(f, "npm", "a", "0.9.9", "");
    expect_match(f, "npm", "a", "1.0.0", "GHSA-1 fixed=1.2.0 unknown");
    expect_match(f, "npm", "a", "1.2.0", "");
    expect_match(f, "npm", "a", "2.0.5", "GHSA-1 fixed=2.1.0 unknown");
    expect_match(f, "npm", "a", "2.1.0", "");
    expect_match(f, "npm", "b", "1.5.0", "GHSA-2 fixed= unknown");
    expect_match(f, "npm", "b", "1.5.1", "");
    expect_match(f, "npm", "c", "1.0.0", "");
    expect_match(f, "PyPI", "a", "1.0.0", "");
}

static void the_order_of_events_in_a_record_does_not_count(void **state)
{
    struct fixture *f = *state;

    put(f, "a.json",
        RECORD("GHSA-1", DAY,
               "\"affected\":[" AFFECTED(
                   "npm", "a",
                   "{\"fixed\":\"2.1.0\"},{\"introduced\":\"2.0.0\"},{\"fixed\":\"1.2.0\"},"
                   "{\"introduced\":\"0\"}") "]"));
    import_dump(f);
    expect_match(f, "npm", "a", "1.1.0", "GHSA-1 fixed=1.2.0 unknown");
    expect_match(f, "npm", "a", "1.3.0", "");
    expect_match(f, "npm", "a", "2.0.0", "GHSA-1 fixed=2.1.0 unknown");
}

static void a_limit_ends_a_range(void **state)
{
    struct fixture *f = *state;

    put(f, "a.json",
        RECORD("GHSA-1", DAY,
               "\"affected\":[" AFFECTED("npm", "a",
                                         "{\"introduced\":\"0\"},{\"limit\":\"2.0.0\"}") "]"));
    import_dump(f);
    expect_match(f, "npm", "a", "1.9.9", "GHSA-1 fixed= unknown");
    expect_match(f, "npm", "a", "2.0.0", "");
}

static void a_list_of_versions_is_exact(void **state)
{
    struct fixture *f = *state;

    put(f, "a.json",
        RECORD("PYSEC-1", DAY,
               "\"affected\":[{\"package\":{\"ecosystem\":\"PyPI\",\"name\":\"My_Pkg\"},"
               "\"versions\":[\"1.0\",\"1.1-odd\"]}]"));
    import_dump(f);
    expect_match(f, "PyPI", "my.pkg", "1.0", "PYSEC-1 fixed= unknown");
    expect_match(f, "PyPI", "my-pkg", "1.1-odd", "PYSEC-1 fixed= unknown");
    expect_match(f, "PyPI", "my-pkg", "1.2", "");
}

static void withdrawn_records_do_not_match(void **state)
{
    struct fixture *f = *state;

    put(f, "a.json",
        RECORD("GHSA-1", DAY,
               "\"withdrawn\":\"" DAY
               "\",\"affected\":[" AFFECTED("npm", "a", "{\"introduced\":\"0\"}") "]"));
    import_dump(f);
    expect_match(f, "npm", "a", "1.0.0", "");
}

static void aliases_make_one_finding_under_the_best_name(void **state)
{
    struct fixture *f = *state;
    CLEANUP(advisory_db) struct advisory_db *db = NULL;
    CLEANUP(advisory_matches) struct advisory_matches matches = ADVISORY_MATCHES_INIT;
    struct advisory_query query = {"npm", "a", "1.0.0"};
    struct error err = ERROR_INIT;

    put(f, "a.json",
        RECORD("x_OTHER-1", DAY,
               "\"aliases\":[\"CVE-2024-1\"],\"affected\":[" AFFECTED(
                   "npm", "a", "{\"introduced\":\"0\"},{\"fixed\":\"1.1.0\"}") "]"));
    put(f, "b.json",
        RECORD(
            "GHSA-9", DAY,
            "\"aliases\":[\"CVE-2024-1\"],\"affected\":[" AFFECTED(
                "npm", "a",
                "{\"introduced\":\"0\"},{\"fixed\":\"1.2.0\"}") "],"
                                                                "\"severity\":[{\"type\":\"CVSS_V3\",\"score\":"
                                                                "\"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H\"}]"));
    import_dump(f);
    /* 1.1.0 does not do: the other record still affects it. */
    expect_match(f, "npm", "a", "1.0.0", "GHSA-9 fixed=1.2.0 critical");
    db = open_db(f);
    assert_int_equal(advisory_match(db, &query, &matches, &err), 0);
    assert_string_equal(matches.items[0].ids[0], "CVE-2024-1");
    assert_string_equal(matches.items[0].ids[1], "GHSA-9");
    assert_string_equal(matches.items[0].ids[2], "x_OTHER-1");
    assert_null(matches.items[0].ids[3]);
    assert_int_equal(matches.items[0].score_tenths, 98);
    assert_string_equal(matches.items[0].severity_from, "GHSA-9");
}

static void debian_matches_the_release_and_reads_the_urgency(void **state)
{
    struct fixture *f = *state;

    put(f, "a.json",
        RECORD("DEBIAN-CVE-2023-1", DAY,
               "\"upstream\":[\"CVE-2023-1\"],\"affected\":["
               "{\"package\":{\"ecosystem\":\"Debian:12\",\"name\":\"tar\"},\"ranges\":[{\"type\":"
               "\"ECOSYSTEM\",\"events\":[{\"introduced\":\"0\"}]}],"
               "\"ecosystem_specific\":{\"urgency\":\"unimportant\"}}]"));
    put(f, "b.json",
        RECORD(
            "DSA-1-1", DAY,
            "\"upstream\":[\"CVE-2023-2\",\"CVE-2023-3\"],\"affected\":[" AFFECTED(
                "Debian:12", "tar",
                "{\"introduced\":\"0\"},{\"fixed\":\"1.34-2~deb12u1\"}") "," AFFECTED("Debian:11",
                                                                                      "tar",
                                                                                      "{\"introduced\":\"0\"},{\"fixed\":\"1.33-1\"}") "]"));
    /* Another database knows how bad one of the CVEs is. */
    put(f, "c.json", RECORD("CVE-2023-3", DAY, "\"database_specific\":{\"cvss_v3\":7.5}"));
    import_dump(f);
    expect_match(f, "Debian:12", "tar", "1.34-1",
                 "DSA-1-1 fixed=1.34-2~deb12u1 high; CVE-2023-1 fixed= negligible");
    expect_match(f, "Debian:12", "tar", "1.34-2", "CVE-2023-1 fixed= negligible");
    expect_match(f, "Debian:11", "tar", "1.33-1", "");
}

static void a_cve_that_a_distributions_advisory_covers_is_told_once(void **state)
{
    struct fixture *f = *state;

    put(f, "a.json",
        RECORD("DSA-1-1", DAY,
               "\"upstream\":[\"CVE-1\",\"CVE-2\"],\"affected\":[" AFFECTED(
                   "Debian:12", "tar", "{\"introduced\":\"0\"},{\"fixed\":\"2\"}") "]"));
    put(f, "b.json",
        RECORD(
            "DEBIAN-CVE-1", DAY,
            "\"upstream\":[\"CVE-1\"],\"affected\":[" AFFECTED(
                "Debian:12", "tar",
                "{\"introduced\":\"0\"},{\"fixed\":\"2\"}") "],"
                                                            "\"database_specific\":{\"cvss_v3\":9.1}"));
    put(f, "c.json",
        RECORD("DEBIAN-CVE-3", DAY,
               "\"upstream\":[\"CVE-3\"],\"affected\":[" AFFECTED("Debian:12", "tar",
                                                                  "{\"introduced\":\"0\"}") "]"));
    import_dump(f);
    expect_match(f, "Debian:12", "tar", "1", "DSA-1-1 fixed=2 critical; CVE-3 fixed= unknown");
    expect_match(f, "Debian:12", "tar", "2", "CVE-3 fixed= unknown");
}

static void the_safe_version_has_no_advisory_at_all(void **state)
{
    struct fixture *f = *state;

    put(f, "a.json",
        RECORD("GHSA-1", DAY,
               "\"affected\":[" AFFECTED("npm", "a",
                                         "{\"introduced\":\"0\"},{\"fixed\":\"1.1.0\"}") "]"));
    put(f, "b.json",
        RECORD("GHSA-2", DAY,
               "\"affected\":[" AFFECTED("npm", "a",
                                         "{\"introduced\":\"1.1.0\"},{\"fixed\":\"1.3.0\"}") "]"));
    put(f, "c.json",
        RECORD("GHSA-3", DAY, "\"affected\":[" AFFECTED("npm", "b", "{\"introduced\":\"0\"}") "]"));
    import_dump(f);
    expect_safe(f, "a", "1.0.0", "1.3.0");
    expect_safe(f, "b", "1.0.0", "");
}

static void the_newer_record_of_an_id_wins(void **state)
{
    struct fixture *f = *state;
    struct advisory_report report;

    put(f, "a.json",
        RECORD("GHSA-1", "2024-05-01T00:00:00Z",
               "\"affected\":[" AFFECTED("npm", "a",
                                         "{\"introduced\":\"0\"},{\"fixed\":\"1.1.0\"}") "]"));
    import_dump(f);
    put(f, "a.json", RECORD("GHSA-1", "2024-04-01T00:00:00Z", "\"affected\":[]"));
    report = import(f, f->dump, 2000);
    assert_int_equal(report.older, 1);
    advisory_report_done(&report);
    expect_match(f, "npm", "a", "1.0.0", "GHSA-1 fixed=1.1.0 unknown");
    put(f, "a.json",
        RECORD("GHSA-1", "2024-06-01T00:00:00Z",
               "\"affected\":[" AFFECTED("npm", "a",
                                         "{\"introduced\":\"0\"},{\"fixed\":\"1.2.0\"}") "]"));
    report = import(f, f->dump, 3000);
    assert_int_equal(report.changed, 1);
    advisory_report_done(&report);
    expect_match(f, "npm", "a", "1.0.0", "GHSA-1 fixed=1.2.0 unknown");
    report = import(f, f->dump, 4000);
    assert_int_equal(report.unchanged, 1);
    advisory_report_done(&report);
}

static void the_same_records_give_the_same_database(void **state)
{
    struct fixture *f = *state;
    struct advisory_status first, second;
    CLEANUP(advisory_db) struct advisory_db *a = NULL;
    CLEANUP(advisory_db) struct advisory_db *b = NULL;
    struct error err = ERROR_INIT;

    put(f, "1.json",
        RECORD("GHSA-1", DAY,
               "\"aliases\":[\"CVE-1\"],\"affected\":[" AFFECTED(
                   "npm", "a", "{\"introduced\":\"0\"},{\"fixed\":\"1.1.0\"}") "]"));
    import_dump(f);
    put(f, "0.json",
        RECORD("CVE-1", DAY,
               "\"affected\":[" AFFECTED("Debian:12", "node-a", "{\"introduced\":\"0\"}") "]"));
    import_dump(f);
    a = open_db(f);
    advisory_db_status(a, &first);
    assert_int_equal(fs_remove(AT_FDCWD, f->db, &err), 0);
    import_dump(f); /* both at once, and in the other order */
    b = open_db(f);
    advisory_db_status(b, &second);
    assert_string_equal(first.version, second.version);
    assert_int_equal(second.records, 2);
    assert_int_equal(second.packages, 2);
    assert_int_equal(second.imported_s, 1000);
    assert_int_equal(advisory_db_verify(b, &err), 0);
}

static void malformed_records_are_named_and_skipped(void **state)
{
    struct fixture *f = *state;
    struct advisory_report report;

    put(f, "good.json",
        RECORD("GHSA-1", "0001-01-01T00:00:00Z",
               "\"affected\":[" AFFECTED("npm", "a", "{\"introduced\":\"0\"}") "]"));
    put(f, "cut.json", "{\"id\":\"GHSA-2\"");
    put(f, "nameless.json", "{\"modified\":\"" DAY "\"}");
    put(f, "undated.json", "{\"id\":\"GHSA-3\"}");
    put(f, "pathless.json", RECORD("GHSA-4", DAY, "\"affected\":[{\"package\":{}}]"));
    report = import(f, f->dump, 1000);
    assert_int_equal(report.read, 5);
    assert_int_equal(report.added, 1);
    assert_int_equal(report.malformed, 4);
    assert_int_equal(report.fault_count, 4);
    assert_string_equal(report.faults[0].name, "cut.json");
    assert_string_equal(report.faults[1].name, "nameless.json");
    assert_non_null(strstr(report.faults[1].text, "\"id\""));
    assert_non_null(strstr(report.faults[2].text, "affected[0]"));
    advisory_report_done(&report);
    expect_match(f, "npm", "a", "1.0.0", "GHSA-1 fixed= unknown");
}

static void write_zip(const char *path, const char *const *members)
{
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();

    assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    for (; members[0]; members += 2) {
        archive_entry_clear(entry);
        archive_entry_set_pathname(entry, members[0]);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_size(entry, (int64_t)strlen(members[1]));
        assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
        assert_int_equal(archive_write_data(a, members[1], strlen(members[1])),
                         (la_ssize_t)strlen(members[1]));
    }
    archive_entry_free(entry);
    assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

static void an_archive_in_the_layout_of_the_dump_is_read(void **state)
{
    struct fixture *f = *state;
    CLEANUP(text) char *folder = str_format("%s/npm", f->dump);
    CLEANUP(text) char *zip = str_format("%s/all.zip", folder);
    struct error err = ERROR_INIT;
    struct advisory_report report;

    assert_int_equal(fs_make_dirs(AT_FDCWD, folder, 0700, &err), 0);
    write_zip(zip, (const char *const[]){
                       "GHSA-1.json",
                       RECORD("GHSA-1", DAY,
                              "\"affected\":[" AFFECTED("npm", "a", "{\"introduced\":\"0\"}") "]"),
                       "README.txt", "not a record", "bad.json", "[]", NULL});
    report = import(f, f->dump, 1000);
    assert_int_equal(report.read, 2);
    assert_int_equal(report.malformed, 1);
    assert_string_equal(report.faults[0].name, "npm/all.zip:bad.json");
    advisory_report_done(&report);
    expect_match(f, "npm", "a", "1.0.0", "GHSA-1 fixed= unknown");
}

static void a_cut_archive_leaves_the_old_database(void **state)
{
    struct fixture *f = *state;
    CLEANUP(text) char *zip = str_format("%s/cut.zip", f->folder);
    struct advisory_report report = ADVISORY_REPORT_INIT;
    struct error err = ERROR_INIT;

    put(f, "a.json",
        RECORD("GHSA-1", DAY, "\"affected\":[" AFFECTED("npm", "a", "{\"introduced\":\"0\"}") "]"));
    import_dump(f);
    assert_int_equal(fs_write_quick(AT_FDCWD, zip, STR("PK\3\4 and no more"), 0600, &err), 0);
    assert_int_equal(advisory_import(f->db, zip, 2000, &report, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    expect_match(f, "npm", "a", "1.0.0", "GHSA-1 fixed= unknown");
}

/* Every byte of the file changed, one at a time: opening refuses, or answers are wrong, but nothing
 * faults. */
static void a_damaged_database_never_faults(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf) struct buf good = BUF_INIT(1 << 20);
    struct error err = ERROR_INIT;
    size_t opened = 0;

    put(f, "a.json",
        RECORD("GHSA-1", DAY,
               "\"aliases\":[\"CVE-1\"],\"affected\":[" AFFECTED(
                   "npm", "a", "{\"introduced\":\"0\"},{\"fixed\":\"2.0.0\"}") "]"));
    import_dump(f);
    assert_int_equal(fs_read_at(AT_FDCWD, f->db, &good, &err), 0);
    for (size_t i = 0; i < good.len; i++) {
        struct advisory_db *db = NULL;
        struct advisory_matches matches = ADVISORY_MATCHES_INIT;
        struct advisory_query query = {"npm", "a", "1.0.0"};
        good.ptr[i] = (char)(good.ptr[i] ^ 0xff);
        assert_int_equal(fs_write_quick(AT_FDCWD, f->db, buf_str(&good), 0600, &err), 0);
        if (advisory_db_open(f->db, &db, &err) == 0) {
            opened++;
            if (advisory_match(db, &query, &matches, &err) < 0)
                assert_int_equal(err.kind, ERR_INVALID);
            if (i >= DB_HEADER_BYTES)
                assert_int_equal(advisory_db_verify(db, &err), -1);
        } else {
            assert_int_equal(err.kind, ERR_INVALID);
        }
        advisory_matches_done(&matches);
        advisory_db_free(db);
        good.ptr[i] = (char)(good.ptr[i] ^ 0xff);
    }
    assert_true(opened > 0);
}

static void a_missing_database_says_so(void **state)
{
    struct fixture *f = *state;
    struct advisory_db *db = NULL;
    struct error err = ERROR_INIT;

    assert_int_equal(advisory_db_open(f->db, &db, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(introduced_fixed_and_last_affected_bound_a_range),
        TEST(the_order_of_events_in_a_record_does_not_count),
        TEST(a_limit_ends_a_range),
        TEST(a_list_of_versions_is_exact),
        TEST(withdrawn_records_do_not_match),
        TEST(aliases_make_one_finding_under_the_best_name),
        TEST(debian_matches_the_release_and_reads_the_urgency),
        TEST(a_cve_that_a_distributions_advisory_covers_is_told_once),
        TEST(the_safe_version_has_no_advisory_at_all),
        TEST(the_newer_record_of_an_id_wins),
        TEST(the_same_records_give_the_same_database),
        TEST(malformed_records_are_named_and_skipped),
        TEST(an_archive_in_the_layout_of_the_dump_is_read),
        TEST(a_cut_archive_leaves_the_old_database),
        TEST(a_damaged_database_never_faults),
        TEST(a_missing_database_says_so),
    };

    return cmocka_run_group_tests_name("advisories", tests, NULL, NULL);
}
