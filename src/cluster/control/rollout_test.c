/* cluster/control/rollout_test.c - the arithmetic of rolling updates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/control/rollout.h"

static struct rollout_limits limits(int64_t desired, const char *surge, const char *unavailable)
{
    CLEANUP(json) json_t *s = json_string(surge);
    CLEANUP(json) json_t *u = json_string(unavailable);
    return rollout_limits_of(desired, s, u);
}

static void percentages_round_surge_up_and_unavailable_down(void **state)
{
    struct rollout_limits l = limits(10, "25%", "25%");
    assert_int_equal(l.surge, 3);
    assert_int_equal(l.unavailable, 2);
    l = rollout_limits_of(1, NULL, NULL);
    assert_int_equal(l.surge, 1);
    assert_int_equal(l.unavailable, 0);
    l = limits(3, "0%", "0%");
    assert_int_equal(l.surge, 0);
    assert_int_equal(l.unavailable, 1);
    CLEANUP(json) json_t *two = json_integer(2);
    l = rollout_limits_of(5, two, two);
    assert_int_equal(l.surge, 2);
    assert_int_equal(l.unavailable, 2);
}

static void new_set_grows_only_into_the_surge(void **state)
{
    struct rollout_limits l = limits(3, "25%", "25%"); /* surge 1, unavailable 0 */
    struct rollout_set sets[] = {{.replicas = 3, .available = 3}, {.is_new = true}};
    assert_true(rollout_grow_new(sets, 2, &l));
    assert_int_equal(sets[1].replicas, 1);
    assert_false(rollout_grow_new(sets, 2, &l));
    assert_false(rollout_shrink_old(sets, 2, &l)); /* the new pod is not available yet */
    sets[1].available = 1;
    assert_true(rollout_shrink_old(sets, 2, &l));
    assert_int_equal(sets[0].replicas, 2);
}

static void unhealthy_old_pods_go_first(void **state)
{
    struct rollout_limits l = limits(4, "1", "25%"); /* "1" is no percentage: 25% → 1 */
    struct rollout_set sets[] = {{.replicas = 2, .available = 2},
                                 {.replicas = 2, .available = 0},
                                 {.is_new = true, .replicas = 1, .available = 1}};
    assert_true(rollout_shrink_old(sets, 3, &l));
    assert_int_equal(sets[0].replicas, 2);
    assert_int_equal(sets[1].replicas, 0);
}

static void a_broken_new_version_never_takes_the_old_one_away(void **state)
{
    struct rollout_limits l = limits(4, "25%", "25%"); /* surge 1, unavailable 1 */
    struct rollout_set sets[] = {{.replicas = 4, .available = 4}, {.is_new = true}};
    for (int i = 0; i < 20; i++) {
        if (!rollout_grow_new(sets, 2, &l))
            (void)rollout_shrink_old(sets, 2, &l);
        sets[0].available = sets[0].replicas; /* the new pods never become ready */
    }
    assert_int_equal(sets[0].replicas, 3);
    assert_int_equal(sets[1].replicas, 2);
}

/* Every mix of sizes reaches the end, and keeps the promise on the way. */
static void every_rollout_ends_within_its_limits(void **state)
{
    static const char *const shares[] = {"0%", "25%", "50%", "100%"};
    for (int64_t desired = 0; desired <= 12; desired++)
        for (size_t s = 0; s < ARRAY_LEN(shares); s++)
            for (size_t u = 0; u < ARRAY_LEN(shares); u++) {
                struct rollout_limits l = limits(desired, shares[s], shares[u]);
                struct rollout_set sets[] = {
                    {.replicas = desired, .available = desired}, {.replicas = 0}, {.is_new = true}};
                int steps = 0;
                for (; steps < 200 && (sets[0].replicas || sets[2].available != desired); steps++) {
                    if (!rollout_grow_new(sets, 3, &l))
                        (void)rollout_shrink_old(sets, 3, &l);
                    int64_t total = sets[0].replicas + sets[1].replicas + sets[2].replicas;
                    assert_true(total <= desired + l.surge);
                    sets[0].available = sets[0].replicas;
                    assert_true(sets[0].available + sets[2].available >= desired - l.unavailable);
                    if (steps % 2 && sets[2].available < sets[2].replicas)
                        sets[2].available++; /* pods become ready one by one */
                }
                assert_true(steps < 200);
                assert_int_equal(sets[2].replicas, desired);
            }
}

static void scaling_alone_sets_the_only_active_set(void **state)
{
    struct rollout_limits l = limits(7, "25%", "25%");
    struct rollout_set sets[] = {{.replicas = 0}, {.replicas = 3, .available = 3, .is_new = true}};
    assert_true(rollout_scale(sets, 2, &l, true));
    assert_int_equal(sets[1].replicas, 7);
    l.desired = 0;
    assert_true(rollout_scale(sets, 2, &l, true));
    assert_int_equal(sets[1].replicas, 0);
}

static void scaling_in_a_rollout_is_spread_in_proportion(void **state)
{
    /* Kubernetes' own example: 10 desired, surge 3, unavailable 2; 8 old and 5 new; scaled to 15 */
    struct rollout_limits l = {.desired = 15, .surge = 3, .unavailable = 2};
    struct rollout_set sets[] = {{.replicas = 8, .max_replicas = 13},
                                 {.replicas = 5, .max_replicas = 13, .is_new = true}};
    assert_true(rollout_scale(sets, 2, &l, true));
    assert_int_equal(sets[0].replicas, 11);
    assert_int_equal(sets[1].replicas, 7);
}

static void saturated_new_set_lets_the_old_ones_go(void **state)
{
    struct rollout_limits l = limits(2, "25%", "25%");
    struct rollout_set sets[] = {{.replicas = 1, .available = 1},
                                 {.replicas = 2, .available = 2, .is_new = true}};
    assert_true(rollout_scale(sets, 2, &l, true));
    assert_int_equal(sets[0].replicas, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentages_round_surge_up_and_unavailable_down),
        cmocka_unit_test(new_set_grows_only_into_the_surge),
        cmocka_unit_test(unhealthy_old_pods_go_first),
        cmocka_unit_test(a_broken_new_version_never_takes_the_old_one_away),
        cmocka_unit_test(every_rollout_ends_within_its_limits),
        cmocka_unit_test(scaling_alone_sets_the_only_active_set),
        cmocka_unit_test(scaling_in_a_rollout_is_spread_in_proportion),
        cmocka_unit_test(saturated_new_set_lets_the_old_ones_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
