/* cluster/api/apply.h - server-side apply: a manager's whole intent, merged with what others own.
 * Source: Kubernetes, "Server-Side Apply". */
#pragma once
#include "cluster/api/fields.h"

/* A field that another manager owns with another value. */
typedef void apply_conflict_fn(const json_t *entry, const json_t *fields, void *ctx);

struct apply {
    const struct schema_type *type;
    struct fields_writer writer; /* is_apply */
    bool force;
    apply_conflict_fn *on_conflict; /* for each manager in conflict */
    void *ctx;
};

/* `intent` on `live` (NULL: it does not exist), both borrowed. *ret: the new tree with
 * managedFields. CONFLICT after on_conflict was called; nothing is changed then. */
NODISCARD int apply_intent(const struct apply *apply, const json_t *live, const json_t *intent,
                           json_t **ret, struct error *err);
