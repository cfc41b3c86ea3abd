/* cluster/api/service_address.c - gives Services their clusterIP (10.96.i.0/24) and their nodePorts
 * (30000+(i-1)*300 … +299), from what no other Service has. */
#include <arpa/inet.h>

#include "cluster/api/api_internal.h"

enum {
    ADDRESS_FIRST = 2, /* .1 is the API itself */
    ADDRESS_LAST = 254,
    NODE_PORT_BASE = 30000,
    NODE_PORTS_PER_CLUSTER = 300,
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool address_is_used(struct api *api, const char *address, const char *uid)
{
    struct object_list list = api_list(api, RES_SERVICES, NULL);

    for (size_t i = 0; i < list.count; i++) {
        const char *other = json_str_at(object_root(list.items[i]), "spec.clusterIP");
        if (other && strcmp(other, address) == 0 && strcmp(object_uid(list.items[i]), uid) != 0)
            return true;
    }
    return false;
}

static int refuse(const json_t *service, const char *field, const json_t *value, const char *detail,
                  struct status *status)
{
    CLEANUP(causes) struct causes causes = CAUSES_INIT;
    const char *name = json_str_at(service, "metadata.name");

    causes_invalid(&causes, field, value, "%s", detail);
    return status_invalid(status, resource_get(RES_SERVICES), name ? name : "", &causes);
}

static int check_address(struct api *api, const json_t *service, const char *address,
                         struct status *status)
{
    const json_t *value = json_at(service, "spec.clusterIP");
    const char *uid = json_str_at(service, "metadata.uid");
    char prefix[32], range[96];

    (void)snprintf(prefix, sizeof(prefix), "10.96.%u.", api->cluster_index);
    (void)snprintf(
        range, sizeof(range),
        "failed to allocate IP %s: the provided IP is not in the valid range 10.96.%u.0/24",
        address, api->cluster_index);
    if (strncmp(address, prefix, strlen(prefix)) != 0)
        return refuse(service, "spec.clusterIPs", value, range, status);
    if (address_is_used(api, address, uid ? uid : ""))
        return refuse(service, "spec.clusterIPs", value,
                      "failed to allocate IP: provided IP is already allocated", status);
    return 0;
}

static int choose_address(struct api *api, json_t *spec, struct status *status)
{
    char address[INET_ADDRSTRLEN];

    for (unsigned i = 0; i <= ADDRESS_LAST - ADDRESS_FIRST; i++) {
        if (api->next_address < ADDRESS_FIRST || api->next_address > ADDRESS_LAST)
            api->next_address = ADDRESS_FIRST;
        (void)snprintf(address, sizeof(address), "10.96.%u.%u", api->cluster_index & 255,
                       api->next_address++ & 255);
        if (!address_is_used(api, address, ""))
            return json_object_set_new(spec, "clusterIP", json_string(address)) < 0
                       ? status_no_memory(status)
                       : 0;
    }
    return status_set(status, 500, "InternalError",
                      "Internal error occurred: failed to allocate a serviceIP: range is full");
}

static int allocate_address(struct api *api, json_t *service, struct status *status)
{
    json_t *spec = json_object_get(service, "spec");
    const char *address = text_of(spec, "clusterIP");

    if (strcmp(text_of(spec, "type"), "ExternalName") == 0) {
        (void)json_object_del(spec, "clusterIP"); /* both may be absent */
        (void)json_object_del(spec, "clusterIPs");
        return 0;
    }
    if (!*address) {
        const char *first =
            json_string_value(json_array_get(json_object_get(spec, "clusterIPs"), 0));
        if (first && json_object_set_new(spec, "clusterIP", json_string(first)) < 0)
            return status_no_memory(status);
        address = text_of(spec, "clusterIP");
    }
    if (*address && strcmp(address, "None") != 0) {
        if (check_address(api, service, address, status) < 0)
            return -1;
    } else if (!*address && choose_address(api, spec, status) < 0) {
        return -1;
    }
    if (json_object_set_new(spec, "clusterIPs", json_pack("[s]", text_of(spec, "clusterIP"))) < 0)
        return status_no_memory(status);
    return 0;
}

/* --- node ports --- */

static bool spec_has_node_port(const json_t *spec, int64_t port, size_t before)
{
    const json_t *ports = json_object_get(spec, "ports");

    for (size_t i = 0; i < json_array_size(ports) && i < before; i++) {
        if (json_int_at(json_array_get(ports, i), "nodePort", 0) == port)
            return true;
    }
    return false;
}

static bool node_port_is_used(struct api *api, int64_t port, const char *uid)
{
    struct object_list list = api_list(api, RES_SERVICES, NULL);

    for (size_t i = 0; i < list.count; i++) {
        const json_t *spec = json_object_get(object_root(list.items[i]), "spec");
        if (strcmp(object_uid(list.items[i]), uid) != 0 && spec_has_node_port(spec, port, SIZE_MAX))
            return true;
    }
    return false;
}

static int choose_node_port(struct api *api, const json_t *spec, json_t *port,
                            struct status *status)
{
    int64_t base = NODE_PORT_BASE + (int64_t)(api->cluster_index - 1) * NODE_PORTS_PER_CLUSTER;

    for (unsigned i = 0; i < NODE_PORTS_PER_CLUSTER; i++) {
        int64_t number = base + (api->next_node_port++ % NODE_PORTS_PER_CLUSTER);
        if (node_port_is_used(api, number, "") || spec_has_node_port(spec, number, SIZE_MAX))
            continue;
        return json_object_set_new(port, "nodePort", json_integer(number)) < 0
                   ? status_no_memory(status)
                   : 0;
    }
    return status_set(status, 500, "InternalError",
                      "Internal error occurred: failed to allocate a nodePort: range is full");
}

static int allocate_node_ports(struct api *api, json_t *service, struct status *status)
{
    json_t *spec = json_object_get(service, "spec"), *port;
    const char *type = text_of(spec, "type");
    const char *uid = json_str_at(service, "metadata.uid");
    bool wants = strcmp(type, "NodePort") == 0 || strcmp(type, "LoadBalancer") == 0;
    int64_t base = NODE_PORT_BASE + (int64_t)(api->cluster_index - 1) * NODE_PORTS_PER_CLUSTER;
    char field[48], range[128];
    size_t i;

    json_array_foreach(json_object_get(spec, "ports"), i, port)
    {
        int64_t number = json_int_at(port, "nodePort", 0);
        (void)snprintf(field, sizeof(field), "spec.ports[%zu].nodePort", i);
        if (!wants) {
            (void)json_object_del(port, "nodePort"); /* may be absent */
            continue;
        }
        if (number == 0) {
            if (choose_node_port(api, spec, port, status) < 0)
                return -1;
            continue;
        }
        if (number < base || number >= base + NODE_PORTS_PER_CLUSTER) {
            (void)snprintf(range, sizeof(range),
                           "provided port is not in the valid range. The range of valid ports is"
                           " %lld-%lld",
                           (long long)base, (long long)base + NODE_PORTS_PER_CLUSTER - 1);
            return refuse(service, field, json_object_get(port, "nodePort"), range, status);
        }
        if (node_port_is_used(api, number, uid ? uid : "") || spec_has_node_port(spec, number, i))
            return refuse(service, field, json_object_get(port, "nodePort"),
                          "provided port is already allocated", status);
    }
    return 0;
}

int service_keep_allocated(json_t *service, const json_t *old)
{
    json_t *spec = json_object_get(service, "spec"), *port, *before;
    const json_t *old_spec = json_object_get(old, "spec");
    size_t i, j;

    if (!*text_of(spec, "clusterIP") && *text_of(old_spec, "clusterIP") &&
        strcmp(text_of(old_spec, "type"), "ExternalName") != 0 &&
        json_object_set(spec, "clusterIP", json_object_get(old_spec, "clusterIP")) < 0)
        return -1;
    if (strcmp(text_of(spec, "type"), "ClusterIP") == 0)
        return 0;
    json_array_foreach(json_object_get(spec, "ports"), i, port)
    {
        if (json_int_at(port, "nodePort", 0) != 0)
            continue;
        json_array_foreach(json_object_get(old_spec, "ports"), j, before)
        {
            json_t *number = json_object_get(before, "nodePort");
            if (number &&
                json_equal(json_object_get(before, "port"), json_object_get(port, "port")) &&
                json_equal(json_object_get(before, "protocol"),
                           json_object_get(port, "protocol")) &&
                json_object_set(port, "nodePort", number) < 0)
                return -1;
        }
    }
    return 0;
}

int service_allocate(struct api *api, json_t *service, struct status *status)
{
    if (allocate_address(api, service, status) < 0)
        return -1;
    return allocate_node_ports(api, service, status);
}
