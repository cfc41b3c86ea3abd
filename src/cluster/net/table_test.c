/* cluster/net/table_test.c - the text of the firewall. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/net/table.h"

static char *written(const struct table *table)
{
    struct error err = ERROR_INIT;
    struct buf out = BUF_INIT(TABLE_TEXT_MAX);
    assert_int_equal(table_write(table, &out, &err), 0);
    return buf_take(&out);
}

static void empty_table_lets_nobody_through(void **state)
{
    CLEANUP(text) char *text = written(&(struct table){.index = 7});
    assert_non_null(strstr(text, "hook forward priority 0; policy drop"));
    assert_non_null(strstr(text, "hook input priority 0; policy drop"));
    assert_null(strstr(text, "vmap"));
    assert_non_null(strstr(text, "10.96.7.0/24 jump refuse"));
}

static void service_is_balanced_over_its_endpoints(void **state)
{
    struct error err = ERROR_INIT;
    CLEANUP(table) struct table table = {.index = 1};
    struct table_service *s = table_add_service(&table);
    s->address = 0x0a600107;
    s->port = 80;
    s->protocol = TABLE_TCP;
    assert_int_equal(table_add_endpoint(s, 0x0a5a010a, 8080, &err), 0);
    assert_int_equal(table_add_endpoint(s, 0x0a5a010b, 8080, &err), 0);
    assert_int_equal(table_add_endpoint(s, 0x0a5a010c, 8081, &err), 0);
    CLEANUP(text) char *text = written(&table);
    assert_non_null(strstr(text,
                           "numgen random mod 3 map { 0 : 10.90.1.10 . 8080, 1 : 10.90.1.11 . "
                           "8080, 2 : 10.90.1.12 . 8081 }"));
    assert_non_null(strstr(text, "10.96.1.7 . tcp . 80 : goto s0"));
}

static void service_without_endpoints_is_not_translated(void **state)
{
    CLEANUP(table) struct table table = {.index = 1};
    struct table_service *s = table_add_service(&table);
    s->address = 0x0a600107;
    s->port = 80;
    s->protocol = TABLE_TCP;
    CLEANUP(text) char *text = written(&table);
    assert_null(strstr(text, "dnat"));
}

static struct table_pod *isolated_pod(struct table *table, uint32_t address)
{
    struct table_pod *pod = table_add_pod(table);
    pod->address = address;
    pod->is_ingress_isolated = true;
    return pod;
}

static void pods_with_equal_policies_share_a_chain(void **state)
{
    struct error err = ERROR_INIT;
    CLEANUP(table) struct table table = {.index = 1};
    for (uint32_t i = 0; i < 3; i++) {
        struct table_pod *pod = isolated_pod(&table, 0x0a5a0102 + i);
        struct table_allow *allow = table_allows_add(&pod->ingress);
        allow->protocol = TABLE_TCP;
        allow->port_first = 80;
        allow->port_last = 90;
        assert_int_equal(
            table_block_add(&allow->peers, &allow->peer_count, 0x0a5a0120, 0x0a5a0120, &err), 0);
        assert_int_equal(
            table_block_add(&allow->peers, &allow->peer_count, 0x0a5a0121, 0x0a5a0121, &err), 0);
    }
    CLEANUP(text) char *text = written(&table);
    assert_non_null(strstr(
        text,
        "chain i0 {\n    ip saddr { 10.90.1.32-10.90.1.33 } tcp dport 80-90 return\n    drop"));
    assert_null(strstr(text, "chain i1"));
    assert_non_null(strstr(text, "10.90.1.2 : jump i0, 10.90.1.3 : jump i0, 10.90.1.4 : jump i0"));
}

static void isolated_pod_without_allows_gets_nothing(void **state)
{
    CLEANUP(table) struct table table = {.index = 1};
    isolated_pod(&table, 0x0a5a0102);
    CLEANUP(text) char *text = written(&table);
    assert_non_null(strstr(text, "chain i0 {\n    drop\n  }"));
}

static void rule_without_peers_allows_nobody(void **state)
{
    CLEANUP(table) struct table table = {.index = 1};
    struct table_pod *pod = isolated_pod(&table, 0x0a5a0102);
    table_allows_add(&pod->ingress)->protocol = TABLE_TCP; /* a selector that no pod matches */
    CLEANUP(text) char *text = written(&table);
    assert_non_null(strstr(text, "chain i0 {\n    drop\n  }"));
}

static void addresses_and_blocks_are_read_strictly(void **state)
{
    uint32_t address;
    struct table_block block;
    assert_true(table_parse_address("10.90.1.2", &address));
    assert_int_equal(address, 0x0a5a0102);
    assert_false(table_parse_address("10.90.1", &address));
    assert_false(table_parse_address("10.90.1.2 accept", &address));
    assert_true(table_parse_block("10.0.0.0/8", &block));
    assert_int_equal(block.first, 0x0a000000);
    assert_int_equal(block.last, 0x0affffff);
    assert_true(table_parse_block("0.0.0.0/0", &block));
    assert_int_equal(block.last, UINT32_MAX);
    assert_false(table_parse_block("10.0.0.0", &block));
    assert_false(table_parse_block("10.0.0.0/33", &block));
    assert_false(table_parse_block("10.0.0.0/8; drop", &block));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_table_lets_nobody_through),
        cmocka_unit_test(service_is_balanced_over_its_endpoints),
        cmocka_unit_test(service_without_endpoints_is_not_translated),
        cmocka_unit_test(pods_with_equal_policies_share_a_chain),
        cmocka_unit_test(isolated_pod_without_allows_gets_nothing),
        cmocka_unit_test(rule_without_peers_allows_nobody),
        cmocka_unit_test(addresses_and_blocks_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
