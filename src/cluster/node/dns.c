/* cluster/node/dns.c - the sockets of the cluster's DNS server: UDP and TCP on 10.90.i.1:53, in its
 * namespace. */
#include "cluster/node/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "cluster/node/node_internal.h"

enum {
    DNS_TCP_CLIENTS_MAX = 64,
    DNS_TCP_IDLE_MS = 5000,
    DNS_UDP_BATCH = 64, /* questions in one turn of the loop */
};

struct tcp_client {
    struct dns *dns;
    struct tcp_client *next;
    int fd;
    struct loop_io *io;
    struct loop_timer *timer;
    struct buf in;
};

struct dns {
    struct node *node; /* borrowed */
    int udp, tcp;
    struct loop_io *udp_io, *tcp_io;
    struct tcp_client *clients; /* owned */
    size_t client_count;
};

/* The answer to one packet; empty: none. */
static void answer(struct dns *dns, struct str packet, bool is_tcp, struct buf *out)
{
    struct dns_question q;
    struct dns_result *result = calloc(1, sizeof(*result));
    struct error err = ERROR_INIT;
    int code;

    if (!result || !dns_question_parse(packet, &q, &code)) {
        free(result);
        return;
    }
    if (code == DNS_OK) {
        dns_look_up(dns->node->mirror[MIRROR_SERVICES], dns->node->mirror[MIRROR_ENDPOINTS], &q,
                    result);
        code = result->code;
    }
    if (dns_answer_write(packet, &q, code, result->records, result->count,
                         is_tcp ? DNS_TCP_MAX : q.udp_size, out, &err) < 0)
        buf_clear(out);
    dns_result_done(result);
    free(result);
}

static void on_udp(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct dns *dns = ctx;
    char packet[DNS_UDP_MAX];

    for (int i = 0; i < DNS_UDP_BATCH; i++) {
        struct sockaddr_in peer;
        socklen_t size = sizeof(peer);
        ssize_t n =
            recvfrom(fd, packet, sizeof(packet), MSG_DONTWAIT, (struct sockaddr *)&peer, &size);
        if (n < 0)
            return;
        CLEANUP(buf) struct buf out = BUF_INIT(DNS_TCP_MAX);
        answer(dns, str_slice(packet, (size_t)n), false, &out);
        if (out.len) /* lost ones are asked again */
            (void)sendto(fd, out.ptr, out.len, MSG_DONTWAIT | MSG_NOSIGNAL,
                         (struct sockaddr *)&peer, size);
    }
}

static void client_free(struct tcp_client *client)
{
    struct tcp_client **at = &client->dns->clients;

    while (*at && *at != client)
        at = &(*at)->next;
    if (*at)
        *at = client->next;
    client->dns->client_count--;
    loop_io_remove(client->io);
    if (client->timer)
        loop_timer_remove(client->timer);
    io_close(&client->fd);
    buf_done(&client->in);
    free(client);
}

static void on_client_idle(struct loop *loop, void *ctx)
{
    struct tcp_client *client = ctx;
    client->timer = NULL;
    client_free(client);
}

/* Each message has its length in two bytes before it. False: the client is to be dropped. */
static bool answer_all(struct tcp_client *client)
{
    for (;;) {
        CLEANUP(buf) struct buf out = BUF_INIT(DNS_TCP_MAX + 2);
        CLEANUP(buf) struct buf text = BUF_INIT(DNS_TCP_MAX);
        if (client->in.len < 2)
            return true;
        size_t len = (size_t)(uint8_t)client->in.ptr[0] << 8 | (uint8_t)client->in.ptr[1];
        if (client->in.len < 2 + len)
            return true;
        answer(client->dns, str_slice(client->in.ptr + 2, len), true, &text);
        buf_drop(&client->in, 2 + len);
        if (!text.len)
            return false;
        buf_add_char(&out, (char)(text.len >> 8));
        buf_add_char(&out, (char)text.len);
        buf_add_str(&out, buf_str(&text));
        if (send(client->fd, out.ptr, out.len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)out.len)
            return false; /* it does not read: it may ask again */
    }
}

static void on_client(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct tcp_client *client = ctx;
    char *room = buf_room(&client->in, 4096);
    ssize_t n = room ? recv(fd, room, 4096, MSG_DONTWAIT) : 0;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        buf_grew(&client->in, (size_t)n);
    if (n <= 0 || !answer_all(client))
        client_free(client);
    else
        loop_timer_set(client->timer, DNS_TCP_IDLE_MS);
}

static void on_accept(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct dns *dns = ctx;
    struct error err = ERROR_INIT;
    int client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct tcp_client *client;

    if (client_fd < 0)
        return;
    client = dns->client_count < DNS_TCP_CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;
    if (!client) {
        io_close(&client_fd);
        return;
    }
    *client = (struct tcp_client){
        .dns = dns, .next = dns->clients, .fd = client_fd, .in = BUF_INIT(2 * DNS_TCP_MAX)};
    dns->clients = client;
    dns->client_count++;
    if (loop_add_timer(loop, DNS_TCP_IDLE_MS, on_client_idle, client, &client->timer, &err) < 0 ||
        loop_add_io(loop, client_fd, EPOLLIN, on_client, client, &client->io, &err) < 0)
        client_free(client);
}

int dns_new(struct node *node, struct dns **ret, struct error *err)
{
    struct dns *dns = calloc(1, sizeof(*dns));
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(NET_DNS_PORT)};
    char address[NET_ADDRESS_SIZE];

    if (!dns)
        return error_no_memory(err);
    *dns = (struct dns){.node = node, .udp = -1, .tcp = -1};
    net_node_address(node->index, address);
    (void)inet_pton(AF_INET, address, &at.sin_addr); /* ours */
    if (io_socket_in_netns(node->netns, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                           &dns->udp, err) < 0 ||
        (bind(dns->udp, (struct sockaddr *)&at, sizeof(at)) < 0 &&
         error_errno(err, "binding UDP %s:53", address) < 0) ||
        io_listen_tcp(address, NET_DNS_PORT, node->netns, &dns->tcp, NULL, err) < 0 ||
        loop_add_io(node->loop, dns->udp, EPOLLIN, on_udp, dns, &dns->udp_io, err) < 0 ||
        loop_add_io(node->loop, dns->tcp, EPOLLIN, on_accept, dns, &dns->tcp_io, err) < 0) {
        dns_free(dns);
        return error_wrap(err, "starting DNS");
    }
    *ret = dns;
    return 0;
}

void dns_free(struct dns *dns)
{
    if (!dns)
        return;
    while (dns->clients)
        client_free(dns->clients);
    loop_io_remove(dns->udp_io);
    loop_io_remove(dns->tcp_io);
    io_close(&dns->udp);
    io_close(&dns->tcp);
    free(dns);
}
