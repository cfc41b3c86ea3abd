/* wire/yaml_write.c - a tree to YAML in block style, over libyaml's emitter. */
#include <yaml.h>

#include "wire/doc.h"
#include "wire/plain.h"
#include "wire/wire_internal.h"

struct writer {
    yaml_emitter_t emitter;
    struct buf *out;
    unsigned depth;
};

static int write_node(struct writer *w, const json_t *value, struct error *err);

static int on_bytes(void *ctx, unsigned char *bytes, size_t len)
{
    struct writer *w = ctx;

    buf_add(w->out, bytes, len);
    return !w->out->failed;
}

/* Takes the event over, as libyaml does. `made`: what yaml_…_event_initialize() gave. */
static int emit(struct writer *w, yaml_event_t *event, int made, struct error *err)
{
    if (!made)
        return error_no_memory(err);
    if (yaml_emitter_emit(&w->emitter, event))
        return 0;
    if (buf_ok(w->out, err) < 0)
        return -1;
    if (w->emitter.error == YAML_MEMORY_ERROR)
        return error_no_memory(err);
    return error_set(err, ERR_INVALID, "cannot write YAML: %s",
                     w->emitter.problem ? w->emitter.problem : "unknown");
}

/* A text of several lines is readable as a literal block, if no reader could lose a blank of it. */
static bool fits_literal(struct str text)
{
    struct str rest = text;

    if (str_find(text, '\n') < 0 || text.ptr[0] == '\n' || text.ptr[0] == ' ' ||
        str_ends(text, STR("\n\n")))
        return false;
    while (rest.ptr) {
        struct str line = str_cut(&rest, '\n');
        if (str_ends(line, STR(" ")) || str_ends(line, STR("\t")) || str_starts(line, STR("\t")))
            return false;
    }
    for (size_t i = 0; i < text.len;) {
        size_t len = utf8_length(str_skip(text, i));
        unsigned char c = (unsigned char)text.ptr[i];
        if (len == 0 || (c < ' ' && c != '\n' && c != '\t') || c == 0x7F)
            return false;
        if (len == 2 && c == 0xC2 && (unsigned char)text.ptr[i + 1] < 0xA0)
            return false; /* C1 controls, next line */
        if (len == 3 && (c == 0xE2 || c == 0xEF))
            return false; /* line and paragraph separators, the byte order mark, and neighbours */
        i += len;
    }
    return true;
}

static int write_text(struct writer *w, struct str text, bool is_key, struct error *err)
{
    yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;
    yaml_event_t event;

    if (text.len > INT32_MAX)
        return error_set(err, ERR_LIMIT, "text of %zu bytes", text.len);
    if (text.len == 0 || plain_is_ambiguous(text))
        style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    else if (str_find(text, '\n') >= 0)
        style = !is_key && fits_literal(text) ? YAML_LITERAL_SCALAR_STYLE
                                              : YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    int made = yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text.ptr,
                                            (int)text.len, 1, 1, style);
    return emit(w, &event, made, err);
}

static int write_plain(struct writer *w, const char *text, struct error *err)
{
    yaml_event_t event;
    int made = yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
                                            (int)strlen(text), 1, 0, YAML_PLAIN_SCALAR_STYLE);

    return emit(w, &event, made, err);
}

static int write_number(struct writer *w, const json_t *value, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(64);

    if (json_is_integer(value))
        buf_addf(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        number_add_real(&text, json_real_value(value));
    if (buf_ok(&text, err) < 0)
        return -1;
    return write_plain(w, buf_text(&text), err);
}

static int write_object(struct writer *w, const json_t *object, struct error *err)
{
    yaml_event_t event;
    int made = yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE);

    if (emit(w, &event, made, err) < 0)
        return -1;
    for (void *it = json_object_iter((json_t *)object); it;
         it = json_object_iter_next((json_t *)object, it)) {
        struct str key = {json_object_iter_key(it), json_object_iter_key_len(it)};
        if (write_text(w, key, true, err) < 0 || write_node(w, json_object_iter_value(it), err) < 0)
            return -1;
    }
    made = yaml_mapping_end_event_initialize(&event);
    return emit(w, &event, made, err);
}

static int write_array(struct writer *w, const json_t *array, struct error *err)
{
    yaml_event_t event;
    int made =
        yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE);

    if (emit(w, &event, made, err) < 0)
        return -1;
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (write_node(w, json_array_get(array, i), err) < 0)
            return -1;
    }
    made = yaml_sequence_end_event_initialize(&event);
    return emit(w, &event, made, err);
}

static int write_container(struct writer *w, const json_t *value, struct error *err)
{
    if (w->depth == DOC_DEPTH_MAX)
        return error_set(err, ERR_LIMIT, "nested more than %d deep", (int)DOC_DEPTH_MAX);
    w->depth++;
    int result = json_is_object(value) ? write_object(w, value, err) : write_array(w, value, err);
    w->depth--;
    return result;
}

static int write_node(struct writer *w, const json_t *value, struct error *err)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        return write_container(w, value, err);
    case JSON_STRING:
        return write_text(w, str_slice(json_string_value(value), json_string_length(value)), false,
                          err);
    case JSON_INTEGER:
    case JSON_REAL:
        return write_number(w, value, err);
    case JSON_TRUE:
        return write_plain(w, "true", err);
    case JSON_FALSE:
        return write_plain(w, "false", err);
    default:
        return write_plain(w, "null", err);
    }
}

static int write_stream(struct writer *w, const json_t *root, struct error *err)
{
    yaml_event_t event;

    int made = yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
    if (emit(w, &event, made, err) < 0)
        return -1;
    made = yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1);
    if (emit(w, &event, made, err) < 0 || write_node(w, root, err) < 0)
        return -1;
    made = yaml_document_end_event_initialize(&event, 1);
    if (emit(w, &event, made, err) < 0)
        return -1;
    made = yaml_stream_end_event_initialize(&event);
    return emit(w, &event, made, err);
}

int yaml_write(const json_t *root, struct buf *out, struct error *err)
{
    struct writer w = {.out = out};

    if (!yaml_emitter_initialize(&w.emitter))
        return error_no_memory(err);
    yaml_emitter_set_output(&w.emitter, on_bytes, &w);
    yaml_emitter_set_unicode(&w.emitter, 1);
    yaml_emitter_set_indent(&w.emitter, 2);
    yaml_emitter_set_width(&w.emitter, -1); /* no folding: a diff is then a line */
    int result = write_stream(&w, root, err);
    yaml_emitter_delete(&w.emitter);
    return result < 0 ? -1 : buf_ok(out, err);
}
