/* cluster/api/watch.c - watches over HTTP: a line of JSON an event, for as long as the client
 * listens. Source: Kubernetes API concepts, "Efficient detection of changes", "Watch bookmarks",
 * "Streaming lists". */
#include "base/log.h"
#include "base/random.h"
#include "cluster/api/server_internal.h"

enum {
    WATCH_BOOKMARK_MS = 60 * 1000,
    WATCH_DEFAULT_S =
        30 * 60, /* and up to as much again, so that clients do not come back together */
    WATCH_LINE_MAX = 16 << 20,
};

struct watcher {
    struct watcher *next;
    struct api_server *server;
    struct request rq; /* its own copy; rq.http lives as long as the stream */
    struct store_watch *watch;
    struct http_stream *stream;
    struct filter filter;
    char *namespace_name; /* owned; NULL: all */
    int64_t revision;     /* of the last event seen; earlier ones are skipped */
    bool sends_bookmarks;
    bool has_columns; /* the columns of a table go with the first event only */
    struct loop_timer *end, *bookmark;
};

static void watcher_free(struct watcher *w)
{
    for (struct watcher **at = &w->server->watchers; *at; at = &(*at)->next) {
        if (*at == w) {
            *at = w->next;
            break;
        }
    }
    store_watch_remove(w->watch);
    loop_timer_remove(w->end);
    loop_timer_remove(w->bookmark);
    filter_done(&w->filter);
    free(w->namespace_name);
    free(w);
}

static void watcher_gone(struct http_stream *stream, void *ctx)
{
    watcher_free(ctx);
}

/* Cuts the stream off: the client lists again and starts anew. */
static void watcher_end(struct watcher *w)
{
    http_stream_end(w->stream);
    watcher_free(w);
}

/* --- events --- */

static void send_line(struct watcher *w, const char *type, const struct object *object)
{
    CLEANUP(buf) struct buf line = BUF_INIT(WATCH_LINE_MAX);
    struct error err = ERROR_INIT;

    buf_addf(&line, "{\"type\":\"%s\",\"object\":", type);
    if (answer_add_object(&w->rq, object, !w->has_columns, &line, &err) < 0) {
        log_warn("an event was not sent", log_err(&err));
        return;
    }
    w->has_columns = true;
    buf_add_text(&line, "}\n");
    http_stream_write(w->stream, buf_str(&line));
}

static bool is_wanted(const struct watcher *w, const struct object *object)
{
    return object &&
           (!w->namespace_name || strcmp(w->namespace_name, object_namespace(object)) == 0) &&
           filter_matches(&w->filter, object);
}

static void watcher_on_event(const struct store_event *event, void *ctx)
{
    struct watcher *w = ctx;

    if (event->revision <= w->revision)
        return;
    w->revision = event->revision;
    bool was = is_wanted(w, event->old);
    bool is = event->type != STORE_DELETED && is_wanted(w, event->object);
    if (is)
        send_line(w, was ? "MODIFIED" : "ADDED", event->object);
    else if (was) /* gone, or no longer selected */
        send_line(w, "DELETED", event->type == STORE_DELETED ? event->object : event->old);
}

static void send_bookmark(struct watcher *w, bool ends_initial)
{
    CLEANUP(buf) struct buf line = BUF_INIT(4096);
    const char *note =
        ends_initial ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "";
    char metadata[256];

    (void)snprintf(metadata, sizeof(metadata),
                   "\"metadata\":{\"resourceVersion\":\"%lld\",\"creationTimestamp\":null%s}",
                   (long long)w->revision, note);
    if (w->rq.form == FORM_TABLE)
        buf_addf(
            &line,
            "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/"
            "%s\",\"metadata\":{\"resourceVersion\":\"%lld\"},\"columnDefinitions\":null,\"rows\":"
            "[{\"cells\":[],\"object\":{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":"
            "\"meta.k8s.io/%s\",%s}}]}}\n",
            w->rq.table_version, (long long)w->revision, w->rq.table_version, metadata);
    else
        buf_addf(&line,
                 "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"%s\",%s}}\n",
                 w->rq.res->kind, w->rq.api_version, metadata);
    http_stream_write(w->stream, buf_str(&line));
}

static void on_bookmark_time(struct loop *loop, void *ctx)
{
    struct watcher *w = ctx;
    int64_t durable = store_durable_revision(w->server->api->store);

    if (durable > w->revision)
        w->revision = durable; /* nothing of ours lies between: it would have been told */
    send_bookmark(w, false);
    loop_timer_set(w->bookmark, WATCH_BOOKMARK_MS);
}

static void on_end_time(struct loop *loop, void *ctx)
{
    struct watcher *w = ctx;

    w->end = NULL; /* a timer that has fired is gone */
    watcher_end(w);
}

/* --- starting --- */

static int set_timers(struct watcher *w, struct error *err)
{
    const char *text = http_request_query(w->rq.http, "timeoutSeconds");
    uint64_t seconds;
    uint16_t spread;

    random_bytes(&spread, sizeof(spread));
    if (!text || !str_to_u64(str_of(text), &seconds) || seconds == 0 || seconds > 24 * 3600)
        seconds = WATCH_DEFAULT_S + spread % WATCH_DEFAULT_S;
    if (loop_add_timer(w->server->loop, (int64_t)seconds * 1000, on_end_time, w, &w->end, err) < 0)
        return -1;
    if (!w->sends_bookmarks)
        return 0;
    return loop_add_timer(w->server->loop, WATCH_BOOKMARK_MS, on_bookmark_time, w, &w->bookmark,
                          err);
}

static void send_existing(struct watcher *w)
{
    struct object_list list = store_list(w->server->api->store, w->rq.res, w->namespace_name);

    for (size_t i = 0; i < list.count; i++) {
        if (is_wanted(w, list.items[i]))
            send_line(w, "ADDED", list.items[i]);
    }
    w->revision = store_revision(w->server->api->store);
}

/* Where to begin: *ret_all, with what exists; else after *ret_revision. */
static int read_start(const struct request *rq, bool *ret_all, bool *ret_marks_end,
                      int64_t *ret_revision, struct status *status)
{
    const char *text = http_request_query(rq->http, "resourceVersion");
    const struct store *store = rq->api->store;

    *ret_marks_end = request_flag(rq, "sendInitialEvents");
    *ret_all = *ret_marks_end || !text || !*text || strcmp(text, "0") == 0;
    *ret_revision = 0;
    if (text && *text && (!str_to_i64(str_of(text), ret_revision) || *ret_revision < 0))
        return status_bad_request(status, "invalid resource version: \"%s\"", text);
    if (*ret_all)
        return 0;
    /* A revision that is still to come was lost in a crash: the client must list again, too. */
    if (*ret_revision < store_oldest_revision(store) || *ret_revision > store_revision(store))
        return status_set(status, 410, "Expired", "too old resource version: %lld (%lld)",
                          (long long)*ret_revision, (long long)store_oldest_revision(store));
    return 0;
}

static struct watcher *watcher_new(struct request *rq, struct status *status)
{
    struct watcher *w = calloc(1, sizeof(*w));

    if (!w) {
        (void)status_no_memory(status);
        return NULL;
    }
    w->server = rq->server;
    w->next = rq->server->watchers;
    rq->server->watchers = w;
    w->rq = (struct request){.server = rq->server,
                             .api = rq->api,
                             .http = rq->http,
                             .res = rq->res,
                             .form = rq->form,
                             .table_version = rq->table_version};
    memcpy(w->rq.api_version, rq->api_version, sizeof(w->rq.api_version));
    w->sends_bookmarks = request_flag(rq, "allowWatchBookmarks");
    if (*rq->route.namespace_name)
        w->namespace_name = str_dup(str_of(rq->route.namespace_name));
    if (*rq->route.namespace_name && !w->namespace_name) {
        (void)status_no_memory(status);
        watcher_free(w);
        return NULL;
    }
    return w;
}

static int watcher_begin(struct watcher *w, struct request *rq, bool sends_all, bool marks_end,
                         struct error *err)
{
    static const struct http_header headers[] = {
        {"Content-Type", "application/json"}, {"Cache-Control", "no-cache, private"}, {NULL, NULL}};
    struct store_watch_options options = {.resource = rq->res, .is_durable = true};

    if (set_timers(w, err) < 0 ||
        store_watch_add(rq->api->store, &options, watcher_on_event, w, &w->watch, err) < 0)
        return -1;
    w->stream = http_respond_stream(rq->http, 200, headers, SERVER_STREAM_MAX, watcher_gone, w);
    if (sends_all)
        send_existing(w);
    else if (store_history(rq->api->store, w->revision, rq->res, watcher_on_event, w, err) < 0)
        log_warn("a watch starts late", log_err(err)); /* read_start() has checked it */
    if (marks_end)
        send_bookmark(w, true);
    return 0;
}

void watch_start(struct request *rq)
{
    CLEANUP(status) struct status status = STATUS_INIT;
    struct error err = ERROR_INIT;
    bool sends_all, marks_end;
    int64_t revision;
    struct watcher *w = NULL;

    if (read_start(rq, &sends_all, &marks_end, &revision, &status) < 0 ||
        !(w = watcher_new(rq, &status)) || request_filter(rq, &w->filter, &status) < 0) {
        answer_status(rq, &status);
        if (w)
            watcher_free(w);
        return;
    }
    w->revision = revision;
    if (watcher_begin(w, rq, sends_all, marks_end, &err) < 0) {
        watcher_free(w);
        answer_error(rq, &err);
    }
}

void watch_end_all(struct api_server *server)
{
    while (server->watchers)
        watcher_end(server->watchers);
}
