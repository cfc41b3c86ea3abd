/* cluster/node/env.c - the environment of a container. Source: Kubernetes,
 * pkg/kubelet/kubelet_pods.go. */
#include <inttypes.h>

#include "base/encode.h"
#include "cluster/node/node_internal.h"

enum {
    ENV_VALUE_MAX = 1 << 20 /* bytes: the kernel takes 128 KiB for one; objects at most 1.5 MiB */
};

static const char *value_in(const struct strv *env, struct str name)
{
    for (size_t i = env->count; i-- > 0;) { /* the last one wins */
        struct str entry = str_of(env->items[i]);
        if (entry.len > name.len && entry.ptr[name.len] == '=' && str_starts(entry, name))
            return entry.ptr + name.len + 1;
    }
    return NULL;
}

int env_expand(const char *text, const struct strv *env, struct buf *out, struct error *err)
{
    struct str rest = str_of(text);

    while (rest.len) {
        ptrdiff_t dollar = str_find(rest, '$');
        if (dollar < 0 || (size_t)dollar + 1 == rest.len) {
            buf_add_str(out, rest);
            break;
        }
        buf_add_str(out, str_first(rest, (size_t)dollar));
        rest = str_skip(rest, (size_t)dollar);
        if (rest.ptr[1] == '$') {
            buf_add_char(out, '$');
            rest = str_skip(rest, 2);
            continue;
        }
        ptrdiff_t close = rest.ptr[1] == '(' ? str_find(rest, ')') : -1;
        if (close < 0) {
            buf_add_char(out, '$');
            rest = str_skip(rest, 1);
            continue;
        }
        struct str whole = str_first(rest, (size_t)close + 1);
        const char *value = value_in(env, str_slice(whole.ptr + 2, whole.len - 3));
        if (value)
            buf_add_text(out, value);
        else
            buf_add_str(out, whole); /* unknown: stays as it is */
        rest = str_skip(rest, whole.len);
    }
    return buf_ok(out, err);
}

/* A key of a Secret's data (base64) or a ConfigMap's data; *ret free(). */
static int data_value(const json_t *object, bool is_secret, const char *key, char **ret,
                      struct error *err)
{
    const char *text = json_string_value(json_object_get(json_object_get(object, "data"), key));
    CLEANUP(buf) struct buf out = BUF_INIT(ENV_VALUE_MAX);

    if (!text)
        return error_set(err, ERR_NOT_FOUND, "couldn't find key %s in %s %s/%s", key,
                         is_secret ? "Secret" : "ConfigMap",
                         json_str_at(object, "metadata.namespace"),
                         json_str_at(object, "metadata.name"));
    if (!is_secret)
        buf_add_text(&out, text);
    else if (!base64_decode(str_of(text), &out))
        return error_set(err, ERR_INVALID, "key %s of a Secret is not base64", key);
    if (buf_ok(&out, err) < 0)
        return -1;
    *ret = out.len ? buf_take(&out) : str_dup(STR(""));
    return *ret ? 0 : error_no_memory(err);
}

static int need_object(const struct container *container, bool is_secret, const char *name,
                       const json_t **ret, struct error *err)
{
    const struct pod *pod = container->pod;
    *ret = node_find(pod->node, is_secret ? MIRROR_SECRETS : MIRROR_CONFIGMAPS, pod->ns,
                     name ? name : "");
    if (!*ret)
        return error_set(err, ERR_NOT_FOUND, "%s \"%s\" not found",
                         is_secret ? "secret" : "configmap", name ? name : "");
    return 0;
}

/* valueFrom a key: *ret stays NULL if it is optional and absent. */
static int key_value(const struct container *container, bool is_secret, const json_t *ref,
                     char **ret, struct error *err)
{
    const json_t *object;
    const char *key = json_str_at(ref, "key");

    if (need_object(container, is_secret, json_str_at(ref, "name"), &object, err) == 0 &&
        data_value(object, is_secret, key ? key : "", ret, err) == 0)
        return 0;
    if (err->kind != ERR_NOT_FOUND || !json_bool_at(ref, "optional", false))
        return -1;
    error_clear(err);
    return 0;
}

/* "metadata.labels['a']" → value */
static char *map_field(const struct pod *pod, const char *map, struct str path)
{
    struct str key = str_skip(path, strlen(map) + 2);
    if (key.len < 2 || !str_ends(key, STR("']")))
        return NULL;
    CLEANUP(text) char *name = str_dup(str_first(key, key.len - 2));
    const char *value =
        name ? json_string_value(json_object_get(json_at(pod->object, map), name)) : NULL;
    return str_dup(str_of(value ? value : ""));
}

char *env_field(const struct pod *pod, const char *path)
{
    char text[NET_ADDRESS_SIZE];
    struct str p = str_of(path ? path : "");

    if (str_is(p, "metadata.name"))
        return str_dup(str_of(pod->name));
    if (str_is(p, "metadata.namespace"))
        return str_dup(str_of(pod->ns));
    if (str_is(p, "metadata.uid"))
        return str_dup(str_of(pod->uid));
    if (str_is(p, "status.podIP") || str_is(p, "status.podIPs"))
        return str_dup(str_of(pod_address(pod, text)));
    if (str_is(p, "status.hostIP") || str_is(p, "status.hostIPs"))
        return str_dup(str_of(net_node_address(pod->node->index, text)));
    if (str_is(p, "spec.nodeName") || str_is(p, "spec.serviceAccountName")) {
        const char *value = json_str_at(pod->object, path);
        return str_dup(str_of(value ? value : ""));
    }
    if (str_starts(p, STR("metadata.labels['")))
        return map_field(pod, "metadata.labels", p);
    if (str_starts(p, STR("metadata.annotations['")))
        return map_field(pod, "metadata.annotations", p);
    return NULL;
}

static const json_t *named_container(const struct container *container, const char *name)
{
    for (size_t i = 0; name && i < container->pod->container_count; i++)
        if (strcmp(container->pod->containers[i].name, name) == 0)
            return container_spec(&container->pod->containers[i]);
    return container_spec(container);
}

static int resource_value(const struct container *container, const json_t *ref, char **ret,
                          struct error *err)
{
    const char *resource = json_str_at(ref, "resource"), *divisor = json_str_at(ref, "divisor");
    const json_t *spec = named_container(container, json_str_at(ref, "containerName"));
    int64_t value = 0, unit = 1000;
    struct str rest = str_of(resource ? resource : "");
    struct str kind = str_cut(&rest, '.');

    if (!rest.ptr || (!str_is(kind, "limits") && !str_is(kind, "requests")))
        return error_set(err, ERR_INVALID, "resourceFieldRef '%s' is not offered",
                         resource ? resource : "");
    const json_t *set =
        json_at(spec, str_is(kind, "limits") ? "resources.limits" : "resources.requests");
    (void)quantity_parse_milli(json_string_value(json_object_get(set, rest.ptr)),
                               &value); /* absent: 0 */
    if (divisor && strcmp(divisor, "0") != 0)
        (void)quantity_parse_milli(divisor, &unit); /* checked by the server; else 1 */
    *ret = str_format("%" PRId64, unit > 0 ? (value + unit - 1) / unit : value);
    return *ret ? 0 : error_no_memory(err);
}

static int value_from(const struct container *container, const json_t *from, char **ret,
                      struct error *err)
{
    const json_t *ref;

    if ((ref = json_object_get(from, "configMapKeyRef")))
        return key_value(container, false, ref, ret, err);
    if ((ref = json_object_get(from, "secretKeyRef")))
        return key_value(container, true, ref, ret, err);
    if ((ref = json_object_get(from, "resourceFieldRef")))
        return resource_value(container, ref, ret, err);
    const char *path = json_str_at(from, "fieldRef.fieldPath");
    *ret = env_field(container->pod, path);
    return *ret ? 0
                : error_set(err, ERR_UNSUPPORTED, "fieldRef '%s' is not offered", path ? path : "");
}

static int add_all_of(const struct container *container, const json_t *source, struct strv *env,
                      struct error *err)
{
    bool is_secret = json_object_get(source, "secretRef") != NULL;
    const json_t *ref = json_object_get(source, is_secret ? "secretRef" : "configMapRef");
    const char *prefix = json_str_at(source, "prefix"), *key;
    const json_t *object;
    json_t *value;

    if (need_object(container, is_secret, json_str_at(ref, "name"), &object, err) < 0) {
        if (!json_bool_at(ref, "optional", false))
            return -1;
        error_clear(err);
        return 0;
    }
    json_object_foreach(json_object_get(object, "data"), key, value)
    {
        CLEANUP(text) char *text = NULL;
        if (strchr(key, '='))
            continue; /* no name of a variable */
        if (data_value(object, is_secret, key, &text, err) < 0)
            return -1;
        strv_addf(env, "%s%s=%s", prefix ? prefix : "", key, text);
    }
    return 0;
}

/* NAME_SERVICE_HOST and _PORT, as Kubernetes sets them for the Services that exist now. */
static void add_service(const json_t *service, struct strv *env)
{
    const char *address = json_str_at(service, "spec.clusterIP"),
               *name = json_str_at(service, "metadata.name");
    CLEANUP(text) char *upper = name ? str_dup(str_of(name)) : NULL;
    size_t i;
    json_t *port;

    if (!upper || !address || strcmp(address, "None") == 0 || address[0] == '\0')
        return;
    for (char *c = upper; *c; c++)
        *c = *c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
    strv_addf(env, "%s_SERVICE_HOST=%s", upper, address);
    json_array_foreach(json_at(service, "spec.ports"), i, port)
    {
        int64_t number = json_int_at(port, "port", 0);
        if (i == 0)
            strv_addf(env, "%s_SERVICE_PORT=%" PRId64, upper, number);
    }
}

static void add_services(const struct container *container, struct strv *env)
{
    const struct pod *pod = container->pod;
    const json_t *kubernetes = node_find(pod->node, MIRROR_SERVICES, "default", "kubernetes");
    const char *key;
    json_t *service;

    if (kubernetes)
        add_service(kubernetes, env);
    if (!json_bool_at(pod->object, "spec.enableServiceLinks", true))
        return;
    json_object_foreach(pod->node->mirror[MIRROR_SERVICES], key, service)
    {
        const char *ns = json_str_at(service, "metadata.namespace");
        if (ns && strcmp(ns, pod->ns) == 0 && service != kubernetes)
            add_service(service, env);
    }
}

static int add_variable(const struct container *container, const json_t *item, struct strv *env,
                        struct error *err)
{
    const char *name = json_str_at(item, "name"), *plain = json_str_at(item, "value");
    const json_t *from = json_object_get(item, "valueFrom");
    CLEANUP(text) char *value = NULL;
    CLEANUP(buf) struct buf expanded = BUF_INIT(ENV_VALUE_MAX);

    if (!name || name[0] == '\0' || strchr(name, '='))
        return error_set(err, ERR_INVALID, "an environment variable without a good name");
    if (from) {
        if (value_from(container, from, &value, err) < 0)
            return -1;
        if (value)
            strv_addf(env, "%s=%s", name, value);
        return 0;
    }
    if (env_expand(plain ? plain : "", env, &expanded, err) < 0)
        return -1;
    strv_addf(env, "%s=%s", name, buf_text(&expanded));
    return 0;
}

/* Programs take the first of two equal names, we mean the last: keep that one. */
static void drop_repeated(struct strv *env)
{
    size_t kept = 0;

    for (size_t i = 0; i < env->count; i++) {
        struct str name = str_of(env->items[i]);
        ptrdiff_t equals = str_find(name, '=');
        name = str_first(name, (size_t)equals + 1);
        bool again = false;
        for (size_t j = i + 1; j < env->count && !again; j++)
            again = str_starts(str_of(env->items[j]), name);
        if (again)
            free(env->items[i]);
        else
            env->items[kept++] = env->items[i];
    }
    env->count = kept;
    if (env->items)
        env->items[kept] = NULL;
}

int env_build(const struct container *container, const json_t *image_env, struct strv *ret,
              struct error *err)
{
    const json_t *spec = container_spec(container);
    const char *hostname = json_str_at(container->pod->object, "spec.hostname");
    size_t i;
    json_t *item;

    strv_add(ret, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    strv_addf(ret, "HOSTNAME=%s", hostname ? hostname : container->pod->name);
    json_array_foreach((json_t *)image_env, i, item)
    {
        const char *text = json_string_value(item);
        if (text && strchr(text, '=') && text[0] != '=')
            strv_add(ret, text);
    }
    add_services(container, ret);
    json_array_foreach(json_object_get(spec, "envFrom"), i, item)
    {
        if (add_all_of(container, item, ret, err) < 0)
            return -1;
    }
    json_array_foreach(json_object_get(spec, "env"), i, item)
    {
        if (add_variable(container, item, ret, err) < 0)
            return -1;
    }
    drop_repeated(ret);
    return strv_ok(ret, err);
}
