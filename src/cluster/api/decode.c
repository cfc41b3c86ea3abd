/* cluster/api/decode.c - see decode.h. */
#include "cluster/api/decode.h"

#include "cluster/api/validate.h"

enum { DECODE_UNKNOWN_MAX = 64 };

struct decoder {
    const char *kind, *version;
    struct strv *unknown;  /* borrowed; may be NULL */
    struct status *status; /* borrowed */
};

static int decode_value(const struct decoder *in, const struct schema_type *type,
                        const char *parent, const char *path, json_t *value);

static const char *go_type(const struct schema_type *type)
{
    switch (type->kind) {
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
        return "string";
    case SCHEMA_INTEGER:
        return "int32";
    case SCHEMA_NUMBER:
        return "float64";
    case SCHEMA_BOOLEAN:
        return "bool";
    case SCHEMA_MAP:
        return "map[string]string";
    case SCHEMA_LIST:
        return "[]";
    default:
        return type->name ? type->name : "value";
    }
}

static const char *json_type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "number";
    default:
        return "bool";
    }
}

static int decode_wrong(const struct decoder *in, const struct schema_type *type,
                        const char *parent, const char *path, const json_t *value)
{
    return status_bad_request(
        in->status,
        "%s in version \"%s\" cannot be handled as a %s: json: cannot unmarshal"
        " %s into Go struct field %s.%s of type %s",
        in->kind, in->version, in->kind, json_type_name(value), parent, path, go_type(type));
}

static bool scalar_fits(const struct schema_type *type, const json_t *value)
{
    switch (type->kind) {
    case SCHEMA_STRING:
    case SCHEMA_BYTES:
    case SCHEMA_TIME:
        return json_is_string(value);
    case SCHEMA_INTEGER:
        return json_is_integer(value);
    case SCHEMA_NUMBER:
        return json_is_number(value);
    case SCHEMA_BOOLEAN:
        return json_is_boolean(value);
    case SCHEMA_QUANTITY:
        return json_is_string(value) || json_is_number(value);
    case SCHEMA_INT_OR_STRING:
        return json_is_string(value) || json_is_integer(value);
    default:
        return true;
    }
}

static int decode_struct(const struct decoder *in, const struct schema_type *type, const char *path,
                         json_t *object)
{
    const char *key;
    json_t *value;
    void *next;
    char at[FIELD_PATH_MAX];

    json_object_foreach_safe(object, next, key, value)
    {
        const struct schema_type *field = schema_field(type, key);
        (void)field_path(at, "%s%s%s", path, *path ? "." : "", key);
        if (!field) {
            if (in->unknown && in->unknown->count < DECODE_UNKNOWN_MAX)
                strv_addf(in->unknown, "unknown field \"%s\"", at);
            (void)json_object_del(object, key); /* it is there */
            continue;
        }
        if (json_is_null(value)) {
            (void)json_object_del(object, key);
            continue;
        }
        if (field->kind == SCHEMA_QUANTITY && json_is_number(value)) {
            CLEANUP(text) char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
            if (json_object_set_new(object, key, json_string(text)) < 0)
                return status_no_memory(in->status);
            continue;
        }
        if (decode_value(in, field, type->name, at, value) < 0)
            return -1;
    }
    return 0;
}

static int decode_map(const struct decoder *in, const struct schema_type *type, const char *parent,
                      const char *path, json_t *object)
{
    const char *key;
    json_t *value;
    void *next;
    char at[FIELD_PATH_MAX];

    json_object_foreach_safe(object, next, key, value)
    {
        if (json_is_null(value)) { /* Go reads null as the empty value */
            if (json_object_set_new(object, key, json_string("")) < 0)
                return status_no_memory(in->status);
            continue;
        }
        if (type->element->kind == SCHEMA_QUANTITY && json_is_number(value)) {
            CLEANUP(text) char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
            if (json_object_set_new(object, key, json_string(text)) < 0)
                return status_no_memory(in->status);
            continue;
        }
        if (decode_value(in, type->element, parent, field_path(at, "%s.%s", path, key), value) < 0)
            return -1;
    }
    return 0;
}

static int decode_value(const struct decoder *in, const struct schema_type *type,
                        const char *parent, const char *path, json_t *value)
{
    char at[FIELD_PATH_MAX];

    switch (type->kind) {
    case SCHEMA_ANY:
        return 0;
    case SCHEMA_STRUCT:
        return json_is_object(value) ? decode_struct(in, type, path, value)
                                     : decode_wrong(in, type, parent, path, value);
    case SCHEMA_MAP:
        return json_is_object(value) ? decode_map(in, type, parent, path, value)
                                     : decode_wrong(in, type, parent, path, value);
    case SCHEMA_LIST:
        break;
    default:
        return scalar_fits(type, value) ? 0 : decode_wrong(in, type, parent, path, value);
    }
    if (!json_is_array(value))
        return decode_wrong(in, type, parent, path, value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        (void)field_path(at, "%s[%zu]", path, i);
        if (decode_value(in, type->element, parent, at, json_array_get(value, i)) < 0)
            return -1;
    }
    return 0;
}

int decode_check(const struct schema_type *type, const char *kind, const char *version,
                 json_t *object, struct strv *unknown, struct status *status)
{
    struct decoder in = {kind, version, unknown, status};

    if (!type)
        return 0;
    if (!json_is_object(object))
        return status_bad_request(status,
                                  "the object provided is unrecognized (must be of type %s)", kind);
    return decode_value(&in, type, kind, "", object);
}
