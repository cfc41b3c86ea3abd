/* wire/json.h - JSON over jansson, with limits, and the few helpers that every stage needs.
 *
 * json_t (jansson) is the one tree type of the code base: JSON, YAML and TOML all load into it.
 * Jansson's rules of ownership apply: functions named json_…_new and out parameters give a new
 * reference, json_get… borrow. Objects keep insertion order when dumped. */
#pragma once
#include <jansson.h>

#include "base/buf.h"

enum { JSON_BYTES_MAX = 64 << 20 }; /* bytes: an npm lock file of a very large app is 20 MB */

DEFINE_CLEANUP(json, json_t *, json_decref) /* `CLEANUP(json) json_t *root = NULL;` */

/* One document, duplicate keys and "\u0000" refused, integers within 64 bits, nesting limited by
 * jansson (2048). `name` is for the place. INVALID at name:line:column; LIMIT above JSON_BYTES_MAX.
 */
NODISCARD int json_parse(const char *name, struct str text, json_t **ret_root, struct error *err);
/* The same, but "\u0000" is allowed within string values: they are to be read with
 * json_string_length(). */
NODISCARD int json_parse_with_nul(const char *name, struct str text, json_t **ret_root,
                                  struct error *err);
NODISCARD int json_read_file(int dir_fd, const char *path, json_t **ret_root, struct error *err);
/* Appended to `out`. Compact, in insertion order, or with `sorted` keys (for bytes that are
 * hashed). */
NODISCARD int json_write(const json_t *root, bool sorted, struct buf *out, struct error *err);
/* Indented by two, with an end of line: for people. */
NODISCARD int json_write_pretty(const json_t *root, struct buf *out, struct error *err);

/* By a path of keys separated by '.', with [n] for array items: "spec.ports[0].port". Borrowed;
 * NULL if absent or of another type on the way. Keys that hold a dot: use json_object_get(). */
json_t *json_at(const json_t *root, const char *path);
const char *json_str_at(const json_t *root, const char *path); /* NULL if absent or no string */
int64_t json_int_at(const json_t *root, const char *path, int64_t otherwise);
bool json_bool_at(const json_t *root, const char *path, bool otherwise);
/* Set by such a path (keys only), making objects on the way. Consumes take_value. -1 without
 * memory. */
NODISCARD int json_set_at(json_t *root, const char *path, json_t *take_value, struct error *err);

/* RFC 8259 string literal with its quotes. Bytes that are no UTF-8 become U+FFFD. */
void json_add_quoted(struct buf *out, struct str text);
