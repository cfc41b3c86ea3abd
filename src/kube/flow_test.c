/* Tests of the client against a small API server on loopback: errors, apply, watches that are cut
 * off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/io.h"
#include "kube/config.h"
#include "kube/rollout.h"
#include "wire/http_server.h"

/* A server that knows one ConfigMap, and whose first watch ends with 410. */
struct fake {
    struct loop *loop;
    struct http_server *server;
    struct kube_client *kube;
    unsigned lists, watches, discoveries;
    char last_path[256];
    char last_manager[64];
    char last_type[64];
};

static const char resources[] =
    "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",\"groupVersion\":\"v1\",\"resources\":["
    "{\"name\":\"configmaps\",\"singularName\":\"configmap\",\"namespaced\":true,\"kind\":"
    "\"ConfigMap\",\"verbs\":[\"get\",\"list\"]},"
    "{\"name\":\"configmaps/status\",\"namespaced\":true,\"kind\":\"ConfigMap\",\"verbs\":[]}]}";

static void answer_watch(struct fake *fake, struct http_request *req)
{
    struct http_stream *stream = http_respond_stream(req, 200, NULL, 1 << 20, NULL, NULL);

    fake->watches++;
    if (fake->watches == 1) {
        http_stream_write(stream, STR("{\"type\":\"MODIFIED\",\"object\":{\"apiVersion\":\"v1\","
                                      "\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\","
                                      "\"namespace\":\"n\",\"resourceVersion\":\"6\"},"));
        http_stream_write(stream, STR("\"data\":{\"k\":\"2\"}}}\n"));
        http_stream_write(stream, STR("{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\","
                                      "\"code\":410,\"reason\":\"Expired\"}}\n"));
        http_stream_end(stream);
    }
    /* The second one stays open. */
}

static void answer_list(struct fake *fake, struct http_request *req)
{
    fake->lists++;
    /* After the 410: "a" is gone, "b" is new. */
    http_respond_json(req, 200,
                      fake->lists == 1
                          ? "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{"
                            "\"resourceVersion\":\"5\"},\"items\":[{\"metadata\":{\"name\":\"a\","
                            "\"namespace\":\"n\",\"uid\":\"1\"},\"data\":{\"k\":\"1\"}}]}"
                          : "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{"
                            "\"resourceVersion\":\"9\"},\"items\":[{\"metadata\":{\"name\":\"b\","
                            "\"namespace\":\"n\",\"uid\":\"2\"}}]}");
}

static void handle(struct http_request *req, void *ctx)
{
    struct fake *fake = ctx;
    const char *path = http_request_path(req);
    const char *method = http_request_method(req);
    const char *manager = http_request_query(req, "fieldManager");
    const char *type = http_request_header(req, "content-type");

    (void)snprintf(fake->last_path, sizeof fake->last_path, "%s %s", method, path);
    (void)snprintf(fake->last_manager, sizeof fake->last_manager, "%s", manager ? manager : "");
    (void)snprintf(fake->last_type, sizeof fake->last_type, "%s", type ? type : "");
    if (strcmp(path, "/api/v1") == 0) {
        fake->discoveries++;
        http_respond_json(req, 200, resources);
    } else if (strcmp(path, "/api/v1/namespaces/n/configmaps") == 0) {
        if (http_request_query(req, "watch"))
            answer_watch(fake, req);
        else
            answer_list(fake, req);
    } else if (strcmp(path, "/api/v1/namespaces/n/configmaps/a") == 0) {
        http_respond_json(req, 200,
                          "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":"
                          "\"a\"}}");
    } else if (strcmp(path, "/api/v1/namespaces/n/configmaps/busy") == 0) {
        http_respond_json(req, 409,
                          "{\"kind\":\"Status\",\"code\":409,\"reason\":\"Conflict\",\"message\":"
                          "\"Apply failed with 1 conflict\"}");
    } else {
        http_respond_json(req, 404,
                          "{\"kind\":\"Status\",\"code\":404,\"reason\":\"NotFound\",\"message\":"
                          "\"configmaps \\\"x\\\" not found\"}");
    }
}

static int set_up(void **state)
{
    struct fake *fake = calloc(1, sizeof *fake);
    struct error err = ERROR_INIT;
    struct kube_config config = KUBE_CONFIG_INIT;
    uint16_t port = 0;
    int fd = -1;

    assert_int_equal(loop_new(&fake->loop, &err), 0);
    assert_int_equal(io_listen_tcp("127.0.0.1", 0, -1, &fd, &port, &err), 0);
    struct http_server_options options = {.listen_fd = fd, .body_max = 1 << 20};
    assert_int_equal(http_server_new(fake->loop, &options, handle, fake, &fake->server, &err), 0);
    config.server = str_format("http://127.0.0.1:%u", port);
    config.ns = str_dup(STR("n"));
    assert_int_equal(kube_client_new(&config, &fake->kube, &err), 0);
    kube_config_done(&config);
    *state = fake;
    return 0;
}

static int tear_down(void **state)
{
    struct fake *fake = *state;

    kube_client_free(fake->kube);
    http_server_free(fake->server);
    loop_free(fake->loop);
    free(fake);
    return 0;
}

/* One flow, run to its end on the loop that also serves. */
struct outcome {
    json_t *answer;
    struct error err;
    bool done;
};

static void on_done(const json_t *answer, const struct error *err, void *ctx)
{
    struct outcome *out = ctx;

    out->done = true;
    out->answer = json_incref((json_t *)answer);
    if (err)
        out->err = *err;
}

static void run_flow(struct fake *fake, const struct kube_request *request, struct outcome *out)
{
    struct kube_flow *flow = NULL;
    struct error err = ERROR_INIT;

    *out = (struct outcome){0};
    assert_int_equal(kube_flow_start(fake->kube, fake->loop, request, on_done, out, &flow, &err),
                     0);
    while (!out->done)
        assert_int_equal(loop_turn(fake->loop, 5000, &err), 0);
}

static void the_kind_is_discovered_once(void **state)
{
    struct fake *fake = *state;
    struct kube_request request = {.verb = KUBE_GET, .ref = {"v1", "ConfigMap", NULL, "a"}};
    struct outcome out;

    for (int i = 0; i < 2; i++) {
        run_flow(fake, &request, &out);
        assert_int_equal(out.err.kind, ERR_NONE);
        assert_string_equal(json_str_at(out.answer, "metadata.name"), "a");
        json_decref(out.answer);
    }
    assert_int_equal(fake->discoveries, 1);
}

static void a_status_object_becomes_the_error(void **state)
{
    struct fake *fake = *state;
    struct kube_request request = {.verb = KUBE_GET, .ref = {"v1", "ConfigMap", NULL, "x"}};
    struct outcome out;

    run_flow(fake, &request, &out);
    assert_int_equal(out.err.kind, ERR_NOT_FOUND);
    assert_string_equal(out.err.text, "configmaps \"x\" not found");
    request.ref.name = "busy";
    run_flow(fake, &request, &out);
    assert_int_equal(out.err.kind, ERR_CONFLICT);
    request.ref.kind = "Widget";
    run_flow(fake, &request, &out);
    assert_int_equal(out.err.kind, ERR_NOT_FOUND);
    assert_string_equal(out.err.text, "the cluster does not serve kind 'Widget' of 'v1'");
}

static void apply_names_its_manager_and_type(void **state)
{
    struct fake *fake = *state;
    CLEANUP(json)
    json_t *object = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "ConfigMap",
                               "metadata", "name", "a");
    struct kube_request request = {
        .verb = KUBE_APPLY, .object = object, .manager = "monban-agent", .force = true};
    struct outcome out;

    run_flow(fake, &request, &out);
    assert_int_equal(out.err.kind, ERR_NONE);
    json_decref(out.answer);
    assert_string_equal(fake->last_path, "PATCH /api/v1/namespaces/n/configmaps/a");
    assert_string_equal(fake->last_manager, "monban-agent");
    assert_string_equal(fake->last_type, "application/apply-patch+yaml");
}

struct seen {
    struct loop *loop;
    char text[256];
    unsigned synced;
};

static void on_event(struct kube_watch *watch, enum kube_event event, const json_t *object,
                     void *ctx)
{
    static const char letters[] = {'+', '~', '-', '='};
    struct seen *seen = ctx;
    size_t len = strlen(seen->text);
    const char *name = json_str_at(object, "metadata.name");
    const char *kind = json_str_at(object, "kind");

    (void)snprintf(seen->text + len, sizeof seen->text - len, "%c%s%s ", letters[event],
                   name ? name : "", kind && strcmp(kind, "ConfigMap") != 0 ? "?" : "");
    if (event == KUBE_SYNCED && ++seen->synced == 2) {
        kube_watch_remove(watch); /* in its own callback */
        loop_stop(seen->loop);
    }
}

static void a_watch_lists_again_after_410_and_tells_what_was_missed(void **state)
{
    struct fake *fake = *state;
    struct seen seen = {.loop = fake->loop};
    struct kube_watch *watch = NULL;
    struct error err = ERROR_INIT;
    struct kube_watch_options options = {
        .ref = {"v1", "ConfigMap", "n", NULL}, .on_event = on_event, .ctx = &seen};

    assert_int_equal(kube_watch_start(fake->kube, fake->loop, &options, &watch, &err), 0);
    assert_int_equal(loop_run(fake->loop, &err), 0);
    assert_string_equal(seen.text, "+a = ~a +b -a = ");
    assert_int_equal(fake->lists, 2);
    assert_int_equal(fake->watches, 1);
}

static json_t *deployment(int generation, int observed, int desired, int updated, int total,
                          int available)
{
    return json_pack("{s:{s:i}, s:{s:i}, s:{s:i, s:i, s:i, s:i}}", "metadata", "generation",
                     generation, "spec", "replicas", desired, "status", "observedGeneration",
                     observed, "updatedReplicas", updated, "replicas", total, "availableReplicas",
                     available);
}

static void rollouts_are_judged_as_kubectl_does(void **state)
{
    static const struct {
        int numbers[6];
        enum kube_rollout want;
        const char *text;
    } cases[] = {
        {{2, 1, 1, 1, 1, 1}, KUBE_ROLLOUT_GOING, "the new spec is not observed yet"},
        {{1, 1, 2, 1, 2, 2}, KUBE_ROLLOUT_GOING, "1 of 2 new replicas are updated"},
        {{1, 1, 2, 2, 3, 2}, KUBE_ROLLOUT_GOING, "1 old replicas are pending termination"},
        {{1, 1, 2, 2, 2, 1}, KUBE_ROLLOUT_GOING, "1 of 2 updated replicas are available"},
        {{1, 1, 2, 2, 2, 2}, KUBE_ROLLOUT_DONE, ""},
        {{1, 1, 0, 0, 0, 0}, KUBE_ROLLOUT_DONE, ""},
    };
    char text[KUBE_ROLLOUT_TEXT];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const int *n = cases[i].numbers;
        CLEANUP(json) json_t *d = deployment(n[0], n[1], n[2], n[3], n[4], n[5]);
        assert_int_equal(kube_rollout_of(d, text), cases[i].want);
        assert_string_equal(text, cases[i].text);
    }
    CLEANUP(json) json_t *failed = deployment(1, 1, 1, 0, 1, 1);
    (void)json_object_set_new(
        json_object_get(failed, "status"), "conditions",
        json_pack("[{s:s, s:s}]", "type", "Progressing", "reason", "ProgressDeadlineExceeded"));
    assert_int_equal(kube_rollout_of(failed, text), KUBE_ROLLOUT_FAILED);
}

static void trouble_names_pod_container_and_exit(void **state)
{
    CLEANUP(json)
    json_t *pods = json_pack("{s:[{s:{s:s}, s:{s:[{s:s, s:b, s:{s:{s:s}}, s:{s:{s:i}}}]}}]}",
                             "items", "metadata", "name", "web-1", "status", "containerStatuses",
                             "name", "workload", "ready", 0, "state", "waiting", "reason",
                             "CrashLoopBackOff", "lastState", "terminated", "exitCode", 3);
    char text[256];

    kube_pods_trouble(pods, text, sizeof text);
    assert_string_equal(text, "container 'workload' of pod 'web-1' exited 3 (CrashLoopBackOff)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_kind_is_discovered_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_status_object_becomes_the_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(apply_names_its_manager_and_type, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_watch_lists_again_after_410_and_tells_what_was_missed,
                                        set_up, tear_down),
        cmocka_unit_test(rollouts_are_judged_as_kubectl_does),
        cmocka_unit_test(trouble_names_pod_container_and_exit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
