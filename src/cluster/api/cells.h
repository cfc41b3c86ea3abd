/* cluster/api/cells.h - the columns that `kubectl get` shows, kind by kind, as Kubernetes' own
 * printers do (pkg/printers/internalversion/printers.go). */
#pragma once
#include "cluster/api/resources.h"

#define CELLS_FOR(X)                                                                               \
    X(namespace)                                                                                   \
    X(node)                                                                                        \
    X(pod)                                                                                         \
    X(deployment)                                                                                  \
    X(replicaset)                                                                                  \
    X(service)                                                                                     \
    X(endpoints)                                                                                   \
    X(endpointslice)                                                                               \
    X(configmap)                                                                                   \
    X(secret)                                                                                      \
    X(serviceaccount)                                                                              \
    X(event)                                                                                       \
    X(networkpolicy)                                                                               \
    X(poddisruptionbudget)                                                                         \
    X(lease)                                                                                       \
    X(rolebinding)

#define CELLS_DECLARE(kind)                                                                        \
    extern const struct table_column columns_##kind[];                                             \
    void cells_##kind(const json_t *object, json_t *cells);
CELLS_FOR(CELLS_DECLARE)
#undef CELLS_DECLARE

extern const struct table_column columns_default[]; /* Name, Created At */
void cells_default(const json_t *object, json_t *cells);
/* Age of a RFC 3339 time: "5m", "<unknown>"; and the cell of metadata.creationTimestamp. */
void cells_add_age(json_t *cells, const char *timestamp);
void cells_add_created(json_t *cells, const json_t *object);
/* What a Deployment-like object's last wide columns hold: containers, images, selector. */
void cells_add_text(json_t *cells, const char *text);
