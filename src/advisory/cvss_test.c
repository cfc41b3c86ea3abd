/* advisory/cvss_test.c - scores against the examples that FIRST publishes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "advisory/cvss.h"

static void expect(const char *vector, const char *version, int tenths, enum severity severity)
{
    struct error err = ERROR_INIT;
    struct cvss got;

    if (cvss_parse(str_of(vector), &got, &err) < 0)
        fail_msg("%s: %s", vector, err.text);
    if (strcmp(got.version, version) != 0 || got.score_tenths != tenths || got.severity != severity)
        fail_msg("%s: expected %s %d %s, got %s %d %s", vector, version, tenths,
                 severity_name(severity), got.version, got.score_tenths,
                 severity_name(got.severity));
}

static void version_3_scores_as_published(void **state)
{
    (void)state;
    expect("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "3.1", 98, SEVERITY_CRITICAL);
    expect("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", "3.1", 61, SEVERITY_MEDIUM);
    expect("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", "3.1", 99, SEVERITY_CRITICAL);
    expect("CVSS:3.1/AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L", "3.1", 42, SEVERITY_MEDIUM);
    expect("CVSS:3.0/AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", "3.0", 88, SEVERITY_HIGH);
    expect("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N", "3.1", 0, SEVERITY_NEGLIGIBLE);
    expect("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", "3.1", 100, SEVERITY_CRITICAL);
}

static void version_3_scores_with_time_and_place(void **state)
{
    (void)state;
    expect("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O/RC:U", "3.1", 78, SEVERITY_HIGH);
    expect("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/MC:N/MI:N/MA:N", "3.1", 0,
           SEVERITY_NEGLIGIBLE);
    expect("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H/AR:L", "3.1", 57, SEVERITY_MEDIUM);
}

static void version_2_scores_as_published(void **state)
{
    (void)state;
    expect("AV:N/AC:L/Au:N/C:N/I:N/A:C", "2.0", 78, SEVERITY_HIGH); /* guide 3.3.1 */
    expect("AV:N/AC:L/Au:N/C:C/I:C/A:C", "2.0", 100, SEVERITY_CRITICAL);
    expect("AV:L/AC:H/Au:N/C:C/I:C/A:C", "2.0", 62, SEVERITY_MEDIUM); /* guide 3.3.3 */
    expect("(AV:N/AC:L/Au:N/C:N/I:N/A:C/E:F/RL:OF/RC:C)", "2.0", 64, SEVERITY_MEDIUM);
    expect("AV:N/AC:L/Au:N/C:N/I:N/A:N", "2.0", 0, SEVERITY_NEGLIGIBLE);
}

static void version_4_scores_as_published(void **state)
{
    (void)state;
    expect("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", "4.0", 100,
           SEVERITY_CRITICAL);
    expect("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N", "4.0", 87,
           SEVERITY_HIGH);
    expect("CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", "4.0", 77,
           SEVERITY_HIGH);
    expect("CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", "4.0", 73,
           SEVERITY_HIGH);
    expect("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U", "4.0", 81,
           SEVERITY_HIGH);
    expect("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", "4.0", 0,
           SEVERITY_NEGLIGIBLE);
    expect("CVSS:4.0/AV:P/AC:H/AT:P/PR:H/UI:A/VC:L/VI:L/VA:L/SC:L/SI:L/SA:L", "4.0", 10,
           SEVERITY_LOW);
}

static void refuse(const char *vector, const char *word)
{
    struct error err = ERROR_INIT;
    struct cvss got;

    assert_int_equal(cvss_parse(str_of(vector), &got, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    if (!strstr(err.text, word))
        fail_msg("%s: expected '%s' in '%s'", vector, word, err.text);
}

static void a_broken_vector_names_its_metric(void **state)
{
    (void)state;
    refuse("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H", "A is missing");
    refuse("CVSS:3.1/AV:Z/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "metric AV");
    refuse("CVSS:3.1/AV:N/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "AV twice");
    refuse("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/QQ:X", "'QQ'");
    refuse("CVSS:9.9/AV:N", "'9.9'");
    refuse("", "expected");
}

static void words_of_all_databases_are_known(void **state)
{
    (void)state;
    assert_int_equal(severity_of_word(STR("MODERATE")), SEVERITY_MEDIUM);
    assert_int_equal(severity_of_word(STR("Important")), SEVERITY_HIGH);
    assert_int_equal(severity_of_word(STR("low**")), SEVERITY_LOW);
    assert_int_equal(severity_of_word(STR("unimportant")), SEVERITY_NEGLIGIBLE);
    assert_int_equal(severity_of_word(STR("not yet assigned")), SEVERITY_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_3_scores_as_published),
        cmocka_unit_test(version_3_scores_with_time_and_place),
        cmocka_unit_test(version_2_scores_as_published),
        cmocka_unit_test(version_4_scores_as_published),
        cmocka_unit_test(a_broken_vector_names_its_metric),
        cmocka_unit_test(words_of_all_databases_are_known),
    };

    return cmocka_run_group_tests_name("cvss", tests, NULL, NULL);
}
