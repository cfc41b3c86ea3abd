/* cluster/api/strategic.h - strategic merge patch: lists of objects merge by key, directives steer.
 * Source: Kubernetes, "Update API Objects in Place Using kubectl patch", and the notes in
 * apimachinery/pkg/util/strategicpatch. */
#pragma once
#include "cluster/api/schema.h"
#include "wire/json.h"

/* `patch` on `target` (may be NULL), both borrowed, by the merge keys of `type`. *ret: a new tree.
 * INVALID: a directive that is malformed, or a list item without its merge key. */
NODISCARD int strategic_merge(const struct schema_type *type, const json_t *target,
                              const json_t *patch, json_t **ret, struct error *err);
