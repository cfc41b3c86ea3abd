/* gate/gate.c - the daemon: gate.sock, the registry, the queue; see gate/gate.h. */
#include "gate/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/secret.h"
#include "gate/queue.h"
#include "gate/request.h"
#include "gate/watch.h"
#include "oci/registry_server.h"
#include "wire/http_server.h"

enum { TOKENS_MAX = 64, PEM_MAX = 1 << 16, UPLOAD_MAX = 64 << 10 };

struct gate {
    const struct gate_options *options; /* borrowed */
    struct loop *loop;                  /* owned, as all below */
    struct signer *signer;
    struct queue *queue;
    struct watches *watches;
    struct registry *registry;
    struct http_server *server;
    struct secret tokens[TOKENS_MAX];
    size_t token_count;
    int sock; /* gate.sock */
    int lock;
    int failed; /* what ends the loop with an error */
};

/* A connection that has not said its line yet. */
struct visitor {
    struct gate *gate; /* borrowed */
    int fd;
    struct loop_io *io;
    struct buf text;
};

static void visitor_free(struct visitor *visitor)
{
    loop_io_remove(visitor->io);
    io_close(&visitor->fd);
    buf_done(&visitor->text);
    free(visitor);
}

static void visitor_refuse(struct visitor *visitor, const struct error *err)
{
    struct error lost = ERROR_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT(ERROR_TEXT_MAX + 64);

    buf_addf(&text, "monban: %s\n{\"exit\":1}\n", err->text);
    (void)!io_write(visitor->fd, buf_text(&text), text.len, &lost); /* it may have left */
    visitor_free(visitor);
}

static void visitor_speaks(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct visitor *visitor = ctx;
    struct error err = ERROR_INIT;
    struct queue_item item;
    char chunk[4096];
    ssize_t n = read(fd, chunk, sizeof chunk);

    (void)loop;
    (void)events;
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        visitor_free(visitor);
        return;
    }
    buf_add(&visitor->text, chunk, (size_t)n);
    if (buf_ok(&visitor->text, &err) < 0) {
        visitor_refuse(visitor, &err);
        return;
    }
    ptrdiff_t end = str_find(buf_str(&visitor->text), '\n');
    if (end < 0)
        return;
    struct str line = str_first(buf_str(&visitor->text), (size_t)end);
    if (request_parse(visitor->gate->options->home, line, &item, &err) < 0) {
        visitor_refuse(visitor, &err);
        return;
    }
    loop_io_remove(visitor->io);
    visitor->io = NULL;
    int keep = dup(visitor->fd);
    if (keep < 0 || fcntl(keep, F_SETFD, FD_CLOEXEC) < 0 ||
        queue_add(visitor->gate->queue, &item, keep, &err) < 0)
        visitor_refuse(visitor, &err);
    else
        visitor_free(visitor);
}

static void visitor_comes(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct gate *gate = ctx;
    struct error err = ERROR_INIT;
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    (void)events;
    if (peer < 0)
        return;
    struct visitor *visitor = calloc(1, sizeof *visitor);
    if (!visitor) {
        io_close(&peer);
        return;
    }
    visitor->gate = gate;
    visitor->fd = peer;
    visitor->text = (struct buf)BUF_INIT(GATE_REQUEST_MAX);
    if (loop_add_io(loop, peer, EPOLLIN, visitor_speaks, visitor, &visitor->io, &err) < 0)
        visitor_free(visitor);
}

static int may_pull(const struct http_request *req, const char *repository, void *ctx)
{
    const struct gate *gate = ctx;

    (void)repository;
    for (size_t i = 0; i < gate->token_count; i++) {
        if (registry_token_matches(req, secret_str(&gate->tokens[i])))
            return 0;
    }
    return 401;
}

static void answer(struct http_request *req, void *ctx)
{
    struct gate *gate = ctx;

    if (!registry_handle(gate->registry, req))
        http_respond(req, 404, NULL, STR("not found\n"));
}

static void forget_tokens(struct gate *gate)
{
    for (size_t i = 0; i < gate->token_count; i++)
        secret_done(&gate->tokens[i]);
    gate->token_count = 0;
}

static int read_tokens(struct gate *gate, struct error *err)
{
    CLEANUP(text) char *dir = fs_join(gate->options->home, "gate/tokens");
    CLEANUP(strv) struct strv names = STRV_INIT;

    if (!dir)
        return error_no_memory(err);
    if (fs_list(AT_FDCWD, dir, &names, err) < 0)
        return -1;
    forget_tokens(gate);
    for (size_t i = 0; i < names.count && gate->token_count < TOKENS_MAX; i++) {
        CLEANUP(text) char *path = fs_join(dir, names.items[i]);
        if (!path)
            return error_no_memory(err);
        if (secret_read(&gate->tokens[gate->token_count++], AT_FDCWD, path, err) < 0)
            return -1;
    }
    return 0;
}

/* The address that outer clusters know: the embedded gate cluster's uplink, in its namespace. */
static int listen_registry(const struct gate *gate, const struct platform *platform, int *ret_fd,
                           struct error *err)
{
    const struct platform_cluster *cluster = platform_gate(platform);
    uint16_t port = gate->options->port ? gate->options->port : GATE_REGISTRY_PORT;
    CLEANUP(fd) int netns = -1;

    if (gate->options->listen)
        return io_listen_tcp(gate->options->listen, port, -1, ret_fd, NULL, err);
    if (!cluster || cluster->kubeconfig)
        return error_set(err, ERR_INVALID,
                         "the gate's cluster is not embedded: say where to listen (--listen)");
    CLEANUP(text)
    char *path = str_format("%s/clusters/%s/netns", gate->options->home, cluster->name);
    CLEANUP(text) char *address = str_format("100.64.%u.2", cluster->index);
    if (!path || !address)
        return error_no_memory(err);
    if (fs_open_read(AT_FDCWD, path, &netns, err) < 0)
        return error_wrap(err, "opening the network of cluster '%s'", cluster->name);
    return io_listen_tcp(address, port, netns, ret_fd, NULL, err);
}

static int start_registry(struct gate *gate, const struct platform *platform, struct error *err)
{
    const char *home = gate->options->home;
    CLEANUP(text) char *layout = fs_join(home, "gate/registry");
    CLEANUP(text) char *cert_path = fs_join(home, "gate/pki/server.pem");
    CLEANUP(text) char *key_path = fs_join(home, "gate/pki/server.key");
    CLEANUP(buf) struct buf cert = BUF_INIT(PEM_MAX);
    CLEANUP(secret) struct secret key = SECRET_INIT;
    CLEANUP(fd) int fd = -1;

    if (!layout || !cert_path || !key_path)
        return error_no_memory(err);
    if (read_tokens(gate, err) < 0 || fs_read_at(AT_FDCWD, cert_path, &cert, err) < 0 ||
        secret_read(&key, AT_FDCWD, key_path, err) < 0 ||
        listen_registry(gate, platform, &fd, err) < 0)
        return -1;
    const struct registry_options registry = {
        .layout_path = layout, .may_pull = may_pull, .ctx = gate};
    if (registry_new(gate->loop, &registry, &gate->registry, err) < 0)
        return -1;
    const struct http_server_options server = {.listen_fd = TAKE_FD(fd),
                                               .cert_pem = buf_text(&cert),
                                               .key_pem = key.ptr,
                                               .body_max = UPLOAD_MAX};
    return http_server_new(gate->loop, &server, answer, gate, &gate->server, err);
}

static void stop(struct loop *loop, int signal, void *ctx)
{
    (void)ctx;
    log_info("stopping", log_i64("signal", signal));
    loop_stop(loop);
}

/* The platform folder was replaced: what the daemon itself holds of it is read again. Walks read it
 * each for itself. */
static void take_platform(struct loop *loop, int signal, void *ctx)
{
    struct gate *gate = ctx;
    struct error err = ERROR_INIT;
    CLEANUP(text) char *path = fs_join(gate->options->home, "platform");
    CLEANUP(platform) struct platform *platform = NULL;

    (void)loop;
    (void)signal;
    if (!path || platform_read(path, &platform, &err) < 0 || read_tokens(gate, &err) < 0 ||
        watches_set(gate->watches, platform, &err) < 0)
        log_error("the platform could not be read again", log_err(&err));
    else
        log_info("the platform was read again", log_str("home", gate->options->home));
}

static int start_queue(struct gate *gate, const struct platform *platform, struct error *err)
{
    const struct queue_options options = {.loop = gate->loop,
                                          .home = gate->options->home,
                                          .program = gate->options->program,
                                          .signer = gate->signer,
                                          .lock_fd = gate->lock};

    if (queue_new(&options, &gate->queue, err) < 0 ||
        watches_new(gate->loop, gate->options->home, gate->queue, &gate->watches, err) < 0)
        return -1;
    return watches_set(gate->watches, platform, err);
}

static int start_socket(struct gate *gate, struct error *err)
{
    CLEANUP(text) char *path = fs_join(gate->options->home, "gate/gate.sock");

    if (!path)
        return error_no_memory(err);
    if (io_listen_unix(path, 0600, &gate->sock, err) < 0)
        return -1;
    return loop_add_io(gate->loop, gate->sock, EPOLLIN, visitor_comes, gate, NULL, err);
}

/* The lock says that we live; the file holds our pid for `monban down`. */
static int take_place(struct gate *gate, struct error *err)
{
    CLEANUP(text) char *path = fs_join(gate->options->home, "gate/gate.pid");
    CLEANUP(text) char *work = fs_join(gate->options->home, "gate/work");
    char pid[24];

    if (!path || !work)
        return error_no_memory(err);
    if (fs_lock(AT_FDCWD, path, false, &gate->lock, err) < 0)
        return error_wrap(err, "a gate of this home runs already");
    int len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(gate->lock, 0) < 0)
        return error_errno(err, "cannot write '%s'", path);
    if (io_write(gate->lock, pid, (size_t)len, err) < 0)
        return -1;
    if (fs_remove_tree(AT_FDCWD, work, err) < 0)
        return -1;
    return fs_make_dirs(AT_FDCWD, work, 0700, err);
}

static int gate_start(struct gate *gate, struct error *err)
{
    CLEANUP(text) char *platform_path = fs_join(gate->options->home, "platform");
    CLEANUP(text) char *key = fs_join(gate->options->home, "gate/keys/release.key");
    CLEANUP(platform) struct platform *platform = NULL;

    if (!platform_path || !key)
        return error_no_memory(err);
    /* The signer first: it holds the key before anything from outside was read. */
    if (take_place(gate, err) < 0 || signer_start(key, STR(""), &gate->signer, err) < 0)
        return -1;
    if (platform_read(platform_path, &platform, err) < 0 || loop_new(&gate->loop, err) < 0)
        return -1;
    if (loop_add_signal(gate->loop, SIGTERM, stop, gate, err) < 0 ||
        loop_add_signal(gate->loop, SIGINT, stop, gate, err) < 0 ||
        loop_add_signal(gate->loop, SIGHUP, take_platform, gate, err) < 0)
        return -1;
    if (start_queue(gate, platform, err) < 0 || start_registry(gate, platform, err) < 0 ||
        start_socket(gate, err) < 0)
        return -1;
    return 0;
}

static void gate_stop(struct gate *gate)
{
    watches_free(gate->watches);
    queue_free(gate->queue);
    registry_free(gate->registry); /* first: its open long polls are answered through the server */
    http_server_free(gate->server);
    loop_free(gate->loop);
    signer_free(gate->signer);
    io_close(&gate->sock);
    io_close(&gate->lock);
    forget_tokens(gate);
}

int gate_run(const struct gate_options *options, struct error *err)
{
    struct gate *gate = calloc(1, sizeof *gate);

    if (!gate)
        return error_no_memory(err);
    gate->options = options;
    gate->sock = -1;
    gate->lock = -1;
    int result = gate_start(gate, err);
    if (result == 0) {
        log_info("the gate is open", log_str("home", options->home));
        if (options->ready_fd > 0) {
            struct error lost = ERROR_INIT; /* who started us may have left */
            (void)!io_write(options->ready_fd, "1", 1, &lost);
            (void)close(options->ready_fd);
        }
        result = loop_run(gate->loop, err);
    }
    gate_stop(gate);
    free(gate);
    return result;
}
