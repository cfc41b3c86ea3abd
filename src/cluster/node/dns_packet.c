/* cluster/node/dns_packet.c - see dns_packet.h. */
#include "cluster/node/dns_packet.h"

enum { HEADER_SIZE = 12, LABEL_MAX = 63, OPT = 41 };

static uint16_t get16(struct str s, size_t at)
{
    return (uint16_t)((uint8_t)s.ptr[at] << 8 | (uint8_t)s.ptr[at + 1]);
}

static void put16(struct buf *out, unsigned value)
{
    buf_add_char(out, (char)(value >> 8));
    buf_add_char(out, (char)value);
}

static void put32(struct buf *out, uint32_t value)
{
    put16(out, value >> 16);
    put16(out, value & 0xffff);
}

/* A question's name: plain labels. Pointers have no place in a first name. Moves *at behind it. */
static bool read_name(struct str packet, size_t *at, char name[DNS_NAME_MAX + 1])
{
    size_t len = 0;

    for (;;) {
        if (*at >= packet.len)
            return false;
        uint8_t label = (uint8_t)packet.ptr[(*at)++];
        if (label == 0)
            break;
        if (label > LABEL_MAX || *at + label > packet.len || len + label + 1 > DNS_NAME_MAX)
            return false;
        if (len)
            name[len++] = '.';
        for (unsigned i = 0; i < label; i++) {
            char c = packet.ptr[*at + i];
            if (c == '.' || c == '\0') /* would read as another name */
                return false;
            name[len++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        }
        *at += label;
    }
    name[len] = '\0';
    return true;
}

/* Behind the question: an OPT record of the additional section, if it comes first, as all resolvers
 * send it. */
static void read_edns(struct str packet, size_t at, struct dns_question *q)
{
    if (at + 11 > packet.len || packet.ptr[at] != 0 || get16(packet, at + 1) != OPT)
        return;
    q->has_edns = true;
    q->udp_size = get16(packet, at + 3);
    if (q->udp_size < 512)
        q->udp_size = 512;
    if (q->udp_size > DNS_UDP_MAX)
        q->udp_size = DNS_UDP_MAX;
}

bool dns_question_parse(struct str packet, struct dns_question *ret, int *ret_code)
{
    size_t at = HEADER_SIZE;

    if (packet.len < HEADER_SIZE || ((uint8_t)packet.ptr[2] & 0x80))
        return false;
    *ret = (struct dns_question){
        .id = get16(packet, 0),
        .opcode = ((uint8_t)packet.ptr[2] >> 3) & 15,
        .recursion_desired = (uint8_t)packet.ptr[2] & 1,
        .udp_size = 512,
    };
    *ret_code = DNS_FORMAT_ERROR;
    if (get16(packet, 4) != 1 || !read_name(packet, &at, ret->name) || at + 4 > packet.len)
        return true;
    ret->name_len = at - HEADER_SIZE;
    ret->type = get16(packet, at);
    unsigned class = get16(packet, at + 2);
    *ret_code = ret->opcode != 0 || (class != 1 && class != 255) ? DNS_NOT_IMPLEMENTED : DNS_OK;
    if (get16(packet, 6) == 0 && get16(packet, 8) == 0 && get16(packet, 10) > 0)
        read_edns(packet, at + 4, ret);
    return true;
}

/* Names of ours come from objects that were checked; a label that cannot be is cut short. */
static void put_name(struct buf *out, const char *name)
{
    struct str rest = str_of(name);

    while (rest.len) {
        struct str label = str_first(str_cut(&rest, '.'), LABEL_MAX);
        if (label.len == 0)
            continue;
        buf_add_char(out, (char)label.len);
        buf_add_str(out, label);
    }
    buf_add_char(out, 0);
}

static void put_record(struct buf *out, const struct dns_record *record)
{
    CLEANUP(buf) struct buf data = BUF_INIT(600);

    switch (record->type) {
    case DNS_A:
        put32(&data, record->address);
        break;
    case DNS_SRV:
        put16(&data, 0);   /* priority */
        put16(&data, 100); /* weight */
        put16(&data, record->port);
        put_name(&data, record->target);
        break;
    default:
        put_name(&data, record->target);
        break;
    }
    if (record->name)
        put_name(out, record->name);
    else
        put16(out, 0xc000 | HEADER_SIZE); /* the question's name */
    put16(out, record->type);
    put16(out, 1);
    put32(out, DNS_TTL_S);
    put16(out, (unsigned)data.len);
    buf_add_str(out, buf_str(&data));
}

static void put_soa(struct buf *out)
{
    CLEANUP(buf) struct buf data = BUF_INIT(200);

    put_name(&data, "ns.dns.cluster.local");
    put_name(&data, "hostmaster.cluster.local");
    put32(&data, 1);     /* serial */
    put32(&data, 7200);  /* refresh */
    put32(&data, 1800);  /* retry */
    put32(&data, 86400); /* expire */
    put32(&data, DNS_TTL_S);
    put_name(out, "cluster.local");
    put16(out, DNS_SOA);
    put16(out, 1);
    put32(out, DNS_TTL_S);
    put16(out, (unsigned)data.len);
    buf_add_str(out, buf_str(&data));
}

int dns_answer_write(struct str packet, const struct dns_question *q, int code,
                     const struct dns_record *records, size_t count, size_t size_max,
                     struct buf *out, struct error *err)
{
    CLEANUP(buf) struct buf body = BUF_INIT(1 << 20);
    size_t question_len = q->name_len ? q->name_len + 4 : 0, answers = 0;
    size_t edns_len = q->has_edns ? 11 : 0;
    bool is_cut = false, with_soa = count == 0 && (code == DNS_OK || code == DNS_NO_SUCH_NAME);

    for (size_t i = 0; i < count; i++) {
        size_t before = body.len;
        put_record(&body, &records[i]);
        if (HEADER_SIZE + question_len + body.len + edns_len > size_max) {
            buf_truncate(&body, before);
            is_cut = true;
            break;
        }
        answers++;
    }
    if (with_soa)
        put_soa(&body);
    put16(out, q->id);
    /* QR, opcode, AA, TC, RD; RA; code */
    put16(out, 0x8000U | (unsigned)q->opcode << 11 | 0x0400U | (is_cut ? 0x0200U : 0) |
                   (q->recursion_desired ? 0x0100U : 0) | 0x0080U | (unsigned)code);
    put16(out, question_len ? 1 : 0);
    put16(out, (unsigned)answers);
    put16(out, with_soa ? 1 : 0);
    put16(out, q->has_edns ? 1 : 0);
    if (question_len)
        buf_add_str(out, str_slice(packet.ptr + HEADER_SIZE, question_len));
    buf_add_str(out, buf_str(&body));
    if (q->has_edns) {
        buf_add_char(out, 0);
        put16(out, OPT);
        put16(out, DNS_UDP_MAX);
        put32(out, 0);
        put16(out, 0);
    }
    if (buf_ok(&body, err) < 0)
        return -1;
    return buf_ok(out, err);
}
