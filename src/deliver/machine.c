/* deliver/machine.c - the table: see machine.h. */
#include "deliver/machine.h"

#include <assert.h>

#define STAY(phase)                                                                                \
    {                                                                                              \
        ACT_NONE, PHASE_##phase                                                                    \
    }

/* A late event (a worker's answer to an attempt that was dropped, for example) is ignored: STAY. */
static const struct machine_step table[PHASE_COUNT][EVENT_COUNT] =
    {
        [PHASE_IDLE] =
            {
                [EVENT_OFFER] = {ACT_FETCH, PHASE_FETCHING},
                [EVENT_WITHDRAWN] = STAY(IDLE),
                [EVENT_RECHECK] = {ACT_REFRESH, PHASE_FETCHING},
                [EVENT_VERIFIED] = STAY(IDLE),
                [EVENT_REFUSED] = STAY(IDLE),
                [EVENT_FAILED] = STAY(IDLE),
                [EVENT_GO] = STAY(IDLE),
                [EVENT_PUSHED] = STAY(IDLE),
                [EVENT_APPLIED] = STAY(IDLE),
                [EVENT_HEALTHY] = STAY(IDLE),
                [EVENT_UNHEALTHY] =
                    STAY(IDLE), /* told as Degraded; nothing was changed, so no way back */
                [EVENT_ROLLBACK] = {ACT_GO_BACK, PHASE_FETCHING},
            },
        [PHASE_FETCHING] =
            {
                [EVENT_OFFER] = {ACT_REMEMBER, PHASE_FETCHING},
                [EVENT_WITHDRAWN] = {ACT_REMEMBER, PHASE_FETCHING},
                [EVENT_RECHECK] = {ACT_REFRESH, PHASE_FETCHING},
                [EVENT_VERIFIED] = {ACT_DECIDE, PHASE_WAITING},
                [EVENT_REFUSED] = {ACT_REFUSE, PHASE_REFUSED},
                [EVENT_FAILED] = {ACT_RETRY, PHASE_FETCHING},
                [EVENT_GO] = STAY(FETCHING),
                [EVENT_PUSHED] = STAY(FETCHING),
                [EVENT_APPLIED] = STAY(FETCHING),
                [EVENT_HEALTHY] = STAY(FETCHING),
                [EVENT_UNHEALTHY] = STAY(FETCHING),
                [EVENT_ROLLBACK] = {ACT_GO_BACK, PHASE_FETCHING},
            },
        [PHASE_WAITING] =
            {
                [EVENT_OFFER] = {ACT_FETCH, PHASE_FETCHING},
                [EVENT_WITHDRAWN] = {ACT_DROP, PHASE_IDLE},
                [EVENT_RECHECK] = {ACT_REFRESH, PHASE_FETCHING},
                [EVENT_VERIFIED] = STAY(WAITING),
                [EVENT_REFUSED] = STAY(WAITING),
                [EVENT_FAILED] = STAY(WAITING),
                [EVENT_GO] = {ACT_PUSH, PHASE_PUSHING},
                [EVENT_PUSHED] = STAY(WAITING),
                [EVENT_APPLIED] = STAY(WAITING),
                [EVENT_HEALTHY] = STAY(WAITING),
                [EVENT_UNHEALTHY] = STAY(WAITING),
                [EVENT_ROLLBACK] = {ACT_GO_BACK, PHASE_FETCHING},
            },
        [PHASE_PUSHING] =
            {
                [EVENT_OFFER] = {ACT_REMEMBER, PHASE_PUSHING},
                [EVENT_WITHDRAWN] = {ACT_REMEMBER, PHASE_PUSHING},
                [EVENT_RECHECK] = {ACT_REFRESH, PHASE_FETCHING},
                [EVENT_VERIFIED] = STAY(PUSHING),
                [EVENT_REFUSED] = {ACT_REFUSE, PHASE_REFUSED},
                [EVENT_FAILED] = {ACT_RETRY, PHASE_PUSHING},
                [EVENT_GO] = STAY(PUSHING),
                [EVENT_PUSHED] = {ACT_APPLY, PHASE_APPLYING},
                [EVENT_APPLIED] = STAY(PUSHING),
                [EVENT_HEALTHY] = STAY(PUSHING),
                [EVENT_UNHEALTHY] = STAY(PUSHING),
                [EVENT_ROLLBACK] = {ACT_GO_BACK, PHASE_FETCHING},
            },
        [PHASE_APPLYING] =
            {
                [EVENT_OFFER] = {ACT_REMEMBER, PHASE_APPLYING},
                [EVENT_WITHDRAWN] = {ACT_REMEMBER, PHASE_APPLYING},
                [EVENT_RECHECK] = {ACT_REMEMBER, PHASE_APPLYING},
                [EVENT_VERIFIED] = STAY(APPLYING),
                [EVENT_REFUSED] = {ACT_ROLL_BACK,
                                   PHASE_FETCHING}, /* the API server rejects an object */
                [EVENT_FAILED] = {ACT_RETRY, PHASE_APPLYING},
                [EVENT_GO] = STAY(APPLYING),
                [EVENT_PUSHED] = STAY(APPLYING),
                [EVENT_APPLIED] = {ACT_WATCH, PHASE_PROBING},
                [EVENT_HEALTHY] = STAY(APPLYING),
                [EVENT_UNHEALTHY] = STAY(APPLYING),
                [EVENT_ROLLBACK] = {ACT_GO_BACK, PHASE_FETCHING},
            },
        [PHASE_PROBING] =
            {
                /* A newer release may be the cure of one that does not get healthy. */
                [EVENT_OFFER] = {ACT_FETCH, PHASE_FETCHING},
                [EVENT_WITHDRAWN] = {ACT_REMEMBER, PHASE_PROBING},
                [EVENT_RECHECK] = {ACT_REMEMBER, PHASE_PROBING},
                [EVENT_VERIFIED] = STAY(PROBING),
                [EVENT_REFUSED] = STAY(PROBING),
                [EVENT_FAILED] = STAY(PROBING),
                [EVENT_GO] = STAY(PROBING),
                [EVENT_PUSHED] = STAY(PROBING),
                [EVENT_APPLIED] = STAY(PROBING),
                [EVENT_HEALTHY] = {ACT_SETTLE, PHASE_IDLE},
                [EVENT_UNHEALTHY] = {ACT_ROLL_BACK, PHASE_FETCHING},
                [EVENT_ROLLBACK] = {ACT_GO_BACK, PHASE_FETCHING},
            },
        [PHASE_REFUSED] =
            {
                [EVENT_OFFER] = {ACT_FETCH, PHASE_FETCHING},
                [EVENT_WITHDRAWN] = {ACT_DROP, PHASE_IDLE},
                [EVENT_RECHECK] = {ACT_FETCH, PHASE_FETCHING},
                [EVENT_VERIFIED] = STAY(REFUSED),
                [EVENT_REFUSED] = STAY(REFUSED),
                [EVENT_FAILED] = STAY(REFUSED),
                [EVENT_GO] = STAY(REFUSED),
                [EVENT_PUSHED] = STAY(REFUSED),
                [EVENT_APPLIED] = STAY(REFUSED),
                [EVENT_HEALTHY] = STAY(REFUSED),
                [EVENT_UNHEALTHY] = STAY(REFUSED),
                [EVENT_ROLLBACK] = {ACT_GO_BACK, PHASE_FETCHING},
            },
};

struct machine_step machine_step(enum machine_phase phase, enum machine_event event)
{
    assert(phase < PHASE_COUNT && event < EVENT_COUNT);
    return table[phase][event];
}

const char *machine_phase_name(enum machine_phase phase)
{
    static const char *const names[PHASE_COUNT] = {"idle",     "fetching", "waiting", "pushing",
                                                   "applying", "probing",  "refused"};
    return names[phase];
}

const char *machine_event_name(enum machine_event event)
{
    static const char *const names[EVENT_COUNT] = {"offer",   "withdrawn", "recheck",   "verified",
                                                   "refused", "failed",    "go",        "pushed",
                                                   "applied", "healthy",   "unhealthy", "rollback"};
    return names[event];
}

const char *machine_action_name(enum machine_action action)
{
    static const char *const names[ACT_COUNT] = {
        "undecided", "none",   "fetch",  "refresh", "remember",  "decide",  "push", "apply",
        "watch",     "settle", "refuse", "retry",   "roll back", "go back", "drop"};
    return names[action];
}
