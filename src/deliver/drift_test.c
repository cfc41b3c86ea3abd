/* Tests of deliver/drift.c: what is drift, and what is only the API server's completion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deliver/drift.h"

static json_t *parse(const char *text)
{
    struct error err = ERROR_INIT;
    json_t *root = NULL;

    assert_int_equal(json_parse("test", str_of(text), &root, &err), 0);
    return root;
}

struct pair {
    const char *applied, *live, *why; /* why NULL: no drift */
};

static void defaults_are_no_drift_and_changes_are(void **state)
{
    static const struct pair pairs[] = {
        {"{\"spec\":{\"replicas\":2}}", "{\"spec\":{\"replicas\":2,\"paused\":false}}", NULL},
        {"{\"spec\":{\"replicas\":2}}", "{\"spec\":{\"replicas\":3}}",
         "spec.replicas is 3, applied was 2"},
        {"{\"spec\":{\"replicas\":2}}", "{\"spec\":{}}", "spec.replicas is absent, applied was 2"},
        /* labels and annotations count, the rest of metadata does not */
        {"{\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"1\"}}}",
         "{\"metadata\":{\"name\":\"a\",\"uid\":\"7\",\"labels\":{\"x\":\"1\",\"y\":\"2\"}}}",
         NULL},
        {"{\"metadata\":{\"labels\":{\"x\":\"1\"}}}", "{\"metadata\":{}}",
         "metadata.labels is absent, applied was another object"},
        {"{\"metadata\":{\"annotations\":{\"x\":\"1\"}}}",
         "{\"metadata\":{\"annotations\":{\"x\":\"2\"}}}",
         "metadata.annotations.x is 2, applied was 1"},
        /* status is the server's */
        {"{\"status\":{\"replicas\":1}}", "{\"status\":{\"replicas\":5}}", NULL},
        /* lists by merge key, in any order */
        {"{\"spec\":{\"c\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\"}]}}",
         "{\"spec\":{\"c\":[{\"name\":\"b\",\"tty\":true},{\"name\":\"a\",\"image\":\"1\"}]}}",
         NULL},
        {"{\"spec\":{\"c\":[{\"name\":\"a\",\"image\":\"1\"}]}}",
         "{\"spec\":{\"c\":[{\"name\":\"a\",\"image\":\"2\"}]}}",
         "spec.c[0].image is 2, applied was 1"},
        /* a further container is drift */
        {"{\"spec\":{\"c\":[{\"name\":\"a\"}]}}",
         "{\"spec\":{\"c\":[{\"name\":\"a\"},{\"name\":\"x\"}]}}",
         "spec.c is another list, applied was another list"},
        /* two ports of one number */
        {"{\"spec\":{\"p\":[{\"port\":53,\"protocol\":\"UDP\"},{\"port\":53,\"protocol\":\"TCP\"}]}}",
         "{\"spec\":{\"p\":[{\"port\":53,\"protocol\":\"UDP\"},{\"port\":53,\"protocol\":\"TCP\"}]}}",
         NULL},
        /* atomic lists by place */
        {"{\"spec\":{\"args\":[\"a\",\"b\"]}}", "{\"spec\":{\"args\":[\"b\",\"a\"]}}",
         "spec.args[0] is b, applied was a"},
        /* empty and absent are the same */
        {"{\"spec\":{\"podSelector\":{},\"list\":[],\"x\":null}}", "{\"spec\":{}}", NULL},
        /* quantities */
        {"{\"spec\":{\"cpu\":\"0.5\",\"memory\":\"1Gi\"}}",
         "{\"spec\":{\"cpu\":\"500m\",\"memory\":\"1024Mi\"}}", NULL},
        {"{\"spec\":{\"cpu\":\"500m\"}}", "{\"spec\":{\"cpu\":\"600m\"}}",
         "spec.cpu is 600m, applied was 500m"},
        {"{\"data\":{\"k\":\"v\"}}", "{\"data\":{\"k\":\"w\"}}", "data.k is w, applied was v"},
    };

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        CLEANUP(json) json_t *applied = parse(pairs[i].applied);
        CLEANUP(json) json_t *live = parse(pairs[i].live);
        CLEANUP(buf) struct buf why = BUF_INIT(1024);
        assert_int_equal(drift_found(applied, live, &why), pairs[i].why != NULL);
        assert_string_equal(buf_text(&why), pairs[i].why ? pairs[i].why : "");
        assert_int_equal(drift_found(applied, live, NULL), pairs[i].why != NULL);
    }
}

static void the_patch_holds_only_what_differs(void **state)
{
    CLEANUP(json)
    json_t *applied =
        parse("{\"kind\":\"D\",\"spec\":{\"replicas\":2,\"t\":{\"c\":[{\"name\":\"a\"}],"
              "\"d\":1}}}");
    CLEANUP(json)
    json_t *live = parse("{\"kind\":\"D\",\"spec\":{\"replicas\":2,\"t\":{\"c\":[{\"name\":\"a\"},"
                         "{\"name\":\"evil\"}],\"d\":1}}}");
    CLEANUP(json) json_t *want = parse("{\"spec\":{\"t\":{\"c\":[{\"name\":\"a\"}]}}}");
    CLEANUP(json) json_t *patch = drift_patch(applied, live);

    assert_true(json_equal(patch, want));
    assert_null(drift_patch(applied, applied));
}

static void quantities_are_compared_by_size(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        {"1", "1000m", true},  {"0.5", "500m", true}, {"1Gi", "1073741824", true},
        {"1k", "1000", true},  {"1e3", "1k", true},   {"1Gi", "1G", false},
        {"abc", "abc", false}, {"", "", false},       {"1x", "1x", false},
        {"nan", "nan", false}, {"10", "1e1", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(quantity_equal(str_of(cases[i].a), str_of(cases[i].b)), cases[i].equal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_no_drift_and_changes_are),
        cmocka_unit_test(the_patch_holds_only_what_differs),
        cmocka_unit_test(quantities_are_compared_by_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
