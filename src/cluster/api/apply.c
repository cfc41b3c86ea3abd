/* cluster/api/apply.c - see apply.h. */
#include "cluster/api/apply.h"

static int merge_value(const struct schema_type *type, json_t *live, const json_t *intent);

/* --- merging: what the intent says wins, what it does not mention stays --- */

static bool merges_into(const struct schema_type *type, const json_t *at, const json_t *value)
{
    if (!type || type->is_atomic || !at || json_typeof(at) != json_typeof(value))
        return false;
    return type->kind >= SCHEMA_MAP;
}

static int merge_object(const struct schema_type *type, json_t *live, const json_t *intent)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)intent, key, value)
    {
        const struct schema_type *inner =
            type->kind == SCHEMA_MAP ? type->element : schema_field(type, key);
        json_t *at = json_object_get(live, key);
        int rc = merges_into(inner, at, value)
                     ? merge_value(inner, at, value)
                     : json_object_set_new(live, key, json_deep_copy(value));
        if (rc < 0)
            return -1;
    }
    return 0;
}

/* The order of the intent, with items of others after the one that they followed. */
static int reorder(const struct schema_type *type, json_t *live, const json_t *intent)
{
    CLEANUP(json) json_t *sorted = json_array();
    CLEANUP(buf) struct buf key = BUF_INIT(SIZE_MAX);
    size_t at = 0;

    for (size_t i = 0; i < json_array_size(intent); i++) {
        size_t found = SIZE_MAX;
        if (!fields_item_key(type, json_array_get(intent, i), &key) ||
            !fields_find_item(type, live, buf_text(&key), &found))
            continue;
        for (; at < found; at++) { /* what stands before it and is not in the intent */
            CLEANUP(buf) struct buf other = BUF_INIT(SIZE_MAX);
            json_t *item = json_array_get(live, at);
            if (fields_item_key(type, item, &other) &&
                !fields_find_item(type, intent, buf_text(&other), NULL) &&
                json_array_append(sorted, item) < 0)
                return -1;
        }
        if (json_array_append(sorted, json_array_get(live, found)) < 0)
            return -1;
        at = at > found + 1 ? at : found + 1;
    }
    for (; at < json_array_size(live); at++) {
        json_t *item = json_array_get(live, at);
        if (fields_item_key(type, item, &key) &&
            !fields_find_item(type, intent, buf_text(&key), NULL) &&
            json_array_append(sorted, item) < 0)
            return -1;
    }
    if (json_array_size(sorted) != json_array_size(live))
        return 0; /* duplicates: leave the order alone */
    if (json_array_clear(live) < 0)
        return -1;
    return json_array_extend(live, sorted);
}

static int merge_list(const struct schema_type *type, json_t *live, const json_t *intent)
{
    CLEANUP(buf) struct buf key = BUF_INIT(SIZE_MAX);

    for (size_t i = 0; i < json_array_size(intent); i++) {
        json_t *item = json_array_get(intent, i);
        bool has_key = fields_item_key(type, item, &key);
        json_t *at = has_key ? fields_find_item(type, live, buf_text(&key), NULL) : NULL;
        if (at && json_is_object(at) && json_is_object(item)) {
            if (merge_value(type->element, at, item) < 0)
                return -1;
        } else if (!at && json_array_append_new(live, json_deep_copy(item)) < 0) {
            return -1;
        }
    }
    return reorder(type, live, intent);
}

static int merge_value(const struct schema_type *type, json_t *live, const json_t *intent)
{
    return type->kind == SCHEMA_LIST ? merge_list(type, live, intent)
                                     : merge_object(type, live, intent);
}

/* --- taking away what the manager no longer wants --- */

static void prune(const struct schema_type *type, json_t *value, const json_t *gone,
                  const json_t *others);

static bool node_has_self(const json_t *node)
{
    return node && (json_object_size(node) == 0 || json_object_get(node, "."));
}

/* Whether anybody else owns the field or something below it. */
static bool is_owned(const json_t *node)
{
    return node != NULL;
}

static void prune_member(const struct schema_type *inner, json_t *object, const char *key,
                         const json_t *gone, const json_t *others)
{
    json_t *value = json_object_get(object, key);

    if (!value)
        return;
    if (node_has_self(gone) && !is_owned(others)) {
        (void)json_object_del(object, key); /* it is there */
        return;
    }
    size_t before = json_object_size(value) + json_array_size(value);
    if (inner && !inner->is_atomic && inner->kind >= SCHEMA_MAP)
        prune(inner, value, gone, others);
    /* A container that lost its last entry goes with it, unless somebody owns it. */
    if (before > 0 && json_object_size(value) + json_array_size(value) == 0 && !is_owned(others))
        (void)json_object_del(object, key);
}

static void prune_item(const struct schema_type *type, json_t *list, const char *key,
                       const json_t *gone, const json_t *others)
{
    size_t index;
    json_t *item = fields_find_item(type, list, key, &index);

    if (!item)
        return;
    if (node_has_self(gone) && !is_owned(others))
        (void)json_array_remove(list, index); /* it is there */
    else if (schema_is_keyed(type))
        prune(type->element, item, gone, others);
}

static void prune(const struct schema_type *type, json_t *value, const json_t *gone,
                  const json_t *others)
{
    const char *step;
    json_t *node;

    json_object_foreach((json_t *)gone, step, node)
    {
        const json_t *owned = json_object_get(others, step);
        if (strncmp(step, "f:", 2) == 0) {
            const struct schema_type *inner =
                type->kind == SCHEMA_MAP ? type->element : schema_field(type, step + 2);
            prune_member(inner, value, step + 2, node, owned);
        } else if (type->kind == SCHEMA_LIST && strcmp(step, ".") != 0) {
            prune_item(type, value, step, node, owned);
        }
    }
}

/* --- conflicts --- */

static bool is_mine(const struct apply *apply, const json_t *entry)
{
    const json_t *only = json_pack("[O]", (json_t *)entry);
    bool is = fields_entry(only, &apply->writer) != NULL;
    json_decref((json_t *)only);
    return is;
}

/* Counts managers in conflict; with force, takes the fields from them instead. */
static int settle_conflicts(const struct apply *apply, json_t *managed, const json_t *changed,
                            size_t *ret_conflicts)
{
    for (size_t i = json_array_size(managed); i-- > 0;) {
        json_t *entry = json_array_get(managed, i);
        const json_t *theirs = json_object_get(entry, "fieldsV1");
        if (is_mine(apply, entry))
            continue;
        CLEANUP(json) json_t *common = fields_common(theirs, changed);
        if (!common)
            return -1;
        if (fields_is_empty(common))
            continue;
        if (!apply->force) {
            apply->on_conflict(entry, common, apply->ctx);
            (*ret_conflicts)++;
            continue;
        }
        json_t *left = fields_minus(theirs, common);
        if (!left)
            return -1;
        if (fields_is_empty(left)) {
            json_decref(left);
            (void)json_array_remove(managed, i); /* it is there */
        } else if (json_object_set_new(entry, "fieldsV1", left) < 0) {
            return -1;
        }
    }
    return 0;
}

static json_t *owned_by_others(const struct apply *apply, const json_t *managed)
{
    json_t *all = json_object();

    for (size_t i = 0; all && i < json_array_size(managed); i++) {
        const json_t *entry = json_array_get(managed, i);
        if (is_mine(apply, entry))
            continue;
        json_t *more = fields_union(all, json_object_get(entry, "fieldsV1"));
        json_decref(all);
        all = more;
    }
    return all;
}

/* --- all of it --- */

static int take_away(const struct apply *apply, const json_t *managed, const json_t *wanted,
                     json_t *result)
{
    const json_t *entry = fields_entry(managed, &apply->writer);
    CLEANUP(json)
    json_t *gone = entry ? fields_minus(json_object_get(entry, "fieldsV1"), wanted) : json_object();
    CLEANUP(json) json_t *others = owned_by_others(apply, managed);

    if (!gone || !others)
        return -1;
    /* What the intent still holds below a field keeps the field. */
    CLEANUP(json) json_t *kept = fields_union(others, wanted);
    if (!kept)
        return -1;
    prune(apply->type, result, gone, kept);
    return 0;
}

int apply_intent(const struct apply *apply, const json_t *live, const json_t *intent, json_t **ret,
                 struct error *err)
{
    CLEANUP(json) json_t *result = live ? json_deep_copy(live) : json_object();
    CLEANUP(json) json_t *wanted = fields_of(apply->type, intent);
    json_t *managed = json_object_get(json_object_get(result, "metadata"), "managedFields");
    CLEANUP(json) json_t *managers = managed ? json_deep_copy(managed) : json_array();
    size_t conflicts = 0;

    if (!result || !wanted || !managers || merge_object(apply->type, result, intent) < 0)
        return error_no_memory(err);
    (void)json_object_del(wanted, "f:status"); /* never by way of the main resource */
    CLEANUP(json)
    json_t *changed = live ? fields_changed(apply->type, live, result) : json_object();
    if (!changed || settle_conflicts(apply, managers, changed, &conflicts) < 0)
        return error_no_memory(err);
    if (conflicts > 0)
        return error_set(err, ERR_CONFLICT, "%zu conflicts", conflicts);
    if (take_away(apply, managers, wanted, result) < 0 ||
        fields_set_entry(managers, &apply->writer, TAKE(wanted)) < 0)
        return error_no_memory(err);
    json_t *metadata = json_object_get(result, "metadata");
    if (json_object_set(metadata, "managedFields", managers) < 0)
        return error_no_memory(err);
    *ret = TAKE(result);
    return 0;
}
