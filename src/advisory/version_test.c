/* advisory/version_test.c - each order against the examples of its own standard. A row is a rising
 * chain: every earlier version is lower than every later one; "=" joins equals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "advisory/version.h"

enum { CHAIN_MAX = 64 };

static void expect(enum version_scheme scheme, struct str a, struct str b, int want)
{
    int got = version_compare(scheme, a, b);

    if ((got > 0) - (got < 0) != want)
        fail_msg("%.*s and %.*s: expected %d, got %d", STR_ARG(a), STR_ARG(b), want, got);
}

/* "1 2=2.0 3": 1 < 2, 2 is 2.0, 2 < 3, 1 < 3, and all the other way round. */
static void check_chain(enum version_scheme scheme, const char *chain)
{
    struct str items[CHAIN_MAX];
    int ranks[CHAIN_MAX];
    struct str rest = str_of(chain);
    size_t count = 0;

    for (int rank = 0; rest.len; rank++) {
        struct str equals = str_word(&rest);
        while (equals.ptr) {
            assert_true(count < CHAIN_MAX);
            ranks[count] = rank;
            items[count++] = str_cut(&equals, '=');
        }
    }
    for (size_t i = 0; i < count; i++) {
        assert_true(version_is_valid(scheme, items[i]));
        for (size_t k = 0; k < count; k++)
            expect(scheme, items[i], items[k], (ranks[i] > ranks[k]) - (ranks[i] < ranks[k]));
    }
}

static void semver_orders_as_its_section_11(void **state)
{
    (void)state;
    check_chain(VERSION_SEMVER,
                "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 "
                "1.0.0-rc.1 1.0.0=v1.0.0=1.0=1=1.0.0+build 1.0.1 1.2.0 1.10.0 2.0.0");
    check_chain(VERSION_SEMVER, "0.0.0-0 0.0.0 99999999999999999999.0.0 100000000000000000000.0.0");
    assert_false(version_is_valid(VERSION_SEMVER, STR("latest")));
    assert_false(version_is_valid(VERSION_SEMVER, STR("1.x")));
    assert_false(version_is_valid(VERSION_SEMVER, STR("1.0.0-")));
}

static void go_orders_toolchains_and_pseudo_versions(void **state)
{
    (void)state;
    check_chain(VERSION_GO,
                "1.21.0-0 go1.21rc2=1.21.0-rc.2 go1.21rc10 go1.21=1.21.0=go1.21.0 go1.21.3");
    check_chain(VERSION_GO,
                "v0.0.0-20190101000000-abcdefabcdef v0.0.0-20200101000000-000000000000 "
                "v1.2.3-pre v1.2.3-pre.0.20200101000000-abcdefabcdef v1.2.3 "
                "v1.2.4-0.20200101000000-abcdefabcdef v1.2.4 v2.0.0+incompatible=2.0.0");
}

static void debian_orders_as_dpkg(void **state)
{
    (void)state;
    check_chain(VERSION_DEBIAN,
                "1.0~~ 1.0~~a 1.0~ 1.0~rc1 1.0=0:1.0=1.0-0=1.00 1.0-1~deb12u1 1.0-1 "
                "1.0-1+b1 1.0-1.1 1.0a 1.0+b1 1.0.1 1.10 1:0.1");
    check_chain(VERSION_DEBIAN, "3.0.17-1~deb12u2 3.0.17-1~deb12u3 3.0.22-1~deb12u2");
    assert_false(version_is_valid(VERSION_DEBIAN, STR("a:1.0")));
    assert_false(version_is_valid(VERSION_DEBIAN, STR("1.0 1")));
}

static void rpm_orders_as_rpmvercmp(void **state)
{
    (void)state;
    check_chain(VERSION_RPM, "1.0~rc1-1 1.0-1=0:1.0-1=1_0-1 1.0^git1-1 1.0.1-1 1.1-1 2-1 1:0.1-1");
    check_chain(VERSION_RPM, "1.a-1 1.1-1=1.01-1 1.1-2 1.1-10");
    check_chain(VERSION_RPM,
                "2.0.7.1-6.module_el8.3.0+2041+d1f204ad 2.0.7.1-6.module_el8.5.0+94+18674043");
}

static void alpine_orders_as_apk(void **state)
{
    (void)state;
    check_chain(VERSION_ALPINE, "1.0_alpha 1.0_alpha2 1.0_beta1 1.0_pre 1.0_rc1 1.0 1.0-r0 1.0-r1 "
                                "1.0-r10 1.0_git1 1.0_p1 1.0a 1.0b 1.0.1 1.1 1.10");
    check_chain(VERSION_ALPINE, "1.01 1.1 1.2");
    assert_false(version_is_valid(VERSION_ALPINE, STR("1.0_foo")));
    assert_false(version_is_valid(VERSION_ALPINE, STR("r1")));
}

static void pypi_orders_as_pep_440(void **state)
{
    (void)state;
    check_chain(
        VERSION_PYPI,
        "1.0.dev456 1.0a1 1.0a2.dev456 1.0a12.dev456 1.0a12=1.0-ALPHA.12 1.0b1.dev456 1.0b2 "
        "1.0b2.post345.dev456 1.0b2.post345 1.0rc1.dev456 1.0rc1=1.0c1=1.0-preview-1 "
        "1.0=v1.0=1.0.0 1.0+abc.5 1.0+abc.7 1.0+5 1.0.post456.dev34 1.0.post456=1.0-456 1.1 "
        "1!0.5");
    assert_false(version_is_valid(VERSION_PYPI, STR("2.0.0-final")));
    expect(VERSION_PYPI, STR("not a version"), STR("0.dev0"), -1);
}

static void maven_orders_as_its_specification(void **state)
{
    (void)state;
    check_chain(VERSION_MAVEN,
                "1-alpha-1=1-a1=1alpha1 1-beta-1=1b1 1-milestone-1=1-m1 1-rc-1=1-cr-1 "
                "1-snapshot 1=1.0=1.0.0=1-ga=1.final 1-sp 1-abc 1-xyz 1-1 1-2 1.1");
    check_chain(VERSION_MAVEN, "4.12-beta-3 4.12-rc-1 4.12 4.13-beta-1 4.13 4.13.1");
    check_chain(VERSION_MAVEN, "2.9.10 2.9.10.1 2.10.0");
}

static void rubygems_orders_as_gem_version(void **state)
{
    (void)state;
    check_chain(VERSION_RUBYGEMS, "1.0.a 1.0.a.2 1.0.b1 1.0=1=1.0.0 1.0.1 1.1.rc1 1.1 1.2 1.10");
    check_chain(VERSION_RUBYGEMS, "1.0.0-1 1.0.0");
    assert_false(version_is_valid(VERSION_RUBYGEMS, STR("junk")));
}

static void packagist_orders_as_version_compare(void **state)
{
    (void)state;
    check_chain(VERSION_PACKAGIST,
                "1.0-dev 1.0-alpha1=1.0a1 1.0-beta1 1.0-RC1=1.0rc1 1.0=v1.0 1.0-pl1=1.0-p1");
    check_chain(VERSION_PACKAGIST, "1.0 1.0.0 1.0.1 1.2 1.10");
    assert_false(version_is_valid(VERSION_PACKAGIST, STR("dev-main")));
}

static void nuget_has_four_numbers_and_no_case(void **state)
{
    (void)state;
    check_chain(VERSION_NUGET,
                "1.0.0-alpha=1.0.0-ALPHA 1.0.0-beta 1.0.0=1.0=1.0.0.0=1.0.0+x 1.0.0.1 1.0.1");
}

static void ecosystems_are_found_with_their_suffix(void **state)
{
    (void)state;
    assert_int_equal(version_scheme_of(STR("Debian:12")), VERSION_DEBIAN);
    assert_int_equal(version_scheme_of(STR("Ubuntu:22.04:LTS")), VERSION_DEBIAN);
    assert_int_equal(version_scheme_of(STR("Alpine:v3.20")), VERSION_ALPINE);
    assert_int_equal(version_scheme_of(STR("Red Hat")), VERSION_RPM);
    assert_int_equal(version_scheme_of(STR("Maven:https://repo.example")), VERSION_MAVEN);
    assert_int_equal(version_scheme_of(STR("Fortran")), VERSION_NONE);
}

static void what_no_scheme_takes_still_has_a_place(void **state)
{
    (void)state;
    expect(VERSION_SEMVER, STR("junk"), STR("0.0.0-0"), -1);
    expect(VERSION_SEMVER, STR("junk"), STR("junk"), 0);
    expect(VERSION_SEMVER, STR(""), STR("junk"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(semver_orders_as_its_section_11),
        cmocka_unit_test(go_orders_toolchains_and_pseudo_versions),
        cmocka_unit_test(debian_orders_as_dpkg),
        cmocka_unit_test(rpm_orders_as_rpmvercmp),
        cmocka_unit_test(alpine_orders_as_apk),
        cmocka_unit_test(pypi_orders_as_pep_440),
        cmocka_unit_test(maven_orders_as_its_specification),
        cmocka_unit_test(rubygems_orders_as_gem_version),
        cmocka_unit_test(packagist_orders_as_version_compare),
        cmocka_unit_test(nuget_has_four_numbers_and_no_case),
        cmocka_unit_test(ecosystems_are_found_with_their_suffix),
        cmocka_unit_test(what_no_scheme_takes_still_has_a_place),
    };

    return cmocka_run_group_tests_name("versions", tests, NULL, NULL);
}
