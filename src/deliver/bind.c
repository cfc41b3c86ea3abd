/* deliver/bind.c - service bindings: see bind.h. Source: servicebinding.io/v1, "Workload
 * Projection". */
#include "deliver/bind.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include "base/encode.h"
#include "render/render.h"

#define BINDING_ROOT "/bindings"
enum { BIND_CLAIMS_MAX = 64, BIND_ADDRESSES_MAX = 16, BIND_NAME_MAX = 253 };

static bool is_kind(const json_t *object, const char *kind)
{
    const char *found = json_str_at(object, "kind");
    return found && strcmp(found, kind) == 0;
}

/* Binding names: [a-z0-9\-\.]{1,253} (spec, "Workload Projection"); no "." or ".." as a folder. */
static bool name_is_good(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= BIND_NAME_MAX && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") == len;
}

static int claims_of(const json_t *deployment, json_t *out, struct error *err)
{
    CLEANUP(json) json_t *claims = NULL;
    const json_t *annotations = json_at(deployment, "metadata.annotations");
    const char *text = json_string_value(json_object_get(annotations, RENDER_CLAIMS));
    size_t i;
    json_t *claim;

    if (!text || !*text)
        return 0;
    if (json_parse("annotation " RENDER_CLAIMS, str_of(text), &claims, err) < 0)
        return -1;
    json_array_foreach(claims, i, claim)
    {
        const char *name = json_str_at(claim, "name");
        if (!name || !json_str_at(claim, "service") || !name_is_good(name)) {
            return error_set(err, ERR_INVALID,
                             "a service claim needs a name of letters, digits, '-' and '.', and a "
                             "service; found name '%s'",
                             name ? name : "");
        }
        if (i >= BIND_CLAIMS_MAX)
            return error_set(err, ERR_LIMIT, "more than %d service claims", BIND_CLAIMS_MAX);
        if (json_array_append(out, claim) < 0)
            return error_no_memory(err);
    }
    return 0;
}

int bind_claims(const json_t *objects, json_t **ret, struct error *err)
{
    CLEANUP(json) json_t *out = json_array();
    size_t i;
    const json_t *object;

    if (!out)
        return error_no_memory(err);
    json_array_foreach(objects, i, object)
    {
        if (is_kind(object, "Deployment") && claims_of(object, out, err) < 0)
            return -1;
    }
    *ret = TAKE(out);
    return 0;
}

/* data: base64 of each entry's raw value, with no added end of line. */
static int make_secret(const char *name, const struct bind_service *service, json_t **ret,
                       struct error *err)
{
    CLEANUP(json) json_t *data = json_object();
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)service->entries, key, value)
    {
        CLEANUP(buf) struct buf text = BUF_INIT(1 << 20);
        if (!json_is_string(value))
            return error_set(err, ERR_INVALID, "expected text for entry '%s' of the binding", key);
        base64_encode(str_slice(json_string_value(value), json_string_length(value)), &text);
        if (buf_ok(&text, err) < 0)
            return -1;
        if (json_object_set_new(data, key, json_string(buf_text(&text))) < 0)
            return error_no_memory(err);
    }
    *ret = json_pack("{s:s, s:s, s:{s:s}, s:s+, s:O}", "apiVersion", "v1", "kind", "Secret",
                     "metadata", "name", name, "type", "servicebinding.io/", service->type, "data",
                     data);
    return *ret ? 0 : error_no_memory(err);
}

/* SERVICE_BINDING_ROOT of a container: set to /bindings unless it says otherwise. */
static const char *binding_root(json_t *container)
{
    json_t *env = json_object_get(container, "env");
    size_t i;
    json_t *item;

    if (!json_is_array(env)) {
        env = json_array();
        if (json_object_set_new(container, "env", env) < 0)
            return NULL;
    }
    json_array_foreach(env, i, item)
    {
        const char *name = json_str_at(item, "name");
        if (name && strcmp(name, "SERVICE_BINDING_ROOT") == 0)
            return json_str_at(item, "value");
    }
    if (json_array_append_new(env, json_pack("{s:s, s:s}", "name", "SERVICE_BINDING_ROOT", "value",
                                             BINDING_ROOT)) < 0)
        return NULL;
    return BINDING_ROOT;
}

static json_t *array_in(json_t *object, const char *key)
{
    json_t *array = json_object_get(object, key);

    if (!json_is_array(array)) {
        array = json_array();
        if (json_object_set_new(object, key, array) < 0)
            return NULL;
    }
    return array;
}

static int mount_in(json_t *containers, const char *volume, const char *claim, struct error *err)
{
    size_t i;
    json_t *container;

    json_array_foreach(containers, i, container)
    {
        const char *root = binding_root(container);
        json_t *mounts = array_in(container, "volumeMounts");
        if (!root)
            return error_set(err, ERR_INVALID,
                             "container '%s' sets SERVICE_BINDING_ROOT to no plain value",
                             json_str_at(container, "name"));
        CLEANUP(text) char *path = str_format("%s/%s", root, claim);
        if (!mounts || !path ||
            json_array_append_new(mounts, json_pack("{s:s, s:s, s:b}", "name", volume, "mountPath",
                                                    path, "readOnly", 1)) < 0)
            return error_no_memory(err);
    }
    return 0;
}

static int project_into(json_t *deployment, const char *secret, const char *claim,
                        struct error *err)
{
    json_t *pod = json_at(deployment, "spec.template.spec");
    CLEANUP(text) char *volume = str_format("binding-%s", claim);

    if (!json_is_object(pod))
        return error_set(err, ERR_INVALID, "expected spec.template.spec in the Deployment");
    if (!volume)
        return error_no_memory(err);
    for (char *c = volume; *c; c++) { /* a volume's name is a label: no dots */
        if (*c == '.')
            *c = '-';
    }
    json_t *volumes = array_in(pod, "volumes");
    if (!volumes || json_array_append_new(volumes, json_pack("{s:s, s:{s:[{s:{s:s}}]}}", "name",
                                                             volume, "projected", "sources",
                                                             "secret", "name", secret)) < 0)
        return error_no_memory(err);
    if (mount_in(json_object_get(pod, "containers"), volume, claim, err) < 0)
        return -1;
    return mount_in(json_object_get(pod, "initContainers"), volume, claim, err);
}

static int add_egress(json_t *policy, const char *address, uint16_t port, struct error *err)
{
    CLEANUP(text) char *cidr = str_format("%s/%d", address, strchr(address, ':') ? 128 : 32);
    json_t *spec = json_object_get(policy, "spec");
    json_t *egress = json_is_object(spec) ? array_in(spec, "egress") : NULL;

    if (!cidr || !egress)
        return error_set(err, ERR_INVALID, "expected spec in the NetworkPolicy");
    json_t *rule = json_pack("{s:[{s:{s:s}}], s:[{s:s, s:i}]}", "to", "ipBlock", "cidr", cidr,
                             "ports", "protocol", "TCP", "port", (int)port);
    return json_array_append_new(egress, rule) < 0 ? error_no_memory(err) : 0;
}

/* A host that is a name is looked up now: NetworkPolicy knows addresses only. */
static int add_egress_to_host(json_t *policy, const struct bind_service *service, struct error *err)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    struct in_addr plain;
    int result = 0;

    if (inet_pton(AF_INET, service->host, &plain) == 1)
        return add_egress(policy, service->host, service->port, err);
    int code = getaddrinfo(service->host, NULL, &hints, &found);
    if (code != 0)
        return error_set(err, ERR_UNAVAILABLE, "looking up '%s': %s", service->host,
                         gai_strerror(code));
    size_t count = 0;
    for (struct addrinfo *at = found; at && result == 0 && count < BIND_ADDRESSES_MAX;
         at = at->ai_next, count++) {
        char text[INET_ADDRSTRLEN];
        const struct sockaddr_in *address = (const void *)at->ai_addr;
        if (inet_ntop(AF_INET, &address->sin_addr, text, sizeof text))
            result = add_egress(policy, text, service->port, err);
    }
    freeaddrinfo(found);
    return result;
}

int bind_service(json_t *objects, const char *workload, const struct bind_service *service,
                 struct error *err)
{
    CLEANUP(text) char *secret_name = str_format("%s-%s", workload, service->claim);
    CLEANUP(json) json_t *secret = NULL;
    size_t i;
    json_t *object;

    if (!secret_name)
        return error_no_memory(err);
    if (make_secret(secret_name, service, &secret, err) < 0)
        return -1;
    json_array_foreach(objects, i, object)
    {
        if (is_kind(object, "Deployment") &&
            project_into(object, secret_name, service->claim, err) < 0)
            return error_wrap(err, "binding '%s'", service->claim);
        if (is_kind(object, "NetworkPolicy") && service->host &&
            add_egress_to_host(object, service, err) < 0)
            return error_wrap(err, "binding '%s'", service->claim);
    }
    return json_array_insert(objects, 0, secret) < 0 ? error_no_memory(err) : 0;
}
