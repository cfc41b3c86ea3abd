/* cluster/net/pod_net.h - a cluster's own namespace (bridge, node address), and the namespace of
 * each pod. */
#pragma once
#include "cluster/net/link.h"
#include "cluster/net/net.h"

/* Makes the namespace at `path` with br0 = 10.90.i.1/24, forwarding, the route to the Services, and
 * a table that lets nobody out. Repeatable. */
NODISCARD int cluster_net_ensure(const char *path, unsigned index, struct error *err);

struct pod_net {
    unsigned index;        /* of the cluster */
    int cluster_netns;     /* borrowed */
    struct nl *cluster_nl; /* borrowed: opened in it */
};
/* Makes the pod's namespace at `path` with eth0 = 10.90.i.HOST/32 and a permanent neighbour at
 * either end: no ARP, so nobody can claim another pod's address. */
NODISCARD int pod_net_add(const struct pod_net *net, const char *path, unsigned host,
                          struct error *err);
/* Removes what pod_net_add() made; gone already is fine. */
void pod_net_remove(const struct pod_net *net, const char *path, unsigned host);
