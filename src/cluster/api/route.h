/* cluster/api/route.h - what the path of a request names. */
#pragma once
#include "cluster/api/api_internal.h"

enum route_kind {
    ROUTE_NONE,
    ROUTE_RESOURCE, /* a collection, an object, or a subresource of it */
    ROUTE_ROOT,     /* "/" */
    ROUTE_API,      /* "/api" */
    ROUTE_APIS,     /* "/apis" */
    ROUTE_GROUP,    /* "/apis/GROUP" */
    ROUTE_VERSION,  /* "/api/v1", "/apis/GROUP/VERSION" */
    ROUTE_HEALTH,
    ROUTE_INFO, /* "/version" */
    ROUTE_OPENAPI_V2,
    ROUTE_OPENAPI_V3,      /* the index */
    ROUTE_OPENAPI_V3_PART, /* group and version say which */
    ROUTE_REGISTRY,        /* "/v2/…" */
};

enum { ROUTE_SEGMENTS_MAX = 10, ROUTE_SEGMENT_MAX = 512 };

struct route {
    enum route_kind kind;
    struct strv segments; /* decoded; the texts below are borrowed from it, or constant */
    const char *group;
    const char *version;
    const char *namespace_name; /* "" if none is named */
    const char *plural;
    const char *name;        /* "" for a collection */
    const char *subresource; /* "" if none */
};
#define ROUTE_INIT                                                                                 \
    {                                                                                              \
        0                                                                                          \
    }
void route_done(struct route *route);
DEFINE_CLEANUP_VALUE(route, struct route, route_done)

/* `raw_path` as sent, percent-encoded, without query. A path that names nothing is ROUTE_NONE.
 * INVALID: malformed encoding; LIMIT: too many or too long segments. */
NODISCARD int route_parse(const char *raw_path, struct route *ret, struct error *err);
