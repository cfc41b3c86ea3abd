/* cluster/node/dns.h - the names of a cluster: Services, headless Services' pods, pods by address.
 * Pure look-up.
 *
 * Source: Kubernetes DNS-Based Service Discovery 1.1. Only cluster.local exists; all else is
 * NXDOMAIN at once, because nothing outside is reachable by name. */
#pragma once
#include "cluster/node/dns_packet.h"
#include "wire/json.h"

enum { DNS_RECORDS_MAX = 512 };
struct dns_result {
    int code; /* DNS_OK or DNS_NO_SUCH_NAME */
    struct dns_record records[DNS_RECORDS_MAX];
    size_t count;
    struct strv texts; /* targets and names that records borrow */
};
void dns_result_done(struct dns_result *result);

/* `services` and `endpoints`: "<namespace>/<name>" → object. */
void dns_look_up(const json_t *services, const json_t *endpoints,
                 const struct dns_question *question, struct dns_result *ret);
