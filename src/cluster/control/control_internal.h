/* cluster/control/control_internal.h - what the controllers share: one queue of names, and small
 * questions about objects. */
#pragma once
#include "cluster/control/control.h"

enum control_queue {
    QUEUE_POD, /* scheduler */
    QUEUE_REPLICASET,
    QUEUE_DEPLOYMENT,
    QUEUE_SERVICE, /* its endpoints */
    QUEUE_NAMESPACE,
    QUEUE_GARBAGE, /* "<plural>/<name>" of an object that may have to go */
    QUEUE_BUDGET,
    QUEUE_COUNT,
};

struct control {
    struct loop *loop; /* borrowed */
    struct api *api;   /* borrowed */
    unsigned index;
    char *node_name; /* owned */
    char *ca_pem;    /* owned */
    bool is_node_ready;
    json_t *queue;             /* owned: "<q>/<namespace>/<name>" → null, in order of arrival */
    json_t *later;             /* owned: the same → monotonic ms when it is due */
    struct loop_timer *drain;  /* owned by the loop; NULL: nothing is queued */
    struct loop_timer *alarm;  /* owned by the loop: the earliest of `later`; NULL: none */
    struct store_watch *watch; /* owned */
};

void control_enqueue(struct control *control, enum control_queue queue, const char *namespace_name,
                     const char *name);
/* At the latest in `after_ms`; an earlier date that is noted already stays. */
void control_enqueue_after(struct control *control, enum control_queue queue,
                           const char *namespace_name, const char *name, int64_t after_ms);

/* One call for each queue. They report by returning -1: the name is tried again, with a pause. */
int scheduler_reconcile(struct control *control, const char *ns, const char *name,
                        struct error *err);
int replicaset_reconcile(struct control *control, const char *ns, const char *name,
                         struct error *err);
int deployment_reconcile(struct control *control, const char *ns, const char *name,
                         struct error *err);
int endpoints_reconcile(struct control *control, const char *ns, const char *name,
                        struct error *err);
int namespace_reconcile(struct control *control, const char *ns, const char *name,
                        struct error *err);
int garbage_reconcile(struct control *control, const char *ns, const char *name, struct error *err);
int disruption_reconcile(struct control *control, const char *ns, const char *name,
                         struct error *err);

/* What an event means to each controller: they enqueue. */
void scheduler_on_event(struct control *control, const struct store_event *event);
void replicaset_on_event(struct control *control, const struct store_event *event);
void deployment_on_event(struct control *control, const struct store_event *event);
void endpoints_on_event(struct control *control, const struct store_event *event);
void namespace_on_event(struct control *control, const struct store_event *event);
void garbage_on_event(struct control *control, const struct store_event *event);
void disruption_on_event(struct control *control, const struct store_event *event);

/* Create or refresh the Node and its status. */
NODISCARD int node_object_write(struct control *control, struct error *err);

/* Writes `take_object` unless an object with the same content (but metadata that the server sets)
 * is there: creates, or replaces. */
NODISCARD int control_apply(struct control *control, enum resource_id id, json_t *take_object,
                            struct error *err);

/* --- questions about objects --- */
json_t *object_copy(const struct object *object); /* deep; NULL without memory */
/* The owner reference with controller: true, or NULL. Borrowed. */
const json_t *object_controller(const struct object *object);
const char *object_controller_uid(const struct object *object); /* "" if none */
bool object_is_controlled_by(const struct object *object, const struct object *owner);
int64_t object_created_s(const struct object *object);
/* {"apiVersion","kind","name","uid","controller":true,"blockOwnerDeletion":true}; new, NULL without
 * memory */
json_t *owner_reference_new(const struct object *owner);
/* A condition of status.conditions by type; NULL. Borrowed. */
const json_t *condition_find(const json_t *status, const char *type);
/* Sets it: lastTransitionTime changes with `status`, lastUpdateTime (if `with_update`) with
 * anything. */
NODISCARD int condition_set(json_t *status, const char *type, const char *value, const char *reason,
                            const char *message, bool with_update, struct error *err);

bool pod_is_ready(const struct object *pod);
bool pod_is_active(const struct object *pod); /* not deleting, neither Succeeded nor Failed */
/* Ready for min_ready_s; if not yet but ready, *ret_wait_ms is when (else untouched). */
bool pod_is_available(const struct object *pod, int64_t min_ready_s, int64_t *ret_wait_ms);
