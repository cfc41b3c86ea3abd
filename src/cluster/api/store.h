/* cluster/api/store.h - the objects of a cluster: in memory for reading, in SQLite to last.
 *
 * All objects are held as trees and as their JSON text. A write changes the memory at once, so the
 * next store_get() sees it, and goes to a writer thread that puts what has gathered into one SQLite
 * transaction (WAL, synchronous=FULL: what store_when_durable() has reported survives kill -9 and a
 * power cut). One counter numbers all writes; the number is the object's resourceVersion.
 *
 * Objects never change once stored: an update stores a new one. Watchers are told in the order of
 * the writes, never from inside a write, but in the next turn of the loop.
 *
 * This is the plain store: no defaults, no checks, no generation. Controllers write through api.h,
 * and may read here. One thread uses it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "cluster/api/resources.h"

/* --- one object, shared and unchanging --- */

struct object;

const json_t *
object_root(const struct object *object); /* borrowed; never change it: json_deep_copy() first */
struct str object_text(const struct object *object); /* compact JSON, without end of line */
int64_t object_revision(const struct object *object);
const struct resource *object_resource(const struct object *object);
const char *object_namespace(const struct object *object); /* "" if cluster-scoped */
const char *object_name(const struct object *object);
const char *object_uid(const struct object *object);  /* "" if none */
bool object_is_deleting(const struct object *object); /* has a deletionTimestamp */
/* One that is in no store (a dry run's answer): as if stored at `revision`. *ret: a reference. */
NODISCARD int object_from_tree(const struct resource *res, json_t *take_root, int64_t revision,
                               struct object **ret, struct error *err);
/* To keep one beyond the current callback. */
struct object *object_ref(const struct object *object);
void object_unref(struct object *object); /* NULL is allowed */
DEFINE_CLEANUP(object, struct object *, object_unref)

/* --- the store --- */

struct store;

struct store_options {
    struct loop *loop;  /* NULL: no loop; the caller calls store_flush() (tests) */
    const char *path;   /* of the SQLite file; NULL: memory only */
    size_t history_max; /* events kept for watches; 0: STORE_HISTORY_EVENTS */
};
enum {
    STORE_HISTORY_EVENTS = 4096,
    STORE_HISTORY_BYTES = 8 << 20, /* of texts, whichever limit is met first */
    STORE_OBJECT_MAX = 3 << 19,    /* bytes of one object: 1.5 MiB, as etcd */
};

/* Loads all objects. Errors: SYSTEM, INVALID (a damaged file), NO_MEMORY. */
NODISCARD int store_new(const struct store_options *options, struct store **ret, struct error *err);
void store_free(struct store *store); /* waits until all is written */
DEFINE_CLEANUP(store, struct store *, store_free)

int64_t store_revision(const struct store *store);         /* of the last write */
int64_t store_durable_revision(const struct store *store); /* of the last write that lasts */
int64_t
store_oldest_revision(const struct store *store); /* a watch can start at this one, or later */

/* Borrowed: valid until the loop turns next. namespace_name is "" for cluster-scoped kinds. NULL if
 * absent. */
const struct object *store_get(const struct store *store, const struct resource *res,
                               const char *namespace_name, const char *name);
/* The objects of a kind, of one namespace, or of all (NULL), sorted by namespace and name:
 * items[0..count). Borrowed: valid until the next write of this kind, so take object_ref()s, or a
 * store_list_copy(), to write while walking. */
struct object_list {
    struct object *const *items;
    size_t count;
};
struct object_list store_list(const struct store *store, const struct resource *res,
                              const char *namespace_name);
/* A snapshot that survives writes: each item is a reference. */
struct object_set {
    struct object **items; /* owned, each a reference */
    size_t count;
};
NODISCARD int store_list_copy(const struct store *store, const struct resource *res,
                              const char *namespace_name, struct object_set *ret,
                              struct error *err);
void object_set_done(struct object_set *set);
DEFINE_CLEANUP_VALUE(object_set, struct object_set, object_set_done)

/* Store under metadata.namespace and metadata.name; sets metadata.resourceVersion. *ret_object is
 * borrowed and may be NULL. Errors: LIMIT (size), NO_MEMORY, UNAVAILABLE (the disk failed: nothing
 * is accepted). */
NODISCARD int store_put(struct store *store, const struct resource *res, json_t *take_object,
                        const struct object **ret_object, struct error *err);
/* Forget it; watchers get its last state with a new resourceVersion. NOT_FOUND. */
NODISCARD int store_remove(struct store *store, const struct resource *res,
                           const char *namespace_name, const char *name,
                           const struct object **ret_last, struct error *err);

/* Calls back once everything written so far lasts (at once, if it does already). err is NULL, or
 * says why the disk failed. */
typedef void store_durable_fn(const struct error *err, void *ctx);
NODISCARD int store_when_durable(struct store *store, store_durable_fn *fn, void *ctx,
                                 struct error *err);
/* Blocks until all is durable, then tells all watchers. */
NODISCARD int store_flush(struct store *store, struct error *err);

/* --- watching --- */

enum store_event_type { STORE_ADDED, STORE_MODIFIED, STORE_DELETED };

struct store_event {
    enum store_event_type type;
    const struct resource *resource;
    const struct object *object; /* the new one; of DELETED the last state, with the new revision */
    const struct object *old;    /* before; NULL for ADDED */
    int64_t revision;
};

typedef void store_watch_fn(const struct store_event *event, void *ctx);
struct store_watch;

struct store_watch_options {
    const struct resource *resource; /* NULL: all kinds */
    /* false: told in the next turn, before the write lasts (controllers: all they do is written
     * after it, and the log keeps the order). true: told once it lasts (whoever is outside of this
     * process). */
    bool is_durable;
};
/* Events after now. The watch may be removed inside its own callback. To start with what exists:
 * walk store_list() first, in the same callback. */
NODISCARD int store_watch_add(struct store *store, const struct store_watch_options *options,
                              store_watch_fn *fn, void *ctx, struct store_watch **ret,
                              struct error *err);
void store_watch_remove(struct store_watch *watch); /* NULL is allowed */
/* Replays durable events after `revision`, oldest first. NOT_FOUND: older than the history. */
NODISCARD int store_history(const struct store *store, int64_t revision,
                            const struct resource *resource, store_watch_fn *fn, void *ctx,
                            struct error *err);
