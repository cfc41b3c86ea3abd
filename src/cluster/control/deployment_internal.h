/* cluster/control/deployment_internal.h - one pass over one Deployment: shared by deployment.c
 * (what it does) and deployment_status.c (what it says). */
#pragma once
#include "cluster/control/control_internal.h"
#include "cluster/control/rollout.h"

struct deployment_set {
    struct object *object; /* owned reference */
    int64_t revision;
    struct rollout_set size;
};

struct deployment_view {
    struct object *deployment;   /* owned reference */
    struct deployment_set *sets; /* owned; oldest first */
    size_t count;
    struct deployment_set *newest; /* of the current template, in `sets`; NULL: there is none */
    struct rollout_limits limits;
    bool is_recreate;
    bool is_paused;
    bool made_set; /* in this pass */
};
void deployment_view_done(struct deployment_view *view);
DEFINE_CLEANUP_VALUE(deployment_view, struct deployment_view, deployment_view_done)

/* Pods of sets other than the newest that still exist, also while they end. */
size_t deployment_old_pods(struct control *control, const struct deployment_view *view);

/* Counts, conditions, and the clean-up of sets beyond revisionHistoryLimit once the rollout is
 * complete. `failure`: NULL, or why a set could not be made. */
NODISCARD int deployment_write_status(struct control *control, struct deployment_view *view,
                                      const struct error *failure, struct error *err);
