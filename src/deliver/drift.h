/* deliver/drift.h - does a live object still say what was applied? Pure functions over json_t.
 *
 * Everything that was applied must be there with the same value; what the API server or others
 * added beside it is no drift, except further items of a list that was applied (a container that
 * somebody added). Lists of objects are matched by their merge key (name, containerPort, port,
 * mountPath, ip, type, key), others by place. Empty values and absent ones are equal, and so are
 * quantities of the same size (0.5 and 500m). */
#pragma once
#include "base/buf.h"
#include "wire/json.h"

/* True if `live` differs. `why` (if the buffer is given) gets the first path that does:
 * "spec.replicas: 2, was 3". metadata other than labels and annotations, and status, do not count.
 */
bool drift_found(const json_t *applied, const json_t *live, struct buf *why);
/* A merge patch (RFC 7386) that puts right what server-side apply cannot: lists with further items
 * are replaced as a whole. NULL if there is none. The caller's. */
json_t *drift_patch(const json_t *applied, const json_t *live);
/* Quantities of Kubernetes ("500m", "0.5", "1Gi", "1e3"): equal in size? False if either is none.
 */
bool quantity_equal(struct str a, struct str b);
