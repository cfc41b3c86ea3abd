/* cluster/net/pod_net.c - links between pods and their cluster's namespace. */
#include "cluster/net/pod_net.h"

#include <stdio.h>

#include "base/io.h"
#include "base/log.h"
#include "cluster/net/netns.h"
#include "cluster/net/nft.h"
#include "cluster/net/table.h"

/* Locally administered, from the address: no two ends share one. */
static struct mac mac_of(unsigned index, unsigned host)
{
    return (struct mac){{0x0a, 0x5a, 10, 90, (uint8_t)index, (uint8_t)host}};
}

static int set_sysctls(int netns, struct error *err)
{
    static const char *const values[][2] = {
        {"ipv4/ip_forward", "1"},
        {"ipv4/conf/all/rp_filter", "1"}, /* a source address must belong to the link it came by */
        {"ipv4/conf/default/rp_filter", "1"},
        {"ipv4/conf/all/send_redirects", "0"}, /* pod to pod goes in and out by br0, rightly */
        {"ipv4/conf/default/send_redirects", "0"},
        {"ipv4/conf/all/accept_redirects", "0"},
    };

    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        if (netns_sysctl(netns, values[i][0], values[i][1], err) < 0)
            return -1;
    /* 1 sends bridged frames through the IP hooks as well, which breaks a pod's call of its own
     * Service. A kernel without br_netfilter has no such switch. */
    struct error ignored = ERROR_INIT;
    if (netns_sysctl(netns, "bridge/bridge-nf-call-iptables", "0", &ignored) < 0)
        log_debug("no bridge-nf-call-iptables", log_err(&ignored));
    return 0;
}

static int install_closed_tables(int netns, unsigned index, struct error *err)
{
    CLEANUP(nft) struct nft *nft = NULL;
    CLEANUP(buf) struct buf ways = BUF_INIT(1 << 16);
    struct table table = {.index = index};

    if (nft_open(netns, &nft, err) < 0 || table_write_ways(NULL, 0, &ways, err) < 0 ||
        nft_apply(nft, buf_text(&ways), err) < 0)
        return -1;
    return table_apply(&table, nft, err);
}

static int make_bridge(struct nl *nl, unsigned index, struct error *err)
{
    char node[NET_ADDRESS_SIZE], services[NET_ADDRESS_SIZE];

    net_node_address(index, node);
    (void)snprintf(services, sizeof(services), "10.96.%u.0", index);
    if (link_add_bridge(nl, "br0", mac_of(index, 1), err) < 0 ||
        link_add_address(nl, "br0", node, 24, err) < 0 || link_up(nl, "br0", err) < 0)
        return -1;
    /* Only so that the node's own sockets have a source for them; the output chain translates. */
    return link_add_route(
        nl, &(struct route){.to = services, .prefix = 24, .link = "br0", .source = node}, err);
}

int cluster_net_ensure(const char *path, unsigned index, struct error *err)
{
    CLEANUP(fd) int netns = -1;
    CLEANUP(nl) struct nl *nl = NULL;
    bool made = false;

    if (netns_make(path, &made, err) < 0 || netns_open(path, &netns, err) < 0 ||
        nl_open(netns, &nl, err) < 0)
        return error_wrap(err, "making the cluster's network");
    if (!made && link_exists(nl, "br0"))
        return 0;
    if (set_sysctls(netns, err) < 0 || install_closed_tables(netns, index, err) < 0 ||
        make_bridge(nl, index, err) < 0)
        return error_wrap(err, "making the cluster's network");
    return 0;
}

static int set_up_pod_side(int pod_netns, unsigned index, const char *address, struct error *err)
{
    CLEANUP(nl) struct nl *nl = NULL;
    char node[NET_ADDRESS_SIZE];

    net_node_address(index, node);
    if (nl_open(pod_netns, &nl, err) < 0 || link_add_address(nl, "eth0", address, 32, err) < 0 ||
        link_up(nl, "eth0", err) < 0 ||
        link_add_neighbour(nl, "eth0", node, mac_of(index, 1), err) < 0 ||
        link_add_route(nl, &(struct route){.to = node, .prefix = 32, .link = "eth0"}, err) < 0)
        return -1;
    return link_add_route(nl, &(struct route){.via = node, .link = "eth0"}, err);
}

int pod_net_add(const struct pod_net *net, const char *path, unsigned host, struct error *err)
{
    CLEANUP(fd) int netns = -1;
    char link[16], address[NET_ADDRESS_SIZE];

    net_pod_address(net->index, host, address);
    (void)snprintf(link, sizeof(link), "p%u", host);
    if (link_remove(net->cluster_nl, link, err) < 0 || /* of a pod whose end we missed */
        netns_make(path, NULL, err) < 0 || netns_open(path, &netns, err) < 0 ||
        link_add_veth(net->cluster_nl, link, "eth0", netns, mac_of(net->index, host), err) < 0 ||
        link_set_port(net->cluster_nl, link, "br0", err) < 0 ||
        link_up(net->cluster_nl, link, err) < 0 ||
        link_add_neighbour(net->cluster_nl, "br0", address, mac_of(net->index, host), err) < 0 ||
        set_up_pod_side(netns, net->index, address, err) < 0) {
        pod_net_remove(net, path, host);
        return error_wrap(err, "making the pod's network");
    }
    return 0;
}

void pod_net_remove(const struct pod_net *net, const char *path, unsigned host)
{
    struct error err = ERROR_INIT;
    char link[16], address[NET_ADDRESS_SIZE];

    net_pod_address(net->index, host, address);
    (void)snprintf(link, sizeof(link), "p%u", host);
    if (link_remove(net->cluster_nl, link, &err) < 0 ||
        link_remove_neighbour(net->cluster_nl, "br0", address, &err) < 0)
        log_warn("a pod's link was not removed; the next pod of its address replaces it",
                 log_str("link", link), log_err(&err));
    netns_remove(path);
}
