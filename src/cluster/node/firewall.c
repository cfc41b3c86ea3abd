/* cluster/node/firewall.c - keeps the cluster's nftables table as the Services, endpoints, pods and
 * policies want it. */
#include "base/log.h"
#include "cluster/net/table.h"
#include "cluster/node/node_internal.h"
#include "cluster/node/policy.h"

static uint8_t protocol_number(const json_t *port)
{
    const char *name = json_str_at(port, "protocol");
    return name && strcmp(name, "UDP") == 0    ? TABLE_UDP
           : name && strcmp(name, "SCTP") == 0 ? TABLE_SCTP
                                               : TABLE_TCP;
}

static bool is_same_port(const json_t *service_port, const json_t *endpoint_port)
{
    const char *a = json_str_at(service_port, "name"), *b = json_str_at(endpoint_port, "name");
    return strcmp(a ? a : "", b ? b : "") == 0 &&
           protocol_number(service_port) == protocol_number(endpoint_port);
}

/* Ready addresses of one port of a Service. */
static int add_endpoints(struct table_service *row, const json_t *endpoints, const json_t *port,
                         struct error *err)
{
    size_t i, j, k;
    json_t *subset, *address, *item;

    json_array_foreach(json_object_get(endpoints, "subsets"), i, subset)
    {
        json_array_foreach(json_object_get(subset, "ports"), j, item)
        {
            int64_t number = json_int_at(item, "port", 0);
            if (!is_same_port(port, item) || number <= 0 || number > 65535)
                continue;
            json_array_foreach(json_object_get(subset, "addresses"), k, address)
            {
                uint32_t ip;
                if (table_parse_address(json_str_at(address, "ip"), &ip) &&
                    table_add_endpoint(row, ip, (uint16_t)number, err) < 0)
                    return -1;
            }
        }
    }
    return 0;
}

static int add_service(struct node *node, struct table *table, const json_t *service,
                       struct error *err)
{
    const char *ns = json_str_at(service, "metadata.namespace"),
               *name = json_str_at(service, "metadata.name");
    const char *affinity = json_str_at(service, "spec.sessionAffinity");
    uint32_t address;
    size_t i;
    json_t *port;

    if (!ns || !name || !table_parse_address(json_str_at(service, "spec.clusterIP"), &address))
        return 0; /* headless, or without an address */
    const json_t *endpoints = node_find(node, MIRROR_ENDPOINTS, ns, name);
    json_array_foreach(json_at(service, "spec.ports"), i, port)
    {
        int64_t number = json_int_at(port, "port", 0);
        struct table_service *row = number > 0 && number < 65536 ? table_add_service(table) : NULL;
        if (!row)
            continue;
        row->address = address;
        row->port = (uint16_t)number;
        row->protocol = protocol_number(port);
        row->is_sticky = affinity && strcmp(affinity, "ClientIP") == 0;
        if (add_endpoints(row, endpoints, port, err) < 0)
            return -1;
    }
    return 0;
}

static int add_pods(struct node *node, struct table *table, struct error *err)
{
    struct policy_pod *pods = calloc(256, sizeof(*pods));
    struct policy_world world = {.pods = pods,
                                 .namespaces = node->mirror[MIRROR_NAMESPACES],
                                 .policies = node->mirror[MIRROR_NETWORKPOLICIES]};
    char address[NET_ADDRESS_SIZE];

    if (!pods)
        return error_no_memory(err);
    for (unsigned host = NODE_HOST_FIRST; host <= NODE_HOST_LAST; host++) {
        struct pod *pod = node->by_host[host];
        if (!pod || !table_parse_address(pod_address(pod, address), &pods[world.pod_count].address))
            continue;
        pods[world.pod_count++].object = pod->object;
    }
    int failed = policy_compile(&world, table, err);
    free(pods);
    return failed;
}

static int apply(struct node *node, struct error *err)
{
    CLEANUP(table) struct table table = {.index = node->index};
    CLEANUP(buf) struct buf text = BUF_INIT(TABLE_TEXT_MAX);
    const char *key;
    json_t *service;

    json_object_foreach(node->mirror[MIRROR_SERVICES], key, service)
    {
        if (add_service(node, &table, service, err) < 0)
            return -1;
    }
    if (add_pods(node, &table, err) < 0 || table_write(&table, &text, err) < 0)
        return -1;
    if (node->firewall_text && strcmp(node->firewall_text, buf_text(&text)) == 0)
        return 0;
    if (nft_apply(node->nft, buf_text(&text), err) < 0)
        return -1;
    /* UDP has no end of a flow: the next packet must find the endpoints of now */
    for (size_t i = 0; i < table.service_count; i++)
        if (table.services[i].protocol == TABLE_UDP &&
            conntrack_forget_udp(node->ct, table.services[i].address, table.services[i].port, err) <
                0)
            return -1;
    free(node->firewall_text);
    node->firewall_text = buf_take(&text);
    return 0;
}

static void on_timer(struct loop *loop, void *ctx)
{
    struct node *node = ctx;
    struct error err = ERROR_INIT;

    node->firewall_timer = NULL;
    if (apply(node, &err) < 0)
        log_error("the firewall stays as it was", log_err(&err));
}

void firewall_touch(struct node *node)
{
    struct error err = ERROR_INIT;

    if (node->is_synced && !node->firewall_timer &&
        loop_add_timer(node->loop, 0, on_timer, node, &node->firewall_timer, &err) < 0)
        log_error("the firewall stays as it was", log_err(&err));
}

bool firewall_has_endpoint(const struct node *node, const char *address)
{
    const char *key;
    json_t *endpoints, *subset, *item;
    size_t i, j, k;

    json_object_foreach(node->mirror[MIRROR_ENDPOINTS], key, endpoints)
    {
        json_array_foreach(json_object_get(endpoints, "subsets"), i, subset)
        {
            for (k = 0; k < 2; k++) {
                json_array_foreach(json_object_get(subset, k ? "notReadyAddresses" : "addresses"),
                                   j, item)
                {
                    const char *ip = json_str_at(item, "ip");
                    if (ip && strcmp(ip, address) == 0)
                        return true;
                }
            }
        }
    }
    return false;
}
