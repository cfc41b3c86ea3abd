/* cluster/api/object.c - one stored object: its tree, its text, and who uses it. */
#include "cluster/api/store_internal.h"

#include <assert.h>

static const char *text_at(const json_t *metadata, const char *key)
{
    const char *text = json_string_value(json_object_get(metadata, key));
    return text ? text : "";
}

static int object_read_names(struct object *o, struct error *err)
{
    const json_t *metadata = json_object_get(o->root, "metadata");
    const char *name = text_at(metadata, "name");
    const char *namespace_name =
        resource_is_namespaced(o->res) ? text_at(metadata, "namespace") : "";
    const char *uid = text_at(metadata, "uid");
    size_t name_size = strlen(name) + 1;
    size_t namespace_size = strlen(namespace_name) + 1;
    size_t uid_size = strlen(uid) + 1;

    o->name = malloc(name_size + namespace_size + uid_size);
    if (!o->name)
        return error_no_memory(err);
    memcpy(o->name, name, name_size);
    memcpy(o->name + name_size, namespace_name, namespace_size);
    memcpy(o->name + name_size + namespace_size, uid, uid_size);
    o->namespace_name = o->name + name_size;
    o->uid = o->namespace_name + namespace_size;
    o->is_deleting = json_is_string(json_object_get(metadata, "deletionTimestamp"));
    return 0;
}

static void object_destroy(struct object *o)
{
    json_decref(o->root);
    free(o->text);
    free(o->name);
    free(o);
}

static struct object *object_alloc(const struct resource *res, json_t *take_root, int64_t revision)
{
    struct object *o = calloc(1, sizeof(*o));
    if (!o) {
        json_decref(take_root);
        return NULL;
    }
    *o =
        (struct object){.refs = 1, .users = 1, .res = res, .root = take_root, .revision = revision};
    return o;
}

static int object_make_text(struct object *o, struct error *err)
{
    char number[24];
    (void)snprintf(number, sizeof(number), "%lld", (long long)o->revision);
    json_t *metadata = json_object_get(o->root, "metadata");
    if (json_object_set_new(metadata, "resourceVersion", json_string(number)) < 0)
        return error_set(err, ERR_INVALID, "the object has no metadata");
    o->text = json_dumps(o->root, JSON_COMPACT);
    if (!o->text)
        return error_no_memory(err);
    o->text_len = strlen(o->text);
    if (o->text_len > STORE_OBJECT_MAX) {
        return error_set(err, ERR_LIMIT, "the object is %zu bytes, the limit is %d", o->text_len,
                         STORE_OBJECT_MAX);
    }
    return 0;
}

int object_from_tree(const struct resource *res, json_t *take_root, int64_t revision,
                     struct object **ret, struct error *err)
{
    struct object *o = object_alloc(res, take_root, revision);

    if (!o)
        return error_no_memory(err);
    if (object_make_text(o, err) < 0 || object_read_names(o, err) < 0) {
        object_destroy(o);
        return -1;
    }
    *ret = o;
    return 0;
}

int object_load(const struct resource *res, struct str text, int64_t revision, struct object **ret,
                struct error *err)
{
    json_t *root = NULL;
    if (json_parse("store", text, &root, err) < 0)
        return -1;
    struct object *o = object_alloc(res, root, revision);
    if (!o)
        return error_no_memory(err);
    o->text = str_dup(text);
    o->text_len = text.len;
    if (!o->text || object_read_names(o, err) < 0) {
        object_destroy(o);
        return error_no_memory(err);
    }
    *ret = o;
    return 0;
}

/* --- references --- */

struct object *object_ref(const struct object *object)
{
    struct object *o = (struct object *)object; /* sharing is counted, the content never changes */
    o->refs++;
    o->users++;
    return o;
}

void object_unref(struct object *object)
{
    if (!object)
        return;
    object->users--;
    if (--object->refs == 0) {
        object_destroy(object);
    } else if (object->users == 0) {
        /* Only the history holds it: a tree takes many times the memory of its text. */
        json_decref(TAKE(object->root));
    }
}

struct object *object_history_ref(struct object *object)
{
    object->refs++;
    return object;
}

void object_history_unref(struct object *object)
{
    if (object && --object->refs == 0)
        object_destroy(object);
}

/* --- reading --- */

const json_t *object_root(const struct object *object)
{
    if (!object->root) {
        struct object *o = (struct object *)object; /* a cache of what the text says */
        struct error err = ERROR_INIT;
        if (json_parse("store", object_text(object), &o->root, &err) < 0)
            return NULL; /* no memory */
    }
    return object->root;
}

struct str object_text(const struct object *object)
{
    return str_slice(object->text, object->text_len);
}

int64_t object_revision(const struct object *object)
{
    return object->revision;
}

const struct resource *object_resource(const struct object *object)
{
    return object->res;
}

const char *object_namespace(const struct object *object)
{
    return object->namespace_name;
}

const char *object_name(const struct object *object)
{
    return object->name;
}

const char *object_uid(const struct object *object)
{
    return object->uid;
}

bool object_is_deleting(const struct object *object)
{
    return object->is_deleting;
}

void object_set_done(struct object_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        object_unref(set->items[i]);
    free(set->items);
    *set = (struct object_set){0};
}
