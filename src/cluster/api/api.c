/* cluster/api/api.c - the api's life, and its verbs for controllers. */
#include "cluster/api/api_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "cluster/api/patch.h"
#include "cluster/api/selector.h"

enum { PURGE_EVERY_MS = 60 * 1000, EVENT_AGE_S = 3600 };

/* --- what every cluster has --- */

static int ensure(struct api *api, enum resource_id id, const char *namespace_name,
                  const char *name, json_t *take_object, struct error *err)
{
    if (store_get(api->store, resource_get(id), namespace_name, name)) {
        json_decref(take_object);
        return 0;
    }
    return api_create(api, id, take_object, NULL, err);
}

static int ensure_kubernetes_service(struct api *api, struct error *err)
{
    char address[32];
    (void)snprintf(address, sizeof(address), "10.96.%u.1", api->cluster_index);
    /* The service address of the API leads to the API's port on the node (cluster/net). */
    json_t *service =
        json_pack("{s:{s:s, s:s, s:{s:s, s:s}}, s:{s:s, s:[{s:s, s:i, s:i}]}}", "metadata", "name",
                  "kubernetes", "namespace", "default", "labels", "component", "apiserver",
                  "provider", "kubernetes", "spec", "clusterIP", address, "ports", "name", "https",
                  "port", 443, "targetPort", 6443);
    if (!service)
        return error_no_memory(err);
    return ensure(api, RES_SERVICES, "default", "kubernetes", service, err);
}

static int api_seed(struct api *api, struct error *err)
{
    static const char *const namespaces[] = {"default", "kube-system", "kube-public",
                                             "kube-node-lease"};

    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
        json_t *object = json_pack("{s:{s:s}}", "metadata", "name", namespaces[i]);
        if (!object)
            return error_no_memory(err);
        if (ensure(api, RES_NAMESPACES, "", namespaces[i], object, err) < 0)
            return error_wrap(err, "making namespace '%s'", namespaces[i]);
    }
    return ensure_kubernetes_service(api, err);
}

/* --- Events are forgotten after an hour --- */

static void api_purge(struct loop *loop, void *ctx);

static int api_set_purge(struct api *api, struct error *err)
{
    if (!api->loop)
        return 0;
    return loop_add_timer(api->loop, PURGE_EVERY_MS, api_purge, api, &api->purge, err);
}

static bool event_is_old(const json_t *event, int64_t now_s)
{
    const char *last = json_str_at(event, "lastTimestamp");
    int64_t then_s;

    if (!last)
        last = json_str_at(event, "metadata.creationTimestamp");
    return last && clock_parse_rfc3339(str_of(last), &then_s) && now_s - then_s > EVENT_AGE_S;
}

static void api_purge(struct loop *loop, void *ctx)
{
    struct api *api = ctx;
    CLEANUP(object_set) struct object_set events = {0};
    struct error err = ERROR_INIT;
    int64_t now_s = clock_now_s();
    int rc = store_list_copy(api->store, resource_get(RES_EVENTS), NULL, &events, &err);

    api->purge = NULL; /* a timer that has fired is gone */
    for (size_t i = 0; rc == 0 && i < events.count; i++) {
        const struct object *event = events.items[i];
        if (event_is_old(object_root(event), now_s))
            rc = store_remove(api->store, resource_get(RES_EVENTS), object_namespace(event),
                              object_name(event), NULL, &err);
    }
    if (rc < 0 || api_set_purge(api, &err) < 0)
        log_warn("old Events are kept", log_err(&err));
}

/* --- life --- */

int api_new(const struct api_options *options, struct api **ret, struct error *err)
{
    CLEANUP(api) struct api *api = calloc(1, sizeof(*api));
    struct store_options store_options = {.loop = options->loop, .path = options->store_path};

    if (!api)
        return error_no_memory(err);
    api->loop = options->loop;
    api->cluster_index = options->cluster_index ? options->cluster_index : 1;
    if (options->logs_dir && !(api->logs_dir = str_dup(str_of(options->logs_dir))))
        return error_no_memory(err);
    if (schema_new(&api->schema, err) < 0)
        return -1;
    for (size_t i = 0; i < RES_COUNT; i++)
        api->types[i] = schema_find(api->schema, resource_get((enum resource_id)i)->kind);
    if (store_new(&store_options, &api->store, err) < 0)
        return -1;
    if (api_seed(api, err) < 0 || api_set_purge(api, err) < 0)
        return -1;
    *ret = TAKE(api);
    return 0;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    loop_timer_remove(api->purge);
    store_free(api->store);
    schema_free(api->schema);
    free(api->logs_dir);
    free(api);
}

struct store *api_store(struct api *api)
{
    return api->store;
}

const struct object *api_get(struct api *api, enum resource_id id, const char *namespace_name,
                             const char *name)
{
    return store_get(api->store, resource_get(id), namespace_name ? namespace_name : "", name);
}

struct object_list api_list(struct api *api, enum resource_id id, const char *namespace_name)
{
    return store_list(api->store, resource_get(id), namespace_name);
}

/* --- verbs for controllers --- */

/* Names are copied: the object they come from is consumed by the verb. */
struct own_verb {
    struct verb verb;
    char version[API_VERSION_SIZE];
    char namespace_name[256];
    char name[256];
};

static void own_verb_init(struct own_verb *own, struct api *api, enum resource_id id,
                          const char *namespace_name, const char *name)
{
    const struct resource *res = resource_get(id);

    (void)snprintf(own->namespace_name, sizeof(own->namespace_name), "%s",
                   resource_is_namespaced(res) && namespace_name ? namespace_name : "");
    (void)snprintf(own->name, sizeof(own->name), "%s", name ? name : "");
    own->verb = (struct verb){.api = api,
                              .res = res,
                              .api_version = resource_api_version(res, own->version),
                              .namespace_name = own->namespace_name,
                              .name = own->name};
}

/* The status becomes the error; the object, which the store holds, is lent. */
static int give(int rc, struct object *object, struct status *status,
                const struct object **ret_object, struct error *err)
{
    if (rc < 0)
        rc = status_to_error(status, err);
    else if (ret_object)
        *ret_object = object; /* the event that tells of it holds it until the loop turns */
    status_done(status);
    object_unref(object);
    return rc;
}

int api_create(struct api *api, enum resource_id id, json_t *take_object,
               const struct object **ret_object, struct error *err)
{
    struct own_verb own;
    struct status status = STATUS_INIT;
    struct object *object = NULL;

    own_verb_init(&own, api, id, json_str_at(take_object, "metadata.namespace"), "");
    int rc = verb_create(&own.verb, take_object, &object, &status);
    return give(rc, object, &status, ret_object, err);
}

static int api_put(struct api *api, enum resource_id id, enum subresource sub, json_t *take_object,
                   const struct object **ret_object, struct error *err)
{
    struct own_verb own;
    struct status status = STATUS_INIT;
    struct object *object = NULL;

    own_verb_init(&own, api, id, json_str_at(take_object, "metadata.namespace"),
                  json_str_at(take_object, "metadata.name"));
    own.verb.sub = sub;
    int rc = verb_update(&own.verb, take_object, &object, &status);
    return give(rc, object, &status, ret_object, err);
}

int api_update(struct api *api, enum resource_id id, json_t *take_object,
               const struct object **ret_object, struct error *err)
{
    return api_put(api, id, SUB_NONE, take_object, ret_object, err);
}

int api_update_status(struct api *api, enum resource_id id, json_t *take_object,
                      const struct object **ret_object, struct error *err)
{
    return api_put(api, id, SUB_STATUS, take_object, ret_object, err);
}

int api_merge_patch(struct api *api, enum resource_id id, const char *namespace_name,
                    const char *name, bool is_status, const json_t *patch,
                    const struct object **ret_object, struct error *err)
{
    struct own_verb own;
    struct status status = STATUS_INIT;
    struct object *object = NULL;

    own_verb_init(&own, api, id, namespace_name, name);
    own.verb.sub = is_status ? SUB_STATUS : SUB_NONE;
    const struct object *old = verb_find(&own.verb, &status);
    if (!old)
        return give(-1, NULL, &status, ret_object, err);
    json_t *patched = patch_merge(object_root(old), patch);
    int rc = patched ? verb_replace(&own.verb, old, patched, &object, &status)
                     : status_no_memory(&status);
    return give(rc, object, &status, ret_object, err);
}

int api_delete(struct api *api, enum resource_id id, const char *namespace_name, const char *name,
               const struct api_delete_options *options, struct error *err)
{
    struct own_verb own;
    struct status status = STATUS_INIT;
    struct object *object = NULL;
    struct delete_request request = {.grace_s = options ? options->grace_s : -1,
                                     .propagation = options ? options->propagation : NULL,
                                     .uid = options ? options->uid : NULL};
    bool is_gone;

    own_verb_init(&own, api, id, namespace_name, name);
    int rc = verb_delete(&own.verb, &request, &object, &is_gone, &status);
    return give(rc, object, &status, NULL, err);
}

int api_finalize_namespace(struct api *api, const char *name, struct error *err)
{
    const struct object *object = api_get(api, RES_NAMESPACES, "", name);

    if (!object)
        return error_set(err, ERR_NOT_FOUND, "namespaces \"%s\" not found", name);
    if (!object_is_deleting(object))
        return error_set(err, ERR_CONFLICT, "namespace '%s' is not being deleted", name);
    return store_remove(api->store, resource_get(RES_NAMESPACES), "", name, NULL, err);
}

bool api_labels_match(const json_t *wanted_labels, const json_t *object)
{
    const json_t *labels = json_object_get(json_object_get(object, "metadata"), "labels");
    const char *key;
    json_t *value;

    if (json_object_size(wanted_labels) == 0)
        return false;
    json_object_foreach((json_t *)wanted_labels, key, value)
    {
        if (!json_equal(json_object_get(labels, key), value))
            return false;
    }
    return true;
}

bool api_selector_matches(const json_t *label_selector, const json_t *object)
{
    return selector_object_matches(label_selector,
                                   json_object_get(json_object_get(object, "metadata"), "labels"));
}
