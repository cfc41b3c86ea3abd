/* cluster/api/patch_test.c - JSON Patch, Merge Patch, strategic merge, selectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>

#include "cluster/api/patch.h"
#include "cluster/api/selector.h"
#include "cluster/api/strategic.h"

static json_t *parse(const char *text)
{
    json_error_t fault;
    json_t *root = json_loads(text, JSON_DECODE_ANY, &fault);
    if (!root)
        fail_msg("%s: %s", fault.text, text);
    return root;
}

static void assert_json(const json_t *got, const char *want)
{
    CLEANUP(json) json_t *wanted = parse(want);
    if (!json_equal(got, wanted)) {
        CLEANUP(text) char *text = json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY);
        fail_msg("got  %s\nwant %s", text, want);
    }
}

/* --- RFC 6902: the public cases, where they are --- */

static void run_case(const json_t *test, const char *file, size_t index)
{
    const json_t *patch = json_object_get(test, "patch");
    const json_t *expected = json_object_get(test, "expected");
    const char *fault = json_string_value(json_object_get(test, "error"));
    const char *comment = json_string_value(json_object_get(test, "comment"));
    CLEANUP(json) json_t *result = NULL;
    struct error err = ERROR_INIT;

    if (!patch || json_is_true(json_object_get(test, "disabled")))
        return;
    int rc = patch_json(json_object_get(test, "doc"), patch, &result, &err);
    if (fault && rc == 0)
        fail_msg("%s[%zu] %s: passed, should fail: %s", file, index, comment, fault);
    if (!fault && rc < 0)
        fail_msg("%s[%zu] %s: %s", file, index, comment, err.text);
    if (expected && rc == 0 && !json_equal(result, expected))
        fail_msg("%s[%zu] %s: another result", file, index, comment);
}

static void public_cases_of_rfc_6902_pass(void **state)
{
    static const char *const files[] = {"tests.json", "spec_tests.json"};
    const char *data = getenv("MONBAN_TEST_DATA");
    size_t count = 0;

    if (!data) {
        puts("skipped: MONBAN_TEST_DATA is not set");
        skip();
    }
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        CLEANUP(text) char *path = str_format("%s/fixtures/json-patch-tests/%s", data, files[i]);
        json_error_t fault;
        /* Some cases mean duplicate keys: the strict parser would refuse the file. */
        CLEANUP(json) json_t *cases = json_load_file(path, 0, &fault);
        if (!cases)
            fail_msg("%s: %s", path, fault.text);
        for (size_t j = 0; j < json_array_size(cases); j++, count++)
            run_case(json_array_get(cases, j), files[i], j);
    }
    assert_true(count > 100);
}

static void failed_operation_changes_nothing_and_is_named(void **state)
{
    CLEANUP(json) json_t *doc = parse("{\"a\":1}");
    CLEANUP(json)
    json_t *patch = parse("[{\"op\":\"add\",\"path\":\"/b\",\"value\":2},"
                          "{\"op\":\"test\",\"path\":\"/a\",\"value\":9}]");
    CLEANUP(json) json_t *result = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(patch_json(doc, patch, &result, &err), -1);
    assert_int_equal(err.kind, ERR_CONFLICT);
    assert_string_equal(err.text, "testing value /a failed");
    assert_json(doc, "{\"a\":1}");
}

/* RFC 7386, appendix A */
static void merge_patch_follows_the_table_of_rfc_7386(void **state)
{
    static const char *const cases[][3] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(json) json_t *target = parse(cases[i][0]);
        CLEANUP(json) json_t *patch = parse(cases[i][1]);
        CLEANUP(json) json_t *result = patch_merge(target, patch);
        assert_json(result, cases[i][2]);
        assert_json(target, cases[i][0]);
    }
}

/* --- strategic merge --- */

static void merged(const char *kind, const char *target, const char *patch, const char *want)
{
    CLEANUP(schema) struct schema *schema = NULL;
    CLEANUP(json) json_t *old = parse(target);
    CLEANUP(json) json_t *change = parse(patch);
    CLEANUP(json) json_t *result = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(schema_new(&schema, &err), 0);
    if (strategic_merge(schema_find(schema, kind), old, change, &result, &err) < 0)
        fail_msg("%s", err.text);
    assert_json(result, want);
    assert_json(old, target);
}

static void lists_of_objects_merge_by_their_key(void **state)
{
    merged("PodSpec", "{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\"}]}",
           "{\"containers\":[{\"name\":\"a\",\"image\":\"2\"},{\"name\":\"c\"}]}",
           "{\"containers\":[{\"name\":\"a\",\"image\":\"2\"},{\"name\":\"b\"},{\"name\":\"c\"}]}");
    merged("Container", "{\"ports\":[{\"containerPort\":80,\"protocol\":\"TCP\"}]}",
           "{\"ports\":[{\"containerPort\":80,\"name\":\"web\"}]}",
           "{\"ports\":[{\"containerPort\":80,\"protocol\":\"TCP\",\"name\":\"web\"}]}");
}

static void other_lists_are_replaced(void **state)
{
    merged("Container", "{\"args\":[\"a\",\"b\"]}", "{\"args\":[\"c\"]}", "{\"args\":[\"c\"]}");
    merged("PodSpec", "{\"tolerations\":[{\"key\":\"a\"}]}", "{\"tolerations\":[{\"key\":\"b\"}]}",
           "{\"tolerations\":[{\"key\":\"b\"}]}");
}

static void directives_delete_replace_and_retain(void **state)
{
    merged("PodSpec", "{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
           "{\"containers\":[{\"name\":\"a\",\"$patch\":\"delete\"}]}",
           "{\"containers\":[{\"name\":\"b\"}]}");
    merged("PodSpec", "{\"containers\":[{\"name\":\"a\",\"image\":\"1\"}]}",
           "{\"containers\":[{\"name\":\"b\"},{\"$patch\":\"replace\"}]}",
           "{\"containers\":[{\"name\":\"b\"}]}");
    merged("PodSpec", "{\"securityContext\":{\"runAsUser\":1,\"fsGroup\":2}}",
           "{\"securityContext\":{\"$patch\":\"replace\",\"runAsUser\":3}}",
           "{\"securityContext\":{\"runAsUser\":3}}");
    merged("DeploymentSpec",
           "{\"strategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxSurge\":1}}}",
           "{\"strategy\":{\"$retainKeys\":[\"type\"],\"type\":\"Recreate\"}}",
           "{\"strategy\":{\"type\":\"Recreate\"}}");
    merged("ObjectMeta", "{\"finalizers\":[\"a\",\"b\"],\"labels\":{\"x\":\"1\"}}",
           "{\"$deleteFromPrimitiveList/finalizers\":[\"a\"],\"finalizers\":[\"c\"],"
           "\"labels\":{\"x\":null}}",
           "{\"finalizers\":[\"b\",\"c\"],\"labels\":{}}");
}

static void element_order_is_kept_and_strangers_follow_their_neighbour(void **state)
{
    merged(
        "PodSpec", "{\"containers\":[{\"name\":\"a\"},{\"name\":\"x\"},{\"name\":\"b\"}]}",
        "{\"$setElementOrder/containers\":[{\"name\":\"b\"},{\"name\":\"n\"},{\"name\":\"a\"}],"
        "\"containers\":[{\"name\":\"n\"}]}",
        "{\"containers\":[{\"name\":\"b\"},{\"name\":\"n\"},{\"name\":\"a\"},{\"name\":\"x\"}]}");
}

static void list_item_without_its_key_is_refused(void **state)
{
    CLEANUP(schema) struct schema *schema = NULL;
    CLEANUP(json) json_t *old = parse("{}");
    CLEANUP(json) json_t *change = parse("{\"containers\":[{\"image\":\"x\"}]}");
    CLEANUP(json) json_t *result = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(schema_new(&schema, &err), 0);
    assert_int_equal(strategic_merge(schema_find(schema, "PodSpec"), old, change, &result, &err),
                     -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_string_equal(err.text, "map: Container does not contain declared merge key: name");
}

/* --- selectors --- */

static bool labels_match(const char *selector, const char *labels)
{
    CLEANUP(selector) struct selector parsed = SELECTOR_INIT;
    CLEANUP(json) json_t *map = parse(labels);
    struct error err = ERROR_INIT;
    if (selector_parse_labels(str_of(selector), &parsed, &err) < 0)
        fail_msg("%s", err.text);
    return selector_matches_labels(&parsed, map);
}

static void label_selectors_mean_what_kubernetes_says(void **state)
{
    const char *labels = "{\"app\":\"web\",\"tier\":\"front\",\"n\":\"7\",\"empty\":\"\"}";
    assert_true(labels_match("", labels));
    assert_true(labels_match("app=web,tier==front", labels));
    assert_true(labels_match("app!=db, missing!=x", labels));
    assert_false(labels_match("app!=web", labels));
    assert_true(labels_match("app in (db, web),tier notin (back)", labels));
    assert_true(labels_match("missing notin (a)", labels));
    assert_false(labels_match("missing in (a)", labels));
    assert_true(labels_match("app,!missing", labels));
    assert_false(labels_match("!app", labels));
    assert_true(labels_match("n>5,n<8", labels));
    assert_false(labels_match("n>7", labels));
    assert_true(labels_match("empty=", labels));
    assert_true(labels_match("empty in (,x)", labels));
}

static void malformed_selectors_are_refused(void **state)
{
    static const char *const bad[] = {"=a", "a=b,", "a in",  "a in (b", "a b", "a>x",
                                      "!",  ",",    "a=b=c", "-a",      "a=-"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(selector) struct selector parsed = SELECTOR_INIT;
        struct error err = ERROR_INIT;
        if (selector_parse_labels(str_of(bad[i]), &parsed, &err) == 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(err.kind, ERR_INVALID);
    }
}

static void field_selectors_compare_paths_and_know_escapes(void **state)
{
    CLEANUP(json)
    json_t *pod = parse("{\"metadata\":{\"name\":\"a,b\"},\"spec\":{\"hostNetwork\":true}}");
    CLEANUP(selector) struct selector same = SELECTOR_INIT, other = SELECTOR_INIT;
    struct error err = ERROR_INIT;
    assert_int_equal(selector_parse_fields(STR("metadata.name=a\\,b,spec.hostNetwork==true,"
                                               "status.phase!=Failed"),
                                           &same, &err),
                     0);
    assert_int_equal(same.count, 3);
    assert_true(selector_matches_fields(&same, pod));
    assert_int_equal(selector_parse_fields(STR("spec.nodeName="), &other, &err), 0);
    assert_true(selector_matches_fields(&other, pod));
    CLEANUP(selector) struct selector bad = SELECTOR_INIT;
    assert_int_equal(selector_parse_fields(STR("name"), &bad, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_cases_of_rfc_6902_pass),
        cmocka_unit_test(failed_operation_changes_nothing_and_is_named),
        cmocka_unit_test(merge_patch_follows_the_table_of_rfc_7386),
        cmocka_unit_test(lists_of_objects_merge_by_their_key),
        cmocka_unit_test(other_lists_are_replaced),
        cmocka_unit_test(directives_delete_replace_and_retain),
        cmocka_unit_test(element_order_is_kept_and_strangers_follow_their_neighbour),
        cmocka_unit_test(list_item_without_its_key_is_refused),
        cmocka_unit_test(label_selectors_mean_what_kubernetes_says),
        cmocka_unit_test(malformed_selectors_are_refused),
        cmocka_unit_test(field_selectors_compare_paths_and_know_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
