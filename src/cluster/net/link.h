/* cluster/net/link.h - links, addresses, routes and neighbours by rtnetlink (libmnl), in one
 * namespace.
 *
 * A struct nl is a netlink socket that lives in a network namespace. Adding what is there already
 * is fine (0); removing what is gone, too. Every call blocks for the kernel's answer (well below 1
 * ms). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct nl;
NODISCARD int nl_open(int netns_fd, struct nl **ret, struct error *err);
void nl_close(struct nl *nl);
DEFINE_CLEANUP(nl, struct nl *, nl_close)

struct mac {
    uint8_t bytes[6];
};

NODISCARD int link_add_bridge(struct nl *nl, const char *name, struct mac mac, struct error *err);
/* A pair: `name` here, `peer` in the namespace `peer_netns_fd`. */
NODISCARD int link_add_veth(struct nl *nl, const char *name, const char *peer, int peer_netns_fd,
                            struct mac peer_mac, struct error *err);
NODISCARD int link_up(struct nl *nl, const char *name, struct error *err);
/* Puts `name` on the bridge as an isolated port: frames pass between it and the bridge itself only.
 */
NODISCARD int link_set_port(struct nl *nl, const char *name, const char *bridge, struct error *err);
NODISCARD int link_remove(struct nl *nl, const char *name, struct error *err);
bool link_exists(struct nl *nl, const char *name);

/* `address` is dotted text. */
NODISCARD int link_add_address(struct nl *nl, const char *name, const char *address,
                               unsigned prefix, struct error *err);

struct route {
    const char *to;  /* NULL: default */
    unsigned prefix; /* of `to` */
    const char *via; /* NULL: on the link */
    const char *link;
    const char *source; /* preferred source address, or NULL */
};
NODISCARD int link_add_route(struct nl *nl, const struct route *route, struct error *err);

/* Permanent: no ARP is asked or believed for it. */
NODISCARD int link_add_neighbour(struct nl *nl, const char *name, const char *address,
                                 struct mac mac, struct error *err);
NODISCARD int link_remove_neighbour(struct nl *nl, const char *name, const char *address,
                                    struct error *err);
