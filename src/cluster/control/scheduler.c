/* cluster/control/scheduler.c - gives each new pod to the one node, if it fits there. */
#include "base/clock.h"
#include "cluster/control/control_internal.h"

enum { SCHEDULER_PODS_MAX = 253 /* addresses of 10.90.i.0/24 without node and ends */ };

void scheduler_on_event(struct control *control, const struct store_event *event)
{
    if (event->resource->id != RES_PODS)
        return;
    if (event->type != STORE_DELETED && !json_str_at(object_root(event->object), "spec.nodeName")) {
        control_enqueue(control, QUEUE_POD, object_namespace(event->object),
                        object_name(event->object));
    } else if (event->type == STORE_DELETED) { /* room for one that waits */
        struct object_list pods = api_list(control->api, RES_PODS, NULL);
        for (size_t i = 0; i < pods.count; i++)
            if (!json_str_at(object_root(pods.items[i]), "spec.nodeName"))
                control_enqueue(control, QUEUE_POD, object_namespace(pods.items[i]),
                                object_name(pods.items[i]));
    }
}

/* Why the pod cannot run on our node; NULL if it can. */
static const char *why_not(struct control *control, const struct object *pod)
{
    const struct object *node = api_get(control->api, RES_NODES, "", control->node_name);
    const json_t *wanted = json_at(object_root(pod), "spec.nodeSelector");
    struct object_list pods = api_list(control->api, RES_PODS, NULL);
    size_t bound = 0;

    if (!node)
        return "no nodes available to schedule pods";
    if (json_bool_at(object_root(node), "spec.unschedulable", false))
        return "0/1 nodes are available: 1 node(s) were unschedulable.";
    if (json_object_size(wanted) && !api_labels_match(wanted, object_root(node)))
        return "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.";
    for (size_t i = 0; i < pods.count; i++)
        if (json_str_at(object_root(pods.items[i]), "spec.nodeName"))
            bound++;
    if (bound >= SCHEDULER_PODS_MAX)
        return "0/1 nodes are available: 1 Too many pods.";
    return NULL;
}

/* The binding is one write of spec and status together, as the binding subresource does it. */
static int bind(struct control *control, const struct object *pod, struct error *err)
{
    CLEANUP(json) json_t *bound = object_copy(pod);
    char now[CLOCK_TEXT_SIZE];

    if (!bound || json_set_at(bound, "spec.nodeName", json_string(control->node_name), err) < 0)
        return error_no_memory(err);
    json_t *status = json_object_get(bound, "status");
    if (!status) {
        status = json_pack("{s:s}", "phase", "Pending");
        if (json_object_set_new(bound, "status", status) < 0)
            return error_no_memory(err);
    }
    json_t *conditions = json_pack("[{s:s,s:s,s:s}]", "type", "PodScheduled", "status", "True",
                                   "lastTransitionTime", clock_rfc3339(clock_now_s(), now));
    if (json_object_set_new(status, "conditions", conditions) < 0)
        return error_no_memory(err);
    return store_put(api_store(control->api), resource_get(RES_PODS), TAKE(bound), NULL, err);
}

int scheduler_reconcile(struct control *control, const char *ns, const char *name,
                        struct error *err)
{
    const struct object *pod = api_get(control->api, RES_PODS, ns, name);
    const char *scheduler = pod ? json_str_at(object_root(pod), "spec.schedulerName") : NULL;

    if (!pod || json_str_at(object_root(pod), "spec.nodeName") || object_is_deleting(pod) ||
        (scheduler && strcmp(scheduler, "default-scheduler") != 0))
        return 0;
    const char *reason = why_not(control, pod);
    if (!reason) {
        api_record_event(control->api, pod, "Normal", "Scheduled", "default-scheduler",
                         "Successfully assigned %s/%s to %s", ns, name, control->node_name);
        return bind(control, pod, err);
    }

    CLEANUP(json) json_t *waiting = object_copy(pod);
    if (!waiting)
        return error_no_memory(err);
    json_t *status = json_object_get(waiting, "status");
    if (!status ||
        condition_set(status, "PodScheduled", "False", "Unschedulable", reason, false, err) < 0)
        return error_no_memory(err);
    if (json_equal(waiting, object_root(pod)))
        return 0;
    api_record_event(control->api, pod, "Warning", "FailedScheduling", "default-scheduler", "%s",
                     reason);
    return api_update_status(control->api, RES_PODS, TAKE(waiting), NULL, err);
}
