/* cluster/node/policy_test.c - NetworkPolicies as Kubernetes means them, seen in the rows that they
 * become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/node/policy.h"

enum { WEB, DB, FOREIGN }; /* 10.90.1.2, .3, .4 */

struct world {
    json_t *objects, *namespaces, *policies;
    struct policy_pod pods[3];
    struct table table;
};

/* Pods: web and db (port "sql" 5432) in shop; web in other (port "sql" 99; the namespace has
 * team=x). */
static void make(struct world *w, const char *spec)
{
    struct error err = ERROR_INIT;
    CLEANUP(text)
    char *policy = str_format(
        "{\"shop/p\":{\"metadata\":{\"namespace\":\"shop\",\"name\":\"p\"},\"spec\":%s}}", spec);
    static const char pods[] =
        "[{\"metadata\":{\"namespace\":\"shop\",\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":[{}]}},"
        "{\"metadata\":{\"namespace\":\"shop\",\"labels\":{\"app\":\"db\"}},\"spec\":{\"containers\":[{\"ports\":"
        "[{\"name\":\"sql\",\"containerPort\":5432}]}]}},"
        "{\"metadata\":{\"namespace\":\"other\",\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":[{\"ports\":"
        "[{\"name\":\"sql\",\"containerPort\":99}]}]}}]";
    static const char namespaces[] =
        "{\"/shop\":{\"metadata\":{\"name\":\"shop\"}},"
        "\"/other\":{\"metadata\":{\"name\":\"other\",\"labels\":{\"team\":\"x\"}}}}";

    *w = (struct world){.table = {.index = 1}};
    assert_int_equal(json_parse("pods", STR(pods), &w->objects, &err), 0);
    assert_int_equal(json_parse("namespaces", STR(namespaces), &w->namespaces, &err), 0);
    assert_int_equal(json_parse("policies", str_of(policy), &w->policies, &err), 0);
    for (uint32_t i = 0; i < 3; i++)
        w->pods[i] = (struct policy_pod){json_array_get(w->objects, i), 0x0a5a0102 + i};
    const struct policy_world world = {w->pods, 3, w->namespaces, w->policies};
    assert_int_equal(policy_compile(&world, &w->table, &err), 0);
    assert_int_equal(w->table.pod_count, 3);
}

static void done(struct world *w)
{
    table_done(&w->table);
    json_decref(w->objects);
    json_decref(w->namespaces);
    json_decref(w->policies);
}

/* Whether `peer` may talk with the pod of this row on a TCP port. */
static bool is_allowed(const struct table_allows *allows, uint32_t peer, uint16_t port)
{
    for (size_t i = 0; i < allows->count; i++) {
        const struct table_allow *a = &allows->items[i];
        bool in_peers = a->any_peer, excepted = false;
        for (size_t p = 0; p < a->peer_count; p++)
            in_peers = in_peers || (peer >= a->peers[p].first && peer <= a->peers[p].last);
        for (size_t p = 0; p < a->except_count; p++)
            excepted = excepted || (peer >= a->except[p].first && peer <= a->except[p].last);
        bool port_fits = a->protocol == 0 ||
                         (a->protocol == TABLE_TCP &&
                          (a->port_first == 0 || (port >= a->port_first && port <= a->port_last)));
        if (in_peers && !excepted && port_fits)
            return true;
    }
    return false;
}

static bool may_enter(const struct world *w, int pod, int peer, uint16_t port)
{
    return !w->table.pods[pod].is_ingress_isolated ||
           is_allowed(&w->table.pods[pod].ingress, w->pods[peer].address, port);
}

static void without_rules_selected_pods_get_nothing(void **state)
{
    struct world w;
    make(&w, "{\"podSelector\":{}}");
    assert_false(may_enter(&w, DB, WEB, 80));
    assert_false(may_enter(&w, WEB, DB, 80));
    assert_true(may_enter(&w, FOREIGN, WEB, 80)); /* another namespace is not selected */
    assert_false(w.table.pods[DB].is_egress_isolated);
    done(&w);
}

static void an_empty_rule_allows_everybody(void **state)
{
    struct world w;
    make(&w, "{\"podSelector\":{},\"ingress\":[{}]}");
    assert_true(w.table.pods[DB].is_ingress_isolated);
    assert_true(may_enter(&w, DB, FOREIGN, 80));
    done(&w);
}

static void pod_selector_alone_means_the_own_namespace(void **state)
{
    struct world w;
    make(
        &w,
        "{\"podSelector\":{\"matchLabels\":{\"app\":\"db\"}},\"ingress\":[{\"from\":[{\"podSelector\":"
        "{\"matchLabels\":{\"app\":\"web\"}}}],\"ports\":[{\"port\":5432}]}]}");
    assert_true(may_enter(&w, DB, WEB, 5432));
    assert_false(may_enter(&w, DB, WEB, 5433));
    assert_false(may_enter(&w, DB, FOREIGN, 5432));
    done(&w);
}

static void both_selectors_of_one_peer_must_match(void **state)
{
    struct world w;
    make(
        &w,
        "{\"podSelector\":{\"matchLabels\":{\"app\":\"db\"}},\"ingress\":[{\"from\":[{\"namespaceSelector\":"
        "{\"matchLabels\":{\"team\":\"x\"}},\"podSelector\":{\"matchLabels\":{\"app\":\"web\"}}}]}]}");
    assert_true(may_enter(&w, DB, FOREIGN, 1));
    assert_false(may_enter(&w, DB, WEB, 1));
    done(&w);
    make(
        &w,
        "{\"podSelector\":{\"matchLabels\":{\"app\":\"db\"}},\"ingress\":[{\"from\":[{\"namespaceSelector\":"
        "{\"matchLabels\":{\"team\":\"x\"}}},{\"podSelector\":{\"matchLabels\":{\"app\":\"web\"}}}]}]}");
    assert_true(may_enter(&w, DB, FOREIGN, 1)); /* two peers: either */
    assert_true(may_enter(&w, DB, WEB, 1));
    done(&w);
}

static void blocks_have_exceptions(void **state)
{
    struct world w;
    make(
        &w,
        "{\"podSelector\":{},\"ingress\":[{\"from\":[{\"ipBlock\":{\"cidr\":\"10.90.0.0/16\",\"except\":"
        "[\"10.90.1.4/32\"]}}]}]}");
    assert_true(may_enter(&w, DB, WEB, 1));
    assert_false(may_enter(&w, DB, FOREIGN, 1));
    done(&w);
}

static void a_bad_block_allows_nobody(void **state)
{
    struct world w;
    make(&w,
         "{\"podSelector\":{},\"ingress\":[{\"from\":[{\"ipBlock\":{\"cidr\":\"fd00::/8\"}}]}]}");
    assert_false(may_enter(&w, DB, WEB, 1));
    done(&w);
}

static void named_ports_are_the_receivers(void **state)
{
    struct world w;
    make(&w, "{\"podSelector\":{},\"ingress\":[{\"ports\":[{\"port\":\"sql\"}]}]}");
    assert_true(may_enter(&w, DB, WEB, 5432));
    assert_false(may_enter(&w, DB, WEB, 99));
    assert_false(may_enter(&w, WEB, DB, 5432)); /* it has no port of that name */
    done(&w);
    make(
        &w,
        "{\"podSelector\":{\"matchLabels\":{\"app\":\"web\"}},\"policyTypes\":[\"Egress\"],\"egress\":[{\"to\":"
        "[{\"namespaceSelector\":{}}],\"ports\":[{\"port\":\"sql\"}]}]}");
    const struct table_allows *out = &w.table.pods[WEB].egress;
    assert_false(w.table.pods[WEB].is_ingress_isolated);
    assert_true(is_allowed(out, w.pods[DB].address, 5432));
    assert_true(is_allowed(out, w.pods[FOREIGN].address, 99));
    assert_false(is_allowed(out, w.pods[FOREIGN].address, 5432));
    done(&w);
}

static void port_ranges_and_egress_by_default(void **state)
{
    struct world w;
    make(
        &w,
        "{\"podSelector\":{\"matchLabels\":{\"app\":\"web\"}},\"egress\":[{\"ports\":[{\"port\":8000,\"endPort\":8010}]}]}");
    assert_true(w.table.pods[WEB].is_egress_isolated);
    assert_true(w.table.pods[WEB].is_ingress_isolated); /* without policyTypes: always, too */
    assert_true(is_allowed(&w.table.pods[WEB].egress, 0x08080808, 8010));
    assert_false(is_allowed(&w.table.pods[WEB].egress, 0x08080808, 8011));
    done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_rules_selected_pods_get_nothing),
        cmocka_unit_test(an_empty_rule_allows_everybody),
        cmocka_unit_test(pod_selector_alone_means_the_own_namespace),
        cmocka_unit_test(both_selectors_of_one_peer_must_match),
        cmocka_unit_test(blocks_have_exceptions),
        cmocka_unit_test(a_bad_block_allows_nobody),
        cmocka_unit_test(named_ports_are_the_receivers),
        cmocka_unit_test(port_ranges_and_egress_by_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
