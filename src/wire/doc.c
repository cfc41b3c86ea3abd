/* wire/doc.c - the tree of a document and the places of its values; see wire/doc.h.
 *
 * Places stand in one open hash table, found by the container's address and a hash of the key or
 * index. Only the hash of a key is kept: were two keys of one container to share it, one place
 * would be wrong. */
#include "wire/doc_internal.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 8, SUGGEST_LEN_MAX = 64 };

struct slot {
    const json_t *container; /* borrowed: the doc's; NULL: free */
    uint64_t name;           /* hash of the key or index; 0: the container itself */
    uint32_t line, column;
    uint32_t key_line, key_column;
};

struct doc {
    char *file;         /* owned */
    json_t *root;       /* owned */
    struct slot *slots; /* owned; slot_count is a power of two */
    size_t slot_count;
    size_t used;
};

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0x9E3779B97F4A7C15U;
    return h ^ (h >> 29);
}

static uint64_t name_of_key(struct str key)
{
    uint64_t h = 0xCBF29CE484222325U; /* FNV-1a */

    for (size_t i = 0; i < key.len; i++)
        h = (h ^ (unsigned char)key.ptr[i]) * 0x100000001B3U;
    return h | 1; /* never 0 */
}

static uint64_t name_of_index(size_t index)
{
    return ((uint64_t)index << 1) | 1;
}

/* The slot of that name, or the free one where it belongs. */
static struct slot *slot_find(struct slot *slots, size_t count, const json_t *container,
                              uint64_t name)
{
    size_t at = (size_t)mix((uint64_t)(uintptr_t)container + mix(name));

    for (;; at++) {
        struct slot *slot = &slots[at & (count - 1)];
        if (!slot->container || (slot->container == container && slot->name == name))
            return slot;
    }
}

static int grow(struct doc *doc, struct error *err)
{
    size_t count = doc->slot_count ? doc->slot_count * 2 : FIRST_SLOTS;
    struct slot *slots = calloc(count, sizeof *slots);

    if (!slots)
        return error_no_memory(err);
    for (size_t i = 0; i < doc->slot_count; i++) {
        const struct slot *old = &doc->slots[i];
        if (old->container)
            *slot_find(slots, count, old->container, old->name) = *old;
    }
    free(doc->slots);
    doc->slots = slots;
    doc->slot_count = count;
    return 0;
}

static int note(struct doc *doc, const json_t *container, uint64_t name, struct place key_place,
                struct place value_place, struct error *err)
{
    if (doc->used * 2 >= doc->slot_count && grow(doc, err) < 0)
        return -1;
    struct slot *slot = slot_find(doc->slots, doc->slot_count, container, name);
    if (!slot->container)
        doc->used++;
    *slot = (struct slot){container,          name,           value_place.line,
                          value_place.column, key_place.line, key_place.column};
    return 0;
}

static const struct slot *lookup(const struct doc *doc, const json_t *container, uint64_t name)
{
    const struct slot *slot = NULL;

    if (doc && container && doc->slot_count)
        slot = slot_find(doc->slots, doc->slot_count, container, name);
    return slot && slot->container ? slot : NULL;
}

struct doc *doc_new(const char *file)
{
    struct doc *doc = calloc(1, sizeof *doc);

    if (!doc)
        return NULL;
    doc->file = str_dup(str_of(file));
    if (!doc->file) {
        free(doc);
        return NULL;
    }
    return doc;
}

void doc_free(struct doc *doc)
{
    if (!doc)
        return;
    json_decref(doc->root);
    free(doc->slots);
    free(doc->file);
    free(doc);
}

void docs_done(struct docs *docs)
{
    for (size_t i = 0; i < docs->count; i++)
        doc_free(docs->items[i]);
    free(docs->items);
    *docs = (struct docs){0};
}

void doc_set_root(struct doc *doc, json_t *take_root)
{
    json_decref(doc->root);
    doc->root = take_root;
}

json_t *doc_root(const struct doc *doc)
{
    return doc->root;
}

const char *doc_file(const struct doc *doc)
{
    return doc->file;
}

int doc_note_key(struct doc *doc, const json_t *object, struct str key, struct place key_place,
                 struct place value_place, struct error *err)
{
    return note(doc, object, name_of_key(key), key_place, value_place, err);
}

int doc_note_item(struct doc *doc, const json_t *array, size_t index, struct place value_place,
                  struct error *err)
{
    return note(doc, array, name_of_index(index), value_place, value_place, err);
}

int doc_note_container(struct doc *doc, const json_t *container, struct place place,
                       struct error *err)
{
    return note(doc, container, 0, place, place, err);
}

struct place doc_place(const struct doc *doc, const json_t *container)
{
    const struct slot *slot = lookup(doc, container, 0);

    return slot ? (struct place){doc->file, slot->line, slot->column}
                : (struct place){doc ? doc->file : NULL, 0, 0};
}

struct place doc_place_key(const struct doc *doc, const json_t *object, const char *key)
{
    const struct slot *slot = lookup(doc, object, name_of_key(str_of(key)));

    return slot ? (struct place){doc->file, slot->line, slot->column} : doc_place(doc, object);
}

struct place doc_key_place(const struct doc *doc, const json_t *object, const char *key)
{
    const struct slot *slot = lookup(doc, object, name_of_key(str_of(key)));

    return slot ? (struct place){doc->file, slot->key_line, slot->key_column}
                : doc_place(doc, object);
}

struct place doc_place_item(const struct doc *doc, const json_t *array, size_t index)
{
    const struct slot *slot = lookup(doc, array, name_of_index(index));

    return slot ? (struct place){doc->file, slot->line, slot->column} : doc_place(doc, array);
}

static int copy_members(struct doc *doc, const json_t *from, json_t *to, size_t *nodes,
                        struct error *err)
{
    for (void *it = json_object_iter((json_t *)from); it;
         it = json_object_iter_next((json_t *)from, it)) {
        struct str key = {json_object_iter_key(it), json_object_iter_key_len(it)};
        const struct slot *slot = lookup(doc, from, name_of_key(key));
        struct place at = {doc->file, slot ? slot->line : 0, slot ? slot->column : 0};
        struct place key_at = {doc->file, slot ? slot->key_line : 0, slot ? slot->key_column : 0};
        json_t *copy;
        if (doc_copy(doc, json_object_iter_value(it), nodes, &copy, err) < 0)
            return -1;
        if (json_object_setn_new(to, key.ptr, key.len, copy) < 0)
            return error_no_memory(err);
        if (doc_note_key(doc, to, key, key_at, at, err) < 0)
            return -1;
    }
    return 0;
}

static int copy_items(struct doc *doc, const json_t *from, json_t *to, size_t *nodes,
                      struct error *err)
{
    for (size_t i = 0; i < json_array_size(from); i++) {
        json_t *copy;
        if (doc_copy(doc, json_array_get(from, i), nodes, &copy, err) < 0)
            return -1;
        if (json_array_append_new(to, copy) < 0)
            return error_no_memory(err);
        if (doc_note_item(doc, to, i, doc_place_item(doc, from, i), err) < 0)
            return -1;
    }
    return 0;
}

int doc_copy(struct doc *doc, const json_t *value, size_t *nodes, json_t **ret_copy,
             struct error *err)
{
    CLEANUP(json) json_t *copy = NULL;

    if (++*nodes > DOC_NODES_MAX)
        return error_set(err, ERR_LIMIT, "more than %d values", (int)DOC_NODES_MAX);
    if (json_is_object(value))
        copy = json_object();
    else if (json_is_array(value))
        copy = json_array();
    else
        copy = json_deep_copy(value);
    if (!copy)
        return error_no_memory(err);
    if (json_is_object(value) && copy_members(doc, value, copy, nodes, err) < 0)
        return -1;
    if (json_is_array(value) && copy_items(doc, value, copy, nodes, err) < 0)
        return -1;
    if ((json_is_object(copy) || json_is_array(copy)) &&
        doc_note_container(doc, copy, doc_place(doc, value), err) < 0)
        return -1;
    *ret_copy = TAKE(copy);
    return 0;
}

/* Levenshtein's distance; SUGGEST_LEN_MAX for texts that are too long to compare. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);
    size_t row[SUGGEST_LEN_MAX + 1];

    if (a_len >= SUGGEST_LEN_MAX || b_len >= SUGGEST_LEN_MAX)
        return SUGGEST_LEN_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = change < least ? change : least;
        }
    }
    return row[b_len];
}

static const char *nearest(const char *key, const char *const *known)
{
    size_t best =
        strlen(key) / 3 + 2; /* one slip in three letters, and a short word may have one */
    const char *found = NULL;

    for (size_t i = 0; known[i]; i++) {
        size_t len = strlen(known[i]);
        if (len >= 3 && strncmp(key, known[i], len) == 0)
            return known[i]; /* "environment" for "env" */
        size_t distance = edit_distance(key, known[i]);
        if (distance < best) {
            best = distance;
            found = known[i];
        }
    }
    return found;
}

static bool is_known(const char *key, const char *const *known)
{
    for (size_t i = 0; known[i]; i++) {
        if (strcmp(key, known[i]) == 0)
            return true;
    }
    return false;
}

void doc_check_key(const struct doc *doc, const json_t *object, const char *key, const char *what,
                   const char *const *known, struct error_list *faults)
{
    if (is_known(key, known))
        return;
    const char *instead = nearest(key, known);
    struct place place = doc_key_place(doc, object, key);
    if (instead)
        error_list_add(faults, ERR_INVALID, place, "unknown field '%s' in %s; did you mean '%s'?",
                       key, what, instead);
    else
        error_list_add(faults, ERR_INVALID, place, "unknown field '%s' in %s", key, what);
}

void doc_check_keys(const struct doc *doc, const json_t *object, const char *what,
                    const char *const *known, struct error_list *faults)
{
    for (void *it = json_object_iter((json_t *)object); it;
         it = json_object_iter_next((json_t *)object, it))
        doc_check_key(doc, object, json_object_iter_key(it), what, known, faults);
}
