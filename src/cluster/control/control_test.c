/* cluster/control/control_test.c - the controllers on a real store in memory; the test plays the
 * node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cluster/control/control_internal.h"

enum { SETTLE_MS = 5000 /* far above what it takes: a deadline, not a pause */ };

struct world {
    struct error err;
    struct loop *loop;
    struct api *api;
    struct control *control;
};

#define OK(call) ok(world, (call), __LINE__)
static void ok(struct world *world, int failed, int line)
{
    if (failed < 0)
        print_error("line %d: %s\n", line, world->err.text);
    assert_int_equal(failed, 0);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    *state = world;
    OK(loop_new(&world->loop, &world->err));
    OK(api_new(&(struct api_options){.loop = world->loop, .cluster_index = 1}, &world->api,
               &world->err));
    OK(control_new(&(struct control_options){.loop = world->loop,
                                             .api = world->api,
                                             .cluster_index = 1,
                                             .node_name = "node",
                                             .ca_pem = "CA"},
                   &world->control, &world->err));
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    control_free(world->control);
    api_free(world->api);
    loop_free(world->loop);
    free(world);
    return 0;
}

typedef bool condition_fn(struct world *world);
static void until(struct world *world, condition_fn *is_so, int line)
{
    int64_t end = clock_monotonic_ms() + SETTLE_MS;
    while (!is_so(world) && clock_monotonic_ms() < end)
        OK(loop_turn(world->loop, 10, &world->err));
    if (!is_so(world))
        print_error("line %d: it did not come to be\n", line);
    assert_true(is_so(world));
}
#define UNTIL(is_so) until(world, is_so, __LINE__)

static const json_t *root_of(struct world *world, enum resource_id id, const char *name)
{
    const struct object *object = api_get(world->api, id, "default", name);
    return object ? object_root(object) : NULL;
}

static void create(struct world *world, enum resource_id id, const char *text)
{
    json_t *object;
    OK(json_parse("test", str_of(text), &object, &world->err));
    OK(api_create(world->api, id, object, NULL, &world->err));
}

static void create_web(struct world *world)
{
    create(
        world, RES_DEPLOYMENTS,
        "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"},"
        "\"spec\":{\"replicas\":2,\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"template\":{\"metadata\":{"
        "\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"a/b:1\",\"ports\":[{"
        "\"name\":\"http\",\"containerPort\":8080}]}]}}}}");
    create(
        world, RES_SERVICES,
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"},\"spec\":{"
        "\"selector\":{\"app\":\"web\"},\"ports\":[{\"port\":80,\"targetPort\":\"http\"}]}}");
}

/* Plays the node: bound pods get an address and are ready; deleted ones are removed. */
static void play_node(struct world *world)
{
    CLEANUP(object_set) struct object_set pods = {0};
    static int host = 2;
    char now[CLOCK_TEXT_SIZE], ip[32];

    OK(store_list_copy(api_store(world->api), resource_get(RES_PODS), "default", &pods,
                       &world->err));
    for (size_t i = 0; i < pods.count; i++) {
        const struct object *pod = pods.items[i];
        if (object_is_deleting(pod)) {
            struct api_delete_options at_once = {.grace_s = 0};
            OK(api_delete(world->api, RES_PODS, "default", object_name(pod), &at_once,
                          &world->err));
            continue;
        }
        if (!json_str_at(object_root(pod), "spec.nodeName") || pod_is_ready(pod))
            continue;
        json_t *copy = object_copy(pod);
        snprintf(ip, sizeof(ip), "10.90.1.%d", host++);
        json_t *status = json_pack("{s:s,s:s,s:[{s:s,s:s,s:s}]}", "phase", "Running", "podIP", ip,
                                   "conditions", "type", "Ready", "status", "True",
                                   "lastTransitionTime", clock_rfc3339(clock_now_s(), now));
        assert_int_equal(json_object_set_new(copy, "status", status), 0);
        OK(api_update_status(world->api, RES_PODS, copy, NULL, &world->err));
    }
}

static size_t count_pods(struct world *world)
{
    return api_list(world->api, RES_PODS, "default").count;
}

static bool web_is_complete(struct world *world)
{
    play_node(world);
    const json_t *web = root_of(world, RES_DEPLOYMENTS, "web");
    const json_t *progress = condition_find(json_object_get(web, "status"), "Progressing");
    const char *reason = json_str_at(progress, "reason");
    int64_t want = json_int_at(web, "spec.replicas", 0);
    return json_int_at(web, "status.availableReplicas", 0) == want &&
           json_int_at(web, "status.updatedReplicas", 0) == want &&
           count_pods(world) == (size_t)want &&
           json_int_at(web, "status.observedGeneration", 0) ==
               json_int_at(web, "metadata.generation", -1) &&
           reason && strcmp(reason, "NewReplicaSetAvailable") == 0;
}

static bool web_has_two_bound_pods(struct world *world)
{
    struct object_list pods = api_list(world->api, RES_PODS, "default");
    return pods.count == 2 && json_str_at(object_root(pods.items[0]), "spec.nodeName") &&
           json_str_at(object_root(pods.items[1]), "spec.nodeName");
}

static void deployment_makes_pods_that_are_bound(void **state)
{
    struct world *world = *state;
    create_web(world);
    UNTIL(web_has_two_bound_pods);
    struct object_list sets = api_list(world->api, RES_REPLICASETS, "default");
    assert_int_equal(sets.count, 1);
    const json_t *set = object_root(sets.items[0]);
    assert_string_equal(json_str_at(set, "metadata.ownerReferences[0].name"), "web");
    assert_non_null(json_str_at(set, "spec.selector.matchLabels.pod-template-hash"));
    const json_t *web = root_of(world, RES_DEPLOYMENTS, "web");
    assert_string_equal(json_string_value(json_object_get(json_at(web, "metadata.annotations"),
                                                          "deployment.kubernetes.io/revision")),
                        "1");
}

static bool endpoints_are_two(struct world *world)
{
    return json_array_size(json_at(root_of(world, RES_ENDPOINTS, "web"), "subsets[0].addresses")) ==
           2;
}

static void ready_pods_are_endpoints(void **state)
{
    struct world *world = *state;
    create_web(world);
    UNTIL(web_is_complete);
    UNTIL(endpoints_are_two);
    const json_t *endpoints = root_of(world, RES_ENDPOINTS, "web");
    assert_int_equal(json_int_at(endpoints, "subsets[0].ports[0].port", 0), 8080);
    const json_t *slice = root_of(world, RES_ENDPOINTSLICES, "web");
    assert_true(json_bool_at(slice, "endpoints[0].conditions.ready", false));
}

static void a_pod_that_ends_leaves_the_endpoints_at_once(void **state)
{
    struct world *world = *state;
    create_web(world);
    UNTIL(web_is_complete);
    UNTIL(endpoints_are_two);
    CLEANUP(text)
    char *name = str_dup(str_of(object_name(api_list(world->api, RES_PODS, "default").items[0])));
    OK(api_delete(world->api, RES_PODS, "default", name, NULL, &world->err));
    for (int i = 0; i < 20 && endpoints_are_two(world); i++)
        OK(loop_turn(world->loop, 10, &world->err));
    assert_false(endpoints_are_two(world));
    assert_non_null(api_get(world->api, RES_PODS, "default", name)); /* it still runs */
}

static void new_template_rolls_out_and_old_set_stays_empty(void **state)
{
    struct world *world = *state;
    create_web(world);
    UNTIL(web_is_complete);
    CLEANUP(json) json_t *web = json_deep_copy(root_of(world, RES_DEPLOYMENTS, "web"));
    json_t *container = json_array_get(json_at(web, "spec.template.spec.containers"), 0);
    assert_int_equal(json_object_set_new(container, "image", json_string("a/b:2")), 0);
    OK(api_update(world->api, RES_DEPLOYMENTS, json_incref(web), NULL, &world->err));
    UNTIL(web_is_complete);
    struct object_list sets = api_list(world->api, RES_REPLICASETS, "default");
    assert_int_equal(sets.count, 2);
    int64_t sum = 0;
    for (size_t i = 0; i < 2; i++)
        sum += json_int_at(object_root(sets.items[i]), "spec.replicas", 9);
    assert_int_equal(sum, 2);
    struct object_list pods = api_list(world->api, RES_PODS, "default");
    for (size_t i = 0; i < pods.count; i++)
        assert_string_equal(json_str_at(object_root(pods.items[i]), "spec.containers[0].image"),
                            "a/b:2");
}

static void scale_to(struct world *world, int replicas)
{
    CLEANUP(json) json_t *patch = json_pack("{s:{s:i}}", "spec", "replicas", replicas);
    OK(api_merge_patch(world->api, RES_DEPLOYMENTS, "default", "web", false, patch, NULL,
                       &world->err));
}

static void deployment_follows_its_scale(void **state)
{
    struct world *world = *state;
    create_web(world);
    UNTIL(web_is_complete);
    scale_to(world, 5);
    UNTIL(web_is_complete);
    scale_to(world, 1);
    UNTIL(web_is_complete);
    scale_to(world, 0);
    UNTIL(web_is_complete);
}

static bool web_is_gone(struct world *world)
{
    play_node(world);
    return count_pods(world) == 0 && api_list(world->api, RES_REPLICASETS, "default").count == 0 &&
           !root_of(world, RES_DEPLOYMENTS, "web");
}

static void deleted_deployment_takes_sets_and_pods_along(void **state)
{
    struct world *world = *state;
    create_web(world);
    UNTIL(web_is_complete);
    OK(api_delete(world->api, RES_DEPLOYMENTS, "default", "web", NULL, &world->err));
    UNTIL(web_is_gone);
}

static void foreground_deletion_removes_the_owner_last(void **state)
{
    struct world *world = *state;
    create_web(world);
    UNTIL(web_is_complete);
    struct api_delete_options foreground = {.grace_s = -1, .propagation = "Foreground"};
    OK(api_delete(world->api, RES_DEPLOYMENTS, "default", "web", &foreground, &world->err));
    assert_non_null(root_of(world, RES_DEPLOYMENTS, "web"));
    UNTIL(web_is_gone);
}

static bool web_is_orphaned(struct world *world)
{
    struct object_list sets = api_list(world->api, RES_REPLICASETS, "default");
    return !root_of(world, RES_DEPLOYMENTS, "web") && sets.count == 1 &&
           !object_controller(sets.items[0]) && count_pods(world) == 2;
}

static void orphans_are_left_alone(void **state)
{
    struct world *world = *state;
    create_web(world);
    UNTIL(web_is_complete);
    struct api_delete_options orphan = {.grace_s = -1, .propagation = "Orphan"};
    OK(api_delete(world->api, RES_DEPLOYMENTS, "default", "web", &orphan, &world->err));
    UNTIL(web_is_orphaned);
}

static bool space_is_made(struct world *world)
{
    return api_get(world->api, RES_SERVICEACCOUNTS, "space", "default") &&
           api_get(world->api, RES_CONFIGMAPS, "space", "kube-root-ca.crt");
}

static bool space_is_gone(struct world *world)
{
    return !api_get(world->api, RES_NAMESPACES, "", "space") &&
           api_list(world->api, RES_CONFIGMAPS, "space").count == 0;
}

static void namespace_is_furnished_and_emptied(void **state)
{
    struct world *world = *state;
    create(world, RES_NAMESPACES,
           "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"space\"}}");
    UNTIL(space_is_made);
    OK(api_delete(world->api, RES_NAMESPACES, "", "space", NULL, &world->err));
    UNTIL(space_is_gone);
}

static bool budget_allows_one(struct world *world)
{
    const json_t *budget = root_of(world, RES_PODDISRUPTIONBUDGETS, "web");
    return json_int_at(budget, "status.disruptionsAllowed", 0) == 1 &&
           json_int_at(budget, "status.currentHealthy", 0) == 2 &&
           json_int_at(budget, "status.desiredHealthy", 0) == 1;
}

static void disruption_budget_counts_healthy_pods(void **state)
{
    struct world *world = *state;
    create_web(world);
    create(
        world, RES_PODDISRUPTIONBUDGETS,
        "{\"apiVersion\":\"policy/v1\",\"kind\":\"PodDisruptionBudget\",\"metadata\":{\"name\":\"web\",\"namespace\":"
        "\"default\"},\"spec\":{\"minAvailable\":\"50%\",\"selector\":{\"matchLabels\":{\"app\":\"web\"}}}}");
    UNTIL(web_is_complete);
    UNTIL(budget_allows_one);
}

static void the_api_itself_is_a_service(void **state)
{
    struct world *world = *state;
    assert_string_equal(
        json_str_at(root_of(world, RES_ENDPOINTS, "kubernetes"), "subsets[0].addresses[0].ip"),
        "10.90.1.1");
    assert_non_null(api_get(world->api, RES_NAMESPACES, "", "monban-system"));
    const struct object *node = api_get(world->api, RES_NODES, "", "node");
    assert_non_null(node);
    const json_t *status = json_object_get(object_root(node), "status");
    assert_string_equal(json_str_at(condition_find(status, "Ready"), "status"), "False");
    control_set_node_ready(world->control, true);
    status = json_object_get(object_root(api_get(world->api, RES_NODES, "", "node")), "status");
    assert_string_equal(json_str_at(condition_find(status, "Ready"), "status"), "True");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(deployment_makes_pods_that_are_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ready_pods_are_endpoints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pod_that_ends_leaves_the_endpoints_at_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(new_template_rolls_out_and_old_set_stays_empty, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(deployment_follows_its_scale, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deleted_deployment_takes_sets_and_pods_along, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(foreground_deletion_removes_the_owner_last, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(orphans_are_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(namespace_is_furnished_and_emptied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(disruption_budget_counts_healthy_pods, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_api_itself_is_a_service, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
