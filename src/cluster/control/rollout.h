/* cluster/control/rollout.h - the arithmetic of Deployments: how many replicas each ReplicaSet
 * should have.
 *
 * Pure. Source: Kubernetes, pkg/controller/deployment (rolling.go, sync.go,
 * util/deployment_util.go). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/json.h"

struct rollout_set {      /* a ReplicaSet */
    int64_t replicas;     /* spec.replicas: read, and set to what it should be */
    int64_t available;    /* status.availableReplicas */
    int64_t max_replicas; /* its annotation max-replicas when it was last scaled; 0: unknown */
    bool is_new;          /* of the current template */
};

struct rollout_limits {
    int64_t desired;
    int64_t surge;       /* pods above desired */
    int64_t unavailable; /* pods below desired */
};

/* From spec.strategy.rollingUpdate values (numbers or "25%"; NULL is 25%): surge rounds up,
 * unavailable down; both 0 makes unavailable 1. */
struct rollout_limits rollout_limits_of(int64_t desired, const json_t *max_surge,
                                        const json_t *max_unavailable);

/* `sets` are ordered oldest first. Each changes .replicas and says whether anything changed. */
bool rollout_grow_new(struct rollout_set *sets, size_t count, const struct rollout_limits *limits);
bool rollout_shrink_old(struct rollout_set *sets, size_t count,
                        const struct rollout_limits *limits);
/* The Deployment was scaled: spreads the difference over the sets that have replicas. */
bool rollout_scale(struct rollout_set *sets, size_t count, const struct rollout_limits *limits,
                   bool is_rolling);
