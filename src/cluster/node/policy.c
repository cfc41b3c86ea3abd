/* cluster/node/policy.c - see policy.h. */
#include "cluster/node/policy.h"

#include "cluster/api/api.h"

struct side { /* one rule of one policy, seen from the pod that it protects */
    const struct policy_world *world;
    const struct policy_pod *self;
    const char *ns; /* of the policy */
    bool is_ingress;
};

static const char *ns_of(const struct policy_pod *pod)
{
    const char *ns = json_str_at(pod->object, "metadata.namespace");
    return ns ? ns : "";
}

static const json_t *namespace_object(const struct policy_world *world, const char *name)
{
    CLEANUP(text) char *key = str_format("/%s", name);
    return key ? json_object_get(world->namespaces, key) : NULL;
}

static bool peer_has_pod(const struct side *side, const json_t *peer, const struct policy_pod *pod)
{
    const json_t *pods = json_object_get(peer, "podSelector"),
                 *spaces = json_object_get(peer, "namespaceSelector");

    if (!pods && !spaces)
        return false;
    if (spaces ? !api_selector_matches(spaces, namespace_object(side->world, ns_of(pod)))
               : strcmp(ns_of(pod), side->ns) != 0)
        return false;
    return !pods || api_selector_matches(pods, pod->object);
}

static uint8_t protocol_of(const json_t *port)
{
    const char *text = json_str_at(port, "protocol");
    return text && strcmp(text, "UDP") == 0    ? TABLE_UDP
           : text && strcmp(text, "SCTP") == 0 ? TABLE_SCTP
                                               : TABLE_TCP;
}

/* The number of a named container port; 0 if the pod has none such. */
static uint16_t named_port(const struct policy_pod *pod, const char *name, uint8_t protocol)
{
    size_t i, j;
    json_t *container, *port;

    json_array_foreach(json_at(pod->object, "spec.containers"), i, container)
    {
        json_array_foreach(json_object_get(container, "ports"), j, port)
        {
            const char *have = json_str_at(port, "name");
            if (have && strcmp(have, name) == 0 && protocol_of(port) == protocol)
                return (uint16_t)json_int_at(port, "containerPort", 0);
        }
    }
    return 0;
}

static struct table_allow *new_allow(struct table_allows *allows, const json_t *port,
                                     uint16_t number)
{
    struct table_allow *allow = table_allows_add(allows);

    if (!allow || !port)
        return allow;
    allow->protocol = protocol_of(port);
    allow->port_first = number;
    allow->port_last = (uint16_t)json_int_at(port, "endPort", number);
    return allow;
}

static int add_block_peer(struct table_allows *allows, const json_t *block, const json_t *port,
                          uint16_t number, struct error *err)
{
    struct table_block range;
    size_t i;
    json_t *item;

    if (!table_parse_block(json_str_at(block, "cidr"), &range))
        return 0; /* not IPv4, or bad: allows nothing here */
    struct table_allow *allow = new_allow(allows, port, number);
    if (!allow)
        return error_no_memory(err);
    if (table_block_add(&allow->peers, &allow->peer_count, range.first, range.last, err) < 0)
        return -1;
    json_array_foreach(json_object_get(block, "except"), i, item)
    {
        if (table_parse_block(json_string_value(item), &range) &&
            table_block_add(&allow->except, &allow->except_count, range.first, range.last, err) < 0)
            return -1;
    }
    return 0;
}

/* Peers that are pods share one row, unless a named port has another number in each. */
static int add_pod_peers(const struct side *side, struct table_allows *allows, const json_t *peers,
                         const json_t *port, uint16_t number, const char *name, struct error *err)
{
    struct table_allow *allow = NULL;
    size_t i;
    json_t *peer;

    for (size_t p = 0; p < side->world->pod_count; p++) {
        const struct policy_pod *pod = &side->world->pods[p];
        bool is_peer = peers == NULL; /* everybody, but each with its own number of the name */
        json_array_foreach((json_t *)peers, i, peer)
        {
            is_peer = is_peer || peer_has_pod(side, peer, pod);
        }
        if (!is_peer)
            continue;
        uint16_t here = number;
        if (name && !side->is_ingress && (here = named_port(pod, name, protocol_of(port))) == 0)
            continue;
        size_t at = allow ? (size_t)(allow - allows->items) : 0;
        if (!allow || allow->port_first != here) {
            allow = new_allow(allows, port, here);
            at = allow ? (size_t)(allow - allows->items) : 0;
        }
        if (!allow)
            return error_no_memory(err);
        allow = &allows->items[at];
        if (table_block_add(&allow->peers, &allow->peer_count, pod->address, pod->address, err) < 0)
            return -1;
    }
    return 0;
}

/* One port (NULL: all) of a rule. */
static int add_port(const struct side *side, struct table_allows *allows, const json_t *peers,
                    const json_t *port, struct error *err)
{
    const json_t *value = json_object_get(port, "port");
    const char *name = json_string_value(value);
    uint16_t number = json_is_integer(value) ? (uint16_t)json_integer_value(value) : 0;
    bool is_anybody = json_array_size(peers) == 0;
    size_t i;
    json_t *peer;

    if (name && side->is_ingress && (number = named_port(side->self, name, protocol_of(port))) == 0)
        return 0; /* this pod has no such port */
    if (is_anybody && !(name && !side->is_ingress)) {
        struct table_allow *allow = new_allow(allows, port, number);
        if (!allow)
            return error_no_memory(err);
        allow->any_peer = true;
        return 0;
    }
    json_array_foreach((json_t *)peers, i, peer)
    {
        const json_t *block = json_object_get(peer, "ipBlock");
        if (block && !(name && !side->is_ingress) &&
            add_block_peer(allows, block, port, number, err) < 0)
            return -1;
    }
    return add_pod_peers(side, allows, is_anybody ? NULL : peers, port, number, name, err);
}

static int add_rules(const struct side *side, struct table_allows *allows, const json_t *rules,
                     struct error *err)
{
    size_t i, j;
    json_t *rule, *port;

    json_array_foreach((json_t *)rules, i, rule)
    {
        const json_t *peers = json_object_get(rule, side->is_ingress ? "from" : "to");
        const json_t *ports = json_object_get(rule, "ports");
        if (json_array_size(ports) == 0 && add_port(side, allows, peers, NULL, err) < 0)
            return -1;
        json_array_foreach((json_t *)ports, j, port)
        {
            if (add_port(side, allows, peers, port, err) < 0)
                return -1;
        }
    }
    return 0;
}

static bool has_type(const json_t *spec, const char *type)
{
    const json_t *types = json_object_get(spec, "policyTypes");
    size_t i;
    json_t *item;

    if (json_array_size(types) == 0) /* default: Ingress, and Egress if there are such rules */
        return strcmp(type, "Ingress") == 0 || json_object_get(spec, "egress");
    json_array_foreach((json_t *)types, i, item)
    {
        if (json_is_string(item) && strcmp(json_string_value(item), type) == 0)
            return true;
    }
    return false;
}

static int apply_policy(const struct policy_world *world, const json_t *policy,
                        const struct policy_pod *pod, struct table_pod *row, struct error *err)
{
    const json_t *spec = json_object_get(policy, "spec"),
                 *selector = json_object_get(spec, "podSelector");
    const char *ns = json_str_at(policy, "metadata.namespace");
    CLEANUP(json) json_t *everything = json_object();

    if (!ns || strcmp(ns, ns_of(pod)) != 0 ||
        !api_selector_matches(selector ? selector : everything, pod->object))
        return 0;
    struct side side = {.world = world, .self = pod, .ns = ns, .is_ingress = true};
    if (has_type(spec, "Ingress")) {
        row->is_ingress_isolated = true;
        if (add_rules(&side, &row->ingress, json_object_get(spec, "ingress"), err) < 0)
            return -1;
    }
    side.is_ingress = false;
    if (has_type(spec, "Egress")) {
        row->is_egress_isolated = true;
        if (add_rules(&side, &row->egress, json_object_get(spec, "egress"), err) < 0)
            return -1;
    }
    return 0;
}

int policy_compile(const struct policy_world *world, struct table *table, struct error *err)
{
    for (size_t i = 0; i < world->pod_count; i++) {
        struct table_pod *row = table_add_pod(table);
        const char *key;
        json_t *policy;
        if (!row)
            return error_no_memory(err);
        row->address = world->pods[i].address;
        json_object_foreach((json_t *)world->policies, key, policy)
        {
            if (apply_policy(world, policy, &world->pods[i], row, err) < 0)
                return -1;
        }
    }
    return 0;
}
