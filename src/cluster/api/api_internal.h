/* cluster/api/api_internal.h - the api's state, and the verbs as requests know them. */
#pragma once
#include "cluster/api/api.h"
#include "cluster/api/schema.h"
#include "cluster/api/status.h"

struct api {
    struct store *store;   /* owned */
    struct schema *schema; /* owned */
    struct loop *loop;     /* borrowed; may be NULL (tests) */
    char *logs_dir;        /* owned; may be NULL */
    unsigned cluster_index;
    unsigned next_address;                      /* last byte of the clusterIP to try next */
    unsigned next_node_port;                    /* offset in the range */
    struct loop_timer *purge;                   /* the loop's: forgets old Events */
    const struct schema_type *types[RES_COUNT]; /* borrowed: schema */
};

enum subresource { SUB_NONE, SUB_STATUS, SUB_SCALE, SUB_EVICTION, SUB_LOG, SUB_FINALIZE, SUB_EXEC };
enum field_validation { FIELDS_IGNORE, FIELDS_WARN, FIELDS_STRICT };

/* A change that somebody asks for. */
struct verb {
    struct api *api;
    const struct resource *res;
    const char *api_version;    /* "apps/v1": as asked for */
    const char *namespace_name; /* "" if cluster-scoped */
    const char *name;           /* "" for create */
    enum subresource sub;       /* SUB_NONE, SUB_STATUS, SUB_SCALE */
    const char *manager;        /* of managedFields; NULL: not tracked (in-process) */
    enum field_validation validation;
    bool dry_run;
    bool force;            /* apply: take fields over from others */
    bool is_apply;         /* the tree brings its managedFields: they are stored as they are */
    struct strv *warnings; /* borrowed; may be NULL */
};

/* Each gives in *ret_object a reference (the caller's), also on a dry run, where nothing is stored.
 */
NODISCARD int verb_create(const struct verb *v, json_t *take_object, struct object **ret_object,
                          struct status *status);
/* PUT: all but status, or (SUB_STATUS) only it. */
NODISCARD int verb_update(const struct verb *v, json_t *take_object, struct object **ret_object,
                          struct status *status);

struct delete_request {
    int64_t grace_s;         /* -1: not given */
    const char *propagation; /* NULL: not given */
    const char *uid;         /* NULL: any */
    const char *revision;    /* NULL: any */
};
/* *ret_is_gone: removed now (*ret_object is its last state), else it stays for a while. */
NODISCARD int verb_delete(const struct verb *v, const struct delete_request *request,
                          struct object **ret_object, bool *ret_is_gone, struct status *status);

/* Steps shared with patch and apply. `take_new` replaces `old` (a reference that the caller holds);
 * server-set fields come from `old`. Checks resourceVersion, sets defaults, validates, tracks
 * fields, stores. */
NODISCARD int verb_replace(const struct verb *v, const struct object *old, json_t *take_new,
                           struct object **ret_object, struct status *status);
/* Body → tree of the kind: types, unknown fields by v->validation, apiVersion and kind. */
NODISCARD int verb_decode(const struct verb *v, json_t *object, struct status *status);
/* The object named, or NotFound. Borrowed. */
const struct object *verb_find(const struct verb *v, struct status *status);

/* service_address.c. An update that leaves addresses and ports out keeps what was given before; -1
 * without memory. Then, after validation: those that are still missing. */
NODISCARD int service_keep_allocated(json_t *service, const json_t *old);
NODISCARD int service_allocate(struct api *api, json_t *service, struct status *status);
