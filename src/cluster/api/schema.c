/* cluster/api/schema.c - reads the table of types, once, into structs. */
#include "cluster/api/schema.h"

#include "base/buf.h"

struct schema {
    char *text;                  /* owned: the table, cut into words in place */
    struct schema_type *structs; /* owned */
    size_t structs_count;
    struct schema_type **others; /* owned: maps and lists, each its own allocation */
    size_t others_count;
    size_t others_capacity;
    struct schema_type scalars[SCHEMA_ANY + 1];
};

static const char SCALAR_LETTERS[] = "sinbqxty*"; /* in the order of enum schema_kind */

static struct schema_type *schema_find_struct(const struct schema *schema, struct str name)
{
    for (size_t i = 0; i < schema->structs_count; i++) {
        if (str_is(name, schema->structs[i].name))
            return &schema->structs[i];
    }
    return NULL;
}

const struct schema_type *schema_find(const struct schema *schema, const char *name)
{
    return schema_find_struct(schema, str_of(name));
}

const struct schema_type *schema_at(const struct schema *schema, size_t index)
{
    return index < schema->structs_count ? &schema->structs[index] : NULL;
}

const struct schema_type *schema_field(const struct schema_type *type, const char *name)
{
    if (!type || type->kind != SCHEMA_STRUCT)
        return NULL;
    for (size_t i = 0; i < type->fields_count; i++) {
        if (strcmp(type->fields[i].name, name) == 0)
            return type->fields[i].type;
    }
    return NULL;
}

static struct schema_type *schema_add_other(struct schema *schema)
{
    if (schema->others_count == schema->others_capacity) {
        size_t capacity = schema->others_capacity ? schema->others_capacity * 2 : 64;
        struct schema_type **others =
            reallocarray(schema->others, capacity, sizeof(struct schema_type *));
        if (!others)
            return NULL;
        schema->others = others;
        schema->others_capacity = capacity;
    }
    struct schema_type *type = calloc(1, sizeof(*type));
    if (type)
        schema->others[schema->others_count++] = type;
    return type;
}

static const struct schema_type *parse_type(struct schema *schema, char *text);

/* "T", "T:key,key", "T:a,b;b", "T@", each maybe with '&' at its end. */
static int parse_list(struct schema *schema, struct schema_type *type, char *inner)
{
    size_t len = strlen(inner);
    size_t count = 0;

    type->kind = SCHEMA_LIST;
    if (len > 0 && inner[len - 1] == '&') {
        type->retain_keys = true;
        inner[--len] = '\0';
    }
    if (len > 0 && inner[len - 1] == '@') {
        type->is_set = true;
        inner[--len] = '\0';
    }
    char *merge = strchr(inner, ';');
    if (merge)
        *merge++ = '\0';
    char *keys = strchr(inner, ':');
    if (keys)
        *keys++ = '\0';
    while (keys && *keys && count < SCHEMA_KEYS_MAX) {
        char *next = strchr(keys, ',');
        if (next)
            *next++ = '\0';
        type->keys[count++] = keys;
        keys = next;
    }
    type->merge_key = merge ? merge : type->keys[0];
    type->is_atomic = count == 0 && !type->is_set;
    type->element = parse_type(schema, inner);
    return type->element ? 0 : -1;
}

static const struct schema_type *parse_container(struct schema *schema, char *text, size_t len)
{
    struct schema_type *type = schema_add_other(schema);

    if (!type)
        return NULL;
    if (text[len - 1] == '!') {
        type->is_atomic = true;
        text[--len] = '\0';
    }
    char end = text[len - 1];
    text[len - 1] = '\0';
    if (text[0] == '{' && end == '}') {
        type->kind = SCHEMA_MAP;
        type->element = parse_type(schema, text + 1);
        return type->element ? type : NULL;
    }
    return end == ']' && parse_list(schema, type, text + 1) == 0 ? type : NULL;
}

static const struct schema_type *parse_type(struct schema *schema, char *text)
{
    size_t len = strlen(text);
    const char *letter = len == 1 ? strchr(SCALAR_LETTERS, text[0]) : NULL;

    if (letter)
        return &schema->scalars[letter - SCALAR_LETTERS];
    if (len >= 2 && (text[0] == '{' || text[0] == '['))
        return parse_container(schema, text, len);
    bool retain_keys = len > 0 && text[len - 1] == '&';
    if (retain_keys)
        text[len - 1] = '\0';
    struct schema_type *type = schema_find_struct(schema, str_of(text));
    if (type && retain_keys)
        type->retain_keys = true;
    return type;
}

static int parse_struct(struct schema *schema, struct schema_type *type, char *line)
{
    size_t count = 1;
    for (const char *at = line; *at; at++)
        count += *at == ' ';
    struct schema_field *fields = calloc(count, sizeof(*fields));
    if (!fields)
        return -1;
    type->fields = fields;
    for (char *word = line; word && *word;) {
        char *next = strchr(word, ' ');
        if (next)
            *next++ = '\0';
        char *colon = strchr(word, ':');
        if (!colon)
            return -1;
        *colon = '\0';
        fields[type->fields_count].name = word;
        fields[type->fields_count].type = parse_type(schema, colon + 1);
        if (!fields[type->fields_count++].type)
            return -1;
        word = next;
    }
    return 0;
}

/* Names first, since types refer to later ones; *ret_rest[i] is where the fields of struct i begin.
 */
static int parse_names(struct schema *schema, char **rests)
{
    char *line = schema->text;

    while (*line) {
        char *end = strchr(line, '\n');
        char *blank = strchr(line, ' ');
        if (!end || !blank)
            return -1;
        *end = *blank = '\0';
        struct schema_type *type = &schema->structs[schema->structs_count];
        if (blank[-1] == '!') {
            blank[-1] = '\0';
            type->is_atomic = true;
        }
        type->name = line;
        type->kind = SCHEMA_STRUCT;
        rests[schema->structs_count++] = blank + 1;
        line = end + 1;
    }
    return 0;
}

static int schema_read(struct schema *schema)
{
    size_t lines = 0;
    for (const char *at = schema->text; *at; at++)
        lines += *at == '\n';
    schema->structs = calloc(lines, sizeof(*schema->structs));
    char **rests = calloc(lines, sizeof(char *));
    int rc = schema->structs && rests ? parse_names(schema, rests) : -1;
    for (size_t i = 0; rc == 0 && i < schema->structs_count; i++)
        rc = parse_struct(schema, &schema->structs[i], rests[i]);
    free(rests);
    return rc;
}

int schema_new(struct schema **ret, struct error *err)
{
    CLEANUP(schema) struct schema *schema = calloc(1, sizeof(*schema));

    if (!schema)
        return error_no_memory(err);
    for (size_t i = 0; i <= SCHEMA_ANY; i++)
        schema->scalars[i].kind = (enum schema_kind)i;
    schema->text = str_dup(str_of(SCHEMA_TYPES));
    if (!schema->text || schema_read(schema) < 0)
        return error_set(err, ERR_INTERNAL, "the table of types cannot be read");
    *ret = TAKE(schema);
    return 0;
}

void schema_free(struct schema *schema)
{
    if (!schema)
        return;
    for (size_t i = 0; i < schema->structs_count; i++)
        free((void *)schema->structs[i].fields);
    for (size_t i = 0; i < schema->others_count; i++)
        free(schema->others[i]);
    free(schema->structs);
    free(schema->others);
    free(schema->text);
    free(schema);
}
