/* kube/watch.c - list, then watch, for ever: see watch.h. */
#include "kube/watch.h"

#include "kube/kube_internal.h"

enum {
    WATCH_SECONDS = 280,       /* asked of the server; then we go on from the last version */
    WATCH_GRACE_MS = 20000,    /* beyond that: the connection is dead */
    WATCH_RETRY_MS = 50,       /* first pause after an error, doubled each time */
    WATCH_RETRY_MAX_MS = 5000, /* and not longer than this */
    WATCH_LINE_MAX = 8 << 20,  /* bytes of one event; etcd's objects are 1.5 MiB at most */
};

struct kube_watch {
    struct kube_client *client; /* borrowed */
    struct loop *loop;          /* borrowed */
    struct kube_wire wire;      /* a LIST */
    struct kube_watch_options options;
    struct kube_flow *list_flow; /* owned while it runs */
    struct http_flow *http;      /* owned while it runs */
    struct loop_timer *timer;    /* owned */
    struct buf line;
    char version[64]; /* resourceVersion to go on from; "" before a list */
    json_t *known;    /* owned: "ns/name" → uid, to find what was deleted while we were away */
    char *label_text; /* owned, behind options.list */
    char *field_text; /* owned */
    int64_t retry_ms;
    bool was_told_error;
    bool must_relist;
    bool *removed; /* set by kube_watch_remove() while a callback runs */
};

static void list_start(struct kube_watch *w);
static void watch_start(struct kube_watch *w);

static char *key_of(const json_t *object)
{
    const char *ns = json_str_at(object, "metadata.namespace");
    const char *name = json_str_at(object, "metadata.name");

    return str_format("%s/%s", ns ? ns : "", name ? name : "");
}

/* False if the watch was removed by its own callback. */
static bool tell(struct kube_watch *w, enum kube_event event, const json_t *object)
{
    bool removed = false;

    w->removed = &removed;
    w->options.on_event(w, event, object, w->options.ctx);
    if (!removed)
        w->removed = NULL;
    return !removed;
}

static bool tell_state(struct kube_watch *w, const struct error *err)
{
    bool removed = false;

    if (!err && !w->was_told_error)
        return true;
    w->was_told_error = err != NULL;
    if (!w->options.on_state)
        return true;
    w->removed = &removed;
    w->options.on_state(w, err, w->options.ctx);
    if (!removed)
        w->removed = NULL;
    return !removed;
}

static void on_retry(struct loop *loop, void *ctx)
{
    struct kube_watch *w = ctx;

    w->timer = NULL;
    if (w->version[0] && !w->must_relist)
        watch_start(w);
    else
        list_start(w);
}

static void retry(struct kube_watch *w, const struct error *why)
{
    struct error err = ERROR_INIT;
    int64_t pause = w->retry_ms;

    w->retry_ms = pause * 2 > WATCH_RETRY_MAX_MS ? WATCH_RETRY_MAX_MS : pause * 2;
    if (loop_add_timer(w->loop, pause, on_retry, w, &w->timer, &err) < 0) {
        (void)tell_state(w, &err); /* without memory for a timer nothing can go on */
        return;
    }
    (void)tell_state(w, why); /* the last thing done here: the watch may be gone after */
}

/* Remembers `object`; gives whether it is new. */
static bool remember(struct kube_watch *w, const json_t *object)
{
    CLEANUP(text) char *key = key_of(object);
    const char *uid = json_str_at(object, "metadata.uid");
    bool is_new = key && !json_object_get(w->known, key);

    if (key)
        (void)json_object_set_new(w->known, key, json_string(uid ? uid : ""));
    return is_new;
}

static json_t *gone_object(const struct kube_watch *w, const char *key, const char *uid)
{
    struct str name = str_of(key);
    struct str ns = str_cut(&name, '/');
    json_t *object =
        json_pack("{s:s, s:s, s:{s:s%, s:s}}", "apiVersion", w->wire.ref.api_version, "kind",
                  w->wire.ref.kind, "metadata", "name", name.ptr, name.len, "uid", uid);
    json_t *metadata = json_object_get(object, "metadata");

    if (ns.len)
        (void)json_object_set_new(metadata, "namespace", json_stringn(ns.ptr, ns.len));
    return object;
}

/* What we knew and the new list does not have was deleted meanwhile. */
static bool tell_gone(struct kube_watch *w, json_t *before)
{
    const char *key;
    json_t *uid;

    json_object_foreach(before, key, uid)
    {
        if (json_object_get(w->known, key))
            continue;
        CLEANUP(json) json_t *object = gone_object(w, key, json_string_value(uid));
        if (object && !tell(w, KUBE_DELETED, object))
            return false;
    }
    return true;
}

static void on_list(const json_t *list, const struct error *err, void *ctx)
{
    struct kube_watch *w = ctx;
    const char *version = json_str_at(list, "metadata.resourceVersion");
    size_t i;
    const json_t *item;

    w->list_flow = NULL;
    if (err) {
        retry(w, err);
        return;
    }
    CLEANUP(json) json_t *before = w->known;
    w->known = json_object();
    w->must_relist = false;
    (void)snprintf(w->version, sizeof w->version, "%s", version ? version : "0");
    /* Two passes: callbacks may remove the watch, and `known` must be whole before that. */
    json_array_foreach(json_object_get(list, "items"), i, item)(void) remember(w, item);
    json_array_foreach(json_object_get(list, "items"), i, item)
    {
        CLEANUP(text) char *key = key_of(item);
        bool was_known = key && json_object_get(before, key);
        if (!tell(w, was_known ? KUBE_MODIFIED : KUBE_ADDED, item))
            return;
    }
    if (!tell_gone(w, before) || !tell(w, KUBE_SYNCED, NULL) || !tell_state(w, NULL))
        return;
    watch_start(w);
}

static void list_start(struct kube_watch *w)
{
    struct error err = ERROR_INIT;
    struct kube_request request = {.verb = KUBE_LIST, .ref = w->wire.ref, .list = w->options.list};

    request.ref.name = NULL;
    if (kube_flow_start(w->client, w->loop, &request, on_list, w, &w->list_flow, &err) < 0)
        retry(w, &err);
}

static void relist(struct kube_watch *w)
{
    w->must_relist = true;
    w->version[0] = '\0';
}

/* One event of the stream. False if the watch is gone. */
static bool on_line(struct kube_watch *w, struct str line)
{
    struct error err = ERROR_INIT;
    CLEANUP(json) json_t *event = NULL;

    if (json_parse("watch", line, &event, &err) < 0) {
        error_clear(&err); /* a cut line: the end of the stream says the rest */
        relist(w);
        return true;
    }
    const char *type = json_str_at(event, "type");
    const json_t *object = json_object_get(event, "object");
    const char *version = json_str_at(object, "metadata.resourceVersion");
    if (!type || !object)
        return true;
    if (strcmp(type, "ERROR") == 0) { /* 410: our version is gone */
        relist(w);
        return true;
    }
    if (version)
        (void)snprintf(w->version, sizeof w->version, "%s", version);
    w->retry_ms = WATCH_RETRY_MS;
    if (strcmp(type, "DELETED") == 0) {
        CLEANUP(text) char *key = key_of(object);
        if (key)
            (void)json_object_del(w->known, key); /* absent already is fine */
        return tell(w, KUBE_DELETED, object);
    }
    if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
        return tell(w, remember(w, object) ? KUBE_ADDED : KUBE_MODIFIED, object);
    return true; /* BOOKMARK */
}

static void on_watch_body(struct http_flow *http, struct str bytes, void *ctx)
{
    struct kube_watch *w = ctx;

    if (http_flow_status(http) != 200)
        return;
    buf_add_str(&w->line, bytes);
    for (;;) {
        struct str text = buf_str(&w->line);
        ptrdiff_t end = str_find(text, '\n');
        if (end < 0)
            return;
        if (end > 0 && !on_line(w, str_first(text, (size_t)end)))
            return;
        buf_drop(&w->line, (size_t)end + 1);
    }
}

static void on_watch_end(struct http_flow *http, const struct error *http_err, void *ctx)
{
    struct kube_watch *w = ctx;
    int status = http_flow_status(http);
    struct error err = ERROR_INIT;

    w->http = NULL;
    buf_clear(&w->line);
    if (status == 410)
        relist(w);
    if (http_err) {
        err = *http_err;
        retry(w, &err);
    } else if (status != 200 && status != 410) {
        (void)kube_status_error(status, STR(""), &err); /* always -1 */
        retry(w, &err);
    } else if (w->must_relist) {
        retry(w, NULL); /* with the pause: a server that says 410 for ever is not asked in a spin */
    } else {
        watch_start(w);
    }
}

static void watch_start(struct kube_watch *w)
{
    CLEANUP(buf) struct buf url = BUF_INIT(16384);
    CLEANUP(buf) struct buf extra = BUF_INIT(512);
    struct error err = ERROR_INIT;
    const struct kube_resource *resource =
        kube_resource_cached(w->client, w->wire.ref.api_version, w->wire.ref.kind);

    buf_addf(&extra, "watch=true&allowWatchBookmarks=true&timeoutSeconds=%d&resourceVersion=%s",
             WATCH_SECONDS, w->version);
    if (!resource || buf_ok(&extra, &err) < 0 ||
        kube_wire_url(w->client, &w->wire, resource, buf_text(&extra), &url, &err) < 0) {
        relist(w);
        retry(w, &err);
        return;
    }
    const char *headers[] = {"Accept: application/json", NULL};
    struct http_call call = {.url = buf_text(&url),
                             .headers = headers,
                             .timeout_ms = WATCH_SECONDS * 1000 + WATCH_GRACE_MS,
                             .answer_max = SIZE_MAX / 2,
                             .no_redirects = true};
    if (http_client_flow(w->client->http, w->loop, &call, on_watch_body, on_watch_end, w, &w->http,
                         &err) < 0)
        retry(w, &err);
}

static int copy_selectors(struct kube_watch *w, const struct kube_watch_options *options,
                          struct error *err)
{
    const char *name = options->ref.name;

    w->options = *options;
    if (options->list.label_selector) {
        w->label_text = str_dup(str_of(options->list.label_selector));
        if (!w->label_text)
            return error_no_memory(err);
    }
    if (name) {
        w->field_text = str_format("metadata.name=%s", name);
        if (!w->field_text)
            return error_no_memory(err);
    } else if (options->list.field_selector) {
        w->field_text = str_dup(str_of(options->list.field_selector));
        if (!w->field_text)
            return error_no_memory(err);
    }
    w->options.list.label_selector = w->label_text;
    w->options.list.field_selector = w->field_text;
    struct kube_request request = {.verb = KUBE_LIST, .ref = options->ref, .list = w->options.list};
    request.ref.name = NULL;
    return kube_wire_make(&request, &w->wire, err);
}

int kube_watch_start(struct kube_client *client, struct loop *loop,
                     const struct kube_watch_options *options, struct kube_watch **ret,
                     struct error *err)
{
    struct kube_watch *w = calloc(1, sizeof *w);

    if (!w)
        return error_no_memory(err);
    *w = (struct kube_watch){.client = client,
                             .loop = loop,
                             .wire = KUBE_WIRE_INIT,
                             .line = BUF_INIT(WATCH_LINE_MAX),
                             .retry_ms = WATCH_RETRY_MS,
                             .known = json_object()};
    int result = w->known ? copy_selectors(w, options, err) : error_no_memory(err);
    if (result == 0)
        result = loop_add_timer(loop, 0, on_retry, w, &w->timer, err);
    if (result < 0) {
        kube_watch_remove(w);
        return -1;
    }
    *ret = w;
    return 0;
}

void kube_watch_remove(struct kube_watch *w)
{
    if (!w)
        return;
    if (w->removed)
        *w->removed = true;
    kube_flow_remove(w->list_flow);
    http_flow_remove(w->http);
    loop_timer_remove(w->timer);
    kube_wire_done(&w->wire);
    buf_done(&w->line);
    json_decref(w->known);
    free(w->label_text);
    free(w->field_text);
    free(w);
}
