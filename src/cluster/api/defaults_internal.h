/* cluster/api/defaults_internal.h - the small steps that defaults.c and defaults_pod.c share. Each
 * does nothing if the member is there already, or if `object` is no object; -1 only without memory.
 */
#pragma once
#include "wire/json.h"

NODISCARD int defaults_set(json_t *object, const char *key, json_t *take_value);
NODISCARD int defaults_set_text(json_t *object, const char *key, const char *text);
NODISCARD int defaults_set_integer(json_t *object, const char *key, int64_t number);
/* The member, made as an empty object if it is absent; borrowed; NULL without memory or if `object`
 * is none. */
json_t *defaults_child(json_t *object, const char *key);
/* Of a pod template {metadata, spec}; NULL is allowed. */
NODISCARD int defaults_template(json_t *pod_template);
