/* wire/doc.h - a document that a person wrote (YAML or TOML): its tree, and the place of each
 * value.
 *
 * The tree is a json_t. Places are kept beside it, found by (container, key or index). Loaders are
 * strict: duplicate keys, unknown tags, tabs for indentation, and anchors that would expand beyond
 * DOC_NODES_MAX are errors at file:line:column. Plain scalars of YAML follow the rules of
 * Kubernetes (YAML 1.1 as its Go library reads it: true and false in three spellings; ~, null or
 * nothing; 0x, 0b, 0o and a leading 0 are integers, so 0644 is 420; 1_000 is 1000; integers beyond
 * 64 bits are reals), with one difference: yes, no, on, off, y and n are text, as in YAML 1.2, and
 * yaml_write() quotes them so that nobody reads them otherwise. Quoted is always text. "\0" within
 * text is refused (a C string would be cut there) unless DOC_ALLOW_NUL. */
#pragma once
#include "wire/json.h"

enum { DOC_NODES_MAX = 200000, DOC_DEPTH_MAX = 100, DOC_BYTES_MAX = 16 << 20 };

struct doc;

json_t *doc_root(const struct doc *doc); /* borrowed */
const char *doc_file(const struct doc *doc);
/* Place of the value under `key` (of an object) or of item `index` (of an array); of the container
 * itself where it is unknown. `doc_key_place`: of the key's own text. */
struct place doc_place_key(const struct doc *doc, const json_t *object, const char *key);
struct place doc_key_place(const struct doc *doc, const json_t *object, const char *key);
struct place doc_place_item(const struct doc *doc, const json_t *array, size_t index);
struct place doc_place(const struct doc *doc, const json_t *container); /* of the container */
void doc_free(struct doc *doc);
DEFINE_CLEANUP(doc, struct doc *, doc_free)

struct docs {           /* a YAML stream */
    struct doc **items; /* owned */
    size_t count;
};
void docs_done(struct docs *docs);
DEFINE_CLEANUP_VALUE(docs, struct docs, docs_done)

/* All documents of a YAML stream (empty documents are left out). */
NODISCARD int yaml_parse(const char *file, struct str text, struct docs *ret, struct error *err);
enum doc_flags {
    DOC_KEEP_EMPTY = 1 << 0, /* an empty document is null, not left out */
    DOC_ALLOW_NUL = 1 << 1,  /* "\\0" within values: read them with json_string_length() */
};
NODISCARD int yaml_parse_with(const char *file, struct str text, unsigned flags, struct docs *ret,
                              struct error *err);
/* Exactly one document. */
NODISCARD int yaml_parse_one(const char *file, struct str text, struct doc **ret,
                             struct error *err);
NODISCARD int yaml_read_file(int dir_fd, const char *path, struct docs *ret, struct error *err);
/* Block style, keys in insertion order, every string quoted that would read as something else. */
NODISCARD int yaml_write(const json_t *root, struct buf *out, struct error *err);

/* TOML 1.0. Dates and times become strings; inf and nan, which JSON has not, are INVALID. */
NODISCARD int toml_parse(const char *file, struct str text, struct doc **ret, struct error *err);
NODISCARD int toml_parse_with(const char *file, struct str text, unsigned flags, struct doc **ret,
                              struct error *err);
NODISCARD int toml_read_file(int dir_fd, const char *path, struct doc **ret, struct error *err);
/* Tables and arrays of tables as CNB writes them; values in insertion order, those of a table
 * before its tables. Null members are left out; a null within an array is INVALID. */
NODISCARD int toml_write(const json_t *root, struct buf *out, struct error *err);

/* Checks a table of known keys: adds a fault at each key of `object` that is not in `known`
 * (NULL-ended), "unknown field 'x' in <what>; did you mean 'y'?". */
void doc_check_keys(const struct doc *doc, const json_t *object, const char *what,
                    const char *const *known, struct error_list *faults);
/* The same for one key, which is there: for callers who have more to say about some. */
void doc_check_key(const struct doc *doc, const json_t *object, const char *key, const char *what,
                   const char *const *known, struct error_list *faults);
