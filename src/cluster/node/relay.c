/* cluster/node/relay.c - NodePorts: listeners on the machine's 127.0.0.1, relayed to the Service's
 * address inside the cluster's namespace (where the node's own connections are balanced like
 * everybody's). TCP only. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "cluster/net/table.h"
#include "cluster/node/node_internal.h"

enum { RELAY_CONNECTIONS_MAX = 1024, RELAY_BUFFER_SIZE = 64 << 10 };

struct end { /* one side of a connection */
    struct connection *connection;
    int fd;
    struct loop_io *io;
    char *bytes; /* owned: read here, not yet written to the other end */
    size_t len, at;
    bool is_read_out; /* nothing more comes from here */
    bool is_shut;     /* and the other end was told */
};

struct connection {
    struct relays *relays;
    struct connection *next;
    struct end ends[2]; /* the asker, the Service */
    bool is_connected;
};

struct listener {
    struct relays *relays;
    struct listener *next;
    uint16_t node_port;
    uint32_t address;
    uint16_t port;
    int fd;
    struct loop_io *io;
    bool is_wanted;
};

struct relays {
    struct node *node;              /* borrowed */
    struct listener *listeners;     /* owned */
    struct connection *connections; /* owned */
    size_t connection_count;
};

static void connection_free(struct connection *c)
{
    struct connection **at = &c->relays->connections;

    while (*at && *at != c)
        at = &(*at)->next;
    if (*at)
        *at = c->next;
    c->relays->connection_count--;
    for (int i = 0; i < 2; i++) {
        loop_io_remove(c->ends[i].io);
        io_close(&c->ends[i].fd);
        free(c->ends[i].bytes);
    }
    free(c);
}

/* Moves what there is from one end to the other. False: the connection is broken. */
static bool pump(struct end *from, struct end *to)
{
    for (;;) {
        if (from->at < from->len) {
            ssize_t n = send(to->fd, from->bytes + from->at, from->len - from->at,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0)
                return errno == EAGAIN || errno == EINTR;
            from->at += (size_t)n;
            continue;
        }
        from->at = from->len = 0;
        if (from->is_read_out)
            break;
        ssize_t n = recv(from->fd, from->bytes, RELAY_BUFFER_SIZE, MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n == 0)
            from->is_read_out = true;
        from->len = (size_t)n;
    }
    if (!from->is_shut) {
        from->is_shut = true;
        (void)shutdown(to->fd, SHUT_WR); /* broken: the next send says so */
    }
    return true;
}

static bool listen_on(struct connection *c)
{
    struct error err = ERROR_INIT;

    for (int i = 0; i < 2; i++) {
        struct end *end = &c->ends[i], *other = &c->ends[1 - i];
        uint32_t events =
            (!end->is_read_out && end->len == 0 ? EPOLLIN : 0U) | (other->len ? EPOLLOUT : 0U);
        if (!c->is_connected)
            events = i == 1 ? EPOLLOUT : 0U;
        if (loop_io_set(end->io, events, &err) < 0)
            return false;
    }
    return true;
}

static void on_end(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct connection *c = ((struct end *)ctx)->connection;

    if (!c->is_connected) {
        int code = 0;
        socklen_t size = sizeof(code);
        if (ctx != &c->ends[1] || getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0 ||
            code != 0) {
            connection_free(c);
            return;
        }
        c->is_connected = true;
    }
    bool is_done = c->ends[0].is_shut && c->ends[1].is_shut;
    if (is_done || !pump(&c->ends[0], &c->ends[1]) || !pump(&c->ends[1], &c->ends[0]) ||
        (c->ends[0].is_shut && c->ends[1].is_shut) || !listen_on(c))
        connection_free(c);
}

static int connect_inside(struct listener *listener, int *ret_fd, struct error *err)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(listener->port),
                             .sin_addr.s_addr = htonl(listener->address)};
    CLEANUP(fd) int fd = -1;

    if (io_socket_in_netns(listener->relays->node->netns, AF_INET,
                           SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, &fd, err) < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
        return error_errno(err, "connecting to a Service");
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static void on_accept(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct listener *listener = ctx;
    struct relays *relays = listener->relays;
    struct error err = ERROR_INIT;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct connection *c;

    if (client < 0)
        return;
    c = relays->connection_count < RELAY_CONNECTIONS_MAX ? calloc(1, sizeof(*c)) : NULL;
    if (!c) {
        io_close(&client);
        return;
    }
    *c = (struct connection){.relays = relays, .next = relays->connections};
    c->ends[0] = (struct end){.connection = c, .fd = client, .bytes = malloc(RELAY_BUFFER_SIZE)};
    c->ends[1] = (struct end){.connection = c, .fd = -1, .bytes = malloc(RELAY_BUFFER_SIZE)};
    relays->connections = c;
    relays->connection_count++;
    if (!c->ends[0].bytes || !c->ends[1].bytes ||
        connect_inside(listener, &c->ends[1].fd, &err) < 0 ||
        loop_add_io(loop, client, 0, on_end, &c->ends[0], &c->ends[0].io, &err) < 0 ||
        loop_add_io(loop, c->ends[1].fd, EPOLLOUT, on_end, &c->ends[1], &c->ends[1].io, &err) < 0)
        connection_free(c);
}

static void listener_free(struct listener *listener)
{
    struct listener **at = &listener->relays->listeners;

    while (*at && *at != listener)
        at = &(*at)->next;
    if (*at)
        *at = listener->next;
    loop_io_remove(listener->io);
    io_close(&listener->fd);
    free(listener);
}

static void want(struct relays *relays, uint16_t node_port, uint32_t address, uint16_t port)
{
    struct error err = ERROR_INIT;
    struct listener *listener = relays->listeners;

    while (listener && listener->node_port != node_port)
        listener = listener->next;
    if (!listener) {
        listener = calloc(1, sizeof(*listener));
        if (!listener)
            return;
        *listener = (struct listener){
            .relays = relays, .next = relays->listeners, .node_port = node_port, .fd = -1};
        relays->listeners = listener;
        if (io_listen_tcp("127.0.0.1", node_port, -1, &listener->fd, NULL, &err) < 0 ||
            loop_add_io(relays->node->loop, listener->fd, EPOLLIN, on_accept, listener,
                        &listener->io, &err) < 0) {
            log_warn("a NodePort is not offered", log_u64("port", node_port), log_err(&err));
            listener_free(listener); /* tried again when the Services change */
            return;
        }
    }
    listener->address = address;
    listener->port = port;
    listener->is_wanted = true;
}

void relays_update(struct relays *relays)
{
    const char *key;
    json_t *service, *port;
    size_t i;

    for (struct listener *l = relays->listeners; l; l = l->next)
        l->is_wanted = false;
    json_object_foreach(relays->node->mirror[MIRROR_SERVICES], key, service)
    {
        uint32_t address;
        if (!table_parse_address(json_str_at(service, "spec.clusterIP"), &address))
            continue;
        json_array_foreach(json_at(service, "spec.ports"), i, port)
        {
            int64_t node_port = json_int_at(port, "nodePort", 0),
                    number = json_int_at(port, "port", 0);
            const char *protocol = json_str_at(port, "protocol");
            if (node_port > 0 && node_port < 65536 && (!protocol || strcmp(protocol, "TCP") == 0))
                want(relays, (uint16_t)node_port, address, (uint16_t)number);
        }
    }
    for (struct listener *l = relays->listeners, *next; l; l = next) {
        next = l->next;
        if (!l->is_wanted)
            listener_free(l);
    }
}

int relays_new(struct node *node, struct relays **ret, struct error *err)
{
    struct relays *relays = calloc(1, sizeof(*relays));
    if (!relays)
        return error_no_memory(err);
    relays->node = node;
    *ret = relays;
    return 0;
}

void relays_free(struct relays *relays)
{
    if (!relays)
        return;
    while (relays->connections)
        connection_free(relays->connections);
    while (relays->listeners)
        listener_free(relays->listeners);
    free(relays);
}
