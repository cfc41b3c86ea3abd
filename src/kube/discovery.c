/* kube/discovery.c - kinds → paths, by the server's APIResourceLists, each asked once. */
#include "base/encode.h"
#include "kube/kube_internal.h"

static void resource_free(struct kube_resource *resource)
{
    if (!resource)
        return;
    free(resource->group);
    free(resource->version);
    free(resource->kind);
    free(resource->plural);
    free(resource->singular);
    strv_done(&resource->short_names);
    strv_done(&resource->verbs);
    free(resource);
}
DEFINE_CLEANUP(resource, struct kube_resource *, resource_free)

/* "apps/v1" → group "apps", version "v1"; "v1" → group "". */
static struct str group_of(const char *api_version, struct str *ret_version)
{
    struct str whole = str_of(api_version);
    ptrdiff_t slash = str_find(whole, '/');

    *ret_version = slash < 0 ? whole : str_skip(whole, (size_t)slash + 1);
    return slash < 0 ? STR("") : str_first(whole, (size_t)slash);
}

const struct kube_resource *kube_resource_cached(const struct kube_client *client,
                                                 const char *api_version, const char *kind)
{
    struct str version;
    struct str group = group_of(api_version, &version);

    for (size_t i = 0; i < client->resource_count; i++) {
        const struct kube_resource *r = client->resources[i];
        if (str_is(group, r->group) && str_is(version, r->version) && strcmp(kind, r->kind) == 0)
            return r;
    }
    return NULL;
}

int kube_discovery_url(const struct kube_client *client, const char *api_version,
                       struct buf *ret_url, struct error *err)
{
    struct str version;
    struct str group = group_of(api_version, &version);

    buf_add_text(ret_url, client->server);
    buf_add_text(ret_url, group.len ? "/apis/" : "/api/");
    if (group.len) {
        percent_encode(group, ".-", ret_url);
        buf_add_char(ret_url, '/');
    }
    percent_encode(version, ".-", ret_url);
    return buf_ok(ret_url, err);
}

static void add_texts(const json_t *array, struct strv *out)
{
    size_t i;
    const json_t *item;

    json_array_foreach(array, i, item)
    {
        if (json_is_string(item))
            strv_add(out, json_string_value(item));
    }
}

static int learn_one(struct kube_client *client, const char *api_version, const json_t *item,
                     struct error *err)
{
    CLEANUP(resource) struct kube_resource *r = NULL;
    const char *plural = json_str_at(item, "name");
    const char *kind = json_str_at(item, "kind");
    const char *singular = json_str_at(item, "singularName");
    struct str version;
    struct str group = group_of(api_version, &version);

    if (!plural || !kind || strchr(plural, '/')) /* subresources are called by their parent */
        return 0;
    if (kube_resource_cached(client, api_version, kind)) /* asked again, for a newer kind */
        return 0;
    if (client->resource_count >= KUBE_RESOURCES_MAX)
        return error_set(err, ERR_LIMIT, "the API server has more than %d kinds",
                         KUBE_RESOURCES_MAX);
    struct kube_resource **grown =
        reallocarray(client->resources, client->resource_count + 1, sizeof *client->resources);
    if (!grown)
        return error_no_memory(err);
    client->resources = grown;
    r = calloc(1, sizeof *r);
    if (!r)
        return error_no_memory(err);
    r->group = str_dup(group);
    r->version = str_dup(version);
    r->kind = str_dup(str_of(kind));
    r->plural = str_dup(str_of(plural));
    r->singular = str_dup(str_of(singular ? singular : ""));
    r->namespaced = json_bool_at(item, "namespaced", false);
    add_texts(json_object_get(item, "shortNames"), &r->short_names);
    add_texts(json_object_get(item, "verbs"), &r->verbs);
    if (!r->group || !r->version || !r->kind || !r->plural || !r->singular)
        return error_no_memory(err);
    if (strv_ok(&r->short_names, err) < 0 || strv_ok(&r->verbs, err) < 0)
        return -1;
    client->resources[client->resource_count++] = TAKE(r);
    return 0;
}

int kube_discovery_learn(struct kube_client *client, const char *api_version, int status,
                         struct str body, struct error *err)
{
    CLEANUP(json) json_t *list = NULL;
    size_t i;
    const json_t *item;

    if (status == 404) /* not remembered: a custom kind may be defined a moment later */
        return 0;
    if (status >= 400)
        return kube_status_error(status, body, err);
    if (kube_answer_parse(body, &list, err) < 0)
        return error_wrap(err, "asking for the kinds of '%s'", api_version);
    json_array_foreach(json_object_get(list, "resources"), i, item)
    {
        if (learn_one(client, api_version, item, err) < 0)
            return -1;
    }
    return 0;
}

int kube_resource_missing(const char *api_version, const char *kind, struct error *err)
{
    return error_set(err, ERR_NOT_FOUND, "the cluster does not serve kind '%s' of '%s'", kind,
                     api_version);
}

int kube_resource_find(struct kube_client *client, const char *api_version, const char *kind,
                       const struct kube_resource **ret, struct error *err)
{
    const struct kube_resource *found = kube_resource_cached(client, api_version, kind);

    if (!found) {
        CLEANUP(buf) struct buf url = BUF_INIT(4096);
        CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
        if (kube_discovery_url(client, api_version, &url, err) < 0)
            return -1;
        struct http_call call = {.url = buf_text(&url), .timeout_ms = KUBE_TIMEOUT_MS};
        if (http_client_call(client->http, &call, &answer, err) < 0)
            return error_wrap(err, "asking '%s'", client->server);
        if (kube_discovery_learn(client, api_version, answer.status, buf_str(&answer.body), err) <
            0)
            return -1;
        found = kube_resource_cached(client, api_version, kind);
    }
    if (!found)
        return kube_resource_missing(api_version, kind, err);
    *ret = found;
    return 0;
}

void kube_client_free(struct kube_client *client)
{
    if (!client)
        return;
    for (size_t i = 0; i < client->resource_count; i++)
        resource_free(client->resources[i]);
    free(client->resources);
    http_client_free(client->http);
    kube_config_done(&client->config);
    free(client->server);
    free(client->ns);
    free(client);
}
