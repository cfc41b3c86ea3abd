/* cluster/api/patch.c - see patch.h. */
#include "cluster/api/patch.h"

/* --- RFC 7386 --- */

/* Merges into `target`, which is ours alone. */
static int merge_into(json_t *target, const json_t *patch)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)patch, key, value)
    {
        json_t *at = json_object_get(target, key);
        if (json_is_null(value)) {
            (void)json_object_del(target, key); /* may be absent */
        } else if (json_is_object(value)) {
            if (!json_is_object(at)) {
                if (json_object_set_new(target, key, json_object()) < 0)
                    return -1;
                at = json_object_get(target, key);
            }
            if (merge_into(at, value) < 0)
                return -1;
        } else if (json_object_set_new(target, key, json_deep_copy(value)) < 0) {
            return -1;
        }
    }
    return 0;
}

json_t *patch_merge(const json_t *target, const json_t *patch)
{
    if (!json_is_object(patch))
        return json_deep_copy(patch);
    CLEANUP(json) json_t *result = json_is_object(target) ? json_deep_copy(target) : json_object();
    return result && merge_into(result, patch) == 0 ? TAKE(result) : NULL;
}

/* --- RFC 6901 pointers --- */

enum { POINTER_TOKEN_MAX = 1 << 16 };

/* Takes the next "/token" off *rest, unescaped. False at the end, or if it is malformed (*ret_bad).
 */
static bool next_token(struct str *rest, struct buf *token, bool *ret_bad)
{
    buf_clear(token);
    if (rest->len == 0)
        return false;
    *ret_bad = rest->ptr[0] != '/';
    *rest = str_skip(*rest, 1);
    while (rest->len > 0 && rest->ptr[0] != '/' && !*ret_bad) {
        char c = rest->ptr[0];
        if (c == '~') {
            *ret_bad = rest->len < 2 || (rest->ptr[1] != '0' && rest->ptr[1] != '1');
            if (*ret_bad)
                break;
            c = rest->ptr[1] == '0' ? '~' : '/';
            *rest = str_skip(*rest, 1);
        }
        buf_add_char(token, c);
        *rest = str_skip(*rest, 1);
    }
    return !*ret_bad;
}

/* An array index without leading zeros; "-" is the end if allowed. */
static bool read_index(const char *token, size_t count, bool may_end, size_t *ret)
{
    uint64_t number;

    if (may_end && strcmp(token, "-") == 0) {
        *ret = count;
        return true;
    }
    if ((token[0] == '0' && token[1]) || !str_to_u64(str_of(token), &number))
        return false;
    *ret = (size_t)number;
    return number < count || (may_end && number == count);
}

static json_t *child(json_t *parent, const char *token)
{
    size_t index;

    if (json_is_object(parent))
        return json_object_get(parent, token);
    if (json_is_array(parent) && read_index(token, json_array_size(parent), false, &index))
        return json_array_get(parent, index);
    return NULL;
}

/* The parent of what `pointer` names, and the last token. */
static json_t *find_parent(json_t *root, struct str pointer, struct buf *token, struct error *err)
{
    json_t *at = root;
    bool is_bad = false;
    struct str rest = pointer;

    while (next_token(&rest, token, &is_bad)) {
        if (rest.len == 0)
            return at;
        json_t *next = child(at, buf_text(token));
        if (!next) {
            (void)error_set(err, ERR_CONFLICT, "the path '%.*s' does not exist", STR_ARG(pointer));
            return NULL;
        }
        at = next;
    }
    if (is_bad)
        (void)error_set(err, ERR_INVALID, "'%.*s' is no JSON pointer", STR_ARG(pointer));
    return NULL;
}

/* --- RFC 6902 --- */

static int missing(struct str pointer, struct error *err)
{
    return error_set(err, ERR_CONFLICT, "the path '%.*s' does not exist", STR_ARG(pointer));
}

static json_t *find_value(json_t *root, struct str pointer, struct error *err)
{
    CLEANUP(buf) struct buf token = BUF_INIT(POINTER_TOKEN_MAX);

    if (pointer.len == 0)
        return root;
    json_t *parent = find_parent(root, pointer, &token, err);
    json_t *value = parent ? child(parent, buf_text(&token)) : NULL;
    if (parent && !value)
        (void)missing(pointer, err);
    return value;
}

static int add_value(json_t **root, struct str pointer, json_t *take_value, struct error *err)
{
    CLEANUP(json) json_t *value = take_value;
    CLEANUP(buf) struct buf token = BUF_INIT(POINTER_TOKEN_MAX);
    size_t index;

    if (!value)
        return error_no_memory(err);
    if (pointer.len == 0) {
        json_decref(*root);
        *root = TAKE(value);
        return 0;
    }
    json_t *parent = find_parent(*root, pointer, &token, err);
    if (!parent)
        return -1;
    if (json_is_object(parent))
        return json_object_set(parent, buf_text(&token), value) < 0 ? error_no_memory(err) : 0;
    if (!json_is_array(parent) ||
        !read_index(buf_text(&token), json_array_size(parent), true, &index))
        return missing(pointer, err);
    return json_array_insert(parent, index, value) < 0 ? error_no_memory(err) : 0;
}

static int remove_value(json_t *root, struct str pointer, struct error *err)
{
    CLEANUP(buf) struct buf token = BUF_INIT(POINTER_TOKEN_MAX);
    size_t index;

    if (pointer.len == 0)
        return error_set(err, ERR_CONFLICT, "the whole document cannot be removed");
    json_t *parent = find_parent(root, pointer, &token, err);
    if (!parent)
        return -1;
    if (json_is_object(parent))
        return json_object_del(parent, buf_text(&token)) < 0 ? missing(pointer, err) : 0;
    if (!json_is_array(parent) ||
        !read_index(buf_text(&token), json_array_size(parent), false, &index))
        return missing(pointer, err);
    return json_array_remove(parent, index);
}

static int replace_value(json_t **root, struct str pointer, json_t *take_value, struct error *err)
{
    CLEANUP(json) json_t *value = take_value;
    CLEANUP(buf) struct buf token = BUF_INIT(POINTER_TOKEN_MAX);
    size_t index;

    if (!value)
        return error_no_memory(err);
    if (pointer.len == 0)
        return add_value(root, pointer, TAKE(value), err);
    json_t *parent = find_parent(*root, pointer, &token, err);
    if (!parent)
        return -1;
    if (!child(parent, buf_text(&token)))
        return missing(pointer, err);
    if (json_is_object(parent))
        return json_object_set(parent, buf_text(&token), value) < 0 ? error_no_memory(err) : 0;
    (void)read_index(buf_text(&token), json_array_size(parent), false,
                     &index); /* child() found it */
    return json_array_set(parent, index, value) < 0 ? error_no_memory(err) : 0;
}

/* Numbers are equal by value (RFC 6902, section 4.6). */
static bool values_equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

static int move_value(json_t **root, struct str from, struct str path, bool keeps,
                      struct error *err)
{
    bool into_itself = str_starts(path, from) && path.len > from.len && path.ptr[from.len] == '/';
    json_t *value = find_value(*root, from, err);

    if (!value)
        return -1;
    if (keeps)
        return add_value(root, path, json_deep_copy(value), err);
    if (into_itself)
        return error_set(err, ERR_CONFLICT, "'%.*s' cannot move into itself", STR_ARG(from));
    CLEANUP(json) json_t *moved = json_incref(value);
    if (str_equal(from, path))
        return 0;
    if (remove_value(*root, from, err) < 0)
        return -1;
    return add_value(root, path, TAKE(moved), err);
}

static bool text_member(const json_t *operation, const char *key, struct str *ret)
{
    const json_t *value = json_object_get(operation, key);

    if (!json_is_string(value))
        return false;
    *ret = str_slice(json_string_value(value), json_string_length(value));
    return true;
}

static int apply_operation(json_t **root, const json_t *operation, struct error *err)
{
    json_t *value = json_object_get(operation, "value");
    struct str op, path, from;

    if (!text_member(operation, "op", &op))
        return error_set(err, ERR_INVALID, "an operation needs a member 'op'");
    if (!text_member(operation, "path", &path))
        return error_set(err, ERR_INVALID, "an operation needs a member 'path'");
    if (str_is(op, "remove"))
        return remove_value(*root, path, err);
    if (str_is(op, "move") || str_is(op, "copy")) {
        if (!text_member(operation, "from", &from))
            return error_set(err, ERR_INVALID, "'%.*s' needs a member 'from'", STR_ARG(op));
        return move_value(root, from, path, str_is(op, "copy"), err);
    }
    if (!str_is(op, "add") && !str_is(op, "replace") && !str_is(op, "test"))
        return error_set(err, ERR_INVALID, "unknown operation '%.*s'", STR_ARG(op));
    if (!value)
        return error_set(err, ERR_INVALID, "'%.*s' needs a member 'value'", STR_ARG(op));
    if (str_is(op, "add"))
        return add_value(root, path, json_deep_copy(value), err);
    if (str_is(op, "replace"))
        return replace_value(root, path, json_deep_copy(value), err);
    json_t *found = find_value(*root, path, err);
    if (!found)
        return -1;
    if (!values_equal(found, value))
        return error_set(err, ERR_CONFLICT, "testing value %.*s failed", STR_ARG(path));
    return 0;
}

int patch_json(const json_t *target, const json_t *patch, json_t **ret, struct error *err)
{
    CLEANUP(json) json_t *root = json_deep_copy(target);

    if (!json_is_array(patch))
        return error_set(err, ERR_INVALID, "a JSON patch must be an array of operations");
    if (json_array_size(patch) > PATCH_OPERATIONS_MAX)
        return error_set(err, ERR_LIMIT, "a patch may have %d operations", PATCH_OPERATIONS_MAX);
    if (!root)
        return error_no_memory(err);
    for (size_t i = 0; i < json_array_size(patch); i++) {
        if (apply_operation(&root, json_array_get(patch, i), err) < 0)
            return -1;
    }
    *ret = TAKE(root);
    return 0;
}
