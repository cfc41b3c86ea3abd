/* cluster/node/dns_packet.h - DNS questions and answers as bytes. Pure. Source: RFC 1035, 2782
 * (SRV), 6891 (EDNS). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum {
    DNS_NAME_MAX = 255, /* bytes as text */
    DNS_UDP_MAX = 1232, /* bytes: fits everywhere without fragments (with EDNS); 512 without */
    DNS_TCP_MAX = 65535,
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_AAAA = 28,
    DNS_SRV = 33,
    DNS_ANY = 255,
    DNS_OK = 0,
    DNS_FORMAT_ERROR = 1,
    DNS_NO_SUCH_NAME = 3,
    DNS_NOT_IMPLEMENTED = 4,
};

struct dns_question {
    uint16_t id;
    uint8_t opcode;
    bool recursion_desired;
    uint16_t type;
    char name[DNS_NAME_MAX + 1]; /* lower case, without the last dot; "" is the root */
    size_t name_len;             /* bytes of the name as sent */
    size_t udp_size;             /* what the asker takes: 512, or its EDNS size */
    bool has_edns;
};
/* One standard question, as every resolver sends it. False: not to be answered at all (too short,
 * or itself an answer). *ret_code tells what to answer: DNS_OK, or DNS_FORMAT_ERROR. */
bool dns_question_parse(struct str packet, struct dns_question *ret, int *ret_code);

struct dns_record {
    uint16_t type;
    uint32_t address;   /* A, host byte order */
    const char *target; /* CNAME, PTR, SRV: borrowed */
    uint16_t port;      /* SRV */
    const char *name;   /* NULL: the question's */
};
enum { DNS_TTL_S = 5 /* short: pods come and go */ };
/* The answer's bytes, with the question of `packet` repeated; cut (TC bit) to `size_max`. An empty
 * answer carries the zone's SOA, so that resolvers cache it briefly. */
NODISCARD int dns_answer_write(struct str packet, const struct dns_question *question, int code,
                               const struct dns_record *records, size_t count, size_t size_max,
                               struct buf *out, struct error *err);
