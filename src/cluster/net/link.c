/* cluster/net/link.c - rtnetlink messages, one request and one acknowledgement each. Source:
 * rtnetlink(7). */
#include "cluster/net/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"

enum { NL_BUFFER_SIZE = 8192 }; /* bytes: the largest message here is below 1 KiB */

struct nl {
    struct mnl_socket *socket; /* owned */
    uint32_t sequence;
    char buffer[NL_BUFFER_SIZE];
};

int nl_open(int netns_fd, struct nl **ret, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    CLEANUP(nl) struct nl *nl = calloc(1, sizeof(*nl));

    if (!nl)
        return error_no_memory(err);
    if (io_socket_in_netns(netns_fd, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE, &fd, err) <
        0)
        return error_wrap(err, "opening rtnetlink");
    nl->socket = mnl_socket_fdopen(fd);
    if (!nl->socket)
        return error_errno(err, "opening rtnetlink");
    fd = -1;
    if (mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) < 0)
        return error_errno(err, "binding rtnetlink");
    *ret = TAKE(nl);
    return 0;
}

void nl_close(struct nl *nl)
{
    if (!nl)
        return;
    if (nl->socket)
        (void)mnl_socket_close(nl->socket); /* nothing to lose */
    free(nl);
}

static struct nlmsghdr *request(struct nl *nl, uint16_t type, uint16_t flags)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(nl->buffer);
    h->nlmsg_type = type;
    h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    h->nlmsg_seq = ++nl->sequence;
    return h;
}

/* Sends and takes the answer. Returns 0 or an errno. */
static int talk(struct nl *nl, struct nlmsghdr *h)
{
    char answer[NL_BUFFER_SIZE];
    uint32_t sequence = h->nlmsg_seq;

    if (mnl_socket_sendto(nl->socket, h, h->nlmsg_len) < 0)
        return errno;
    for (;;) {
        ssize_t got = mnl_socket_recvfrom(nl->socket, answer, sizeof(answer));
        if (got < 0) {
            if (errno == EINTR)
                continue;
            return errno;
        }
        /* portid 0: not checked, the socket is ours alone */
        int more = mnl_cb_run(answer, (size_t)got, sequence, 0, NULL, NULL);
        if (more < 0)
            return errno;
        if (more == MNL_CB_STOP)
            return 0;
    }
}

static int finish(struct nl *nl, struct nlmsghdr *h, int fine_errno, const char *what,
                  const char *name, struct error *err)
{
    int code = talk(nl, h);
    if (code == 0 || (fine_errno && code == fine_errno))
        return 0;
    errno = code;
    return error_errno(err, "%s '%s'", what, name);
}

static struct ifinfomsg *link_message(struct nl *nl, struct nlmsghdr **h, uint16_t type,
                                      uint16_t flags)
{
    *h = request(nl, type, flags);
    struct ifinfomsg *info = mnl_nlmsg_put_extra_header(*h, sizeof(*info));
    info->ifi_family = AF_UNSPEC;
    return info;
}

/* The index of a link of that namespace; 0 if there is none. */
struct found_link {
    int index;
};
static int on_link(const struct nlmsghdr *h, void *data)
{
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);
    ((struct found_link *)data)->index = info->ifi_index;
    return MNL_CB_OK;
}

static int link_index(struct nl *nl, const char *name)
{
    struct nlmsghdr *h;
    struct found_link found = {0};
    char answer[NL_BUFFER_SIZE * 2];

    link_message(nl, &h, RTM_GETLINK, 0);
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    uint32_t sequence = h->nlmsg_seq;
    if (mnl_socket_sendto(nl->socket, h, h->nlmsg_len) < 0)
        return 0;
    for (;;) { /* the link, then the acknowledgement; or an error alone */
        ssize_t got = mnl_socket_recvfrom(nl->socket, answer, sizeof(answer));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || mnl_cb_run(answer, (size_t)got, sequence, 0, on_link, &found) <= 0)
            return found.index;
    }
}

bool link_exists(struct nl *nl, const char *name)
{
    return link_index(nl, name) != 0;
}

static int need_link(struct nl *nl, const char *name, int *ret_index, struct error *err)
{
    int index = link_index(nl, name);
    if (index == 0)
        return error_set(err, ERR_NOT_FOUND, "no network link '%s'", name);
    *ret_index = index;
    return 0;
}

static int need_address(const char *text, struct in_addr *ret, struct error *err)
{
    if (inet_pton(AF_INET, text, ret) != 1)
        return error_set(err, ERR_INVALID, "expected an IPv4 address, got '%s'", text);
    return 0;
}

int link_add_bridge(struct nl *nl, const char *name, struct mac mac, struct error *err)
{
    struct nlmsghdr *h;

    link_message(nl, &h, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    mnl_attr_put(h, IFLA_ADDRESS, sizeof(mac.bytes), mac.bytes);
    struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_str(h, IFLA_INFO_KIND, "bridge");
    mnl_attr_nest_end(h, info);
    return finish(nl, h, EEXIST, "adding the bridge", name, err);
}

int link_add_veth(struct nl *nl, const char *name, const char *peer, int peer_netns_fd,
                  struct mac peer_mac, struct error *err)
{
    struct nlmsghdr *h;

    link_message(nl, &h, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    mnl_attr_put_strz(h, IFLA_IFNAME, name);
    struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_str(h, IFLA_INFO_KIND, "veth");
    struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
    struct nlattr *other = mnl_attr_nest_start(h, VETH_INFO_PEER);
    (void)mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(h, IFLA_IFNAME, peer);
    mnl_attr_put(h, IFLA_ADDRESS, sizeof(peer_mac.bytes), peer_mac.bytes);
    mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)peer_netns_fd);
    mnl_attr_nest_end(h, other);
    mnl_attr_nest_end(h, data);
    mnl_attr_nest_end(h, info);
    return finish(nl, h, EEXIST, "adding the link", name, err);
}

int link_up(struct nl *nl, const char *name, struct error *err)
{
    struct nlmsghdr *h;
    int index;

    if (need_link(nl, name, &index, err) < 0)
        return -1;
    struct ifinfomsg *info = link_message(nl, &h, RTM_NEWLINK, 0);
    info->ifi_index = index;
    info->ifi_flags = IFF_UP;
    info->ifi_change = IFF_UP;
    return finish(nl, h, 0, "bringing up the link", name, err);
}

int link_set_port(struct nl *nl, const char *name, const char *bridge, struct error *err)
{
    struct nlmsghdr *h;
    int index, master;

    if (need_link(nl, name, &index, err) < 0 || need_link(nl, bridge, &master, err) < 0)
        return -1;
    struct ifinfomsg *info = link_message(nl, &h, RTM_NEWLINK, 0);
    info->ifi_index = index;
    mnl_attr_put_u32(h, IFLA_MASTER, (uint32_t)master);
    if (finish(nl, h, 0, "joining to the bridge the link", name, err) < 0)
        return -1;

    info = link_message(nl, &h, RTM_NEWLINK, 0);
    info->ifi_index = index;
    struct nlattr *link = mnl_attr_nest_start(h, IFLA_LINKINFO);
    mnl_attr_put_str(h, IFLA_INFO_SLAVE_KIND, "bridge");
    struct nlattr *port = mnl_attr_nest_start(h, IFLA_INFO_SLAVE_DATA);
    mnl_attr_put_u8(h, IFLA_BRPORT_ISOLATED, 1);
    mnl_attr_nest_end(h, port);
    mnl_attr_nest_end(h, link);
    return finish(nl, h, 0, "isolating the link", name, err);
}

int link_remove(struct nl *nl, const char *name, struct error *err)
{
    struct nlmsghdr *h;
    int index = link_index(nl, name);

    if (index == 0)
        return 0;
    struct ifinfomsg *info = link_message(nl, &h, RTM_DELLINK, 0);
    info->ifi_index = index;
    return finish(nl, h, ENODEV, "removing the link", name, err);
}

int link_add_address(struct nl *nl, const char *name, const char *address, unsigned prefix,
                     struct error *err)
{
    struct in_addr in;
    int index;

    if (need_link(nl, name, &index, err) < 0 || need_address(address, &in, err) < 0)
        return -1;
    struct nlmsghdr *h = request(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
    struct ifaddrmsg *message = mnl_nlmsg_put_extra_header(h, sizeof(*message));
    message->ifa_family = AF_INET;
    message->ifa_prefixlen = (uint8_t)prefix;
    message->ifa_index = (uint32_t)index;
    mnl_attr_put_u32(h, IFA_LOCAL, in.s_addr);
    mnl_attr_put_u32(h, IFA_ADDRESS, in.s_addr);
    return finish(nl, h, EEXIST, "adding an address to", name, err);
}

int link_add_route(struct nl *nl, const struct route *route, struct error *err)
{
    struct in_addr to, via, source;
    int index;

    if (need_link(nl, route->link, &index, err) < 0 ||
        (route->to && need_address(route->to, &to, err) < 0) ||
        (route->via && need_address(route->via, &via, err) < 0) ||
        (route->source && need_address(route->source, &source, err) < 0))
        return -1;
    struct nlmsghdr *h = request(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
    struct rtmsg *message = mnl_nlmsg_put_extra_header(h, sizeof(*message));
    message->rtm_family = AF_INET;
    message->rtm_dst_len = (unsigned char)(route->to ? route->prefix : 0);
    message->rtm_table = RT_TABLE_MAIN;
    message->rtm_protocol = RTPROT_STATIC;
    message->rtm_scope = route->via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    message->rtm_type = RTN_UNICAST;
    if (route->to)
        mnl_attr_put_u32(h, RTA_DST, to.s_addr);
    if (route->via)
        mnl_attr_put_u32(h, RTA_GATEWAY, via.s_addr);
    if (route->source)
        mnl_attr_put_u32(h, RTA_PREFSRC, source.s_addr);
    mnl_attr_put_u32(h, RTA_OIF, (uint32_t)index);
    return finish(nl, h, 0, "adding a route by", route->link, err);
}

static int neighbour_message(struct nl *nl, uint16_t type, uint16_t flags, const char *name,
                             const char *address, struct nlmsghdr **ret, struct error *err)
{
    struct in_addr in;
    int index;

    if (need_link(nl, name, &index, err) < 0 || need_address(address, &in, err) < 0)
        return -1;
    struct nlmsghdr *h = request(nl, type, flags);
    struct ndmsg *message = mnl_nlmsg_put_extra_header(h, sizeof(*message));
    message->ndm_family = AF_INET;
    message->ndm_ifindex = index;
    message->ndm_state = NUD_PERMANENT;
    mnl_attr_put_u32(h, NDA_DST, in.s_addr);
    *ret = h;
    return 0;
}

int link_add_neighbour(struct nl *nl, const char *name, const char *address, struct mac mac,
                       struct error *err)
{
    struct nlmsghdr *h;

    if (neighbour_message(nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, name, address, &h, err) <
        0)
        return -1;
    mnl_attr_put(h, NDA_LLADDR, sizeof(mac.bytes), mac.bytes);
    return finish(nl, h, 0, "adding a neighbour on", name, err);
}

int link_remove_neighbour(struct nl *nl, const char *name, const char *address, struct error *err)
{
    struct nlmsghdr *h;

    if (neighbour_message(nl, RTM_DELNEIGH, 0, name, address, &h, err) < 0)
        return -1;
    return finish(nl, h, ENOENT, "removing a neighbour on", name, err);
}
