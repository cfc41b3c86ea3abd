/* cluster/node/policy.h - NetworkPolicies → who may reach whom. Pure: objects in, table rows out.
 *
 * Source: networking.k8s.io/v1. A pod is isolated in a direction once any policy selects it for
 * that; then the union of what its policies allow passes. */
#pragma once
#include "cluster/net/table.h"
#include "wire/json.h"

struct policy_pod {
    const json_t
        *object; /* borrowed: metadata.labels, metadata.namespace, spec.containers[].ports */
    uint32_t address;
};

struct policy_world {
    const struct policy_pod *pods;
    size_t pod_count;
    const json_t *namespaces; /* "/<name>" → Namespace */
    const json_t *policies;   /* "<namespace>/<name>" → NetworkPolicy */
};

/* Adds a row for each pod. What cannot be understood (a bad block) allows nothing. */
NODISCARD int policy_compile(const struct policy_world *world, struct table *table,
                             struct error *err);
