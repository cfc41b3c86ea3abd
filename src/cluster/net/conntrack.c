/* cluster/net/conntrack.c - dump the table, pick, delete by tuple. Source:
 * linux/netfilter/nfnetlink_conntrack.h. */
#include "cluster/net/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"

/* libmnl's loops over attributes subtract pointers into an int */
#pragma GCC diagnostic ignored "-Wconversion"

enum { CT_BUFFER_SIZE = 16384, CT_TUPLE_MAX = 128, CT_FLOWS_MAX = 16384 };

struct flow {
    uint16_t len;
    uint8_t tuple[CT_TUPLE_MAX]; /* the payload of CTA_TUPLE_ORIG, to name the flow */
    uint32_t id;
};

struct conntrack {
    struct mnl_socket *socket; /* owned */
    uint32_t sequence;
};

struct pick {
    uint32_t address; /* any of the four addresses; 0: by service */
    uint32_t service;
    uint16_t port;
    struct flow *flows; /* owned */
    size_t count;
};

int conntrack_open(int netns_fd, struct conntrack **ret, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    CLEANUP(conntrack) struct conntrack *ct = calloc(1, sizeof(*ct));

    if (!ct)
        return error_no_memory(err);
    if (io_socket_in_netns(netns_fd, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER, &fd,
                           err) < 0)
        return error_wrap(err, "opening conntrack");
    ct->socket = mnl_socket_fdopen(fd);
    if (!ct->socket)
        return error_errno(err, "opening conntrack");
    fd = -1;
    if (mnl_socket_bind(ct->socket, 0, MNL_SOCKET_AUTOPID) < 0)
        return error_errno(err, "binding conntrack");
    *ret = TAKE(ct);
    return 0;
}

void conntrack_close(struct conntrack *ct)
{
    if (!ct)
        return;
    if (ct->socket)
        (void)mnl_socket_close(ct->socket); /* nothing to lose */
    free(ct);
}

static struct nlmsghdr *request(struct conntrack *ct, char *buffer, uint8_t type, uint16_t flags)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
    h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    h->nlmsg_seq = ++ct->sequence;
    struct nfgenmsg *nf = mnl_nlmsg_put_extra_header(h, sizeof(*nf));
    nf->nfgen_family = AF_INET;
    nf->version = NFNETLINK_V0;
    return h;
}

struct ends {
    uint32_t source, destination; /* host byte order */
    uint16_t destination_port;
    uint8_t protocol;
};

static void read_ends(const struct nlattr *tuple, struct ends *ends)
{
    const struct nlattr *part, *a;

    mnl_attr_for_each_nested(part, tuple)
    {
        mnl_attr_for_each_nested(a, part)
        {
            bool is_ip = mnl_attr_get_type(part) == CTA_TUPLE_IP;
            uint16_t type = mnl_attr_get_type(a), size = mnl_attr_get_payload_len(a);
            if (is_ip && type == CTA_IP_V4_SRC && size >= 4)
                ends->source = ntohl(mnl_attr_get_u32(a));
            else if (is_ip && type == CTA_IP_V4_DST && size >= 4)
                ends->destination = ntohl(mnl_attr_get_u32(a));
            else if (!is_ip && type == CTA_PROTO_NUM && size >= 1)
                ends->protocol = mnl_attr_get_u8(a);
            else if (!is_ip && type == CTA_PROTO_DST_PORT && size >= 2)
                ends->destination_port = ntohs(mnl_attr_get_u16(a));
        }
    }
}

static bool is_wanted(const struct pick *pick, const struct ends *there, const struct ends *back)
{
    if (pick->address)
        return there->source == pick->address || there->destination == pick->address ||
               back->source == pick->address || back->destination == pick->address;
    return there->protocol == IPPROTO_UDP && there->destination == pick->service &&
           there->destination_port == pick->port;
}

static int on_flow(const struct nlmsghdr *h, void *data)
{
    struct pick *pick = data;
    const struct nlattr *a, *original = NULL;
    struct ends there = {0}, back = {0};
    uint32_t id = 0;

    mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
    {
        switch (mnl_attr_get_type(a)) {
        case CTA_TUPLE_ORIG:
            original = a;
            read_ends(a, &there);
            break;
        case CTA_TUPLE_REPLY:
            read_ends(a, &back);
            break;
        case CTA_ID:
            id = mnl_attr_get_u32(a);
            break;
        default:
            break;
        }
    }
    if (!original || !is_wanted(pick, &there, &back) || pick->count >= CT_FLOWS_MAX ||
        mnl_attr_get_payload_len(original) > CT_TUPLE_MAX)
        return MNL_CB_OK;
    if ((pick->count & (pick->count - 1)) == 0) {
        void *bigger =
            reallocarray(pick->flows, pick->count ? pick->count * 2 : 1, sizeof(*pick->flows));
        if (!bigger)
            return MNL_CB_ERROR;
        pick->flows = bigger;
    }
    struct flow *flow = &pick->flows[pick->count++];
    flow->len = mnl_attr_get_payload_len(original);
    memcpy(flow->tuple, mnl_attr_get_payload(original), flow->len);
    flow->id = id;
    return MNL_CB_OK;
}

static int run(struct conntrack *ct, struct nlmsghdr *h, mnl_cb_t fn, void *ctx)
{
    char answer[CT_BUFFER_SIZE];
    uint32_t sequence = h->nlmsg_seq;

    if (mnl_socket_sendto(ct->socket, h, h->nlmsg_len) < 0)
        return errno;
    for (;;) {
        ssize_t got = mnl_socket_recvfrom(ct->socket, answer, sizeof(answer));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        int more = mnl_cb_run(answer, (size_t)got, sequence, 0, fn, ctx);
        if (more < 0)
            return errno;
        if (more == MNL_CB_STOP)
            return 0;
    }
}

static int forget(struct conntrack *ct, struct pick *pick, unsigned *ret_count, struct error *err)
{
    char buffer[512];
    unsigned done = 0;
    int code = run(ct, request(ct, buffer, IPCTNL_MSG_CT_GET, NLM_F_DUMP), on_flow, pick);

    for (size_t i = 0; code == 0 && i < pick->count; i++) {
        struct nlmsghdr *h = request(ct, buffer, IPCTNL_MSG_CT_DELETE, NLM_F_ACK);
        mnl_attr_put(h, CTA_TUPLE_ORIG | NLA_F_NESTED, pick->flows[i].len, pick->flows[i].tuple);
        mnl_attr_put_u32(h, CTA_ID, pick->flows[i].id);
        code = run(ct, h, NULL, NULL);
        if (code == ENOENT) /* it ended meanwhile */
            code = 0;
        else
            done++;
    }
    free(pick->flows);
    if (code) {
        errno = code;
        return error_errno(err, "forgetting tracked flows");
    }
    if (ret_count)
        *ret_count = done;
    return 0;
}

int conntrack_forget(struct conntrack *ct, uint32_t address, unsigned *ret_count, struct error *err)
{
    struct pick pick = {.address = address};
    return forget(ct, &pick, ret_count, err);
}

int conntrack_forget_udp(struct conntrack *ct, uint32_t service, uint16_t port, struct error *err)
{
    struct pick pick = {.service = service, .port = port};
    return forget(ct, &pick, NULL, err);
}
