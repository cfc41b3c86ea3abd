/* cluster/api/store_events.c - what happened to the objects, in order: telling watchers, and the
 * history. */
#include <assert.h>

#include "cluster/api/store_internal.h"

struct store_watch {
    struct events *events; /* borrowed: the store's */
    struct store_watch *next;
    const struct resource *resource; /* NULL: all */
    bool is_durable;
    bool is_removed;
    uint64_t from; /* the first event it is told */
    store_watch_fn *fn;
    void *ctx;
};

static struct store_event *events_at(const struct events *events, uint64_t sequence)
{
    return &events->ring[sequence & (events->capacity - 1)];
}

static int events_grow(struct events *events, struct error *err)
{
    size_t capacity = events->capacity ? events->capacity * 2 : 256;
    struct store_event *ring = calloc(capacity, sizeof(*ring));

    if (!ring)
        return error_no_memory(err);
    for (uint64_t i = events->head; i < events->tail; i++)
        ring[i & (capacity - 1)] = *events_at(events, i);
    free(events->ring);
    events->ring = ring;
    events->capacity = capacity;
    return 0;
}

int events_add(struct events *events, const struct store_event *event, struct error *err)
{
    if (events->tail - events->head == events->capacity && events_grow(events, err) < 0)
        return -1;
    struct store_event *slot = events_at(events, events->tail++);
    *slot = *event;
    slot->object = object_ref(event->object); /* a user's reference until it has been told */
    slot->old = event->old ? object_ref(event->old) : NULL;
    events->bytes += object_text(event->object).len;
    return 0;
}

static void event_keep(struct store_event *event) /* from now on only for the history */
{
    object_unref(object_history_ref((struct object *)event->object));
    if (event->old)
        object_unref(object_history_ref((struct object *)event->old));
}

static void events_drop_first(struct events *events)
{
    struct store_event *event = events_at(events, events->head++);

    events->bytes -= object_text(event->object).len;
    events->oldest_revision = event->revision;
    object_history_unref((struct object *)event->object);
    object_history_unref((struct object *)event->old);
    *event = (struct store_event){0};
}

static void events_sweep(struct events *events)
{
    for (struct store_watch **at = &events->watches; *at;) {
        struct store_watch *watch = *at;
        if (watch->is_removed) {
            *at = watch->next;
            free(watch);
        } else {
            at = &watch->next;
        }
    }
}

static void events_tell_one(struct events *events, uint64_t sequence, bool is_durable)
{
    for (struct store_watch *watch = events->watches; watch; watch = watch->next) {
        /* Copied: a watcher may write, and the ring grow, while it is told. */
        struct store_event event = *events_at(events, sequence);
        if (!watch->is_removed && watch->is_durable == is_durable && watch->from <= sequence &&
            (!watch->resource || watch->resource == event.resource))
            watch->fn(&event, watch->ctx);
    }
}

void events_tell(struct events *events, int64_t durable_revision)
{
    if (events->is_telling)
        return; /* called from a watcher, by a flush: the outer call goes on */
    events->is_telling = true;
    while (events->told < events->tail)
        events_tell_one(events, events->told++, false);
    while (events->told_durable < events->tail &&
           events_at(events, events->told_durable)->revision <= durable_revision) {
        events_tell_one(events, events->told_durable, true);
        event_keep(events_at(events, events->told_durable++));
    }
    while (events->head < events->told_durable &&
           (events->tail - events->head > events->max || events->bytes > STORE_HISTORY_BYTES))
        events_drop_first(events);
    events->is_telling = false;
    events_sweep(events);
}

void events_done(struct events *events)
{
    while (events->told_durable < events->tail)
        event_keep(events_at(events, events->told_durable++));
    while (events->head < events->tail)
        events_drop_first(events);
    free(events->ring);
    for (struct store_watch *watch = events->watches; watch; watch = watch->next)
        watch->is_removed = true;
    events_sweep(events);
}

int events_watch(struct events *events, const struct store_watch_options *options,
                 store_watch_fn *fn, void *ctx, struct store_watch **ret, struct error *err)
{
    struct store_watch *watch = calloc(1, sizeof(*watch));
    struct store_watch **at = &events->watches;

    if (!watch)
        return error_no_memory(err);
    *watch = (struct store_watch){.events = events,
                                  .resource = options->resource,
                                  .is_durable = options->is_durable,
                                  .fn = fn,
                                  .ctx = ctx};
    /* A durable watcher goes on where store_history() ends. */
    watch->from = options->is_durable ? events->told_durable : events->tail;
    while (*at)
        at = &(*at)->next;
    *at = watch;
    *ret = watch;
    return 0;
}

void store_watch_remove(struct store_watch *watch)
{
    if (!watch)
        return;
    watch->is_removed = true;
    if (!watch->events->is_telling)
        events_sweep(watch->events);
}

int events_replay(const struct events *events, int64_t revision, const struct resource *resource,
                  store_watch_fn *fn, void *ctx, struct error *err)
{
    if (revision < events->oldest_revision) {
        return error_set(err, ERR_NOT_FOUND, "too old resource version: %lld (%lld)",
                         (long long)revision, (long long)events->oldest_revision);
    }
    /* The last events first: watchers usually miss a few only. */
    uint64_t from = events->told_durable;
    while (from > events->head && events_at(events, from - 1)->revision > revision)
        from--;
    for (; from < events->told_durable; from++) {
        const struct store_event *event = events_at(events, from);
        if (!resource || resource == event->resource)
            fn(event, ctx);
    }
    return 0;
}
