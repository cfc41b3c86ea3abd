/* Every expectation here was checked against node-semver 7.6 as shipped in npm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "build/semver.h"

static bool has(const char *range_text, const char *version_text)
{
    CLEANUP(semver_range) struct semver_range *range = semver_range_parse(str_of(range_text));
    struct semver version;

    assert_non_null(range);
    assert_true(semver_parse(str_of(version_text), &version));
    return semver_range_has(range, &version);
}

static int order(const char *a, const char *b)
{
    struct semver x, y;

    assert_true(semver_parse(str_of(a), &x));
    assert_true(semver_parse(str_of(b), &y));
    return semver_compare(&x, &y);
}

static void precedence_follows_the_standard(void **state)
{
    static const char *const rising[] = {"1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta",
                                         "1.0.0-beta",  "1.0.0-beta.2",  "1.0.0-beta.11",
                                         "1.0.0-rc.1",  "1.0.0",         "1.0.1",
                                         "1.2.0",       "1.10.0",        "2.0.0"};

    for (size_t i = 0; i < ARRAY_LEN(rising); i++) {
        for (size_t k = 0; k < ARRAY_LEN(rising); k++) {
            int want = i < k ? -1 : i > k;
            int got = order(rising[i], rising[k]);
            assert_int_equal((got > 0) - (got < 0), want);
        }
    }
    assert_int_equal(order("1.0.0+a", "1.0.0+b"), 0);
}

static void malformed_versions_are_refused(void **state)
{
    static const char *const bad[] = {
        "",          "1",     "1.2",    "1.2.3.4", "01.2.3", "1.2.3-",  "1.2.3-01",
        "1.2.3-a..", "1.2.x", "-1.2.3", "1.2.3+",  "a.b.c",  "1.2.3 4", "9007199254740993.0.0"};
    struct semver v;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(semver_parse(str_of(bad[i]), &v));
}

static void ranges_match_as_npm_does(void **state)
{
    static const struct {
        const char *range, *version;
        bool want;
    } cases[] = {
        {">=20", "20.0.0", true},
        {">=20", "19.9.9", false},
        {">=20", "24.1.0", true},
        {"20.x", "20.11.1", true},
        {"20.x", "21.0.0", false},
        {"^20.11.0 || >=22", "20.12.0", true},
        {"^20.11.0 || >=22", "21.0.0", false},
        {"^20.11.0 || >=22", "22.0.0", true},
        {"^1.2.3", "1.9.9", true},
        {"^1.2.3", "2.0.0", false},
        {"^1.2.3", "2.0.0-alpha", false},
        {"^0.2.3", "0.2.9", true},
        {"^0.2.3", "0.3.0", false},
        {"^0.0.3", "0.0.4", false},
        {"^0.0", "0.0.9", true},
        {"^0.0", "0.1.0", false},
        {"^0.x", "0.9.0", true},
        {"~1.2.3", "1.2.9", true},
        {"~1.2.3", "1.3.0", false},
        {"~1", "1.9.0", true},
        {"~> 1.2", "1.2.9", true},
        {"~> 1.2", "1.3.0", false},
        {"1.2.3 - 2.3", "2.3.9", true},
        {"1.2.3 - 2.3", "2.4.0", false},
        {"1 - 2", "2.9.9", true},
        {"1.2.3 - 2.3.4", "2.3.5", false},
        {">1", "1.9.9", false},
        {">1", "2.0.0", true},
        {">1.2", "1.2.9", false},
        {">1.2", "1.3.0", true},
        {"<=1.2", "1.2.9", true},
        {"<=1.2", "1.3.0", false},
        {"<1.2", "1.1.9", true},
        {"<1.2", "1.2.0-0", false},
        {">= 18.0.0 < 21", "20.1.0", true},
        {">= 18.0.0 < 21", "21.0.0", false},
        {"*", "3.2.1", true},
        {"", "3.2.1", true},
        {"*", "3.2.1-rc.1", false},
        {">1.2.3-alpha.3", "1.2.3-alpha.7", true},
        {">1.2.3-alpha.3", "3.4.5-alpha.9", false},
        {"1.2.3", "1.2.3", true},
        {"=1.2.3", "1.2.4", false},
        {"v1.2.3", "1.2.3", true},
        {"<*", "1.0.0", false},
        {"1.2.*", "1.2.7", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (has(cases[i].range, cases[i].version) != cases[i].want)
            fail_msg("'%s' and %s: expected %d", cases[i].range, cases[i].version, cases[i].want);
    }
}

static void what_is_no_range_is_refused(void **state)
{
    static const char *const bad[] = {"latest", ">=a", "1.2.3.4", "^", ">> 1", "1.2.3 -"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct semver_range *range = semver_range_parse(str_of(bad[i]));
        bool is_null = range == NULL;
        semver_range_free(range);
        if (!is_null)
            fail_msg("'%s' was taken for a range", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(precedence_follows_the_standard),
        cmocka_unit_test(malformed_versions_are_refused),
        cmocka_unit_test(ranges_match_as_npm_does),
        cmocka_unit_test(what_is_no_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
