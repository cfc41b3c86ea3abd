/* cluster/control/replicaset.c - as many pods as a ReplicaSet asks for. */
#include "base/clock.h"
#include "cluster/control/control_internal.h"

enum { REPLICASET_BURST_MAX = 500 /* pods made or removed in one go, as Kubernetes */ };

static void enqueue(struct control *control, const struct object *object)
{
    control_enqueue(control, QUEUE_REPLICASET, object_namespace(object), object_name(object));
}

/* A pod: its owner; or, of an orphan, every ReplicaSet that would have it. */
static void on_pod(struct control *control, const struct object *pod)
{
    const json_t *owner = object_controller(pod);
    const char *kind = json_string_value(json_object_get(owner, "kind"));

    if (owner) {
        if (kind && strcmp(kind, "ReplicaSet") == 0)
            control_enqueue(control, QUEUE_REPLICASET, object_namespace(pod),
                            json_string_value(json_object_get(owner, "name")));
        return;
    }
    struct object_list sets = api_list(control->api, RES_REPLICASETS, object_namespace(pod));
    for (size_t i = 0; i < sets.count; i++)
        if (api_selector_matches(json_at(object_root(sets.items[i]), "spec.selector"),
                                 object_root(pod)))
            enqueue(control, sets.items[i]);
}

void replicaset_on_event(struct control *control, const struct store_event *event)
{
    if (event->resource->id == RES_REPLICASETS) {
        enqueue(control, event->object);
    } else if (event->resource->id == RES_PODS) {
        on_pod(control, event->object);
        if (event->old)
            on_pod(control, event->old);
    }
}

struct members {
    const struct object **pods; /* owned array of borrowed pods */
    size_t count;
};

static int set_owner(struct control *control, const struct object *pod, const struct object *set,
                     struct error *err)
{
    CLEANUP(json) json_t *copy = object_copy(pod);
    json_t *meta = json_object_get(copy, "metadata");
    json_t *owners = json_object_get(meta, "ownerReferences");

    if (!copy)
        return error_no_memory(err);
    if (set && !json_is_array(owners)) {
        owners = json_array();
        if (json_object_set_new(meta, "ownerReferences", owners) < 0)
            return error_no_memory(err);
    }
    if (set && json_array_append_new(owners, owner_reference_new(set)) < 0)
        return error_no_memory(err);
    for (size_t i = json_array_size(owners); !set && i-- > 0;)
        if (json_is_true(json_object_get(json_array_get(owners, i), "controller")) &&
            json_array_remove(owners, i) < 0)
            return error_no_memory(err);
    return api_update(control->api, RES_PODS, TAKE(copy), NULL, err);
}

/* Its own active pods. Orphans that match are adopted, own ones that no longer match are released.
 */
static int collect(struct control *control, const struct object *set, struct members *members,
                   struct error *err)
{
    const json_t *selector = json_at(object_root(set), "spec.selector");
    CLEANUP(object_set) struct object_set all = {0};

    if (store_list_copy(api_store(control->api), resource_get(RES_PODS), object_namespace(set),
                        &all, err) < 0)
        return -1;
    members->pods = calloc(all.count + 1, sizeof(*members->pods));
    if (!members->pods)
        return error_no_memory(err);
    for (size_t i = 0; i < all.count; i++) {
        const struct object *pod = all.items[i];
        bool is_ours = object_is_controlled_by(pod, set);
        bool matches = api_selector_matches(selector, object_root(pod));
        if (is_ours && !matches && !object_is_deleting(pod)) {
            if (set_owner(control, pod, NULL, err) < 0)
                return -1;
            continue;
        }
        if (!is_ours && matches && !object_controller(pod) && pod_is_active(pod) &&
            !object_is_deleting(set)) {
            if (set_owner(control, pod, set, err) < 0)
                return -1;
            is_ours = true;
        }
        if (is_ours && pod_is_active(pod)) {
            pod = api_get(control->api, RES_PODS, object_namespace(pod), object_name(pod));
            if (pod)
                members->pods[members->count++] = pod;
        }
    }
    return 0;
}

static json_t *pod_from_template(const struct object *set)
{
    json_t *template = json_at(object_root(set), "spec.template");
    json_t *meta = json_deep_copy(json_object_get(template, "metadata"));
    CLEANUP(text) char *prefix = str_format("%s-", object_name(set));

    if (!meta)
        meta = json_object();
    json_t *owner = owner_reference_new(set);
    if (!prefix || json_object_set_new(meta, "generateName", json_string(prefix)) < 0 ||
        json_object_set_new(meta, "namespace", json_string(object_namespace(set))) < 0 ||
        json_object_set_new(meta, "ownerReferences", json_pack("[o]", owner)) < 0) {
        json_decref(meta);
        return NULL;
    }
    (void)json_object_del(meta, "name"); /* names come from generateName; usually absent */
    (void)json_object_del(meta, "creationTimestamp");
    return json_pack("{s:s,s:s,s:o,s:o}", "apiVersion", "v1", "kind", "Pod", "metadata", meta,
                     "spec", json_deep_copy(json_object_get(template, "spec")));
}

static int make_pods(struct control *control, const struct object *set, int64_t count,
                     struct error *err)
{
    if (count > REPLICASET_BURST_MAX)
        count = REPLICASET_BURST_MAX;
    for (int64_t i = 0; i < count; i++) {
        json_t *pod = pod_from_template(set);
        const struct object *made;
        if (!pod)
            return error_no_memory(err);
        if (api_create(control->api, RES_PODS, pod, &made, err) < 0) {
            api_record_event(control->api, set, "Warning", "FailedCreate", "replicaset-controller",
                             "Error creating: %s", err->text);
            return -1;
        }
        api_record_event(control->api, set, "Normal", "SuccessfulCreate", "replicaset-controller",
                         "Created pod: %s", object_name(made));
    }
    return 0;
}

static int64_t restarts_of(const struct object *pod)
{
    const json_t *list = json_at(object_root(pod), "status.containerStatuses");
    int64_t sum = 0;
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)list, i, item)
    {
        sum += json_int_at(item, "restartCount", 0);
    }
    return sum;
}

static int rank_of(const struct object *pod)
{
    const char *phase = json_str_at(object_root(pod), "status.phase");
    if (!json_str_at(object_root(pod), "spec.nodeName"))
        return 0;
    if (!phase || strcmp(phase, "Running") != 0)
        return 1;
    return pod_is_ready(pod) ? 3 : 2;
}

static int64_t deletion_cost(const struct object *pod)
{
    const json_t *notes = json_at(object_root(pod), "metadata.annotations");
    const char *text =
        json_string_value(json_object_get(notes, "controller.kubernetes.io/pod-deletion-cost"));
    int64_t cost = 0;
    (void)str_to_i64(str_of(text ? text : ""), &cost); /* no number: 0, as Kubernetes */
    return cost;
}

/* The pod that is missed least comes first. */
static int compare_by_worth(const void *a, const void *b)
{
    const struct object *x = *(const struct object *const *)a,
                        *y = *(const struct object *const *)b;
    int64_t difference = rank_of(x) - rank_of(y);
    if (difference == 0)
        difference = deletion_cost(x) - deletion_cost(y);
    if (difference == 0)
        difference = restarts_of(y) - restarts_of(x);
    if (difference == 0)
        difference = object_created_s(y) - object_created_s(x); /* the newer goes */
    if (difference == 0)
        difference = object_revision(y) - object_revision(x);
    return difference < 0 ? -1 : difference > 0;
}

static int remove_pods(struct control *control, const struct object *set, struct members *members,
                       int64_t count, struct error *err)
{
    qsort(members->pods, members->count, sizeof(*members->pods), compare_by_worth);
    for (int64_t i = 0; i < count && i < (int64_t)members->count; i++) {
        CLEANUP(text) char *name = str_dup(str_of(object_name(members->pods[i])));
        if (!name)
            return error_no_memory(err);
        if (api_delete(control->api, RES_PODS, object_namespace(set), name, NULL, err) < 0) {
            if (err->kind != ERR_NOT_FOUND)
                return -1;
            error_clear(err);
        }
        api_record_event(control->api, set, "Normal", "SuccessfulDelete", "replicaset-controller",
                         "Deleted pod: %s", name);
    }
    return 0;
}

static bool has_labels_of_template(const struct object *pod, const struct object *set)
{
    const json_t *labels = json_at(object_root(set), "spec.template.metadata.labels");
    return json_object_size(labels) == 0 || api_labels_match(labels, object_root(pod));
}

/* status.replicas counts what is; so it is taken after pods were made or removed. `failure`: NULL
 * or why not. */
static int write_status(struct control *control, const struct object *set,
                        const struct error *failure, struct error *err)
{
    struct object_list pods = api_list(control->api, RES_PODS, object_namespace(set));
    int64_t min_ready_s = json_int_at(object_root(set), "spec.minReadySeconds", 0);
    int64_t replicas = 0, labelled = 0, ready = 0, available = 0, wait_ms = -1;
    CLEANUP(json) json_t *copy = object_copy(set);

    for (size_t i = 0; i < pods.count; i++) {
        const struct object *pod = pods.items[i];
        int64_t pod_wait_ms = -1;
        if (!object_is_controlled_by(pod, set) || !pod_is_active(pod))
            continue;
        replicas++;
        labelled += has_labels_of_template(pod, set);
        ready += pod_is_ready(pod);
        available += pod_is_available(pod, min_ready_s, &pod_wait_ms);
        if (pod_wait_ms >= 0 && (wait_ms < 0 || pod_wait_ms < wait_ms))
            wait_ms = pod_wait_ms;
    }
    if (wait_ms >= 0)
        control_enqueue_after(control, QUEUE_REPLICASET, object_namespace(set), object_name(set),
                              wait_ms + 1);
    json_t *status = json_pack("{s:I,s:I}", "replicas", replicas, "observedGeneration",
                               json_int_at(object_root(set), "metadata.generation", 1));
    const struct {
        const char *key;
        int64_t value;
    } counts[] = {{"fullyLabeledReplicas", labelled},
                  {"readyReplicas", ready},
                  {"availableReplicas", available}};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) /* zero is left out, as Kubernetes does */
        if (counts[i].value &&
            json_object_set_new(status, counts[i].key, json_integer(counts[i].value)) < 0)
            return error_no_memory(err);
    if (!copy || (failure && condition_set(status, "ReplicaFailure", "True", "FailedCreate",
                                           failure->text, false, err) < 0)) {
        json_decref(status);
        return error_no_memory(err);
    }
    if (json_equal(status, json_object_get(copy, "status"))) {
        json_decref(status);
        return 0;
    }
    if (json_object_set_new(copy, "status", status) < 0)
        return error_no_memory(err);
    return api_update_status(control->api, RES_REPLICASETS, TAKE(copy), NULL, err);
}

int replicaset_reconcile(struct control *control, const char *ns, const char *name,
                         struct error *err)
{
    CLEANUP(object) struct object *set = NULL;
    struct members members = {0};
    struct error failure = ERROR_INIT;
    const struct object *found = api_get(control->api, RES_REPLICASETS, ns, name);

    if (!found)
        return 0;
    set = object_ref(found);
    int failed = collect(control, set, &members, err);
    if (failed == 0 && !object_is_deleting(set)) {
        int64_t missing =
            json_int_at(object_root(set), "spec.replicas", 1) - (int64_t)members.count;
        if (missing > 0)
            failed = make_pods(control, set, missing, err);
        else if (missing < 0)
            failed = remove_pods(control, set, &members, -missing, err);
    }
    free(members.pods);
    if (failed < 0)
        failure = *err;
    struct error second = ERROR_INIT;
    if (write_status(control, set, failed < 0 ? &failure : NULL, &second) < 0 && failed == 0) {
        *err = second;
        return -1;
    }
    return failed;
}
