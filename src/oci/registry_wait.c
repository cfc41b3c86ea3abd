/* oci/registry_wait.c - long polls on tags: `Prefer: wait=SECONDS` (RFC 7240, 4.3); see
 * registry_server.h.
 *
 * One inotify watch for the whole registry: any change of any tag, by any process, replaces
 * index.json. */
#include "oci/registry_internal.h"

static void drop(struct waiter *w)
{
    struct registry *r = w->registry;

    for (struct waiter **at = &r->waiters; *at; at = &(*at)->next) {
        if (*at == w) {
            *at = w->next;
            r->waiter_count--;
            break;
        }
    }
    loop_timer_remove(w->timer);
    free(w);
}

static void answer_same(const struct waiter *w)
{
    char etag[DIGEST_TEXT_SIZE + 2];

    if (!w->known.text[0]) {
        registry_error(w->req, 404, "MANIFEST_UNKNOWN", "no such tag, even after waiting");
        return;
    }
    snprintf(etag, sizeof(etag), "\"%s\"", w->known.text);
    const struct http_header headers[] = {
        {"Docker-Content-Digest", w->known.text}, {"ETag", etag}, {NULL}};
    http_respond(w->req, 304, headers, STR(""));
}

static void on_time(struct loop *loop, void *ctx)
{
    struct waiter *w = ctx;

    w->timer = NULL; /* it has fired, the loop frees it */
    answer_same(w);
    drop(w);
}

/* True: answered. */
static bool answer_if_changed(struct registry *r, const struct waiter *w)
{
    struct error err = ERROR_INIT;
    struct descriptor d = {0};

    if (layout_resolve(r->layout, w->repository, w->tag, &d, &err) < 0) {
        if (err.kind == ERR_NOT_FOUND && !w->known.text[0])
            return false;
        registry_failed(w->req, &err);
        return true;
    }
    if (digest_equal(&d.digest, &w->known))
        return false;
    registry_send_manifest(r, w->req, &d);
    return true;
}

static void on_change(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct registry *r = ctx;

    layout_watch_drain(fd);
    for (struct waiter *w = r->waiters, *next; w; w = next) {
        next = w->next;
        if (answer_if_changed(r, w))
            drop(w);
    }
}

static int start_watch(struct registry *r, struct error *err)
{
    if (r->watch_fd >= 0)
        return 0;
    if (layout_watch(r->layout, &r->watch_fd, err) < 0)
        return -1;
    if (loop_add_io(r->loop, r->watch_fd, EPOLLIN, on_change, r, &r->watch, err) < 0) {
        io_close(&r->watch_fd);
        return -1;
    }
    return 0;
}

/* "wait=N" among the preferences; 0: none. */
static uint64_t wanted_seconds(const struct http_request *req)
{
    struct str rest = str_of(http_request_header(req, "Prefer"));
    uint64_t seconds;

    while (rest.ptr) {
        struct str item = str_trim(str_cut(&rest, ','));
        if (str_starts(item, STR("wait=")) && str_to_u64(str_skip(item, 5), &seconds))
            return seconds;
    }
    return 0;
}

bool registry_wait(struct registry *r, struct http_request *req, const struct registry_route *route,
                   const struct digest *known)
{
    struct error err = ERROR_INIT; /* if we cannot wait, the client is answered now */
    uint64_t seconds = wanted_seconds(req);
    struct waiter *w;

    if (seconds == 0 || r->waiter_count >= WAITERS_MAX || start_watch(r, &err) < 0)
        return false;
    w = calloc(1, sizeof(*w));
    if (!w)
        return false;
    if (seconds > (uint64_t)r->wait_max_s)
        seconds = (uint64_t)r->wait_max_s;
    w->registry = r;
    w->req = req;
    w->known = *known;
    memcpy(w->repository, route->repository, sizeof(w->repository));
    memcpy(w->tag, route->reference, sizeof(w->tag));
    if (loop_add_timer(r->loop, (int64_t)seconds * 1000, on_time, w, &w->timer, &err) < 0) {
        free(w);
        return false;
    }
    w->next = r->waiters;
    r->waiters = w;
    r->waiter_count++;
    /* The tag may have changed between the caller's look and our watch: the watch sees only what
     * comes after. */
    if (answer_if_changed(r, w))
        drop(w);
    return true;
}

void registry_waiters_free(struct registry *r)
{
    while (r->waiters) {
        registry_error(r->waiters->req, 503, "UNKNOWN", "the registry is shutting down");
        drop(r->waiters);
    }
    loop_io_remove(r->watch);
    io_close(&r->watch_fd);
}
