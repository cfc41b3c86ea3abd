/* cluster/control/garbage.c - objects whose owners are gone go too; foreground and orphan deletion.
 * Source: Kubernetes, "Garbage Collection"; pkg/controller/garbagecollector. */
#include "cluster/control/control_internal.h"

/* The queue's name part is "<plural>/<name>". */
static void enqueue(struct control *control, const struct object *object)
{
    CLEANUP(text)
    char *key = str_format("%s/%s", object_resource(object)->plural, object_name(object));
    if (key)
        control_enqueue(control, QUEUE_GARBAGE, object_namespace(object), key);
}

static const json_t *owners_of(const struct object *object)
{
    return json_at(object_root(object), "metadata.ownerReferences");
}

static bool is_owned_by(const struct object *object, const char *uid)
{
    size_t i;
    json_t *owner;
    json_array_foreach((json_t *)owners_of(object), i, owner)
    {
        const char *have = json_str_at(owner, "uid");
        if (have && strcmp(have, uid) == 0)
            return true;
    }
    return false;
}

typedef void visit_fn(struct control *control, const struct object *object, void *ctx);

/* Every object that names `uid` as an owner; of a namespaced owner only its namespace can hold
 * such. */
static void each_dependent(struct control *control, const char *ns, const char *uid, visit_fn *fn,
                           void *ctx)
{
    for (int id = 0; id < RES_COUNT; id++) {
        struct object_list list = api_list(
            control->api, (enum resource_id)id,
            ns[0] && resource_is_namespaced(resource_get((enum resource_id)id)) ? ns : NULL);
        for (size_t i = 0; i < list.count; i++)
            if (is_owned_by(list.items[i], uid))
                fn(control, list.items[i], ctx);
    }
}

static void enqueue_one(struct control *control, const struct object *object, void *ctx)
{
    enqueue(control, object);
}

static void enqueue_owners(struct control *control, const struct object *object)
{
    size_t i;
    json_t *owner;
    json_array_foreach((json_t *)owners_of(object), i, owner)
    {
        const char *version = json_str_at(owner, "apiVersion"), *kind = json_str_at(owner, "kind");
        const struct resource *res = version && kind ? resource_find_kind(version, kind) : NULL;
        const struct object *found =
            res ? api_get(control->api, res->id,
                          resource_is_namespaced(res) ? object_namespace(object) : "",
                          json_str_at(owner, "name"))
                : NULL;
        if (found && object_is_deleting(found))
            enqueue(control, found);
    }
}

void garbage_on_event(struct control *control, const struct store_event *event)
{
    const struct object *object = event->object;

    if (event->resource->id == RES_EVENTS)
        return; /* they own nothing and nobody owns them */
    if (event->type == STORE_DELETED) {
        each_dependent(control, object_namespace(object), object_uid(object), enqueue_one, NULL);
        enqueue_owners(control, object); /* one may wait for its dependents */
    } else if (object_is_deleting(object) ||
               (event->type == STORE_ADDED && json_array_size(owners_of(object)))) {
        enqueue(control, object);
    }
}

static bool has_finalizer(const struct object *object, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_at(object_root(object), "metadata.finalizers"), i, item)
    {
        if (json_is_string(item) && strcmp(json_string_value(item), name) == 0)
            return true;
    }
    return false;
}

static int drop_finalizer(struct control *control, const struct object *object, const char *name,
                          struct error *err)
{
    CLEANUP(json) json_t *copy = object_copy(object);
    json_t *list = json_at(copy, "metadata.finalizers");

    for (size_t i = json_array_size(list); i-- > 0;)
        if (strcmp(json_string_value(json_array_get(list, i)), name) == 0 &&
            json_array_remove(list, i) < 0)
            return error_no_memory(err);
    if (!copy)
        return error_no_memory(err);
    return api_update(control->api, object_resource(object)->id, TAKE(copy), NULL, err);
}

static void collect_one(struct control *control, const struct object *object, void *ctx)
{
    struct object_set *set = ctx;
    struct object **items = reallocarray(set->items, set->count + 1, sizeof(*items));
    if (!items)
        return; /* the next event finds it */
    set->items = items;
    items[set->count++] = object_ref(object);
}

static int delete_quietly(struct control *control, const struct object *object, struct error *err)
{
    if (object_is_deleting(object))
        return 0;
    if (api_delete(control->api, object_resource(object)->id, object_namespace(object),
                   object_name(object), NULL, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
    }
    return 0;
}

/* Foreground: the owner stays until its dependents are gone. */
static int delete_dependents_first(struct control *control, const struct object *owner,
                                   struct error *err)
{
    CLEANUP(object_set) struct object_set dependents = {0};

    each_dependent(control, object_namespace(owner), object_uid(owner), collect_one, &dependents);
    if (dependents.count == 0)
        return drop_finalizer(control, owner, "foregroundDeletion", err);
    for (size_t i = 0; i < dependents.count; i++)
        if (delete_quietly(control, dependents.items[i], err) < 0)
            return -1;
    return 0;
}

static int orphan_dependents(struct control *control, const struct object *owner, struct error *err)
{
    CLEANUP(object_set) struct object_set dependents = {0};

    each_dependent(control, object_namespace(owner), object_uid(owner), collect_one, &dependents);
    for (size_t i = 0; i < dependents.count; i++) {
        CLEANUP(json) json_t *copy = object_copy(dependents.items[i]);
        json_t *owners = json_at(copy, "metadata.ownerReferences");
        for (size_t o = json_array_size(owners); o-- > 0;) {
            const char *uid = json_str_at(json_array_get(owners, o), "uid");
            if (uid && strcmp(uid, object_uid(owner)) == 0 && json_array_remove(owners, o) < 0)
                return error_no_memory(err);
        }
        if (!copy)
            return error_no_memory(err);
        if (api_update(control->api, object_resource(dependents.items[i])->id, TAKE(copy), NULL,
                       err) < 0)
            return -1;
    }
    return drop_finalizer(control, owner, "orphan", err);
}

/* No owner of it exists any more, by uid. */
static bool is_abandoned(struct control *control, const struct object *object)
{
    size_t i;
    json_t *owner;

    if (json_array_size(owners_of(object)) == 0)
        return false;
    json_array_foreach((json_t *)owners_of(object), i, owner)
    {
        const char *version = json_str_at(owner, "apiVersion"), *kind = json_str_at(owner, "kind");
        const char *name = json_str_at(owner, "name"), *uid = json_str_at(owner, "uid");
        const struct resource *res = version && kind ? resource_find_kind(version, kind) : NULL;
        if (!res || !name || !uid)
            return false; /* a kind that we do not serve: its owner may well exist elsewhere */
        const struct object *found =
            api_get(control->api, res->id,
                    resource_is_namespaced(res) ? object_namespace(object) : "", name);
        if (found && strcmp(object_uid(found), uid) == 0)
            return false;
    }
    return true;
}

int garbage_reconcile(struct control *control, const char *ns, const char *name, struct error *err)
{
    struct str rest = str_of(name);
    struct str plural = str_cut(&rest, '/');
    CLEANUP(object) struct object *object = NULL;

    for (int id = 0; id < RES_COUNT && !object; id++) {
        if (!str_is(plural, resource_get((enum resource_id)id)->plural))
            continue;
        const struct object *found = api_get(control->api, (enum resource_id)id, ns, rest.ptr);
        object = found ? object_ref(found) : NULL;
    }
    if (!object)
        return 0;
    if (object_is_deleting(object) && has_finalizer(object, "orphan"))
        return orphan_dependents(control, object, err);
    if (object_is_deleting(object) && has_finalizer(object, "foregroundDeletion"))
        return delete_dependents_first(control, object, err);
    if (is_abandoned(control, object))
        return delete_quietly(control, object, err);
    return 0;
}
