/* cluster/control/endpoints.c - for each Service with a selector: Endpoints and one EndpointSlice
 * of its pods. */
#include <stdio.h>

#include "cluster/control/control_internal.h"

/* Services of the pod's namespace that select it, now or before. */
static void on_pod(struct control *control, const struct object *pod)
{
    struct object_list services = api_list(control->api, RES_SERVICES, object_namespace(pod));
    for (size_t i = 0; i < services.count; i++)
        if (api_labels_match(json_at(object_root(services.items[i]), "spec.selector"),
                             object_root(pod)))
            control_enqueue(control, QUEUE_SERVICE, object_namespace(pod),
                            object_name(services.items[i]));
}

void endpoints_on_event(struct control *control, const struct store_event *event)
{
    const char *ns = object_namespace(event->object);

    if (event->resource->id == RES_PODS) {
        on_pod(control, event->object);
        if (event->old)
            on_pod(control, event->old);
    } else if (event->resource->id == RES_SERVICES) {
        control_enqueue(control, QUEUE_SERVICE, ns, object_name(event->object));
    } else if (event->resource->id == RES_ENDPOINTS && event->type == STORE_DELETED) {
        control_enqueue(control, QUEUE_SERVICE, ns, object_name(event->object));
    }
}

/* The number of a Service port on this pod; 0 if the pod has no port of that name. */
static int64_t target_port(const json_t *port, const struct object *pod)
{
    const json_t *target = json_object_get(port, "targetPort");
    const char *name = json_string_value(target);
    size_t i, j;
    json_t *container, *have;

    if (!name)
        return json_is_integer(target) && json_integer_value(target) > 0
                   ? json_integer_value(target)
                   : json_int_at(port, "port", 0);
    json_array_foreach(json_at(object_root(pod), "spec.containers"), i, container)
    {
        json_array_foreach(json_object_get(container, "ports"), j, have)
        {
            const char *have_name = json_str_at(have, "name");
            if (have_name && strcmp(have_name, name) == 0)
                return json_int_at(have, "containerPort", 0);
        }
    }
    return 0;
}

/* Ports of one pod, as [{"name","port","protocol"}]. */
static json_t *ports_of(const struct object *service, const struct object *pod)
{
    json_t *ports = json_array();
    size_t i;
    json_t *port;

    json_array_foreach(json_at(object_root(service), "spec.ports"), i, port)
    {
        int64_t number = target_port(port, pod);
        const char *name = json_str_at(port, "name"), *protocol = json_str_at(port, "protocol");
        if (number == 0)
            continue;
        json_t *item =
            json_pack("{s:I,s:s}", "port", number, "protocol", protocol ? protocol : "TCP");
        if (name && json_object_set_new(item, "name", json_string(name)) < 0)
            json_decref(item);
        else
            (void)json_array_append_new(ports, item); /* without memory the next event repairs it */
    }
    return ports;
}

static json_t *target_ref(const struct object *pod)
{
    return json_pack("{s:s,s:s,s:s,s:s}", "kind", "Pod", "namespace", object_namespace(pod), "name",
                     object_name(pod), "uid", object_uid(pod));
}

struct group {         /* pods with the same port numbers: one subset, one slice */
    json_t *ports;     /* owned */
    json_t *ready;     /* owned */
    json_t *not_ready; /* owned */
    json_t *endpoints; /* owned: of the slice */
};
enum { GROUPS_MAX = 16 };

static struct group *group_for(struct group *groups, size_t *count, json_t *take_ports)
{
    for (size_t i = 0; i < *count; i++) {
        if (json_equal(groups[i].ports, take_ports)) {
            json_decref(take_ports);
            return &groups[i];
        }
    }
    if (*count == GROUPS_MAX) {
        json_decref(take_ports);
        return NULL;
    }
    groups[*count] = (struct group){take_ports, json_array(), json_array(), json_array()};
    return &groups[(*count)++];
}

static void add_pod(struct group *group, const struct object *pod, const char *ip, bool publish_all)
{
    bool is_ready = pod_is_ready(pod), is_ending = object_is_deleting(pod);
    const char *node = json_str_at(object_root(pod), "spec.nodeName");
    const char *host = json_str_at(object_root(pod), "spec.hostname");
    bool is_used = publish_all || (is_ready && !is_ending);
    json_t *address =
        json_pack("{s:s,s:s,s:o}", "ip", ip, "nodeName", node, "targetRef", target_ref(pod));
    json_t *endpoint =
        json_pack("{s:[s],s:{s:b,s:b,s:b},s:s,s:o}", "addresses", ip, "conditions", "ready",
                  is_used, "serving", is_ready || publish_all, "terminating", is_ending, "nodeName",
                  node, "targetRef", target_ref(pod));
    /* failed appends: without memory the next event repairs it */
    if (host) {
        (void)json_object_set_new(address, "hostname", json_string(host));
        (void)json_object_set_new(endpoint, "hostname", json_string(host));
    }
    if (!is_ending || publish_all)
        (void)json_array_append_new(is_used ? group->ready : group->not_ready, address);
    else
        json_decref(address);
    (void)json_array_append_new(group->endpoints, endpoint);
}

static size_t group_pods(struct control *control, const struct object *service,
                         struct group *groups)
{
    const json_t *selector = json_at(object_root(service), "spec.selector");
    bool publish_all = json_bool_at(object_root(service), "spec.publishNotReadyAddresses", false);
    struct object_list pods = api_list(control->api, RES_PODS, object_namespace(service));
    size_t count = 0;

    for (size_t i = 0; i < pods.count; i++) {
        const json_t *root = object_root(pods.items[i]);
        const char *ip = json_str_at(root, "status.podIP"),
                   *phase = json_str_at(root, "status.phase");
        if (!ip || !api_labels_match(selector, root) ||
            (phase && (strcmp(phase, "Failed") == 0 || strcmp(phase, "Succeeded") == 0)))
            continue;
        struct group *group = group_for(groups, &count, ports_of(service, pods.items[i]));
        if (group)
            add_pod(group, pods.items[i], ip, publish_all);
    }
    return count;
}

static json_t *subsets_of(const struct group *groups, size_t count)
{
    json_t *subsets = json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *subset = json_object();
        /* failed sets: without memory the next event repairs it */
        if (json_array_size(groups[i].ready))
            (void)json_object_set(subset, "addresses", groups[i].ready);
        if (json_array_size(groups[i].not_ready))
            (void)json_object_set(subset, "notReadyAddresses", groups[i].not_ready);
        if (json_object_size(subset) && json_array_size(groups[i].ports))
            (void)json_object_set(subset, "ports", groups[i].ports);
        if (json_object_size(subset))
            (void)json_array_append_new(subsets, subset);
        else
            json_decref(subset);
    }
    return subsets;
}

/* Labels of the Service go along, and one more if it is given. */
static json_t *labels_of(const struct object *service, const char *key, const char *value)
{
    json_t *labels = json_deep_copy(json_at(object_root(service), "metadata.labels"));
    if (!labels)
        labels = json_object();
    if (key)
        (void)json_object_set_new(labels, key,
                                  json_string(value)); /* without memory: repaired later */
    return labels;
}

static bool is_content_equal(const struct object *have, const json_t *want)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)want, key, value)
    {
        if (strcmp(key, "metadata") != 0 && strcmp(key, "kind") != 0 &&
            strcmp(key, "apiVersion") != 0 &&
            !json_equal(json_object_get(object_root(have), key), value))
            return false;
    }
    return json_equal(json_at(object_root(have), "metadata.labels"),
                      json_at(want, "metadata.labels")) ||
           json_object_size(json_at(want, "metadata.labels")) == 0;
}

static int put_unless_equal(struct control *control, enum resource_id id, json_t *take_object,
                            struct error *err)
{
    CLEANUP(json) json_t *object = take_object;
    if (!object)
        return error_no_memory(err);
    const struct object *have = api_get(control->api, id, json_str_at(object, "metadata.namespace"),
                                        json_str_at(object, "metadata.name"));
    if (have && is_content_equal(have, object))
        return 0;
    return control_apply(control, id, TAKE(object), err);
}

static int write_slices(struct control *control, const struct object *service,
                        const struct group *groups, size_t count, struct error *err)
{
    const char *ns = object_namespace(service);
    struct object_list slices;

    for (size_t i = 0; i < (count ? count : 1); i++) {
        CLEANUP(text)
        char *name = i ? str_format("%s-%zu", object_name(service), i)
                       : str_dup(str_of(object_name(service)));
        json_t *labels = labels_of(service, "kubernetes.io/service-name", object_name(service));
        if (!name || json_object_set_new(labels, "endpointslice.kubernetes.io/managed-by",
                                         json_string("endpointslice-controller.k8s.io")) < 0)
            return error_no_memory(err);
        json_t *slice = json_pack("{s:{s:s,s:s,s:o,s:[o]},s:s,s:o,s:o}", "metadata", "name", name,
                                  "namespace", ns, "labels", labels, "ownerReferences",
                                  owner_reference_new(service), "addressType", "IPv4", "endpoints",
                                  count ? json_incref(groups[i].endpoints) : json_array(), "ports",
                                  count ? json_incref(groups[i].ports) : json_array());
        if (put_unless_equal(control, RES_ENDPOINTSLICES, slice, err) < 0)
            return -1;
    }
    slices = api_list(control->api, RES_ENDPOINTSLICES,
                      ns); /* one too many: of a group that is no more */
    for (size_t i = 0; i < slices.count; i++) {
        CLEANUP(text) char *next = str_format("%s-%zu", object_name(service), count ? count : 1);
        if (next && strcmp(object_name(slices.items[i]), next) == 0 &&
            object_is_controlled_by(slices.items[i], service))
            return api_delete(control->api, RES_ENDPOINTSLICES, ns, next, NULL, err);
    }
    return 0;
}

int endpoints_reconcile(struct control *control, const char *ns, const char *name,
                        struct error *err)
{
    CLEANUP(object) struct object *service = NULL;
    const struct object *found = api_get(control->api, RES_SERVICES, ns, name);
    struct group groups[GROUPS_MAX];

    if (!found) { /* the slices go by their owner; Endpoints have none, they share the name */
        const struct object *left = api_get(control->api, RES_ENDPOINTS, ns, name);
        if (left && api_delete(control->api, RES_ENDPOINTS, ns, name, NULL, err) < 0)
            return -1;
        return 0;
    }
    if (object_is_deleting(found) ||
        !json_is_object(json_at(object_root(found), "spec.selector")) ||
        json_object_size(json_at(object_root(found), "spec.selector")) == 0)
        return 0; /* its endpoints are somebody else's to write */
    service = object_ref(found);
    size_t count = group_pods(control, service, groups);
    json_t *endpoints =
        json_pack("{s:{s:s,s:s,s:o},s:o}", "metadata", "name", name, "namespace", ns, "labels",
                  labels_of(service, NULL, NULL), "subsets", subsets_of(groups, count));
    int failed = put_unless_equal(control, RES_ENDPOINTS, endpoints, err);
    if (failed == 0)
        failed = write_slices(control, service, groups, count, err);
    for (size_t i = 0; i < count; i++) {
        json_decref(groups[i].ports);
        json_decref(groups[i].ready);
        json_decref(groups[i].not_ready);
        json_decref(groups[i].endpoints);
    }
    return failed;
}
