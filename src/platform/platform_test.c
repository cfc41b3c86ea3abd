/* platform/platform_test.c - golden folders (testdata/CASE/… → want.txt), the gradient, ways,
 * bindings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../tests/golden.h"
#include "platform/platform.h"

#define OK(call) check_ok((call), &err, #call)
static void check_ok(int result, const struct error *err, const char *what)
{
    if (result < 0)
        fail_msg("%s: %s", what, err->text);
}

/* The folder's own path, which differs on every machine, as DIR. */
static void add_without_path(struct buf *out, const char *text, const char *dir)
{
    const char *at;

    while ((at = strstr(text, dir))) {
        buf_add(out, text, (size_t)(at - text));
        buf_add_text(out, "DIR");
        text = at + strlen(dir);
    }
    buf_add_text(out, text);
}

static void every_case_reads_as_wanted(void **state)
{
    CLEANUP(text) char *folder = golden_folder("src/platform/testdata");
    CLEANUP(strv) struct strv cases = STRV_INIT;
    struct error err = ERROR_INIT;

    OK(fs_list(AT_FDCWD, folder, &cases, &err));
    assert_true(cases.count >= 8);
    for (size_t i = 0; i < cases.count; i++) {
        CLEANUP(buf) struct buf out = BUF_INIT(1 << 20), said = BUF_INIT(1 << 20);
        CLEANUP(platform) struct platform *p = NULL;
        CLEANUP(json) json_t *whole = NULL;
        CLEANUP(text) char *dir = str_format("%s/%s", folder, cases.items[i]);
        error_clear(&err);
        if (platform_read(dir, &p, &err) == 0) {
            OK(platform_describe(p, &whole, &err));
            (void)json_object_del(whole,
                                  "digest"); /* want.txt lies in the folder's parent's listing */
            OK(json_write_pretty(whole, &said, &err));
        } else {
            char text[8192];
            error_format(&err, text, sizeof(text));
            buf_addf(&said, "%s\n%s\n", error_kind_name(err.kind), text);
        }
        CLEANUP(text) char *path = realpath(dir, NULL); /* as platform_read() says it */
        assert_non_null(path);
        add_without_path(&out, buf_text(&said), path);
        golden_compare(folder, cases.items[i], "want.txt", buf_str(&out));
    }
}

static struct platform *read_example(void)
{
    CLEANUP(text) char *dir = golden_folder("examples/platform");
    struct platform *p = NULL;
    struct error err = ERROR_INIT;

    OK(platform_read(dir, &p, &err));
    return p;
}

static void level_holds_to_the_right_until_it_is_raised(void **state)
{
    CLEANUP(platform) struct platform *p = read_example();

    assert_int_equal(platform_check_level(p, "dev", "signature"), LEVEL_OFF);
    assert_int_equal(platform_check_level(p, "build", "signature"), LEVEL_OFF);
    assert_int_equal(platform_check_level(p, "staging", "signature"), LEVEL_REFUSE);
    assert_int_equal(platform_check_level(p, "production", "signature"), LEVEL_REFUSE);
    assert_int_equal(platform_check_level(p, "dev", "vulnerability-high"), LEVEL_NOTE);
    assert_int_equal(platform_check_level(p, "build", "vulnerability-high"), LEVEL_REFUSE);
    assert_int_equal(platform_check_level(p, "production", "vulnerability-low"), LEVEL_NOTE);
    assert_int_equal(platform_check_level(p, "production", "nonsense"), LEVEL_OFF);
    assert_int_equal(platform_check_level(p, "nowhere", "signature"), LEVEL_OFF);
}

static void example_has_the_ways_of_the_road_and_no_other(void **state)
{
    CLEANUP(platform) struct platform *p = read_example();
    CLEANUP(platform_ways) struct platform_ways ways = {0};
    struct error err = ERROR_INIT;

    OK(platform_ways(p, &ways, &err));
    assert_int_equal(ways.count, 4);
    assert_string_equal(ways.items[0].from, "staging");
    assert_string_equal(ways.items[0].to, "100.64.2.2");
    assert_int_equal(ways.items[0].port, 5000);
    assert_false(ways.items[0].from_pods);
    assert_string_equal(ways.items[1].from, "production");
    assert_string_equal(ways.items[1].to, "100.64.3.2");
    assert_string_equal(ways.items[2].from, "staging");
    assert_string_equal(ways.items[2].to, "100.64.201.2");
    assert_int_equal(ways.items[2].port, 5432);
    assert_true(ways.items[2].from_pods);
}

static void claim_finds_a_service_by_name_or_by_class(void **state)
{
    CLEANUP(platform) struct platform *p = read_example();

    assert_string_equal(platform_find_service(p, "staging", "guestbook-db")->database,
                        "guestbook_staging");
    assert_string_equal(platform_find_service(p, "production", "postgresql")->database,
                        "guestbook_production");
    assert_null(platform_find_service(p, "dev", "postgresql"));
    assert_null(platform_find_service(p, "staging", "mysql"));
    assert_true(platform_has_service(p, "postgresql"));
    assert_false(platform_has_service(p, "mysql"));
}

static void binding_has_the_entries_of_servicebinding_io(void **state)
{
    CLEANUP(platform) struct platform *p = read_example();
    CLEANUP(json) json_t *entries = NULL;
    CLEANUP(buf) struct buf out = BUF_INIT(10000);
    CLEANUP(text) char *dir = NULL;
    struct error err = ERROR_INIT;
    const struct platform_service *s = platform_find_service(p, "staging", "postgresql");

    OK(fs_make_temp_dir("/tmp/monban-platform-", &dir, &err));
    CLEANUP(text) char *path = str_format("%s/guestbook-db.password", dir);
    assert_int_equal(platform_service_binding(s, dir, &entries, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_non_null(
        strstr(err.text, "the password of service 'guestbook-db' in cluster 'staging'"));
    OK(fs_write_quick(AT_FDCWD, path, STR("p@ss/w\n"), 0600, &err));
    OK(platform_service_binding(s, dir, &entries, &err));
    OK(json_write(entries, true, &out, &err));
    assert_string_equal(buf_text(&out),
                        "{\"database\":\"guestbook_staging\",\"host\":\"100.64.201.2\","
                        "\"password\":\"p@ss/w\",\"port\":\"5432\",\"provider\":\"rds\","
                        "\"type\":\"postgresql\",\"uri\":\"postgresql://guestbook_staging:"
                        "p%40ss%2Fw@100.64.201.2:5432/guestbook_staging\","
                        "\"username\":\"guestbook_staging\"}");
    OK(fs_remove_tree(AT_FDCWD, dir, &err));
}

static void conventions_merge_by_cluster_and_type(void **state)
{
    CLEANUP(platform) struct platform *p = read_example();
    CLEANUP(json) json_t *staging = NULL, *web = NULL, *worker = NULL;
    struct error err = ERROR_INIT;

    OK(platform_convention(p, "staging", "web", &staging, &err));
    OK(platform_convention(p, "production", "web", &web, &err));
    OK(platform_convention(p, "production", "worker", &worker, &err));
    assert_null(json_object_get(staging, "replicas"));
    assert_int_equal(json_int_at(web, "replicas", 0), 2);
    assert_string_equal(json_str_at(web, "resources.limits.memory"), "256Mi");
    assert_int_equal(json_int_at(web, "terminationGracePeriodSeconds", 0), 20);
    assert_null(json_object_get(worker, "replicas"));
}

static void agents_are_in_their_clusters_only(void **state)
{
    CLEANUP(platform) struct platform *p = read_example();
    size_t count;
    const struct platform_agent *agents = platform_agents(p, &count);

    assert_int_equal(count, 1);
    assert_true(platform_agent_is_in(&agents[0], "production"));
    assert_false(platform_agent_is_in(&agents[0], "dev"));
    assert_string_equal(agents[0].image_from, "workload");
}

static void diff_shows_where_governance_rises(void **state)
{
    CLEANUP(platform) struct platform *p = read_example();
    CLEANUP(json) json_t *list = NULL;
    CLEANUP(buf) struct buf out = BUF_INIT(100000);
    CLEANUP(text) char *folder = golden_folder("src/platform");
    struct error err = ERROR_INIT;

    OK(platform_diff(p, "staging", "production", &list, &err));
    OK(json_write_pretty(list, &out, &err));
    golden_compare(folder, "diff", "want.json", buf_str(&out));
    json_decref(list);
    list = NULL;
    assert_int_equal(platform_diff(p, "staging", "nowhere", &list, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void new_folder_is_a_platform(void **state)
{
    CLEANUP(text) char *dir = NULL;
    CLEANUP(platform) struct platform *p = NULL;
    struct error err = ERROR_INIT;
    size_t count;

    OK(fs_make_temp_dir("/tmp/monban-platform-", &dir, &err));
    OK(platform_init(dir, "acme", &err));
    OK(platform_read(dir, &p, &err));
    assert_string_equal(platform_name(p), "acme");
    (void)platform_clusters(p, &count);
    assert_int_equal(count, 4);
    assert_string_equal(platform_gate(p)->name, "build");
    assert_int_equal(platform_cluster(p, "production")->soak_ms, 600000);
    assert_non_null(platform_stack(p, platform_default_stack(p)));
    assert_int_equal(platform_init(dir, "acme", &err), -1);
    assert_int_equal(err.kind, ERR_CONFLICT);
    OK(fs_remove_tree(AT_FDCWD, dir, &err));
}

static void folder_without_platform_yaml_is_not_found(void **state)
{
    CLEANUP(platform) struct platform *p = NULL;
    struct error err = ERROR_INIT;

    assert_int_equal(platform_read("/usr", &p, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "monban platform init"));
}

static void digest_changes_with_any_file(void **state)
{
    CLEANUP(text) char *dir = NULL;
    CLEANUP(platform) struct platform *a = NULL, *b = NULL;
    struct error err = ERROR_INIT;

    OK(fs_make_temp_dir("/tmp/monban-platform-", &dir, &err));
    CLEANUP(text) char *path = str_format("%s/waivers/more.yaml", dir);
    OK(platform_init(dir, "acme", &err));
    OK(platform_read(dir, &a, &err));
    OK(fs_write_quick(AT_FDCWD, path, STR("# nothing\n"), 0644, &err));
    OK(platform_read(dir, &b, &err));
    assert_false(digest_equal(platform_digest(a), platform_digest(b)));
    OK(fs_remove_tree(AT_FDCWD, dir, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_reads_as_wanted),
        cmocka_unit_test(level_holds_to_the_right_until_it_is_raised),
        cmocka_unit_test(example_has_the_ways_of_the_road_and_no_other),
        cmocka_unit_test(claim_finds_a_service_by_name_or_by_class),
        cmocka_unit_test(binding_has_the_entries_of_servicebinding_io),
        cmocka_unit_test(conventions_merge_by_cluster_and_type),
        cmocka_unit_test(agents_are_in_their_clusters_only),
        cmocka_unit_test(diff_shows_where_governance_rises),
        cmocka_unit_test(new_folder_is_a_platform),
        cmocka_unit_test(folder_without_platform_yaml_is_not_found),
        cmocka_unit_test(digest_changes_with_any_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
