/* cluster/node/dns_test.c - questions and answers, byte by byte, and what the names of a cluster
 * mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/node/dns.h"

/* A question as resolvers send it. */
static void ask(struct buf *out, const char *name, uint16_t type, bool with_edns)
{
    const unsigned char head[] = {0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, (unsigned char)with_edns};
    struct str rest = str_of(name);

    buf_add(out, head, sizeof(head));
    while (rest.len) {
        struct str label = str_cut(&rest, '.');
        buf_add_char(out, (char)label.len);
        buf_add_str(out, label);
    }
    const unsigned char tail[] = {0, (unsigned char)(type >> 8), (unsigned char)type, 0, 1};
    buf_add(out, tail, sizeof(tail));
    const unsigned char opt[] = {0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0};
    if (with_edns)
        buf_add(out, opt, sizeof(opt));
}

static struct dns_question parsed(const struct buf *packet, int want_code)
{
    struct dns_question q;
    int code;
    assert_true(dns_question_parse(buf_str(packet), &q, &code));
    assert_int_equal(code, want_code);
    return q;
}

static void question_is_read(void **state)
{
    CLEANUP(buf) struct buf packet = BUF_INIT(1000);
    ask(&packet, "Web.Default.svc.cluster.local", DNS_A, true);
    struct dns_question q = parsed(&packet, DNS_OK);
    assert_string_equal(q.name, "web.default.svc.cluster.local");
    assert_int_equal(q.type, DNS_A);
    assert_int_equal(q.id, 0x1234);
    assert_true(q.has_edns && q.recursion_desired);
    assert_int_equal(q.udp_size, DNS_UDP_MAX); /* 4096 was offered */
}

static void what_is_no_question_is_not_answered(void **state)
{
    CLEANUP(buf) struct buf packet = BUF_INIT(1000);
    struct dns_question q;
    int code;
    ask(&packet, "a", DNS_A, false);
    assert_false(dns_question_parse(str_first(buf_str(&packet), 11), &q, &code));
    packet.ptr[2] = (char)0x80; /* itself an answer: two servers must not talk for ever */
    assert_false(dns_question_parse(buf_str(&packet), &q, &code));
}

static void damaged_questions_are_format_errors(void **state)
{
    CLEANUP(buf) struct buf packet = BUF_INIT(1000);
    ask(&packet, "ab.cd", DNS_A, false);
    for (size_t len = 12; len < packet.len; len++) {
        struct dns_question q;
        int code;
        assert_true(dns_question_parse(str_first(buf_str(&packet), len), &q, &code));
        assert_int_equal(code, DNS_FORMAT_ERROR);
    }
    packet.ptr[12] = (char)0xc0; /* a pointer to itself */
    parsed(&packet, DNS_FORMAT_ERROR);
}

static json_t *world_services(void)
{
    return json_pack(
        "{s:{s:{s:s,s:s},s:{s:s,s:[{s:s,s:i,s:s}]}},s:{s:{s:s,s:s},s:{s:s,s:[{s:s,s:i}]}},s:{s:{s:s,s:s},s:{s:s,s:s}}}",
        "default/web", "metadata", "name", "web", "namespace", "default", "spec", "clusterIP",
        "10.96.1.2", "ports", "name", "http", "port", 80, "protocol", "TCP", "default/db",
        "metadata", "name", "db", "namespace", "default", "spec", "clusterIP", "None", "ports",
        "name", "sql", "port", 5432, "default/out", "metadata", "name", "out", "namespace",
        "default", "spec", "type", "ExternalName", "externalName", "db.example.org");
}

static json_t *world_endpoints(void)
{
    return json_pack("{s:{s:[{s:[{s:s,s:s},{s:s}],s:[{s:s}],s:[{s:s,s:i}]}]}}", "default/db",
                     "subsets", "addresses", "ip", "10.90.1.5", "hostname", "db-0", "ip",
                     "10.90.1.6", "notReadyAddresses", "ip", "10.90.1.7", "ports", "name", "sql",
                     "port", 5433);
}

static struct dns_result result; /* of the last look(); emptied by the next, and at the end */

static struct dns_result *look(const char *name, uint16_t type)
{
    CLEANUP(buf) struct buf packet = BUF_INIT(1000);
    CLEANUP(json) json_t *services = world_services();
    CLEANUP(json) json_t *endpoints = world_endpoints();
    assert_non_null(services);
    assert_non_null(endpoints);
    ask(&packet, name, type, false);
    struct dns_question q = parsed(&packet, DNS_OK);
    dns_result_done(&result);
    dns_look_up(services, endpoints, &q, &result);
    return &result;
}

static void service_has_its_address(void **state)
{
    struct dns_result *r = look("web.default.svc.cluster.local", DNS_A);
    assert_int_equal(r->code, DNS_OK);
    assert_int_equal(r->count, 1);
    assert_int_equal(r->records[0].address, 0x0a600102);
    r = look("web.default.svc.cluster.local", DNS_AAAA); /* exists, without such an address */
    assert_int_equal(r->code, DNS_OK);
    assert_int_equal(r->count, 0);
}

static void headless_service_has_its_ready_pods(void **state)
{
    struct dns_result *r = look("db.default.svc.cluster.local", DNS_A);
    assert_int_equal(r->count, 2);
    assert_int_equal(r->records[0].address, 0x0a5a0105);
    r = look("db-0.db.default.svc.cluster.local", DNS_A);
    assert_int_equal(r->count, 1);
    assert_int_equal(r->records[0].address, 0x0a5a0105);
    r = look("10-90-1-6.db.default.svc.cluster.local", DNS_A);
    assert_int_equal(r->count, 1);
    assert_int_equal(look("nobody.db.default.svc.cluster.local", DNS_A)->code, DNS_NO_SUCH_NAME);
}

static void srv_names_port_and_target(void **state)
{
    struct dns_result *r = look("_http._tcp.web.default.svc.cluster.local", DNS_SRV);
    assert_int_equal(r->count, 1);
    assert_int_equal(r->records[0].port, 80);
    r = look("_sql._tcp.db.default.svc.cluster.local", DNS_SRV);
    assert_int_equal(r->count, 2);
    assert_int_equal(r->records[0].port, 5433);
    assert_int_equal(look("_sql._udp.db.default.svc.cluster.local", DNS_SRV)->code,
                     DNS_NO_SUCH_NAME);
}

static void names_outside_do_not_exist(void **state)
{
    assert_int_equal(look("example.org", DNS_A)->code, DNS_NO_SUCH_NAME);
    assert_int_equal(look("web.other.svc.cluster.local", DNS_A)->code, DNS_NO_SUCH_NAME);
    assert_int_equal(look("example.org.default.svc.cluster.local", DNS_A)->code, DNS_NO_SUCH_NAME);
    assert_int_equal(look("a.b.c.d.e.f.g.cluster.local", DNS_A)->code, DNS_NO_SUCH_NAME);
}

static void names_on_the_way_exist(void **state)
{
    assert_int_equal(look("svc.cluster.local", DNS_A)->code, DNS_OK);
    assert_int_equal(look("default.svc.cluster.local", DNS_A)->code, DNS_OK);
}

static void external_name_is_an_alias(void **state)
{
    struct dns_result *r = look("out.default.svc.cluster.local", DNS_A);
    assert_int_equal(r->count, 1);
    assert_int_equal(r->records[0].type, DNS_CNAME);
}

static void addresses_lead_back_to_their_service(void **state)
{
    struct dns_result *r = look("2.1.96.10.in-addr.arpa", DNS_PTR);
    assert_int_equal(r->count, 1);
    assert_string_equal(r->records[0].target, "web.default.svc.cluster.local");
    assert_int_equal(look("9.9.9.9.in-addr.arpa", DNS_PTR)->code, DNS_NO_SUCH_NAME);
}

static void answer_repeats_the_question(void **state)
{
    CLEANUP(buf) struct buf packet = BUF_INIT(1000), out = BUF_INIT(2000);
    struct error err = ERROR_INIT;
    ask(&packet, "a.b", DNS_A, false);
    struct dns_question q = parsed(&packet, DNS_OK);
    struct dns_record record = {.type = DNS_A, .address = 0x01020304};
    assert_int_equal(dns_answer_write(buf_str(&packet), &q, DNS_OK, &record, 1, 512, &out, &err),
                     0);
    const unsigned char want[] = {0x12, 0x34, 0x85, 0x80, 0, 1, 0, 1, 0,    0,  0, 0, 1,
                                  'a',  1,    'b',  0,    0, 1, 0, 1, 0xc0, 12, 0, 1, 0,
                                  1,    0,    0,    0,    5, 0, 4, 1, 2,    3,  4};
    assert_int_equal(out.len, sizeof(want));
    assert_memory_equal(out.ptr, want, sizeof(want));
}

static void long_answer_is_cut_and_says_so(void **state)
{
    CLEANUP(buf) struct buf packet = BUF_INIT(1000), out = BUF_INIT(20000);
    struct error err = ERROR_INIT;
    struct dns_record records[200];
    ask(&packet, "a.b", DNS_A, false);
    struct dns_question q = parsed(&packet, DNS_OK);
    for (size_t i = 0; i < ARRAY_LEN(records); i++)
        records[i] = (struct dns_record){.type = DNS_A, .address = (uint32_t)i};
    assert_int_equal(dns_answer_write(buf_str(&packet), &q, DNS_OK, records, ARRAY_LEN(records),
                                      512, &out, &err),
                     0);
    assert_true(out.len <= 512 && out.len > 480);
    assert_true(out.ptr[2] & 2); /* TC: ask again by TCP */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(question_is_read),
        cmocka_unit_test(what_is_no_question_is_not_answered),
        cmocka_unit_test(damaged_questions_are_format_errors),
        cmocka_unit_test(service_has_its_address),
        cmocka_unit_test(headless_service_has_its_ready_pods),
        cmocka_unit_test(srv_names_port_and_target),
        cmocka_unit_test(names_outside_do_not_exist),
        cmocka_unit_test(names_on_the_way_exist),
        cmocka_unit_test(external_name_is_an_alias),
        cmocka_unit_test(addresses_lead_back_to_their_service),
        cmocka_unit_test(answer_repeats_the_question),
        cmocka_unit_test(long_answer_is_cut_and_says_so),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dns_result_done(&result);
    return failed;
}
