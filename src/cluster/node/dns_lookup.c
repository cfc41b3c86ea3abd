/* cluster/node/dns_lookup.c - see dns.h. */
#include <stdio.h>

#include "cluster/net/table.h"
#include "cluster/node/dns.h"

#define ZONE ".cluster.local"

void dns_result_done(struct dns_result *result)
{
    strv_done(&result->texts);
}

static const char *keep(struct dns_result *r, char *take_text)
{
    CLEANUP(text) char *text = take_text;

    if (text)
        strv_add(&r->texts, text);
    return text && !r->texts.failed ? r->texts.items[r->texts.count - 1] : NULL;
}

static void add(struct dns_result *r, struct dns_record record)
{
    if (r->count < DNS_RECORDS_MAX)
        r->records[r->count++] = record;
}

static const json_t *find(const json_t *objects, struct str ns, struct str name)
{
    CLEANUP(text) char *key = str_format("%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
    return key ? json_object_get(objects, key) : NULL;
}

/* "10-90-1-5" of an address: the name of an endpoint without a hostname. */
static char *dashed(const char *ip)
{
    char *text = str_dup(str_of(ip));
    for (char *c = text; c && *c; c++)
        if (*c == '.')
            *c = '-';
    return text;
}

static bool is_named(const json_t *address, struct str host)
{
    const char *hostname = json_str_at(address, "hostname"), *ip = json_str_at(address, "ip");
    CLEANUP(text) char *dashes = ip ? dashed(ip) : NULL;
    return (hostname && str_is(host, hostname)) || (dashes && str_is(host, dashes));
}

/* Addresses of a headless Service, or of the one endpoint `host` (len 0: all). */
static void add_endpoints(struct dns_result *r, const json_t *endpoints, struct str host,
                          bool with_unready)
{
    size_t i, j;
    json_t *subset, *address;

    json_array_foreach(json_object_get(endpoints, "subsets"), i, subset)
    {
        for (int unready = 0; unready <= (with_unready ? 1 : 0); unready++) {
            json_array_foreach(json_object_get(subset, unready ? "notReadyAddresses" : "addresses"),
                               j, address)
            {
                uint32_t ip;
                if ((!host.len || is_named(address, host)) &&
                    table_parse_address(json_str_at(address, "ip"), &ip))
                    add(r, (struct dns_record){.type = DNS_A, .address = ip});
            }
        }
    }
}

static void answer_service(struct dns_result *r, const struct dns_question *q,
                           const json_t *service, const json_t *endpoints, struct str host)
{
    const char *type = json_str_at(service, "spec.type"),
               *external = json_str_at(service, "spec.externalName");
    uint32_t address;

    if (!service)
        return;
    if (type && strcmp(type, "ExternalName") == 0 && external) {
        r->code = DNS_OK;
        add(r, (struct dns_record){.type = DNS_CNAME, .target = external});
        return;
    }
    size_t before = r->count;
    if (!host.len && table_parse_address(json_str_at(service, "spec.clusterIP"), &address))
        add(r, (struct dns_record){.type = DNS_A, .address = address});
    else
        add_endpoints(r, endpoints, host,
                      json_bool_at(service, "spec.publishNotReadyAddresses", false));
    if (!host.len || r->count > before)
        r->code = DNS_OK; /* the name exists, even with nobody behind it */
    if (q->type != DNS_A && q->type != DNS_ANY)
        r->count = before;
}

/* _port._proto.svc.ns.svc: where each stands, by name, and that name's address is for another
 * question. */
static void answer_srv(struct dns_result *r, const json_t *service, const json_t *endpoints,
                       struct str port_name, struct str protocol, const char *service_name)
{
    bool is_headless = json_str_at(service, "spec.clusterIP") &&
                       strcmp(json_str_at(service, "spec.clusterIP"), "None") == 0;
    size_t i, j, k;
    json_t *port, *subset, *address;

    json_array_foreach(json_at(service, "spec.ports"), i, port)
    {
        const char *name = json_str_at(port, "name"), *have = json_str_at(port, "protocol");
        if (!name || !str_is(port_name, name) ||
            !str_is(protocol, have && strcmp(have, "UDP") == 0 ? "udp" : "tcp"))
            continue;
        r->code = DNS_OK;
        if (!is_headless) {
            add(r, (struct dns_record){.type = DNS_SRV,
                                       .port = (uint16_t)json_int_at(port, "port", 0),
                                       .target = service_name});
            continue;
        }
        json_array_foreach(json_object_get(endpoints, "subsets"), j, subset)
        {
            int64_t number = json_int_at(subset, "ports[0].port", 0);
            json_array_foreach(json_object_get(subset, "addresses"), k, address)
            {
                const char *host = json_str_at(address, "hostname"),
                           *ip = json_str_at(address, "ip");
                CLEANUP(text) char *dashes = dashed(ip ? ip : "");
                const char *target = keep(r, str_format("%s.%s",
                                                        host     ? host
                                                        : dashes ? dashes
                                                                 : "",
                                                        service_name));
                if (target)
                    add(r, (struct dns_record){
                               .type = DNS_SRV, .port = (uint16_t)number, .target = target});
            }
        }
    }
}

static void answer_pod(struct dns_result *r, const struct dns_question *q, struct str dashes)
{
    char text[NET_ADDRESS_SIZE];
    uint32_t address;

    if (dashes.len >= sizeof(text))
        return;
    for (size_t i = 0; i < dashes.len; i++)
        text[i] = dashes.ptr[i] == '-' ? '.' : dashes.ptr[i];
    text[dashes.len] = '\0';
    if (!table_parse_address(text, &address))
        return;
    r->code = DNS_OK;
    if (q->type == DNS_A || q->type == DNS_ANY)
        add(r, (struct dns_record){.type = DNS_A, .address = address});
}

/* "5.1.90.10.in-addr.arpa" → the Service or endpoint of that address. */
static void answer_reverse(struct dns_result *r, const json_t *services,
                           const struct dns_question *q)
{
    unsigned a, b, c, d;
    char text[NET_ADDRESS_SIZE];
    const char *key;
    json_t *service;
    struct str rest = str_of(q->name), part[4];
    unsigned *const numbers[] = {&d, &c, &b, &a};

    for (int i = 0; i < 4; i++) {
        uint64_t number;
        part[i] = str_cut(&rest, '.');
        if (!str_to_u64(part[i], &number) || number > 255)
            return;
        *numbers[i] = (unsigned)number;
    }
    (void)snprintf(text, sizeof(text), "%u.%u.%u.%u", a, b, c, d);
    json_object_foreach((json_t *)services, key, service)
    {
        const char *ip = json_str_at(service, "spec.clusterIP");
        if (!ip || strcmp(ip, text) != 0)
            continue;
        r->code = DNS_OK;
        const char *target =
            keep(r, str_format("%s.%s.svc" ZONE, json_str_at(service, "metadata.name"),
                               json_str_at(service, "metadata.namespace")));
        if (target && (q->type == DNS_PTR || q->type == DNS_ANY))
            add(r, (struct dns_record){.type = DNS_PTR, .target = target});
    }
}

/* Labels of a name from its end: labels[0] is the last. */
static size_t split(struct str name, struct str *labels, size_t max)
{
    size_t count = 0;

    while (name.len && count < max) {
        ptrdiff_t dot = str_find_last(name, '.');
        labels[count++] = str_skip(name, dot < 0 ? 0 : (size_t)dot + 1);
        name = str_first(name, dot < 0 ? 0 : (size_t)dot);
    }
    return name.len ? max + 1 : count;
}

void dns_look_up(const json_t *services, const json_t *endpoints, const struct dns_question *q,
                 struct dns_result *ret)
{
    struct str name = str_of(q->name), labels[6];

    ret->code = DNS_NO_SUCH_NAME;
    ret->count = 0;
    ret->texts = (struct strv)STRV_INIT;
    if (str_ends(name, STR(".in-addr.arpa"))) {
        answer_reverse(ret, services, q);
        return;
    }
    if (str_is(name, "cluster.local")) {
        ret->code = DNS_OK;
        return;
    }
    if (!str_ends(name, STR(ZONE)))
        return;
    name = str_first(name, name.len - strlen(ZONE));
    size_t count = split(name, labels, 5);
    if (count == 3 && str_is(labels[0], "pod")) {
        answer_pod(ret, q, labels[2]);
        return;
    }
    if (count < 1 || count > 5 || !str_is(labels[0], "svc"))
        return;
    if (count <= 2) { /* svc, ns.svc: they have names below */
        ret->code = DNS_OK;
        return;
    }
    const json_t *service = find(services, labels[1], labels[2]),
                 *its = find(endpoints, labels[1], labels[2]);
    if (count == 3 || count == 4) {
        answer_service(ret, q, service, its, count == 4 ? labels[3] : STR(""));
        return;
    }
    if (service && labels[3].len > 1 && labels[4].len > 1 && labels[3].ptr[0] == '_' &&
        labels[4].ptr[0] == '_') {
        const char *target =
            keep(ret, str_format("%.*s.%.*s.svc" ZONE, STR_ARG(labels[2]), STR_ARG(labels[1])));
        if (target)
            answer_srv(ret, service, its, str_skip(labels[4], 1), str_skip(labels[3], 1), target);
        if (q->type != DNS_SRV && q->type != DNS_ANY)
            ret->count = 0;
    }
}
