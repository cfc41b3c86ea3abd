/* cluster/node/env_test.c - expansion of variables, and quantities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/node/node_internal.h"

static void expands(const char *text, const char *want)
{
    CLEANUP(strv) struct strv env = STRV_INIT;
    CLEANUP(buf) struct buf out = BUF_INIT(1000);
    struct error err = ERROR_INIT;
    strv_add(&env, "A=1");
    strv_add(&env, "AB=2");
    strv_add(&env, "A=3");
    assert_int_equal(env_expand(text, &env, &out, &err), 0);
    assert_string_equal(buf_text(&out), want);
}

static void variables_are_expanded_as_kubernetes_does(void **state)
{
    expands("", "");
    expands("plain", "plain");
    expands("$(A)", "3"); /* the last one counts */
    expands("x$(AB)y$(A)", "x2y3");
    expands("$(NONE)", "$(NONE)");
    expands("$$(A)", "$(A)");
    expands("$$$(A)", "$3");
    expands("$A", "$A");
    expands("$", "$");
    expands("$(A", "$(A");
    expands("$()", "$()");
}

static void quantity(const char *text, int64_t want)
{
    int64_t milli = -1;
    assert_true(quantity_parse_milli(text, &milli));
    assert_int_equal(milli, want);
}

static void quantities_are_read(void **state)
{
    int64_t milli;
    quantity("1", 1000);
    quantity("100m", 100);
    quantity("1.5", 1500);
    quantity("0.0001", 1); /* rounded up */
    quantity("64Mi", 64LL * 1048576 * 1000);
    quantity("1.5Gi", 1610612736LL * 1000);
    quantity("1k", 1000000);
    assert_false(quantity_parse_milli("", &milli));
    assert_false(quantity_parse_milli("x", &milli));
    assert_false(quantity_parse_milli("1Zi", &milli));
    assert_false(quantity_parse_milli("-1", &milli));
    assert_false(quantity_parse_milli("99999999999999999999", &milli));
    assert_false(quantity_parse_milli("9999999999999Ti", &milli));
    assert_false(quantity_parse_milli(NULL, &milli));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_are_expanded_as_kubernetes_does),
        cmocka_unit_test(quantities_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
