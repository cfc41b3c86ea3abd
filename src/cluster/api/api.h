/* cluster/api/api.h - the Kubernetes API of an embedded cluster: what it means to create, update,
 * patch and delete an object. Read this header, then:
 *
 * - resources.h: the table of kinds; store.h: objects in memory and SQLite, watches
 * - server.h: the same over HTTPS; status.h: Kubernetes Status objects, errors word for word
 * - schema.h: fields and list keys, for decode.h (types), strategic.h, apply.h, fields.h and
 * OpenAPI
 * - defaults.h, validate.h, selector.h, patch.h, cells.h (the columns of `kubectl get`)
 *
 * Controllers use the calls below: in the same process, without HTTP, with the same defaults and
 * checks. They do not wait for the disk: the log keeps the order of writes, so after a crash an
 * effect never lacks its cause.
 *
 * Division of labour. This folder: defaults, validation, resourceVersion, generation, uid,
 * clusterIP and nodePort allocation, finalizers, graceful deletion of pods (sets
 * deletionTimestamp), namespace phase Terminating, a new namespace's
 * ServiceAccount "default", forgetting Events after an hour. control/: the garbage collector (owner
 * references; finalizers "foregroundDeletion" and "orphan"), emptying of Terminating namespaces
 * (then api_finalize_namespace()), everything else that acts. node/: removes a terminated pod with
 * api_delete() and grace_s 0.
 *
 * Logs: LOGS/<namespace>_<pod>_<uid>/<container>/<restart>.log, plain lines as the container wrote
 * them; <restart> is the container's restartCount while it ran, from 0. */
#pragma once
#include "cluster/api/resources.h"
#include "cluster/api/store.h"

struct api;

struct api_options {
    struct loop *loop;
    const char *store_path; /* HOME/clusters/NAME/store.db; NULL: memory only (tests) */
    const char *logs_dir;   /* HOME/clusters/NAME/logs, or NULL: no logs */
    unsigned cluster_index; /* i of 10.96.i.0/24; node ports 30000+(i-1)*300 … +299 */
};

/* Opens the store and makes what every cluster has: namespaces default, kube-system, kube-public,
 * kube-node-lease, each with ServiceAccount "default"; Service default/kubernetes at 10.96.i.1:443.
 */
NODISCARD int api_new(const struct api_options *options, struct api **ret, struct error *err);
void api_free(struct api *api);
DEFINE_CLEANUP(api, struct api *, api_free)

struct store *api_store(struct api *api); /* for reading and watching */

/* Borrowed until the loop turns next; NULL if absent. */
const struct object *api_get(struct api *api, enum resource_id id, const char *namespace_name,
                             const char *name);
struct object_list api_list(struct api *api, enum resource_id id, const char *namespace_name);

/* The object needs kind, apiVersion not; its metadata.namespace and .name say where (generateName
 * works). ret_object may be NULL; borrowed until the loop turns next. Errors: CONFLICT (exists, or
 * changed since), INVALID (all faults in one text), NOT_FOUND, DENIED (namespace is terminating),
 * LIMIT. */
NODISCARD int api_create(struct api *api, enum resource_id id, json_t *take_object,
                         const struct object **ret_object, struct error *err);
/* Replaces it all but status. With metadata.resourceVersion: CONFLICT if it is not the stored one.
 */
NODISCARD int api_update(struct api *api, enum resource_id id, json_t *take_object,
                         const struct object **ret_object, struct error *err);
/* Replaces only status (and takes labels and annotations from what is stored). */
NODISCARD int api_update_status(struct api *api, enum resource_id id, json_t *take_object,
                                const struct object **ret_object, struct error *err);
/* RFC 7386 merge patch, on the object or (is_status) on its status: `{"status":{…}}`. */
NODISCARD int api_merge_patch(struct api *api, enum resource_id id, const char *namespace_name,
                              const char *name, bool is_status, const json_t *patch,
                              const struct object **ret_object, struct error *err);

struct api_delete_options {
    int64_t grace_s;         /* pods; -1: the pod's own. 0: at once */
    const char *propagation; /* "Background", "Foreground", "Orphan"; NULL: Background */
    const char *uid;         /* NULL, or CONFLICT if it is another */
};
#define API_DELETE_OPTIONS_INIT                                                                    \
    {                                                                                              \
        .grace_s = -1                                                                              \
    }
/* NOT_FOUND; CONFLICT. The object may stay for a while: finalizers, a pod's grace. options may be
 * NULL. */
NODISCARD int api_delete(struct api *api, enum resource_id id, const char *namespace_name,
                         const char *name, const struct api_delete_options *options,
                         struct error *err);
/* Takes "kubernetes" out of spec.finalizers of a Terminating namespace: it is gone after. */
NODISCARD int api_finalize_namespace(struct api *api, const char *name, struct error *err);

/* An Event about `object` (its kind, uid, … are filled in); the same reason and message again
 * within the hour count up instead of a new one. type is "Normal" or "Warning"; component e.g.
 * "kubelet". Failing to record is no error: it is logged at debug level. */
void api_record_event(struct api *api, const struct object *object, const char *type,
                      const char *reason, const char *component, const char *format, ...)
    PRINTF_LIKE(6, 7);

/* A label selector object {matchLabels, matchExpressions} against an object's metadata.labels. NULL
 * or not an object matches nothing; {} matches all. For plain maps (Service spec.selector):
 * api_labels_match(). */
bool api_selector_matches(const json_t *label_selector, const json_t *object);
bool api_labels_match(const json_t *wanted_labels,
                      const json_t *object); /* {} and NULL match nothing */
