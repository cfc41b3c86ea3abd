/* cluster/node/node.c - the node process: mirrors what the server tells, and runs this cluster's
 * pods. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "cluster/files.h"
#include "cluster/net/netns.h"
#include "cluster/node/node_internal.h"

enum { NODE_SERVER_FD = 3, NODE_LOG_CHECK_MS = 30000 };

const char *const mirror_names[MIRROR_COUNT] = {
    [MIRROR_PODS] = "pods",
    [MIRROR_SERVICES] = "services",
    [MIRROR_ENDPOINTS] = "endpoints",
    [MIRROR_CONFIGMAPS] = "configmaps",
    [MIRROR_SECRETS] = "secrets",
    [MIRROR_NETWORKPOLICIES] = "networkpolicies",
    [MIRROR_NAMESPACES] = "namespaces",
    [MIRROR_SERVICEACCOUNTS] = "serviceaccounts",
};

const json_t *node_find(const struct node *node, enum mirror kind, const char *ns, const char *name)
{
    CLEANUP(text) char *key = str_format("%s/%s", ns, name);
    return key ? json_object_get(node->mirror[kind], key) : NULL;
}

static int find_kind(const json_t *message)
{
    const char *kind = json_str_at(message, "kind");
    for (int i = 0; kind && i < MIRROR_COUNT; i++)
        if (strcmp(kind, mirror_names[i]) == 0)
            return i;
    return -1;
}

/* A pod that may run here: new, or known. */
static void see_pod(struct node *node, const json_t *object)
{
    const char *uid = json_str_at(object, "metadata.uid"),
               *phase = json_str_at(object, "status.phase");
    struct pod *pod = uid ? pod_find(node, uid) : NULL;
    struct error err = ERROR_INIT;

    if (pod) {
        pod_update(pod, object);
        return;
    }
    if (!json_str_at(object, "spec.nodeName"))
        return; /* not ours yet */
    if (json_str_at(object,
                    "metadata.deletionTimestamp")) { /* it never began, or its end was not told */
        peer_send(node->peer,
                  json_pack("{s:s,s:s,s:s,s:s}", "type", "gone", "namespace",
                            json_str_at(object, "metadata.namespace"), "name",
                            json_str_at(object, "metadata.name"), "uid", uid ? uid : ""));
        return;
    }
    if (phase && (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0))
        return; /* of an earlier life of the machine: it does not start again */
    if (pod_new(node, object, &pod, &err) < 0) {
        log_warn("a pod cannot run here", log_str("name", json_str_at(object, "metadata.name")),
                 log_err(&err));
        return;
    }
    pod->next = node->pods;
    node->pods = pod;
    pod_update(pod, object);
}

/* What follows from a change of anything but a pod. */
static void follow(struct node *node, enum mirror kind, const char *ns, const char *name)
{
    switch (kind) {
    case MIRROR_SERVICES:
        relays_update(node->relays);
        firewall_touch(node);
        break;
    case MIRROR_ENDPOINTS:
    case MIRROR_NETWORKPOLICIES:
    case MIRROR_NAMESPACES:
        firewall_touch(node);
        break;
    case MIRROR_CONFIGMAPS:
    case MIRROR_SECRETS:
        for (struct pod *pod = node->pods, *next; pod; pod = next) {
            next = pod->next;
            if (strcmp(pod->ns, ns) != 0)
                continue;
            volume_refresh(pod, kind, name);
            pod_retry(pod);
        }
        break;
    default:
        break;
    }
}

static void on_put(struct node *node, const json_t *message)
{
    int kind = find_kind(message);
    json_t *object = json_object_get(message, "object");
    const char *ns = json_str_at(object, "metadata.namespace"),
               *name = json_str_at(object, "metadata.name");
    CLEANUP(text) char *key = name ? str_format("%s/%s", ns ? ns : "", name) : NULL;

    if (kind < 0 || !key)
        return;
    if (json_object_set(node->mirror[kind], key, object) < 0)
        log_error("the node forgets an object: no memory", log_str("name", name));
    if (!node->is_synced || node->is_stopping)
        return;
    if (kind == MIRROR_PODS)
        see_pod(node, object);
    else
        follow(node, (enum mirror)kind, ns ? ns : "", name);
}

static void on_drop(struct node *node, const json_t *message)
{
    int kind = find_kind(message);
    const char *ns = json_str_at(message, "namespace"), *name = json_str_at(message, "name");
    const char *uid = json_str_at(message, "uid");
    CLEANUP(text) char *key = name ? str_format("%s/%s", ns ? ns : "", name) : NULL;

    if (kind < 0 || !key)
        return;
    const char *have = json_str_at(json_object_get(node->mirror[kind], key), "metadata.uid");
    if (have && uid && strcmp(have, uid) == 0)
        (void)json_object_del(node->mirror[kind], key); /* it is there */
    if (!node->is_synced)
        return;
    struct pod *pod = kind == MIRROR_PODS && uid ? pod_find(node, uid) : NULL;
    if (pod) { /* removed without waiting for us */
        pod->is_gone_there = true;
        pod_end(pod, 0);
    } else if (kind != MIRROR_PODS) {
        follow(node, (enum mirror)kind, ns ? ns : "", name);
    }
}

static void on_synced(struct node *node)
{
    const char *key;
    json_t *object;
    void *next;

    node->is_synced = true;
    pod_load_all(node); /* before new ones, so that addresses are known */
    json_object_foreach_safe(node->mirror[MIRROR_PODS], next, key, object)
    {
        const char *uid = json_str_at(object, "metadata.uid");
        if (uid && !pod_find(node, uid))
            see_pod(node, object);
    }
    relays_update(node->relays);
    firewall_touch(node);
    peer_send(node->peer, json_pack("{s:s}", "type", "ready"));
}

void node_check_stopped(struct node *node)
{
    if (!node->is_stopping || node->pods)
        return;
    peer_send(node->peer, json_pack("{s:s}", "type", "stopped"));
    loop_stop(node->loop);
}

static void on_stop(struct node *node, bool with_pods)
{
    if (!with_pods) {
        loop_stop(node->loop);
        return;
    }
    node->is_stopping = true;
    for (struct pod *pod = node->pods, *next; pod; pod = next) {
        next = pod->next;
        pod_end(pod, -1);
    }
    node_check_stopped(node);
}

static void on_message(struct peer *peer, const json_t *message, void *ctx)
{
    struct node *node = ctx;
    const char *type = json_str_at(message, "type");

    if (strcmp(type, "put") == 0)
        on_put(node, message);
    else if (strcmp(type, "drop") == 0)
        on_drop(node, message);
    else if (strcmp(type, "synced") == 0)
        on_synced(node);
    else if (strcmp(type, "stop") == 0)
        on_stop(node, json_bool_at(message, "pods", false));
}

static void on_end(struct peer *peer, const struct error *err, void *ctx)
{
    struct node *node = ctx;
    loop_stop(node->loop); /* pods go on; the next node adopts them */
}

static void on_log_check(struct loop *loop, void *ctx)
{
    struct node *node = ctx;
    struct error err = ERROR_INIT;

    container_cut_logs(node);
    if (loop_add_timer(loop, NODE_LOG_CHECK_MS, on_log_check, node, NULL, &err) < 0)
        log_warn("logs grow without limit", log_err(&err));
}

static void node_done(struct node *node)
{
    while (node->pods) {
        struct pod *pod = node->pods;
        node->pods = pod->next;
        pod_free(pod);
    }
    dns_free(node->dns);
    relays_free(node->relays);
    peer_free(node->peer);
    reaper_free(node->reaper);
    conntrack_close(node->ct);
    nft_close(node->nft);
    nl_close(node->nl);
    io_close(&node->netns);
    io_close(&node->lock);
    for (int i = 0; i < MIRROR_COUNT; i++)
        json_decref(node->mirror[i]);
    free(node->name);
    free(node->folder);
    free(node->state_dir);
    free(node->firewall_text);
    loop_free(node->loop);
}
DEFINE_CLEANUP_VALUE(node, struct node, node_done)

static int open_all(struct node *node, const struct cluster_info *info, struct error *err)
{
    node->name = str_dup(str_of(info->name));
    node->folder = str_dup(str_of(info->folder));
    node->state_dir = str_format("%s/pods/.runtime", info->folder);
    if (!node->name || !node->folder || !node->state_dir)
        return error_no_memory(err);
    node->index = info->index;
    node->is_inner = info->loop == CLUSTER_INNER;
    for (int i = 0; i < MIRROR_COUNT; i++)
        if (!(node->mirror[i] = json_object()))
            return error_no_memory(err);
    CLEANUP(text) char *lock_path = fs_join(info->folder, "node.lock");
    if (!lock_path)
        return error_no_memory(err);
    /* a node that was killed may still be about to end: two must not have the same pods */
    if (fs_lock(AT_FDCWD, lock_path, true, &node->lock, err) < 0 ||
        cluster_write_pid(info, "node.pid", err) < 0)
        return -1;
    if (fs_make_dirs(AT_FDCWD, node->state_dir, 0700, err) < 0 ||
        netns_open(info->netns, &node->netns, err) < 0 ||
        nl_open(node->netns, &node->nl, err) < 0 || nft_open(node->netns, &node->nft, err) < 0 ||
        conntrack_open(node->netns, &node->ct, err) < 0 || loop_new(&node->loop, err) < 0 ||
        reaper_new(node->loop, &node->reaper, err) < 0 || dns_new(node, &node->dns, err) < 0 ||
        relays_new(node, &node->relays, err) < 0)
        return -1;
    if (loop_add_timer(node->loop, NODE_LOG_CHECK_MS, on_log_check, node, NULL, err) < 0)
        return -1;
    return peer_new(node->loop, NODE_SERVER_FD, on_message, on_end, node, &node->peer, err);
}

int cluster_node(const char *home, const char *name, struct error *err)
{
    CLEANUP(node) struct node node = {.netns = -1, .lock = -1};
    CLEANUP(cluster_info) struct cluster_info info = CLUSTER_INFO_INIT;

    (void)signal(SIGINT, SIG_IGN); /* the server decides when we end */
    /* containers and workers' programs must not hold the server's socket */
    if (fcntl(NODE_SERVER_FD, F_SETFD, FD_CLOEXEC) < 0)
        return error_errno(err, "the node process needs its server's socket");
    if (cluster_find(home, name, &info, err) < 0 || cluster_write_pid(&info, "node.pid", err) < 0 ||
        open_all(&node, &info, err) < 0)
        return error_wrap(err, "starting the node of cluster '%s'", name);
    log_info("node started", log_str("cluster", name));
    return loop_run(node.loop, err);
}
