/* oci/registry_test.c - our server with our client, with skopeo, and our client with Debian's
 * docker-registry, all on loopback. Programs that are not installed are skipped, and said to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/proc.h"
#include "oci/image.h"
#include "oci/oci_test.h"
#include "oci/registry_auth.h"
#include "oci/registry_client.h"
#include "oci/registry_server.h"
#include "oci/unpack.h"

enum { BODY_MAX = 256 << 20, RUN_TIMEOUT_MS = 60000 };
static const char token[] = "s3cret";

struct server { /* a registry in a child process */
    pid_t pid;
    char host[64], url[80];
    char *dir; /* owned: its layout */
};

static int needs_token(const struct http_request *req, const char *repository, void *ctx)
{
    if (registry_token_matches(req, STR(token)))
        return 0;
    return strcmp(repository, "secret/known") == 0 ? 403 : 401;
}

static void on_request(struct http_request *req, void *ctx)
{
    if (!registry_handle(ctx, req))
        http_respond(req, 404, NULL, STR("not below /v2"));
}

/* A registry that hands out tokens for user "u", password "p", and is out of order at every third
 * call. */
struct token_registry {
    struct registry *registry;
    unsigned calls;
};

static void on_token_request(struct http_request *req, void *ctx)
{
    struct token_registry *t = ctx;
    const char *auth = http_request_header(req, "Authorization");
    const char *scope = http_request_query(req, "scope");
    char challenge[300];

    snprintf(
        challenge, sizeof(challenge),
        "Bearer realm=\"http://%s/token\",service=\"test\",scope=\"repository:apps/x:pull,push\"",
        http_request_header(req, "Host"));
    const struct http_header challenged[] = {{"WWW-Authenticate", challenge}, {NULL}};
    const struct http_header later[] = {{"Retry-After", "0"}, {NULL}};

    if (++t->calls % 3 == 0) {
        http_respond(req, t->calls % 2 ? 503 : 429, later, STR("out of order"));
    } else if (strcmp(http_request_path(req), "/token") == 0) {
        bool good = auth && strcmp(auth, "Basic dTpw") == 0 && scope &&
                    strcmp(scope, "repository:apps/x:pull,push") == 0;
        http_respond_json(req, good ? 200 : 401, good ? "{\"access_token\":\"s3cret\"}" : "{}");
    } else if (!auth || strcmp(auth, "Bearer s3cret") != 0) {
        http_respond(req, 401, challenged, STR(""));
    } else if (!registry_handle(t->registry, req)) {
        http_respond(req, 404, NULL, STR(""));
    }
}

static void on_term(struct loop *loop, int signal_number, void *ctx)
{
    loop_stop(loop);
}

/* In the child: until SIGTERM, then everything is freed, so that leaks show. */
enum guard { OPEN_TO_PULL, NEEDS_TOKEN, TOKEN_SERVER };

static int serve(int listen_fd, const char *dir, enum guard guard)
{
    CLEANUP(loop) struct loop *loop = NULL;
    CLEANUP(registry) struct registry *registry = NULL;
    CLEANUP(http_server) struct http_server *server = NULL;
    struct error err = ERROR_INIT;
    struct registry_options options = {.layout_path = dir, .may_push = needs_token};
    struct http_server_options http = {.listen_fd = listen_fd, .body_max = BODY_MAX};

    if (guard == NEEDS_TOKEN)
        options.may_pull = needs_token;
    if (loop_new(&loop, &err) < 0 || registry_new(loop, &options, &registry, &err) < 0)
        return 1;
    struct token_registry tokens = {.registry = registry};
    if (http_server_new(loop, &http, guard == TOKEN_SERVER ? on_token_request : on_request,
                        guard == TOKEN_SERVER ? (void *)&tokens : registry, &server, &err) < 0 ||
        loop_add_signal(loop, SIGTERM, on_term, NULL, &err) < 0 || loop_run(loop, &err) < 0) {
        fprintf(stderr, "server: %s\n", err.text);
        return 1;
    }
    registry_free(TAKE(registry)); /* open long polls are answered while their server is there */
    http_server_free(TAKE(server));
    return 0;
}

static void server_start(struct server *s, const char *dir, enum guard guard)
{
    uint16_t port;
    int fd;

    OK(io_listen_tcp("127.0.0.1", 0, -1, &fd, &port, &err));
    snprintf(s->host, sizeof(s->host), "127.0.0.1:%d", port);
    snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d", port);
    s->dir = str_dup(str_of(dir));
    s->pid = fork();
    if (s->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        exit(serve(fd, dir, guard));
    }
    close(fd);
}

static void server_stop(struct server *s)
{
    int status;

    kill(s->pid, SIGTERM);
    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    assert_int_equal(status, 0);
    free(s->dir);
}

static struct registry_client *client_of(const struct server *s, const char *bearer)
{
    struct registry_client_options options = {
        .host = s->host, .base_url = s->url, .bearer_token = bearer, .attempts = 3};
    struct registry_client *client = NULL;

    OK(registry_client_new(&options, &client, &err));
    return client;
}

/* An image of two layers, `bytes` of them in the second, with an SBOM referrer and a cosign-like
 * tag. */
static struct descriptor make_image(struct layout *l, const char *repository, size_t bytes)
{
    struct layer layers[2];
    struct descriptor image, sbom, blob;
    CLEANUP(text) char *data = malloc(bytes + 1);
    char tag[200];

    for (size_t i = 0, x = 1; i < bytes; i++, x = x * 1103515245 + 12345)
        data[i] = (char)(x >> 16);
    for (int i = 0; i < 2; i++) {
        CLEANUP(layer_writer) struct layer_writer *w = NULL;
        struct layer_options options = {.flags = 0};
        OK(layer_writer_new(l, &options, &w, &err));
        OK(layer_add_file(w, i ? "/app/data" : "/etc/base", 0644,
                          i ? str_slice(data, bytes) : STR("base\n"), &err));
        OK(layer_finish(w, &layers[i], &err));
    }
    CLEANUP(json)
    json_t *config = json_pack("{s:[s], s:{s:s}}", "Entrypoint", "/app/run", "Labels", "a", "b");
    struct image_options options = {.layers = layers, .layer_count = 2, .config = config};
    OK(image_write(l, &options, &image, &err));
    OK(layout_put(l, "application/vnd.cyclonedx+json", STR("{\"bom\":1}"), &blob, &err));
    CLEANUP(json) json_t *blobs = json_pack("[o]", descriptor_to_json(&blob));
    struct artifact_options artifact = {
        .artifact_type = "application/vnd.cyclonedx+json", .layers = blobs, .subject = &image};
    OK(artifact_write(l, &artifact, &sbom, &err));
    struct artifact_options signature = {.artifact_type = "x/signature", .layers = blobs};
    OK(artifact_write(l, &signature, &blob, &err));
    snprintf(tag, sizeof(tag), "sha256-%s.sig", digest_hex(&image.digest));
    OK(layout_tag(l, repository, tag, &blob, &err));
    OK(layout_tag(l, repository, "1.0", &image, &err));
    return image;
}

static void check_image(struct layout *l, const char *repository, const struct descriptor *expected)
{
    CLEANUP(image) struct image *image = NULL;
    CLEANUP(json) json_t *referrers = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT(100);
    struct descriptor d;
    char tag[200];

    OK(layout_resolve(l, repository, "1.0", &d, &err));
    assert_string_equal(d.digest.text, expected->digest.text);
    assert_string_equal(d.media_type, OCI_MANIFEST);
    OK(image_read(l, &d.digest, NULL, &image, &err));
    assert_int_equal(image->layer_count, 2);
    OK(unpack_file(l, &image->layers[0].descriptor, "etc/base", &text, &err));
    assert_string_equal(buf_text(&text), "base\n");
    assert_true(layout_has(l, &image->layers[1].descriptor.digest));
    OK(layout_referrers(l, &d.digest, NULL, &referrers, &err));
    assert_int_equal(json_array_size(referrers), 1);
    snprintf(tag, sizeof(tag), "sha256-%s.sig", digest_hex(&d.digest));
    OK(layout_resolve(l, repository, tag, &d, &err));
}

static struct layout *open_fresh(const struct fixture *f, const char *name)
{
    CLEANUP(text) char *dir = fs_join(f->dir, name);
    struct layout *layout = NULL;
    OK(layout_open(dir, LAYOUT_CREATE, &layout, &err));
    return layout;
}

static void image_goes_up_and_comes_down_with_all_that_refers_to_it(void **state)
{
    struct fixture *f = *state;
    struct server s;
    CLEANUP(text) char *dir = fs_join(f->dir, "server");
    CLEANUP(layout) struct layout *back = open_fresh(f, "back");
    CLEANUP(strv) struct strv tags = STRV_INIT;
    struct registry_copy copy = {.repository = "apps/x",
                                 .reference = "1.0",
                                 .local_repository = "mine/x",
                                 .flags = REGISTRY_REFERRERS | REGISTRY_COSIGN_TAGS};
    struct descriptor image = make_image(f->layout, "mine/x", 20 << 20), got;

    server_start(&s, dir, OPEN_TO_PULL);
    CLEANUP(registry_client) struct registry_client *client = client_of(&s, token);
    OK(registry_push(client, &copy, f->layout, &got, &err));
    assert_string_equal(got.digest.text, image.digest.text);
    OK(registry_push(client, &copy, f->layout, &got, &err));
    copy.local_repository = NULL;
    OK(registry_pull(client, &copy, back, &got, &err));
    check_image(back, "apps/x", &image);
    OK(registry_tags(client, "apps/x", &tags, &err));
    assert_int_equal(tags.count, 2);
    copy.reference = "absent";
    FAILS(registry_pull(client, &copy, back, &got, &err), ERR_NOT_FOUND);
    server_stop(&s);
}

static void push_without_the_token_is_denied(void **state)
{
    struct fixture *f = *state;
    struct server s;
    CLEANUP(text) char *dir = fs_join(f->dir, "server");
    struct registry_copy copy = {
        .repository = "apps/x", .reference = "1.0", .local_repository = "x"};
    struct descriptor got;

    (void)make_image(f->layout, "x", 100);
    server_start(&s, dir, NEEDS_TOKEN);
    CLEANUP(registry_client) struct registry_client *nobody = client_of(&s, NULL);
    CLEANUP(registry_client) struct registry_client *wrong = client_of(&s, "guess");
    struct registry_client_options options = {
        .host = s.host, .base_url = s.url, .user = "any", .password = token, .attempts = 1};
    CLEANUP(registry_client) struct registry_client *basic = NULL;
    OK(registry_client_new(&options, &basic, &err));
    FAILS(registry_push(nobody, &copy, f->layout, &got, &err), ERR_DENIED);
    FAILS(registry_push(wrong, &copy, f->layout, &got, &err), ERR_DENIED);
    OK(registry_push(basic, &copy, f->layout, &got, &err));
    FAILS(registry_pull(nobody, &copy, f->layout, &got, &err), ERR_DENIED);
    server_stop(&s);
}

static void token_is_fetched_and_passing_failures_are_tried_again(void **state)
{
    struct fixture *f = *state;
    struct server s;
    CLEANUP(text) char *dir = fs_join(f->dir, "server");
    CLEANUP(layout) struct layout *back = open_fresh(f, "back");
    struct registry_copy copy = {
        .repository = "apps/x", .reference = "1.0", .flags = REGISTRY_REFERRERS};
    struct descriptor image = make_image(f->layout, "apps/x", 5000), got;

    server_start(&s, dir, TOKEN_SERVER);
    struct registry_client_options options = {
        .host = s.host, .base_url = s.url, .user = "u", .password = "p", .attempts = 4};
    CLEANUP(registry_client) struct registry_client *client = NULL, *wrong = NULL;
    OK(registry_client_new(&options, &client, &err));
    OK(registry_push(client, &copy, f->layout, &got, &err));
    OK(registry_pull(client, &copy, back, &got, &err));
    assert_string_equal(got.digest.text, image.digest.text);
    options.password = "guess";
    OK(registry_client_new(&options, &wrong, &err));
    FAILS(registry_pull(wrong, &copy, back, &got, &err), ERR_DENIED);
    server_stop(&s);
}

static void damaged_blob_is_not_taken(void **state)
{
    struct fixture *f = *state;
    struct server s;
    CLEANUP(text) char *dir = fs_join(f->dir, "server");
    CLEANUP(layout) struct layout *there = open_fresh(f, "server");
    CLEANUP(layout) struct layout *back = open_fresh(f, "back");
    CLEANUP(image) struct image *image = NULL;
    struct registry_copy copy = {.repository = "apps/x", .reference = "1.0"};
    struct descriptor d = make_image(there, "apps/x", 5000), got;
    char path[200];

    OK(image_read(there, &d.digest, NULL, &image, &err));
    snprintf(path, sizeof(path), "blobs/sha256/%s",
             digest_hex(&image->layers[1].descriptor.digest));
    CLEANUP(fd) int fd = openat(layout_dir_fd(there), path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "!", 1, 100), 1);
    server_start(&s, dir, OPEN_TO_PULL);
    CLEANUP(registry_client) struct registry_client *client = client_of(&s, NULL);
    FAILS_SAYING(registry_pull(client, &copy, back, &got, &err), ERR_UNTRUSTED, "digest mismatch");
    FAILS(layout_resolve(back, "apps/x", "1.0", &got, &err), ERR_NOT_FOUND);
    assert_false(layout_has(back, &image->layers[1].descriptor.digest));
    server_stop(&s);
}

static void long_poll_answers_when_the_tag_moves(void **state)
{
    struct fixture *f = *state;
    struct server s;
    CLEANUP(text) char *dir = fs_join(f->dir, "server");
    CLEANUP(layout) struct layout *there = open_fresh(f, "server");
    CLEANUP(buf) struct buf bytes = BUF_INIT(1 << 20);
    struct descriptor one = make_image(there, "apps/x", 10), two = make_image(there, "apps/y", 20),
                      got;
    struct registry_ask ask = {
        .repository = "apps/x", .reference = "1.0", .wait_s = 60, .if_none_match = one.digest.text};
    bool changed = true;

    server_start(&s, dir, OPEN_TO_PULL);
    CLEANUP(registry_client) struct registry_client *client = client_of(&s, NULL);
    ask.wait_s = 1;
    int64_t before = clock_monotonic_ms();
    OK(registry_get_manifest(client, &ask, &bytes, &got, &changed, &err));
    assert_false(changed);
    assert_true(clock_monotonic_ms() - before >= 900);
    ask.wait_s = 60;
    pid_t pid = fork();
    if (pid == 0) { /* moves another tag first, then the one that is waited for */
        struct error err = ERROR_INIT;
        struct timespec pause = {.tv_nsec = 300000000};
        nanosleep(&pause, NULL); /* so that the poll is under way; if not, the test still holds */
        _exit(layout_tag(there, "apps/x", "other", &two, &err) < 0 ||
              layout_tag(there, "apps/x", "1.0", &two, &err) < 0);
    }
    before = clock_monotonic_ms();
    OK(registry_get_manifest(client, &ask, &bytes, &got, &changed, &err));
    assert_true(changed);
    assert_string_equal(got.digest.text, two.digest.text);
    assert_true(clock_monotonic_ms() - before < 30000);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    /* A tag that does not exist yet is waited for as well. */
    pid = fork();
    if (pid == 0) {
        struct error err = ERROR_INIT;
        struct timespec pause = {.tv_nsec = 200000000};
        nanosleep(&pause, NULL);
        _exit(layout_tag(there, "apps/new", "first", &two, &err) < 0);
    }
    ask = (struct registry_ask){.repository = "apps/new", .reference = "first", .wait_s = 60};
    OK(registry_get_manifest(client, &ask, &bytes, &got, &changed, &err));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    server_stop(&s);
}

/* --- the API by hand --- */

struct reply {
    int status;
    char location[300], body[4096], range[64];
};

static struct reply ask(struct http_client *http, const struct server *s, const char *method,
                        const char *path, const char *header, struct str body)
{
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    CLEANUP(text)
    char *url = path[0] == '/' ? str_format("%s%s", s->url, path) : str_dup(str_of(path));
    const char *headers[] = {"Authorization: Bearer s3cret", header, NULL};
    struct http_call call = {.method = method, .url = url, .headers = headers, .body = body};
    struct reply reply = {0};

    OK(http_client_call(http, &call, &answer, &err));
    reply.status = answer.status;
    const char *location = http_answer_header(&answer, "location");
    const char *range = http_answer_header(&answer, "range");
    snprintf(reply.location, sizeof(reply.location), "%s", location ? location : "");
    snprintf(reply.range, sizeof(reply.range), "%s", range ? range : "");
    snprintf(reply.body, sizeof(reply.body), "%s", buf_text(&answer.body));
    return reply;
}

static void uploads_follow_the_specification(void **state)
{
    struct fixture *f = *state;
    struct server s;
    CLEANUP(text) char *dir = fs_join(f->dir, "server");
    CLEANUP(http_client) struct http_client *http = NULL;
    struct digest hello = digest_of(STR("hello"));
    struct http_client_options options = {0};
    char path[400], blob[300];

    OK(http_client_new(&options, &http, &err));
    server_start(&s, dir, OPEN_TO_PULL);
    snprintf(blob, sizeof(blob), "/v2/a/b/blobs/%s", hello.text);
    assert_int_equal(ask(http, &s, "GET", "/v2/", NULL, STR_NONE).status, 200);
    assert_int_equal(ask(http, &s, "GET", blob, NULL, STR_NONE).status, 404);
    struct reply r = ask(http, &s, "POST", "/v2/a/b/blobs/uploads/", NULL, STR(""));
    assert_int_equal(r.status, 202);
    char session[300];
    snprintf(session, sizeof(session), "%s", r.location);
    r = ask(http, &s, "PATCH", session, "Content-Range: 0-2", STR("hel"));
    assert_int_equal(r.status, 202);
    assert_string_equal(r.range, "0-2");
    assert_int_equal(ask(http, &s, "PATCH", session, "Content-Range: 0-2", STR("hel")).status, 416);
    assert_int_equal(ask(http, &s, "PATCH", session, "Content-Range: 9-9", STR("x")).status, 416);
    r = ask(http, &s, "GET", session, NULL, STR_NONE);
    assert_int_equal(r.status, 204);
    assert_string_equal(r.range, "0-2");
    snprintf(path, sizeof(path), "%s?digest=%s", session, hello.text);
    r = ask(http, &s, "PUT", path, NULL, STR("lo"));
    assert_int_equal(r.status, 201);
    assert_string_equal(r.location, blob);
    assert_int_equal(ask(http, &s, "PUT", path, NULL, STR("lo")).status, 404);
    r = ask(http, &s, "GET", blob, NULL, STR_NONE);
    assert_string_equal(r.body, "hello");
    r = ask(http, &s, "GET", blob, "Range: bytes=1-3", STR_NONE);
    assert_int_equal(r.status, 206);
    assert_string_equal(r.body, "ell");
    r = ask(http, &s, "GET", blob, "Range: bytes=-2", STR_NONE);
    assert_string_equal(r.body, "lo");
    assert_int_equal(ask(http, &s, "GET", blob, "Range: bytes=5-", STR_NONE).status, 416);
    r = ask(http, &s, "GET", blob, "Range: bytes=x", STR_NONE);
    assert_int_equal(r.status, 200);
    assert_int_equal(ask(http, &s, "HEAD", blob, NULL, STR_NONE).status, 200);
    /* Wrong digest, mount, cancel. */
    struct digest other = digest_of(STR("other"));
    snprintf(path, sizeof(path), "/v2/a/b/blobs/uploads/?digest=%s", other.text);
    r = ask(http, &s, "POST", path, NULL, STR("hello"));
    assert_int_equal(r.status, 400);
    assert_non_null(strstr(r.body, "\"DIGEST_INVALID\""));
    snprintf(path, sizeof(path), "/v2/c/blobs/uploads/?mount=%s&from=a/b", hello.text);
    assert_int_equal(ask(http, &s, "POST", path, NULL, STR("")).status, 201);
    r = ask(http, &s, "POST", "/v2/c/blobs/uploads/", NULL, STR(""));
    assert_int_equal(ask(http, &s, "DELETE", r.location, NULL, STR_NONE).status, 204);
    assert_int_equal(ask(http, &s, "GET", r.location, NULL, STR_NONE).status, 404);
    assert_int_equal(ask(http, &s, "DELETE", blob, NULL, STR_NONE).status, 202);
    assert_int_equal(ask(http, &s, "GET", blob, NULL, STR_NONE).status, 404);
    server_stop(&s);
}

static void wrong_calls_have_codes(void **state)
{
    static const struct {
        const char *method, *path;
        int status;
        const char *code;
    } cases[] = {
        {"GET", "/v2/Bad/tags/list", 400, "NAME_INVALID"},
        {"GET", "/v2/a/tags/list", 404, "NAME_UNKNOWN"},
        {"GET", "/v2/a/manifests/none", 404, "MANIFEST_UNKNOWN"},
        {"GET", "/v2/a/manifests/-x", 400, "MANIFEST_INVALID"},
        {"GET", "/v2/a/blobs/sha256:12", 400, "DIGEST_INVALID"},
        {"GET", "/v2/a//b/tags/list", 400, "NAME_INVALID"},
        {"GET", "/v2/a/nonsense/x", 404, "UNSUPPORTED"},
        {"POST", "/v2/a/manifests/x", 405, "UNSUPPORTED"},
        {"PUT", "/v2/a/manifests/x", 400, "MANIFEST_INVALID"},
        {"PATCH", "/v2/a/blobs/uploads/nobody", 404, "BLOB_UPLOAD_UNKNOWN"},
        {"GET", "/v2/a/referrers/x", 400, "DIGEST_INVALID"},
    };
    struct fixture *f = *state;
    struct server s;
    CLEANUP(text) char *dir = fs_join(f->dir, "server");
    CLEANUP(http_client) struct http_client *http = NULL;
    struct http_client_options options = {0};

    OK(http_client_new(&options, &http, &err));
    server_start(&s, dir, OPEN_TO_PULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bool has_body = strcmp(cases[i].method, "GET") != 0;
        struct reply r =
            ask(http, &s, cases[i].method, cases[i].path, NULL, has_body ? STR("{}") : STR_NONE);
        if (r.status != cases[i].status || !strstr(r.body, cases[i].code))
            fail_msg("%s %s: %d %s", cases[i].method, cases[i].path, r.status, r.body);
    }
    struct digest absent = digest_of(STR("absent"));
    CLEANUP(text)
    char *body = str_format("{\"schemaVersion\":2,\"mediaType\":\"" OCI_MANIFEST
                            "\",\"config\":{\"mediaType\":\"x/y\","
                            "\"digest\":\"%s\",\"size\":6},\"layers\":[]}",
                            absent.text);
    struct reply r =
        ask(http, &s, "PUT", "/v2/a/manifests/x", "Content-Type: " OCI_MANIFEST, str_of(body));
    assert_int_equal(r.status, 400);
    assert_non_null(strstr(r.body, "MANIFEST_BLOB_UNKNOWN"));
    server_stop(&s);
}

static void full_disk_is_said_and_leaves_the_registry_whole(void **state)
{
    enum { BIG = 3 << 20 };
    struct fixture *f = *state;
    struct server s;
    CLEANUP(text) char *dir = fs_join(f->dir, "small");
    CLEANUP(text) char *bytes = calloc(1, BIG);
    CLEANUP(http_client) struct http_client *http = NULL;
    struct http_client_options options = {0};
    struct digest big = digest_of(str_slice(bytes, BIG)), small = digest_of(STR("small"));
    char path[300];

    OK(fs_make_dirs(AT_FDCWD, dir, 0755, &err));
    if (mount("tmpfs", dir, "tmpfs", 0, "size=1m") < 0)
        skip();
    OK(http_client_new(&options, &http, &err));
    server_start(&s, dir, OPEN_TO_PULL);
    snprintf(path, sizeof(path), "/v2/a/blobs/uploads/?digest=%s", big.text);
    struct reply r = ask(http, &s, "POST", path, NULL, str_slice(bytes, BIG));
    assert_int_equal(r.status, 507);
    assert_non_null(strstr(r.body, "is full"));
    snprintf(path, sizeof(path), "/v2/a/blobs/uploads/?digest=%s", small.text);
    assert_int_equal(ask(http, &s, "POST", path, NULL, STR("small")).status, 201);
    server_stop(&s);
    assert_int_equal(umount2(dir, MNT_DETACH), 0);
}

/* --- other people's programs --- */

static bool has_program(const char *path)
{
    if (access(path, X_OK) == 0)
        return true;
    print_message("skipped: %s is not installed\n", path);
    return false;
}

static void skopeo_pushes_and_pulls(void **state)
{
    struct fixture *f = *state;
    struct server s;
    CLEANUP(text) char *dir = fs_join(f->dir, "server");
    CLEANUP(text) char *from = str_format("oci:%s/store:mine/x:1.0", f->dir);
    CLEANUP(text) char *out = str_format("oci:%s/out:1.0", f->dir);
    CLEANUP(text) char *out_dir = fs_join(f->dir, "out");
    CLEANUP(layout) struct layout *out_layout = NULL;
    struct descriptor image = make_image(f->layout, "mine/x", 3 << 20), got;

    if (!has_program("/usr/bin/skopeo"))
        skip();
    server_start(&s, dir, NEEDS_TOKEN);
    CLEANUP(text) char *remote = str_format("docker://%s/apps/x:1.0", s.host);
    OK(PROC_RUN(NULL, RUN_TIMEOUT_MS, &err, "skopeo", "copy", "--dest-tls-verify=false",
                "--dest-creds=any:s3cret", from, remote));
    OK(PROC_RUN(NULL, RUN_TIMEOUT_MS, &err, "skopeo", "copy", "--src-tls-verify=false",
                "--src-creds=any:s3cret", remote, out));
    OK(layout_open(out_dir, 0, &out_layout, &err));
    OK(layout_resolve(out_layout, "", "1.0", &got, &err));
    assert_string_equal(got.digest.text, image.digest.text);
    CLEANUP(text) char *again = str_format("oci:%s:apps/again:2", s.dir);
    OK(PROC_RUN(NULL, RUN_TIMEOUT_MS, &err, "skopeo", "copy", from,
                again)); /* into our layout directly */
    CLEANUP(registry_client) struct registry_client *client = client_of(&s, token);
    struct registry_ask question = {.repository = "apps/again", .reference = "2"};
    CLEANUP(buf) struct buf bytes = BUF_INIT(1 << 20);
    bool changed;
    OK(registry_get_manifest(client, &question, &bytes, &got, &changed, &err));
    assert_string_equal(got.digest.text, image.digest.text);
    server_stop(&s);
}

static void docker_registry_takes_and_gives_with_the_fallback_tag(void **state)
{
    struct fixture *f = *state;
    struct server s = {0};
    CLEANUP(text) char *config = fs_join(f->dir, "registry.yml");
    CLEANUP(text) char *data = fs_join(f->dir, "registry");
    CLEANUP(layout) struct layout *back = open_fresh(f, "back");
    struct registry_copy copy = {.repository = "apps/x",
                                 .reference = "1.0",
                                 .local_repository = "mine/x",
                                 .flags = REGISTRY_REFERRERS | REGISTRY_COSIGN_TAGS};
    struct descriptor image = make_image(f->layout, "mine/x", 20 << 20), got;
    uint16_t port;
    int fd;

    if (!has_program("/usr/bin/docker-registry"))
        skip();
    OK(io_listen_tcp("127.0.0.1", 0, -1, &fd, &port, &err));
    close(fd); /* a port that was free a moment ago */
    CLEANUP(text)
    char *text =
        str_format("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: "
                   "'%s'}}\nhttp: {addr: '127.0.0.1:%d'}\n",
                   data, port);
    OK(fs_write_quick(AT_FDCWD, config, str_of(text), 0644, &err));
    struct proc_options options = PROC_OPTIONS_INIT;
    options.argv = (const char *const[]){"docker-registry", "serve", config, NULL};
    options.die_with_parent = true;
    OK(proc_start(&options, &s.pid, &err));
    snprintf(s.host, sizeof(s.host), "127.0.0.1:%d", port);
    snprintf(s.url, sizeof(s.url), "http://127.0.0.1:%d", port);
    struct registry_client_options client_options = {
        .host = s.host, .base_url = s.url, .attempts = 8};
    CLEANUP(registry_client) struct registry_client *client = NULL;
    OK(registry_client_new(&client_options, &client, &err)); /* new attempts until it listens */
    OK(registry_push(client, &copy, f->layout, &got, &err));
    copy.local_repository = NULL;
    OK(registry_pull(client, &copy, back, &got, &err));
    check_image(back, "apps/x", &image);
    proc_stop(s.pid, 5000);
}

static void challenges_are_understood(void **state)
{
    static const struct {
        const char *header;
        int scheme;
        const char *url;
    } cases[] = {
        {"Bearer realm=\"https://a/t\",service=\"s s\",scope=\"repository:x:pull,push repository:y:pull\"",
         CHALLENGE_BEARER,
         "https://a/t?service=s%20s&scope=repository%3Ax%3Apull%2Cpush&scope=repository%3Ay%3Apull"},
        {"Basic realm=\"x\"", CHALLENGE_BASIC, NULL},
        {"Basic realm=\"x\", bearer realm=\"http://b?q=1\"", CHALLENGE_BEARER,
         "http://b?q=1&service="},
        {"Negotiate abc==, Bearer realm=\"file:///etc\"", CHALLENGE_BEARER, NULL},
        {"", CHALLENGE_NONE, NULL},
        {"====,\"\"\\", CHALLENGE_NONE, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(registry_challenge) struct registry_challenge c = {0};
        CLEANUP(text) char *url = NULL;
        struct error failed = ERROR_INIT;
        OK(registry_challenge_parse(str_of(cases[i].header), &c, &err));
        assert_int_equal(c.scheme, cases[i].scheme);
        if (cases[i].url) {
            OK(registry_challenge_url(&c, &url, &err));
            assert_string_equal(url, cases[i].url);
        } else {
            assert_int_equal(registry_challenge_url(&c, &url, &failed), -1);
        }
    }
}

static void docker_config_gives_credentials_by_host(void **state)
{
    CLEANUP(json)
    json_t *config = json_pack("{s:{s:{s:s}, s:{s:s, s:s}, s:{s:s}}}", "auths",
                               "https://index.example/v1/", "auth", "dTpwOnE=", "10.0.0.1:5000",
                               "username", "me", "password", "pw", "bad.example", "auth", "***");
    char *user = NULL, *password = NULL;

    OK(registry_docker_credentials(config, "index.example", &user, &password, &err));
    assert_string_equal(user, "u");
    assert_string_equal(password, "p:q");
    free(user);
    free(password);
    OK(registry_docker_credentials(config, "10.0.0.1:5000", &user, &password, &err));
    assert_string_equal(user, "me");
    free(user);
    free(password);
    FAILS(registry_docker_credentials(config, "bad.example", &user, &password, &err), ERR_INVALID);
    FAILS(registry_docker_credentials(config, "10.0.0.1", &user, &password, &err), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(image_goes_up_and_comes_down_with_all_that_refers_to_it),
        TEST(push_without_the_token_is_denied),
        TEST(token_is_fetched_and_passing_failures_are_tried_again),
        TEST(damaged_blob_is_not_taken),
        TEST(long_poll_answers_when_the_tag_moves),
        TEST(uploads_follow_the_specification),
        TEST(wrong_calls_have_codes),
        TEST(full_disk_is_said_and_leaves_the_registry_whole),
        TEST(skopeo_pushes_and_pulls),
        TEST(docker_registry_takes_and_gives_with_the_fallback_tag),
        cmocka_unit_test(challenges_are_understood),
        cmocka_unit_test(docker_config_gives_credentials_by_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
