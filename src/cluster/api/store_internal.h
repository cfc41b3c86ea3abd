/* cluster/api/store_internal.h - the parts of the store: objects, index, events, writer. Only
 * store*.c and object.c include this. */
#pragma once
#include "cluster/api/store.h"

/* --- object.c --- */

struct object {
    int refs;  /* all references */
    int users; /* those that are not the history's: with none left the tree is dropped, the text
                  stays */
    const struct resource *res;
    json_t *root; /* owned; NULL when dropped: parsed again on demand */
    char *text;   /* owned */
    size_t text_len;
    int64_t revision;
    bool is_deleting;
    char *name; /* owned; "<namespace>\0<name>\0<uid>\0" in one piece */
    const char *namespace_name;
    const char *uid;
};

/* From a text that was stored. */
NODISCARD int object_load(const struct resource *res, struct str text, int64_t revision,
                          struct object **ret, struct error *err);
struct object *object_history_ref(struct object *object);
void object_history_unref(struct object *object);

/* --- store_events.c: what happened, in order; a ring that the history is read from --- */

struct events {
    struct store_event *ring; /* owned; capacity is a power of two */
    size_t capacity;
    uint64_t head, tail;         /* sequence numbers: events [head, tail) are held */
    uint64_t told;               /* next to tell watchers that do not wait for the disk */
    uint64_t told_durable;       /* next to tell the others */
    size_t bytes;                /* of the texts held */
    size_t max;                  /* events */
    int64_t oldest_revision;     /* a watch may start here */
    struct store_watch *watches; /* owned, in order of subscription */
    bool is_telling;
};

NODISCARD int events_add(struct events *events, const struct store_event *event, struct error *err);
/* Tells the fast watchers all, the others what is not after `durable_revision`; drops the oldest.
 */
void events_tell(struct events *events, int64_t durable_revision);
void events_done(struct events *events);
NODISCARD int events_watch(struct events *events, const struct store_watch_options *options,
                           store_watch_fn *fn, void *ctx, struct store_watch **ret,
                           struct error *err);
NODISCARD int events_replay(const struct events *events, int64_t revision,
                            const struct resource *resource, store_watch_fn *fn, void *ctx,
                            struct error *err);

/* --- store_writer.c: the thread that owns the database --- */

struct writer;

struct write {             /* one row: `object` stored, or (is_removed) forgotten */
    struct object *object; /* owned reference */
    bool is_removed;
};
struct write_batch {
    struct write *items; /* owned */
    size_t count;
    size_t capacity;
    int64_t last_revision;
};
void write_batch_done(struct write_batch *batch);

typedef int writer_load_fn(const char *resource_key, struct str text, int64_t revision, void *ctx,
                           struct error *err);
/* Opens or makes the file, calls `load` for each row, starts the thread. *ret_revision: the last
 * one. */
NODISCARD int writer_open(const char *path, writer_load_fn *load, void *ctx, int64_t *ret_revision,
                          struct writer **ret, struct error *err);
void writer_free(struct writer *writer); /* waits for what is under way */
bool writer_is_busy(const struct writer *writer);
/* Readable when a batch is done. */
int writer_fd(const struct writer *writer);
/* Hand over; only when not busy. The batch's items stay untouched until writer_collect(). */
void writer_start(struct writer *writer, struct write_batch *take_batch);
/* Blocks until the batch under way is done. */
void writer_wait(struct writer *writer);
/* If the batch is done: *ret_ok says whether it lasts; gives it back. False: still under way, or
 * none. */
bool writer_collect(struct writer *writer, struct write_batch *ret_batch, bool *ret_ok,
                    struct error *err);
/* "apps/deployments", "/pods": how rows name their kind. */
enum { RESOURCE_KEY_SIZE = 160 };
const char *resource_key(const struct resource *res, char out[RESOURCE_KEY_SIZE]);
