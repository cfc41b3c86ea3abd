/* Tests of deliver/machine.c: every pair is decided, and whole stories end where they should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "deliver/machine.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void every_pair_is_decided(void **state)
{
    for (int phase = 0; phase < PHASE_COUNT; phase++) {
        for (int event = 0; event < EVENT_COUNT; event++) {
            struct machine_step step =
                machine_step((enum machine_phase)phase, (enum machine_event)event);
            assert_in_range(step.action, ACT_NONE, ACT_COUNT - 1);
            assert_in_range(step.next, 0, PHASE_COUNT - 1);
        }
    }
}

static void names_are_all_there(void **state)
{
    for (int i = 0; i < PHASE_COUNT; i++)
        assert_true(strlen(machine_phase_name((enum machine_phase)i)) > 0);
    for (int i = 0; i < EVENT_COUNT; i++)
        assert_true(strlen(machine_event_name((enum machine_event)i)) > 0);
    for (int i = 1; i < ACT_COUNT; i++)
        assert_true(strlen(machine_action_name((enum machine_action)i)) > 0);
}

/* Doing nothing must not change the phase, and what does not change it must be a deliberate action.
 */
static void nothing_to_do_changes_nothing(void **state)
{
    for (int phase = 0; phase < PHASE_COUNT; phase++) {
        for (int event = 0; event < EVENT_COUNT; event++) {
            struct machine_step step =
                machine_step((enum machine_phase)phase, (enum machine_event)event);
            if (step.action == ACT_NONE)
                assert_int_equal(step.next, phase);
        }
    }
}

/* What is applied and what is not is decided by few pairs: nobody may add one unseen. */
static void only_a_pushed_attempt_is_applied(void **state)
{
    for (int phase = 0; phase < PHASE_COUNT; phase++) {
        for (int event = 0; event < EVENT_COUNT; event++) {
            struct machine_step step =
                machine_step((enum machine_phase)phase, (enum machine_event)event);
            if (step.action == ACT_APPLY)
                assert_true(phase == PHASE_PUSHING && event == EVENT_PUSHED);
            if (step.action == ACT_PUSH)
                assert_true(phase == PHASE_WAITING && event == EVENT_GO);
            if (step.action == ACT_SETTLE)
                assert_true(phase == PHASE_PROBING && event == EVENT_HEALTHY);
            if (event == EVENT_REFUSED && phase != PHASE_APPLYING)
                assert_true(step.next == PHASE_REFUSED || (int)step.next == phase);
        }
    }
}

struct story {
    const enum machine_event *events;
    size_t count;
    enum machine_phase end;
    enum machine_action last;
};

#define STORY(end, last, ...)                                                                      \
    {                                                                                              \
        (const enum machine_event[]){__VA_ARGS__},                                                 \
            sizeof((const enum machine_event[]){__VA_ARGS__}) / sizeof(enum machine_event), end,   \
            last                                                                                   \
    }

static void stories_end_where_they_should(void **state)
{
    const struct story stories[] = {
        /* A release comes and is good. */
        STORY(PHASE_IDLE, ACT_SETTLE, EVENT_OFFER, EVENT_VERIFIED, EVENT_GO, EVENT_PUSHED,
              EVENT_APPLIED, EVENT_HEALTHY),
        /* It is not healthy: back to the last good one, which is fetched from our own registry. */
        STORY(PHASE_FETCHING, ACT_ROLL_BACK, EVENT_OFFER, EVENT_VERIFIED, EVENT_GO, EVENT_PUSHED,
              EVENT_APPLIED, EVENT_UNHEALTHY),
        /* The registry goes away in the middle: the same again. */
        STORY(PHASE_FETCHING, ACT_RETRY, EVENT_OFFER, EVENT_FAILED),
        STORY(PHASE_PUSHING, ACT_RETRY, EVENT_OFFER, EVENT_VERIFIED, EVENT_GO, EVENT_FAILED),
        STORY(PHASE_APPLYING, ACT_RETRY, EVENT_OFFER, EVENT_VERIFIED, EVENT_GO, EVENT_PUSHED,
              EVENT_FAILED),
        /* Tampered: refused, and a newer offer is looked at. */
        STORY(PHASE_REFUSED, ACT_REFUSE, EVENT_OFFER, EVENT_REFUSED),
        STORY(PHASE_FETCHING, ACT_FETCH, EVENT_OFFER, EVENT_REFUSED, EVENT_OFFER),
        /* Tampered, and put right again to what runs. */
        STORY(PHASE_IDLE, ACT_DROP, EVENT_OFFER, EVENT_REFUSED, EVENT_WITHDRAWN),
        /* Waits for a service; the platform team adds it. */
        STORY(PHASE_WAITING, ACT_DECIDE, EVENT_OFFER, EVENT_VERIFIED, EVENT_RECHECK,
              EVENT_VERIFIED),
        /* The API server rejects an object. */
        STORY(PHASE_FETCHING, ACT_ROLL_BACK, EVENT_OFFER, EVENT_VERIFIED, EVENT_GO, EVENT_PUSHED,
              EVENT_REFUSED),
        /* A worker's late answer after the attempt was dropped. */
        STORY(PHASE_IDLE, ACT_NONE, EVENT_OFFER, EVENT_REFUSED, EVENT_WITHDRAWN, EVENT_VERIFIED),
        /* A newer release while one is being applied waits for its end. */
        STORY(PHASE_APPLYING, ACT_REMEMBER, EVENT_OFFER, EVENT_VERIFIED, EVENT_GO, EVENT_PUSHED,
              EVENT_OFFER),
    };

    for (size_t i = 0; i < COUNT(stories); i++) {
        enum machine_phase phase = PHASE_IDLE;
        struct machine_step step = {ACT_NONE, PHASE_IDLE};
        for (size_t k = 0; k < stories[i].count; k++) {
            step = machine_step(phase, stories[i].events[k]);
            phase = step.next;
        }
        assert_int_equal(phase, stories[i].end);
        assert_int_equal(step.action, stories[i].last);
    }
}

/* From every phase there is a way back to IDLE: no workload can be stuck for ever. */
static void every_phase_has_a_way_back(void **state)
{
    for (int start = 0; start < PHASE_COUNT; start++) {
        bool reached[PHASE_COUNT] = {false};
        reached[start] = true;
        for (int round = 0; round < PHASE_COUNT; round++) {
            for (int phase = 0; phase < PHASE_COUNT; phase++) {
                for (int event = 0; reached[phase] && event < EVENT_COUNT; event++)
                    reached[machine_step((enum machine_phase)phase, (enum machine_event)event)
                                .next] = true;
            }
        }
        assert_true(reached[PHASE_IDLE]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_is_decided),
        cmocka_unit_test(names_are_all_there),
        cmocka_unit_test(nothing_to_do_changes_nothing),
        cmocka_unit_test(only_a_pushed_attempt_is_applied),
        cmocka_unit_test(stories_end_where_they_should),
        cmocka_unit_test(every_phase_has_a_way_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
