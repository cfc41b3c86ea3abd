/* cluster/api/store.c - the index of all objects, the revision counter, and when writes become
 * durable. */
#include "base/log.h"
#include "cluster/api/store_internal.h"

enum {
    /* After a crash numbers that were given out but never became durable must not be given out
       again. */
    STORE_REVISION_GAP = 1 << 16,
    STORE_PENDING_MAX = 1 << 15, /* writes that wait for the disk; beyond it a write waits itself */
    STORE_RETRY_MS = 1000,       /* after a failed commit (a full disk) */
};

struct index {             /* sorted by namespace and name */
    struct object **items; /* owned */
    size_t count;
    size_t capacity;
};

struct waiter {
    struct waiter *next;
    int64_t revision;
    store_durable_fn *fn;
    void *ctx;
};

struct store {
    struct loop *loop;     /* borrowed; may be NULL */
    struct writer *writer; /* owned; NULL: memory only */
    struct index kinds[RES_COUNT];
    int64_t revision;
    int64_t durable_revision;
    struct events events;
    struct write_batch pending; /* not yet handed to the writer */
    struct loop_timer *turn;   /* the loop's; set when there is something to tell or to hand over */
    struct loop_io *writer_io; /* owned */
    struct waiter *waiters;    /* owned, oldest first */
    struct waiter **waiters_end;
    bool is_failing; /* the disk refused the last batch; it is tried again */
    struct error failure;
};

/* --- the index --- */

static int index_compare(const struct object *o, const char *namespace_name, const char *name)
{
    int order = strcmp(o->namespace_name, namespace_name);
    return order ? order : strcmp(o->name, name);
}

/* Position of the object, or where it would stand. */
static size_t index_find(const struct index *index, const char *namespace_name, const char *name,
                         bool *ret_found)
{
    size_t low = 0, high = index->count;

    *ret_found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = index_compare(index->items[middle], namespace_name, name);
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
            *ret_found |= order == 0;
        }
    }
    return low;
}

static int index_reserve(struct index *index, struct error *err)
{
    if (index->count < index->capacity)
        return 0;
    size_t capacity = index->capacity ? index->capacity * 2 : 8;
    struct object **items = reallocarray(index->items, capacity, sizeof(struct object *));
    if (!items)
        return error_no_memory(err);
    index->items = items;
    index->capacity = capacity;
    return 0;
}

static int batch_reserve(struct write_batch *batch, struct error *err)
{
    if (batch->count < batch->capacity)
        return 0;
    size_t capacity = batch->capacity ? batch->capacity * 2 : 16;
    struct write *items = reallocarray(batch->items, capacity, sizeof(*items));
    if (!items)
        return error_no_memory(err);
    batch->items = items;
    batch->capacity = capacity;
    return 0;
}

/* --- turning --- */

static void store_hand_over(struct store *store)
{
    if (store->writer && store->pending.count > 0 && !store->is_failing &&
        !writer_is_busy(store->writer)) {
        store->pending.last_revision = store->revision;
        writer_start(store->writer, &store->pending);
    }
}

static void store_call_waiters(struct store *store, const struct error *err)
{
    while (store->waiters && (err || store->waiters->revision <= store->durable_revision)) {
        struct waiter *waiter = store->waiters;
        store->waiters = waiter->next;
        if (!store->waiters)
            store->waiters_end = &store->waiters;
        waiter->fn(err, waiter->ctx);
        free(waiter);
    }
}

static void store_tell(struct store *store)
{
    events_tell(&store->events, store->durable_revision);
    store_call_waiters(store, NULL);
}

static void store_on_turn(struct loop *loop, void *ctx)
{
    struct store *store = ctx;

    store->turn = NULL;      /* a timer that has fired is gone */
    if (store->is_failing) { /* try again what the disk refused */
        store->is_failing = false;
        store_hand_over(store);
    }
    store_tell(store); /* watchers write: that joins the same batch */
    store_hand_over(store);
}

static void store_set_turn(struct store *store, int64_t after_ms)
{
    struct error err = ERROR_INIT;

    if (!store->loop || store->turn)
        return;
    if (loop_add_timer(store->loop, after_ms, store_on_turn, store, &store->turn, &err) < 0)
        log_error("the store's watchers are told late", log_err(&err)); /* by the next write */
}

/* The batch that failed goes before what has gathered since. */
static void store_take_back(struct store *store, struct write_batch *batch, const struct error *err)
{
    size_t wanted = batch->count + store->pending.count;
    struct write *items = reallocarray(batch->items, wanted, sizeof(*items));

    log_error("the store cannot be written; changes are refused until it can", log_err(err));
    store->is_failing = true;
    store->failure = *err;
    if (items) { /* else what failed is lost to the disk; memory still has it */
        if (store->pending.count > 0)
            memcpy(items + batch->count, store->pending.items,
                   store->pending.count * sizeof(*items));
        free(store->pending.items);
        store->pending = (struct write_batch){items, wanted, wanted, 0};
        *batch = (struct write_batch){0};
    }
    store_call_waiters(store, err);
    store_set_turn(store, STORE_RETRY_MS);
}

/* True if a batch was collected. */
static bool store_collect(struct store *store)
{
    struct write_batch batch = {0};
    struct error err = ERROR_INIT;
    bool is_ok;

    if (!store->writer || !writer_collect(store->writer, &batch, &is_ok, &err))
        return false;
    if (is_ok)
        store->durable_revision = batch.last_revision;
    else
        store_take_back(store, &batch, &err);
    write_batch_done(&batch);
    return true;
}

static void store_on_writer(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct store *store = ctx;

    if (store_collect(store)) {
        store_hand_over(store); /* the disk works while we tell */
        store_tell(store);
        store_hand_over(store);
    }
}

int store_flush(struct store *store, struct error *err)
{
    store->is_failing = false; /* what the disk refused is tried again */
    do {
        store_hand_over(store);
        if (store->writer)
            writer_wait(store->writer);
        (void)store_collect(store);
        if (store->is_failing) {
            *err = store->failure;
            return -1;
        }
        store_tell(store);
    } while (store->pending.count > 0);
    return 0;
}

/* --- writing --- */

static int store_admit(struct store *store, struct index *index, struct error *err)
{
    if (store->is_failing) {
        return error_set(err, ERR_UNAVAILABLE, "the store cannot be written: %s",
                         store->failure.text);
    }
    if (store->pending.count >= STORE_PENDING_MAX && store_flush(store, err) < 0)
        return -1;
    if (index_reserve(index, err) < 0)
        return -1;
    return store->writer ? batch_reserve(&store->pending, err) : 0;
}

static int store_record(struct store *store, enum store_event_type type, struct object *object,
                        const struct object *old, struct error *err)
{
    struct store_event event = {.type = type,
                                .resource = object->res,
                                .object = object,
                                .old = old,
                                .revision = object->revision};

    if (events_add(&store->events, &event, err) < 0)
        return -1;
    store->revision = object->revision;
    if (store->writer) {
        store->pending.items[store->pending.count++] =
            (struct write){object_ref(object), type == STORE_DELETED};
    } else {
        store->durable_revision = store->revision;
    }
    store_set_turn(store, 0);
    return 0;
}

int store_put(struct store *store, const struct resource *res, json_t *take_object,
              const struct object **ret_object, struct error *err)
{
    struct index *index = &store->kinds[res->id];
    struct object *object = NULL;
    bool is_found;

    if (store_admit(store, index, err) < 0) {
        json_decref(take_object);
        return -1;
    }
    if (object_from_tree(res, take_object, store->revision + 1, &object, err) < 0)
        return -1;
    size_t at = index_find(index, object->namespace_name, object->name, &is_found);
    struct object *old = is_found ? index->items[at] : NULL;
    if (store_record(store, old ? STORE_MODIFIED : STORE_ADDED, object, old, err) < 0) {
        object_unref(object);
        return -1;
    }
    if (!old) {
        memmove(index->items + at + 1, index->items + at,
                (index->count - at) * sizeof(struct object *));
        index->count++;
    }
    index->items[at] = object;
    object_unref(old);
    if (ret_object)
        *ret_object = object;
    return 0;
}

int store_remove(struct store *store, const struct resource *res, const char *namespace_name,
                 const char *name, const struct object **ret_last, struct error *err)
{
    struct index *index = &store->kinds[res->id];
    struct object *last = NULL;
    bool is_found;
    size_t at = index_find(index, namespace_name, name, &is_found);

    if (!is_found)
        return error_set(err, ERR_NOT_FOUND, "%s '%s' does not exist", res->singular, name);
    if (store_admit(store, index, err) < 0)
        return -1;
    struct object *old = index->items[at];
    json_t *root = json_deep_copy(object_root(old));
    if (!root)
        return error_no_memory(err);
    if (object_from_tree(res, root, store->revision + 1, &last, err) < 0)
        return -1;
    if (store_record(store, STORE_DELETED, last, old, err) < 0) {
        object_unref(last);
        return -1;
    }
    memmove(index->items + at, index->items + at + 1,
            (index->count - at - 1) * sizeof(struct object *));
    index->count--;
    object_unref(old);
    if (ret_last)
        *ret_last = last;
    object_unref(last); /* the event holds it until the loop turns */
    return 0;
}

/* --- reading --- */

int64_t store_revision(const struct store *store)
{
    return store->revision;
}

int64_t store_durable_revision(const struct store *store)
{
    return store->durable_revision;
}

int64_t store_oldest_revision(const struct store *store)
{
    return store->events.oldest_revision;
}

const struct object *store_get(const struct store *store, const struct resource *res,
                               const char *namespace_name, const char *name)
{
    const struct index *index = &store->kinds[res->id];
    bool is_found;
    size_t at =
        index_find(index, resource_is_namespaced(res) ? namespace_name : "", name, &is_found);

    return is_found ? index->items[at] : NULL;
}

struct object_list store_list(const struct store *store, const struct resource *res,
                              const char *namespace_name)
{
    const struct index *index = &store->kinds[res->id];
    bool is_found;

    if (!namespace_name || !resource_is_namespaced(res))
        return (struct object_list){index->items, index->count};
    size_t first = index_find(index, namespace_name, "", &is_found);
    size_t end = first;
    while (end < index->count && strcmp(index->items[end]->namespace_name, namespace_name) == 0)
        end++;
    return (struct object_list){index->items ? index->items + first : NULL, end - first};
}

int store_list_copy(const struct store *store, const struct resource *res,
                    const char *namespace_name, struct object_set *ret, struct error *err)
{
    struct object_list list = store_list(store, res, namespace_name);

    *ret = (struct object_set){.items = calloc(list.count + 1, sizeof(struct object *))};
    if (!ret->items)
        return error_no_memory(err);
    for (size_t i = 0; i < list.count; i++)
        ret->items[ret->count++] = object_ref(list.items[i]);
    return 0;
}

int store_when_durable(struct store *store, store_durable_fn *fn, void *ctx, struct error *err)
{
    if (store->durable_revision == store->revision) {
        fn(NULL, ctx);
        return 0;
    }
    struct waiter *waiter = malloc(sizeof(*waiter));
    if (!waiter)
        return error_no_memory(err);
    *waiter = (struct waiter){NULL, store->revision, fn, ctx};
    *store->waiters_end = waiter;
    store->waiters_end = &waiter->next;
    return 0;
}

int store_watch_add(struct store *store, const struct store_watch_options *options,
                    store_watch_fn *fn, void *ctx, struct store_watch **ret, struct error *err)
{
    return events_watch(&store->events, options, fn, ctx, ret, err);
}

int store_history(const struct store *store, int64_t revision, const struct resource *resource,
                  store_watch_fn *fn, void *ctx, struct error *err)
{
    return events_replay(&store->events, revision, resource, fn, ctx, err);
}

/* --- opening --- */

static int store_load_row(const char *key, struct str text, int64_t revision, void *ctx,
                          struct error *err)
{
    struct store *store = ctx;
    struct str plural = str_of(key);
    struct str group = str_cut(&plural, '/');
    CLEANUP(text) char *group_text = str_dup(group);
    const struct resource *res = group_text ? resource_find(group_text, NULL, plural.ptr) : NULL;
    struct object *object = NULL;
    bool is_found;

    if (!res) {
        log_warn("a stored object's kind is not known; it is left alone", log_str("kind", key));
        return 0;
    }
    struct index *index = &store->kinds[res->id];
    if (object_load(res, text, revision, &object, err) < 0)
        return error_wrap(err, "an object of kind '%s'", key);
    if (index_reserve(index, err) < 0) {
        object_unref(object);
        return -1;
    }
    size_t at = index_find(index, object->namespace_name, object->name, &is_found);
    memmove(index->items + at + 1, index->items + at,
            (index->count - at) * sizeof(struct object *));
    index->items[at] = object;
    index->count++;
    return 0;
}

static int store_join_loop(struct store *store, struct error *err)
{
    if (!store->loop || !store->writer)
        return 0;
    return loop_add_io(store->loop, writer_fd(store->writer), EPOLLIN, store_on_writer, store,
                       &store->writer_io, err);
}

int store_new(const struct store_options *options, struct store **ret, struct error *err)
{
    CLEANUP(store) struct store *store = calloc(1, sizeof(*store));

    if (!store)
        return error_no_memory(err);
    store->loop = options->loop;
    store->waiters_end = &store->waiters;
    store->events.max = options->history_max ? options->history_max : STORE_HISTORY_EVENTS;
    if (options->path && writer_open(options->path, store_load_row, store, &store->revision,
                                     &store->writer, err) < 0)
        return -1;
    if (store->revision > 0)
        store->revision += STORE_REVISION_GAP;
    store->durable_revision = store->events.oldest_revision = store->revision;
    if (store_join_loop(store, err) < 0)
        return -1;
    *ret = TAKE(store);
    return 0;
}

void store_free(struct store *store)
{
    struct error err = ERROR_INIT;

    if (!store)
        return;
    if (store->writer && store_flush(store, &err) < 0)
        log_error("closing the store: the last changes are lost", log_err(&err));
    loop_io_remove(store->writer_io);
    loop_timer_remove(store->turn);
    store_call_waiters(store,
                       &(struct error){.kind = ERR_CANCELLED, .text = "the store is closing"});
    writer_free(store->writer);
    write_batch_done(&store->pending);
    events_done(&store->events);
    for (size_t i = 0; i < RES_COUNT; i++) {
        for (size_t j = 0; j < store->kinds[i].count; j++)
            object_unref(store->kinds[i].items[j]);
        free(store->kinds[i].items);
    }
    free(store);
}
