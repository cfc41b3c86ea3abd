/* cluster/api/resources.h - the table of kinds that the server knows.
 *
 * A kind is one row: its names, where it lives, what may be done with it, and how it is defaulted,
 * checked and shown. A kind is in the table only if something in the cluster acts on it, or storing
 * it is all it is for. */
#pragma once
#include "wire/json.h"

enum resource_id {
    RES_NAMESPACES,
    RES_NODES,
    RES_PODS,
    RES_SERVICES,
    RES_ENDPOINTS,
    RES_CONFIGMAPS,
    RES_SECRETS,
    RES_SERVICEACCOUNTS,
    RES_EVENTS,
    RES_DEPLOYMENTS,
    RES_REPLICASETS,
    RES_ENDPOINTSLICES,
    RES_NETWORKPOLICIES,
    RES_PODDISRUPTIONBUDGETS,
    RES_LEASES,
    RES_ROLES,
    RES_ROLEBINDINGS,
    RES_CLUSTERROLES,
    RES_CLUSTERROLEBINDINGS,
    RES_COUNT,
};

enum resource_flags {
    RESOURCE_NAMESPACED = 1 << 0,
    RESOURCE_HAS_STATUS = 1 << 1,     /* /status; the main resource ignores changes of status */
    RESOURCE_HAS_SCALE = 1 << 2,      /* /scale */
    RESOURCE_HAS_GENERATION = 1 << 3, /* metadata.generation counts changes of spec */
    RESOURCE_IN_ALL = 1 << 4,         /* category "all" */
    RESOURCE_LABEL_NAME = 1 << 5,     /* the name is a DNS label (RFC 1123), not a subdomain */
    RESOURCE_LABEL_1035 = 1 << 6,     /* the name is a DNS label of RFC 1035 (no digit first) */
    RESOURCE_PATH_NAME = 1 << 7,      /* any name that may stand in a path (RBAC's "system:node") */
};

struct api;
struct causes;    /* status.h */
struct table_row; /* table.h */

struct table_column {
    const char *name;
    const char *type;   /* "string", "integer", … */
    const char *format; /* "name" or "" */
    int priority;       /* above 0: only with -o wide */
    const char *help;
};

struct resource {
    enum resource_id id;
    const char *group; /* "" is the core group */
    const char *version;
    const char *other_version; /* also served under this version with the same shape, or NULL */
    const char *plural;
    const char *singular;
    const char *kind;
    const char *short_names; /* words with one blank between, or "" */
    unsigned flags;          /* enum resource_flags */
    const char *
        field_labels; /* words: what a fieldSelector may name beside metadata.name and .namespace */
    /* Fills in what was left out, in place. NULL: nothing to do. -1 without memory. */
    int (*set_defaults)(json_t *object);
    /* Adds every fault; `old` is NULL on creation. NULL: metadata alone is checked. */
    void (*validate)(const json_t *object, const json_t *old, struct causes *causes);
    const struct table_column *columns; /* ended by {NULL}; NULL: Name and Age */
    /* The cells of one object, one json value a column; NULL with columns NULL. */
    void (*add_cells)(const json_t *object, json_t *cells);
};

const struct resource *resource_get(enum resource_id id);
/* By group, version (NULL: any) and plural name; NULL if it is not served. */
const struct resource *resource_find(const char *group, const char *version, const char *plural);
const struct resource *resource_find_kind(const char *api_version, const char *kind);
/* "v1", "apps/v1" into `out`; returns it. */
enum { API_VERSION_SIZE = 128 };
const char *resource_api_version(const struct resource *res, char out[API_VERSION_SIZE]);
static inline bool resource_is_namespaced(const struct resource *res)
{
    return (res->flags & RESOURCE_NAMESPACED) != 0;
}
