/* deliver/drift.c - applied against live: see drift.h. */
#include "deliver/drift.h"

#include <math.h>

static bool quantity_parse(struct str text, long double *ret)
{
    static const struct {
        const char *suffix;
        long double factor;
    } units[] = {{"n", 1e-9L},          {"u", 1e-6L},
                 {"m", 1e-3L},          {"", 1},
                 {"k", 1e3L},           {"M", 1e6L},
                 {"G", 1e9L},           {"T", 1e12L},
                 {"P", 1e15L},          {"E", 1e18L},
                 {"Ki", 1024.0L},       {"Mi", 1048576.0L},
                 {"Gi", 1073741824.0L}, {"Ti", 1099511627776.0L}};
    char copy[64];
    char *end = NULL;

    if (text.len == 0 || text.len >= sizeof copy ||
        !((text.ptr[0] >= '0' && text.ptr[0] <= '9') || text.ptr[0] == '.'))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    long double number =
        strtold(copy, &end); /* decimals with exponent: base/ has whole numbers only */
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(end, units[i].suffix) == 0) {
            *ret = number * units[i].factor;
            return true;
        }
    }
    return false;
}

bool quantity_equal(struct str a, struct str b)
{
    long double x = 0;
    long double y = 0;

    return quantity_parse(a, &x) && quantity_parse(b, &y) && fabsl(x - y) <= fabsl(x) * 1e-12L;
}

static bool is_empty(const json_t *value)
{
    return !value || json_is_null(value) ||
           (json_is_object(value) && json_object_size(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

static bool scalar_text(const json_t *value, char *out, size_t size, struct str *ret)
{
    if (json_is_string(value)) {
        *ret = str_slice(json_string_value(value), json_string_length(value));
        return true;
    }
    if (json_is_integer(value))
        (void)snprintf(out, size, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        (void)snprintf(out, size, "%.17g", json_real_value(value));
    else
        return false;
    *ret = str_of(out);
    return true;
}

static bool scalars_equal(const json_t *a, const json_t *b)
{
    char a_room[40];
    char b_room[40];
    struct str a_text;
    struct str b_text;

    if (json_equal(a, b))
        return true;
    if (!scalar_text(a, a_room, sizeof a_room, &a_text) ||
        !scalar_text(b, b_room, sizeof b_room, &b_text))
        return false;
    return quantity_equal(a_text, b_text);
}

static bool is_key_of(const json_t *list, const char *key)
{
    size_t i, j;
    const json_t *item;

    json_array_foreach(list, i, item)
    {
        const json_t *value = json_object_get(item, key);
        if (!value)
            return false;
        for (j = 0; j < i; j++) {
            if (json_equal(json_object_get(json_array_get(list, j), key), value))
                return false;
        }
    }
    return json_array_size(list) > 0;
}

/* A merge key that all items of a list have, each another value (Kubernetes:
 * x-kubernetes-list-map-keys). Two ports of the same number and other protocols have none: those
 * lists are compared by place. */
static const char *merge_key(const json_t *list)
{
    static const char *const keys[] = {"name", "mountPath", "containerPort", "port",
                                       "ip",   "type",      "key",           "topologyKey"};

    for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
        if (is_key_of(list, keys[k]))
            return keys[k];
    }
    return NULL;
}

static const json_t *find_item(const json_t *list, const char *key, const json_t *value)
{
    size_t i;
    const json_t *item;

    json_array_foreach(list, i, item)
    {
        if (json_equal(json_object_get(item, key), value))
            return item;
    }
    return NULL;
}

struct path {
    const struct path *up;
    const char *key; /* NULL: an index */
    size_t index;
};

static void write_path(const struct path *path, struct buf *out)
{
    if (!path)
        return;
    write_path(path->up, out);
    if (path->key)
        buf_addf(out, "%s%s", path->up ? "." : "", path->key);
    else
        buf_addf(out, "[%zu]", path->index);
}

static void write_value(const json_t *value, struct buf *out)
{
    char room[40];
    struct str text;

    if (!value || json_is_null(value))
        buf_add_text(out, "absent");
    else if (scalar_text(value, room, sizeof room, &text))
        buf_add_str(out, str_first(text, 60));
    else if (json_is_boolean(value))
        buf_add_text(out, json_is_true(value) ? "true" : "false");
    else
        buf_add_text(out, json_is_array(value) ? "another list" : "another object");
}

static bool differs(const struct path *path, const json_t *applied, const json_t *live,
                    struct buf *why)
{
    if (why && why->len == 0) {
        write_path(path, why);
        buf_add_text(why, " is ");
        write_value(live, why);
        buf_add_text(why, ", applied was ");
        write_value(applied, why);
    }
    return true;
}

static bool value_differs(const struct path *path, const json_t *applied, const json_t *live,
                          struct buf *why);

static bool list_differs(const struct path *path, const json_t *applied, const json_t *live,
                         struct buf *why)
{
    const char *key = merge_key(applied);
    size_t i;
    const json_t *item;

    if (json_array_size(applied) != json_array_size(live))
        return differs(path, applied, live, why);
    json_array_foreach(applied, i, item)
    {
        struct path here = {path, NULL, i};
        const json_t *other =
            key ? find_item(live, key, json_object_get(item, key)) : json_array_get(live, i);
        if (value_differs(&here, item, other, why))
            return true;
    }
    return false;
}

static bool object_differs(const struct path *path, const json_t *applied, const json_t *live,
                           struct buf *why)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)applied, key, value)
    {
        struct path here = {path, key, 0};
        if (value_differs(&here, value, json_object_get(live, key), why))
            return true;
    }
    return false;
}

static bool value_differs(const struct path *path, const json_t *applied, const json_t *live,
                          struct buf *why)
{
    if (is_empty(applied))
        return false; /* nothing was asked for */
    if (json_is_object(applied))
        return json_is_object(live) ? object_differs(path, applied, live, why)
                                    : differs(path, applied, live, why);
    if (json_is_array(applied))
        return json_is_array(live) ? list_differs(path, applied, live, why)
                                   : differs(path, applied, live, why);
    return scalars_equal(applied, live) ? false : differs(path, applied, live, why);
}

static bool top_level_counts(const char *key)
{
    return strcmp(key, "apiVersion") != 0 && strcmp(key, "kind") != 0 &&
           strcmp(key, "metadata") != 0 && strcmp(key, "status") != 0;
}

bool drift_found(const json_t *applied, const json_t *live, struct buf *why)
{
    static const char *const metadata_keys[] = {"labels", "annotations"};
    const json_t *applied_metadata = json_object_get(applied, "metadata");
    const json_t *live_metadata = json_object_get(live, "metadata");
    struct path metadata = {NULL, "metadata", 0};
    const char *key;
    json_t *value;

    for (size_t i = 0; i < ARRAY_LEN(metadata_keys); i++) {
        struct path here = {&metadata, metadata_keys[i], 0};
        if (value_differs(&here, json_object_get(applied_metadata, metadata_keys[i]),
                          json_object_get(live_metadata, metadata_keys[i]), why))
            return true;
    }
    json_object_foreach((json_t *)applied, key, value)
    {
        struct path here = {NULL, key, 0};
        if (top_level_counts(key) && value_differs(&here, value, json_object_get(live, key), why))
            return true;
    }
    return false;
}

/* The merge patch of one value, or NULL if it is as applied. */
static json_t *value_patch(const json_t *applied, const json_t *live)
{
    const char *key;
    json_t *value;

    if (!value_differs(NULL, applied, live, NULL))
        return NULL;
    if (!json_is_object(applied) || !json_is_object(live))
        return json_deep_copy(applied);
    json_t *patch = json_object();
    json_object_foreach((json_t *)applied, key, value)
    {
        json_t *part = value_patch(value, json_object_get(live, key));
        if (part)
            (void)json_object_set_new(patch, key, part);
    }
    return patch;
}

json_t *drift_patch(const json_t *applied, const json_t *live)
{
    CLEANUP(json) json_t *patch = json_object();
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)applied, key, value)
    {
        json_t *part =
            top_level_counts(key) ? value_patch(value, json_object_get(live, key)) : NULL;
        if (part)
            (void)json_object_set_new(patch, key, part);
    }
    return json_object_size(patch) > 0 ? TAKE(patch) : NULL;
}
