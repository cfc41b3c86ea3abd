/* cluster/api/decode.h - whether a body has the fields and types of its kind, before anything reads
 * it. */
#pragma once
#include "cluster/api/schema.h"
#include "cluster/api/status.h"

/* Checks `object` (of `kind` in `version`) against `type`, in place: nulls go, numbers given for
 * quantities become text, unknown fields go and are named in `unknown` ("unknown field
 * \"spec.foo\"", may be NULL). A wrong type is a BadRequest, worded as Kubernetes does. type NULL:
 * nothing is checked. */
NODISCARD int decode_check(const struct schema_type *type, const char *kind, const char *version,
                           json_t *object, struct strv *unknown, struct status *status);
