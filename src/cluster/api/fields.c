/* cluster/api/fields.c - sets of fields in the form FieldsV1; see fields.h. */
#include "cluster/api/fields.h"

static const char SELF[] = "."; /* the field itself is in the set */

static bool is_leaf_type(const struct schema_type *type)
{
    return !type || type->is_atomic || type->kind < SCHEMA_MAP;
}

/* --- keys of list items --- */

static json_t *item_key_value(const json_t *item, const char *key)
{
    json_t *value = json_object_get(item, key);

    if (value)
        return json_incref(value);
    return strcmp(key, "protocol") == 0 ? json_string("TCP")
                                        : NULL; /* the one key with a default */
}

static bool add_key_text(const struct schema_type *list, const json_t *item, struct buf *out)
{
    CLEANUP(json) json_t *keys = json_object();

    for (size_t i = 0; list->keys[i]; i++) {
        json_t *value = item_key_value(item, list->keys[i]);
        if (!value || json_object_set_new(keys, list->keys[i], value) < 0)
            return false;
    }
    CLEANUP(text) char *text = json_dumps(keys, JSON_COMPACT | JSON_SORT_KEYS);
    buf_add_text(out, "k:");
    buf_add_text(out, text ? text : "");
    return text != NULL && !out->failed;
}

bool fields_item_key(const struct schema_type *list, const json_t *item, struct buf *out)
{
    buf_clear(out);
    if (schema_is_keyed(list))
        return json_is_object(item) && add_key_text(list, item, out);
    CLEANUP(text) char *text = json_dumps(item, JSON_COMPACT | JSON_ENCODE_ANY);
    buf_add_text(out, "v:");
    buf_add_text(out, text ? text : "");
    return text != NULL && !out->failed;
}

json_t *fields_find_item(const struct schema_type *type, const json_t *list, const char *key,
                         size_t *ret_index)
{
    CLEANUP(buf) struct buf text = BUF_INIT(SIZE_MAX);
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        if (fields_item_key(type, item, &text) && strcmp(buf_text(&text), key) == 0) {
            if (ret_index)
                *ret_index = i;
            return item;
        }
    }
    return NULL;
}

/* --- comparing values --- */

struct compare {
    bool counts_difference; /* else only what the other side lacks */
    bool marks_maps; /* a map that appears or goes is a field itself; an applied one is not */
};

static json_t *compare_members(const struct compare *cmp, const struct schema_type *type,
                               const json_t *before, const json_t *after);

/* What of `after` is to be in the set: NULL if nothing is. `has_self`: of a map or a list, whose
 * entries are fields in their own right. */
static json_t *compare_value(const struct compare *cmp, const struct schema_type *type,
                             const json_t *before, const json_t *after, bool has_self)
{
    bool is_empty = json_is_object(after)  ? json_object_size(after) == 0
                    : json_is_array(after) ? json_array_size(after) == 0
                                           : true;

    if (is_leaf_type(type) || is_empty || (before && json_typeof(before) != json_typeof(after))) {
        bool differs = cmp->counts_difference && before && !json_equal(before, after);
        return !before || differs ? json_object() : NULL;
    }
    json_t *set = compare_members(cmp, type, before, after);
    bool is_container = (type->kind == SCHEMA_MAP && cmp->marks_maps) || has_self;
    if (set && !before && is_container && json_object_size(set) > 0)
        (void)json_object_set_new(set, SELF, json_object());
    if (set && json_object_size(set) == 0) {
        json_decref(set);
        return NULL;
    }
    return set;
}

static void compare_object(const struct compare *cmp, const struct schema_type *type,
                           const json_t *before, const json_t *after, json_t *set)
{
    CLEANUP(buf) struct buf name = BUF_INIT(SIZE_MAX);
    const char *key;
    json_t *value;
    json_t *members = (json_t *)after; /* the macro only reads */

    json_object_foreach(members, key, value)
    {
        const struct schema_type *inner =
            type->kind == SCHEMA_MAP ? type->element : schema_field(type, key);
        json_t *part = compare_value(cmp, inner, json_object_get(before, key), value, false);
        if (!part)
            continue;
        buf_clear(&name);
        buf_addf(&name, "f:%s", key);
        (void)json_object_set_new(set, buf_text(&name), part);
    }
}

static void compare_list(const struct compare *cmp, const struct schema_type *type,
                         const json_t *before, const json_t *after, json_t *set)
{
    CLEANUP(buf) struct buf key = BUF_INIT(SIZE_MAX);

    for (size_t i = 0; i < json_array_size(after); i++) {
        const json_t *item = json_array_get(after, i);
        if (!fields_item_key(type, item, &key))
            continue;
        const json_t *other = fields_find_item(type, before, buf_text(&key), NULL);
        json_t *part = compare_value(cmp, schema_is_keyed(type) ? type->element : NULL, other, item,
                                     schema_is_keyed(type));
        if (part)
            (void)json_object_set_new(set, buf_text(&key), part);
    }
}

static json_t *compare_members(const struct compare *cmp, const struct schema_type *type,
                               const json_t *before, const json_t *after)
{
    json_t *set = json_object();

    if (!set)
        return NULL;
    if (type->kind == SCHEMA_LIST)
        compare_list(cmp, type, before, after, set);
    else
        compare_object(cmp, type, before, after, set);
    return set;
}

/* What nobody owns: the object's identity and what the server writes. */
static json_t *without_server_fields(json_t *set)
{
    static const char *const names[] = {"f:name",
                                        "f:namespace",
                                        "f:uid",
                                        "f:resourceVersion",
                                        "f:generation",
                                        "f:creationTimestamp",
                                        "f:deletionTimestamp",
                                        "f:deletionGracePeriodSeconds",
                                        "f:managedFields",
                                        "f:selfLink"};
    json_t *metadata = json_object_get(set, "f:metadata");

    (void)json_object_del(set, "f:apiVersion"); /* each may be absent */
    (void)json_object_del(set, "f:kind");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)json_object_del(metadata, names[i]);
    if (metadata && json_object_size(metadata) == 0)
        (void)json_object_del(set, "f:metadata");
    return set;
}

json_t *fields_changed(const struct schema_type *type, const json_t *before, const json_t *after)
{
    const struct compare cmp = {.counts_difference = true, .marks_maps = true};
    return without_server_fields(compare_members(&cmp, type, before, after));
}

json_t *fields_of(const struct schema_type *type, const json_t *object)
{
    const struct compare cmp = {0};
    return without_server_fields(compare_members(&cmp, type, NULL, object));
}

json_t *fields_removed(const struct schema_type *type, const json_t *before, const json_t *after)
{
    const struct compare cmp = {.marks_maps = true};
    return without_server_fields(compare_members(&cmp, type, after, before));
}

/* --- sets --- */

static bool has_self(const json_t *node)
{
    return json_object_size(node) == 0 || json_object_get(node, SELF) != NULL;
}

bool fields_is_empty(const json_t *set)
{
    return json_object_size(set) == 0;
}

/* Puts a node together: `self` and its members (consumed). NULL if it would hold nothing. */
static json_t *make_node(bool self, json_t *take_members)
{
    if (json_object_size(take_members) == 0 && !self) {
        json_decref(take_members);
        return NULL;
    }
    if (self && json_object_size(take_members) > 0)
        (void)json_object_set_new(take_members, SELF, json_object());
    return take_members;
}

enum set_operation { SET_UNION, SET_MINUS, SET_COMMON };

static json_t *combine(enum set_operation op, const json_t *a, const json_t *b);

static json_t *combine_nodes(enum set_operation op, const json_t *a, const json_t *b)
{
    bool self_a = a && has_self(a), self_b = b && has_self(b);
    bool self = op == SET_UNION   ? self_a || self_b
                : op == SET_MINUS ? self_a && !self_b
                                  : self_a && self_b;
    json_t *members = combine(op, a, b);

    return members ? make_node(self, members) : NULL;
}

static void combine_into(enum set_operation op, const char *key, const json_t *a, const json_t *b,
                         json_t *out)
{
    json_t *node = combine_nodes(op, a, b);

    if (node)
        (void)json_object_set_new(out, key, node);
}

static json_t *combine(enum set_operation op, const json_t *a, const json_t *b)
{
    json_t *out = json_object(), *value;
    const char *key;

    json_object_foreach((json_t *)a, key, value)
    {
        if (strcmp(key, SELF) != 0)
            combine_into(op, key, value, json_object_get(b, key), out);
    }
    if (op != SET_UNION)
        return out;
    json_object_foreach((json_t *)b, key, value)
    {
        if (strcmp(key, SELF) != 0 && !json_object_get(a, key))
            combine_into(op, key, NULL, value, out);
    }
    return out;
}

json_t *fields_union(const json_t *a, const json_t *b)
{
    return combine(SET_UNION, a, b);
}

json_t *fields_minus(const json_t *a, const json_t *b)
{
    return combine(SET_MINUS, a, b);
}

json_t *fields_common(const json_t *a, const json_t *b)
{
    return combine(SET_COMMON, a, b);
}

/* --- paths --- */

static void add_step(struct buf *path, const char *key)
{
    if (key[0] == 'f') {
        buf_addf(path, ".%s", key + 2);
        return;
    }
    CLEANUP(json) json_t *root = json_loads(key + 2, JSON_DECODE_ANY, NULL);
    const char *name;
    json_t *value;
    size_t count = 0;

    buf_add_char(path, '[');
    if (key[0] == 'v')
        buf_addf(path, "=%s", key + 2);
    json_object_foreach(root, name, value)
    {
        CLEANUP(text) char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        buf_addf(path, "%s%s=%s", count++ ? "," : "", name, text ? text : "");
    }
    buf_add_char(path, ']');
}

static void each_path(const json_t *set, struct buf *path, fields_path_fn *fn, void *ctx)
{
    const char *key;
    json_t *value;
    size_t len = path->len;

    json_object_foreach((json_t *)set, key, value)
    {
        if (strcmp(key, SELF) == 0)
            continue;
        add_step(path, key);
        if (has_self(value))
            fn(buf_text(path), ctx);
        each_path(value, path, fn, ctx);
        buf_truncate(path, len);
    }
}

void fields_each(const json_t *set, fields_path_fn *fn, void *ctx)
{
    CLEANUP(buf) struct buf path = BUF_INIT(1 << 16);
    each_path(set, &path, fn, ctx);
}
