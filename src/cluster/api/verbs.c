/* cluster/api/verbs.c - create and update: what the server sets, defaults, checks, and then stores.
 */
#include "base/clock.h"
#include "base/random.h"
#include "cluster/api/api_internal.h"
#include "cluster/api/decode.h"
#include "cluster/api/defaults.h"
#include "cluster/api/fields.h"
#include "cluster/api/validate.h"

enum { GENERATED_SUFFIX = 5, GENERATED_BASE_MAX = 58, GENERATE_TRIES = 8 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* --- reading the body --- */

static int refuse_unknown(const struct verb *v, const struct strv *unknown, struct status *status)
{
    CLEANUP(buf) struct buf text = BUF_INIT(1 << 16);

    for (size_t i = 0; i < unknown->count; i++) {
        if (v->validation == FIELDS_STRICT)
            buf_addf(&text, "%s%s", i ? ", " : "", unknown->items[i]);
        else if (v->validation == FIELDS_WARN && v->warnings)
            strv_add(v->warnings, unknown->items[i]);
    }
    if (text.len == 0)
        return 0;
    return status_bad_request(
        status, "%s in version \"%s\" cannot be handled as a %s: strict decoding error: %s",
        v->res->kind, v->res->version, v->res->kind, buf_text(&text));
}

int verb_decode(const struct verb *v, json_t *object, struct status *status)
{
    CLEANUP(strv) struct strv unknown = STRV_INIT;
    const char *kind = text_of(object, "kind");
    const char *version = text_of(object, "apiVersion");
    char stored[API_VERSION_SIZE]; /* a patched tree still has the version of the stored one */

    if (!json_is_object(object))
        return status_bad_request(status, "the body must be an object");
    if ((*kind && strcmp(kind, v->res->kind) != 0) ||
        (*version && strcmp(version, v->api_version) != 0 &&
         strcmp(version, resource_api_version(v->res, stored)) != 0))
        return status_bad_request(
            status,
            "the API version in the data (%s, Kind=%s) does not match the expected API version"
            " (%s, Kind=%s)",
            version, kind, v->api_version, v->res->kind);
    if (decode_check(v->api->types[v->res->id], v->res->kind, v->res->version, object,
                     v->manager ? &unknown : NULL, status) < 0)
        return -1;
    return refuse_unknown(v, &unknown, status);
}

/* kind, apiVersion and metadata first, as people expect to read them. Consumes. */
static json_t *in_order(const struct verb *v, json_t *take_object)
{
    CLEANUP(json) json_t *object = take_object;
    char version[API_VERSION_SIZE];
    json_t *metadata = json_object_get(object, "metadata");
    json_t *ordered = json_pack("{s:s, s:s, s:o}", "kind", v->res->kind, "apiVersion",
                                resource_api_version(v->res, version), "metadata",
                                json_is_object(metadata) ? json_incref(metadata) : json_object());

    if (!ordered || json_object_update_missing(ordered, object) < 0) {
        json_decref(ordered);
        return NULL;
    }
    return ordered;
}

/* --- steps --- */

const struct object *verb_find(const struct verb *v, struct status *status)
{
    const struct object *object = store_get(v->api->store, v->res, v->namespace_name, v->name);
    if (!object)
        (void)status_not_found(status, v->res, v->name);
    return object;
}

static int check_namespace(const struct verb *v, struct status *status)
{
    const struct resource *namespaces = resource_get(RES_NAMESPACES);

    if (!resource_is_namespaced(v->res))
        return 0;
    const struct object *object = store_get(v->api->store, namespaces, "", v->namespace_name);
    if (!object)
        return status_not_found(status, namespaces, v->namespace_name);
    return 0;
}

static int refuse_terminating(const struct verb *v, const char *name, struct status *status)
{
    const struct object *object =
        store_get(v->api->store, resource_get(RES_NAMESPACES), "", v->namespace_name);
    char why[512];

    if (!resource_is_namespaced(v->res) || !object || !object_is_deleting(object))
        return 0;
    (void)snprintf(why, sizeof(why),
                   "unable to create new content in namespace %s because it is being terminated",
                   v->namespace_name);
    (void)status_forbidden(status, v->res, name, why);
    CLEANUP(text) char *message = str_format("namespace %s is being terminated", v->namespace_name);
    (void)json_object_set_new(status->details, "causes",
                              json_pack("[{s:s, s:s, s:s}]", "reason", "NamespaceTerminating",
                                        "message", message ? message : "", "field",
                                        "metadata.namespace"));
    return -1;
}

/* metadata.namespace must be the path's; filled in if absent. */
static int settle_namespace(const struct verb *v, json_t *metadata, struct status *status)
{
    const char *given = text_of(metadata, "namespace");

    if (!resource_is_namespaced(v->res)) {
        (void)json_object_del(metadata, "namespace"); /* may be absent */
        return 0;
    }
    if (*given && strcmp(given, v->namespace_name) != 0)
        return status_bad_request(
            status, "the namespace of the provided object does not match the namespace"
                    " sent on the request");
    if (!*given && json_object_set_new(metadata, "namespace", json_string(v->namespace_name)) < 0)
        return status_no_memory(status);
    return 0;
}

static int run_defaults(const struct verb *v, json_t *object, struct status *status)
{
    if (v->res->set_defaults && v->res->set_defaults(object) < 0)
        return status_no_memory(status);
    return 0;
}

static int run_validation(const struct verb *v, json_t *object, const json_t *old,
                          struct status *status)
{
    CLEANUP(causes) struct causes causes = CAUSES_INIT;

    validate_metadata(v->res, object, old, &causes);
    if (v->res->validate)
        v->res->validate(object, old, &causes);
    if (causes_count(&causes) == 0)
        return 0;
    return status_invalid(status, v->res, text_of(json_object_get(object, "metadata"), "name"),
                          &causes);
}

static int track_fields(const struct verb *v, const json_t *old, json_t *object,
                        struct status *status)
{
    struct fields_writer writer = {v->manager, v->api_version,
                                   v->sub == SUB_STATUS  ? "status"
                                   : v->sub == SUB_SCALE ? "scale"
                                                         : "",
                                   false};
    if (!v->manager || v->is_apply)
        return 0;
    if (fields_track(v->api->types[v->res->id], &writer, old, object) < 0)
        return status_no_memory(status);
    return 0;
}

/* Stores it, or on a dry run only makes what would have been stored. */
static int keep(const struct verb *v, json_t *take_object, struct object **ret_object,
                struct status *status)
{
    struct error err = ERROR_INIT;
    const struct object *stored = NULL;

    if (v->dry_run) {
        if (object_from_tree(v->res, take_object, store_revision(v->api->store), ret_object, &err) <
            0)
            return status_from_error(status, &err);
        return 0;
    }
    if (store_put(v->api->store, v->res, take_object, &stored, &err) < 0)
        return status_from_error(status, &err);
    *ret_object = object_ref(stored);
    return 0;
}

/* --- create --- */

static int generate_name(const struct verb *v, json_t *metadata, struct status *status)
{
    const char *base = text_of(metadata, "generateName");
    char suffix[GENERATED_SUFFIX + 1];

    if (*text_of(metadata, "name") || !*base)
        return 0;
    for (int i = 0; i < GENERATE_TRIES; i++) {
        random_name(suffix, GENERATED_SUFFIX);
        CLEANUP(text) char *name = str_format("%.*s%s", GENERATED_BASE_MAX, base, suffix);
        if (!name || json_object_set_new(metadata, "name", json_string(name)) < 0)
            return status_no_memory(status);
        if (!store_get(v->api->store, v->res, v->namespace_name, name))
            return 0;
    }
    (void)status_already_exists(status, v->res, text_of(metadata, "name"));
    return -1;
}

static int set_birth(const struct verb *v, json_t *metadata)
{
    static const char *const servers[] = {
        "selfLink",         "deletionTimestamp", "deletionGracePeriodSeconds",
        "generation",       "resourceVersion",   "uid",
        "creationTimestamp"};
    char uid[UUID_SIZE], now[CLOCK_TEXT_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(servers); i++)
        (void)json_object_del(metadata, servers[i]); /* the client does not say these */
    if (v->manager && !v->is_apply)
        (void)json_object_del(metadata, "managedFields");
    random_uuid(uid);
    if (json_object_set_new(metadata, "uid", json_string(uid)) < 0 ||
        json_object_set_new(metadata, "creationTimestamp",
                            json_string(clock_rfc3339(clock_now_s(), now))) < 0)
        return -1;
    if (v->res->flags & RESOURCE_HAS_GENERATION)
        return json_object_set_new(metadata, "generation", json_integer(1));
    return 0;
}

static int prepare_create(const struct verb *v, json_t *object, struct status *status)
{
    json_t *metadata = json_object_get(object, "metadata");

    if (settle_namespace(v, metadata, status) < 0 || check_namespace(v, status) < 0 ||
        generate_name(v, metadata, status) < 0)
        return -1;
    const char *name = text_of(metadata, "name");
    if (*name && store_get(v->api->store, v->res, v->namespace_name, name))
        return status_already_exists(status, v->res, name);
    if (refuse_terminating(v, name, status) < 0)
        return -1;
    if (*text_of(metadata, "resourceVersion"))
        return status_bad_request(status,
                                  "resourceVersion should not be set on objects to be created");
    if (set_birth(v, metadata) < 0)
        return status_no_memory(status);
    /* What a status says, the cluster says: not who creates. In-process writers are the cluster. */
    if (v->manager && (v->res->flags & RESOURCE_HAS_STATUS))
        (void)json_object_del(object, "status");
    if (run_defaults(v, object, status) < 0 || run_validation(v, object, NULL, status) < 0)
        return -1;
    if (v->res->id == RES_SERVICES && service_allocate(v->api, object, status) < 0)
        return -1;
    return track_fields(v, NULL, object, status);
}

/* Every namespace has a ServiceAccount "default", as Kubernetes' controller makes it. */
static int create_default_account(const struct verb *v, const char *namespace_name,
                                  struct status *status)
{
    CLEANUP(object) struct object *account = NULL;
    struct verb create = {.api = v->api,
                          .res = resource_get(RES_SERVICEACCOUNTS),
                          .api_version = "v1",
                          .namespace_name = namespace_name,
                          .name = ""};
    json_t *root = json_pack("{s:{s:s}}", "metadata", "name", "default");

    if (!root)
        return status_no_memory(status);
    return verb_create(&create, root, &account, status);
}

int verb_create(const struct verb *v, json_t *take_object, struct object **ret_object,
                struct status *status)
{
    CLEANUP(json) json_t *given = take_object;
    if (verb_decode(v, given, status) < 0)
        return -1;
    CLEANUP(json) json_t *object = in_order(v, TAKE(given));
    if (!object)
        return status_no_memory(status);
    if (prepare_create(v, object, status) < 0)
        return -1;
    if (keep(v, TAKE(object), ret_object, status) < 0)
        return -1;
    if (v->res->id == RES_NAMESPACES && !v->dry_run)
        return create_default_account(v, object_name(*ret_object), status);
    return 0;
}

/* --- update --- */

static int check_preconditions(const struct verb *v, const struct object *old,
                               const json_t *metadata, struct status *status)
{
    const char *revision = text_of(metadata, "resourceVersion");
    const char *uid = text_of(metadata, "uid");
    const char *name = text_of(metadata, "name");
    const json_t *old_metadata = json_object_get(object_root(old), "metadata");
    char why[256];

    if (*name && strcmp(name, object_name(old)) != 0)
        return status_bad_request(
            status, "the name of the object (%s) does not match the name on the URL (%s)", name,
            object_name(old));
    if (*uid && strcmp(uid, object_uid(old)) != 0) {
        (void)snprintf(why, sizeof(why),
                       "Precondition failed: UID in precondition: %s, UID in object meta: %s", uid,
                       object_uid(old));
        return status_conflict(status, v->res, object_name(old), why);
    }
    if (*revision && strcmp(revision, "0") != 0 &&
        strcmp(revision, text_of(old_metadata, "resourceVersion")) != 0)
        return status_conflict(status, v->res, object_name(old), STATUS_MODIFIED);
    return 0;
}

/* Members that only the server writes come from the stored object. */
static int carry_over(const json_t *old_metadata, json_t *metadata)
{
    static const char *const servers[] = {"name",
                                          "namespace",
                                          "uid",
                                          "creationTimestamp",
                                          "generation",
                                          "deletionTimestamp",
                                          "deletionGracePeriodSeconds",
                                          "generateName"};

    (void)json_object_del(metadata, "selfLink"); /* may be absent */
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        json_t *value = json_object_get(old_metadata, servers[i]);
        if (!value)
            (void)json_object_del(metadata, servers[i]);
        else if (json_object_set(metadata, servers[i], value) < 0)
            return -1;
    }
    return 0;
}

static int carry_member(json_t *object, const json_t *old, const char *key)
{
    json_t *value = json_object_get(old, key);

    if (value)
        return json_object_set(object, key, value);
    (void)json_object_del(object, key); /* may be absent */
    return 0;
}

/* managedFields: kept, unless the client empties them on purpose ([] or [{}]) to begin anew. */
static int carry_managers(const struct verb *v, json_t *metadata, const json_t *old_metadata)
{
    if (v->is_apply)
        return 0;
    const json_t *given = json_object_get(metadata, "managedFields");
    bool resets =
        v->manager && given &&
        (json_array_size(given) == 0 ||
         (json_array_size(given) == 1 && json_object_size(json_array_get(given, 0)) == 0));

    if (resets) {
        (void)json_object_del(metadata, "managedFields");
        return 0;
    }
    return carry_member(metadata, old_metadata, "managedFields");
}

/* Only status changes: everything else is the stored object's. */
static json_t *with_status_only(const json_t *old, const json_t *new_object)
{
    json_t *result = json_deep_copy(old);
    json_t *status = json_object_get(new_object, "status");
    json_t *managers = json_at(new_object, "metadata.managedFields");

    if (result && managers &&
        json_object_set(json_object_get(result, "metadata"), "managedFields", managers) < 0) {
        json_decref(result);
        return NULL;
    }

    if (result && status && json_object_set(result, "status", status) < 0) {
        json_decref(result);
        return NULL;
    }
    if (result && !status)
        (void)json_object_del(result, "status");
    return result;
}

static int count_generation(const struct verb *v, const json_t *old, json_t *object)
{
    json_t *metadata = json_object_get(object, "metadata");

    if (!(v->res->flags & RESOURCE_HAS_GENERATION) || v->sub == SUB_STATUS)
        return 0;
    bool is_same =
        v->res->id == RES_ENDPOINTSLICES
            ? json_equal(json_object_get(old, "endpoints"), json_object_get(object, "endpoints"))
            : json_equal(json_object_get(old, "spec"), json_object_get(object, "spec"));
    if (is_same)
        return 0;
    return json_object_set_new(metadata, "generation",
                               json_integer(json_int_at(old, "metadata.generation", 0) + 1));
}

/* True if storing it would change nothing but who manages fields since when. */
static bool is_unchanged(const json_t *old, const json_t *object)
{
    const json_t *old_metadata = json_object_get(old, "metadata");
    json_t *metadata = json_object_get(object, "metadata");
    CLEANUP(json) json_t *revision = json_incref(json_object_get(metadata, "resourceVersion"));

    (void)json_object_set(metadata, "resourceVersion",
                          json_object_get(old_metadata, "resourceVersion"));
    bool is_same = json_equal(old, object);
    if (!is_same && json_object_get(metadata, "managedFields")) {
        json_t *managers = json_incref(json_object_get(metadata, "managedFields"));
        (void)json_object_set(metadata, "managedFields",
                              json_object_get(old_metadata, "managedFields"));
        /* The same but for managers: unchanged only if no manager came or went. */
        is_same = json_equal(old, object) &&
                  json_array_size(managers) ==
                      json_array_size(json_object_get(old_metadata, "managedFields")) &&
                  fields_managers_equal(managers, json_object_get(old_metadata, "managedFields"));
        (void)json_object_set_new(metadata, "managedFields", managers);
    }
    return is_same;
}

static int prepare_replace(const struct verb *v, const struct object *old_object, json_t *object,
                           struct status *status)
{
    const json_t *old = object_root(old_object);
    json_t *metadata = json_object_get(object, "metadata");
    const json_t *old_metadata = json_object_get(old, "metadata");

    if (settle_namespace(v, metadata, status) < 0 ||
        check_preconditions(v, old_object, metadata, status) < 0)
        return -1;
    if (carry_over(old_metadata, metadata) < 0 || carry_managers(v, metadata, old_metadata) < 0)
        return status_no_memory(status);
    if (v->sub == SUB_STATUS)
        return track_fields(v, old, object, status);
    if (run_defaults(v, object, status) < 0)
        return -1;
    /* After the defaults, which write in place: these parts are shared with the stored object. */
    if ((v->res->flags & RESOURCE_HAS_STATUS) && carry_member(object, old, "status") < 0)
        return status_no_memory(status);
    if (v->res->id == RES_NAMESPACES && carry_member(object, old, "spec") < 0)
        return status_no_memory(status); /* only finalize changes it */
    if (v->res->id == RES_SERVICES && service_keep_allocated(object, old) < 0)
        return status_no_memory(status);
    if (run_validation(v, object, old, status) < 0)
        return -1;
    if (v->res->id == RES_SERVICES && service_allocate(v->api, object, status) < 0)
        return -1;
    if (count_generation(v, old, object) < 0)
        return status_no_memory(status);
    return track_fields(v, old, object, status);
}

/* The last finalizer is gone from what is being deleted: now it goes. */
static bool is_over(const struct verb *v, const json_t *object)
{
    const json_t *metadata = json_object_get(object, "metadata");

    if (!json_object_get(metadata, "deletionTimestamp") || v->res->id == RES_NAMESPACES ||
        json_array_size(json_object_get(metadata, "finalizers")) > 0)
        return false;
    return json_int_at(metadata, "deletionGracePeriodSeconds", 0) == 0;
}

int verb_replace(const struct verb *v, const struct object *old, json_t *take_new,
                 struct object **ret_object, struct status *status)
{
    CLEANUP(json) json_t *given = take_new;
    CLEANUP(object) struct object *held = object_ref(old);
    struct error err = ERROR_INIT;

    if (verb_decode(v, given, status) < 0)
        return -1;
    CLEANUP(json) json_t *object = in_order(v, TAKE(given));
    if (object && v->sub == SUB_STATUS) {
        if (check_preconditions(v, old, json_object_get(object, "metadata"), status) < 0)
            return -1;
        json_t *merged = with_status_only(object_root(old), object);
        json_decref(object);
        object = merged;
    }
    if (!object)
        return status_no_memory(status);
    if (prepare_replace(v, held, object, status) < 0)
        return -1;
    if (is_unchanged(object_root(held), object)) {
        *ret_object = TAKE(held);
        return 0;
    }
    if (is_over(v, object) && !v->dry_run) {
        const struct object *last = NULL;
        if (store_remove(v->api->store, v->res, v->namespace_name, object_name(held), &last, &err) <
            0)
            return status_from_error(status, &err);
        *ret_object = object_ref(last);
        return 0;
    }
    return keep(v, TAKE(object), ret_object, status);
}

int verb_update(const struct verb *v, json_t *take_object, struct object **ret_object,
                struct status *status)
{
    const struct object *old = store_get(v->api->store, v->res, v->namespace_name, v->name);

    if (!old) {
        json_decref(take_object);
        return status_not_found(status, v->res, v->name);
    }
    return verb_replace(v, old, take_object, ret_object, status);
}
