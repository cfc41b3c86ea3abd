/* cluster/api/verb_delete.c - deletion: at once, or later when finalizers and a pod's grace are
 * over. */
#include "base/clock.h"
#include "cluster/api/api_internal.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static int check_request(const struct verb *v, const struct object *object,
                         const struct delete_request *request, struct status *status)
{
    const char *revision = json_str_at(object_root(object), "metadata.resourceVersion");
    char why[256];

    if (request->uid && strcmp(request->uid, object_uid(object)) != 0) {
        (void)snprintf(why, sizeof(why),
                       "Precondition failed: UID in precondition: %s, UID in object meta: %s",
                       request->uid, object_uid(object));
        return status_conflict(status, v->res, v->name, why);
    }
    if (request->revision && revision && strcmp(request->revision, revision) != 0) {
        (void)snprintf(
            why, sizeof(why),
            "Precondition failed: ResourceVersion in precondition: %s, ResourceVersion in"
            " object meta: %s",
            request->revision, revision);
        return status_conflict(status, v->res, v->name, why);
    }
    if (v->res->id == RES_NAMESPACES &&
        (strcmp(v->name, "default") == 0 || strcmp(v->name, "kube-system") == 0 ||
         strcmp(v->name, "kube-public") == 0))
        return status_forbidden(status, v->res, v->name, "this namespace may not be deleted");
    return 0;
}

static int add_finalizer(json_t *metadata, const char *name)
{
    json_t *finalizers = json_object_get(metadata, "finalizers");

    for (size_t i = 0; i < json_array_size(finalizers); i++) {
        if (strcmp(json_string_value(json_array_get(finalizers, i)), name) == 0)
            return 0;
    }
    if (!finalizers)
        return json_object_set_new(metadata, "finalizers", json_pack("[s]", name));
    return json_array_append_new(finalizers, json_string(name));
}

/* How long a pod may still run; 0 for one that does not, or has no node to stop it. */
static int64_t pod_grace(const json_t *pod, int64_t asked_s)
{
    const char *phase = json_str_at(pod, "status.phase");
    const char *node = json_str_at(pod, "spec.nodeName");

    if (!node || !*node ||
        (phase && (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0)))
        return 0;
    return asked_s >= 0 ? asked_s : json_int_at(pod, "spec.terminationGracePeriodSeconds", 30);
}

/* The object as it is to stay, or NULL in *ret if nothing keeps it. */
static int mark_deleted(const struct verb *v, const struct object *old,
                        const struct delete_request *request, json_t **ret, struct status *status)
{
    json_t *object = json_deep_copy(object_root(old));
    json_t *metadata = json_object_get(object, "metadata");
    int64_t grace_s = v->res->id == RES_PODS ? pod_grace(object, request->grace_s) : 0;
    const char *propagation = request->propagation ? request->propagation : "Background";
    char when[CLOCK_TEXT_SIZE];
    int rc = 0;

    *ret = object;
    if (!object)
        return status_no_memory(status);
    if (strcmp(propagation, "Foreground") == 0)
        rc = add_finalizer(metadata, "foregroundDeletion");
    else if (strcmp(propagation, "Orphan") == 0)
        rc = add_finalizer(metadata, "orphan");
    if (object_is_deleting(old)) { /* a second request may only shorten the grace */
        int64_t before_s = json_int_at(metadata, "deletionGracePeriodSeconds", 0);
        if (grace_s > before_s || request->grace_s < 0)
            grace_s = before_s;
    } else if (v->res->flags & RESOURCE_HAS_GENERATION) {
        rc |= json_object_set_new(metadata, "generation",
                                  json_integer(json_int_at(metadata, "generation", 0) + 1));
    }
    int64_t now_s = clock_now_s();
    int64_t due_s = now_s + grace_s, was_due_s;
    if (clock_parse_rfc3339(str_of(text_of(metadata, "deletionTimestamp")), &was_due_s) &&
        was_due_s < due_s)
        due_s = was_due_s;
    rc |=
        json_object_set_new(metadata, "deletionTimestamp", json_string(clock_rfc3339(due_s, when)));
    rc |= json_object_set_new(metadata, "deletionGracePeriodSeconds", json_integer(grace_s));
    if (v->res->id == RES_NAMESPACES)
        rc |= json_object_set_new(object, "status", json_pack("{s:s}", "phase", "Terminating"));
    if (rc != 0)
        return status_no_memory(status);
    bool is_kept =
        grace_s > 0 || json_array_size(json_object_get(metadata, "finalizers")) > 0 ||
        (v->res->id == RES_NAMESPACES && json_array_size(json_at(object, "spec.finalizers")) > 0);
    if (!is_kept) {
        json_decref(object);
        *ret = NULL;
    }
    return 0;
}

static int remove_now(const struct verb *v, const struct object *old, struct object **ret_object,
                      struct status *status)
{
    struct error err = ERROR_INIT;
    const struct object *last = NULL;

    if (v->dry_run) {
        *ret_object = object_ref(old);
        return 0;
    }
    if (store_remove(v->api->store, v->res, v->namespace_name, v->name, &last, &err) < 0)
        return status_from_error(status, &err);
    *ret_object = object_ref(last);
    return 0;
}

static bool is_same_deletion(const json_t *a, const json_t *b)
{
    return json_equal(json_object_get(a, "metadata"), json_object_get(b, "metadata"));
}

int verb_delete(const struct verb *v, const struct delete_request *request,
                struct object **ret_object, bool *ret_is_gone, struct status *status)
{
    CLEANUP(json) json_t *marked = NULL;
    const struct object *old = verb_find(v, status), *stored = NULL;
    struct error err = ERROR_INIT;

    if (!old || check_request(v, old, request, status) < 0)
        return -1;
    if (mark_deleted(v, old, request, &marked, status) < 0)
        return -1;
    *ret_is_gone = marked == NULL;
    if (!marked)
        return remove_now(v, old, ret_object, status);
    if (v->dry_run || is_same_deletion(object_root(old), marked)) {
        *ret_object = object_ref(old);
        return 0;
    }
    if (store_put(v->api->store, v->res, TAKE(marked), &stored, &err) < 0)
        return status_from_error(status, &err);
    *ret_object = object_ref(stored);
    return 0;
}
