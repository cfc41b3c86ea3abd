/* wire/doc_internal.h - how the loaders (yaml.c, toml.cc) fill a document. */
#pragma once
#include "wire/doc.h"

struct doc *doc_new(const char *file); /* NULL without memory */
void doc_set_root(struct doc *doc, json_t *take_root);
/* Remember where a value, a key and a container stand. -1 without memory. */
NODISCARD int doc_note_key(struct doc *doc, const json_t *object, struct str key,
                           struct place key_place, struct place value_place, struct error *err);
NODISCARD int doc_note_item(struct doc *doc, const json_t *array, size_t index,
                            struct place value_place, struct error *err);
NODISCARD int doc_note_container(struct doc *doc, const json_t *container, struct place place,
                                 struct error *err);
/* A copy of `value` within the same document, all places with it (an alias of YAML). Adds the
 * number of its nodes to *nodes; LIMIT beyond DOC_NODES_MAX. */
NODISCARD int doc_copy(struct doc *doc, const json_t *value, size_t *nodes, json_t **ret_copy,
                       struct error *err);
