/* deliver/orders.c - the agent hears orders: a watch of the ConfigMaps order-WORKLOAD. */
#include <inttypes.h>

#include "base/fs.h"
#include "base/log.h"
#include "deliver/agent_internal.h"

enum { ORDERS_DONE_MAX = 50 };

static bool is_done(struct follow *follow, const char *id)
{
    const json_t *done = json_object_get(follow->memory, "ordersDone");
    size_t i;
    const json_t *item;

    json_array_foreach(done, i, item)
    {
        if (strcmp(json_string_value(item), id) == 0)
            return true;
    }
    return false;
}

/* Before it is done: an order is followed once, or not at all if we are killed in between. */
static void mark_done(struct follow *follow, const char *id)
{
    json_t *done = json_object_get(follow->memory, "ordersDone");

    (void)json_array_append_new(done, json_string(id));
    while (json_array_size(done) > ORDERS_DONE_MAX)
        (void)json_array_remove(done, 0);
    memory_save(follow->agent);
}

static void carry_out(struct follow *follow, const struct order *order)
{
    const char *running = json_str_at(memory_running(follow), "digest");

    if (is_done(follow, order->id))
        return;
    mark_done(follow, order->id);
    log_info("order", log_str("workload", follow->name), log_str("by", order->by),
             log_i64("order", order->order), log_u64("sequence", order->sequence),
             log_str("release", order->release), log_str("reason", order->reason));
    if (order->order != DELIVER_ROLLBACK) {
        decide_order(follow, order->order, order->release, order->by);
        return;
    }
    /* It is about what ran when it was given; a later release is not rolled back by an old order.
     */
    if (!running || strcmp(running, order->release) != 0)
        return;
    CLEANUP(text)
    char *why =
        str_format("rolled back by %s%s%s", order->by, order->reason[0] ? ": " : "", order->reason);
    follow_go_back(follow, order->sequence, why ? why : "rolled back by an order");
    report(follow);
}

static void on_order(struct kube_watch *watch, enum kube_event event, const json_t *object,
                     void *ctx)
{
    struct agent *agent = ctx;
    const char *envelope = json_str_at(object, "data.envelope");
    struct error err = ERROR_INIT;
    struct order order;

    if ((event != KUBE_ADDED && event != KUBE_MODIFIED) || !envelope)
        return;
    if (order_open(agent->operators, agent->site.cluster, str_of(envelope), &order, &err) < 0) {
        log_warn("an order does not count", log_str("name", json_str_at(object, "metadata.name")),
                 log_err(&err));
        return;
    }
    for (size_t i = 0; i < agent->follow_count; i++) {
        if (strcmp(agent->follows[i]->name, order.workload) == 0)
            carry_out(agent->follows[i], &order);
    }
}

int orders_start(struct agent *agent, struct error *err)
{
    struct kube_watch_options options = {
        .ref = {"v1", "ConfigMap", DELIVER_NAMESPACE, NULL},
        .list = {.label_selector = "monban.dev/order"},
        .on_event = on_order,
        .ctx = agent,
    };
    CLEANUP(text) char *path = fs_join(agent->dir, "keys/operator.pub");

    if (!path)
        return error_no_memory(err);
    if (trust_new(&agent->operators, err) < 0 || trust_add_file(agent->operators, path, err) < 0)
        return error_wrap(err, "reading whose orders are taken");
    return kube_watch_start(agent->kube, agent->loop, &options, &agent->order_watch, err);
}
