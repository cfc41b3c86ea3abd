/* cluster/control/deployment.c - rolls a Deployment's template out over its ReplicaSets.
 *
 * One pass: adopt and sort the sets, find or make the one of the current template, set sizes by
 * rollout.h, write the status. Every change of a set or its status leads to the next pass. */
#include <inttypes.h>

#include "base/clock.h"
#include "cluster/control/control_internal.h"
#include "cluster/control/deployment_internal.h"

#define REVISION "deployment.kubernetes.io/revision"

static void on_owned(struct control *control, const struct object *object, const char *ns)
{
    const json_t *owner = object_controller(object);
    const char *kind = json_string_value(json_object_get(owner, "kind"));
    if (kind && strcmp(kind, "Deployment") == 0)
        control_enqueue(control, QUEUE_DEPLOYMENT, ns,
                        json_string_value(json_object_get(owner, "name")));
}

void deployment_on_event(struct control *control, const struct store_event *event)
{
    const char *ns = object_namespace(event->object);

    if (event->resource->id == RES_DEPLOYMENTS) {
        control_enqueue(control, QUEUE_DEPLOYMENT, ns, object_name(event->object));
    } else if (event->resource->id == RES_REPLICASETS) {
        on_owned(control, event->object, ns);
    } else if (event->resource->id == RES_PODS && event->type == STORE_DELETED) {
        /* strategy Recreate waits for the last old pod; the pod's set may be gone with it */
        struct object_list all = api_list(control->api, RES_DEPLOYMENTS, ns);
        for (size_t i = 0; i < all.count; i++) {
            const char *type = json_str_at(object_root(all.items[i]), "spec.strategy.type");
            if (type && strcmp(type, "Recreate") == 0)
                control_enqueue(control, QUEUE_DEPLOYMENT, ns, object_name(all.items[i]));
        }
    }
}

static int64_t number_note(const json_t *root, const char *key)
{
    const char *text =
        json_string_value(json_object_get(json_at(root, "metadata.annotations"), key));
    int64_t number = 0;
    (void)str_to_i64(str_of(text ? text : ""), &number); /* absent or foreign: 0 */
    return number;
}

/* Equal but for the label that we add. */
static bool is_template_equal(const json_t *a, const json_t *b)
{
    CLEANUP(json) json_t *x = json_deep_copy(a);
    CLEANUP(json) json_t *y = json_deep_copy(b);

    for (int i = 0; i < 2; i++) {
        json_t *labels = json_at(i ? y : x, "metadata.labels");
        (void)json_object_del(labels, "pod-template-hash"); /* absent in one of them */
        if (json_object_size(labels) == 0)
            (void)json_object_del(json_object_get(i ? y : x, "metadata"), "labels");
        (void)json_object_del(json_object_get(i ? y : x, "metadata"), "creationTimestamp");
        if (json_object_size(json_object_get(i ? y : x, "metadata")) == 0)
            (void)json_object_del(i ? y : x, "metadata");
    }
    return x && y && json_equal(x, y);
}

static int compare_age(const void *a, const void *b)
{
    const struct deployment_set *x = a, *y = b;
    int64_t difference = x->revision - y->revision;
    if (difference == 0)
        difference = object_created_s(x->object) - object_created_s(y->object);
    return difference < 0 ? -1 : difference > 0;
}

void deployment_view_done(struct deployment_view *view)
{
    for (size_t i = 0; i < view->count; i++)
        object_unref(view->sets[i].object);
    free(view->sets);
    object_unref(view->deployment);
}

/* Its ReplicaSets, oldest first; marks the one of the current template. */
static int look(struct control *control, struct deployment_view *view, struct error *err)
{
    const json_t *template = json_at(object_root(view->deployment), "spec.template");
    struct object_list all =
        api_list(control->api, RES_REPLICASETS, object_namespace(view->deployment));

    view->sets = calloc(all.count + 1, sizeof(*view->sets));
    if (!view->sets)
        return error_no_memory(err);
    for (size_t i = 0; i < all.count; i++) {
        if (!object_is_controlled_by(all.items[i], view->deployment))
            continue;
        struct deployment_set *set = &view->sets[view->count++];
        const json_t *root = object_root(all.items[i]);
        set->object = object_ref(all.items[i]);
        set->revision = number_note(root, REVISION);
        set->size = (struct rollout_set){
            .replicas = json_int_at(root, "spec.replicas", 1),
            .available = json_int_at(root, "status.availableReplicas", 0),
            .max_replicas = number_note(root, "deployment.kubernetes.io/max-replicas"),
        };
    }
    qsort(view->sets, view->count, sizeof(*view->sets), compare_age);
    for (size_t i = 0; i < view->count && !view->newest; i++)
        if (is_template_equal(json_at(object_root(view->sets[i].object), "spec.template"),
                              template)) {
            view->sets[i].size.is_new = true;
            view->newest = &view->sets[i];
        }
    return 0;
}

/* FNV-1a of the template and the collision count, in the letters of generated names. */
static int template_hash(const struct object *deployment, char out[16], struct error *err)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    CLEANUP(buf) struct buf text = BUF_INIT(STORE_OBJECT_MAX);
    char digits[16];
    uint32_t hash = 2166136261U;

    if (json_write(json_at(object_root(deployment), "spec.template"), true, &text, err) < 0)
        return -1;
    buf_addf(&text, "%" PRId64, json_int_at(object_root(deployment), "status.collisionCount", 0));
    if (buf_ok(&text, err) < 0)
        return -1;
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (uint8_t)text.ptr[i]) * 16777619U;
    (void)snprintf(digits, sizeof(digits), "%u", hash);
    size_t i = 0;
    for (; digits[i]; i++)
        out[i] = letters[(unsigned char)digits[i] % (sizeof(letters) - 1)];
    out[i] = '\0';
    return 0;
}

static int64_t next_revision(const struct deployment_view *view)
{
    int64_t last = 0;
    for (size_t i = 0; i < view->count; i++)
        if (!view->sets[i].size.is_new && view->sets[i].revision > last)
            last = view->sets[i].revision;
    return last + 1;
}

/* Annotations that a set has from its Deployment. */
static json_t *set_notes(const struct deployment_view *view, int64_t revision)
{
    json_t *notes = json_deep_copy(json_at(object_root(view->deployment), "metadata.annotations"));
    CLEANUP(text) char *text = str_format("%" PRId64, revision);
    CLEANUP(text) char *desired = str_format("%" PRId64, view->limits.desired);
    CLEANUP(text) char *most = str_format("%" PRId64, view->limits.desired + view->limits.surge);

    if (!notes)
        notes = json_object();
    (void)json_object_del(notes,
                          "kubectl.kubernetes.io/last-applied-configuration"); /* may be absent */
    if (!text || !desired || !most || json_object_set_new(notes, REVISION, json_string(text)) < 0 ||
        json_object_set_new(notes, "deployment.kubernetes.io/desired-replicas",
                            json_string(desired)) < 0 ||
        json_object_set_new(notes, "deployment.kubernetes.io/max-replicas", json_string(most)) <
            0) {
        json_decref(notes);
        return NULL;
    }
    return notes;
}

static json_t *new_set_object(const struct deployment_view *view, const char *hash,
                              int64_t replicas)
{
    const json_t *spec = json_at(object_root(view->deployment), "spec");
    json_t *template = json_deep_copy(json_object_get(spec, "template"));
    json_t *selector = json_deep_copy(json_object_get(spec, "selector"));
    CLEANUP(text) char *name = str_format("%s-%s", object_name(view->deployment), hash);
    struct error err = ERROR_INIT;

    if (!json_object_get(selector, "matchLabels"))
        (void)json_object_set_new(selector, "matchLabels",
                                  json_object()); /* checked by the next set */
    if (!name || !template ||
        json_set_at(template, "metadata.labels.pod-template-hash", json_string(hash), &err) < 0 ||
        json_object_set_new(json_object_get(selector, "matchLabels"), "pod-template-hash",
                            json_string(hash)) < 0) {
        json_decref(template);
        json_decref(selector);
        return NULL;
    }
    return json_pack(
        "{s:s,s:s,s:{s:s,s:s,s:O,s:o,s:[o]},s:{s:I,s:I,s:o,s:o}}", "apiVersion", "apps/v1", "kind",
        "ReplicaSet", "metadata", "name", name, "namespace", object_namespace(view->deployment),
        "labels", json_at(template, "metadata.labels"), "annotations",
        set_notes(view, next_revision(view)), "ownerReferences",
        owner_reference_new(view->deployment), "spec", "replicas", replicas, "minReadySeconds",
        json_int_at(spec, "minReadySeconds", 0), "selector", selector, "template", template);
}

/* A name clash with a foreign set counts up collisionCount, which changes the hash. */
static int count_collision(struct control *control, struct deployment_view *view, struct error *err)
{
    CLEANUP(json) json_t *copy = object_copy(view->deployment);
    int64_t count = json_int_at(copy, "status.collisionCount", 0) + 1;

    error_clear(err);
    if (!copy || json_set_at(copy, "status.collisionCount", json_integer(count), err) < 0)
        return error_no_memory(err);
    return api_update_status(control->api, RES_DEPLOYMENTS, TAKE(copy), NULL, err);
}

/* As large as the limits allow from the start: one write less, and pods start in this turn. */
static int make_new_set(struct control *control, struct deployment_view *view, struct error *err)
{
    struct rollout_set *sizes = calloc(view->count + 1, sizeof(*sizes));
    const struct object *made;
    char hash[16];

    if (!sizes)
        return error_no_memory(err);
    for (size_t i = 0; i < view->count; i++)
        sizes[i] = view->sets[i].size;
    sizes[view->count].is_new = true;
    if (!view->is_recreate || deployment_old_pods(control, view) == 0)
        (void)rollout_grow_new(sizes, view->count + 1, &view->limits);
    int64_t replicas = sizes[view->count].replicas;
    free(sizes);

    if (template_hash(view->deployment, hash, err) < 0)
        return -1;
    json_t *set = new_set_object(view, hash, replicas);
    if (!set)
        return error_no_memory(err);
    if (api_create(control->api, RES_REPLICASETS, set, &made, err) < 0)
        return err->kind == ERR_CONFLICT ? count_collision(control, view, err) : -1;
    view->made_set = true;
    if (replicas)
        api_record_event(control->api, view->deployment, "Normal", "ScalingReplicaSet",
                         "deployment-controller", "Scaled up replica set %s to %" PRId64,
                         object_name(made), replicas);
    return 0;
}

/* Writes sizes that changed, and the annotations that follow from the Deployment. */
static int write_set(struct control *control, struct deployment_view *view,
                     struct deployment_set *set, struct error *err)
{
    CLEANUP(json) json_t *copy = object_copy(set->object);
    int64_t before = json_int_at(copy, "spec.replicas", 1);
    int64_t revision = set->revision;

    if (!copy)
        return error_no_memory(err);
    if (set->size.is_new && revision < next_revision(view))
        revision = next_revision(view);
    json_t *notes = set_notes(view, revision);
    if (!set->size.is_new && notes) { /* an old set keeps what it was made with, but its sizes */
        json_t *kept = json_deep_copy(json_at(copy, "metadata.annotations"));
        static const char *const sizes[] = {"deployment.kubernetes.io/desired-replicas",
                                            "deployment.kubernetes.io/max-replicas"};
        if (!kept)
            kept = json_object();
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
            if (json_object_set(kept, sizes[i], json_object_get(notes, sizes[i])) < 0)
                return error_no_memory(err);
        json_decref(notes);
        notes = kept;
    }
    if (!notes || json_set_at(copy, "metadata.annotations", notes, err) < 0 ||
        json_set_at(copy, "spec.replicas", json_integer(set->size.replicas), err) < 0 ||
        json_set_at(
            copy, "spec.minReadySeconds",
            json_integer(json_int_at(object_root(view->deployment), "spec.minReadySeconds", 0)),
            err) < 0)
        return error_no_memory(err);
    if (json_equal(copy, object_root(set->object)))
        return 0;
    if (before != set->size.replicas)
        api_record_event(control->api, view->deployment, "Normal", "ScalingReplicaSet",
                         "deployment-controller", "Scaled %s replica set %s to %" PRId64,
                         before < set->size.replicas ? "up" : "down", object_name(set->object),
                         set->size.replicas);
    return api_update(control->api, RES_REPLICASETS, TAKE(copy), NULL, err);
}

/* The Deployment carries the revision of its newest set. */
static int write_revision(struct control *control, struct deployment_view *view, struct error *err)
{
    int64_t revision = next_revision(view);
    CLEANUP(json) json_t *copy = NULL;
    CLEANUP(text) char *text = NULL;
    const struct object *written;

    if (view->newest && view->newest->revision > revision)
        revision = view->newest->revision;
    if (number_note(object_root(view->deployment), REVISION) == revision)
        return 0;
    copy = object_copy(view->deployment);
    text = str_format("%" PRId64, revision);
    if (!copy || !text)
        return error_no_memory(err);
    json_t *notes = json_at(copy, "metadata.annotations");
    if (!notes) {
        notes = json_object();
        if (json_set_at(copy, "metadata.annotations", notes, err) < 0)
            return -1;
    }
    if (json_object_set_new(notes, REVISION, json_string(text)) < 0)
        return error_no_memory(err);
    if (api_update(control->api, RES_DEPLOYMENTS, TAKE(copy), &written, err) < 0)
        return -1;
    object_unref(view->deployment);
    view->deployment = object_ref(written);
    return 0;
}

static bool was_scaled(const struct deployment_view *view)
{
    for (size_t i = 0; i < view->count; i++) {
        const json_t *root = object_root(view->sets[i].object);
        if (view->sets[i].size.replicas > 0 &&
            number_note(root, "deployment.kubernetes.io/desired-replicas") != view->limits.desired)
            return true;
    }
    return false;
}

/* What the sizes should be now. */
static void plan(struct control *control, struct deployment_view *view, struct rollout_set *sizes)
{
    if (view->is_paused || was_scaled(view)) {
        (void)rollout_scale(sizes, view->count, &view->limits, !view->is_recreate);
        return;
    }
    if (view->is_recreate) {
        for (size_t i = 0; i < view->count; i++)
            if (!sizes[i].is_new)
                sizes[i].replicas = 0;
        if (deployment_old_pods(control, view) == 0)
            for (size_t i = 0; i < view->count; i++)
                if (sizes[i].is_new)
                    sizes[i].replicas = view->limits.desired;
        return;
    }
    if (!rollout_grow_new(sizes, view->count, &view->limits))
        (void)rollout_shrink_old(sizes, view->count, &view->limits);
}

static int resize(struct control *control, struct deployment_view *view, struct error *err)
{
    struct rollout_set *sizes = calloc(view->count + 1, sizeof(*sizes));

    if (!sizes)
        return error_no_memory(err);
    for (size_t i = 0; i < view->count; i++)
        sizes[i] = view->sets[i].size;
    plan(control, view, sizes);
    for (size_t i = 0; i < view->count; i++)
        view->sets[i].size = sizes[i];
    free(sizes);
    for (size_t i = 0; i < view->count; i++)
        if (write_set(control, view, &view->sets[i], err) < 0)
            return -1;
    return 0;
}

int deployment_reconcile(struct control *control, const char *ns, const char *name,
                         struct error *err)
{
    CLEANUP(deployment_view) struct deployment_view view = {0};
    const struct object *found = api_get(control->api, RES_DEPLOYMENTS, ns, name);

    if (!found || object_is_deleting(found))
        return 0; /* its sets go with it: garbage.c */
    const json_t *spec = json_object_get(object_root(found), "spec");
    const char *type = json_str_at(spec, "strategy.type");
    view.deployment = object_ref(found);
    view.is_recreate = type && strcmp(type, "Recreate") == 0;
    view.is_paused = json_bool_at(spec, "paused", false);
    view.limits = rollout_limits_of(json_int_at(spec, "replicas", 1),
                                    json_at(spec, "strategy.rollingUpdate.maxSurge"),
                                    json_at(spec, "strategy.rollingUpdate.maxUnavailable"));
    if (view.is_recreate) {
        view.limits.surge = 0;
        view.limits.unavailable = view.limits.desired;
    }
    if (look(control, &view, err) < 0)
        return -1;
    int failed = 0;
    if (!view.newest && !view.is_paused) /* what follows is the next pass, which its event brings */
        failed = make_new_set(control, &view, err);
    else
        failed = resize(control, &view, err);
    if (failed == 0 && !view.is_paused)
        failed = write_revision(control, &view, err);

    struct error failure = *err, second = ERROR_INIT;
    if (deployment_write_status(control, &view, failed < 0 ? &failure : NULL, &second) < 0 &&
        failed == 0) {
        *err = second;
        return -1;
    }
    return failed;
}
