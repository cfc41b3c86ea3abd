/* oci/layer_entry.c - the entries of a layer that is being made: their order, parents, further
 * names. */
#include "oci/layer_internal.h"

#include <limits.h>

void layer_entry_done(struct layer_entry *entry)
{
    free(entry->path);
    free(entry->link);
    free(entry->bytes);
    free(entry->source);
    *entry = (struct layer_entry){0};
}

int layer_push(struct layer_writer *w, struct layer_entry *take_entry, struct error *err)
{
    if (w->count >= LAYER_ENTRIES_MAX) {
        layer_entry_done(take_entry);
        return error_set(err, ERR_LIMIT, "a layer of more than %d entries", LAYER_ENTRIES_MAX);
    }
    if (w->count == w->capacity) {
        size_t capacity = w->capacity ? w->capacity * 2 : 64;
        struct layer_entry *entries = reallocarray(w->entries, capacity, sizeof(*entries));
        if (!entries) {
            layer_entry_done(take_entry);
            return error_no_memory(err);
        }
        w->entries = entries;
        w->capacity = capacity;
    }
    take_entry->order = w->count;
    w->entries[w->count++] = *take_entry;
    *take_entry = (struct layer_entry){0};
    return 0;
}

int layer_clean_path(const char *path, char **ret, struct error *err)
{
    CLEANUP(buf) struct buf out = BUF_INIT(PATH_MAX);
    struct str rest = str_of(path);

    while (rest.ptr) {
        struct str part = str_cut(&rest, '/');
        if (part.len == 0 || str_is(part, "."))
            continue;
        if (str_is(part, ".."))
            return error_set(err, ERR_INVALID, "'..' in path '%.300s' of a layer", path);
        if (out.len > 0)
            buf_add_char(&out, '/');
        buf_add_str(&out, part);
    }
    if (buf_ok(&out, err) < 0)
        return error_wrap(err, "path of a layer");
    *ret = out.len > 0 ? buf_take(&out) : str_dup(STR(""));
    return *ret ? 0 : error_no_memory(err);
}

static int by_path(const void *a, const void *b)
{
    const struct layer_entry *x = a, *y = b;
    int order = strcmp(x->path, y->path);

    if (order != 0)
        return order;
    /* An implied parent comes before one that was given; of those given, the later last. */
    if (x->implied != y->implied)
        return x->implied ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

/* Of equal paths the last stays. */
static void sort_and_drop(struct layer_writer *w)
{
    size_t kept = 0;

    if (w->count == 0)
        return;
    qsort(w->entries, w->count, sizeof(*w->entries), by_path);
    for (size_t i = 0; i < w->count; i++) {
        if (i + 1 < w->count && strcmp(w->entries[i].path, w->entries[i + 1].path) == 0) {
            layer_entry_done(&w->entries[i]);
            continue;
        }
        if (kept != i) {
            w->entries[kept] = w->entries[i];
            w->entries[i] = (struct layer_entry){0};
        }
        kept++;
    }
    w->count = kept;
}

static int compare_path(const void *key, const void *entry)
{
    return strcmp(key, ((const struct layer_entry *)entry)->path);
}

/* `sorted` of the entries are in order; parents are appended behind them. */
static int add_parents_of(struct layer_writer *w, const char *path, size_t sorted,
                          struct error *err)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        CLEANUP(text) char *parent = str_dup(str_slice(path, (size_t)(slash - path)));
        if (!parent)
            return error_no_memory(err);
        const struct layer_entry *there =
            bsearch(parent, w->entries, sorted, sizeof(*w->entries), compare_path);
        if (there && there->kind != LAYER_DIR) {
            return error_set(err, ERR_INVALID, "layer: '/%s' is below '/%s', which is no folder",
                             path, parent);
        }
        if (there)
            continue;
        struct layer_entry entry = {
            .path = TAKE(parent), .kind = LAYER_DIR, .mode = 0755, .implied = true};
        if (layer_push(w, &entry, err) < 0)
            return -1;
    }
    return 0;
}

/* Same folder as the entry before: its parents are known. */
static bool same_parent(const char *a, const char *b)
{
    const char *x = strrchr(a, '/'), *y = strrchr(b, '/');
    return x && y && x - a == y - b && memcmp(a, b, (size_t)(x - a)) == 0;
}

static int add_parents(struct layer_writer *w, struct error *err)
{
    size_t sorted = w->count;

    for (size_t i = 0; i < sorted; i++) {
        if (i > 0 && same_parent(w->entries[i].path, w->entries[i - 1].path))
            continue;
        if (add_parents_of(w, w->entries[i].path, sorted, err) < 0)
            return -1;
    }
    if (w->count > sorted)
        sort_and_drop(w);
    return 0;
}

static int by_inode(const void *a, const void *b)
{
    const struct layer_entry *x = *(const struct layer_entry *const *)a;
    const struct layer_entry *y = *(const struct layer_entry *const *)b;

    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    if (x->inode != y->inode)
        return x->inode < y->inode ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* Of the names of one file the first in the archive holds the contents. */
static int make_hard_links(struct layer_writer *w, struct error *err)
{
    size_t count = 0;

    for (size_t i = 0; i < w->count; i++)
        count += w->entries[i].linked;
    if (count < 2)
        return 0;
    struct layer_entry **linked = calloc(count, sizeof(struct layer_entry *));
    if (!linked)
        return error_no_memory(err);
    count = 0;
    for (size_t i = 0; i < w->count; i++)
        if (w->entries[i].linked)
            linked[count++] = &w->entries[i];
    qsort(linked, count, sizeof(struct layer_entry *), by_inode);
    int result = 0;
    const struct layer_entry *first = linked[0];
    for (size_t i = 1; i < count && result == 0; i++) {
        struct layer_entry *entry = linked[i];
        if (entry->device != first->device || entry->inode != first->inode) {
            first = entry;
            continue;
        }
        entry->kind = LAYER_HARD_LINK;
        entry->link = str_dup(str_of(first->path));
        if (!entry->link)
            result = error_no_memory(err);
    }
    free(linked);
    return result;
}

int layer_arrange(struct layer_writer *w, struct error *err)
{
    sort_and_drop(w);
    if (add_parents(w, err) < 0)
        return -1;
    return make_hard_links(w, err);
}
