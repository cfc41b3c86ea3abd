/* cluster/api/managers.c - metadata.managedFields: the entries, and how an update moves ownership.
 */
#include "base/clock.h"
#include "cluster/api/fields.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool is_entry_of(const json_t *entry, const struct fields_writer *writer)
{
    return strcmp(text_of(entry, "manager"), writer->manager) == 0 &&
           strcmp(text_of(entry, "operation"), writer->is_apply ? "Apply" : "Update") == 0 &&
           strcmp(text_of(entry, "subresource"), writer->subresource) == 0;
}

json_t *fields_entry(const json_t *managed_fields, const struct fields_writer *writer)
{
    json_t *entry;
    size_t i;

    json_array_foreach(managed_fields, i, entry)
    {
        if (is_entry_of(entry, writer))
            return entry;
    }
    return NULL;
}

bool fields_managers_equal(const json_t *a, const json_t *b)
{
    static const char *const keys[] = {"manager", "operation", "apiVersion", "subresource",
                                       "fieldsV1"};

    if (json_array_size(a) != json_array_size(b))
        return false;
    for (size_t i = 0; i < json_array_size(a); i++) {
        for (size_t j = 0; j < ARRAY_LEN(keys); j++) {
            const json_t *left = json_object_get(json_array_get(a, i), keys[j]);
            const json_t *right = json_object_get(json_array_get(b, i), keys[j]);
            if ((left || right) && !json_equal(left, right))
                return false;
        }
    }
    return true;
}

static json_t *new_entry(const struct fields_writer *writer, json_t *take_set)
{
    char now[CLOCK_TEXT_SIZE];
    json_t *entry = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "manager", writer->manager,
                              "operation", writer->is_apply ? "Apply" : "Update", "apiVersion",
                              writer->api_version, "time", clock_rfc3339(clock_now_s(), now),
                              "fieldsType", "FieldsV1", "fieldsV1", take_set);

    if (entry && *writer->subresource)
        (void)json_object_set_new(entry, "subresource", json_string(writer->subresource));
    return entry;
}

int fields_set_entry(json_t *managed_fields, const struct fields_writer *writer, json_t *take_set)
{
    size_t i;
    json_t *entry;

    json_array_foreach(managed_fields, i, entry)
    {
        if (!is_entry_of(entry, writer))
            continue;
        if (fields_is_empty(take_set)) {
            json_decref(take_set);
            return json_array_remove(managed_fields, i);
        }
        if (json_equal(json_object_get(entry, "fieldsV1"), take_set)) {
            json_decref(take_set); /* it keeps its time, too */
            return 0;
        }
        return json_array_set_new(managed_fields, i, new_entry(writer, take_set));
    }
    if (fields_is_empty(take_set)) {
        json_decref(take_set);
        return 0;
    }
    if (writer->is_apply) { /* appliers stand first, as in Kubernetes */
        size_t at = 0;
        while (at < json_array_size(managed_fields) &&
               strcmp(text_of(json_array_get(managed_fields, at), "operation"), "Apply") == 0)
            at++;
        return json_array_insert_new(managed_fields, at, new_entry(writer, take_set));
    }
    return json_array_append_new(managed_fields, new_entry(writer, take_set));
}

/* Takes `lost` from every entry but the writer's; entries left empty go. */
static int take_from_others(json_t *managed, const struct fields_writer *writer, const json_t *lost)
{
    for (size_t i = json_array_size(managed); i-- > 0;) {
        json_t *entry = json_array_get(managed, i);
        if (is_entry_of(entry, writer))
            continue;
        json_t *left = fields_minus(json_object_get(entry, "fieldsV1"), lost);
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

int fields_track(const struct schema_type *type, const struct fields_writer *writer,
                 const json_t *before, json_t *after)
{
    json_t *metadata = json_object_get(after, "metadata");
    const json_t *given = json_object_get(metadata, "managedFields");
    CLEANUP(json) json_t *managed = given ? json_deep_copy(given) : json_array();
    CLEANUP(json) json_t *changed = fields_changed(type, before, after);
    CLEANUP(json) json_t *removed = before ? fields_removed(type, before, after) : json_object();

    if (!managed || !changed || !removed)
        return -1;
    if (strcmp(writer->subresource, "status") != 0)
        (void)json_object_del(changed, "f:status"); /* the server's own defaults */
    CLEANUP(json) json_t *touched = fields_union(changed, removed);
    if (!touched || take_from_others(managed, writer, touched) < 0)
        return -1;
    const json_t *entry = fields_entry(managed, writer);
    CLEANUP(json) json_t *mine = fields_union(json_object_get(entry, "fieldsV1"), changed);
    json_t *left = mine ? fields_minus(mine, removed) : NULL;
    if (!left || fields_set_entry(managed, writer, left) < 0)
        return -1;
    return json_object_set(metadata, "managedFields", managed);
}
