/* cluster/api/fields.h - who owns which fields: metadata.managedFields.
 *
 * A set of fields is a json_t in the form FieldsV1: {"f:spec":{"f:replicas":{}}}; {} or a member
 * "." says that the field itself is in the set, other members are the fields below it. Items of
 * keyed lists are `k:{"name":"web"}`, values of sets `v:"x"`. Source: Kubernetes, "Server-Side
 * Apply"; sigs.k8s.io/structured-merge-diff. */
#pragma once
#include "cluster/api/schema.h"
#include "wire/json.h"

/* All of these give a new tree, or NULL without memory. Arguments are borrowed. */
json_t *fields_of(const struct schema_type *type, const json_t *object); /* all that are present */
/* Fields of `after` that `before` (may be NULL) lacks or has with another value. */
json_t *fields_changed(const struct schema_type *type, const json_t *before, const json_t *after);
/* Fields of `before` that `after` lacks. */
json_t *fields_removed(const struct schema_type *type, const json_t *before, const json_t *after);
json_t *fields_union(const json_t *a, const json_t *b);
json_t *fields_minus(const json_t *a, const json_t *b);
json_t *fields_common(const json_t *a, const json_t *b);
bool fields_is_empty(const json_t *set);

/* The key of a list's item, `k:{…}` or `v:…`, into `out`. False if it lacks a key. */
bool fields_item_key(const struct schema_type *list, const json_t *item, struct buf *out);
/* The item of `list` that `key` names; borrowed; *ret_index may be NULL. NULL if absent. */
json_t *fields_find_item(const struct schema_type *type, const json_t *list, const char *key,
                         size_t *ret_index);

/* Each field as ".spec.containers[name=\"web\"].image", in order. */
typedef void fields_path_fn(const char *path, void *ctx);
void fields_each(const json_t *set, fields_path_fn *fn, void *ctx);

/* --- managedFields --- */

struct fields_writer {
    const char *manager;
    const char *api_version;
    const char *subresource; /* "" or "status", "scale" */
    bool is_apply;
};

/* After an update by create, PUT or PATCH: what changed becomes the writer's, others lose it. Sets
 * after.metadata.managedFields from before's. -1 without memory. */
NODISCARD int fields_track(const struct schema_type *type, const struct fields_writer *writer,
                           const json_t *before, json_t *after);
/* The entry of a writer in managedFields; borrowed; NULL if none. */
json_t *fields_entry(const json_t *managed_fields, const struct fields_writer *writer);
/* The same managers with the same sets, whatever their times. */
bool fields_managers_equal(const json_t *a, const json_t *b);
/* Put (or, with an empty set, take out) the writer's entry. */
NODISCARD int fields_set_entry(json_t *managed_fields, const struct fields_writer *writer,
                               json_t *take_set);
