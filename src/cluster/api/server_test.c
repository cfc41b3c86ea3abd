/* cluster/api/server_test.c - the server over HTTP: who may, what is answered, watches, crashes.
 * The server is a child process on loopback, plain HTTP with bearer tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/io.h"
#include "cluster/api/server.h"
#include "wire/http_client.h"

struct fixture {
    char *dir; /* owned */
    pid_t server;
    uint16_t port;
    struct http_client *admin, *nobody, *guest; /* owned */
};

static void die(const struct error *err)
{
    fprintf(stderr, "server: %s\n", err->text);
    _exit(1);
}

static void serve(const char *dir, int listen_fd)
{
    CLEANUP(text) char *store = fs_join(dir, "store.db"), *tokens = fs_join(dir, "tokens");
    CLEANUP(text) char *logs = fs_join(dir, "logs");
    struct api_options options = {.store_path = store, .logs_dir = logs, .cluster_index = 1};
    struct api_server_options server_options = {
        .listen_fds = &listen_fd, .listen_fds_count = 1, .tokens_path = tokens};
    struct loop *loop = NULL;
    struct api *api = NULL;
    struct api_server *server = NULL;
    struct error err = ERROR_INIT;

    if (loop_new(&loop, &err) < 0)
        die(&err);
    options.loop = server_options.loop = loop;
    if (api_new(&options, &api, &err) < 0)
        die(&err);
    server_options.api = api;
    if (api_server_new(&server_options, &server, &err) < 0 || loop_run(loop, &err) < 0)
        die(&err);
    _exit(0);
}

static void start_server(struct fixture *f)
{
    struct error err = ERROR_INIT;
    int fd = -1;

    assert_int_equal(io_listen_tcp("127.0.0.1", f->port, -1, &fd, &f->port, &err), 0);
    f->server = fork(); /* connections wait in the listener until the child accepts them */
    if (f->server == 0)
        serve(f->dir, fd);
    close(fd);
}

static void kill_server(struct fixture *f)
{
    assert_int_equal(kill(f->server, SIGKILL), 0);
    assert_int_equal(waitpid(f->server, NULL, 0), f->server);
}

static struct http_client *client(const char *token)
{
    struct http_client_options options = {.bearer_token = token};
    struct http_client *result = NULL;
    struct error err = ERROR_INIT;
    assert_int_equal(http_client_new(&options, &result, &err), 0);
    return result;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = ERROR_INIT;

    assert_int_equal(fs_make_temp_dir("/tmp/server-test-", &f->dir, &err), 0);
    CLEANUP(text) char *tokens = fs_join(f->dir, "tokens");
    assert_int_equal(fs_write_quick(AT_FDCWD, tokens,
                                    STR("# token user groups\nroot admin system:masters\n"
                                        "pod system:serviceaccount:default:default"
                                        " system:serviceaccounts\n"),
                                    0600, &err),
                     0);
    f->admin = client("root");
    f->guest = client("pod");
    f->nobody = client(NULL);
    start_server(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;

    kill_server(f);
    http_client_free(f->admin);
    http_client_free(f->guest);
    http_client_free(f->nobody);
    int rc = fs_remove_tree(AT_FDCWD, f->dir, &err);
    free(f->dir);
    free(f);
    return rc;
}

struct answer {
    int status;
    char *text; /* owned */
};
static void answer_done(struct answer *answer)
{
    free(answer->text);
}
DEFINE_CLEANUP_VALUE(answer, struct answer, answer_done)

static struct answer call(struct fixture *f, struct http_client *by, const char *method,
                          const char *path, const char *type, const char *body)
{
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    CLEANUP(text) char *url = str_format("http://127.0.0.1:%u%s", f->port, path);
    CLEANUP(text) char *content = str_format("Content-Type: %s", type ? type : "application/json");
    const char *const headers[] = {content, NULL};
    struct http_call request = {.method = method, .url = url, .headers = headers};
    struct error err = ERROR_INIT;

    if (body)
        request.body = str_of(body);
    if (http_client_call(by, &request, &answer, &err) < 0)
        fail_msg("%s %s: %s", method, path, err.text);
    return (struct answer){answer.status, str_dup(buf_str(&answer.body))};
}

static void expect(struct fixture *f, const char *method, const char *path, const char *type,
                   const char *body, int status, const char *holds)
{
    CLEANUP(answer) struct answer answer = call(f, f->admin, method, path, type, body);
    if (answer.status != status || !strstr(answer.text, holds))
        fail_msg("%s %s: %d, wanted %d with '%s': %s", method, path, answer.status, status, holds,
                 answer.text);
}

#define CONFIGMAPS "/api/v1/namespaces/default/configmaps"
#define CM(name)   "{\"metadata\":{\"name\":\"" name "\"},\"data\":{\"a\":\"b\"}}"

static void only_administrators_get_in_but_health_is_open(void **state)
{
    struct fixture *f = *state;
    CLEANUP(answer) struct answer health = call(f, f->nobody, "GET", "/readyz", NULL, NULL);
    CLEANUP(answer) struct answer nobody = call(f, f->nobody, "GET", "/api/v1/pods", NULL, NULL);
    CLEANUP(answer) struct answer guest = call(f, f->guest, "GET", "/api/v1/pods", NULL, NULL);
    CLEANUP(answer) struct answer registry = call(f, f->nobody, "GET", "/v2/x", NULL, NULL);
    assert_int_equal(health.status, 200);
    assert_string_equal(health.text, "ok");
    assert_int_equal(nobody.status, 401);
    assert_non_null(strstr(nobody.text, "\"reason\":\"Unauthorized\""));
    assert_int_equal(guest.status, 403);
    assert_non_null(strstr(guest.text, "User \\\"system:serviceaccount:default:default\\\""));
    assert_int_equal(registry.status, 401);
}

static void verbs_answer_with_the_codes_of_kubernetes(void **state)
{
    struct fixture *f = *state;
    expect(f, "POST", CONFIGMAPS, NULL, CM("x"), 201, "\"resourceVersion\"");
    expect(f, "POST", CONFIGMAPS, NULL, CM("x"), 409, "AlreadyExists");
    expect(f, "POST", CONFIGMAPS, "application/yaml", "metadata: {generateName: y-}\n", 201,
           "\"y-");
    expect(f, "POST", CONFIGMAPS "?fieldValidation=Strict", NULL,
           "{\"metadata\":{\"name\":\"z\"},\"foo\":1}", 400,
           "strict decoding error: unknown field");
    expect(f, "POST", CONFIGMAPS, NULL, "{", 400, "BadRequest");
    expect(f, "POST", CONFIGMAPS, "application/vnd.kubernetes.protobuf", "k8s", 415,
           "UnsupportedMediaType");
    expect(f, "POST", CONFIGMAPS "?dryRun=All", NULL, CM("dry"), 201, "\"uid\"");
    expect(f, "POST", CONFIGMAPS "?dryRun=Some", NULL, CM("dry"), 422, "Unsupported value");
    expect(f, "GET", CONFIGMAPS "/dry", NULL, NULL, 404, "configmaps \\\"dry\\\" not found");
    expect(f, "PUT", CONFIGMAPS "/x", NULL,
           "{\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"1\"}}", 409,
           "object has been modified");
    expect(f, "PUT", CONFIGMAPS "/x", NULL, CM("x"), 200, "\"x\"");
    expect(f, "PATCH", CONFIGMAPS "/x", "application/merge-patch+json", "{\"data\":{\"a\":null}}",
           200, "\"data\":{}");
    expect(f, "PATCH", CONFIGMAPS "/x", "application/apply-patch+yaml", CM("x"), 422,
           "fieldManager: Required value");
    expect(f, "PATCH", CONFIGMAPS "/x", "text/plain", "{}", 415, "UnsupportedMediaType");
    expect(f, "DELETE", CONFIGMAPS "/x", NULL, "{\"preconditions\":{\"uid\":\"other\"}}", 409,
           "Precondition failed: UID in precondition: other");
    expect(f, "DELETE", CONFIGMAPS "/x", NULL, NULL, 200, "\"Success\"");
    expect(f, "DELETE", CONFIGMAPS "/x", NULL, NULL, 404, "NotFound");
    expect(f, "DELETE", CONFIGMAPS, NULL, NULL, 200, "\"Success\"");
    expect(f, "GET", CONFIGMAPS, NULL, NULL, 200, "\"items\":[]");
    expect(f, "POST", "/api/v1/pods", NULL, CM("x"), 405, "MethodNotAllowed");
    expect(f, "GET", "/api/v1/foos", NULL, NULL, 404, "could not find the requested resource");
    expect(f, "GET", "/apis/apps/v2/deployments", NULL, NULL, 404, "could not find");
    expect(f, "PUT", "/api/v1/namespaces", NULL, "{}", 405, "MethodNotAllowed");
}

static void watch_begins_with_what_exists_or_after_a_revision(void **state)
{
    struct fixture *f = *state;
    expect(f, "POST", CONFIGMAPS, NULL, CM("one"), 201, "one");
    CLEANUP(answer) struct answer list = call(f, f->admin, "GET", CONFIGMAPS, NULL, NULL);
    CLEANUP(json) json_t *root = json_loads(list.text, 0, NULL);
    const char *revision = json_str_at(root, "metadata.resourceVersion");
    expect(f, "POST", CONFIGMAPS, NULL, CM("two"), 201, "two");
    expect(f, "PATCH", CONFIGMAPS "/one", "application/merge-patch+json",
           "{\"metadata\":{\"labels\":{\"l\":\"1\"}}}", 200, "one");
    expect(f, "DELETE", CONFIGMAPS "/two", NULL, NULL, 200, "Success");

    CLEANUP(text)
    char *after =
        str_format(CONFIGMAPS "?watch=true&timeoutSeconds=1&resourceVersion=%s", revision);
    CLEANUP(answer) struct answer events = call(f, f->admin, "GET", after, NULL, NULL);
    const char *added = strstr(events.text, "{\"type\":\"ADDED\"");
    const char *modified = strstr(events.text, "{\"type\":\"MODIFIED\"");
    const char *deleted = strstr(events.text, "{\"type\":\"DELETED\"");
    assert_true(added == events.text && modified > added && deleted > modified);
    assert_null(strstr(added + 1, "{\"type\":\"ADDED\""));

    expect(f, "GET", CONFIGMAPS "?watch=1&timeoutSeconds=1&fieldSelector=metadata.name=one", NULL,
           NULL, 200, "{\"type\":\"ADDED\",\"object\":{\"kind\":\"ConfigMap\"");
    expect(f, "GET",
           CONFIGMAPS "?watch=1&timeoutSeconds=1&sendInitialEvents=true&allowWatchBookmarks=true"
                      "&resourceVersionMatch=NotOlderThan",
           NULL, NULL, 200, "\"k8s.io/initial-events-end\":\"true\"");
    /* What leaves the selector is told as deleted, what enters it as added. */
    CLEANUP(text) char *selected = str_format("%s&labelSelector=l=1", after);
    CLEANUP(answer) struct answer entered = call(f, f->admin, "GET", selected, NULL, NULL);
    assert_non_null(strstr(entered.text, "{\"type\":\"ADDED\""));
    assert_null(strstr(entered.text, "MODIFIED"));
    expect(f, "GET", CONFIGMAPS "?watch=1&resourceVersion=99999999", NULL, NULL, 410, "Expired");
}

static void objects_survive_kill_9_and_old_watches_are_told_to_list_again(void **state)
{
    struct fixture *f = *state;
    CLEANUP(answer) struct answer made = call(f, f->admin, "POST", CONFIGMAPS, NULL, CM("kept"));
    assert_int_equal(made.status, 201);
    CLEANUP(json) json_t *root = json_loads(made.text, 0, NULL);
    kill_server(f);
    start_server(f);
    CLEANUP(answer) struct answer again = call(f, f->admin, "GET", CONFIGMAPS "/kept", NULL, NULL);
    assert_int_equal(again.status, 200);
    assert_string_equal(again.text, made.text);
    CLEANUP(text)
    char *old = str_format(CONFIGMAPS "?watch=1&resourceVersion=%s",
                           json_str_at(root, "metadata.resourceVersion"));
    expect(f, "GET", old, NULL, NULL, 410, "too old resource version");
}

static void eviction_respects_the_disruption_budget(void **state)
{
    struct fixture *f = *state;
    const char *pods = "/api/v1/namespaces/default/pods";
    expect(
        f, "POST", pods, NULL,
        "{\"metadata\":{\"name\":\"p\",\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":"
        "\"c\",\"image\":\"i\"}]}}",
        201, "Pending");
    expect(f, "PATCH", "/api/v1/namespaces/default/pods/p/status", "application/merge-patch+json",
           "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}", 200,
           "Ready");
    expect(
        f, "POST", "/apis/policy/v1/namespaces/default/poddisruptionbudgets", NULL,
        "{\"metadata\":{\"name\":\"b\"},\"spec\":{\"minAvailable\":1,\"selector\":{\"matchLabels\":{"
        "\"a\":\"b\"}}}}",
        201, "policy/v1");
    expect(f, "GET", "/apis/policy/v1beta1/namespaces/default/poddisruptionbudgets/b", NULL, NULL,
           200, "\"apiVersion\":\"policy/v1beta1\"");
    const char *eviction =
        "{\"kind\":\"Eviction\",\"apiVersion\":\"policy/v1\",\"metadata\":{\"name\":"
        "\"p\"}}";
    expect(f, "POST", "/api/v1/namespaces/default/pods/p/eviction", NULL, eviction, 429,
           "violate the pod's disruption budget");
    expect(f, "PATCH", "/apis/policy/v1/namespaces/default/poddisruptionbudgets/b/status",
           "application/merge-patch+json", "{\"status\":{\"disruptionsAllowed\":1}}", 200, "b");
    expect(f, "POST", "/api/v1/namespaces/default/pods/p/eviction", NULL, eviction, 201, "Success");
    expect(f, "GET", "/api/v1/namespaces/default/pods/p", NULL, NULL, 404, "NotFound");
}

static void scale_reads_and_writes_replicas(void **state)
{
    struct fixture *f = *state;
    const char *path = "/apis/apps/v1/namespaces/default/deployments/web/scale";
    expect(
        f, "POST", "/apis/apps/v1/namespaces/default/deployments", NULL,
        "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},"
        "\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":"
        "\"c\",\"image\":\"i\"}]}}}}",
        201, "web");
    expect(f, "GET", path, NULL, NULL, 200, "\"selector\":\"a=b\"");
    expect(f, "PATCH", path, "application/merge-patch+json", "{\"spec\":{\"replicas\":3}}", 200,
           "\"replicas\":3");
    expect(f, "PUT", path, NULL, "{\"metadata\":{\"name\":\"web\"},\"spec\":{\"replicas\":-1}}",
           422, "spec.replicas: Invalid value: -1");
    expect(f, "PUT", path, NULL,
           "{\"metadata\":{\"name\":\"web\",\"resourceVersion\":\"1\"},\"spec\":{\"replicas\":2}}",
           409, "Conflict");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_administrators_get_in_but_health_is_open, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(verbs_answer_with_the_codes_of_kubernetes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(watch_begins_with_what_exists_or_after_a_revision, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            objects_survive_kill_9_and_old_watches_are_told_to_list_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(eviction_respects_the_disruption_budget, set_up, tear_down),
        cmocka_unit_test_setup_teardown(scale_reads_and_writes_replicas, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
