/* cluster/net/table.h - the firewall of one cluster's namespace, as a whole: Services,
 * NetworkPolicies, and who may enter and leave.
 *
 * Takes plain addresses and numbers (policy.h and the node make them from objects); gives one
 * nftables transaction that replaces the table before. Pure but for table_apply(). */
#pragma once
#include "base/buf.h"
#include "cluster/net/net.h"
#include "cluster/net/nft.h"

enum {
    TABLE_TEXT_MAX = 16 << 20, /* bytes: 253 pods, each with its own rules over all others */
    TABLE_TCP = 6,
    TABLE_UDP = 17,
    TABLE_SCTP = 132,
};

struct table_endpoint {
    uint32_t address; /* host byte order, like all addresses here */
    uint16_t port;
};

struct table_service {
    uint32_t address; /* of the Service */
    uint16_t port;
    uint8_t protocol;                 /* TABLE_TCP… */
    bool is_sticky;                   /* sessionAffinity ClientIP */
    struct table_endpoint *endpoints; /* owned */
    size_t endpoint_count;            /* 0: refused at once */
};

struct table_block { /* addresses first … last */
    uint32_t first;
    uint32_t last;
};

/* One thing that is allowed: a peer in `peers` but not in `except` (both may be empty: anybody), to
 * protocol and ports. */
struct table_allow {
    struct table_block *peers; /* owned */
    size_t peer_count;
    bool any_peer;
    struct table_block *except; /* owned */
    size_t except_count;
    uint8_t protocol;    /* 0: all */
    uint16_t port_first; /* 0: all ports */
    uint16_t port_last;
};

struct table_allows {
    struct table_allow *items; /* owned */
    size_t count;
};

struct table_pod {
    uint32_t address;
    bool is_ingress_isolated; /* some policy selects it: only `ingress` may come in */
    bool is_egress_isolated;
    struct table_allows ingress;
    struct table_allows egress;
};

struct table {
    unsigned index;                 /* of the cluster */
    struct table_service *services; /* owned */
    size_t service_count;
    struct table_pod *pods; /* owned: all pods with an address */
    size_t pod_count;
};

void table_done(struct table *table);
DEFINE_CLEANUP_VALUE(table, struct table, table_done)

/* NULL without memory; the new item is zeroed. */
struct table_service *table_add_service(struct table *table);
struct table_pod *table_add_pod(struct table *table);
struct table_allow *table_allows_add(struct table_allows *allows);
NODISCARD int table_add_endpoint(struct table_service *service, uint32_t address, uint16_t port,
                                 struct error *err);
NODISCARD int table_block_add(struct table_block **blocks, size_t *count, uint32_t first,
                              uint32_t last, struct error *err);

/* The transaction's text. The same table gives the same bytes. */
NODISCARD int table_write(const struct table *table, struct buf *out, struct error *err);
NODISCARD int table_apply(const struct table *table, struct nft *nft, struct error *err);

/* The other table of a cluster's namespace, kept by the fabric: where pods may go by the uplink. */
NODISCARD int table_write_ways(const struct table_endpoint *allowed, size_t count, struct buf *out,
                               struct error *err);

/* Strict dotted text; false if it is not an address. */
bool table_parse_address(const char *text, uint32_t *ret);
/* "10.0.0.0/8" → first and last address; bits beyond the prefix are ignored, as Kubernetes does. */
bool table_parse_block(const char *text, struct table_block *ret);
