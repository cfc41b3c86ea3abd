/* cluster/api/schema.h - the shape of the kinds we serve: which fields there are, what they hold,
 * and how lists merge. One table (schema_types.c) serves unknown-field checks, strategic merge,
 * server-side apply, and the published OpenAPI documents. Source: the Kubernetes API reference and
 * its OpenAPI extensions x-kubernetes-list-type, -list-map-keys, -map-type, -patch-strategy and
 * -patch-merge-key. */
#pragma once
#include <stdbool.h>

#include "base/error.h"

enum schema_kind {
    SCHEMA_STRING,
    SCHEMA_INTEGER,
    SCHEMA_NUMBER,
    SCHEMA_BOOLEAN,
    SCHEMA_QUANTITY,      /* "500m", 1 */
    SCHEMA_INT_OR_STRING, /* 80, "http", "25%" */
    SCHEMA_TIME,          /* RFC 3339 text, or null */
    SCHEMA_BYTES,         /* base64 text */
    SCHEMA_ANY,
    SCHEMA_MAP,    /* any key, each value an `element` */
    SCHEMA_LIST,   /* of `element` */
    SCHEMA_STRUCT, /* `fields` */
};

struct schema_type;

struct schema_field {
    const char *name;
    const struct schema_type *type;
};

enum { SCHEMA_KEYS_MAX = 3 };

struct schema_type {
    const char *name; /* of a struct: "PodSpec"; else NULL */
    enum schema_kind kind;
    bool is_atomic;   /* struct, map or list: replaced as a whole by server-side apply */
    bool is_set;      /* list of scalars without order or duplicates */
    bool retain_keys; /* strategic merge may carry $retainKeys */
    const struct schema_type *element;
    const char
        *keys[SCHEMA_KEYS_MAX + 1]; /* of a list of structs: its keys, NULL-ended; none: atomic */
    const char *merge_key;          /* of strategic merge; NULL: the list is replaced */
    const struct schema_field *fields;
    size_t fields_count;
};

struct schema; /* all types; never changes */
NODISCARD int schema_new(struct schema **ret, struct error *err);
void schema_free(struct schema *schema);
DEFINE_CLEANUP(schema, struct schema *, schema_free)

/* By the name of a struct ("Deployment", "PodSpec"); NULL if unknown. */
const struct schema_type *schema_find(const struct schema *schema, const char *name);
const struct schema_type *schema_field(const struct schema_type *type,
                                       const char *name); /* or NULL */
/* Of a list whose items are found by key. */
static inline bool schema_is_keyed(const struct schema_type *type)
{
    return type && type->kind == SCHEMA_LIST && type->keys[0] != NULL;
}
/* Walk all structs: index from 0; NULL at the end. */
const struct schema_type *schema_at(const struct schema *schema, size_t index);

/* schema_types.c: a line a struct, `Name[!] field:type …`. Types: s string, i integer, n number, b
 * boolean, q quantity, x integer or string, t time, y bytes, * anything, {T} map, [T] list, Name a
 * struct. After a type: ! atomic; & takes $retainKeys. In a list after T: `:key,key` its keys,
 * `;key` the key of strategic merge if it is not the first of them; `@` a set. */
extern const char SCHEMA_TYPES[];
