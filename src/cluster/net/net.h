/* cluster/net/net.h - the networks of the embedded clusters: namespaces, links, and who may talk to
 * whom.
 *
 * Takes names, indexes and addresses (docs/design.md, "Networks of embedded clusters"); gives
 * network namespaces bind-mounted at files, veth pairs, and nftables tables that are replaced as a
 * whole. Speaks rtnetlink (libmnl) and libnftables in process; nothing touches the machine's own
 * interfaces.
 *
 * A cluster's pods sit on isolated ports of br0 with /32 addresses, so that even traffic between
 * two pods is routed by the cluster's namespace. Thus one ordinary forward chain, with one
 * conntrack, sees every packet and can enforce NetworkPolicy; a bridge-family table would need a
 * second conntrack that does not know of the Services' address translation.
 *
 * Read: netns.h (namespaces), link.h (netlink), fabric below, table.h (a cluster's table),
 * conntrack.h. Everything here needs root and blocks for a few milliseconds at most. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum {
    NET_CLUSTER_INDEX_MAX = 199, /* 100.64.200.x and above are hosts */
    NET_HOST_INDEX_MAX = 55,     /* 100.64.255.x */
    NET_REGISTRY_PORT = 5000,
    NET_API_PORT = 6443,
    NET_DNS_PORT = 53,
    NET_ADDRESS_SIZE = 16, /* "255.255.255.255" with its terminator */
};

/* --- addresses (docs/design.md): text into `out`, which is returned
 * --------------------------------- */
const char *net_node_address(unsigned index, char out[NET_ADDRESS_SIZE]); /* 10.90.i.1 */
const char *net_pod_address(unsigned index, unsigned host, char out[NET_ADDRESS_SIZE]);
const char *net_uplink_address(unsigned index, char out[NET_ADDRESS_SIZE]); /* 100.64.i.2 */
const char *net_host_address(unsigned k, char out[NET_ADDRESS_SIZE]);       /* 100.64.(200+k).2 */

/* --- the fabric
 * -------------------------------------------------------------------------------------- One
 * namespace for a home folder, at HOME/net/fabric. It forwards the ways and nothing else. All calls
 * may be repeated: what is there already stays. */
NODISCARD int fabric_ensure(const char *home, struct error *err);

/* Joins the cluster `name` (its namespace at HOME/clusters/NAME/netns must exist) as 100.64.i.0/30.
 * Its pods may leave to nowhere until fabric_set_ways(). */
NODISCARD int fabric_attach_cluster(const char *home, const char *name, unsigned index,
                                    struct error *err);
void fabric_detach_cluster(const char *home, unsigned index);      /* gone already is fine */
unsigned fabric_cluster_index(const char *home, const char *name); /* 0: it has not joined */

/* A host outside all clusters: makes the namespace HOME/net/NAME with eth0 = 100.64.(200+k).2/30.
 * To run a program there: open that file and give it as proc_options.netns_fd. */
NODISCARD int fabric_attach_host(const char *home, const char *name, unsigned k, struct error *err);
void fabric_detach_host(const char *home, const char *name, unsigned k);

struct fabric_way {
    unsigned from_index; /* of a cluster: its uplink address */
    bool with_pods;      /* its pods too */
    char to[NET_ADDRESS_SIZE];
    uint16_t port; /* TCP */
};
/* These ways and no others, at once (one nftables transaction in the fabric, one in each cluster).
 */
NODISCARD int fabric_set_ways(const char *home, const struct fabric_way *ways, size_t count,
                              struct error *err);

/* (Detaching the last cluster or host does this, too.)
 * Removes the fabric, its hosts' namespaces and every link. Clusters lose their uplink. */
void fabric_teardown(const char *home);
