/* cluster/api/defaults.c - defaults of all kinds but the pod's spec, which is in defaults_pod.c. */
#include "cluster/api/defaults.h"

#include "base/encode.h"
#include "cluster/api/defaults_internal.h"

void defaults_drop_nulls(json_t *value)
{
    const char *key;
    json_t *item;
    void *next;
    size_t i;

    if (json_is_array(value)) {
        json_array_foreach(value, i, item) defaults_drop_nulls(item);
        return;
    }
    json_object_foreach_safe(value, next, key, item)
    {
        if (json_is_null(item))
            (void)json_object_del(value, key); /* it is there */
        else
            defaults_drop_nulls(item);
    }
}

int defaults_set(json_t *object, const char *key, json_t *take_value)
{
    if (!json_is_object(object) || json_object_get(object, key)) {
        json_decref(take_value);
        return 0;
    }
    return json_object_set_new(object, key, take_value);
}

int defaults_set_text(json_t *object, const char *key, const char *text)
{
    return json_object_get(object, key) ? 0 : defaults_set(object, key, json_string(text));
}

int defaults_set_integer(json_t *object, const char *key, int64_t number)
{
    return json_object_get(object, key) ? 0 : defaults_set(object, key, json_integer(number));
}

json_t *defaults_child(json_t *object, const char *key)
{
    if (defaults_set(object, key, json_object()) < 0)
        return NULL;
    return json_object_get(object, key);
}

int defaults_namespace(json_t *object)
{
    json_t *metadata = json_object_get(object, "metadata");
    const char *name = json_string_value(json_object_get(metadata, "name"));
    json_t *labels = defaults_child(metadata, "labels");

    if (!labels ||
        (name && json_object_set_new(labels, "kubernetes.io/metadata.name", json_string(name)) < 0))
        return -1;
    json_t *spec = defaults_child(object, "spec");
    json_t *status = defaults_child(object, "status");
    if (!spec || !status || defaults_set(spec, "finalizers", json_pack("[s]", "kubernetes")) < 0)
        return -1;
    return defaults_set_text(status, "phase", "Active");
}

int defaults_replicaset(json_t *object)
{
    json_t *spec = defaults_child(object, "spec");

    if (!spec || defaults_set_integer(spec, "replicas", 1) < 0)
        return -1;
    return defaults_template(json_object_get(spec, "template"));
}

int defaults_deployment(json_t *object)
{
    json_t *spec = defaults_child(object, "spec");
    json_t *strategy = spec ? defaults_child(spec, "strategy") : NULL;

    if (!strategy || defaults_set_integer(spec, "replicas", 1) < 0 ||
        defaults_set_integer(spec, "revisionHistoryLimit", 10) < 0 ||
        defaults_set_integer(spec, "progressDeadlineSeconds", 600) < 0 ||
        defaults_set_text(strategy, "type", "RollingUpdate") < 0)
        return -1;
    const char *type = json_string_value(json_object_get(strategy, "type"));
    if (type && strcmp(type, "RollingUpdate") == 0) {
        json_t *rolling = defaults_child(strategy, "rollingUpdate");
        if (!rolling || defaults_set_text(rolling, "maxUnavailable", "25%") < 0 ||
            defaults_set_text(rolling, "maxSurge", "25%") < 0)
            return -1;
    }
    return defaults_template(json_object_get(spec, "template"));
}

static int default_service_ports(json_t *spec, const char *type)
{
    json_t *ports = json_object_get(spec, "ports"), *port;
    size_t i;

    json_array_foreach(ports, i, port)
    {
        if (defaults_set_text(port, "protocol", "TCP") < 0)
            return -1;
        json_t *target = json_object_get(port, "targetPort");
        bool is_empty = json_is_integer(target) && json_integer_value(target) == 0;
        json_t *number = json_object_get(port, "port");
        if ((!target || is_empty) && strcmp(type, "ExternalName") != 0 && number &&
            json_object_set_new(port, "targetPort", json_deep_copy(number)) < 0)
            return -1;
    }
    return 0;
}

static int default_service_address(json_t *spec, const char *type)
{
    bool is_balancer = strcmp(type, "LoadBalancer") == 0;

    if (strcmp(type, "ExternalName") == 0)
        return 0;
    if ((is_balancer || strcmp(type, "NodePort") == 0) &&
        defaults_set_text(spec, "externalTrafficPolicy", "Cluster") < 0)
        return -1;
    if (is_balancer && defaults_set(spec, "allocateLoadBalancerNodePorts", json_true()) < 0)
        return -1;
    if (defaults_set_text(spec, "internalTrafficPolicy", "Cluster") < 0 ||
        defaults_set_text(spec, "ipFamilyPolicy", "SingleStack") < 0)
        return -1;
    return defaults_set(spec, "ipFamilies", json_pack("[s]", "IPv4"));
}

int defaults_service(json_t *object)
{
    json_t *spec = defaults_child(object, "spec");
    json_t *status = defaults_child(object, "status");

    if (!spec || !status || !defaults_child(status, "loadBalancer") ||
        defaults_set_text(spec, "sessionAffinity", "None") < 0 ||
        defaults_set_text(spec, "type", "ClusterIP") < 0)
        return -1;
    const char *type = json_string_value(json_object_get(spec, "type"));
    const char *affinity = json_string_value(json_object_get(spec, "sessionAffinity"));
    if (affinity && strcmp(affinity, "ClientIP") == 0) {
        json_t *config = defaults_child(spec, "sessionAffinityConfig");
        json_t *client = config ? defaults_child(config, "clientIP") : NULL;
        if (!client || defaults_set_integer(client, "timeoutSeconds", 10800) < 0)
            return -1;
    }
    if (!type)
        return 0;
    return default_service_ports(spec, type) < 0 ? -1 : default_service_address(spec, type);
}

int defaults_secret(json_t *object)
{
    json_t *texts = json_object_get(object, "stringData"), *value;
    const char *key;

    if (defaults_set_text(object, "type", "Opaque") < 0)
        return -1;
    if (!json_is_object(texts))
        return 0;
    json_t *data = defaults_child(object, "data");
    if (!data)
        return -1;
    json_object_foreach(texts, key, value)
    {
        CLEANUP(buf) struct buf encoded = BUF_INIT(SIZE_MAX);
        struct error err = ERROR_INIT;
        if (!json_is_string(value))
            continue;
        base64_encode(str_slice(json_string_value(value), json_string_length(value)), &encoded);
        if (buf_ok(&encoded, &err) < 0 ||
            json_object_set_new(data, key, json_stringn(buf_text(&encoded), encoded.len)) < 0)
            return -1;
    }
    return json_object_del(object, "stringData");
}

static int default_policy_ports(json_t *rules)
{
    json_t *rule, *port;
    size_t i, j;

    json_array_foreach(rules, i, rule)
    {
        json_array_foreach(json_object_get(rule, "ports"), j, port)
        {
            if (defaults_set_text(port, "protocol", "TCP") < 0)
                return -1;
        }
    }
    return 0;
}

int defaults_network_policy(json_t *object)
{
    json_t *spec = defaults_child(object, "spec");
    json_t *egress = json_object_get(spec, "egress");

    if (!spec || default_policy_ports(json_object_get(spec, "ingress")) < 0 ||
        default_policy_ports(egress) < 0 || !defaults_child(spec, "podSelector"))
        return -1;
    if (json_array_size(json_object_get(spec, "policyTypes")) > 0)
        return 0;
    json_t *types = json_array_size(egress) > 0 ? json_pack("[s, s]", "Ingress", "Egress")
                                                : json_pack("[s]", "Ingress");
    return json_object_set_new(spec, "policyTypes", types);
}

int defaults_disruption_budget(json_t *object)
{
    json_t *spec = defaults_child(object, "spec");

    if (!spec)
        return -1;
    if (json_object_get(spec, "maxUnavailable"))
        return 0;
    return defaults_set_integer(spec, "minAvailable", 1);
}

int defaults_binding(json_t *object)
{
    static const char group[] = "rbac.authorization.k8s.io";
    json_t *subject, *role = json_object_get(object, "roleRef");
    size_t i;

    if (role && defaults_set_text(role, "apiGroup", group) < 0)
        return -1;
    json_array_foreach(json_object_get(object, "subjects"), i, subject)
    {
        const char *kind = json_string_value(json_object_get(subject, "kind"));
        if (kind && strcmp(kind, "ServiceAccount") != 0 &&
            defaults_set_text(subject, "apiGroup", group) < 0)
            return -1;
    }
    return 0;
}
