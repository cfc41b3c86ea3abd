/* cluster/node_link.c - starts the node process, tells it what is, and writes down what it says. */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "cluster/cluster_internal.h"
#include "cluster/node/peer.h"

enum { NODE_RESTART_FIRST_MS = 100, NODE_RESTART_MAX_MS = 10000 };

/* What the node mirrors; the plurals are the kinds of its messages. */
static const enum resource_id mirrored[] = {RES_PODS,       RES_SERVICES,       RES_ENDPOINTS,
                                            RES_CONFIGMAPS, RES_SECRETS,        RES_NETWORKPOLICIES,
                                            RES_NAMESPACES, RES_SERVICEACCOUNTS};

struct node_link {
    struct loop *loop;           /* borrowed */
    struct api *api;             /* borrowed */
    struct control *control;     /* borrowed */
    char *home, *name, *program; /* owned */
    struct store_watch *watch;   /* owned */
    struct peer *peer;           /* owned; NULL: no node */
    pid_t pid;                   /* 0: none */
    int64_t restart_ms;
    struct loop_timer *timer; /* owned by the loop */
    bool is_stopping;
    node_link_stopped_fn *on_stopped;
    void *ctx;
};

static bool is_mirrored(enum resource_id id)
{
    for (size_t i = 0; i < ARRAY_LEN(mirrored); i++)
        if (mirrored[i] == id)
            return true;
    return false;
}

static void send_put(struct node_link *link, const struct object *object)
{
    peer_send(link->peer,
              json_pack("{s:s,s:s,s:O}", "type", "put", "kind", object_resource(object)->plural,
                        "object", object_root(object)));
}

static void on_change(const struct store_event *event, void *ctx)
{
    struct node_link *link = ctx;

    if (!link->peer || !is_mirrored(event->resource->id))
        return;
    if (event->type != STORE_DELETED)
        send_put(link, event->object);
    else
        peer_send(link->peer,
                  json_pack("{s:s,s:s,s:s,s:s,s:s}", "type", "drop", "kind",
                            event->resource->plural, "namespace", object_namespace(event->object),
                            "name", object_name(event->object), "uid", object_uid(event->object)));
}

static void send_all(struct node_link *link)
{
    for (size_t i = 0; i < ARRAY_LEN(mirrored); i++) {
        struct object_list list = api_list(link->api, mirrored[i], NULL);
        for (size_t o = 0; o < list.count; o++)
            send_put(link, list.items[o]);
    }
    peer_send(link->peer, json_pack("{s:s}", "type", "synced"));
}

/* The pod that a message is about, if it is still that one. */
static const struct object *pod_of(struct node_link *link, const json_t *message)
{
    const char *ns = json_str_at(message, "namespace"), *name = json_str_at(message, "name");
    const char *uid = json_str_at(message, "uid");
    const struct object *pod = ns && name ? api_get(link->api, RES_PODS, ns, name) : NULL;
    return pod && uid && strcmp(object_uid(pod), uid) == 0 ? pod : NULL;
}

static void write_status(struct node_link *link, const struct object *pod, const json_t *message)
{
    CLEANUP(json) json_t *copy = json_deep_copy(object_root(pod));
    struct error err = ERROR_INIT;

    if (!copy || json_object_set(copy, "status", json_object_get(message, "status")) < 0)
        error_no_memory(&err);
    else if (api_update_status(link->api, RES_PODS, TAKE(copy), NULL, &err) == 0)
        return;
    log_warn("a pod's status is not recorded", log_str("pod", json_str_at(message, "name")),
             log_err(&err));
}

static void remove_pod(struct node_link *link, const struct object *pod)
{
    struct api_delete_options options = {.grace_s = 0, .uid = object_uid(pod)};
    CLEANUP(object) struct object *kept = object_ref(pod);
    struct error err = ERROR_INIT;

    if (api_delete(link->api, RES_PODS, object_namespace(kept), object_name(kept), &options, &err) <
            0 &&
        err.kind != ERR_NOT_FOUND)
        log_warn("a pod that is gone stays in the list", log_str("pod", object_name(kept)),
                 log_err(&err));
}

static void on_message(struct peer *peer, const json_t *message, void *ctx)
{
    struct node_link *link = ctx;
    const char *type = json_str_at(message, "type");
    const char *reason = json_str_at(message, "reason"), *text = json_str_at(message, "message");
    const char *event_type = json_str_at(message, "eventType");
    const struct object *pod;

    if (strcmp(type, "ready") == 0) {
        link->restart_ms = 0;
        control_set_node_ready(link->control, true);
    } else if ((pod = pod_of(link, message)) == NULL) {
        return; /* of a pod that is gone */
    } else if (strcmp(type, "status") == 0) {
        write_status(link, pod, message);
    } else if (strcmp(type, "gone") == 0) {
        remove_pod(link, pod);
    } else if (strcmp(type, "event") == 0 && reason && text && event_type) {
        api_record_event(link->api, pod, strcmp(event_type, "Warning") == 0 ? "Warning" : "Normal",
                         reason, "kubelet", "%s", text);
    }
}

static void start_again(struct node_link *link);

static void drop_peer(struct node_link *link)
{
    peer_free(TAKE(link->peer));
}

static void on_peer_end(struct peer *peer, const struct error *err, void *ctx)
{
    struct node_link *link = ctx;

    if (!link->is_stopping)
        log_warn("the node process went away; pods go on", log_err(err));
    drop_peer(link);
    if (link->pid) /* a peer that spoke nonsense must end, too; a child of ours that is not reaped
                      yet */
        (void)kill(link->pid, SIGKILL);
}

static void on_node_end(struct loop *loop, pid_t pid, int status, void *ctx)
{
    struct node_link *link = ctx;

    link->pid = 0;
    drop_peer(link);
    if (link->is_stopping) {
        if (link->on_stopped)
            link->on_stopped(link->ctx);
        return;
    }
    char text[100];
    log_warn("the node process is started again",
             log_str("it", proc_status_text(status, text, sizeof(text))));
    control_set_node_ready(link->control, false);
    start_again(link);
}

static int start(struct node_link *link, struct error *err)
{
    const char *const argv[] = {link->program, "cluster",  "serve",  link->name,
                                "--home",      link->home, "--node", NULL};
    struct proc_options options = PROC_OPTIONS_INIT;
    CLEANUP(fd) int ours = -1;
    CLEANUP(fd) int theirs = -1;
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return error_errno(err, "making a socket pair");
    ours = ends[0];
    theirs = ends[1];
    options.argv = argv;
    options.stdout_fd = 2;
    options.stderr_fd = 2;
    options.keep_fds = &theirs;
    options.keep_fds_count = 1;
    if (proc_start(&options, &link->pid, err) < 0)
        return error_wrap(err, "starting the node process");
    if (loop_add_child(link->loop, link->pid, on_node_end, link, err) < 0 ||
        peer_new(link->loop, TAKE_FD(ours), on_message, on_peer_end, link, &link->peer, err) < 0)
        return -1;
    send_all(link);
    return 0;
}

static void on_timer(struct loop *loop, void *ctx)
{
    struct node_link *link = ctx;
    struct error err = ERROR_INIT;

    link->timer = NULL;
    if (start(link, &err) == 0)
        return;
    log_error("no node process: nothing starts", log_err(&err));
    if (!link->pid) /* else its end brings the next try */
        start_again(link);
}

static void start_again(struct node_link *link)
{
    struct error err = ERROR_INIT;

    link->restart_ms = link->restart_ms ? link->restart_ms * 2 : NODE_RESTART_FIRST_MS;
    if (link->restart_ms > NODE_RESTART_MAX_MS)
        link->restart_ms = NODE_RESTART_MAX_MS;
    if (loop_add_timer(link->loop, link->restart_ms, on_timer, link, &link->timer, &err) < 0)
        log_error("no node process: nothing starts", log_err(&err));
}

int node_link_new(const struct node_link_options *options, struct node_link **ret,
                  struct error *err)
{
    CLEANUP(node_link) struct node_link *link = calloc(1, sizeof(*link));

    if (!link)
        return error_no_memory(err);
    link->loop = options->loop;
    link->api = options->api;
    link->control = options->control;
    link->home = str_dup(str_of(options->home));
    link->name = str_dup(str_of(options->name));
    link->program = str_dup(str_of(options->program));
    if (!link->home || !link->name || !link->program)
        return error_no_memory(err);
    if (store_watch_add(api_store(link->api), &(struct store_watch_options){0}, on_change, link,
                        &link->watch, err) < 0 ||
        start(link, err) < 0)
        return -1;
    *ret = TAKE(link);
    return 0;
}

void node_link_stop(struct node_link *link, bool with_pods, node_link_stopped_fn *on_stopped,
                    void *ctx)
{
    link->is_stopping = true;
    link->on_stopped = on_stopped;
    link->ctx = ctx;
    if (link->timer)
        loop_timer_remove(TAKE(link->timer));
    if (!link->pid || !link->peer)
        on_stopped(ctx);
    else
        peer_send(link->peer, json_pack("{s:s,s:b}", "type", "stop", "pods", (int)with_pods));
}

void node_link_free(struct node_link *link)
{
    if (!link)
        return;
    store_watch_remove(link->watch);
    if (link->timer)
        loop_timer_remove(link->timer);
    drop_peer(link); /* the node ends when it sees that */
    free(link->home);
    free(link->name);
    free(link->program);
    free(link);
}
