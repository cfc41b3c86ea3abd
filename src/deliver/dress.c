/* deliver/dress.c - conventions, agents, labels: see dress.h. */
#include "deliver/dress.h"

#include "render/render.h"

enum { DRESS_PROGRESS_S = 120 }; /* seconds without progress, where nobody says otherwise */

static bool is_kind(const json_t *object, const char *kind)
{
    const char *found = json_str_at(object, "kind");
    return found && strcmp(found, kind) == 0;
}

static json_t *object_in(json_t *parent, const char *key)
{
    json_t *child = json_object_get(parent, key);

    if (!json_is_object(child)) {
        child = json_object();
        if (json_object_set_new(parent, key, child) < 0)
            return NULL;
    }
    return child;
}

static int merge_in(json_t *parent, const char *key, const json_t *values, struct error *err)
{
    json_t *child = json_is_object(values) ? object_in(parent, key) : NULL;

    if (!values)
        return 0;
    if (!child || json_object_update_recursive(child, (json_t *)values) < 0)
        return error_set(err, ERR_INVALID, "expected an object for '%s' of the convention", key);
    return 0;
}

static int set_copy(json_t *parent, const char *key, const json_t *value, struct error *err)
{
    if (!value)
        return 0;
    return json_object_set_new(parent, key, json_deep_copy(value)) < 0 ? error_no_memory(err) : 0;
}

static int label(json_t *metadata, const struct dress_input *input, struct error *err)
{
    json_t *labels = metadata ? object_in(metadata, "labels") : NULL;

    if (!labels ||
        json_object_set_new(labels, "app.kubernetes.io/managed-by", json_string("monban")) < 0 ||
        json_object_set_new(labels, DRESS_WORKLOAD_LABEL, json_string(input->workload)) < 0)
        return error_no_memory(err);
    return 0;
}

/* Variables of the convention that the container does not set itself. */
static int add_env(json_t *container, const json_t *env, struct error *err)
{
    json_t *mine = json_object_get(container, "env");
    size_t i;
    json_t *item;

    if (env && !json_is_array(mine)) {
        mine = json_array();
        if (json_object_set_new(container, "env", mine) < 0)
            return error_no_memory(err);
    }
    json_array_foreach(env, i, item)
    {
        const char *name = json_str_at(item, "name");
        bool is_set = false;
        size_t j;
        json_t *other;
        json_array_foreach(mine, j, other)
        {
            const char *other_name = json_str_at(other, "name");
            is_set = is_set || (name && other_name && strcmp(name, other_name) == 0);
        }
        if (!is_set && json_array_append_new(mine, json_deep_copy(item)) < 0)
            return error_no_memory(err);
    }
    return 0;
}

/* "registry.monban.local/apps/x@sha256:…" → "<registry>/apps/x@sha256:…" */
static int move_image(json_t *container, const char *registry, struct error *err)
{
    const char *image = json_str_at(container, "image");

    if (!registry || !image || !str_starts(str_of(image), STR(RENDER_REGISTRY "/")))
        return 0;
    CLEANUP(text) char *moved = str_format("%s%s", registry, image + strlen(RENDER_REGISTRY));
    if (!moved || json_object_set_new(container, "image", json_string(moved)) < 0)
        return error_no_memory(err);
    return 0;
}

static json_t *container_of(json_t *pod, const char *name)
{
    json_t *containers = json_object_get(pod, "containers");
    size_t i;
    json_t *container;

    json_array_foreach(containers, i, container)
    {
        const char *found = json_str_at(container, "name");
        if (found && strcmp(found, name) == 0)
            return container;
    }
    return json_array_get(containers, 0);
}

static int convene_pod(json_t *pod, const json_t *convention, struct error *err)
{
    static const char *const pod_keys[] = {"nodeSelector",      "tolerations",
                                           "affinity",          "terminationGracePeriodSeconds",
                                           "priorityClassName", "topologySpreadConstraints"};
    json_t *container = container_of(pod, RENDER_CONTAINER);

    for (size_t i = 0; i < ARRAY_LEN(pod_keys); i++) {
        if (set_copy(pod, pod_keys[i], json_object_get(convention, pod_keys[i]), err) < 0)
            return -1;
    }
    if (!container)
        return error_set(err, ERR_INVALID, "the Deployment has no container");
    if (merge_in(container, "resources", json_object_get(convention, "resources"), err) < 0 ||
        set_copy(container, "readinessProbe", json_object_get(convention, "readinessProbe"), err) <
            0 ||
        set_copy(container, "livenessProbe", json_object_get(convention, "livenessProbe"), err) < 0)
        return -1;
    return add_env(container, json_object_get(convention, "env"), err);
}

static int dress_deployment(json_t *object, const struct dress_input *input, struct error *err)
{
    json_t *spec = json_object_get(object, "spec");
    json_t *template = json_object_get(spec, "template");
    json_t *pod = json_object_get(template, "spec");
    char sequence[24];
    size_t i;
    json_t *container;

    if (!json_is_object(pod))
        return error_set(err, ERR_INVALID, "expected spec.template.spec in the Deployment");
    json_t *metadata = object_in(template, "metadata");
    json_t *annotations = metadata ? object_in(metadata, "annotations") : NULL;
    (void)snprintf(sequence, sizeof sequence, "%llu", (unsigned long long)input->sequence);
    if (!annotations || json_object_set_new(annotations, DRESS_RELEASE, json_string(sequence)) < 0)
        return error_no_memory(err);
    if (label(metadata, input, err) < 0 ||
        merge_in(annotations ? metadata : NULL, "annotations",
                 json_object_get(input->convention, "annotations"), err) < 0 ||
        merge_in(metadata, "labels", json_object_get(input->convention, "labels"), err) < 0 ||
        set_copy(spec, "replicas", json_object_get(input->convention, "replicas"), err) < 0 ||
        convene_pod(pod, input->convention, err) < 0)
        return -1;
    if (!json_object_get(spec, "progressDeadlineSeconds") &&
        json_object_set_new(spec, "progressDeadlineSeconds", json_integer(DRESS_PROGRESS_S)) < 0)
        return error_no_memory(err);
    json_array_foreach(json_object_get(pod, "containers"), i, container)
    {
        if (move_image(container, input->registry, err) < 0)
            return -1;
    }
    json_array_foreach(json_object_get(pod, "initContainers"), i, container)
    {
        if (move_image(container, input->registry, err) < 0)
            return -1;
    }
    return 0;
}

/* A budget has one of minAvailable and maxUnavailable. */
static int dress_budget(json_t *object, const struct dress_input *input, struct error *err)
{
    const json_t *least = json_object_get(input->convention, "minAvailable");

    if (!least)
        return 0;
    (void)json_object_del(json_object_get(object, "spec"), "maxUnavailable"); /* absent is fine */
    return json_set_at(object, "spec.minAvailable", json_deep_copy(least), err);
}

static int add_namespace(json_t *objects, const struct dress_input *input, struct error *err)
{
    if (strcmp(input->ns, "default") == 0)
        return 0;
    json_t *object = json_pack("{s:s, s:s, s:{s:s, s:{s:s}}}", "apiVersion", "v1", "kind",
                               "Namespace", "metadata", "name", input->ns, "labels",
                               "app.kubernetes.io/managed-by", "monban");
    return json_array_insert_new(objects, 0, object) < 0 ? error_no_memory(err) : 0;
}

int dress_objects(json_t *objects, const struct dress_input *input, struct error *err)
{
    size_t i;
    json_t *object;

    json_array_foreach(objects, i, object)
    {
        json_t *metadata = json_object_get(object, "metadata");
        if (!json_is_object(metadata) || !json_str_at(object, "metadata.name"))
            return error_set(err, ERR_INVALID, "object %zu of the release has no name", i);
        if (is_kind(object, "Namespace"))
            return error_set(err, ERR_DENIED, "a release may not bring a Namespace");
        if (json_object_set_new(metadata, "namespace", json_string(input->ns)) < 0)
            return error_no_memory(err);
        if (label(metadata, input, err) < 0 ||
            (is_kind(object, "Deployment") && dress_deployment(object, input, err) < 0))
            return error_wrap(err, "dressing %s '%s'", json_str_at(object, "kind"),
                              json_str_at(object, "metadata.name"));
        if (is_kind(object, "PodDisruptionBudget") && dress_budget(object, input, err) < 0)
            return -1;
    }
    return add_namespace(objects, input, err);
}

static int add_container(json_t *pod, const struct dress_agent *agent, struct error *err)
{
    json_t *containers = json_object_get(pod, "containers");
    CLEANUP(json) json_t *container = json_deep_copy(agent->container);
    const char *name = json_str_at(container, "name");
    const json_t *workload = container_of(pod, RENDER_CONTAINER);

    if (!container || !workload)
        return error_set(err, ERR_INVALID, "agent '%s' or the Deployment has no container",
                         agent->name);
    if (!name) {
        name = agent->name;
        if (json_object_set_new(container, "name", json_string(name)) < 0)
            return error_no_memory(err);
    }
    size_t i;
    json_t *other;
    json_array_foreach(containers, i, other)
    {
        const char *other_name = json_str_at(other, "name");
        if (other_name && strcmp(other_name, name) == 0)
            return error_set(err, ERR_CONFLICT, "agent '%s': a container '%s' is there already",
                             agent->name, name);
    }
    if (agent->image_from_workload &&
        json_object_set(container, "image", json_object_get(workload, "image")) < 0)
        return error_no_memory(err);
    return json_array_append(containers, container) < 0 ? error_no_memory(err) : 0;
}

int dress_add_agent(json_t *objects, const struct dress_agent *agent, struct error *err)
{
    size_t i;
    json_t *object;

    json_array_foreach(objects, i, object)
    {
        json_t *pod = json_at(object, "spec.template.spec");
        if (!is_kind(object, "Deployment") || !pod)
            continue;
        if (add_container(pod, agent, err) < 0)
            return -1;
        if (!agent->volumes)
            continue;
        json_t *volumes = json_object_get(pod, "volumes");
        if (!json_is_array(volumes)) {
            volumes = json_array();
            if (json_object_set_new(pod, "volumes", volumes) < 0)
                return error_no_memory(err);
        }
        CLEANUP(json) json_t *more = json_deep_copy(agent->volumes);
        if (json_array_extend(volumes, more) < 0)
            return error_set(err, ERR_INVALID, "agent '%s': expected an array of volumes",
                             agent->name);
    }
    return 0;
}

int64_t dress_least_replicas(const json_t *objects)
{
    int64_t least = -1;
    size_t i;
    const json_t *object;

    json_array_foreach(objects, i, object)
    {
        if (!is_kind(object, "Deployment"))
            continue;
        int64_t replicas = json_int_at(object, "spec.replicas", 1);
        least = least < 0 || replicas < least ? replicas : least;
    }
    return least < 0 ? 0 : least;
}
