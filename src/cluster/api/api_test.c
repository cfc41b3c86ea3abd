/* cluster/api/api_test.c - what create, update and delete mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/api/api.h"

static struct api *new_api(void)
{
    struct error err = ERROR_INIT;
    struct api *api = NULL;
    struct api_options options = {.cluster_index = 3};
    if (api_new(&options, &api, &err) < 0)
        fail_msg("%s", err.text);
    return api;
}

static json_t *parse(const char *text)
{
    struct error err = ERROR_INIT;
    json_t *root = NULL;
    if (json_parse("test", str_of(text), &root, &err) < 0)
        fail_msg("%s %s", err.place, err.text);
    return root;
}

static const struct object *create(struct api *api, enum resource_id id, const char *text)
{
    struct error err = ERROR_INIT;
    const struct object *object = NULL;
    if (api_create(api, id, parse(text), &object, &err) < 0)
        fail_msg("%s", err.text);
    return object;
}

static void refused(struct api *api, enum resource_id id, const char *text, enum error_kind kind,
                    const char *message)
{
    struct error err = ERROR_INIT;
    assert_int_equal(api_create(api, id, parse(text), NULL, &err), -1);
    assert_string_equal(err.text, message);
    assert_int_equal(err.kind, kind);
}

#define DEPLOYMENT                                                                                 \
    "{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"},\"spec\":{\"selector\":{"          \
    "\"matchLabels\":{\"app\":\"web\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"web\"}}" \
    ",\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"nginx\",\"ports\":[{"                  \
    "\"containerPort\":80}]}]}}}}"

static void new_cluster_has_its_namespaces_accounts_and_service(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    assert_int_equal(api_list(api, RES_NAMESPACES, NULL).count, 4);
    assert_non_null(api_get(api, RES_SERVICEACCOUNTS, "kube-system", "default"));
    const struct object *service = api_get(api, RES_SERVICES, "default", "kubernetes");
    assert_string_equal(json_str_at(object_root(service), "spec.clusterIP"), "10.96.3.1");
    assert_string_equal(json_str_at(object_root(service), "spec.clusterIPs[0]"), "10.96.3.1");
}

static void deployment_gets_the_defaults_of_kubernetes(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    const json_t *root = object_root(create(api, RES_DEPLOYMENTS, DEPLOYMENT));
    assert_string_equal(json_str_at(root, "kind"), "Deployment");
    assert_string_equal(json_str_at(root, "apiVersion"), "apps/v1");
    assert_int_equal(json_int_at(root, "metadata.generation", 0), 1);
    assert_int_equal(json_int_at(root, "spec.replicas", 0), 1);
    assert_int_equal(json_int_at(root, "spec.progressDeadlineSeconds", 0), 600);
    assert_string_equal(json_str_at(root, "spec.strategy.rollingUpdate.maxSurge"), "25%");
    const char *c = "spec.template.spec.containers[0]";
    json_t *container = json_at(root, c);
    assert_string_equal(json_str_at(container, "imagePullPolicy"), "Always");
    assert_string_equal(json_str_at(container, "terminationMessagePath"), "/dev/termination-log");
    assert_string_equal(json_str_at(container, "ports[0].protocol"), "TCP");
    assert_string_equal(json_str_at(root, "spec.template.spec.dnsPolicy"), "ClusterFirst");
}

static void all_faults_of_a_deployment_are_named_with_their_paths(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    refused(
        api, RES_DEPLOYMENTS,
        "{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"},\"spec\":{\"replicas\":-1,"
        "\"selector\":{\"matchLabels\":{\"app\":\"web\"}},\"template\":{\"metadata\":{\"labels\":"
        "{\"app\":\"web\"}},\"spec\":{\"containers\":[{\"name\":\"c\"}]}}}}",
        ERR_INVALID,
        "Deployment.apps \"web\" is invalid: [spec.replicas: Invalid value: -1: must be greater"
        " than or equal to 0, spec.template.spec.containers[0].image: Required value]");
}

static void wrong_type_is_worded_as_kubernetes_does(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    refused(
        api, RES_DEPLOYMENTS,
        "{\"metadata\":{\"name\":\"web\",\"namespace\":\"default\"},\"spec\":{\"replicas\":\"x\"}}",
        ERR_INVALID,
        "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal"
        " string into Go struct field DeploymentSpec.spec.replicas of type int32");
}

static void update_counts_generation_only_for_spec(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    struct error err = ERROR_INIT;
    const struct object *object = create(api, RES_DEPLOYMENTS, DEPLOYMENT);
    int64_t first = object_revision(object);

    CLEANUP(json) json_t *same = parse("{\"spec\":{\"replicas\":1}}");
    assert_int_equal(
        api_merge_patch(api, RES_DEPLOYMENTS, "default", "web", false, same, &object, &err), 0);
    assert_int_equal(object_revision(object), first);

    CLEANUP(json) json_t *label = parse("{\"metadata\":{\"labels\":{\"a\":\"b\"}}}");
    assert_int_equal(
        api_merge_patch(api, RES_DEPLOYMENTS, "default", "web", false, label, &object, &err), 0);
    assert_int_equal(json_int_at(object_root(object), "metadata.generation", 0), 1);

    CLEANUP(json) json_t *scale = parse("{\"spec\":{\"replicas\":3},\"status\":{\"replicas\":9}}");
    assert_int_equal(
        api_merge_patch(api, RES_DEPLOYMENTS, "default", "web", false, scale, &object, &err), 0);
    assert_int_equal(json_int_at(object_root(object), "metadata.generation", 0), 2);
    assert_null(json_at(object_root(object), "status.replicas"));

    CLEANUP(json) json_t *status = parse("{\"spec\":{\"replicas\":7},\"status\":{\"replicas\":3}}");
    assert_int_equal(
        api_merge_patch(api, RES_DEPLOYMENTS, "default", "web", true, status, &object, &err), 0);
    assert_int_equal(json_int_at(object_root(object), "metadata.generation", 0), 2);
    assert_int_equal(json_int_at(object_root(object), "spec.replicas", 0), 3);
    assert_int_equal(json_int_at(object_root(object), "status.replicas", 0), 3);
}

static void stale_update_conflicts_and_selector_is_immutable(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    struct error err = ERROR_INIT;
    const struct object *object = create(api, RES_DEPLOYMENTS, DEPLOYMENT);
    json_t *stale = json_deep_copy(object_root(object));
    CLEANUP(json) json_t *scale = parse("{\"spec\":{\"replicas\":3}}");
    assert_int_equal(
        api_merge_patch(api, RES_DEPLOYMENTS, "default", "web", false, scale, NULL, &err), 0);
    assert_int_equal(api_update(api, RES_DEPLOYMENTS, stale, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_CONFLICT);
    assert_string_equal(
        err.text, "Operation cannot be fulfilled on deployments.apps \"web\": the object has been"
                  " modified; please apply your changes to the latest version and try again");
    CLEANUP(json)
    json_t *selector = parse("{\"spec\":{\"selector\":{\"matchLabels\":{\"x\":\"y\"}}}}");
    assert_int_equal(
        api_merge_patch(api, RES_DEPLOYMENTS, "default", "web", false, selector, NULL, &err), -1);
    assert_non_null(strstr(err.text, "field is immutable"));
}

#define POD                                                                                        \
    "{\"metadata\":{\"name\":\"p\",\"namespace\":\"default\"},\"spec\":{\"nodeName\":\"n\","       \
    "\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}"

static void pod_is_deleted_after_its_grace(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    struct error err = ERROR_INIT;
    create(api, RES_PODS, POD);
    assert_int_equal(api_delete(api, RES_PODS, "default", "p", NULL, &err), 0);
    const struct object *pod = api_get(api, RES_PODS, "default", "p");
    assert_non_null(pod);
    assert_true(object_is_deleting(pod));
    assert_int_equal(json_int_at(object_root(pod), "metadata.deletionGracePeriodSeconds", 0), 30);
    struct api_delete_options now = {.grace_s = 0};
    assert_int_equal(api_delete(api, RES_PODS, "default", "p", &now, &err), 0);
    assert_null(api_get(api, RES_PODS, "default", "p"));
    assert_int_equal(api_delete(api, RES_PODS, "default", "p", NULL, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_string_equal(err.text, "pods \"p\" not found");
}

static void finalizers_keep_an_object_until_the_last_is_gone(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    struct error err = ERROR_INIT;
    create(api, RES_CONFIGMAPS,
           "{\"metadata\":{\"name\":\"x\",\"namespace\":\"default\",\"finalizers\":[\"a.b/c\"]}}");
    assert_int_equal(api_delete(api, RES_CONFIGMAPS, "default", "x", NULL, &err), 0);
    assert_true(object_is_deleting(api_get(api, RES_CONFIGMAPS, "default", "x")));
    CLEANUP(json) json_t *patch = parse("{\"metadata\":{\"finalizers\":null}}");
    assert_int_equal(api_merge_patch(api, RES_CONFIGMAPS, "default", "x", false, patch, NULL, &err),
                     0);
    assert_null(api_get(api, RES_CONFIGMAPS, "default", "x"));
}

static void terminating_namespace_takes_nothing_new(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    struct error err = ERROR_INIT;
    create(api, RES_NAMESPACES, "{\"metadata\":{\"name\":\"shop\"}}");
    assert_non_null(api_get(api, RES_SERVICEACCOUNTS, "shop", "default"));
    assert_int_equal(api_delete(api, RES_NAMESPACES, NULL, "shop", NULL, &err), 0);
    const struct object *object = api_get(api, RES_NAMESPACES, NULL, "shop");
    assert_string_equal(json_str_at(object_root(object), "status.phase"), "Terminating");
    refused(
        api, RES_CONFIGMAPS, "{\"metadata\":{\"name\":\"x\",\"namespace\":\"shop\"}}", ERR_DENIED,
        "configmaps \"x\" is forbidden: unable to create new content in namespace shop because it"
        " is being terminated");
    assert_int_equal(api_finalize_namespace(api, "shop", &err), 0);
    refused(api, RES_CONFIGMAPS, "{\"metadata\":{\"name\":\"x\",\"namespace\":\"shop\"}}",
            ERR_NOT_FOUND, "namespaces \"shop\" not found");
}

static void services_get_addresses_and_node_ports_of_the_cluster(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    struct error err = ERROR_INIT;
    const struct object *a = create(
        api, RES_SERVICES,
        "{\"metadata\":{\"name\":\"a\",\"namespace\":\"default\"},\"spec\":{\"type\":\"NodePort\","
        "\"ports\":[{\"port\":80}]}}");
    assert_string_equal(json_str_at(object_root(a), "spec.clusterIP"), "10.96.3.2");
    assert_int_equal(json_int_at(object_root(a), "spec.ports[0].nodePort", 0), 30600);
    assert_int_equal(json_int_at(object_root(a), "spec.ports[0].targetPort", 0), 80);

    const struct object *b =
        create(api, RES_SERVICES,
               "{\"metadata\":{\"name\":\"b\",\"namespace\":\"default\"},\"spec\":{\"ports\":[{"
               "\"port\":80}]}}");
    assert_string_equal(json_str_at(object_root(b), "spec.clusterIP"), "10.96.3.3");
    assert_null(json_at(object_root(b), "spec.ports[0].nodePort"));

    /* An update that names neither keeps both. */
    json_t *update = parse("{\"metadata\":{\"name\":\"a\",\"namespace\":\"default\"},\"spec\":{"
                           "\"type\":\"NodePort\",\"ports\":[{\"port\":80,\"targetPort\":8080}]}}");
    assert_int_equal(api_update(api, RES_SERVICES, update, &a, &err), 0);
    assert_string_equal(json_str_at(object_root(a), "spec.clusterIP"), "10.96.3.2");
    assert_int_equal(json_int_at(object_root(a), "spec.ports[0].nodePort", 0), 30600);
    refused(
        api, RES_SERVICES,
        "{\"metadata\":{\"name\":\"c\",\"namespace\":\"default\"},\"spec\":{\"clusterIP\":"
        "\"10.96.3.3\",\"ports\":[{\"port\":80}]}}",
        ERR_INVALID,
        "Service \"c\" is invalid: spec.clusterIPs: Invalid value: \"10.96.3.3\": failed to allocate"
        " IP: provided IP is already allocated");
}

static void events_are_counted_instead_of_repeated(void **state)
{
    CLEANUP(api) struct api *api = new_api();
    const struct object *pod = create(api, RES_PODS, POD);
    api_record_event(api, pod, "Warning", "BackOff", "kubelet", "restarting %s", "c");
    api_record_event(api, pod, "Warning", "BackOff", "kubelet", "restarting %s", "c");
    api_record_event(api, pod, "Normal", "Started", "kubelet", "started");
    struct object_list events = api_list(api, RES_EVENTS, "default");
    assert_int_equal(events.count, 2);
    int64_t counts = json_int_at(object_root(events.items[0]), "count", 0) +
                     json_int_at(object_root(events.items[1]), "count", 0);
    assert_int_equal(counts, 3);
    assert_string_equal(json_str_at(object_root(events.items[0]), "involvedObject.uid"),
                        object_uid(pod));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_cluster_has_its_namespaces_accounts_and_service),
        cmocka_unit_test(deployment_gets_the_defaults_of_kubernetes),
        cmocka_unit_test(all_faults_of_a_deployment_are_named_with_their_paths),
        cmocka_unit_test(wrong_type_is_worded_as_kubernetes_does),
        cmocka_unit_test(update_counts_generation_only_for_spec),
        cmocka_unit_test(stale_update_conflicts_and_selector_is_immutable),
        cmocka_unit_test(pod_is_deleted_after_its_grace),
        cmocka_unit_test(finalizers_keep_an_object_until_the_last_is_gone),
        cmocka_unit_test(terminating_namespace_takes_nothing_new),
        cmocka_unit_test(services_get_addresses_and_node_ports_of_the_cluster),
        cmocka_unit_test(events_are_counted_instead_of_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
