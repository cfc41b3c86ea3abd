/* wire/toml_write.c - a tree to TOML: the values of a table first, then its tables and arrays of
 * tables. */
#include <ctype.h>

#include "wire/doc.h"
#include "wire/wire_internal.h"

struct writer {
    struct buf *out;
    struct buf path; /* "a.b" of the table being written */
    unsigned depth;
};

static int write_inline(struct writer *w, const json_t *value, struct error *err);

static bool is_bare(struct str key)
{
    for (size_t i = 0; i < key.len; i++) {
        if (!isalnum((unsigned char)key.ptr[i]) && key.ptr[i] != '_' && key.ptr[i] != '-')
            return false;
    }
    return key.len > 0;
}

/* A JSON string is a TOML basic string. */
static void add_key(struct buf *out, struct str key)
{
    if (is_bare(key))
        buf_add_str(out, key);
    else
        json_add_quoted(out, key);
}

static int write_inline_table(struct writer *w, const json_t *table, struct error *err)
{
    bool first = true;

    buf_add_text(w->out, "{");
    for (void *it = json_object_iter((json_t *)table); it;
         it = json_object_iter_next((json_t *)table, it)) {
        if (json_is_null(json_object_iter_value(it)))
            continue;
        buf_add_text(w->out, first ? "" : ", ");
        first = false;
        add_key(w->out, str_slice(json_object_iter_key(it), json_object_iter_key_len(it)));
        buf_add_text(w->out, " = ");
        if (write_inline(w, json_object_iter_value(it), err) < 0)
            return -1;
    }
    buf_add_text(w->out, "}");
    return 0;
}

static int write_inline_array(struct writer *w, const json_t *array, struct error *err)
{
    buf_add_text(w->out, "[");
    for (size_t i = 0; i < json_array_size(array); i++) {
        buf_add_text(w->out, i > 0 ? ", " : "");
        if (write_inline(w, json_array_get(array, i), err) < 0)
            return -1;
    }
    buf_add_text(w->out, "]");
    return 0;
}

static int write_inline(struct writer *w, const json_t *value, struct error *err)
{
    int result = 0;

    if (++w->depth > DOC_DEPTH_MAX)
        return error_set(err, ERR_LIMIT, "nested more than %d deep", (int)DOC_DEPTH_MAX);
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        result = write_inline_table(w, value, err);
        break;
    case JSON_ARRAY:
        result = write_inline_array(w, value, err);
        break;
    case JSON_STRING:
        json_add_quoted(w->out, str_slice(json_string_value(value), json_string_length(value)));
        break;
    case JSON_INTEGER:
        buf_addf(w->out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        number_add_real(w->out, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        buf_add_text(w->out, json_is_true(value) ? "true" : "false");
        break;
    case JSON_NULL:
        result = error_set(err, ERR_INVALID, "TOML has no null within an array");
        break;
    }
    w->depth--;
    return result;
}

/* Is it written as [[key]]: an array that holds tables and nothing else? */
static bool is_table_array(const json_t *value)
{
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!json_is_object(json_array_get(value, i)))
            return false;
    }
    return json_array_size(value) > 0;
}

static bool is_section(const json_t *value)
{
    return json_is_object(value) || is_table_array(value);
}

static int write_table(struct writer *w, const json_t *table, struct error *err);

static void write_header(struct writer *w, const char *open, const char *close)
{
    if (w->out->len > 0)
        buf_add_char(w->out, '\n');
    buf_add_text(w->out, open);
    buf_add_str(w->out, buf_str(&w->path));
    buf_add_text(w->out, close);
}

/* A table that only holds tables needs no header of its own. */
static bool needs_header(const json_t *table)
{
    for (void *it = json_object_iter((json_t *)table); it;
         it = json_object_iter_next((json_t *)table, it)) {
        const json_t *value = json_object_iter_value(it);
        if (!is_section(value) && !json_is_null(value))
            return true;
    }
    return json_object_size(table) == 0;
}

static int write_section(struct writer *w, struct str key, const json_t *value, struct error *err)
{
    size_t before = w->path.len;
    int result = 0;

    if (++w->depth > DOC_DEPTH_MAX)
        return error_set(err, ERR_LIMIT, "nested more than %d deep", (int)DOC_DEPTH_MAX);
    if (before > 0)
        buf_add_char(&w->path, '.');
    add_key(&w->path, key);
    if (json_is_object(value)) {
        if (needs_header(value))
            write_header(w, "[", "]\n");
        result = write_table(w, value, err);
    }
    for (size_t i = 0; result == 0 && i < json_array_size(value); i++) {
        write_header(w, "[[", "]]\n");
        result = write_table(w, json_array_get(value, i), err);
    }
    buf_truncate(&w->path, before);
    w->depth--;
    return result;
}

static int write_table(struct writer *w, const json_t *table, struct error *err)
{
    for (int sections = 0; sections < 2; sections++) {
        for (void *it = json_object_iter((json_t *)table); it;
             it = json_object_iter_next((json_t *)table, it)) {
            struct str key = {json_object_iter_key(it), json_object_iter_key_len(it)};
            const json_t *value = json_object_iter_value(it);
            if (json_is_null(value) || is_section(value) != (sections == 1))
                continue;
            if (sections == 1) {
                if (write_section(w, key, value, err) < 0)
                    return -1;
                continue;
            }
            add_key(w->out, key);
            buf_add_text(w->out, " = ");
            if (write_inline(w, value, err) < 0)
                return -1;
            buf_add_char(w->out, '\n');
        }
    }
    return 0;
}

int toml_write(const json_t *root, struct buf *out, struct error *err)
{
    struct writer w = {.out = out, .path = BUF_INIT(DOC_BYTES_MAX)};

    if (!json_is_object(root))
        return error_set(err, ERR_INVALID, "the root of TOML is a table");
    int result = write_table(&w, root, err);
    if (result == 0)
        result = buf_ok(&w.path, err);
    buf_done(&w.path);
    return result < 0 ? -1 : buf_ok(out, err);
}
