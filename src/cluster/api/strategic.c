/* cluster/api/strategic.c - see strategic.h. */
#include "cluster/api/strategic.h"

static const char DELETE_FROM[] = "$deleteFromPrimitiveList/";
static const char SET_ORDER[] = "$setElementOrder/";

static int merge_object(const struct schema_type *type, json_t *target, const json_t *patch,
                        struct error *err);

static bool is_directive(const char *key)
{
    return strcmp(key, "$patch") == 0 || strcmp(key, "$retainKeys") == 0 ||
           strncmp(key, DELETE_FROM, strlen(DELETE_FROM)) == 0 ||
           strncmp(key, SET_ORDER, strlen(SET_ORDER)) == 0;
}

static bool array_has(const json_t *array, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (json_equal(json_array_get(array, i), value))
            return true;
    }
    return false;
}

static const char *patch_directive(const json_t *patch)
{
    const char *text = json_string_value(json_object_get(patch, "$patch"));
    return text ? text : "";
}

/* --- lists of objects with a key --- */

static ptrdiff_t find_by_key(const json_t *list, const char *key, const json_t *value)
{
    for (size_t i = 0; value && i < json_array_size(list); i++) {
        if (json_equal(json_object_get(json_array_get(list, i), key), value))
            return (ptrdiff_t)i;
    }
    return -1;
}

/* The value by which items are ordered: their key, or themselves. */
static const json_t *order_value(const json_t *item, const char *key)
{
    return key ? json_object_get(item, key) : item;
}

static ptrdiff_t find_in_order(const json_t *order, const json_t *item, const char *key)
{
    const json_t *value = order_value(item, key);

    for (size_t i = 0; i < json_array_size(order); i++) {
        const json_t *wanted = json_array_get(order, i);
        if (value &&
            json_equal(json_is_object(wanted) && key ? json_object_get(wanted, key) : wanted,
                       value))
            return (ptrdiff_t)i;
    }
    return -1;
}

/* Puts the items that `order` names in that order; those that it does not name stay behind the
 * neighbour that they followed before. */
static int sort_by_order(json_t *list, const json_t *order, const char *key)
{
    CLEANUP(json) json_t *sorted = json_array();
    size_t count = json_array_size(list);

    for (size_t i = 0; i < count && find_in_order(order, json_array_get(list, i), key) < 0; i++) {
        if (json_array_append(sorted, json_array_get(list, i)) < 0)
            return -1;
    }
    for (size_t i = 0; i < json_array_size(order); i++) {
        for (size_t j = 0; j < count; j++) {
            if (find_in_order(order, json_array_get(list, j), key) != (ptrdiff_t)i)
                continue;
            if (json_array_append(sorted, json_array_get(list, j)) < 0)
                return -1;
            for (size_t k = j + 1;
                 k < count && find_in_order(order, json_array_get(list, k), key) < 0; k++) {
                if (json_array_append(sorted, json_array_get(list, k)) < 0)
                    return -1;
            }
        }
    }
    if (json_array_clear(list) < 0)
        return -1;
    return json_array_extend(list, sorted);
}

static json_t *without_directives(const json_t *item)
{
    json_t *copy = json_deep_copy(item);
    const char *name;
    json_t *value;
    void *next;

    json_object_foreach_safe(copy, next, name, value)
    {
        if (is_directive(name))
            (void)json_object_del(copy, name); /* it is there */
    }
    return copy;
}

static int merge_item(const struct schema_type *type, json_t *list, const json_t *item,
                      struct error *err)
{
    const char *key = type->merge_key;
    const json_t *value = json_object_get(item, key);
    const char *directive = patch_directive(item);
    ptrdiff_t at = find_by_key(list, key, value);

    if (!value)
        return error_set(err, ERR_INVALID, "map: %s does not contain declared merge key: %s",
                         type->element->name ? type->element->name : "item", key);
    if (strcmp(directive, "delete") == 0) {
        while (at >= 0) {
            (void)json_array_remove(list, (size_t)at); /* it is there */
            at = find_by_key(list, key, value);
        }
        return 0;
    }
    if (at >= 0 && strcmp(directive, "replace") != 0)
        return merge_object(type->element, json_array_get(list, (size_t)at), item, err);
    json_t *fresh = json_object();
    if (!fresh || merge_object(type->element, fresh, item, err) < 0) {
        json_decref(fresh);
        return error_no_memory(err);
    }
    int rc =
        at >= 0 ? json_array_set_new(list, (size_t)at, fresh) : json_array_append_new(list, fresh);
    return rc < 0 ? error_no_memory(err) : 0;
}

/* A list may say {"$patch":"replace"} in an item of its own: then it replaces. */
static bool list_replaces(const json_t *patch)
{
    for (size_t i = 0; i < json_array_size(patch); i++) {
        const json_t *item = json_array_get(patch, i);
        if (json_object_size(item) == 1 && strcmp(patch_directive(item), "replace") == 0)
            return true;
    }
    return false;
}

static int replace_list(json_t *list, const json_t *patch, struct error *err)
{
    if (json_array_clear(list) < 0)
        return error_no_memory(err);
    for (size_t i = 0; i < json_array_size(patch); i++) {
        const json_t *item = json_array_get(patch, i);
        if (json_object_size(item) == 1 && *patch_directive(item))
            continue;
        if (json_array_append_new(list, without_directives(item)) < 0)
            return error_no_memory(err);
    }
    return 0;
}

static int merge_list(const struct schema_type *type, json_t *list, const json_t *patch,
                      struct error *err)
{
    if (type->is_set) {
        for (size_t i = 0; i < json_array_size(patch); i++) {
            json_t *value = json_array_get(patch, i);
            if (!array_has(list, value) && json_array_append(list, value) < 0)
                return error_no_memory(err);
        }
        return 0;
    }
    if (list_replaces(patch))
        return replace_list(list, patch, err);
    for (size_t i = 0; i < json_array_size(patch); i++) {
        if (merge_item(type, list, json_array_get(patch, i), err) < 0)
            return -1;
    }
    return 0;
}

/* --- objects --- */

static bool list_merges(const struct schema_type *type)
{
    return type && type->kind == SCHEMA_LIST && (type->merge_key || type->is_set);
}

static int set_member(json_t *target, const char *key, json_t *take_value, struct error *err)
{
    return json_object_set_new(target, key, take_value) < 0 ? error_no_memory(err) : 0;
}

static int merge_member(const struct schema_type *type, json_t *target, const char *key,
                        const json_t *value, struct error *err)
{
    json_t *at = json_object_get(target, key);

    if (json_is_null(value)) {
        (void)json_object_del(target, key); /* may be absent */
        return 0;
    }
    if (json_is_object(value)) {
        if (!json_is_object(at)) {
            if (set_member(target, key, json_object(), err) < 0)
                return -1;
            at = json_object_get(target, key);
        }
        return merge_object(type, at, value, err);
    }
    if (json_is_array(value) && list_merges(type)) {
        if (!json_is_array(at)) {
            if (set_member(target, key, json_array(), err) < 0)
                return -1;
            at = json_object_get(target, key);
        }
        return merge_list(type, at, value, err);
    }
    return set_member(target, key, json_deep_copy(value), err);
}

static int delete_values(json_t *list, const json_t *values, struct error *err)
{
    if (!json_is_array(values))
        return error_set(err, ERR_INVALID, "$deleteFromPrimitiveList must be a list");
    for (size_t i = json_array_size(list); i-- > 0;) {
        if (array_has(values, json_array_get(list, i)))
            (void)json_array_remove(list, i); /* it is there */
    }
    return 0;
}

static int retain_keys(json_t *target, const json_t *patch, struct error *err)
{
    const json_t *keys = json_object_get(patch, "$retainKeys");
    const char *name;
    json_t *value;
    void *next;

    if (!keys)
        return 0;
    if (!json_is_array(keys))
        return error_set(err, ERR_INVALID, "$retainKeys must be a list");
    json_object_foreach_safe(target, next, name, value)
    {
        CLEANUP(json) json_t *text = json_string(name);
        if (!array_has(keys, text))
            (void)json_object_del(target, name); /* it is there */
    }
    return 0;
}

static const struct schema_type *member_type(const struct schema_type *type, const char *key)
{
    if (type && type->kind == SCHEMA_MAP)
        return type->element;
    return schema_field(type, key);
}

/* Directives that name a list stand beside it: "$setElementOrder/containers". */
static int apply_list_directives(const struct schema_type *type, json_t *target,
                                 const json_t *patch, bool after, struct error *err)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)patch, name, value)
    {
        if (!after && strncmp(name, DELETE_FROM, strlen(DELETE_FROM)) == 0) {
            if (delete_values(json_object_get(target, name + strlen(DELETE_FROM)), value, err) < 0)
                return -1;
        } else if (after && strncmp(name, SET_ORDER, strlen(SET_ORDER)) == 0) {
            const char *field = name + strlen(SET_ORDER);
            const struct schema_type *list = member_type(type, field);
            json_t *at = json_object_get(target, field);
            if (json_is_array(value) && json_is_array(at) &&
                sort_by_order(at, value, list ? list->merge_key : NULL) < 0)
                return error_no_memory(err);
        }
    }
    return 0;
}

static int merge_object(const struct schema_type *type, json_t *target, const json_t *patch,
                        struct error *err)
{
    const char *directive = patch_directive(patch);
    const char *name;
    json_t *value;

    if (strcmp(directive, "replace") == 0 || strcmp(directive, "delete") == 0) {
        if (json_object_clear(target) < 0)
            return error_no_memory(err);
        if (*directive == 'd')
            return 0;
    } else if (*directive && strcmp(directive, "merge") != 0) {
        return error_set(err, ERR_INVALID, "Unknown patch type %s found in JSON patch", directive);
    }
    if (retain_keys(target, patch, err) < 0 ||
        apply_list_directives(type, target, patch, false, err) < 0)
        return -1;
    json_object_foreach((json_t *)patch, name, value)
    {
        if (!is_directive(name) &&
            merge_member(member_type(type, name), target, name, value, err) < 0)
            return -1;
    }
    return apply_list_directives(type, target, patch, true, err);
}

int strategic_merge(const struct schema_type *type, const json_t *target, const json_t *patch,
                    json_t **ret, struct error *err)
{
    CLEANUP(json) json_t *result = target ? json_deep_copy(target) : json_object();

    if (!result)
        return error_no_memory(err);
    if (!json_is_object(patch))
        return error_set(err, ERR_INVALID, "a strategic merge patch must be an object");
    if (merge_object(type, result, patch, err) < 0)
        return -1;
    *ret = TAKE(result);
    return 0;
}
