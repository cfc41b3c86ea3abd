/* cluster/api/verb_patch.h - PATCH in its four kinds. */
#pragma once
#include "cluster/api/api_internal.h"

enum patch_kind { PATCH_JSON, PATCH_MERGE, PATCH_STRATEGIC, PATCH_APPLY };

/* By Content-Type; false if it is none of them. */
bool patch_kind_read(const char *content_type, enum patch_kind *ret);
/* *ret_object: a reference; *ret_created: by apply. `body` is borrowed. */
NODISCARD int verb_patch(const struct verb *v, enum patch_kind kind, const json_t *body,
                         struct object **ret_object, bool *ret_created, struct status *status);
