/* verdict/verdict_test.c - findings, remedies, levels, waivers, documents and reports, on one small
 * inventory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../tests/golden.h"
#include "base/clock.h"
#include "verdict/verdict.h"

enum { NOW_S = 1767225600 }; /* 2026-01-01T00:00:00Z */

struct fixture {
    char *folder; /* owned */
    struct advisory_db *db;
    struct inventory *inventory;
    struct findings *findings;
    json_t *bom;
};

/* Records and inventory of testdata/CASE: in.bom.json, in.advisories/. */
static struct fixture *load(const char *name, int64_t imported_s)
{
    CLEANUP(text) char *testdata = golden_folder("src/verdict/testdata");
    CLEANUP(text) char *advisories = str_format("%s/%s/in.advisories", testdata, name);
    CLEANUP(text) char *bom = str_format("%s/%s/in.bom.json", testdata, name);
    CLEANUP(text) char *db = NULL;
    CLEANUP(advisory_report) struct advisory_report report = ADVISORY_REPORT_INIT;
    struct fixture *f = calloc(1, sizeof *f);
    struct error err = ERROR_INIT;

    assert_non_null(f);
    assert_int_equal(fs_make_temp_dir("/tmp/verdict-test-", &f->folder, &err), 0);
    db = str_format("%s/advisories.db", f->folder);
    if (advisory_import(db, advisories, imported_s, &report, &err) < 0 ||
        advisory_db_open(db, &f->db, &err) < 0 ||
        json_read_file(AT_FDCWD, bom, &f->bom, &err) < 0 ||
        inventory_of_cyclonedx(f->bom, &f->inventory, &err) < 0 ||
        findings_of(f->inventory, f->db, &f->findings, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(report.malformed, 0);
    return f;
}

static int set_up(void **state)
{
    *state = load("shop", NOW_S - 3600);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;

    findings_free(f->findings);
    inventory_free(f->inventory);
    advisory_db_free(f->db);
    json_decref(f->bom);
    assert_int_equal(fs_remove_tree(AT_FDCWD, f->folder, &err), 0);
    free(f->folder);
    free(f);
    return 0;
}

static const struct finding *find(const struct fixture *f, const char *package)
{
    const struct finding *items;
    size_t count;

    items = findings_items(f->findings, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i].package->name, package) == 0)
            return &items[i];
    }
    fail_msg("no finding for '%s'", package);
    return NULL;
}

static const struct check_rule gate_rules[] = {
    {"vulnerability-critical", CHECK_REFUSE}, {"vulnerability-high", CHECK_REFUSE},
    {"vulnerability-medium", CHECK_WARN},     {"vulnerability-low", CHECK_NOTE},
    {"advisory-age-24h", CHECK_HOLD},         {"runs-as-two", CHECK_REFUSE},
};

static struct verdict_input input_of(const struct fixture *f)
{
    return (struct verdict_input){
        .findings = f->findings,
        .rules = gate_rules,
        .rule_count = ARRAY_LEN(gate_rules),
        .db = f->db,
        .now_s = NOW_S,
        .cluster = "build",
        .is_developer_gate = true,
    };
}

static struct verdict *judge(const struct verdict_input *input)
{
    struct verdict *verdict = NULL;
    struct error err = ERROR_INIT;

    if (verdict_judge(input, &verdict, &err) < 0)
        fail_msg("%s", err.text);
    return verdict;
}

static void a_direct_dependency_is_installed_at_the_fixed_version(void **state)
{
    const struct finding *f = find(*state, "minimist");

    assert_string_equal(f->advisory, "GHSA-xvch-5gv4-984h");
    assert_string_equal(f->fixed, "1.2.6");
    assert_int_equal(f->severity, SEVERITY_CRITICAL);
    assert_int_equal(f->remedy, REMEDY_BUMP);
    assert_string_equal(f->command, "npm install minimist@1.2.6");
}

static void a_transitive_one_is_updated_if_all_accept_that(void **state)
{
    const struct finding *f = find(*state, "cookie");

    assert_string_equal(f->command, "npm update cookie");
    assert_non_null(strstr(f->advice, "express 4.21.0 → cookie 0.6.0"));
}

static void a_transitive_one_is_overridden_if_somebody_pins_it(void **state)
{
    const struct finding *f = find(*state, "qs");

    assert_string_equal(f->command, "npm pkg set 'overrides[qs]=6.7.3' && npm update qs");
}

static void what_has_no_fix_is_removed(void **state)
{
    const struct finding *f = find(*state, "abandoned");

    assert_int_equal(f->remedy, REMEDY_REMOVE);
    assert_string_equal(f->command, "npm uninstall abandoned");
}

static void binaries_of_one_source_are_one_finding_of_the_platform(void **state)
{
    const struct finding *f = find(*state, "libssl3");

    assert_string_equal(f->package->source_name, "openssl");
    assert_string_equal(f->others[0]->name, "openssl");
    assert_null(f->others[1]);
    assert_int_equal(f->remedy, REMEDY_REBASE);
    assert_int_equal(f->package->owner, OWNER_BASE);
    assert_string_equal(f->upstream[0], "CVE-2026-1");
}

static void the_gate_refuses_only_what_the_developer_can_fix(void **state)
{
    struct verdict_input input = input_of(*state);
    CLEANUP(verdict) struct verdict *verdict = judge(&input);
    const struct failure *failures;
    size_t count, refused = 0;

    assert_int_equal(verdict_level(verdict), CHECK_REFUSE);
    failures = verdict_failures(verdict, &count);
    for (size_t i = 0; i < count; i++) {
        refused += failures[i].level == CHECK_REFUSE;
        if (failures[i].level >= CHECK_HOLD)
            assert_true(owner_is_developer(failures[i].owner));
        if (strcmp(failures[i].finding ? failures[i].finding->package->name : "", "libssl3") == 0)
            assert_int_equal(failures[i].level, CHECK_WARN);
    }
    assert_int_equal(refused, 3);
}

static void an_outer_cluster_refuses_holes_of_the_base_too(void **state)
{
    struct verdict_input input = input_of(*state);
    CLEANUP(verdict) struct verdict *verdict = NULL;
    const struct failure *failures;
    bool has_base = false;
    size_t count;

    input.is_developer_gate = false;
    verdict = judge(&input);
    failures = verdict_failures(verdict, &count);
    for (size_t i = 0; i < count; i++)
        has_base |= failures[i].level == CHECK_REFUSE && failures[i].owner == OWNER_BASE;
    assert_true(has_base);
}

static const struct failure *failure_of(const struct verdict *verdict, const char *word)
{
    const struct failure *failures;
    size_t count;

    failures = verdict_failures(verdict, &count);
    for (size_t i = 0; i < count; i++) {
        if (strstr(failures[i].evidence, word) || strcmp(failures[i].rule, word) == 0)
            return &failures[i];
    }
    return NULL;
}

static void a_waiver_holds_through_its_last_day(void **state)
{
    struct verdict_input input = input_of(*state);
    const struct waiver waivers[] = {
        {"CVE-2021-44906", "minimist", "security", "not reachable", "2026-01-01"},
        {"GHSA-hrpp-h998-j3pp", "pkg:npm/qs", "security", "until the next release", "2025-12-31"},
        {"GHSA-hrpp-h998-j3pp", "pkg:npm/other", "security", "another package", "2030-12-31"},
    };
    CLEANUP(verdict) struct verdict *verdict = NULL;
    const struct failure *held, *ended;

    input.waivers = waivers;
    input.waiver_count = ARRAY_LEN(waivers);
    verdict = judge(&input);
    held = failure_of(verdict, "minimist 1.2.5");
    assert_int_equal(held->level, CHECK_NOTE);
    assert_string_equal(held->waived, "waived by security until 2026-01-01: not reachable");
    ended = failure_of(verdict, "qs 6.7.0");
    assert_int_equal(ended->level, CHECK_REFUSE);
    assert_non_null(strstr(ended->evidence, "the waiver of security ended on 2025-12-31"));
}

static void an_old_database_is_held_against_the_platform(void **state)
{
    struct verdict_input input = input_of(*state);
    CLEANUP(verdict) struct verdict *fresh = judge(&input);
    CLEANUP(verdict) struct verdict *old = NULL;
    const struct failure *f;

    assert_null(failure_of(fresh, "advisory-age-24h"));
    input.now_s += 2 * 86400;
    input.is_developer_gate = false;
    old = judge(&input);
    f = failure_of(old, "advisory-age-24h");
    assert_non_null(f);
    assert_int_equal(f->level, CHECK_HOLD);
    assert_string_equal(f->command, "monban db update");
}

static void facts_count_where_a_rule_names_them(void **state)
{
    struct verdict_input input = input_of(*state);
    const struct check_fact facts[] = {
        {"runs-as-two", false, "one replica", OWNER_APP, "set it to 2"},
        {"signature", false, "no rule names me", OWNER_PLATFORM, ""},
        {"vulnerability-low", true, "holds", OWNER_APP, ""},
    };
    CLEANUP(verdict) struct verdict *verdict = NULL;

    input.facts = facts;
    input.fact_count = ARRAY_LEN(facts);
    verdict = judge(&input);
    assert_int_equal(failure_of(verdict, "runs-as-two")->level, CHECK_REFUSE);
    assert_null(failure_of(verdict, "signature"));
}

static void without_rules_nothing_fails(void **state)
{
    struct verdict_input input = input_of(*state);
    CLEANUP(verdict) struct verdict *verdict = NULL;
    size_t count;

    input.rule_count = 0;
    verdict = judge(&input);
    (void)verdict_failures(verdict, &count);
    assert_int_equal(count, 0);
    assert_int_equal(verdict_level(verdict), CHECK_OFF);
}

static void compare_json(const char *file, const json_t *root)
{
    CLEANUP(text) char *testdata = golden_folder("src/verdict/testdata");
    CLEANUP(buf) struct buf text = BUF_INIT(1 << 20);
    struct error err = ERROR_INIT;

    assert_int_equal(json_write_pretty(root, &text, &err), 0);
    golden_compare(testdata, "shop", file, buf_str(&text));
}

static void documents_are_as_they_were(void **state)
{
    struct fixture *f = *state;
    struct verdict_input input = input_of(f);
    CLEANUP(verdict) struct verdict *verdict = judge(&input);
    CLEANUP(json) json_t *findings = NULL;
    CLEANUP(json) json_t *judged = NULL;
    struct error err = ERROR_INIT;

    assert_int_equal(findings_to_json(f->inventory, f->db, f->findings, &findings, &err), 0);
    assert_int_equal(verdict_to_json(verdict, &judged, &err), 0);
    compare_json("want.findings.json", findings);
    compare_json("want.verdict.json", judged);
}

static void reports_are_as_they_were(void **state)
{
    struct fixture *f = *state;
    struct verdict_input input = input_of(f);
    CLEANUP(verdict) struct verdict *verdict = judge(&input);
    CLEANUP(text) char *testdata = golden_folder("src/verdict/testdata");
    CLEANUP(buf) struct buf plain = BUF_INIT(1 << 20);
    CLEANUP(buf) struct buf colored = BUF_INIT(1 << 20);

    verdict_report(f->findings, verdict, false, &plain);
    assert_null(memchr(plain.ptr, '\x1b', plain.len));
    golden_compare(testdata, "shop", "want.report.txt", buf_str(&plain));
    verdict_report(f->findings, verdict, true, &colored);
    assert_non_null(memchr(colored.ptr, '\x1b', colored.len));
}

static void a_recheck_gives_what_the_scan_gave(void **state)
{
    struct fixture *f = *state;
    CLEANUP(json) json_t *first = NULL;
    CLEANUP(json) json_t *again = NULL;
    struct error err = ERROR_INIT;

    assert_int_equal(findings_to_json(f->inventory, f->db, f->findings, &first, &err), 0);
    assert_int_equal(verdict_recheck(f->bom, f->db, &again, &err), 0);
    assert_true(json_equal(first, again));
}

static void levels_have_names(void **state)
{
    enum check_level level;

    (void)state;
    assert_true(check_level_parse(STR("hold"), &level));
    assert_int_equal(level, CHECK_HOLD);
    assert_false(check_level_parse(STR("stop"), &level));
    assert_string_equal(check_level_name(CHECK_REFUSE), "refuse");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_direct_dependency_is_installed_at_the_fixed_version),
        TEST(a_transitive_one_is_updated_if_all_accept_that),
        TEST(a_transitive_one_is_overridden_if_somebody_pins_it),
        TEST(what_has_no_fix_is_removed),
        TEST(binaries_of_one_source_are_one_finding_of_the_platform),
        TEST(the_gate_refuses_only_what_the_developer_can_fix),
        TEST(an_outer_cluster_refuses_holes_of_the_base_too),
        TEST(a_waiver_holds_through_its_last_day),
        TEST(an_old_database_is_held_against_the_platform),
        TEST(facts_count_where_a_rule_names_them),
        TEST(without_rules_nothing_fails),
        TEST(documents_are_as_they_were),
        TEST(reports_are_as_they_were),
        TEST(a_recheck_gives_what_the_scan_gave),
        cmocka_unit_test(levels_have_names),
    };

    return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
