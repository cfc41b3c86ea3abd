/* wire/json_write.c - json_t to text.
 *
 * Our own and not json_dumps(): jansson 2.14 writes 0.1 as 0.10000000000000001, which Kubernetes
 * would take for another quantity. Here a number is the shortest text that reads back as the same
 * number. */
#include "wire/json.h"

#include <stdlib.h>

#include "wire/wire_internal.h"

enum { WRITE_DEPTH_MAX = 2048 }; /* as deep as the parser goes */

struct writer {
    struct buf *out;
    bool sorted;
    bool pretty;
    unsigned depth;
};

static int write_value(struct writer *w, const json_t *value, struct error *err);

/* Length of the UTF-8 sequence at text[0], or 0 if it is not one (RFC 3629: no surrogates, no
 * overlong). */
size_t utf8_length(struct str text)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    size_t len = 0;

    if (text.len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        len = 2;
    else if ((p[0] & 0xF0) == 0xE0)
        len = 3;
    else if (p[0] >= 0xF0 && p[0] <= 0xF4)
        len = 4;
    if (len == 0 || text.len < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
        (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    return len;
}

static void add_escaped(struct buf *out, unsigned char c)
{
    static const char letters[] = "btnvfr"; /* 8 to 13; JSON has no \v */

    if (c == '"' || c == '\\') {
        buf_add_char(out, '\\');
        buf_add_char(out, (char)c);
    } else if (c >= '\b' && c <= '\r' && c != '\v') {
        buf_add_char(out, '\\');
        buf_add_char(out, letters[c - '\b']);
    } else {
        buf_addf(out, "\\u%04x", c);
    }
}

void json_add_quoted(struct buf *out, struct str text)
{
    size_t plain = 0; /* bytes before `i` that go out as they are */
    size_t i = 0;

    buf_add_char(out, '"');
    while (i < text.len) {
        unsigned char c = (unsigned char)text.ptr[i];
        size_t len = c < 0x80 ? 1 : utf8_length(str_skip(text, i));
        if (len > 0 && c >= ' ' && c != '"' && c != '\\' && c != 0x7F) {
            plain += len;
            i += len;
            continue;
        }
        buf_add(out, text.ptr + i - plain, plain);
        plain = 0;
        i++;
        if (len == 0)
            buf_add_text(out, "\xEF\xBF\xBD"); /* U+FFFD for a byte that is no UTF-8 */
        else
            add_escaped(out, c);
    }
    buf_add(out, text.ptr + i - plain, plain);
    buf_add_char(out, '"');
}

void number_add_real(struct buf *out, double value)
{
    char text[40];

    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value); /* fits: 17 digits and exponent */
        if (strtod(text, NULL) == value)
            break;
    }
    buf_add_text(out, text);
    if (!strpbrk(text, ".eEn")) /* still a real when read again */
        buf_add_text(out, ".0");
}

static void add_line(struct writer *w)
{
    if (!w->pretty)
        return;
    buf_add_char(w->out, '\n');
    for (unsigned i = 0; i < w->depth; i++)
        buf_add_text(w->out, "  ");
}

static int write_array(struct writer *w, const json_t *array, struct error *err)
{
    size_t count = json_array_size(array);

    buf_add_char(w->out, '[');
    w->depth++;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_char(w->out, ',');
        add_line(w);
        if (write_value(w, json_array_get(array, i), err) < 0)
            return -1;
    }
    w->depth--;
    if (count > 0)
        add_line(w);
    buf_add_char(w->out, ']');
    return 0;
}

struct member {
    struct str key;
    const json_t *value;
};

static int compare_members(const void *a, const void *b)
{
    return str_compare(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static int write_member(struct writer *w, struct member member, bool first, struct error *err)
{
    if (!first)
        buf_add_char(w->out, ',');
    add_line(w);
    json_add_quoted(w->out, member.key);
    buf_add_text(w->out, w->pretty ? ": " : ":");
    return write_value(w, member.value, err);
}

DEFINE_CLEANUP(members, struct member *, free)

static int write_sorted(struct writer *w, const json_t *object, struct error *err)
{
    size_t count = json_object_size(object);
    CLEANUP(members) struct member *members = calloc(count + 1, sizeof *members);
    size_t i = 0;

    if (!members)
        return error_no_memory(err);
    for (void *it = json_object_iter((json_t *)object); it;
         it = json_object_iter_next((json_t *)object, it)) {
        members[i++] = (struct member){
            str_slice(json_object_iter_key(it), json_object_iter_key_len(it)),
            json_object_iter_value(it),
        };
    }
    qsort(members, count, sizeof *members, compare_members);
    for (i = 0; i < count; i++) {
        if (write_member(w, members[i], i == 0, err) < 0)
            return -1;
    }
    return 0;
}

static int write_members(struct writer *w, const json_t *object, struct error *err)
{
    bool first = true;

    for (void *it = json_object_iter((json_t *)object); it;
         it = json_object_iter_next((json_t *)object, it)) {
        struct member member = {
            str_slice(json_object_iter_key(it), json_object_iter_key_len(it)),
            json_object_iter_value(it),
        };
        if (write_member(w, member, first, err) < 0)
            return -1;
        first = false;
    }
    return 0;
}

static int write_object(struct writer *w, const json_t *object, struct error *err)
{
    buf_add_char(w->out, '{');
    w->depth++;
    if ((w->sorted ? write_sorted(w, object, err) : write_members(w, object, err)) < 0)
        return -1;
    w->depth--;
    if (json_object_size(object) > 0)
        add_line(w);
    buf_add_char(w->out, '}');
    return 0;
}

static int write_value(struct writer *w, const json_t *value, struct error *err)
{
    if (!value)
        return error_set(err, ERR_INTERNAL, "cannot write a missing JSON value");
    if (w->depth >= WRITE_DEPTH_MAX)
        return error_set(err, ERR_LIMIT, "nested more than %d deep", (int)WRITE_DEPTH_MAX);
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return write_object(w, value, err);
    case JSON_ARRAY:
        return write_array(w, value, err);
    case JSON_STRING:
        json_add_quoted(w->out, str_slice(json_string_value(value), json_string_length(value)));
        return 0;
    case JSON_INTEGER:
        buf_addf(w->out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return 0;
    case JSON_REAL:
        number_add_real(w->out, json_real_value(value));
        return 0;
    case JSON_TRUE:
        buf_add_text(w->out, "true");
        return 0;
    case JSON_FALSE:
        buf_add_text(w->out, "false");
        return 0;
    case JSON_NULL:
        buf_add_text(w->out, "null");
        return 0;
    }
    return error_set(err, ERR_INTERNAL, "unknown type of JSON value");
}

int json_write(const json_t *root, bool sorted, struct buf *out, struct error *err)
{
    struct writer w = {.out = out, .sorted = sorted};

    if (write_value(&w, root, err) < 0)
        return -1;
    return buf_ok(out, err);
}

int json_write_pretty(const json_t *root, struct buf *out, struct error *err)
{
    struct writer w = {.out = out, .pretty = true};

    if (write_value(&w, root, err) < 0)
        return -1;
    buf_add_char(out, '\n');
    return buf_ok(out, err);
}
