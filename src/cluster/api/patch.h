/* cluster/api/patch.h - JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386). */
#pragma once
#include "wire/json.h"

enum { PATCH_OPERATIONS_MAX = 10000 }; /* as Kubernetes */

/* A new tree: `target` (may be NULL) patched; both are borrowed. NULL without memory. */
json_t *patch_merge(const json_t *target, const json_t *patch);

/* Applies all operations or none. *ret: a new tree.
 * Errors: INVALID, if `patch` is no JSON Patch; CONFLICT, if an operation cannot be applied (a path
 * that is not there, a test that fails); LIMIT; NO_MEMORY. */
NODISCARD int patch_json(const json_t *target, const json_t *patch, json_t **ret,
                         struct error *err);
