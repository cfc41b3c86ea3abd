/* cluster/net/table.c - the text of a cluster's nftables table. Source: nft(8). */
#include "cluster/net/table.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define IP_FORMAT  "%u.%u.%u.%u"
#define IP_ARGS(a) (a) >> 24, ((a) >> 16) & 255, ((a) >> 8) & 255, (a)&255

static void allows_done(struct table_allows *allows)
{
    for (size_t i = 0; i < allows->count; i++) {
        free(allows->items[i].peers);
        free(allows->items[i].except);
    }
    free(allows->items);
}

void table_done(struct table *table)
{
    for (size_t i = 0; i < table->service_count; i++)
        free(table->services[i].endpoints);
    for (size_t i = 0; i < table->pod_count; i++) {
        allows_done(&table->pods[i].ingress);
        allows_done(&table->pods[i].egress);
    }
    free(table->services);
    free(table->pods);
    *table = (struct table){.index = table->index};
}

/* Room for one more at powers of two; zeroes it. */
static void *grow(void *items, size_t count, size_t size)
{
    if (count & (count - 1)) /* not a power of two (and not zero): there is room */
        return items;
    return reallocarray(items, count ? count * 2 : 1, size);
}

struct table_service *table_add_service(struct table *table)
{
    struct table_service *items = grow(table->services, table->service_count, sizeof(*items));
    if (!items)
        return NULL;
    table->services = items;
    items[table->service_count] = (struct table_service){0};
    return &items[table->service_count++];
}

struct table_pod *table_add_pod(struct table *table)
{
    struct table_pod *items = grow(table->pods, table->pod_count, sizeof(*items));
    if (!items)
        return NULL;
    table->pods = items;
    items[table->pod_count] = (struct table_pod){0};
    return &items[table->pod_count++];
}

struct table_allow *table_allows_add(struct table_allows *allows)
{
    struct table_allow *items = grow(allows->items, allows->count, sizeof(*items));
    if (!items)
        return NULL;
    allows->items = items;
    items[allows->count] = (struct table_allow){0};
    return &items[allows->count++];
}

int table_add_endpoint(struct table_service *service, uint32_t address, uint16_t port,
                       struct error *err)
{
    struct table_endpoint *items =
        grow(service->endpoints, service->endpoint_count, sizeof(*items));
    if (!items)
        return error_no_memory(err);
    service->endpoints = items;
    items[service->endpoint_count++] = (struct table_endpoint){address, port};
    return 0;
}

int table_block_add(struct table_block **blocks, size_t *count, uint32_t first, uint32_t last,
                    struct error *err)
{
    struct table_block *items = grow(*blocks, *count, sizeof(*items));
    if (!items)
        return error_no_memory(err);
    *blocks = items;
    items[(*count)++] = (struct table_block){first, last};
    return 0;
}

bool table_parse_address(const char *text, uint32_t *ret)
{
    struct in_addr in;
    if (!text || inet_pton(AF_INET, text, &in) != 1)
        return false;
    *ret = ntohl(in.s_addr);
    return true;
}

bool table_parse_block(const char *text, struct table_block *ret)
{
    struct str rest = str_of(text);
    struct str address = str_cut(&rest, '/');
    uint64_t prefix;
    uint32_t base;
    char plain[NET_ADDRESS_SIZE];

    if (!rest.ptr || address.len == 0 || address.len >= sizeof(plain) ||
        !str_to_u64(rest, &prefix) || prefix > 32)
        return false;
    memcpy(plain, address.ptr, address.len);
    plain[address.len] = '\0';
    if (!table_parse_address(plain, &base))
        return false;
    uint32_t mask = prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
    *ret = (struct table_block){base & mask, base | ~mask};
    return true;
}

/* nft refuses overlapping intervals in a set, so they are sorted and joined first. */
static int compare_blocks(const void *a, const void *b)
{
    const struct table_block *x = a, *y = b;
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->last < y->last ? -1 : x->last > y->last;
}

static void write_blocks(struct table_block *blocks, size_t count, struct buf *out)
{
    qsort(blocks, count, sizeof(*blocks), compare_blocks);
    buf_add_text(out, "{ ");
    for (size_t i = 0; i < count;) {
        struct table_block b = blocks[i++];
        while (i < count && (b.last == UINT32_MAX || blocks[i].first <= b.last + 1)) {
            if (blocks[i].last > b.last)
                b.last = blocks[i].last;
            i++;
        }
        buf_addf(out, IP_FORMAT, IP_ARGS(b.first));
        if (b.last != b.first)
            buf_addf(out, "-" IP_FORMAT, IP_ARGS(b.last));
        buf_add_text(out, i < count ? ", " : " ");
    }
    buf_add_text(out, "}");
}

static const char *protocol_name(uint8_t protocol)
{
    return protocol == TABLE_UDP ? "udp" : protocol == TABLE_SCTP ? "sctp" : "tcp";
}

/* One rule that returns for what is allowed. `side` is the peer's: "saddr" for ingress. */
static void write_allow(const struct table_allow *allow, const char *side, struct buf *out)
{
    if (!allow->any_peer && allow->peer_count == 0)
        return; /* nobody: allows nothing */
    if (!allow->any_peer) {
        buf_addf(out, "    ip %s ", side);
        write_blocks(allow->peers, allow->peer_count, out);
    } else {
        buf_add_text(out, "   ");
    }
    if (allow->except_count) {
        buf_addf(out, " ip %s != ", side);
        write_blocks(allow->except, allow->except_count, out);
    }
    if (allow->protocol && allow->port_first) {
        buf_addf(out, " %s dport %u", protocol_name(allow->protocol), allow->port_first);
        if (allow->port_last > allow->port_first)
            buf_addf(out, "-%u", allow->port_last);
    } else if (allow->protocol) {
        buf_addf(out, " meta l4proto %s", protocol_name(allow->protocol));
    }
    buf_add_text(out, " return\n");
}

/* The chains of one direction, and the map from pod to chain. Replicas share policies, so equal
 * bodies share one chain. */
struct chains {
    struct buf *out;    /* chains go here */
    struct buf map;     /* "10.90.1.5 : jump i3, …" */
    struct buf *bodies; /* owned */
    size_t body_count;
    char letter;
};

static size_t chain_for(struct chains *chains, struct buf *body)
{
    for (size_t i = 0; i < chains->body_count; i++) {
        if (str_equal(buf_str(&chains->bodies[i]), buf_str(body))) {
            buf_done(body);
            return i;
        }
    }
    chains->bodies[chains->body_count] = *body;
    buf_addf(chains->out, "  chain %c%zu {\n%s    drop\n  }\n", chains->letter, chains->body_count,
             buf_text(body));
    return chains->body_count++;
}

static int write_direction(const struct table *table, bool is_ingress, struct buf *out,
                           struct buf *ret_map, struct error *err)
{
    struct chains chains = {
        .out = out, .map = BUF_INIT(TABLE_TEXT_MAX), .letter = is_ingress ? 'i' : 'e'};
    bool failed = false;

    chains.bodies = calloc(table->pod_count + 1, sizeof(*chains.bodies));
    if (!chains.bodies)
        return error_no_memory(err);
    for (size_t p = 0; p < table->pod_count; p++) {
        const struct table_pod *pod = &table->pods[p];
        const struct table_allows *allows = is_ingress ? &pod->ingress : &pod->egress;
        struct buf body = BUF_INIT(TABLE_TEXT_MAX);

        if (is_ingress ? !pod->is_ingress_isolated : !pod->is_egress_isolated)
            continue;
        for (size_t i = 0; i < allows->count; i++)
            write_allow(&allows->items[i], is_ingress ? "saddr" : "daddr", &body);
        failed = failed || body.failed;
        size_t chain = chain_for(&chains, &body);
        buf_addf(&chains.map, "%s" IP_FORMAT " : jump %c%zu", chains.map.len ? ", " : "",
                 IP_ARGS(pod->address), chains.letter, chain);
    }
    for (size_t i = 0; i < chains.body_count; i++)
        buf_done(&chains.bodies[i]);
    free(chains.bodies);
    *ret_map = chains.map;
    return failed ? error_no_memory(err) : 0;
}

static void write_service_chain(const struct table_service *s, size_t number, struct buf *out)
{
    buf_addf(out, "  chain s%zu {\n    meta l4proto %s dnat ip to ", number,
             protocol_name(s->protocol));
    if (s->endpoint_count == 1) {
        buf_addf(out, IP_FORMAT ":%u\n  }\n", IP_ARGS(s->endpoints[0].address),
                 s->endpoints[0].port);
        return;
    }
    buf_addf(out, "%s mod %zu map { ", s->is_sticky ? "jhash ip saddr" : "numgen random",
             s->endpoint_count);
    for (size_t i = 0; i < s->endpoint_count; i++)
        buf_addf(out, "%s%zu : " IP_FORMAT " . %u", i ? ", " : "", i,
                 IP_ARGS(s->endpoints[i].address), s->endpoints[i].port);
    buf_add_text(out, " }\n  }\n");
}

static void write_services(const struct table *table, struct buf *out)
{
    struct buf map = BUF_INIT(TABLE_TEXT_MAX);

    for (size_t i = 0; i < table->service_count; i++) {
        const struct table_service *s = &table->services[i];
        if (s->endpoint_count == 0)
            continue; /* the forward and output chains refuse what was not translated */
        write_service_chain(s, i, out);
        buf_addf(&map, "%s" IP_FORMAT " . %s . %u : goto s%zu", map.len ? ", " : "",
                 IP_ARGS(s->address), protocol_name(s->protocol), s->port, i);
    }
    for (int is_local = 0; is_local < 2; is_local++) {
        buf_addf(out, "  chain %s {\n    type nat hook %s priority -100\n",
                 is_local ? "from_node" : "from_pods", is_local ? "output" : "prerouting");
        if (map.len)
            buf_addf(out, "    ip daddr . meta l4proto . th dport vmap { %s }\n", buf_text(&map));
        buf_add_text(out, "  }\n");
    }
    if (map.failed)
        out->failed = map.failed;
    buf_done(&map);
}

/* A pod that calls its own Service would get a packet from its own address, which Linux drops: such
 * flows alone are given the node's address. */
static void write_self_calls(const struct table *table, struct buf *out)
{
    buf_add_text(out, "  chain post {\n    type nat hook postrouting priority 100\n");
    if (table->pod_count) {
        buf_add_text(out, "    ct status dnat oifname \"br0\" ip saddr . ip daddr { ");
        for (size_t i = 0; i < table->pod_count; i++)
            buf_addf(out, "%s" IP_FORMAT " . " IP_FORMAT, i ? ", " : "",
                     IP_ARGS(table->pods[i].address), IP_ARGS(table->pods[i].address));
        buf_add_text(out, " } masquerade\n");
    }
    buf_add_text(out, "  }\n");
}

static void write_policy(const struct table *table, const struct buf *egress,
                         const struct buf *ingress, struct buf *out)
{
    unsigned i = table->index;

    buf_addf(out,
             "  chain refuse {\n    meta l4proto tcp reject with tcp reset\n    reject\n  }\n"
             "  chain forward {\n    type filter hook forward priority 0; policy drop\n"
             "    ct state established,related accept\n    ct state invalid drop\n"
             "    ip daddr 10.96.%u.0/24 jump refuse\n    iifname != \"br0\" drop\n",
             i);
    if (table->pod_count) { /* to itself is always allowed */
        buf_add_text(out, "    ip saddr . ip daddr { ");
        for (size_t p = 0; p < table->pod_count; p++)
            buf_addf(out, "%s" IP_FORMAT " . " IP_FORMAT, p ? ", " : "",
                     IP_ARGS(table->pods[p].address), IP_ARGS(table->pods[p].address));
        buf_add_text(out, " } accept\n");
    }
    if (egress->len)
        buf_addf(out, "    ip saddr vmap { %s }\n", buf_text(egress));
    buf_add_text(out, "    oifname \"uplink\" accept\n"); /* the fabric's table decides where to */
    if (ingress->len)
        buf_addf(out, "    ip daddr vmap { %s }\n", buf_text(ingress));
    buf_addf(out,
             "    oifname \"br0\" accept\n  }\n"
             "  chain input {\n    type filter hook input priority 0; policy drop\n"
             "    ct state established,related accept\n    iifname \"lo\" accept\n"
             "    iifname \"uplink\" tcp dport %d accept\n"
             "    iifname != \"br0\" drop\n"
             "    ip daddr 10.90.%u.1 meta l4proto { tcp, udp } th dport %d accept\n",
             NET_REGISTRY_PORT, i, NET_DNS_PORT);
    if (egress->len) /* names are always answered, but the API is a destination like others */
        buf_addf(out, "    ip saddr vmap { %s }\n", buf_text(egress));
    buf_addf(out,
             "    ip daddr 10.90.%u.1 tcp dport %d accept\n    jump refuse\n  }\n"
             "  chain output {\n    type filter hook output priority 0\n"
             "    ip daddr 10.96.%u.0/24 jump refuse\n  }\n",
             i, NET_API_PORT, i);
}

int table_write(const struct table *table, struct buf *out, struct error *err)
{
    CLEANUP(buf) struct buf egress = BUF_INIT(0);
    CLEANUP(buf) struct buf ingress = BUF_INIT(0);

    /* "add" first, so that "delete" finds it: the usual way to replace a table in one transaction
     */
    buf_add_text(out, "table ip monban\ndelete table ip monban\ntable ip monban {\n");
    if (write_direction(table, false, out, &egress, err) < 0 ||
        write_direction(table, true, out, &ingress, err) < 0)
        return -1;
    write_services(table, out);
    write_self_calls(table, out);
    write_policy(table, &egress, &ingress, out);
    buf_add_text(out, "}\n");
    if (buf_ok(&egress, err) < 0 || buf_ok(&ingress, err) < 0)
        return -1;
    return buf_ok(out, err);
}

int table_apply(const struct table *table, struct nft *nft, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(TABLE_TEXT_MAX);

    if (table_write(table, &text, err) < 0)
        return -1;
    return nft_apply(nft, buf_text(&text), err);
}

int table_write_ways(const struct table_endpoint *allowed, size_t count, struct buf *out,
                     struct error *err)
{
    buf_add_text(out, "table ip ways\ndelete table ip ways\ntable ip ways {\n"
                      "  chain forward {\n    type filter hook forward priority -10\n"
                      "    ct state established,related accept\n"
                      "    iifname != \"br0\" accept\n    oifname != \"uplink\" accept\n");
    for (size_t i = 0; i < count; i++)
        buf_addf(out, "    ip daddr " IP_FORMAT " tcp dport %u accept\n",
                 IP_ARGS(allowed[i].address), allowed[i].port);
    buf_add_text(out, "    meta l4proto tcp reject with tcp reset\n    reject\n  }\n}\n");
    return buf_ok(out, err);
}
