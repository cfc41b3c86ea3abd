/* cluster/control/control.c - one watch over all kinds, one queue of names, one turn at a time. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/control/control_internal.h"
#include "cluster/net/net.h"

enum {
    CONTROL_TURN_MAX = 128, /* names in one turn of the loop, so that requests are served between */
    CONTROL_RETRY_MS = 1000, /* after a failed reconcile; the next event tries earlier */
};

typedef int reconcile_fn(struct control *control, const char *ns, const char *name,
                         struct error *err);
static reconcile_fn *const reconcilers[QUEUE_COUNT] = {
    [QUEUE_POD] = scheduler_reconcile,         [QUEUE_REPLICASET] = replicaset_reconcile,
    [QUEUE_DEPLOYMENT] = deployment_reconcile, [QUEUE_SERVICE] = endpoints_reconcile,
    [QUEUE_NAMESPACE] = namespace_reconcile,   [QUEUE_GARBAGE] = garbage_reconcile,
    [QUEUE_BUDGET] = disruption_reconcile,
};

static char *key_of(enum control_queue queue, const char *ns, const char *name)
{
    return str_format("%c/%s/%s", 'a' + (int)queue, ns, name);
}

static void on_drain(struct loop *loop, void *ctx);
static void on_alarm(struct loop *loop, void *ctx);

/* A timer that fired is gone: each is made when it is needed. */
static void set_timer(struct control *control, struct loop_timer **timer, int64_t after_ms,
                      loop_timer_fn *fn)
{
    struct error err = ERROR_INIT;

    if (*timer)
        loop_timer_set(*timer, after_ms);
    else if (loop_add_timer(control->loop, after_ms, fn, control, timer, &err) < 0)
        log_error("the controllers stand still until the next change", log_err(&err));
}

static void set_drain(struct control *control)
{
    if (!control->drain)
        set_timer(control, &control->drain, 0, on_drain);
}

void control_enqueue(struct control *control, enum control_queue queue, const char *ns,
                     const char *name)
{
    CLEANUP(text) char *key = key_of(queue, ns, name);

    if (!key || json_object_set_new(control->queue, key, json_null()) < 0)
        log_error("a controller missed a change: no memory", log_str("name", name));
    set_drain(control);
}

static void set_alarm(struct control *control)
{
    int64_t first = INT64_MAX, now = clock_monotonic_ms();
    const char *key;
    json_t *due;

    json_object_foreach(control->later, key, due)
    {
        if (json_integer_value(due) < first)
            first = json_integer_value(due);
    }
    if (first != INT64_MAX)
        set_timer(control, &control->alarm, first > now ? first - now : 0, on_alarm);
}

void control_enqueue_after(struct control *control, enum control_queue queue, const char *ns,
                           const char *name, int64_t after_ms)
{
    CLEANUP(text) char *key = key_of(queue, ns, name);
    int64_t due = clock_monotonic_ms() + after_ms;
    json_t *old = key ? json_object_get(control->later, key) : NULL;

    if (!key || (old && json_integer_value(old) <= due))
        return;
    if (json_object_set_new(control->later, key, json_integer(due)) < 0)
        log_error("a controller missed a date: no memory", log_str("name", name));
    set_alarm(control);
}

static void on_alarm(struct loop *loop, void *ctx)
{
    struct control *control = ctx;
    int64_t now = clock_monotonic_ms();
    const char *key;
    json_t *due;
    void *next;

    control->alarm = NULL;
    json_object_foreach_safe(control->later, next, key, due)
    {
        if (json_integer_value(due) > now)
            continue;
        if (json_object_set_new(control->queue, key, json_null()) < 0)
            log_error("a controller missed a date: no memory", log_str("name", key));
        (void)json_object_del(control->later, key); /* it is there: we stand on it */
    }
    if (json_object_size(control->queue))
        set_drain(control);
    set_alarm(control);
}

static void reconcile(struct control *control, const char *key)
{
    struct error err = ERROR_INIT;
    enum control_queue queue = (enum control_queue)(key[0] - 'a');
    struct str rest = str_of(key + 2);
    CLEANUP(text) char *ns = str_dup(str_cut(&rest, '/'));

    if (!ns)
        return;
    if (reconcilers[queue](control, ns, rest.ptr, &err) < 0) {
        /* conflicts are ours to try again, and usual */
        if (err.kind != ERR_CONFLICT && err.kind != ERR_NOT_FOUND)
            log_warn("a controller failed; it tries again", log_str("key", key), log_err(&err));
        control_enqueue_after(control, queue, ns, rest.ptr, CONTROL_RETRY_MS);
    }
}

static void on_drain(struct loop *loop, void *ctx)
{
    struct control *control = ctx;

    control->drain = NULL;
    for (int i = 0; i < CONTROL_TURN_MAX; i++) {
        void *first = json_object_iter(control->queue);
        if (!first)
            return;
        CLEANUP(text) char *key = str_dup(str_of(json_object_iter_key(first)));
        if (!key)
            break;
        (void)json_object_del(control->queue, key); /* it is there: it was first */
        reconcile(control, key);
    }
    if (json_object_size(control->queue))
        set_drain(control);
}

static void tell_all(struct control *control, const struct store_event *event)
{
    scheduler_on_event(control, event);
    replicaset_on_event(control, event);
    deployment_on_event(control, event);
    endpoints_on_event(control, event);
    namespace_on_event(control, event);
    garbage_on_event(control, event);
    disruption_on_event(control, event);
}

static void on_event(const struct store_event *event, void *ctx)
{
    tell_all(ctx, event);
}

/* Every object as if it were new: what happened while we were not running. */
static void look_at_everything(struct control *control)
{
    for (int id = 0; id < RES_COUNT; id++) {
        struct object_list list = api_list(control->api, (enum resource_id)id, NULL);
        for (size_t i = 0; i < list.count; i++)
            tell_all(control, &(struct store_event){.type = STORE_ADDED,
                                                    .resource = resource_get((enum resource_id)id),
                                                    .object = list.items[i],
                                                    .revision = object_revision(list.items[i])});
    }
}

int control_apply(struct control *control, enum resource_id id, json_t *take_object,
                  struct error *err)
{
    CLEANUP(json) json_t *object = take_object;
    const char *ns = json_str_at(object, "metadata.namespace");
    const char *name = json_str_at(object, "metadata.name");
    const struct object *old = api_get(control->api, id, ns ? ns : "", name ? name : "");

    if (!old)
        return api_create(control->api, id, TAKE(object), NULL, err);
    return api_update(control->api, id, TAKE(object), NULL, err);
}

static int make_fixed_objects(struct control *control, struct error *err)
{
    char node[NET_ADDRESS_SIZE];

    net_node_address(control->index, node);
    if (!api_get(control->api, RES_NAMESPACES, "", "monban-system") &&
        api_create(control->api, RES_NAMESPACES,
                   json_pack("{s:{s:s}}", "metadata", "name", "monban-system"), NULL, err) < 0)
        return -1;
    if (node_object_write(control, err) < 0)
        return -1;
    json_t *slice = json_pack("{s:{s:s,s:s,s:{s:s}},s:s,s:[{s:[s],s:{s:b}}],s:[{s:s,s:i,s:s}]}",
                              "metadata", "name", "kubernetes", "namespace", "default", "labels",
                              "kubernetes.io/service-name", "kubernetes", "addressType", "IPv4",
                              "endpoints", "addresses", node, "conditions", "ready", 1, "ports",
                              "name", "https", "port", NET_API_PORT, "protocol", "TCP");
    json_t *endpoints =
        json_pack("{s:{s:s,s:s},s:[{s:[{s:s}],s:[{s:s,s:i,s:s}]}]}", "metadata", "name",
                  "kubernetes", "namespace", "default", "subsets", "addresses", "ip", node, "ports",
                  "name", "https", "port", NET_API_PORT, "protocol", "TCP");
    int failed = control_apply(control, RES_ENDPOINTS, endpoints, err);
    return control_apply(control, RES_ENDPOINTSLICES, slice, err) < 0 || failed < 0 ? -1 : 0;
}

int control_new(const struct control_options *options, struct control **ret, struct error *err)
{
    CLEANUP(control) struct control *control = calloc(1, sizeof(*control));

    if (!control)
        return error_no_memory(err);
    control->loop = options->loop;
    control->api = options->api;
    control->index = options->cluster_index;
    control->node_name = str_dup(str_of(options->node_name));
    control->ca_pem = str_dup(str_of(options->ca_pem ? options->ca_pem : ""));
    control->queue = json_object();
    control->later = json_object();
    if (!control->node_name || !control->ca_pem || !control->queue || !control->later)
        return error_no_memory(err);
    if (store_watch_add(api_store(control->api), &(struct store_watch_options){0}, on_event,
                        control, &control->watch, err) < 0 ||
        make_fixed_objects(control, err) < 0)
        return error_wrap(err, "starting the controllers");
    look_at_everything(control);
    *ret = TAKE(control);
    return 0;
}

void control_free(struct control *control)
{
    if (!control)
        return;
    store_watch_remove(control->watch);
    loop_timer_remove(control->drain);
    loop_timer_remove(control->alarm);
    json_decref(control->queue);
    json_decref(control->later);
    free(control->node_name);
    free(control->ca_pem);
    free(control);
}

void control_set_node_ready(struct control *control, bool is_ready)
{
    struct error err = ERROR_INIT;

    control->is_node_ready = is_ready;
    if (node_object_write(control, &err) < 0)
        log_warn("the Node's status is out of date", log_err(&err));
}
