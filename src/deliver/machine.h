/* deliver/machine.h - the life of one workload in an outer cluster, as a table (phase, event) →
 * action.
 *
 * The phase is about the *attempt*: the release that is on its way in. What runs already is not
 * part of it: it goes on running, is kept as applied, and is replaced only by an attempt that comes
 * as far as APPLYING. Every pair is decided; the table is all there is, so that a test can walk it.
 */
#pragma once

enum machine_phase {
    PHASE_IDLE,     /* no attempt: what runs is what should run (or nothing does yet) */
    PHASE_FETCHING, /* a worker pulls, verifies, judges and prepares the objects */
    PHASE_WAITING,  /* verified; waits for promotion, soak, approval, a service */
    PHASE_PUSHING,  /* a worker brings the image into the cluster's registry */
    PHASE_APPLYING, /* objects go to the API server */
    PHASE_PROBING,  /* applied; waits for health */
    PHASE_REFUSED,  /* the attempt was refused; what ran runs on */
    PHASE_COUNT,
};

enum machine_event {
    EVENT_OFFER,     /* the followed registry has another newest release */
    EVENT_WITHDRAWN, /* its newest release is what runs here */
    EVENT_RECHECK,   /* the platform folder or the advisory database changed */
    EVENT_VERIFIED,  /* worker: all checks passed, or hold */
    EVENT_REFUSED,   /* worker: a digest, signature, sequence or check refuses */
    EVENT_FAILED,    /* worker or API: could not be done now */
    EVENT_GO,        /* nothing is left to wait for */
    EVENT_PUSHED,
    EVENT_APPLIED,
    EVENT_HEALTHY,
    EVENT_UNHEALTHY, /* health did not come in time, or will not come */
    EVENT_ROLLBACK,  /* a signed order to go back */
    EVENT_COUNT,
};

enum machine_action {
    ACT_NONE = 1, /* decided: nothing to do (0 would be an undecided pair) */
    ACT_FETCH,    /* start a worker on what is offered */
    ACT_REFRESH,  /* start a worker on the attempt, or on what runs, from our own registry */
    ACT_REMEMBER, /* look at the offer once this attempt is over */
    ACT_DECIDE,   /* look at promotion, soak, approvals: GO, or say what is waited for */
    ACT_PUSH,
    ACT_APPLY,
    ACT_WATCH,     /* start the deadline for health */
    ACT_SETTLE,    /* it is the running release now: promote, prune, look for a newer offer */
    ACT_REFUSE,    /* say why; what ran runs on */
    ACT_RETRY,     /* the same phase again, after a pause that grows */
    ACT_ROLL_BACK, /* to the last good release, and refuse this one from now on */
    ACT_GO_BACK,   /* an order: to the release it names */
    ACT_DROP,      /* forget the attempt */
    ACT_COUNT,
};

struct machine_step {
    enum machine_action action;
    enum machine_phase next; /* before the action runs; an action may start another event */
};
struct machine_step machine_step(enum machine_phase phase, enum machine_event event);

const char *machine_phase_name(enum machine_phase phase);
const char *machine_event_name(enum machine_event event);
const char *machine_action_name(enum machine_action action);
