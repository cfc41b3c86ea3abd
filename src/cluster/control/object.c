/* cluster/control/object.c - questions about objects that several controllers ask. */
#include "base/clock.h"
#include "cluster/control/control_internal.h"

json_t *object_copy(const struct object *object)
{
    return json_deep_copy(object_root(object));
}

const json_t *object_controller(const struct object *object)
{
    const json_t *owners = json_at(object_root(object), "metadata.ownerReferences");
    size_t i;
    json_t *owner;

    json_array_foreach((json_t *)owners, i, owner)
    {
        if (json_is_true(json_object_get(owner, "controller")))
            return owner;
    }
    return NULL;
}

const char *object_controller_uid(const struct object *object)
{
    const char *uid = json_string_value(json_object_get(object_controller(object), "uid"));
    return uid ? uid : "";
}

bool object_is_controlled_by(const struct object *object, const struct object *owner)
{
    const char *uid = object_controller_uid(object);
    return uid[0] && strcmp(uid, object_uid(owner)) == 0;
}

int64_t object_created_s(const struct object *object)
{
    const char *text = json_str_at(object_root(object), "metadata.creationTimestamp");
    int64_t created = 0;
    (void)clock_parse_rfc3339(str_of(text ? text : ""), &created); /* the server wrote it */
    return created;
}

json_t *owner_reference_new(const struct object *owner)
{
    const struct resource *res = object_resource(owner);
    char version[API_VERSION_SIZE];
    return json_pack("{s:s,s:s,s:s,s:s,s:b,s:b}", "apiVersion", resource_api_version(res, version),
                     "kind", res->kind, "name", object_name(owner), "uid", object_uid(owner),
                     "controller", 1, "blockOwnerDeletion", 1);
}

const json_t *condition_find(const json_t *status, const char *type)
{
    size_t i;
    json_t *condition;

    json_array_foreach(json_object_get(status, "conditions"), i, condition)
    {
        const char *have = json_string_value(json_object_get(condition, "type"));
        if (have && strcmp(have, type) == 0)
            return condition;
    }
    return NULL;
}

static bool is_same(const json_t *condition, const char *key, const char *value)
{
    const char *have = json_string_value(json_object_get(condition, key));
    return strcmp(have ? have : "", value) == 0;
}

int condition_set(json_t *status, const char *type, const char *value, const char *reason,
                  const char *message, bool with_update, struct error *err)
{
    json_t *condition = (json_t *)condition_find(status, type);
    char now[CLOCK_TEXT_SIZE];

    clock_rfc3339(clock_now_s(), now);
    if (condition && is_same(condition, "status", value) && is_same(condition, "reason", reason) &&
        is_same(condition, "message", message))
        return 0;
    if (!condition) {
        json_t *list = json_object_get(status, "conditions");
        if (!json_is_array(list)) {
            list = json_array();
            if (json_object_set_new(status, "conditions", list) < 0)
                return error_no_memory(err);
        }
        condition = json_pack("{s:s}", "type", type);
        if (json_array_append_new(list, condition) < 0)
            return error_no_memory(err);
    }
    if ((!is_same(condition, "status", value) &&
         json_object_set_new(condition, "lastTransitionTime", json_string(now)) < 0) ||
        (with_update && json_object_set_new(condition, "lastUpdateTime", json_string(now)) < 0) ||
        json_object_set_new(condition, "status", json_string(value)) < 0 ||
        json_object_set_new(condition, "reason", json_string(reason)) < 0 ||
        json_object_set_new(condition, "message", json_string(message)) < 0)
        return error_no_memory(err);
    return 0;
}

static const json_t *ready_condition(const struct object *pod)
{
    const json_t *condition = condition_find(json_object_get(object_root(pod), "status"), "Ready");
    return condition && is_same(condition, "status", "True") ? condition : NULL;
}

bool pod_is_ready(const struct object *pod)
{
    return ready_condition(pod) != NULL;
}

bool pod_is_active(const struct object *pod)
{
    const char *phase = json_str_at(object_root(pod), "status.phase");
    return !object_is_deleting(pod) &&
           (!phase || (strcmp(phase, "Succeeded") != 0 && strcmp(phase, "Failed") != 0));
}

bool pod_is_available(const struct object *pod, int64_t min_ready_s, int64_t *ret_wait_ms)
{
    const json_t *condition = ready_condition(pod);
    const char *text = json_string_value(json_object_get(condition, "lastTransitionTime"));
    int64_t since;

    if (!condition)
        return false;
    if (min_ready_s <= 0 || !clock_parse_rfc3339(str_of(text ? text : ""), &since))
        return true;
    int64_t left_ms = (since + min_ready_s) * 1000 - clock_now_ms();
    if (left_ms <= 0)
        return true;
    *ret_wait_ms = left_ms;
    return false;
}
