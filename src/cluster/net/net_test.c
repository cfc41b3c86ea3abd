/* cluster/net/net_test.c - real namespaces, real packets. Needs root; says so and skips without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "cluster/net/conntrack.h"
#include "cluster/net/netns.h"
#include "cluster/net/pod_net.h"
#include "cluster/net/table.h"

/* Cluster 1 with pods .2 .3 .4, cluster 2 with pod .2, and the host "db" (k = 0). */
struct world {
    char *home;
    struct error err;
    int cluster[3]; /* netns by index */
    struct nl *nl[3];
    int pod[3][5];
    int db;
};

#define OK(call) ok(world, (call), __LINE__)
static void ok(struct world *world, int failed, int line)
{
    if (failed < 0)
        print_error("line %d: %s\n", line, world->err.text);
    assert_int_equal(failed, 0);
}

static char *path_of(struct world *world, const char *text)
{
    static char path[300];
    snprintf(path, sizeof(path), "%s/%s", world->home, text);
    return path;
}

static void add_cluster(struct world *world, unsigned index, unsigned last_pod)
{
    char name[32], path[64];
    snprintf(name, sizeof(name), "clusters/t%u", index);
    OK(fs_make_dirs(AT_FDCWD, path_of(world, name), 0755, &world->err));
    snprintf(path, sizeof(path), "clusters/t%u/netns", index);
    OK(cluster_net_ensure(path_of(world, path), index, &world->err));
    OK(netns_open(path_of(world, path), &world->cluster[index], &world->err));
    OK(nl_open(world->cluster[index], &world->nl[index], &world->err));
    OK(fabric_attach_cluster(world->home, name + 9, index, &world->err));
    for (unsigned host = 2; host <= last_pod; host++) {
        struct pod_net net = {index, world->cluster[index], world->nl[index]};
        snprintf(path, sizeof(path), "clusters/t%u/pod%u", index, host);
        OK(pod_net_add(&net, path_of(world, path), host, &world->err));
        OK(netns_open(path_of(world, path), &world->pod[index][host], &world->err));
    }
}

static int set_up(void **state)
{
    if (geteuid() != 0)
        return 0;
    struct world *world = calloc(1, sizeof(*world));
    *state = world;
    OK(fs_make_temp_dir("/tmp/monban-net-test-", &world->home, &world->err));
    OK(fabric_ensure(world->home, &world->err));
    add_cluster(world, 1, 4);
    add_cluster(world, 2, 2);
    OK(fabric_attach_host(world->home, "db", 0, &world->err));
    OK(netns_open(path_of(world, "net/db"), &world->db, &world->err));
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    if (!world)
        return 0;
    for (unsigned index = 1; index <= 2; index++) {
        char path[64];
        for (unsigned host = 2; host <= 4; host++) {
            if (!world->pod[index][host])
                continue;
            struct pod_net net = {index, world->cluster[index], world->nl[index]};
            snprintf(path, sizeof(path), "clusters/t%u/pod%u", index, host);
            io_close(&world->pod[index][host]);
            pod_net_remove(&net, path_of(world, path), host);
            assert_false(fs_exists(AT_FDCWD, path_of(world, path)));
        }
        nl_close(world->nl[index]);
        io_close(&world->cluster[index]);
        snprintf(path, sizeof(path), "clusters/t%u/netns", index);
        netns_remove(path_of(world, path));
    }
    io_close(&world->db);
    fabric_teardown(world->home);
    assert_false(fs_exists(AT_FDCWD, path_of(world, "net")));
    OK(fs_remove_tree(AT_FDCWD, world->home, &world->err));
    free(world->home);
    free(world);
    return 0;
}

static struct world *need_root(void **state)
{
    if (!*state) {
        print_message("skipped: network namespaces need root\n");
        skip();
    }
    struct world *world = *state; /* every test starts from the same tables */
    for (unsigned index = 1; index <= 2; index++) {
        CLEANUP(nft) struct nft *nft = NULL;
        struct table table = {.index = index};
        OK(nft_open(world->cluster[index], &nft, &world->err));
        OK(table_apply(&table, nft, &world->err));
    }
    OK(fabric_set_ways(world->home, NULL, 0, &world->err));
    return *state;
}

/* Connects, sends a byte, and gives who the server saw: the far text, or NULL if nothing came
 * through. */
static const char *reach(struct world *world, int from, const char *to, uint16_t port, int listener)
{
    static char seen[INET_ADDRSTRLEN];
    struct error err = ERROR_INIT;
    CLEANUP(fd) int client = -1;
    CLEANUP(fd) int server = -1;
    struct sockaddr_in peer;
    socklen_t size = sizeof(peer);

    if (io_connect_tcp(to, port, 300, from, &client, &err) < 0)
        return NULL;
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    if (poll(&waiting, 1, 300) != 1)
        return NULL;
    server = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC);
    assert_true(server >= 0);
    return inet_ntop(AF_INET, &peer.sin_addr, seen, sizeof(seen));
}

static int listen_in(struct world *world, int netns, uint16_t port)
{
    int fd = -1;
    OK(io_listen_tcp("0.0.0.0", port, netns, &fd, NULL, &world->err));
    return fd;
}

static void apply(struct world *world, unsigned index, struct table *table)
{
    CLEANUP(nft) struct nft *nft = NULL;
    OK(nft_open(world->cluster[index], &nft, &world->err));
    OK(table_apply(table, nft, &world->err));
}

static void pods_of_a_cluster_reach_each_other(void **state)
{
    struct world *world = need_root(state);
    CLEANUP(fd) int listener = listen_in(world, world->pod[1][3], 8080);
    assert_string_equal(reach(world, world->pod[1][2], "10.90.1.3", 8080, listener), "10.90.1.2");
}

static void pods_reach_only_dns_and_api_of_the_node(void **state)
{
    struct world *world = need_root(state);
    CLEANUP(fd) int api = listen_in(world, world->cluster[1], 6443);
    CLEANUP(fd) int registry = listen_in(world, world->cluster[1], 5000);
    CLEANUP(fd) int other = listen_in(world, world->cluster[1], 8443);
    assert_non_null(reach(world, world->pod[1][2], "10.90.1.1", 6443, api));
    assert_null(reach(world, world->pod[1][2], "10.90.1.1", 5000, registry));
    assert_null(reach(world, world->pod[1][2], "100.64.1.2", 5000, registry));
    assert_null(reach(world, world->pod[1][2], "10.90.1.1", 8443, other));
}

static void clusters_do_not_reach_each_other(void **state)
{
    struct world *world = need_root(state);
    CLEANUP(fd) int pod = listen_in(world, world->pod[2][2], 8080);
    CLEANUP(fd) int api = listen_in(world, world->cluster[2], 6443);
    assert_null(reach(world, world->pod[1][2], "10.90.2.2", 8080, pod));
    assert_null(reach(world, world->cluster[1], "10.90.2.2", 8080, pod));
    assert_null(reach(world, world->pod[1][2], "10.90.2.1", 6443, api));
    assert_null(reach(world, world->cluster[1], "100.64.2.2", 6443, api));
}

static void ways_open_exactly_what_they_say(void **state)
{
    struct world *world = need_root(state);
    CLEANUP(fd) int registry = listen_in(world, world->cluster[2], 5000);
    CLEANUP(fd) int db = listen_in(world, world->db, 5432);
    const struct fabric_way ways[] = {
        {.from_index = 1, .to = "100.64.2.2", .port = 5000},
        {.from_index = 1, .with_pods = true, .to = "100.64.200.2", .port = 5432},
    };
    assert_null(reach(world, world->cluster[1], "100.64.2.2", 5000, registry));
    OK(fabric_set_ways(world->home, ways, ARRAY_LEN(ways), &world->err));
    assert_string_equal(reach(world, world->cluster[1], "100.64.2.2", 5000, registry),
                        "100.64.1.2");
    assert_null(reach(world, world->pod[1][2], "100.64.2.2", 5000, registry));
    assert_string_equal(reach(world, world->pod[1][2], "100.64.200.2", 5432, db), "10.90.1.2");
    assert_null(reach(world, world->pod[2][2], "100.64.200.2", 5432, db));
    assert_null(reach(world, world->cluster[2], "100.64.200.2", 5432, db));
    OK(fabric_set_ways(world->home, ways, 1, &world->err));
    assert_null(reach(world, world->pod[1][2], "100.64.200.2", 5432, db));
}

static struct table_service *service(struct table *table, uint32_t address, uint16_t port)
{
    struct table_service *s = table_add_service(table);
    s->address = address;
    s->port = port;
    s->protocol = TABLE_TCP;
    return s;
}

static void service_address_leads_to_its_pods_and_back_to_the_caller(void **state)
{
    struct world *world = need_root(state);
    CLEANUP(table) struct table table = {.index = 1};
    CLEANUP(fd) int listener = listen_in(world, world->pod[1][3], 8080);

    OK(table_add_endpoint(service(&table, 0x0a600107, 80), 0x0a5a0103, 8080, &world->err));
    (void)service(&table, 0x0a600108, 80);
    for (uint32_t i = 2; i <= 4; i++)
        table_add_pod(&table)->address = 0x0a5a0100 + i;
    apply(world, 1, &table);
    assert_string_equal(reach(world, world->pod[1][2], "10.96.1.7", 80, listener), "10.90.1.2");
    /* the pod itself: seen as the node */
    assert_string_equal(reach(world, world->pod[1][3], "10.96.1.7", 80, listener), "10.90.1.1");
    assert_string_equal(reach(world, world->cluster[1], "10.96.1.7", 80, listener), "10.90.1.1");

    CLEANUP(fd) int client = -1; /* refused at once, not after a timeout */
    struct error err = ERROR_INIT;
    assert_int_equal(io_connect_tcp("10.96.1.8", 80, 5000, world->pod[1][2], &client, &err), -1);
    assert_int_equal(err.kind, ERR_UNAVAILABLE);
}

static void policy_holds_between_pods_of_one_bridge(void **state)
{
    struct world *world = need_root(state);
    CLEANUP(table) struct table table = {.index = 1};
    CLEANUP(fd) int on80 = listen_in(world, world->pod[1][3], 80);
    CLEANUP(fd) int on81 = listen_in(world, world->pod[1][3], 81);

    OK(table_add_endpoint(service(&table, 0x0a600107, 80), 0x0a5a0103, 80, &world->err));
    for (uint32_t i = 2; i <= 4; i++)
        table_add_pod(&table)->address = 0x0a5a0100 + i;
    table.pods[1].is_ingress_isolated = true; /* .3: from .2 to port 80 only */
    struct table_allow *allow = table_allows_add(&table.pods[1].ingress);
    *allow = (struct table_allow){.protocol = TABLE_TCP, .port_first = 80, .port_last = 80};
    OK(table_block_add(&allow->peers, &allow->peer_count, 0x0a5a0102, 0x0a5a0102, &world->err));
    apply(world, 1, &table);
    assert_non_null(reach(world, world->pod[1][2], "10.90.1.3", 80, on80));
    assert_null(reach(world, world->pod[1][2], "10.90.1.3", 81, on81));
    assert_null(reach(world, world->pod[1][4], "10.90.1.3", 80, on80));
    assert_null(reach(world, world->pod[1][4], "10.96.1.7", 80, on80));     /* nor by its Service */
    assert_non_null(reach(world, world->pod[1][3], "10.96.1.7", 80, on80)); /* itself always */
    assert_non_null(reach(world, world->cluster[1], "10.90.1.3", 81, on81)); /* the node always */

    table.pods[0].is_egress_isolated = true; /* .2: to nowhere */
    apply(world, 1, &table);
    assert_null(reach(world, world->pod[1][2], "10.90.1.3", 80, on80));
}

static void flows_of_a_pod_that_is_gone_are_forgotten(void **state)
{
    struct world *world = need_root(state);
    CLEANUP(fd) int listener = listen_in(world, world->pod[1][3], 8080);
    CLEANUP(conntrack) struct conntrack *ct = NULL;
    unsigned count = 0;

    assert_non_null(reach(world, world->pod[1][2], "10.90.1.3", 8080, listener));
    OK(conntrack_open(world->cluster[1], &ct, &world->err));
    OK(conntrack_forget(ct, 0x0a5a0103, &count, &world->err));
    assert_true(count >= 1);
    OK(conntrack_forget(ct, 0x0a5a0103, &count, &world->err));
    assert_int_equal(count, 0);
}

static void making_what_is_there_changes_nothing(void **state)
{
    struct world *world = need_root(state);
    OK(fabric_ensure(world->home, &world->err));
    OK(cluster_net_ensure(path_of(world, "clusters/t1/netns"), 1, &world->err));
    OK(fabric_attach_cluster(world->home, "t1", 1, &world->err));
    OK(fabric_attach_host(world->home, "db", 0, &world->err));
    pods_of_a_cluster_reach_each_other(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pods_of_a_cluster_reach_each_other),
        cmocka_unit_test(pods_reach_only_dns_and_api_of_the_node),
        cmocka_unit_test(clusters_do_not_reach_each_other),
        cmocka_unit_test(ways_open_exactly_what_they_say),
        cmocka_unit_test(service_address_leads_to_its_pods_and_back_to_the_caller),
        cmocka_unit_test(policy_holds_between_pods_of_one_bridge),
        cmocka_unit_test(flows_of_a_pod_that_is_gone_are_forgotten),
        cmocka_unit_test(making_what_is_there_changes_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
