/* cluster/control/deployment_status.c - what a Deployment says of itself, as `kubectl rollout
 * status` reads it. Source: Kubernetes, pkg/controller/deployment/progress.go and sync.go. */
#include <inttypes.h>

#include "base/clock.h"
#include "cluster/control/deployment_internal.h"

size_t deployment_old_pods(struct control *control, const struct deployment_view *view)
{
    struct object_list pods = api_list(control->api, RES_PODS, object_namespace(view->deployment));
    size_t count = 0;

    for (size_t p = 0; p < pods.count; p++)
        for (size_t i = 0; i < view->count; i++)
            if (!view->sets[i].size.is_new &&
                object_is_controlled_by(pods.items[p], view->sets[i].object))
                count++;
    return count;
}

struct counts {
    int64_t replicas, updated, ready, available, old_replicas;
    int64_t spec_total; /* sum of spec.replicas */
};

static struct counts count_sets(struct control *control, const struct deployment_view *view)
{
    struct counts counts = {0};
    struct object_list all =
        api_list(control->api, RES_REPLICASETS, object_namespace(view->deployment));

    for (size_t i = 0; i < all.count; i++) { /* as they are now, after our writes */
        const json_t *root = object_root(all.items[i]);
        if (!object_is_controlled_by(all.items[i], view->deployment))
            continue;
        int64_t replicas = json_int_at(root, "status.replicas", 0);
        bool is_new =
            view->newest && strcmp(object_uid(view->newest->object), object_uid(all.items[i])) == 0;
        counts.replicas += replicas;
        counts.ready += json_int_at(root, "status.readyReplicas", 0);
        counts.available += json_int_at(root, "status.availableReplicas", 0);
        counts.spec_total += json_int_at(root, "spec.replicas", 1);
        if (is_new)
            counts.updated += replicas;
        else
            counts.old_replicas += replicas;
    }
    return counts;
}

static json_t *status_of(const struct deployment_view *view, const struct counts *counts)
{
    const json_t *root = object_root(view->deployment);
    const json_t *old = json_object_get(root, "status");
    json_t *status =
        json_pack("{s:I}", "observedGeneration", json_int_at(root, "metadata.generation", 1));
    int64_t unavailable = view->limits.desired - counts->available;
    const struct {
        const char *key;
        int64_t value;
    } fields[] = {
        {"replicas", counts->replicas},
        {"updatedReplicas", counts->updated},
        {"readyReplicas", counts->ready},
        {"availableReplicas", counts->available},
        {"unavailableReplicas", unavailable > 0 ? unavailable : 0},
        {"collisionCount", json_int_at(old, "collisionCount", 0)},
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) /* zero is left out, as Kubernetes does */
        if (fields[i].value &&
            json_object_set_new(status, fields[i].key, json_integer(fields[i].value)) < 0)
            goto no_memory;
    if (json_object_get(old, "conditions") &&
        json_object_set_new(status, "conditions",
                            json_deep_copy(json_object_get(old, "conditions"))) < 0)
        goto no_memory;
    return status;
no_memory:
    json_decref(status);
    return NULL;
}

static bool is_complete(const struct deployment_view *view, const struct counts *counts)
{
    int64_t desired = view->limits.desired;
    return view->newest && counts->updated == desired && counts->replicas == desired &&
           counts->available == desired;
}

static bool has_progressed(const json_t *old, const struct counts *counts)
{
    return counts->updated > json_int_at(old, "updatedReplicas", 0) ||
           counts->ready > json_int_at(old, "readyReplicas", 0) ||
           counts->available > json_int_at(old, "availableReplicas", 0) ||
           counts->old_replicas <
               json_int_at(old, "replicas", 0) - json_int_at(old, "updatedReplicas", 0);
}

static const char *text_of(const json_t *condition, const char *key)
{
    const char *text = json_string_value(json_object_get(condition, key));
    return text ? text : "";
}

/* Without progress for progressDeadlineSeconds it is False; asks to be called again by then. */
static int set_overdue(struct control *control, const struct deployment_view *view, json_t *status,
                       struct error *err)
{
    const json_t *progressing = condition_find(status, "Progressing");
    int64_t deadline_s =
        json_int_at(object_root(view->deployment), "spec.progressDeadlineSeconds", 600);
    const char *reason = text_of(progressing, "reason");
    int64_t since = clock_now_s();
    char message[400];

    if (!progressing || strcmp(reason, "NewReplicaSetAvailable") == 0 ||
        strcmp(reason, "ProgressDeadlineExceeded") == 0 ||
        strcmp(text_of(progressing, "status"), "Unknown") == 0)
        return 0;
    (void)clock_parse_rfc3339(str_of(text_of(progressing, "lastUpdateTime")), &since); /* ours */
    int64_t left_s = since + deadline_s - clock_now_s();
    if (left_s >= 0) {
        control_enqueue_after(control, QUEUE_DEPLOYMENT, object_namespace(view->deployment),
                              object_name(view->deployment), (left_s + 1) * 1000);
        return 0;
    }
    (void)snprintf(message, sizeof(message), "ReplicaSet \"%s\" has timed out progressing.",
                   view->newest ? object_name(view->newest->object) : "");
    return condition_set(status, "Progressing", "False", "ProgressDeadlineExceeded", message, true,
                         err);
}

/* lastUpdateTime is when progress was last seen: it moves with each step. */
static int note_progress(json_t *status, const char *reason, const char *message, struct error *err)
{
    json_t *condition = (json_t *)condition_find(status, "Progressing");
    char now[CLOCK_TEXT_SIZE];

    if (condition_set(status, "Progressing", "True", reason, message, true, err) < 0)
        return -1;
    if (condition && json_object_set_new(condition, "lastUpdateTime",
                                         json_string(clock_rfc3339(clock_now_s(), now))) < 0)
        return error_no_memory(err);
    return 0;
}

static int set_progressing(struct control *control, const struct deployment_view *view,
                           json_t *status, const struct counts *counts, struct error *err)
{
    const json_t *old = json_at(object_root(view->deployment), "status");
    const json_t *before = condition_find(status, "Progressing");
    const char *set = view->newest ? object_name(view->newest->object) : "";
    char message[400];

    if (view->is_paused)
        return condition_set(status, "Progressing", "Unknown", "DeploymentPaused",
                             "Deployment is paused", true, err);
    if (strcmp(text_of(before, "reason"), "DeploymentPaused") == 0)
        return condition_set(status, "Progressing", "Unknown", "DeploymentResumed",
                             "Deployment is resumed", true, err);
    if (view->made_set) {
        (void)snprintf(message, sizeof(message), "Created new replica set for \"%s\"",
                       object_name(view->deployment));
        return note_progress(status, "NewReplicaSetCreated", message, err);
    }
    if (is_complete(view, counts)) {
        (void)snprintf(message, sizeof(message), "ReplicaSet \"%s\" has successfully progressed.",
                       set);
        return condition_set(status, "Progressing", "True", "NewReplicaSetAvailable", message, true,
                             err);
    }
    if (!before || has_progressed(old, counts) ||
        strcmp(text_of(before, "reason"), "DeploymentResumed") == 0) {
        /* a finished rollout that only lost a pod stays finished */
        if (strcmp(text_of(before, "reason"), "NewReplicaSetAvailable") == 0 &&
            counts->old_replicas == 0 && counts->updated == counts->replicas &&
            strstr(text_of(before, "message"), set))
            return 0;
        (void)snprintf(message, sizeof(message), "ReplicaSet \"%s\" is progressing.", set);
        return note_progress(status, "ReplicaSetUpdated", message, err);
    }
    return set_overdue(control, view, status, err);
}

static int set_available(const struct deployment_view *view, json_t *status,
                         const struct counts *counts, struct error *err)
{
    if (counts->available >= view->limits.desired - view->limits.unavailable)
        return condition_set(status, "Available", "True", "MinimumReplicasAvailable",
                             "Deployment has minimum availability.", true, err);
    return condition_set(status, "Available", "False", "MinimumReplicasUnavailable",
                         "Deployment does not have minimum availability.", true, err);
}

static int set_failure(const struct deployment_view *view, json_t *status,
                       const struct error *failure, struct error *err)
{
    const json_t *of_set =
        view->newest
            ? condition_find(json_at(object_root(view->newest->object), "status"), "ReplicaFailure")
            : NULL;
    json_t *list = json_object_get(status, "conditions");

    if (failure)
        return condition_set(status, "ReplicaFailure", "True", "FailedCreate", failure->text, true,
                             err);
    if (of_set)
        return condition_set(status, "ReplicaFailure", "True", text_of(of_set, "reason"),
                             text_of(of_set, "message"), true, err);
    for (size_t i = json_array_size(list); i-- > 0;)
        if (strcmp(text_of(json_array_get(list, i), "type"), "ReplicaFailure") == 0 &&
            json_array_remove(list, i) < 0)
            return error_no_memory(err);
    return 0;
}

/* Old sets without pods, beyond those kept for `rollout undo`. */
static int clean_history(struct control *control, const struct deployment_view *view,
                         struct error *err)
{
    int64_t keep = json_int_at(object_root(view->deployment), "spec.revisionHistoryLimit", 10);
    int64_t old = 0;

    for (size_t i = 0; i < view->count; i++)
        old += !view->sets[i].size.is_new;
    for (size_t i = 0; i < view->count && old > keep; i++) {
        const struct object *set = view->sets[i].object;
        const json_t *root = object_root(set);
        if (view->sets[i].size.is_new || json_int_at(root, "spec.replicas", 1) != 0 ||
            json_int_at(root, "status.replicas", 0) != 0 || object_is_deleting(set))
            continue;
        if (api_delete(control->api, RES_REPLICASETS, object_namespace(set), object_name(set), NULL,
                       err) < 0)
            return -1;
        old--;
    }
    return 0;
}

int deployment_write_status(struct control *control, struct deployment_view *view,
                            const struct error *failure, struct error *err)
{
    struct counts counts = count_sets(control, view);
    CLEANUP(json) json_t *copy = NULL;
    json_t *status = NULL;
    /* the stored one may have changed by our own write of the revision */
    const struct object *now =
        api_get(control->api, RES_DEPLOYMENTS, object_namespace(view->deployment),
                object_name(view->deployment));

    if (!now || strcmp(object_uid(now), object_uid(view->deployment)) != 0)
        return 0;
    copy = object_copy(now);
    status = status_of(view, &counts);
    if (!copy || !status || json_object_set_new(copy, "status", status) < 0)
        return error_no_memory(err);
    if (set_available(view, status, &counts, err) < 0 ||
        set_progressing(control, view, status, &counts, err) < 0 ||
        set_failure(view, status, failure, err) < 0)
        return -1;
    if (is_complete(view, &counts) && clean_history(control, view, err) < 0)
        return -1;
    if (json_equal(status, json_at(object_root(now), "status")))
        return 0;
    return api_update_status(control->api, RES_DEPLOYMENTS, TAKE(copy), NULL, err);
}
