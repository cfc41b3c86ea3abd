/* cluster/node/pod.c - a pod from its first sight to its removal. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/net/table.h"
#include "cluster/node/node.h"
#include "cluster/node/node_internal.h"

enum {
    /* Between leaving the Services and the stop signal: connections that were being made when the
     * pod left are answered, also by programs that end at once. */
    POD_DRAIN_MS = 100,
    POD_RETRY_FIRST_MS = 500,
    POD_RETRY_MAX_MS = 30000,
    POD_CONTAINERS_MAX = 64,
};

const char *pod_address(const struct pod *pod, char out[NET_ADDRESS_SIZE])
{
    if (pod->host)
        return net_pod_address(pod->node->index, pod->host, out);
    out[0] = '\0';
    return out;
}

const char *pod_restart_policy(const struct pod *pod)
{
    const char *policy = json_str_at(pod->object, "spec.restartPolicy");
    return policy ? policy : "Always";
}

char *pod_log_folder(const struct pod *pod)
{
    return str_format("%s/logs/%s_%s_%s", pod->node->folder, pod->ns, pod->name, pod->uid);
}

void pod_event(struct pod *pod, const char *type, const char *reason, const char *format, ...)
{
    char message[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (pod->is_gone_there)
        return;
    peer_send(pod->node->peer, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "type", "event",
                                         "namespace", pod->ns, "name", pod->name, "uid", pod->uid,
                                         "eventType", type, "reason", reason, "message", message));
}

struct pod *pod_find(struct node *node, const char *uid)
{
    for (struct pod *pod = node->pods; pod; pod = pod->next)
        if (strcmp(pod->uid, uid) == 0)
            return pod;
    return NULL;
}

static bool is_good_name(const char *name)
{
    return name && name[0] && strlen(name) <= 253 && !strchr(name, '/') && name[0] != '.';
}

static int add_containers(struct pod *pod, const json_t *list, bool is_init, struct error *err)
{
    size_t i;
    json_t *item;

    json_array_foreach((json_t *)list, i, item)
    {
        const char *name = json_str_at(item, "name"), *policy = json_str_at(item, "restartPolicy");
        struct container *c = &pod->containers[pod->container_count];
        if (!is_good_name(name))
            return error_set(err, ERR_INVALID, "a container without a good name");
        *c = (struct container){.pod = pod, .number = pod->container_count, .is_init = is_init};
        c->is_sidecar = is_init && policy && strcmp(policy, "Always") == 0;
        c->name = str_dup(str_of(name));
        if (!c->name)
            return error_no_memory(err);
        pod->container_count++;
    }
    return 0;
}

int pod_new(struct node *node, const json_t *object, struct pod **ret, struct error *err)
{
    const json_t *init = json_at(object, "spec.initContainers"),
                 *main = json_at(object, "spec.containers");
    const char *uid = json_str_at(object, "metadata.uid"),
               *ns = json_str_at(object, "metadata.namespace");
    const char *name = json_str_at(object, "metadata.name");
    size_t count = json_array_size(init) + json_array_size(main);

    if (!is_good_name(uid) || !is_good_name(ns) || !is_good_name(name) || count == 0 ||
        count > POD_CONTAINERS_MAX)
        return error_set(err, ERR_INVALID, "a pod without good names, or with %zu containers",
                         count);
    struct pod *pod = calloc(1, sizeof(*pod));
    if (!pod)
        return error_no_memory(err);
    pod->node = node;
    pod->object = json_incref((json_t *)object);
    pod->uid = str_dup(str_of(uid));
    pod->ns = str_dup(str_of(ns));
    pod->name = str_dup(str_of(name));
    pod->folder = str_format("%s/pods/%s", node->folder, uid);
    pod->containers = calloc(count, sizeof(*pod->containers));
    pod->conditions_since = json_object();
    pod->started_s = clock_now_s();
    pod->grace_s = -1;
    if (!pod->uid || !pod->ns || !pod->name || !pod->folder || !pod->containers ||
        !pod->conditions_since) {
        pod_free(pod);
        return error_no_memory(err);
    }
    if (add_containers(pod, init, true, err) < 0 || add_containers(pod, main, false, err) < 0) {
        pod_free(pod);
        return -1;
    }
    *ret = pod;
    return 0;
}

void pod_free(struct pod *pod)
{
    if (!pod)
        return;
    for (size_t i = 0; i < pod->container_count; i++)
        container_release(&pod->containers[i]);
    if (pod->timer)
        loop_timer_remove(pod->timer);
    node_worker_cancel(pod->worker);
    free(pod->containers);
    json_decref(pod->object);
    json_decref(pod->conditions_since);
    free(pod->uid);
    free(pod->ns);
    free(pod->name);
    free(pod->folder);
    free(pod->sent_status);
    free(pod);
}

static void set_timer(struct pod *pod, int64_t after_ms, loop_timer_fn *fn)
{
    struct error err = ERROR_INIT;

    if (pod->timer)
        loop_timer_remove(TAKE(pod->timer));
    if (loop_add_timer(pod->node->loop, after_ms, fn, pod, &pod->timer, &err) < 0)
        log_error("a pod waits for ever", log_str("pod", pod->name), log_err(&err));
}

/* --- begin --- */

static int take_address(struct pod *pod, struct error *err)
{
    for (unsigned host = NODE_HOST_FIRST; host <= NODE_HOST_LAST && !pod->host; host++)
        if (!pod->node->by_host[host])
            pod->host = host;
    if (!pod->host)
        return error_set(err, ERR_LIMIT, "no address is free in 10.90.%u.0/24", pod->node->index);
    pod->node->by_host[pod->host] = pod;
    return 0;
}

static int write_etc(const struct pod *pod, const char *name, const struct buf *text,
                     struct error *err)
{
    CLEANUP(text) char *path = str_format("%s/etc/%s", pod->folder, name);
    if (!path)
        return error_no_memory(err);
    if (buf_ok(text, err) < 0)
        return -1;
    return fs_write_quick(AT_FDCWD, path, buf_str(text), 0644, err);
}

/* Words of a list, each checked to be a word: they go into files with a grammar. */
static void add_word_list(struct buf *out, const char *before, const json_t *list,
                          const char *after)
{
    size_t i;
    json_t *item;

    json_array_foreach((json_t *)list, i, item)
    {
        const char *word = json_string_value(item);
        if (word && !strpbrk(word, " \t\r\n#"))
            buf_addf(out, "%s%s%s", before, word, after);
    }
}

static void resolv_conf(const struct pod *pod, struct buf *out)
{
    const char *policy = json_str_at(pod->object, "spec.dnsPolicy");
    const json_t *config = json_at(pod->object, "spec.dnsConfig");
    bool is_own = policy && strcmp(policy, "None") == 0;
    char node[NET_ADDRESS_SIZE];

    buf_add_text(out, "search");
    if (!is_own)
        buf_addf(out, " %s.svc.cluster.local svc.cluster.local cluster.local", pod->ns);
    add_word_list(out, " ", json_object_get(config, "searches"), "");
    buf_add_text(out, "\n");
    if (!is_own)
        buf_addf(out, "nameserver %s\n", net_node_address(pod->node->index, node));
    add_word_list(out, "nameserver ", json_object_get(config, "nameservers"), "\n");
    buf_add_text(out, is_own ? "" : "options ndots:5\n");
}

static int write_files(const struct pod *pod, struct error *err)
{
    CLEANUP(buf) struct buf hosts = BUF_INIT(1 << 20);
    CLEANUP(buf) struct buf hostname = BUF_INIT(1024);
    CLEANUP(buf) struct buf resolv = BUF_INIT(1 << 16);
    const char *name = json_str_at(pod->object, "spec.hostname");
    char address[NET_ADDRESS_SIZE];
    size_t i;
    json_t *alias;

    buf_addf(&hostname, "%s\n", name ? name : pod->name);
    buf_addf(&hosts, "127.0.0.1\tlocalhost\n%s\t%s\n", pod_address(pod, address),
             name ? name : pod->name);
    json_array_foreach(json_at(pod->object, "spec.hostAliases"), i, alias)
    {
        uint32_t checked;
        const char *ip = json_str_at(alias, "ip");
        if (!table_parse_address(ip, &checked))
            continue;
        buf_add_text(&hosts, ip);
        add_word_list(&hosts, "\t", json_object_get(alias, "hostnames"), "");
        buf_add_text(&hosts, "\n");
    }
    resolv_conf(pod, &resolv);
    if (write_etc(pod, "hosts", &hosts, err) < 0 || write_etc(pod, "hostname", &hostname, err) < 0)
        return -1;
    return write_etc(pod, "resolv.conf", &resolv, err);
}

static int make_folders(const struct pod *pod, struct error *err)
{
    static const char *const names[] = {"etc", "c", "volumes"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP(text) char *path = fs_join(pod->folder, names[i]);
        if (!path)
            return error_no_memory(err);
        if (fs_make_dirs(AT_FDCWD, path, 0755, err) < 0)
            return -1;
    }
    return 0;
}

static int prepare(struct pod *pod, const char **ret_reason, struct error *err)
{
    CLEANUP(text) char *netns = fs_join(pod->folder, "netns");
    struct pod_net net = {pod->node->index, pod->node->netns, pod->node->nl};

    *ret_reason = "FailedCreatePodSandBox";
    if (!netns)
        return error_no_memory(err);
    if (json_bool_at(pod->object, "spec.hostNetwork", false))
        return error_set(err, ERR_UNSUPPORTED, "hostNetwork is not offered by an embedded cluster");
    if (take_address(pod, err) < 0 || make_folders(pod, err) < 0 || write_files(pod, err) < 0)
        return -1;
    pod_save(pod); /* from here on there is something to remove */
    if (pod_net_add(&net, netns, pod->host, err) < 0)
        return -1;
    *ret_reason = "FailedMount";
    return volume_make_all(pod, err);
}

static void on_retry(struct loop *loop, void *ctx);

static void begin(struct pod *pod)
{
    const char *reason;
    struct error err = ERROR_INIT;

    if (prepare(pod, &reason, &err) < 0) {
        pod_event(pod, "Warning", reason, "%s", err.text);
        pod->retry_ms = pod->retry_ms ? pod->retry_ms * 2 : POD_RETRY_FIRST_MS;
        if (pod->retry_ms > POD_RETRY_MAX_MS)
            pod->retry_ms = POD_RETRY_MAX_MS;
        set_timer(pod, pod->retry_ms, on_retry);
        pod_report(pod);
        return;
    }
    pod->phase = POD_RUNNING;
    firewall_touch(pod->node);
    pod_step(pod);
    pod_report(pod);
}

static void on_retry(struct loop *loop, void *ctx)
{
    struct pod *pod = ctx;
    pod->timer = NULL;
    if (pod->phase == POD_NEW)
        begin(pod);
}

void pod_retry(struct pod *pod)
{
    if (pod->phase == POD_NEW && pod->timer) {
        loop_timer_remove(TAKE(pod->timer));
        begin(pod);
        return;
    }
    for (size_t i = 0; pod->phase == POD_RUNNING && i < pod->container_count; i++)
        if (strcmp(pod->containers[i].reason, "CreateContainerConfigError") == 0 &&
            pod->containers[i].phase == CONTAINER_WAITING)
            container_begin(&pod->containers[i]);
}

/* Init containers one after another, then all others at once. */
void pod_step(struct pod *pod)
{
    if (pod->phase != POD_RUNNING)
        return;
    for (size_t i = 0; i < pod->container_count; i++) {
        struct container *c = &pod->containers[i];
        bool is_untouched = c->phase == CONTAINER_WAITING && !c->timer && !c->worker;
        if (is_untouched)
            container_begin(c);
        if (!c->is_init)
            continue;
        if (c->is_sidecar ? !c->is_started : c->phase != CONTAINER_EXITED || c->exit_code != 0)
            return; /* the next ones wait for it */
    }
}

/* --- end --- */

static bool is_all_ended(const struct pod *pod, bool with_sidecars)
{
    for (size_t i = 0; i < pod->container_count; i++) {
        const struct container *c = &pod->containers[i];
        if (!with_sidecars && c->is_init)
            continue;
        if (c->phase != CONTAINER_EXITED || c->worker)
            return false;
    }
    return true;
}

static int removal_job(struct worker *worker, void *ctx, json_t **ret, struct error *err)
{
    struct pod *pod = ctx;
    CLEANUP(text) char *volumes = fs_join(pod->folder, "volumes");
    CLEANUP(text) char *logs = pod_log_folder(pod);

    if (!volumes || !logs)
        return error_no_memory(err);
    if (node_remove_containers(pod->node->state_dir, pod->folder, pod->uid, err) < 0 ||
        fs_remove_tree(AT_FDCWD, volumes, err) < 0)
        return -1;
    return fs_remove_tree(AT_FDCWD, logs, err);
}

static void forget_address(struct pod *pod)
{
    struct node *node = pod->node;
    CLEANUP(text) char *netns = fs_join(pod->folder, "netns");
    char address[NET_ADDRESS_SIZE];
    struct error err = ERROR_INIT;
    uint32_t number;

    if (!pod->host || !netns)
        return;
    pod_net_remove(&(struct pod_net){node->index, node->netns, node->nl}, netns, pod->host);
    /* the next pod of this address must not get the flows of this one */
    if (table_parse_address(pod_address(pod, address), &number) &&
        conntrack_forget(node->ct, number, NULL, &err) < 0)
        log_warn("flows of a pod that is gone stay tracked", log_str("address", address),
                 log_err(&err));
    node->by_host[pod->host] = NULL;
    pod->host = 0;
}

static void remove_now(struct pod *pod);

static void on_remove_again(struct loop *loop, void *ctx)
{
    struct pod *pod = ctx;
    pod->timer = NULL;
    remove_now(pod);
}

static void on_removed(const json_t *result, const struct error *err, void *ctx)
{
    struct pod *pod = ctx;
    struct node *node = pod->node;
    struct error second = ERROR_INIT;

    pod->worker = NULL;
    if (!err) {
        forget_address(pod);
        if (fs_remove_tree(AT_FDCWD, pod->folder, &second) < 0)
            err = &second;
    }
    if (err) {
        log_warn("a pod's remains are removed later", log_str("pod", pod->name), log_err(err));
        set_timer(pod, POD_RETRY_FIRST_MS, on_remove_again);
        return;
    }
    if (!pod->is_gone_there && !node->is_stopping)
        peer_send(node->peer, json_pack("{s:s,s:s,s:s,s:s}", "type", "gone", "namespace", pod->ns,
                                        "name", pod->name, "uid", pod->uid));
    for (struct pod **at = &node->pods; *at; at = &(*at)->next) {
        if (*at == pod) {
            *at = pod->next;
            break;
        }
    }
    pod_free(pod);
    firewall_touch(node);
    node_check_stopped(node);
}

static void remove_now(struct pod *pod)
{
    struct error err = ERROR_INIT;
    struct worker_options options = {.loop = pod->node->loop,
                                     .reaper = pod->node->reaper,
                                     .job = removal_job,
                                     .on_done = on_removed,
                                     .ctx = pod};

    pod->phase = POD_REMOVING;
    if (pod->timer)
        loop_timer_remove(TAKE(pod->timer));
    if (node_worker_start(&options, &pod->worker, &err) < 0)
        on_removed(NULL, &err, pod);
}

static void on_grace_over(struct loop *loop, void *ctx)
{
    struct pod *pod = ctx;

    pod->timer = NULL;
    for (size_t i = 0; i < pod->container_count; i++)
        container_kill_now(&pod->containers[i]);
}

static void stop(struct pod *pod)
{
    pod->phase = POD_STOPPING;
    for (size_t i = 0; i < pod->container_count; i++)
        if (!pod->containers[i].is_sidecar)
            container_stop(&pod->containers[i]);
    if (pod->phase == POD_STOPPING) /* container_stop() may have come to its end already */
        pod_container_ended(pod);
    if (pod->phase != POD_STOPPING)
        return;
    if (pod->grace_s == 0)
        on_grace_over(pod->node->loop, pod);
    else
        set_timer(pod, pod->grace_s * 1000, on_grace_over);
}

static void on_drained(struct loop *loop, void *ctx)
{
    struct pod *pod = ctx;
    pod->timer = NULL;
    stop(pod);
}

void pod_end(struct pod *pod, int64_t grace_s)
{
    char address[NET_ADDRESS_SIZE];

    if (grace_s < 0)
        grace_s = json_int_at(pod->object, "metadata.deletionGracePeriodSeconds",
                              json_int_at(pod->object, "spec.terminationGracePeriodSeconds", 30));
    if (pod->phase >= POD_DRAINING && pod->grace_s >= 0 && grace_s >= pod->grace_s)
        return;
    pod->grace_s = grace_s;
    if (pod->phase == POD_REMOVING)
        return;
    if (pod->phase == POD_STOPPING) { /* less patience than before */
        set_timer(pod, grace_s * 1000, on_grace_over);
        return;
    }
    if (pod->timer)
        loop_timer_remove(TAKE(pod->timer));
    bool is_serving = pod->phase == POD_RUNNING && !pod->is_gone_there && grace_s > 0 &&
                      firewall_has_endpoint(pod->node, pod_address(pod, address));
    pod->phase = POD_DRAINING;
    for (size_t i = 0; i < pod->container_count; i++)
        probe_stop_all(&pod->containers[i]); /* a probe that fails now means nothing */
    if (is_serving)
        set_timer(pod, POD_DRAIN_MS, on_drained);
    else
        stop(pod);
}

void pod_container_ended(struct pod *pod)
{
    bool is_dead = false;

    if (pod->phase == POD_STOPPING) {
        if (is_all_ended(pod, false)) /* sidecars last */
            for (size_t i = 0; i < pod->container_count; i++)
                if (pod->containers[i].is_sidecar && !pod->containers[i].is_stopping)
                    container_stop(&pod->containers[i]);
        pod_report(pod);
        if (pod->phase == POD_STOPPING && is_all_ended(pod, true))
            remove_now(pod);
        return;
    }
    if (pod->phase == POD_RUNNING) {
        for (size_t i = 0; i < pod->container_count; i++) {
            struct container *c = &pod->containers[i];
            if (c->is_init && !c->is_sidecar && c->phase == CONTAINER_EXITED && c->exit_code != 0)
                is_dead = true; /* EXITED and not to be restarted */
        }
        if (is_dead || is_all_ended(pod, false)) {
            pod->phase = POD_DONE;
            for (size_t i = 0; i < pod->container_count; i++)
                container_stop(&pod->containers[i]); /* sidecars */
        } else {
            pod_step(pod);
        }
    }
    pod_report(pod);
}

void pod_update(struct pod *pod, const json_t *object)
{
    json_t *before = pod->object;

    pod->object = json_incref((json_t *)object);
    if (!json_equal(json_at(before, "metadata.labels"), json_at(object, "metadata.labels")))
        firewall_touch(pod->node);
    json_decref(before);
    if (json_str_at(object, "metadata.deletionTimestamp"))
        pod_end(pod, -1);
    else if (pod->phase == POD_NEW && !pod->timer)
        begin(pod);
    else if (pod->phase == POD_RUNNING)
        pod_step(pod);
    if (pod_find(pod->node, json_str_at(object, "metadata.uid")) == pod)
        pod_report(pod);
}
