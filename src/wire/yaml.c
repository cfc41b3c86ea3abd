/* wire/yaml.c - libyaml's events to a tree with places; see wire/doc.h. Writing is in yaml_write.c.
 */
#include <yaml.h>

#include "base/fs.h"
#include "wire/doc_internal.h"
#include "wire/plain.h"
#include "wire/wire_internal.h"

enum { ANCHORS_MAX = 1000 }; /* they are searched one by one */

struct anchor {
    char *name;    /* owned */
    json_t *value; /* owned */
};

struct loader {
    yaml_parser_t parser;
    const char *file;
    struct str text;
    unsigned flags;
    struct doc *doc;        /* owned: the document being read */
    struct anchor *anchors; /* owned: of this document */
    size_t anchor_count;
    size_t nodes;
    unsigned depth;
};

struct node {
    json_t *value; /* owned */
    struct place place;
    bool is_empty; /* nothing was written there */
    bool is_merge; /* the plain scalar << */
};

DEFINE_CLEANUP_VALUE(event, yaml_event_t, yaml_event_delete)

static void node_done(struct node *node)
{
    json_decref(node->value);
    node->value = NULL;
}
DEFINE_CLEANUP_VALUE(node, struct node, node_done)

static int read_node(struct loader *l, const yaml_event_t *event, struct node *ret,
                     struct error *err);

static struct place place_of(const struct loader *l, yaml_mark_t mark)
{
    return (struct place){l->file, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

static struct place place_of_byte(const struct loader *l, size_t offset)
{
    struct place place = {l->file, 1, 1};

    for (size_t i = 0; i < offset && i < l->text.len; i++) {
        if (l->text.ptr[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if (((unsigned char)l->text.ptr[i] & 0xC0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

static int syntax_error(const struct loader *l, struct error *err)
{
    const yaml_parser_t *p = &l->parser;
    struct place place = p->error == YAML_READER_ERROR ? place_of_byte(l, p->problem_offset)
                                                       : place_of(l, p->problem_mark);
    const char *problem = p->problem ? p->problem : "not YAML";

    if (p->error == YAML_MEMORY_ERROR)
        return error_no_memory(err);
    if (p->context)
        return error_at(err, ERR_INVALID, place, "%s, %s", p->context, problem);
    return error_at(err, ERR_INVALID, place, "%s", problem);
}

static int next_event(struct loader *l, yaml_event_t *event, struct error *err)
{
    if (!yaml_parser_parse(&l->parser, event))
        return syntax_error(l, err);
    return 0;
}

static const char *anchor_of(const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL;

    if (event->type == YAML_SCALAR_EVENT)
        anchor = event->data.scalar.anchor;
    else if (event->type == YAML_SEQUENCE_START_EVENT)
        anchor = event->data.sequence_start.anchor;
    else if (event->type == YAML_MAPPING_START_EVENT)
        anchor = event->data.mapping_start.anchor;
    return (const char *)anchor;
}

static int keep_anchor(struct loader *l, const yaml_event_t *event, json_t *value,
                       struct error *err)
{
    const char *name = anchor_of(event);

    if (!name)
        return 0;
    if (l->anchor_count == ANCHORS_MAX) {
        return error_at(err, ERR_LIMIT, place_of(l, event->start_mark), "more than %d anchors",
                        (int)ANCHORS_MAX);
    }
    struct anchor *grown = reallocarray(l->anchors, l->anchor_count + 1, sizeof *grown);
    if (!grown)
        return error_no_memory(err);
    l->anchors = grown;
    char *copy = str_dup(str_of(name));
    if (!copy)
        return error_no_memory(err);
    l->anchors[l->anchor_count++] = (struct anchor){copy, json_incref(value)};
    return 0;
}

static void drop_anchors(struct loader *l)
{
    for (size_t i = 0; i < l->anchor_count; i++) {
        free(l->anchors[i].name);
        json_decref(l->anchors[i].value);
    }
    free(l->anchors);
    l->anchors = NULL;
    l->anchor_count = 0;
}

/* An alias becomes a copy: users of a tree may change one place without changing the other. */
static int read_alias(struct loader *l, const yaml_event_t *event, json_t **ret, struct error *err)
{
    const char *name = (const char *)event->data.alias.anchor;

    for (size_t i = l->anchor_count; i-- > 0;) { /* the newest of that name */
        if (strcmp(l->anchors[i].name, name) != 0)
            continue;
        if (doc_copy(l->doc, l->anchors[i].value, &l->nodes, ret, err) == 0)
            return 0;
        if (err->kind == ERR_LIMIT) {
            return error_at(err, ERR_LIMIT, place_of(l, event->start_mark),
                            "alias '%s' expands to more than %d values", name, (int)DOC_NODES_MAX);
        }
        return -1;
    }
    return error_at(err, ERR_INVALID, place_of(l, event->start_mark), "unknown alias '%s'", name);
}

static json_t *value_of_plain(struct plain plain, struct str text)
{
    switch (plain.kind) {
    case PLAIN_NULL:
        return json_null();
    case PLAIN_BOOL:
        return json_boolean(plain.truth);
    case PLAIN_INTEGER:
        return json_integer(plain.integer);
    case PLAIN_REAL:
        return json_real(plain.real);
    default:
        return json_stringn(text.ptr, text.len);
    }
}

static const char tag_prefix[] = "tag:yaml.org,2002:";

/* NULL for a tag that is not one of YAML's own; "" for none. */
static const char *short_tag(const yaml_char_t *tag)
{
    const char *text = (const char *)tag;

    if (!text || strcmp(text, "!") == 0)
        return "";
    if (strncmp(text, tag_prefix, sizeof tag_prefix - 1) != 0)
        return NULL;
    return text + sizeof tag_prefix - 1;
}

static int unknown_tag(const struct loader *l, const yaml_event_t *event, const yaml_char_t *tag,
                       struct error *err)
{
    return error_at(err, ERR_INVALID, place_of(l, event->start_mark), "unknown tag '%s'",
                    (const char *)tag);
}

/* `!!int "3"` and its like: the text must be of that kind. */
static int check_tag(const struct loader *l, const yaml_event_t *event, const char *tag,
                     struct plain *plain, struct str text, struct error *err)
{
    bool fits;

    if (strcmp(tag, "str") == 0) {
        plain->kind = PLAIN_TEXT;
        return 0;
    }
    if (strcmp(tag, "int") == 0)
        fits = plain->kind == PLAIN_INTEGER;
    else if (strcmp(tag, "bool") == 0)
        fits = plain->kind == PLAIN_BOOL;
    else if (strcmp(tag, "null") == 0)
        fits = plain->kind == PLAIN_NULL;
    else if (strcmp(tag, "float") == 0)
        fits = plain->kind == PLAIN_REAL || plain->kind == PLAIN_INTEGER;
    else
        return unknown_tag(l, event, event->data.scalar.tag, err);
    if (!fits) {
        return error_at(err, ERR_INVALID, place_of(l, event->start_mark),
                        "'%.*s' does not fit its tag '!!%s'", STR_ARG(text), tag);
    }
    if (strcmp(tag, "float") == 0 && plain->kind == PLAIN_INTEGER)
        *plain = (struct plain){.kind = PLAIN_REAL, .real = (double)plain->integer};
    return 0;
}

static int read_scalar(struct loader *l, const yaml_event_t *event, struct node *ret,
                       struct error *err)
{
    struct str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    const char *tag = short_tag(event->data.scalar.tag);
    bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    struct plain plain = {.kind = PLAIN_TEXT};

    if (!tag)
        return unknown_tag(l, event, event->data.scalar.tag, err);
    if (!(l->flags & DOC_ALLOW_NUL) && text.len && memchr(text.ptr, 0, text.len)) {
        return error_at(err, ERR_INVALID, place_of(l, event->start_mark),
                        "text with a NUL character");
    }
    if (tag[0] || is_plain)
        plain = plain_resolve(text);
    if (tag[0] && check_tag(l, event, tag, &plain, text, err) < 0)
        return -1;
    if (plain.kind == PLAIN_NO_NUMBER) {
        return error_at(err, ERR_INVALID, place_of(l, event->start_mark),
                        "'%.*s' cannot be said in JSON", STR_ARG(text));
    }
    ret->is_merge = is_plain && !tag[0] && str_is(text, "<<");
    ret->is_empty = is_plain && !tag[0] && text.len == 0 && !anchor_of(event);
    ret->value = value_of_plain(plain, text);
    return ret->value ? 0 : error_no_memory(err);
}

static int read_sequence(struct loader *l, const yaml_event_t *start, struct node *ret,
                         struct error *err)
{
    const char *tag = short_tag(start->data.sequence_start.tag);

    if (!tag || (tag[0] && strcmp(tag, "seq") != 0))
        return unknown_tag(l, start, start->data.sequence_start.tag, err);
    ret->value = json_array();
    if (!ret->value)
        return error_no_memory(err);
    for (size_t i = 0;; i++) {
        CLEANUP(event) yaml_event_t event = {0};
        CLEANUP(node) struct node item = {0};
        if (next_event(l, &event, err) < 0)
            return -1;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        if (read_node(l, &event, &item, err) < 0 ||
            doc_note_item(l->doc, ret->value, i, item.place, err) < 0)
            return -1;
        if (json_array_append_new(ret->value, TAKE(item.value)) < 0)
            return error_no_memory(err);
    }
}

/* Keys are text in JSON; numbers and booleans become their text, as in Kubernetes. */
static int key_text(const struct node *key, struct buf *out, struct error *err)
{
    switch (json_typeof(key->value)) {
    case JSON_STRING:
        buf_add(out, json_string_value(key->value), json_string_length(key->value));
        break;
    case JSON_INTEGER:
        buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(key->value));
        break;
    case JSON_REAL:
        number_add_real(out, json_real_value(key->value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        buf_add_text(out, json_is_true(key->value) ? "true" : "false");
        break;
    default:
        return error_at(err, ERR_INVALID, key->place, "expected a key that is text, found %s",
                        json_is_null(key->value)     ? "null"
                        : json_is_object(key->value) ? "a mapping"
                                                     : "a sequence");
    }
    if (out->len && memchr(out->ptr, 0, out->len))
        return error_at(err, ERR_INVALID, key->place, "key with a NUL character");
    return buf_ok(out, err);
}

static int add_member(struct loader *l, json_t *object, const struct node *key, struct node *value,
                      struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(DOC_BYTES_MAX);

    if (key_text(key, &text, err) < 0)
        return -1;
    struct str name = buf_str(&text);
    if (json_object_getn(object, name.ptr, name.len)) {
        struct place first = doc_key_place(l->doc, object, name.ptr);
        return error_at(err, ERR_INVALID, key->place, "duplicate key '%.*s', first on line %u",
                        STR_ARG(name), first.line);
    }
    if (doc_note_key(l->doc, object, name, key->place, value->place, err) < 0)
        return -1;
    if (json_object_setn_new(object, name.ptr, name.len, TAKE(value->value)) < 0)
        return error_no_memory(err);
    return 0;
}

/* The keys of `from` that `object` has not. `from` is a copy of ours, so its values can be shared.
 */
static int merge_one(struct loader *l, json_t *object, json_t *from, struct place place,
                     struct error *err)
{
    if (!json_is_object(from)) {
        return error_at(err, ERR_INVALID, place,
                        "expected a mapping, or a sequence of mappings, to merge");
    }
    for (void *it = json_object_iter(from); it; it = json_object_iter_next(from, it)) {
        struct str name = {json_object_iter_key(it), json_object_iter_key_len(it)};
        if (json_object_getn(object, name.ptr, name.len))
            continue;
        if (doc_note_key(l->doc, object, name, doc_key_place(l->doc, from, name.ptr),
                         doc_place_key(l->doc, from, name.ptr), err) < 0)
            return -1;
        if (json_object_setn(object, name.ptr, name.len, json_object_iter_value(it)) < 0)
            return error_no_memory(err);
    }
    return 0;
}

static int merge(struct loader *l, json_t *object, const struct node *merged, struct error *err)
{
    if (!merged->value)
        return 0;
    if (!json_is_array(merged->value))
        return merge_one(l, object, merged->value, merged->place, err);
    for (size_t i = 0; i < json_array_size(merged->value); i++) {
        if (merge_one(l, object, json_array_get(merged->value, i),
                      doc_place_item(l->doc, merged->value, i), err) < 0)
            return -1;
    }
    return 0;
}

static int read_mapping(struct loader *l, const yaml_event_t *start, struct node *ret,
                        struct error *err)
{
    const char *tag = short_tag(start->data.mapping_start.tag);
    CLEANUP(node) struct node merged = {0};

    if (!tag || (tag[0] && strcmp(tag, "map") != 0))
        return unknown_tag(l, start, start->data.mapping_start.tag, err);
    ret->value = json_object();
    if (!ret->value)
        return error_no_memory(err);
    for (;;) {
        CLEANUP(event) yaml_event_t key_event = {0};
        CLEANUP(event) yaml_event_t value_event = {0};
        CLEANUP(node) struct node key = {0};
        CLEANUP(node) struct node value = {0};
        if (next_event(l, &key_event, err) < 0)
            return -1;
        if (key_event.type == YAML_MAPPING_END_EVENT)
            return merge(l, ret->value, &merged, err);
        if (read_node(l, &key_event, &key, err) < 0 || next_event(l, &value_event, err) < 0 ||
            read_node(l, &value_event, &value, err) < 0)
            return -1;
        if (key.is_merge && merged.value)
            return error_at(err, ERR_INVALID, key.place, "duplicate key '<<'");
        if (key.is_merge) {
            merged = value;
            value.value = NULL;
        } else if (add_member(l, ret->value, &key, &value, err) < 0) {
            return -1;
        }
    }
}

static int read_content(struct loader *l, const yaml_event_t *event, struct node *ret,
                        struct error *err)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return read_alias(l, event, &ret->value, err);
    case YAML_SCALAR_EVENT:
        return read_scalar(l, event, ret, err);
    case YAML_SEQUENCE_START_EVENT:
        return read_sequence(l, event, ret, err);
    case YAML_MAPPING_START_EVENT:
        return read_mapping(l, event, ret, err);
    default:
        return error_at(err, ERR_INTERNAL, ret->place, "event %d of libyaml is not expected here",
                        (int)event->type);
    }
}

static int read_node(struct loader *l, const yaml_event_t *event, struct node *ret,
                     struct error *err)
{
    CLEANUP(node) struct node node = {.place = place_of(l, event->start_mark)};

    if (++l->nodes > DOC_NODES_MAX) {
        return error_at(err, ERR_LIMIT, node.place, "more than %d values", (int)DOC_NODES_MAX);
    }
    if (++l->depth > DOC_DEPTH_MAX) {
        return error_at(err, ERR_LIMIT, node.place, "nested more than %d deep", (int)DOC_DEPTH_MAX);
    }
    if (read_content(l, event, &node, err) < 0)
        return -1;
    l->depth--;
    if (json_is_object(node.value) || json_is_array(node.value)) {
        if (doc_note_container(l->doc, node.value, node.place, err) < 0)
            return -1;
    }
    if (keep_anchor(l, event, node.value, err) < 0)
        return -1;
    *ret = node;
    node.value = NULL;
    return 0;
}

/* The list grows by doubling: a stream may hold a hundred thousand documents. */
static int add_doc(struct docs *docs, struct doc *take_doc, struct error *err)
{
    if ((docs->count & (docs->count - 1)) == 0) { /* full at 0, 1, 2, 4, 8, … */
        size_t capacity = docs->count ? docs->count * 2 : 1;
        struct doc **grown = reallocarray(docs->items, capacity, sizeof(struct doc *));
        if (!grown) {
            doc_free(take_doc);
            return error_no_memory(err);
        }
        docs->items = grown;
    }
    docs->items[docs->count++] = take_doc;
    return 0;
}

static int read_document(struct loader *l, struct docs *docs, struct error *err)
{
    CLEANUP(event) yaml_event_t event = {0};
    CLEANUP(event) yaml_event_t end = {0};
    CLEANUP(node) struct node node = {0};

    l->doc = doc_new(l->file);
    if (!l->doc)
        return error_no_memory(err);
    l->depth = 0;
    drop_anchors(l);
    if (next_event(l, &event, err) < 0 || read_node(l, &event, &node, err) < 0 ||
        next_event(l, &end, err) < 0)
        return -1;
    if (node.is_empty && !(l->flags & DOC_KEEP_EMPTY)) {
        doc_free(TAKE(l->doc));
        return 0;
    }
    if (!json_is_object(node.value) && !json_is_array(node.value)) {
        if (doc_note_container(l->doc, node.value, node.place, err) < 0)
            return -1;
    }
    doc_set_root(l->doc, TAKE(node.value));
    return add_doc(docs, TAKE(l->doc), err);
}

static int read_stream(struct loader *l, struct docs *docs, struct error *err)
{
    for (;;) {
        CLEANUP(event) yaml_event_t event = {0};
        if (next_event(l, &event, err) < 0)
            return -1;
        if (event.type == YAML_STREAM_END_EVENT)
            return 0;
        if (event.type == YAML_DOCUMENT_START_EVENT && read_document(l, docs, err) < 0)
            return -1;
    }
}

int yaml_parse_with(const char *file, struct str text, unsigned flags, struct docs *ret,
                    struct error *err)
{
    struct loader l = {.file = file, .text = text, .flags = flags};
    CLEANUP(docs) struct docs docs = {0};

    if (text.len > DOC_BYTES_MAX) {
        return error_at(err, ERR_LIMIT, (struct place){file, 0, 0},
                        "%zu bytes of YAML are more than %d", text.len, (int)DOC_BYTES_MAX);
    }
    if (!yaml_parser_initialize(&l.parser))
        return error_no_memory(err);
    yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&l.parser, (const unsigned char *)(text.ptr ? text.ptr : ""),
                                 text.len);
    int result = read_stream(&l, &docs, err);
    drop_anchors(&l);
    doc_free(l.doc);
    yaml_parser_delete(&l.parser);
    if (result < 0)
        return -1;
    *ret = docs;
    docs = (struct docs){0};
    return 0;
}

int yaml_parse(const char *file, struct str text, struct docs *ret, struct error *err)
{
    return yaml_parse_with(file, text, 0, ret, err);
}

int yaml_parse_one(const char *file, struct str text, struct doc **ret, struct error *err)
{
    CLEANUP(docs) struct docs docs = {0};

    if (yaml_parse(file, text, &docs, err) < 0)
        return -1;
    if (docs.count == 0) {
        return error_at(err, ERR_INVALID, (struct place){file, 1, 1},
                        "expected one YAML document, found none");
    }
    if (docs.count > 1) {
        return error_at(err, ERR_INVALID, doc_place(docs.items[1], doc_root(docs.items[1])),
                        "expected one YAML document, found a second");
    }
    *ret = TAKE(docs.items[0]);
    docs.count = 0;
    return 0;
}

int yaml_read_file(int dir_fd, const char *path, struct docs *ret, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(DOC_BYTES_MAX);

    if (fs_read_at(dir_fd, path, &text, err) < 0)
        return -1;
    return yaml_parse(path, buf_str(&text), ret, err);
}
