/* cluster/serve.c - the server process of a cluster: API, controllers, registry, and the node as
 * its child. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "cluster/api/server.h"
#include "cluster/cluster_internal.h"
#include "cluster/net/netns.h"
#include "cluster/net/pod_net.h"
#include "oci/registry_server.h"

/* bytes of a request: clients send blobs to the registry in pieces of 16 MiB (oci/registry_push.c)
 */
enum { BLOB_PIECE_MAX = 17 << 20 };

struct server {
    const struct cluster_serve_options *options;
    struct cluster_info info;
    struct loop *loop;         /* owned */
    struct api *api;           /* owned */
    struct control *control;   /* owned */
    struct registry *registry; /* owned */
    struct api_server *http;   /* owned */
    struct node_link *node;    /* owned */
    char *ca, *cert, *key;     /* owned */
    int lock;
    bool is_stopping;
};

static void server_done(struct server *s)
{
    node_link_free(s->node);
    registry_free(s->registry); /* first: its open long polls are answered through the server */
    api_server_free(s->http);
    control_free(s->control);
    api_free(s->api);
    loop_free(s->loop);
    free(s->ca);
    free(s->cert);
    free(s->key);
    io_close(&s->lock);
    cluster_info_done(&s->info);
}
DEFINE_CLEANUP_VALUE(server, struct server, server_done)

static void on_stopped(void *ctx)
{
    struct server *s = ctx;
    loop_stop(s->loop);
}

static void on_signal(struct loop *loop, int number, void *ctx)
{
    struct server *s = ctx;

    if (s->is_stopping) {
        loop_stop(loop); /* asked twice: at once */
        return;
    }
    s->is_stopping = true;
    node_link_stop(s->node, number == SIGUSR1 || s->options->stop_pods, on_stopped, s);
}

static int may(const struct http_request *req, const char *repository, void *ctx)
{
    return 0; /* the API server has let the request in: client certificate of this cluster */
}

static void on_registry(struct http_request *req, void *ctx)
{
    struct server *s = ctx;
    if (!registry_handle(s->registry, req))
        http_respond(req, 404, NULL, STR("not found\n"));
}

/* The machine's loopback, at the port of before if it is free; and the address inside the cluster.
 */
static int listen_all(struct server *s, int fds[2], struct error *err)
{
    char node[NET_ADDRESS_SIZE];
    CLEANUP(fd) int netns = -1;

    if (io_listen_tcp("127.0.0.1", s->info.port, -1, &fds[0], NULL, err) < 0) {
        if (err->sys_errno != EADDRINUSE)
            return -1;
        error_clear(err);
        if (io_listen_tcp("127.0.0.1", 0, -1, &fds[0], &s->info.port, err) < 0 ||
            cluster_write(&s->info, err) < 0)
            return -1;
        log_warn("the port was taken: the kubeconfig has another now",
                 log_u64("port", s->info.port));
    }
    if (netns_open(s->info.netns, &netns, err) < 0)
        return -1;
    return io_listen_tcp(net_node_address(s->info.index, node), NET_API_PORT, netns, &fds[1], NULL,
                         err);
}

static int start_api(struct server *s, struct error *err)
{
    CLEANUP(text) char *store = fs_join(s->info.folder, "store.db");
    CLEANUP(text) char *logs = fs_join(s->info.folder, "logs");
    CLEANUP(text) char *images = fs_join(s->info.folder, "images");
    int fds[2] = {-1, -1};

    if (!store || !logs || !images)
        return error_no_memory(err);
    if (api_new(&(struct api_options){.loop = s->loop,
                                      .store_path = store,
                                      .logs_dir = logs,
                                      .cluster_index = s->info.index},
                &s->api, err) < 0 ||
        control_new(&(struct control_options){.loop = s->loop,
                                              .api = s->api,
                                              .cluster_index = s->info.index,
                                              .node_name = s->info.name,
                                              .ca_pem = s->ca},
                    &s->control, err) < 0 ||
        registry_new(
            s->loop,
            &(struct registry_options){.layout_path = images, .may_pull = may, .may_push = may},
            &s->registry, err) < 0)
        return -1;
    if (listen_all(s, fds, err) < 0) {
        io_close(&fds[0]);
        return -1;
    }
    return api_server_new(&(struct api_server_options){.loop = s->loop,
                                                       .api = s->api,
                                                       .listen_fds = fds,
                                                       .listen_fds_count = 2,
                                                       .cert_pem = s->cert,
                                                       .key_pem = s->key,
                                                       .client_ca_pem = s->ca,
                                                       .body_max = BLOB_PIECE_MAX,
                                                       .registry = on_registry,
                                                       .registry_ctx = s},
                          &s->http, err);
}

static int prepare(struct server *s, struct error *err)
{
    const struct cluster_serve_options *o = s->options;
    CLEANUP(text) char *lock_path = cluster_path(o->home, o->name, "lock");

    if (!lock_path)
        return error_no_memory(err);
    if (cluster_find(o->home, o->name, &s->info, err) < 0)
        return -1;
    if (fs_lock(AT_FDCWD, lock_path, false, &s->lock, err) < 0)
        return err->kind == ERR_CONFLICT
                   ? error_wrap(err, "cluster '%s' is served by another process", o->name)
                   : -1;
    if (cluster_write_pid(&s->info, "cluster.pid", err) < 0 ||
        cluster_read_file(&s->info, "pki/ca.crt", &s->ca, err) < 0 ||
        cluster_read_file(&s->info, "pki/server.crt", &s->cert, err) < 0 ||
        cluster_read_file(&s->info, "pki/server.key", &s->key, err) < 0)
        return -1;
    /* after a reboot there is none of this */
    if (cluster_net_ensure(s->info.netns, s->info.index, err) < 0 ||
        fabric_ensure(o->home, err) < 0)
        return -1;
    return fabric_attach_cluster(o->home, o->name, s->info.index, err);
}

static int start_all(struct server *s, struct error *err)
{
    const struct cluster_serve_options *o = s->options;

    if (loop_new(&s->loop, err) < 0 || loop_add_signal(s->loop, SIGTERM, on_signal, s, err) < 0 ||
        loop_add_signal(s->loop, SIGINT, on_signal, s, err) < 0 ||
        loop_add_signal(s->loop, SIGUSR1, on_signal, s, err) < 0 || start_api(s, err) < 0)
        return -1;
    if (o->ready_fd >= 0 && io_write(o->ready_fd, "1", 1, err) < 0)
        return -1;
    if (o->ready_fd >= 0)
        (void)close(o->ready_fd); /* told */
    return node_link_new(&(struct node_link_options){.loop = s->loop,
                                                     .api = s->api,
                                                     .control = s->control,
                                                     .home = o->home,
                                                     .name = o->name,
                                                     .program = o->program},
                         &s->node, err);
}

int cluster_serve(const struct cluster_serve_options *options, struct error *err)
{
    CLEANUP(server) struct server s = {.options = options, .lock = -1};

    if (prepare(&s, err) < 0 || start_all(&s, err) < 0)
        return error_wrap(err, "serving cluster '%s'", options->name);
    log_info("cluster served", log_str("cluster", options->name), log_u64("port", s.info.port),
             log_u64("index", s.info.index));
    if (loop_run(s.loop, err) < 0)
        return error_wrap(err, "serving cluster '%s'", options->name);
    log_info("cluster stopped", log_str("cluster", options->name));
    return 0;
}
