/* cluster/api/validate_kinds.c - the kinds other than pods. */
#include <arpa/inet.h>

#include "base/encode.h"
#include "cluster/api/selector.h"
#include "cluster/api/validate.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void check_not_negative(const json_t *spec, const char *key, struct causes *causes)
{
    const json_t *value = json_object_get(spec, key);
    char at[FIELD_PATH_MAX];

    if (json_integer_value(value) < 0)
        causes_invalid(causes, field_path(at, "spec.%s", key), value,
                       "must be greater than or equal to 0");
}

static void check_immutable(const json_t *spec, const json_t *old_spec, const char *key,
                            struct causes *causes)
{
    const json_t *value = json_object_get(spec, key);
    char at[FIELD_PATH_MAX];

    if (old_spec && !json_equal(value, json_object_get(old_spec, key)))
        causes_invalid(causes, field_path(at, "spec.%s", key), value, "field is immutable");
}

/* What Deployments and ReplicaSets share: replicas, selector, template. */
static void check_workload(const json_t *spec, struct causes *causes)
{
    const json_t *selector = json_object_get(spec, "selector");
    const json_t *template = json_object_get(spec, "template");
    const json_t *pod = json_object_get(template, "spec");
    const json_t *labels = json_object_get(json_object_get(template, "metadata"), "labels");

    check_not_negative(spec, "replicas", causes);
    check_not_negative(spec, "minReadySeconds", causes);
    if (!selector) {
        causes_required(causes, "spec.selector", "");
    } else {
        validate_selector(selector, "spec.selector", causes);
        if (json_object_size(json_object_get(selector, "matchLabels")) == 0 &&
            json_array_size(json_object_get(selector, "matchExpressions")) == 0)
            causes_invalid(causes, "spec.selector", selector,
                           "empty selector is invalid for deployment");
        else if (!selector_object_matches(selector, labels))
            causes_invalid(causes, "spec.template.metadata.labels", labels,
                           "`selector` does not match template `labels`");
    }
    validate_labels(labels, "spec.template.metadata.labels", causes);
    validate_pod_spec(pod, "spec.template.spec", causes);
    const json_t *restart = json_object_get(pod, "restartPolicy");
    if (restart && strcmp(json_string_value(restart), "Always") != 0) {
        static const char *const always[] = {"Always", NULL};
        causes_unsupported(causes, "spec.template.spec.restartPolicy", restart, always);
    }
}

void validate_replicaset(const json_t *object, const json_t *old, struct causes *causes)
{
    check_workload(json_object_get(object, "spec"), causes);
    check_immutable(json_object_get(object, "spec"), json_object_get(old, "spec"), "selector",
                    causes);
}

static void check_share(const json_t *object, const char *key, const char *path,
                        struct causes *causes)
{
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);
    char at[FIELD_PATH_MAX];

    (void)field_path(at, "%s.%s", path, key);
    if (json_integer_value(value) < 0) {
        causes_invalid(causes, at, value, "must be greater than or equal to 0");
    } else if (text) {
        size_t digits = strspn(text, "0123456789");
        if (digits == 0 || digits > 9 || strcmp(text + digits, "%") != 0)
            causes_invalid(
                causes, at, value,
                "a valid percent string must be a numeric string followed by an ending '%%'"
                " (e.g. '1%%',  or '93%%', regex used for validation is '[0-9]+%%')");
    }
}

static bool is_zero_share(const json_t *value)
{
    const char *text = json_string_value(value);

    return text ? text[strspn(text, "0")] == '%' : json_integer_value(value) == 0;
}

static void check_strategy(const json_t *strategy, struct causes *causes)
{
    static const char *const types[] = {"Recreate", "RollingUpdate", NULL};
    const json_t *rolling = json_object_get(strategy, "rollingUpdate");
    const char *type = text_of(strategy, "type");

    if (strcmp(type, "Recreate") == 0) {
        if (rolling)
            causes_forbidden(causes, "spec.strategy.rollingUpdate",
                             "may not be specified when strategy `type` is 'Recreate'");
    } else if (strcmp(type, "RollingUpdate") != 0) {
        causes_unsupported(causes, "spec.strategy", json_object_get(strategy, "type"), types);
    } else {
        const json_t *unavailable = json_object_get(rolling, "maxUnavailable");
        check_share(rolling, "maxUnavailable", "spec.strategy.rollingUpdate", causes);
        check_share(rolling, "maxSurge", "spec.strategy.rollingUpdate", causes);
        if (is_zero_share(unavailable) && is_zero_share(json_object_get(rolling, "maxSurge")))
            causes_invalid(causes, "spec.strategy.rollingUpdate.maxUnavailable", unavailable,
                           "may not be 0 when `maxSurge` is 0");
    }
}

void validate_deployment(const json_t *object, const json_t *old, struct causes *causes)
{
    const json_t *spec = json_object_get(object, "spec");

    check_workload(spec, causes);
    check_strategy(json_object_get(spec, "strategy"), causes);
    check_not_negative(spec, "revisionHistoryLimit", causes);
    const json_t *deadline = json_object_get(spec, "progressDeadlineSeconds");
    check_not_negative(spec, "progressDeadlineSeconds", causes);
    if (deadline && json_integer_value(deadline) <=
                        json_integer_value(json_object_get(spec, "minReadySeconds")))
        causes_invalid(causes, "spec.progressDeadlineSeconds", deadline,
                       "must be greater than minReadySeconds");
    check_immutable(spec, json_object_get(old, "spec"), "selector", causes);
}

/* --- services --- */

static void check_service_port(const json_t *ports, size_t index, struct causes *causes)
{
    static const char *const protocols[] = {"SCTP", "TCP", "UDP", NULL};
    const json_t *port = json_array_get(ports, index);
    const json_t *number = json_object_get(port, "port"), *name = json_object_get(port, "name");
    const json_t *protocol = json_object_get(port, "protocol");
    CLEANUP(json) json_t *zero = json_integer(0);
    char path[FIELD_PATH_MAX];

    (void)field_path(path, "spec.ports[%zu].port", index);
    if (json_integer_value(number) < 1 || json_integer_value(number) > 65535)
        causes_invalid(causes, path, number ? number : zero,
                       "must be between 1 and 65535, inclusive");
    (void)field_path(path, "spec.ports[%zu].name", index);
    if (json_array_size(ports) > 1 && !json_string_length(name))
        causes_required(causes, path, "");
    else if (json_string_length(name) && !name_is_label(json_string_value(name)))
        causes_invalid(causes, path, name, "must be a lowercase RFC 1123 label");
    (void)field_path(path, "spec.ports[%zu].protocol", index);
    if (protocol && strcmp(json_string_value(protocol), "TCP") != 0 &&
        strcmp(json_string_value(protocol), "UDP") != 0 &&
        strcmp(json_string_value(protocol), "SCTP") != 0)
        causes_unsupported(causes, path, protocol, protocols);
    for (size_t i = 0; i < index; i++) {
        const json_t *other = json_array_get(ports, i);
        if (name && json_equal(json_object_get(other, "name"), name))
            causes_duplicate(causes, field_path(path, "spec.ports[%zu].name", index), name);
        if (json_equal(json_object_get(other, "port"), number) &&
            json_equal(json_object_get(other, "protocol"), protocol))
            causes_duplicate(causes, field_path(path, "spec.ports[%zu]", index), number);
    }
}

static void check_cluster_ip(const json_t *spec, const json_t *old_spec, struct causes *causes)
{
    const json_t *value = json_object_get(spec, "clusterIP");
    const char *before = text_of(old_spec, "clusterIP");
    struct in_addr address;

    if (json_string_length(value) && strcmp(json_string_value(value), "None") != 0 &&
        inet_pton(AF_INET, json_string_value(value), &address) != 1)
        causes_invalid(causes, "spec.clusterIPs[0]", value, "must be a valid IP address");
    if (*before && strcmp(text_of(old_spec, "type"), "ExternalName") != 0 &&
        strcmp(text_of(spec, "type"), "ExternalName") != 0 &&
        strcmp(before, text_of(spec, "clusterIP")) != 0)
        causes_invalid(causes, "spec.clusterIPs[0]", value, "may not change once set");
}

void validate_service(const json_t *object, const json_t *old, struct causes *causes)
{
    static const char *const types[] = {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort",
                                        NULL};
    const json_t *spec = json_object_get(object, "spec");
    const json_t *ports = json_object_get(spec, "ports");
    const char *type = text_of(spec, "type");
    bool is_external = strcmp(type, "ExternalName") == 0;
    bool is_known = false;

    for (size_t i = 0; types[i]; i++)
        is_known |= strcmp(type, types[i]) == 0;
    if (!is_known)
        causes_unsupported(causes, "spec.type", json_object_get(spec, "type"), types);
    if (json_array_size(ports) == 0 && !is_external &&
        strcmp(text_of(spec, "clusterIP"), "None") != 0)
        causes_required(causes, "spec.ports", "");
    if (is_external && !name_is_subdomain(text_of(spec, "externalName")))
        causes_required(causes, "spec.externalName", "");
    for (size_t i = 0; i < json_array_size(ports); i++)
        check_service_port(ports, i, causes);
    validate_labels(json_object_get(spec, "selector"), "spec.selector", causes);
    check_cluster_ip(spec, json_object_get(old, "spec"), causes);
}

/* --- data --- */

static bool is_data_key(const char *key)
{
    size_t len = strlen(key);

    if (len == 0 || len > 253 || strcmp(key, ".") == 0 || strcmp(key, "..") == 0)
        return false;
    return key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")] ==
           '\0';
}

static void check_data(const json_t *object, const char *field, bool is_base64,
                       struct causes *causes)
{
    json_t *data = json_object_get(object, field), *value;
    const char *key;
    char at[FIELD_PATH_MAX];

    json_object_foreach(data, key, value)
    {
        CLEANUP(json) json_t *key_value = json_string(key);
        (void)field_path(at, "%s[%s]", field, key);
        if (!is_data_key(key))
            causes_invalid(causes, at, key_value,
                           "a valid config key must consist of alphanumeric characters, '-', '_' or"
                           " '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for"
                           " validation is '[-._a-zA-Z0-9]+')");
        CLEANUP(buf) struct buf bytes = BUF_INIT(SIZE_MAX);
        if (is_base64 &&
            !base64_decode(str_slice(json_string_value(value), json_string_length(value)), &bytes))
            causes_invalid(causes, at, NULL, "illegal base64 data");
    }
}

static void check_frozen(const json_t *object, const json_t *old, const char *const *fields,
                         struct causes *causes)
{
    if (!json_is_true(json_object_get(old, "immutable")))
        return;
    if (!json_is_true(json_object_get(object, "immutable")))
        causes_forbidden(causes, "immutable", "field is immutable when `immutable` is set");
    for (size_t i = 0; fields[i]; i++) {
        if (!json_equal(json_object_get(object, fields[i]), json_object_get(old, fields[i])) &&
            json_object_size(json_object_get(object, fields[i])) +
                    json_object_size(json_object_get(old, fields[i])) >
                0)
            causes_forbidden(causes, fields[i], "field is immutable when `immutable` is set");
    }
}

void validate_configmap(const json_t *object, const json_t *old, struct causes *causes)
{
    static const char *const fields[] = {"data", "binaryData", NULL};

    check_data(object, "data", false, causes);
    check_data(object, "binaryData", true, causes);
    check_frozen(object, old, fields, causes);
}

void validate_secret(const json_t *object, const json_t *old, struct causes *causes)
{
    static const char *const fields[] = {"data", NULL};

    check_data(object, "data", true, causes);
    check_frozen(object, old, fields, causes);
    const json_t *type = json_object_get(object, "type");
    if (old && !json_equal(type, json_object_get(old, "type")))
        causes_invalid(causes, "type", type, "field is immutable");
}

/* --- policies --- */

static bool is_cidr(const char *text)
{
    struct str prefix = str_of(text), address = str_cut(&prefix, '/');
    struct in_addr four;
    struct in6_addr six;
    uint64_t bits;
    char copy[64];

    if (!prefix.ptr || address.len >= sizeof(copy) || !str_to_u64(prefix, &bits))
        return false;
    (void)snprintf(copy, sizeof(copy), "%.*s", STR_ARG(address));
    return (inet_pton(AF_INET, copy, &four) == 1 && bits <= 32) ||
           (inet_pton(AF_INET6, copy, &six) == 1 && bits <= 128);
}

static void check_peers(const json_t *rule, const char *key, const char *path,
                        struct causes *causes)
{
    const json_t *peers = json_object_get(rule, key);
    char at[FIELD_PATH_MAX], field[FIELD_PATH_MAX];

    for (size_t i = 0; i < json_array_size(peers); i++) {
        const json_t *peer = json_array_get(peers, i);
        const json_t *block = json_object_get(peer, "ipBlock");
        (void)field_path(at, "%s.%s[%zu]", path, key, i);
        if (json_object_size(peer) == 0)
            causes_required(causes, at, "must specify a peer");
        if (block && json_object_size(peer) > 1)
            causes_forbidden(causes, at, "may not specify both ipBlock and another peer");
        if (block && !is_cidr(text_of(block, "cidr")))
            causes_invalid(causes, field_path(field, "%s.ipBlock.cidr", at),
                           json_object_get(block, "cidr"), "not a valid CIDR");
        validate_selector(json_object_get(peer, "podSelector"),
                          field_path(field, "%s.podSelector", at), causes);
        validate_selector(json_object_get(peer, "namespaceSelector"),
                          field_path(field, "%s.namespaceSelector", at), causes);
    }
}

void validate_network_policy(const json_t *object, const json_t *old, struct causes *causes)
{
    const json_t *spec = json_object_get(object, "spec");
    const json_t *ingress = json_object_get(spec, "ingress");
    const json_t *egress = json_object_get(spec, "egress");
    char at[FIELD_PATH_MAX];

    validate_selector(json_object_get(spec, "podSelector"), "spec.podSelector", causes);
    for (size_t i = 0; i < json_array_size(ingress); i++)
        check_peers(json_array_get(ingress, i), "from", field_path(at, "spec.ingress[%zu]", i),
                    causes);
    for (size_t i = 0; i < json_array_size(egress); i++)
        check_peers(json_array_get(egress, i), "to", field_path(at, "spec.egress[%zu]", i), causes);
}

void validate_disruption_budget(const json_t *object, const json_t *old, struct causes *causes)
{
    const json_t *spec = json_object_get(object, "spec");

    if (json_object_get(spec, "minAvailable") && json_object_get(spec, "maxUnavailable"))
        causes_invalid(causes, "spec", spec, "minAvailable and maxUnavailable cannot be both set");
    check_share(spec, "minAvailable", "spec", causes);
    check_share(spec, "maxUnavailable", "spec", causes);
    validate_selector(json_object_get(spec, "selector"), "spec.selector", causes);
}

void validate_binding(const json_t *object, const json_t *old, struct causes *causes)
{
    const json_t *role = json_object_get(object, "roleRef");

    if (!*text_of(role, "name"))
        causes_required(causes, "roleRef.name", "");
    if (old && !json_equal(role, json_object_get(old, "roleRef")))
        causes_invalid(causes, "roleRef", role, "cannot change roleRef");
}
