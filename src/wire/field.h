/* wire/field.h - reading the fields of a document that a person wrote: each slip becomes a fault at
 * its place, and the reader goes on, so that all are reported at once. */
#pragma once
#include "wire/doc.h"

struct fields {
    const struct doc *doc;     /* borrowed */
    struct error_list *faults; /* borrowed */
};

const char *field_type_name(const json_t *value); /* "a map", "a list", "text", "a number", … */

/* The value under `key` if it has that type; NULL if absent or empty, or after "expected a map in
 * 'key', got text". */
json_t *field_get(const struct fields *f, const json_t *object, const char *key, json_type type);
const char *field_text(const struct fields *f, const json_t *object, const char *key);
/* The same for what must be there: "expected 'key' in <what>". */
json_t *field_need(const struct fields *f, const json_t *object, const char *key, json_type type,
                   const char *what);
const char *field_need_text(const struct fields *f, const json_t *object, const char *key,
                            const char *what);
/* Item `index` of an array if it is an object: "expected a map as an item of <what>". */
json_t *field_item(const struct fields *f, const json_t *array, size_t index, const char *what);
/* A whole number from `least` to `most`; `otherwise` if absent or wrong. */
int64_t field_integer(const struct fields *f, const json_t *object, const char *key, int64_t least,
                      int64_t most, int64_t otherwise);
/* "10m" → milliseconds. */
int64_t field_duration_ms(const struct fields *f, const json_t *object, const char *key,
                          int64_t otherwise);
/* One of `words` (NULL-ended): its index; -1 if absent or after a fault that lists them. */
int field_word(const struct fields *f, const json_t *object, const char *key,
               const char *const *words);
/* A DNS label (RFC 1123): at most 63 lower-case letters, digits and '-'. */
bool field_is_label(struct str s);
void field_check_label(const struct fields *f, const json_t *object, const char *key,
                       const char *text); /* NULL is let be */
/* "'x' stands twice in <what>" for the `name` of item `index` of an array of objects. */
void field_check_unique(const struct fields *f, const json_t *array, size_t index,
                        const char *what);
/* Every value of the map is text: "…; write it in quotes". */
void field_check_texts(const struct fields *f, const json_t *map, const char *what);
