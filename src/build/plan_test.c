#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "build/plan.h"

/* The plan for elements in JSON, compact; NULL and the error's text in `why` if none resolves. */
static char *resolve(const char *elements_text, struct error *why)
{
    CLEANUP(json) json_t *elements = NULL;
    CLEANUP(json) json_t *plan = NULL;

    *why = (struct error)ERROR_INIT;
    assert_int_equal(json_parse("elements", str_of(elements_text), &elements, why), 0);
    if (plan_resolve(elements, &plan, why) < 0)
        return NULL;
    return json_dumps(plan, JSON_COMPACT);
}

static void expect(const char *elements, const char *want)
{
    struct error why;
    char *got = resolve(elements, &why);

    if (!got)
        fail_msg("no plan: %s", why.text);
    assert_string_equal(got, want);
    free(got);
}

#define NAMED(n) "{\"name\":\"" n "\",\"metadata\":{}}"

static void what_a_later_buildpack_requires_an_earlier_one_provides(void **state)
{
    expect(
        "[{\"id\":\"jdk\",\"optional\":false,\"options\":[{\"provides\":[\"jdk\"],\"requires\":[]}]},"
        "{\"id\":\"maven\",\"optional\":false,\"options\":[{\"provides\":[],\"requires\":[" NAMED(
            "jdk") "]}]}]",
        "{\"group\":[0,1],\"entries\":[{\"providers\":[0],\"requires\":[" NAMED("jdk") "]}]}");
}

static void a_buildpack_may_require_what_it_provides(void **state)
{
    expect(
        "[{\"id\":\"a\",\"optional\":false,\"options\":[{\"provides\":[\"x\"],\"requires\":[" NAMED(
            "x") "]}]}]",
        "{\"group\":[0],\"entries\":[{\"providers\":[0],\"requires\":[" NAMED("x") "]}]}");
}

static void an_optional_provider_that_nobody_needs_is_dropped(void **state)
{
    expect(
        "[{\"id\":\"node\",\"optional\":true,\"options\":[{\"provides\":[\"node\",\"npm\"],\"requires\":[]}]},"
        "{\"id\":\"c\",\"optional\":false,\"options\":[{\"provides\":[],\"requires\":[]}]}]",
        "{\"group\":[1],\"entries\":[]}");
}

static void dropping_one_may_drop_another(void **state)
{
    expect(
        "[{\"id\":\"a\",\"optional\":true,\"options\":[{\"provides\":[\"x\"],\"requires\":[]}]},"
        "{\"id\":\"b\",\"optional\":true,\"options\":[{\"provides\":[\"y\"],\"requires\":[" NAMED(
            "x") "]}]},"
                 "{\"id\":\"c\",\"optional\":false,\"options\":[{\"provides\":[],\"requires\":[]}]}]",
        "{\"group\":[2],\"entries\":[]}");
}

static void alternatives_are_tried_in_order(void **state)
{
    expect("[{\"id\":\"a\",\"optional\":false,\"options\":[{\"provides\":[\"x\"],\"requires\":[]},"
           "{\"provides\":[\"y\"],\"requires\":[]}]},"
           "{\"id\":\"b\",\"optional\":false,\"options\":[{\"provides\":[],\"requires\":[" NAMED(
               "y") "]}]}]",
           "{\"group\":[0,1],\"entries\":[{\"providers\":[0],\"requires\":[" NAMED("y") "]}]}");
}

static void a_requirement_before_its_provider_fails(void **state)
{
    struct error why;
    char *got = resolve(
        "[{\"id\":\"b\",\"optional\":false,\"options\":[{\"provides\":[],\"requires\":[" NAMED(
            "x") "]}]},"
                 "{\"id\":\"a\",\"optional\":false,\"options\":[{\"provides\":[\"x\"],\"requires\":[]}]}]",
        &why);

    assert_null(got);
    assert_int_equal(why.kind, ERR_INVALID);
    assert_string_equal(why.text, "b requires what nobody before it provides: 'x'");
}

static void a_required_provider_that_nobody_needs_fails(void **state)
{
    struct error why;

    assert_null(resolve("[{\"id\":\"a\",\"optional\":false,\"options\":[{\"provides\":[\"x\"],"
                        "\"requires\":[]}]}]",
                        &why));
    assert_string_equal(why.text, "a provides what nobody requires: 'x'");
}

static void a_plan_file_gives_its_alternatives(void **state)
{
    CLEANUP(json) json_t *file = NULL;
    CLEANUP(json) json_t *options = NULL;
    struct error err = ERROR_INIT;

    assert_int_equal(
        json_parse(
            "f",
            STR("{\"provides\":[{\"name\":\"a\"}],\"requires\":[{\"name\":\"a\",\"metadata\":{\"v\":1}}],"
                "\"or\":[{\"requires\":[{\"name\":\"b\"}]}]}"),
            &file, &err),
        0);
    assert_int_equal(plan_options(file, &options, &err), 0);
    char *text = json_dumps(options, JSON_COMPACT);
    assert_string_equal(
        text, "[{\"provides\":[\"a\"],\"requires\":[{\"name\":\"a\",\"metadata\":{\"v\":1}}]},"
              "{\"provides\":[],\"requires\":[" NAMED("b") "]}]");
    free(text);
}

static void a_version_outside_metadata_is_refused(void **state)
{
    CLEANUP(json) json_t *file = NULL;
    json_t *options = NULL;
    struct error err = ERROR_INIT;

    assert_int_equal(
        json_parse("f", STR("{\"requires\":[{\"name\":\"a\",\"version\":\"1\"}]}"), &file, &err),
        0);
    assert_int_equal(plan_options(file, &options, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_later_buildpack_requires_an_earlier_one_provides),
        cmocka_unit_test(a_buildpack_may_require_what_it_provides),
        cmocka_unit_test(an_optional_provider_that_nobody_needs_is_dropped),
        cmocka_unit_test(dropping_one_may_drop_another),
        cmocka_unit_test(alternatives_are_tried_in_order),
        cmocka_unit_test(a_requirement_before_its_provider_fails),
        cmocka_unit_test(a_required_provider_that_nobody_needs_fails),
        cmocka_unit_test(a_plan_file_gives_its_alternatives),
        cmocka_unit_test(a_version_outside_metadata_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
