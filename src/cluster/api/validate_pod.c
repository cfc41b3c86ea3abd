/* cluster/api/validate_pod.c - a pod's spec, alone or in a template; what may change of a pod. */
#include <ctype.h>

#include "cluster/api/validate.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool is_one_of(const char *text, const char *const *options)
{
    for (size_t i = 0; options[i]; i++) {
        if (strcmp(text, options[i]) == 0)
            return true;
    }
    return false;
}

static void check_choice(const json_t *object, const char *key, const char *const *options,
                         const char *path, struct causes *causes)
{
    const json_t *value = json_object_get(object, key);
    char at[FIELD_PATH_MAX];

    if (value && !is_one_of(json_string_value(value), options))
        causes_unsupported(causes, field_path(at, "%s.%s", path, key), value, options);
}

static void check_name(const json_t *item, const char *path, struct causes *causes)
{
    const json_t *name = json_object_get(item, "name");
    char at[FIELD_PATH_MAX];

    (void)field_path(at, "%s.name", path);
    if (!json_string_length(name))
        causes_required(causes, at, "");
    else if (!name_is_label(json_string_value(name)))
        causes_invalid(
            causes, at, name,
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters"
            " or '-', and must start and end with an alphanumeric character (e.g."
            " 'my-name',  or '123-abc', regex used for validation is"
            " '[a-z0-9]([-a-z0-9]*[a-z0-9])?')");
}

static void check_unique(const json_t *items, size_t index, const char *key, const char *path,
                         struct causes *causes)
{
    const json_t *value = json_object_get(json_array_get(items, index), key);
    char at[FIELD_PATH_MAX];

    for (size_t i = 0; value && i < index; i++) {
        if (json_equal(json_object_get(json_array_get(items, i), key), value)) {
            causes_duplicate(causes, field_path(at, "%s.%s", path, key), value);
            return;
        }
    }
}

static void check_port_number(const json_t *value, const char *path, struct causes *causes)
{
    json_int_t number = json_integer_value(value);

    if (number < 1 || number > 65535)
        causes_invalid(causes, path, value, "must be between 1 and 65535, inclusive");
}

static void check_ports(const json_t *ports, const char *path, struct causes *causes)
{
    static const char *const protocols[] = {"SCTP", "TCP", "UDP", NULL};
    char item[FIELD_PATH_MAX], at[FIELD_PATH_MAX];

    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i);
        (void)field_path(item, "%s[%zu]", path, i);
        (void)field_path(at, "%s.containerPort", item);
        if (!json_object_get(port, "containerPort"))
            causes_required(causes, at, "");
        else
            check_port_number(json_object_get(port, "containerPort"), at, causes);
        const json_t *name = json_object_get(port, "name");
        if (json_string_length(name) > 15)
            causes_invalid(causes, field_path(at, "%s.name", item), name,
                           "must be no more than 15 characters");
        check_unique(ports, i, "name", item, causes);
        check_choice(port, "protocol", protocols, item, causes);
    }
}

static bool is_env_name(const char *name)
{
    if (!*name || isdigit((unsigned char)*name))
        return false;
    for (; *name; name++) {
        if (!isalnum((unsigned char)*name) && !strchr("_-.", *name))
            return false;
    }
    return true;
}

static void check_environment(const json_t *variables, const char *path, struct causes *causes)
{
    char at[FIELD_PATH_MAX];

    for (size_t i = 0; i < json_array_size(variables); i++) {
        const json_t *variable = json_array_get(variables, i);
        const json_t *name = json_object_get(variable, "name");
        if (!json_string_length(name))
            causes_required(causes, field_path(at, "%s[%zu].name", path, i), "");
        else if (!is_env_name(json_string_value(name)))
            causes_invalid(
                causes, field_path(at, "%s[%zu].name", path, i), name,
                "a valid environment variable name must consist of alphabetic characters,"
                " digits, '_', '-', or '.', and must not start with a digit (e.g."
                " 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for"
                " validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')");
        const json_t *from = json_object_get(variable, "valueFrom");
        if (from && json_string_length(json_object_get(variable, "value")) > 0)
            causes_invalid(causes, field_path(at, "%s[%zu].valueFrom", path, i), from,
                           "may not be specified when `value` is not empty");
        else if (from && json_object_size(from) != 1)
            causes_invalid(
                causes, field_path(at, "%s[%zu].valueFrom", path, i), from,
                "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or"
                " `secretKeyRef`");
    }
}

static void check_probe(const json_t *probe, const char *path, bool must_succeed_once,
                        struct causes *causes)
{
    static const char *const handlers[] = {"exec", "httpGet", "tcpSocket", "grpc"};
    static const char *const numbers[] = {"initialDelaySeconds", "timeoutSeconds", "periodSeconds",
                                          "successThreshold", "failureThreshold"};
    char at[FIELD_PATH_MAX];
    size_t count = 0;

    if (!probe)
        return;
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
        const json_t *handler = json_object_get(probe, handlers[i]);
        if (handler && ++count > 1)
            causes_forbidden(causes, field_path(at, "%s.%s", path, handlers[i]),
                             "may not specify more than 1 handler type");
    }
    if (count == 0)
        causes_required(causes, path, "must specify a handler type");
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const json_t *value = json_object_get(probe, numbers[i]);
        if (json_integer_value(value) < 0)
            causes_invalid(causes, field_path(at, "%s.%s", path, numbers[i]), value,
                           "must be greater than or equal to 0");
    }
    const json_t *successes = json_object_get(probe, "successThreshold");
    if (must_succeed_once && json_integer_value(successes) != 1)
        causes_invalid(causes, field_path(at, "%s.successThreshold", path), successes, "must be 1");
    const json_t *http = json_object_get(probe, "httpGet");
    if (http && !json_object_get(http, "port"))
        causes_required(causes, field_path(at, "%s.httpGet.port", path), "");
}

static void check_resources(const json_t *container, const char *path, struct causes *causes)
{
    static const char *const lists[] = {"limits", "requests"};
    json_t *resources = json_object_get(container, "resources"), *value;
    const char *key;
    char at[FIELD_PATH_MAX];

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        json_object_foreach(json_object_get(resources, lists[i]), key, value)
        {
            (void)field_path(at, "%s.resources.%s[%s]", path, lists[i], key);
            const char *text = json_string_value(value);
            if (!quantity_is_valid(value))
                causes_invalid(causes, at, value,
                               "quantities must match the regular expression"
                               " '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
            else if ((text && *text == '-') || json_number_value(value) < 0)
                causes_invalid(causes, at, value, "must be greater than or equal to 0");
        }
    }
}

static bool has_volume(const json_t *volumes, const char *name)
{
    for (size_t i = 0; i < json_array_size(volumes); i++) {
        if (strcmp(text_of(json_array_get(volumes, i), "name"), name) == 0)
            return true;
    }
    return false;
}

static void check_mounts(const json_t *mounts, const json_t *volumes, const char *path,
                         struct causes *causes)
{
    char item[FIELD_PATH_MAX], at[FIELD_PATH_MAX];

    for (size_t i = 0; i < json_array_size(mounts); i++) {
        const json_t *mount = json_array_get(mounts, i);
        const json_t *name = json_object_get(mount, "name");
        (void)field_path(item, "%s[%zu]", path, i);
        if (!json_string_length(name))
            causes_required(causes, field_path(at, "%s.name", item), "");
        else if (!has_volume(volumes, json_string_value(name)))
            causes_not_found(causes, field_path(at, "%s.name", item), name);
        if (!*text_of(mount, "mountPath"))
            causes_required(causes, field_path(at, "%s.mountPath", item), "");
        const json_t *value = json_object_get(mount, "mountPath");
        for (size_t j = 0; value && j < i; j++) {
            if (json_equal(json_object_get(json_array_get(mounts, j), "mountPath"), value)) {
                causes_invalid(causes, field_path(at, "%s.mountPath", item), value,
                               "must be unique");
                break;
            }
        }
    }
}

static void check_container(const json_t *container, const json_t *volumes, bool is_init,
                            const char *path, struct causes *causes)
{
    static const char *const policies[] = {"Always", "IfNotPresent", "Never", NULL};
    static const char *const messages[] = {"FallbackToLogsOnError", "File", NULL};
    char at[FIELD_PATH_MAX];

    check_name(container, path, causes);
    if (!*text_of(container, "image"))
        causes_required(causes, field_path(at, "%s.image", path), "");
    check_ports(json_object_get(container, "ports"), field_path(at, "%s.ports", path), causes);
    check_environment(json_object_get(container, "env"), field_path(at, "%s.env", path), causes);
    check_mounts(json_object_get(container, "volumeMounts"), volumes,
                 field_path(at, "%s.volumeMounts", path), causes);
    check_resources(container, path, causes);
    check_choice(container, "imagePullPolicy", policies, path, causes);
    check_choice(container, "terminationMessagePolicy", messages, path, causes);
    bool is_sidecar = strcmp(text_of(container, "restartPolicy"), "Always") == 0;
    if (is_init && !is_sidecar) {
        static const char *const probes[] = {"livenessProbe", "readinessProbe", "startupProbe"};
        for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
            if (json_object_get(container, probes[i]))
                causes_forbidden(causes, field_path(at, "%s.%s", path, probes[i]),
                                 "may not be set for init containers without restartPolicy=Always");
        }
        return;
    }
    check_probe(json_object_get(container, "livenessProbe"),
                field_path(at, "%s.livenessProbe", path), true, causes);
    check_probe(json_object_get(container, "readinessProbe"),
                field_path(at, "%s.readinessProbe", path), false, causes);
    check_probe(json_object_get(container, "startupProbe"), field_path(at, "%s.startupProbe", path),
                true, causes);
}

static void check_volumes(const json_t *volumes, const char *path, struct causes *causes)
{
    char item[FIELD_PATH_MAX];

    for (size_t i = 0; i < json_array_size(volumes); i++) {
        (void)field_path(item, "%s[%zu]", path, i);
        check_name(json_array_get(volumes, i), item, causes);
        check_unique(volumes, i, "name", item, causes);
        if (json_object_size(json_array_get(volumes, i)) > 2)
            causes_forbidden(causes, item, "may not specify more than 1 volume type");
    }
}

static bool name_is_among(const json_t *containers, const json_t *name)
{
    for (size_t i = 0; i < json_array_size(containers); i++) {
        if (json_equal(json_object_get(json_array_get(containers, i), "name"), name))
            return true;
    }
    return false;
}

void validate_pod_spec(const json_t *spec, const char *path, struct causes *causes)
{
    static const char *const restart[] = {"Always", "OnFailure", "Never", NULL};
    static const char *const dns[] = {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None",
                                      NULL};
    const json_t *volumes = json_object_get(spec, "volumes");
    const json_t *containers = json_object_get(spec, "containers");
    const json_t *inits = json_object_get(spec, "initContainers");
    char at[FIELD_PATH_MAX];

    check_volumes(volumes, field_path(at, "%s.volumes", path), causes);
    if (json_array_size(containers) == 0)
        causes_required(causes, field_path(at, "%s.containers", path), "");
    for (size_t i = 0; i < json_array_size(containers); i++) {
        (void)field_path(at, "%s.containers[%zu]", path, i);
        check_container(json_array_get(containers, i), volumes, false, at, causes);
        check_unique(containers, i, "name", at, causes);
    }
    for (size_t i = 0; i < json_array_size(inits); i++) {
        const json_t *name = json_object_get(json_array_get(inits, i), "name");
        (void)field_path(at, "%s.initContainers[%zu]", path, i);
        check_container(json_array_get(inits, i), volumes, true, at, causes);
        check_unique(inits, i, "name", at, causes);
        if (name && name_is_among(containers, name))
            causes_duplicate(causes, field_path(at, "%s.initContainers[%zu].name", path, i), name);
    }
    check_choice(spec, "restartPolicy", restart, path, causes);
    check_choice(spec, "dnsPolicy", dns, path, causes);
    validate_labels(json_object_get(spec, "nodeSelector"), field_path(at, "%s.nodeSelector", path),
                    causes);
    const json_t *grace = json_object_get(spec, "terminationGracePeriodSeconds");
    if (json_integer_value(grace) < 0)
        causes_invalid(causes, field_path(at, "%s.terminationGracePeriodSeconds", path), grace,
                       "must be greater than or equal to 0");
}

/* The spec without what may change: images, activeDeadlineSeconds, tolerations, gates, the node
 * once. */
static json_t *fixed_part(const json_t *spec)
{
    static const char *const lists[] = {"containers", "initContainers"};
    static const char *const free_fields[] = {
        "activeDeadlineSeconds", "tolerations",
        "schedulingGates",       "nodeName",
        "ephemeralContainers",   "terminationGracePeriodSeconds"};
    json_t *copy = json_deep_copy(spec);

    for (size_t i = 0; copy && i < ARRAY_LEN(lists); i++) {
        json_t *containers = json_object_get(copy, lists[i]);
        for (size_t j = 0; j < json_array_size(containers); j++)
            (void)json_object_del(json_array_get(containers, j), "image");
    }
    for (size_t i = 0; copy && i < ARRAY_LEN(free_fields); i++)
        (void)json_object_del(copy, free_fields[i]);
    return copy;
}

void validate_pod(const json_t *object, const json_t *old, struct causes *causes)
{
    const json_t *spec = json_object_get(object, "spec");

    validate_pod_spec(spec, "spec", causes);
    if (!old)
        return;
    const json_t *old_spec = json_object_get(old, "spec");
    CLEANUP(json) json_t *before = fixed_part(old_spec);
    CLEANUP(json) json_t *after = fixed_part(spec);
    const char *node = text_of(old_spec, "nodeName");
    if (!json_equal(before, after) || (*node && strcmp(node, text_of(spec, "nodeName")) != 0))
        causes_forbidden(
            causes, "spec",
            "pod updates may not change fields other than"
            " `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing"
            " tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1"
            " if it was previously negative)");
}
