/* deliver/restricted.c - the Pod Security Standard "restricted", of the pods in a release.
 *
 * Source: kubernetes.io, "Pod Security Standards": baseline and restricted. */
#include "deliver/dress.h"

static void fault(char *out, size_t out_size, const char *container, const char *text)
{
    size_t len = strlen(out);

    (void)snprintf(out + len, out_size - len, "%s%s%s%s", len ? ", " : "",
                   container ? container : "", container ? ": " : "", text);
}

static bool drops_all(const json_t *container)
{
    const json_t *drop = json_at(container, "securityContext.capabilities.drop");
    size_t i;
    const json_t *item;

    json_array_foreach(drop, i, item)
    {
        if (json_is_string(item) && strcmp(json_string_value(item), "ALL") == 0)
            return true;
    }
    return false;
}

static bool adds_more(const json_t *container)
{
    const json_t *add = json_at(container, "securityContext.capabilities.add");
    size_t i;
    const json_t *item;

    json_array_foreach(add, i, item)
    {
        if (!json_is_string(item) || strcmp(json_string_value(item), "NET_BIND_SERVICE") != 0)
            return true;
    }
    return false;
}

static bool seccomp_is_good(const json_t *owner)
{
    const char *type = json_str_at(owner, "securityContext.seccompProfile.type");
    return type && (strcmp(type, "RuntimeDefault") == 0 || strcmp(type, "Localhost") == 0);
}

static void container_faults(const json_t *pod, const json_t *c, char *out, size_t size)
{
    const char *name = json_str_at(c, "name");
    const json_t *non_root = json_at(c, "securityContext.runAsNonRoot");
    const json_t *pod_non_root = json_at(pod, "securityContext.runAsNonRoot");

    if (json_bool_at(c, "securityContext.allowPrivilegeEscalation", true))
        fault(out, size, name, "allowPrivilegeEscalation is not false");
    if (json_bool_at(c, "securityContext.privileged", false))
        fault(out, size, name, "it is privileged");
    if (!json_is_true(non_root ? non_root : pod_non_root))
        fault(out, size, name, "runAsNonRoot is not true");
    if (json_int_at(c, "securityContext.runAsUser", 1) == 0)
        fault(out, size, name, "it runs as user 0");
    if (!drops_all(c) || adds_more(c))
        fault(out, size, name, "capabilities are not dropped (ALL)");
    if (!seccomp_is_good(c) &&
        (!seccomp_is_good(pod) || json_at(c, "securityContext.seccompProfile")))
        fault(out, size, name, "seccompProfile is not RuntimeDefault");
    const json_t *ports = json_object_get(c, "ports");
    size_t i;
    const json_t *port;
    json_array_foreach(ports, i, port)
    {
        if (json_int_at(port, "hostPort", 0) != 0)
            fault(out, size, name, "it takes a hostPort");
    }
}

static void pod_faults(const json_t *pod, char *out, size_t size)
{
    static const char *const host_keys[] = {"hostNetwork", "hostPID", "hostIPC"};
    static const char *const volume_types[] = {"configMap", "csi",       "downwardAPI",
                                               "emptyDir",  "ephemeral", "persistentVolumeClaim",
                                               "projected", "secret"};
    static const char *const lists[] = {"initContainers", "containers"};
    size_t i;
    const json_t *item;

    for (size_t k = 0; k < ARRAY_LEN(host_keys); k++) {
        if (json_bool_at(pod, host_keys[k], false))
            fault(out, size, NULL, host_keys[k]);
    }
    if (json_int_at(pod, "securityContext.runAsUser", 1) == 0)
        fault(out, size, NULL, "the pod runs as user 0");
    json_array_foreach(json_object_get(pod, "volumes"), i, item)
    {
        bool good = false;
        for (size_t k = 0; k < ARRAY_LEN(volume_types); k++)
            good = good || json_object_get(item, volume_types[k]);
        if (!good)
            fault(out, size, json_str_at(item, "name"), "a volume of a type that is not allowed");
    }
    for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
        json_array_foreach(json_object_get(pod, lists[k]), i, item)
            container_faults(pod, item, out, size);
    }
}

void dress_restricted_faults(const json_t *objects, char *out, size_t out_size)
{
    size_t i;
    const json_t *object;

    out[0] = '\0';
    json_array_foreach(objects, i, object)
    {
        const json_t *pod = json_at(object, "spec.template.spec");
        const char *kind = json_str_at(object, "kind");
        if (kind && strcmp(kind, "Pod") == 0)
            pod = json_object_get(object, "spec");
        if (json_is_object(pod))
            pod_faults(pod, out, out_size);
    }
}
