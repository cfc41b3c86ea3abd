/* wire/http_server.c - libmicrohttpd on the event loop; see wire/http_server.h.
 *
 * The daemon has no thread: its epoll descriptor is watched by the loop, and MHD_run() does what
 * can be done now. A request that waits for its answer, or a stream for its next bytes, is
 * suspended; resuming it wakes that same descriptor, so nothing is ever polled. */
#include "wire/http_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"

enum {
    IDLE_MS = 60 * 60 * 1000,  /* when libmicrohttpd has no deadline of its own */
    CONNECTION_TIMEOUT_S = 60, /* the default of http_server_options */
    DISCARD_MAX = 8 << 20,     /* bytes read on after a body's limit, so that a 413 can be seen */
    CONTENT_LENGTH_DIGITS_MAX = 19
};

static void run(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms;

    if (MHD_run(server->daemon) != MHD_YES)
        log_error("the http server cannot go on");
    if (MHD_get_timeout(server->daemon, &timeout_ms) != MHD_YES || timeout_ms > IDLE_MS)
        timeout_ms = IDLE_MS;
    loop_timer_set(server->timer, (int64_t)timeout_ms);
}

static void on_ready(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    run(ctx);
}

static void on_timer(struct loop *loop, void *ctx)
{
    run(ctx);
}

void http_server_resume(struct http_server *server, struct MHD_Connection *connection)
{
    MHD_resume_connection(connection);
    if (server->timer) /* not while the server is being freed */
        loop_timer_set(server->timer, 0);
}

static void request_free(struct http_request *req)
{
    if (!req)
        return;
    if (req->response)
        MHD_destroy_response(req->response);
    http_stream_done(&req->stream);
    buf_done(&req->body);
    strv_done(&req->query);
    free(req->raw_query);
    free(req->path);
    free(req->raw_path);
    free(req->method);
    free(req);
}

static void request_link(struct http_request *req)
{
    req->next = req->server->requests;
    if (req->next)
        req->next->previous = req;
    req->server->requests = req;
}

static void request_unlink(struct http_request *req)
{
    if (req->previous)
        req->previous->next = req->next;
    else
        req->server->requests = req->next;
    if (req->next)
        req->next->previous = req->previous;
}

static void note_peer(struct http_request *req)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;
    char text[INET6_ADDRSTRLEN] = "";

    /* Both texts fit: an address has at most INET6_ADDRSTRLEN bytes, a port five. */
    if (address && address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        (void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        (void)snprintf(req->peer, sizeof req->peer, "%s:%u", text, ntohs(in->sin_port));
    } else if (address && address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)address;
        (void)inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
        (void)snprintf(req->peer, sizeof req->peer, "[%s]:%u", text, ntohs(in->sin6_port));
    } else {
        (void)snprintf(req->peer, sizeof req->peer, "unix");
    }
}

/* libmicrohttpd's first word of a request: its URI as sent. What is returned stays with the
 * request. */
static void *on_uri(void *ctx, const char *uri, struct MHD_Connection *connection)
{
    struct http_server *server = ctx;
    struct http_request *req = calloc(1, sizeof *req);
    struct error err = ERROR_INIT;

    if (!req)
        return NULL;
    req->server = server;
    req->connection = connection;
    req->body = (struct buf)BUF_INIT(server->body_max);
    req->status = MHD_HTTP_INTERNAL_SERVER_ERROR;
    note_peer(req);
    if (http_request_parse_uri(req, uri, &err) < 0) {
        if (err.kind == ERR_NO_MEMORY)
            req->is_broken = true;
        else
            req->status = MHD_HTTP_BAD_REQUEST;
        free(req->path);
        req->path = NULL;
    }
    request_link(req);
    return req;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **connection_ctx,
                         enum MHD_RequestTerminationCode why)
{
    struct http_request *req = *connection_ctx;

    if (!req)
        return;
    *connection_ctx = NULL;
    request_unlink(req);
    http_stream_over(&req->stream);
    request_free(req);
}

static enum MHD_Result queue_text(struct MHD_Connection *connection, unsigned status,
                                  const char *text)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);

    if (!response)
        return MHD_NO;
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_ctx,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_ctx = calloc(1, sizeof(struct http_connection)); /* NULL: no certificate is seen */
    } else {
        http_connection_free(*socket_ctx);
        *socket_ctx = NULL;
    }
}

/* The header is there, the body is not. An answer that is queued now spares us the body. */
static enum MHD_Result start_request(struct http_request *req, const char *method)
{
    const char *length = MHD_lookup_connection_value(req->connection, MHD_HEADER_KIND,
                                                     MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t size = 0;

    req->is_started = true;
    req->method = str_dup(str_of(method));
    if (!req->method || req->is_broken)
        return MHD_NO;
    if (!req->path)
        return queue_text(req->connection, MHD_HTTP_BAD_REQUEST, "malformed path or query\n");
    if (!length || !str_to_u64(str_of(length), &size) || size <= req->server->body_max)
        return MHD_YES;
    /* An answer before the body is read closes the connection, which may reset it before a client
     * that is still sending has seen the answer. So only when it waits for our word, or has very
     * much to send. */
    if (MHD_lookup_connection_value(req->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT) ||
        size - req->server->body_max > DISCARD_MAX)
        return queue_text(req->connection, MHD_HTTP_CONTENT_TOO_LARGE, "body too large\n");
    req->is_oversized = true;
    return MHD_YES;
}

/* A body without a stated length can pass the limit at any byte. */
static enum MHD_Result add_body(struct http_request *req, const char *bytes, size_t *len)
{
    if (!req->is_oversized)
        buf_add(&req->body, bytes, *len);
    if (req->body.failed == 1)
        return MHD_NO;
    if (req->body.failed)
        req->is_oversized = true;
    if (req->is_oversized)
        req->discarded += *len;
    *len = 0;
    return req->discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result queue_answer(struct http_request *req)
{
    struct MHD_Response *response = TAKE(req->response);

    if (!response)
        return MHD_NO;
    enum MHD_Result queued = MHD_queue_response(req->connection, (unsigned)req->status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *bytes,
                                 size_t *len, void **connection_ctx)
{
    struct http_request *req = *connection_ctx;

    if (!req)
        return MHD_NO;
    if (!req->is_started)
        return start_request(req, method);
    if (*len > 0)
        return add_body(req, bytes, len);
    if (req->is_oversized)
        return queue_text(connection, MHD_HTTP_CONTENT_TOO_LARGE, "body too large\n");
    if (!req->is_dispatched) {
        req->is_dispatched = true;
        req->server->handler(req, req->server->ctx);
    }
    if (req->response || req->is_broken)
        return queue_answer(req);
    req->is_suspended = true;
    MHD_suspend_connection(connection);
    return MHD_YES;
}

void http_request_answer(struct http_request *req, int status, const struct http_header *headers,
                         struct MHD_Response *take_response)
{
    assert(!req->response && !(req->is_dispatched && req->is_broken)); /* answered once */
    for (size_t i = 0; take_response && headers && headers[i].name; i++) {
        if (MHD_add_response_header(take_response, headers[i].name, headers[i].value) == MHD_YES)
            continue;
        log_error("an http header was refused", log_str("name", headers[i].name));
        MHD_destroy_response(TAKE(take_response));
    }
    req->response = take_response;
    req->status = status;
    req->is_broken = !take_response;
    if (req->is_suspended) {
        req->is_suspended = false;
        http_server_resume(req->server, req->connection);
    }
}

/* Paths and queries are decoded by us, with their raw form kept. */
static size_t keep_escapes(void *ctx, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

static void PRINTF_LIKE(2, 0) on_log(void *ctx, const char *format, va_list args)
{
    char text[256];

    (void)vsnprintf(text, sizeof text, format, args); /* cut to fit */
    log_debug("libmicrohttpd", log_text("says", str_trim(str_of(text))));
}

static bool sigpipe_is_ignored(void)
{
    struct sigaction action;
    sigset_t blocked;

    return (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_IGN) ||
           (sigprocmask(SIG_BLOCK, NULL, &blocked) == 0 && sigismember(&blocked, SIGPIPE) == 1);
}

static int start_daemon(struct http_server *server, const struct http_server_options *options,
                        struct error *err)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    unsigned timeout_s = options->connection_timeout_s;
    struct MHD_OptionItem items[12];
    size_t count = 0;

    items[count++] = (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, options->listen_fd, NULL};
    items[count++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_TIMEOUT,
                                             timeout_s ? timeout_s : CONNECTION_TIMEOUT_S, NULL};
    items[count++] =
        (struct MHD_OptionItem){MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX, NULL};
    items[count++] =
        (struct MHD_OptionItem){MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_CONNECTION_MEMORY, NULL};
    items[count++] = (struct MHD_OptionItem){MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL};
    if (sigpipe_is_ignored()) /* then it may use sendfile */
        items[count++] = (struct MHD_OptionItem){MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL};
    if (options->cert_pem) {
        flags |= MHD_USE_TLS;
        items[count++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)options->cert_pem};
        items[count++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)options->key_pem};
        items[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                                 "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"};
    }
    if (options->cert_pem && options->client_ca_pem)
        items[count++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, (void *)options->client_ca_pem};
    items[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    server->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, on_access, server, MHD_OPTION_EXTERNAL_LOGGER,
                         on_log, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
                         MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
                         MHD_OPTION_URI_LOG_CALLBACK, on_uri, server, MHD_OPTION_UNESCAPE_CALLBACK,
                         keep_escapes, server, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    if (!server->daemon) {
        return error_set(err, ERR_INVALID, "cannot start an http server%s",
                         options->cert_pem ? ": are certificate and key sound?" : "");
    }
    return 0;
}

static int watch_daemon(struct http_server *server, struct error *err)
{
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);

    if (!info)
        return error_set(err, ERR_INTERNAL, "libmicrohttpd has no epoll descriptor");
    if (loop_add_timer(server->loop, 0, on_timer, server, &server->timer, err) < 0)
        return -1;
    return loop_add_io(server->loop, info->epoll_fd, EPOLLIN, on_ready, server, &server->io, err);
}

int http_server_new(struct loop *loop, const struct http_server_options *options,
                    http_handler_fn *handler, void *ctx, struct http_server **ret,
                    struct error *err)
{
    int listen_fd = options->listen_fd;
    CLEANUP(http_server) struct http_server *server = calloc(1, sizeof *server);

    if (!server) {
        io_close(&listen_fd);
        return error_no_memory(err);
    }
    server->loop = loop;
    server->handler = handler;
    server->ctx = ctx;
    server->body_max = options->body_max;
    server->has_client_ca = options->cert_pem && options->client_ca_pem;
    if (start_daemon(server, options, err) < 0) {
        io_close(&listen_fd);
        return -1;
    }
    if (watch_daemon(server, err) < 0)
        return -1;
    *ret = TAKE(server);
    return 0;
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    loop_io_remove(server->io);
    loop_timer_remove(TAKE(server->timer));
    for (struct http_request *req = server->requests; req; req = req->next) {
        http_stream_over(&req->stream);
        if (req->is_suspended) { /* libmicrohttpd does not stop while one is suspended */
            req->is_suspended = false;
            MHD_resume_connection(req->connection);
        }
    }
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    free(server);
}
