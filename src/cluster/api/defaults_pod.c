/* cluster/api/defaults_pod.c - defaults of a pod's spec, alone or in a template. */
#include "cluster/api/defaults.h"
#include "cluster/api/defaults_internal.h"

static int default_probe(json_t *probe)
{
    json_t *http = json_object_get(probe, "httpGet");
    json_t *grpc = json_object_get(probe, "grpc");

    if (!probe)
        return 0;
    if (http &&
        (defaults_set_text(http, "path", "/") < 0 || defaults_set_text(http, "scheme", "HTTP") < 0))
        return -1;
    if (grpc && defaults_set_text(grpc, "service", "") < 0)
        return -1;
    if (defaults_set_integer(probe, "timeoutSeconds", 1) < 0 ||
        defaults_set_integer(probe, "periodSeconds", 10) < 0 ||
        defaults_set_integer(probe, "successThreshold", 1) < 0)
        return -1;
    return defaults_set_integer(probe, "failureThreshold", 3);
}

static int default_handler(json_t *handler)
{
    json_t *http = json_object_get(handler, "httpGet");

    if (!http)
        return 0;
    if (defaults_set_text(http, "path", "/") < 0)
        return -1;
    return defaults_set_text(http, "scheme", "HTTP");
}

/* "Always" for the tag latest or none, else "IfNotPresent"; a digest counts as a tag. */
static const char *pull_policy(const char *image)
{
    const char *slash = strrchr(image, '/');
    const char *last = slash ? slash + 1 : image;
    const char *colon = strrchr(last, ':');

    if (strchr(last, '@'))
        return "IfNotPresent";
    return !colon || strcmp(colon, ":latest") == 0 ? "Always" : "IfNotPresent";
}

static int default_environment(json_t *container)
{
    json_t *variable;
    size_t i;

    json_array_foreach(json_object_get(container, "env"), i, variable)
    {
        json_t *field = json_object_get(json_object_get(variable, "valueFrom"), "fieldRef");
        if (field && defaults_set_text(field, "apiVersion", "v1") < 0)
            return -1;
    }
    return 0;
}

static int default_container(json_t *container)
{
    const char *image = json_string_value(json_object_get(container, "image"));
    json_t *lifecycle = json_object_get(container, "lifecycle"), *port;
    size_t i;

    if (!json_is_object(container))
        return 0;
    if (defaults_set_text(container, "imagePullPolicy", pull_policy(image ? image : "")) < 0 ||
        defaults_set_text(container, "terminationMessagePath", "/dev/termination-log") < 0 ||
        defaults_set_text(container, "terminationMessagePolicy", "File") < 0 ||
        !defaults_child(container, "resources"))
        return -1;
    json_array_foreach(json_object_get(container, "ports"), i, port)
    {
        if (defaults_set_text(port, "protocol", "TCP") < 0)
            return -1;
    }
    if (default_probe(json_object_get(container, "livenessProbe")) < 0 ||
        default_probe(json_object_get(container, "readinessProbe")) < 0 ||
        default_probe(json_object_get(container, "startupProbe")) < 0 ||
        default_handler(json_object_get(lifecycle, "postStart")) < 0 ||
        default_handler(json_object_get(lifecycle, "preStop")) < 0)
        return -1;
    return default_environment(container);
}

static int default_fields_of_items(json_t *source)
{
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(source, "items"), i, item)
    {
        json_t *field = json_object_get(item, "fieldRef");
        if (field && defaults_set_text(field, "apiVersion", "v1") < 0)
            return -1;
    }
    return 0;
}

static int default_volume(json_t *volume)
{
    static const char *const with_mode[] = {"secret", "configMap", "downwardAPI", "projected"};
    json_t *source;
    size_t i;

    if (json_object_size(volume) == 1 && json_object_get(volume, "name") &&
        !defaults_child(volume, "emptyDir"))
        return -1;
    for (i = 0; i < ARRAY_LEN(with_mode); i++) {
        source = json_object_get(volume, with_mode[i]);
        if (source && defaults_set_integer(source, "defaultMode", 0644) < 0)
            return -1;
        if (default_fields_of_items(source) < 0)
            return -1;
    }
    json_t *host = json_object_get(volume, "hostPath");
    if (host && defaults_set_text(host, "type", "") < 0)
        return -1;
    json_t *sources = json_object_get(json_object_get(volume, "projected"), "sources");
    json_array_foreach(sources, i, source)
    {
        json_t *token = json_object_get(source, "serviceAccountToken");
        if ((token && defaults_set_integer(token, "expirationSeconds", 3600) < 0) ||
            default_fields_of_items(json_object_get(source, "downwardAPI")) < 0)
            return -1;
    }
    return 0;
}

static int default_pod_spec(json_t *spec)
{
    static const char *const lists[] = {"initContainers", "containers", "ephemeralContainers"};
    json_t *item;
    size_t i;

    if (!json_is_object(spec))
        return 0;
    if (defaults_set_text(spec, "restartPolicy", "Always") < 0 ||
        defaults_set_integer(spec, "terminationGracePeriodSeconds", 30) < 0 ||
        defaults_set_text(spec, "dnsPolicy", "ClusterFirst") < 0 ||
        defaults_set_text(spec, "schedulerName", "default-scheduler") < 0 ||
        !defaults_child(spec, "securityContext"))
        return -1;
    /* The old name and the new are kept equal. */
    const char *account = json_string_value(json_object_get(spec, "serviceAccountName"));
    const char *old_account = json_string_value(json_object_get(spec, "serviceAccount"));
    if (account && defaults_set_text(spec, "serviceAccount", account) < 0)
        return -1;
    if (old_account && defaults_set_text(spec, "serviceAccountName", old_account) < 0)
        return -1;
    for (size_t j = 0; j < ARRAY_LEN(lists); j++) {
        json_array_foreach(json_object_get(spec, lists[j]), i, item)
        {
            if (default_container(item) < 0)
                return -1;
        }
    }
    json_array_foreach(json_object_get(spec, "volumes"), i, item)
    {
        if (default_volume(item) < 0)
            return -1;
    }
    return 0;
}

int defaults_template(json_t *pod_template)
{
    json_t *metadata = json_object_get(pod_template, "metadata");

    if (!pod_template || !json_is_object(pod_template))
        return 0;
    if (!metadata && json_object_set_new(pod_template, "metadata", json_object()) < 0)
        return -1;
    return default_pod_spec(json_object_get(pod_template, "spec"));
}

/* A container's request that is absent is its limit. */
static int default_requests(json_t *container)
{
    json_t *resources = json_object_get(container, "resources"), *value;
    json_t *limits = json_object_get(resources, "limits");
    const char *key;

    if (json_object_size(limits) == 0)
        return 0;
    json_t *requests = defaults_child(resources, "requests");
    if (!requests)
        return -1;
    json_object_foreach(limits, key, value)
    {
        if (!json_object_get(requests, key) &&
            json_object_set_new(requests, key, json_deep_copy(value)) < 0)
            return -1;
    }
    return 0;
}

int defaults_pod(json_t *object)
{
    json_t *spec = defaults_child(object, "spec");
    json_t *status = defaults_child(object, "status"), *container;
    size_t i;

    if (!spec || !status || default_pod_spec(spec) < 0 ||
        defaults_set(spec, "enableServiceLinks", json_true()) < 0 ||
        defaults_set_text(spec, "serviceAccountName", "default") < 0 ||
        defaults_set_text(spec, "serviceAccount", "default") < 0 ||
        defaults_set_integer(spec, "priority", 0) < 0 ||
        defaults_set_text(spec, "preemptionPolicy", "PreemptLowerPriority") < 0 ||
        defaults_set_text(status, "phase", "Pending") < 0)
        return -1;
    json_array_foreach(json_object_get(spec, "initContainers"), i, container)
    {
        if (default_requests(container) < 0)
            return -1;
    }
    json_array_foreach(json_object_get(spec, "containers"), i, container)
    {
        if (default_requests(container) < 0)
            return -1;
    }
    return 0;
}
