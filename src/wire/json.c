/* wire/json.c - parsing and paths; see wire/json.h. Writing is in json_write.c. */
#include "wire/json.h"

#include <errno.h>
#include <fcntl.h>

#include "base/fs.h"

static bool is_number_char(char c)
{
    return c && strchr("0123456789+-.eE", c);
}

/* Jansson gives where it stopped reading: the end of the wrong token. People want its start, so the
 * text of the token (which jansson quotes when it is short) is stepped back over. */
static size_t token_start(const char *text, const json_error_t *fault, size_t text_len)
{
    size_t end = fault->position > 0 ? (size_t)fault->position : 0;
    const char *near = strstr(fault->text, " near '");

    if (end > text_len)
        end = text_len;
    if (near) {
        size_t len = strlen(near + strlen(" near '"));
        len = len > 0 ? len - 1 : 0; /* the closing quote */
        return len <= end ? end - len : 0;
    }
    while (end > 1 && is_number_char(text[end - 1]) && is_number_char(text[end - 2]))
        end--; /* a long number: back to its first digit */
    if (end == 0 || text[end - 1] != '"')
        return end > 0 && text_len > 0 && fault->position > 0 ? end - 1 : end;
    for (size_t at = end - 1; at > 0; at--) { /* a long string: back to the quote that opened it */
        size_t slashes = 0;
        if (text[at - 1] != '"')
            continue;
        while (slashes + 1 < at && text[at - 2 - slashes] == '\\')
            slashes++;
        if (slashes % 2 == 0)
            return at - 1;
    }
    return end - 1;
}

/* Columns count characters, not bytes. */
static struct place place_of_offset(const char *name, struct str text, size_t offset)
{
    struct place place = {name, 1, 1};

    for (size_t i = 0; i < offset && i < text.len; i++) {
        if (text.ptr[i] == '\n') {
            place.line++;
            place.column = 1;
        } else if (((unsigned char)text.ptr[i] & 0xC0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

/* `number` is errno: jansson itself takes most failed allocations for errors of the text. */
static int parse_failed(const char *name, struct str text, const json_error_t *fault, int number,
                        struct error *err)
{
    enum json_error_code code = json_error_code(fault);
    struct place place = place_of_offset(name, text, token_start(text.ptr, fault, text.len));

    if (code == json_error_out_of_memory || number == ENOMEM)
        return error_no_memory(err);
    if (code == json_error_stack_overflow)
        return error_at(err, ERR_LIMIT, place, "nested more than 2048 deep");
    if (code == json_error_null_character)
        return error_at(err, ERR_INVALID, place, "text with a NUL character");
    if (code == json_error_numeric_overflow)
        return error_at(err, ERR_INVALID, place, "number beyond 64 bits");
    return error_at(err, ERR_INVALID, place, "%s", fault->text);
}

static int parse_with(const char *name, struct str text, size_t flags, json_t **ret_root,
                      struct error *err)
{
    json_error_t fault;

    if (text.len > JSON_BYTES_MAX) {
        return error_at(err, ERR_LIMIT, (struct place){name, 0, 0},
                        "%zu bytes of JSON are more than %d", text.len, (int)JSON_BYTES_MAX);
    }
    if (!text.ptr)
        text = STR("");
    errno = 0;
    json_t *root =
        json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | flags, &fault);
    if (!root)
        return parse_failed(name, text, &fault, errno, err);
    *ret_root = root;
    return 0;
}

int json_parse(const char *name, struct str text, json_t **ret_root, struct error *err)
{
    return parse_with(name, text, 0, ret_root, err);
}

int json_parse_with_nul(const char *name, struct str text, json_t **ret_root, struct error *err)
{
    return parse_with(name, text, JSON_ALLOW_NUL, ret_root, err);
}

int json_read_file(int dir_fd, const char *path, json_t **ret_root, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(JSON_BYTES_MAX);

    if (fs_read_at(dir_fd, path, &text, err) < 0)
        return -1;
    return json_parse(path, buf_str(&text), ret_root, err);
}

/* One step of a path: a key, or "[n]"; *path is moved behind it. NULL at a step that leads nowhere.
 */
static json_t *step(const json_t *from, const char **path)
{
    const char *at = *path;

    if (*at == '[') {
        const char *end = strchr(at, ']');
        uint64_t index;
        if (!end || !str_to_u64(str_slice(at + 1, (size_t)(end - at - 1)), &index))
            return NULL;
        *path = end[1] == '.' ? end + 2 : end + 1;
        return json_array_get(from, index);
    }
    size_t len = strcspn(at, ".[");
    *path = at[len] == '.' ? at + len + 1 : at + len;
    return json_object_getn(from, at, len);
}

json_t *json_at(const json_t *root, const char *path)
{
    json_t *at = (json_t *)root; /* borrowed out, as jansson's own getters do */

    while (at && *path)
        at = step(at, &path);
    return at;
}

const char *json_str_at(const json_t *root, const char *path)
{
    return json_string_value(json_at(root, path));
}

int64_t json_int_at(const json_t *root, const char *path, int64_t otherwise)
{
    const json_t *value = json_at(root, path);

    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool json_bool_at(const json_t *root, const char *path, bool otherwise)
{
    const json_t *value = json_at(root, path);

    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

int json_set_at(json_t *root, const char *path, json_t *take_value, struct error *err)
{
    CLEANUP(json) json_t *value = take_value;
    struct str rest = str_of(path);

    if (!value)
        return error_no_memory(err);
    for (;;) {
        struct str key = str_cut(&rest, '.');
        if (!json_is_object(root))
            return error_set(err, ERR_INVALID, "cannot set '%s': not an object on the way", path);
        if (!rest.ptr) {
            if (json_object_setn_new(root, key.ptr, key.len, TAKE(value)) < 0)
                return error_no_memory(err);
            return 0;
        }
        json_t *next = json_object_getn(root, key.ptr, key.len);
        if (!next) {
            if (json_object_setn_new(root, key.ptr, key.len, json_object()) < 0)
                return error_no_memory(err);
            next = json_object_getn(root, key.ptr, key.len);
        }
        root = next;
    }
}
