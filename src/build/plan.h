/* build/plan.h - the build plan: which buildpacks of a group take part, and who provides what
 * (buildpacks spec, buildpack.md "Phase #1: Detection", platform.md "Order resolution"). Pure. */
#pragma once
#include "wire/json.h"

enum { PLAN_ELEMENTS_MAX = 64, PLAN_OPTIONS_MAX = 16, PLAN_TRIALS_MAX = 10000 };

/* `elements`: those of a group that passed detection, in order:
 *   [{"id","version","optional":bool,"options":[{"provides":["name"],"requires":[{"name","metadata":{}}]}]}]
 * An option is the top-level pair of the build plan file, then each of its [[or]].
 * *ret_plan, the caller's: {"group":[index into
 * elements],"entries":[{"providers":[index],"requires":[{"name", "metadata"}]}]}. INVALID with the
 * text why no trial resolves. */
NODISCARD int plan_resolve(const json_t *elements, json_t **ret_plan, struct error *err);
/* The build plan file of bin/detect (TOML, as a tree) → options. INVALID. */
NODISCARD int plan_options(const json_t *file, json_t **ret_options, struct error *err);
