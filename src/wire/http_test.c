/* wire/http_test.c - server and client on one loop, over loopback; blocking calls from a child
 * process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "wire/http_client.h"
#include "wire/http_server.h"
#include "wire/tls.h"

enum { EVENTS = 1000, DEADLINE_MS = 20 * 1000, BODY_MAX = 1 << 20, PENDING_MAX = 64 << 10 };

struct world {
    struct loop *loop;
    struct http_server *server;
    struct http_client *client;
    struct tls_pair ca, leaf, user, stranger_ca, stranger;
    uint16_t port;
    struct http_stream *stream;   /* the one that is open */
    struct http_request *waiting; /* answered later */
    int64_t written_us;           /* when the newest event was written */
    int events;
    int gone;
};

struct answer {
    struct http_flow *flow;
    struct buf body;
    int status;
    int events;
    int64_t slowest_us;
    bool ended;
    struct world *world;
    struct error err;
    char type[64];
    int remove_at; /* events after which the client goes away; 0: never */
};

static void fail_if(int result, const struct error *err)
{
    if (result < 0)
        fail_msg("%s", err->text);
}

static void on_gone(struct http_stream *stream, void *ctx)
{
    struct world *w = ctx;

    w->gone++;
    w->stream = NULL;
}

static void write_event(struct world *w)
{
    char line[32];

    (void)snprintf(line, sizeof line, "%d\n", w->events++); /* fits */
    w->written_us = clock_monotonic_us();
    http_stream_write(w->stream, str_of(line));
}

static void answer_who(struct http_request *req)
{
    char cn[64];
    CLEANUP(strv) struct strv groups = STRV_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT(1024);

    if (!http_request_client_cert(req, cn, sizeof cn, &groups)) {
        http_respond(req, 401, NULL, STR("nobody"));
        return;
    }
    buf_addf(&text, "%s of %s", cn, groups.count ? groups.items[0] : "none");
    http_respond(req, 200, NULL, buf_str(&text));
}

static void answer_echo(struct http_request *req)
{
    CLEANUP(buf) struct buf text = BUF_INIT(BODY_MAX * 2);
    CLEANUP(strv) struct strv all = STRV_INIT;
    const char *header = http_request_header(req, "x-test");
    const char *query = http_request_query(req, "a");

    http_request_query_all(req, "a", &all);
    buf_addf(&text, "%s|%s|%s|%s|%zu|%s|", http_request_method(req), http_request_path(req),
             http_request_raw_path(req), query ? query : "-", all.count, header ? header : "-");
    buf_add_str(&text, http_request_body(req));
    const struct http_header headers[] = {{"Content-Type", "text/plain"}, {"X-Test", "yes"}, {0}};
    http_respond(req, 201, headers, buf_str(&text));
}

static void on_request(struct http_request *req, void *ctx)
{
    struct world *w = ctx;
    const char *path = http_request_path(req);

    if (strcmp(path, "/who") == 0) {
        answer_who(req);
    } else if (strcmp(path, "/watch") == 0) {
        w->events = 0;
        w->stream = http_respond_stream(req, 200, NULL, PENDING_MAX, on_gone, w);
        write_event(w);
    } else if (strcmp(path, "/later") == 0) {
        w->waiting = req;
    } else if (strcmp(path, "/redirect") == 0) {
        const struct http_header headers[] = {{"Location", "/json"}, {0}};
        http_respond(req, 302, headers, STR("elsewhere"));
    } else if (strcmp(path, "/json") == 0) {
        http_respond_json(req, 200, "{\"a\":1}");
    } else if (strcmp(path, "/file") == 0) {
        int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        http_respond_file(req, 200, NULL, fd, 1, 3);
    } else {
        answer_echo(req);
    }
}

static void start_server(struct world *w, bool tls)
{
    struct error err = ERROR_INIT;
    struct http_server_options options = {.body_max = BODY_MAX};
    static const char *const names[] = {"localhost", "127.0.0.1", NULL};
    const struct tls_leaf_options server = {"server", NULL, names, true};
    const struct tls_leaf_options user = {"admin", "system:masters", NULL, false};

    fail_if(io_listen_tcp("127.0.0.1", 0, -1, &options.listen_fd, &w->port, &err), &err);
    if (tls) {
        fail_if(tls_make_ca("test CA", &w->ca, &err), &err);
        fail_if(tls_make_ca("another CA", &w->stranger_ca, &err), &err);
        fail_if(tls_issue(&w->ca, &server, &w->leaf, &err), &err);
        fail_if(tls_issue(&w->ca, &user, &w->user, &err), &err);
        fail_if(tls_issue(&w->stranger_ca, &user, &w->stranger, &err), &err);
        options.cert_pem = w->leaf.cert_pem;
        options.key_pem = w->leaf.key_pem;
        options.client_ca_pem = w->ca.cert_pem;
    }
    fail_if(http_server_new(w->loop, &options, on_request, w, &w->server, &err), &err);
}

static void use_client(struct world *w, const struct http_client_options *options)
{
    struct error err = ERROR_INIT;

    http_client_free(TAKE(w->client));
    fail_if(http_client_new(options, &w->client, &err), &err);
}

static struct world *world_new(bool tls)
{
    struct world *w = calloc(1, sizeof *w);
    struct error err = ERROR_INIT;
    struct http_client_options options = {0};

    assert_non_null(w);
    fail_if(loop_new(&w->loop, &err), &err);
    start_server(w, tls);
    options.ca_pem = w->ca.cert_pem;
    options.client_cert_pem = w->user.cert_pem;
    options.client_key_pem = w->user.key_pem;
    use_client(w, &options);
    return w;
}

static void world_free(struct world *w)
{
    http_client_free(w->client);
    http_server_free(w->server);
    loop_free(w->loop);
    tls_pair_done(&w->ca);
    tls_pair_done(&w->leaf);
    tls_pair_done(&w->user);
    tls_pair_done(&w->stranger_ca);
    tls_pair_done(&w->stranger);
    free(w);
}
DEFINE_CLEANUP(world, struct world *, world_free)

static void answer_done(struct answer *answer)
{
    buf_done(&answer->body);
}
DEFINE_CLEANUP_VALUE(answer, struct answer, answer_done)

static void on_bytes(struct http_flow *flow, struct str bytes, void *ctx)
{
    struct answer *answer = ctx;
    int64_t took_us = clock_monotonic_us() - answer->world->written_us;

    buf_add_str(&answer->body, bytes);
    if (!answer->world->stream)
        return;
    for (size_t i = 0; i < bytes.len; i++)
        answer->events += bytes.ptr[i] == '\n';
    if (took_us > answer->slowest_us)
        answer->slowest_us = took_us;
    if (answer->remove_at && answer->events >= answer->remove_at) {
        http_flow_remove(flow);
        answer->flow = NULL;
    } else if (answer->events == answer->world->events && answer->events < EVENTS) {
        write_event(answer->world); /* the next one only once this one is there */
    } else if (answer->events == EVENTS) {
        http_stream_end(TAKE(answer->world->stream));
    }
}

static void on_end(struct http_flow *flow, const struct error *err, void *ctx)
{
    struct answer *answer = ctx;
    const char *type = http_flow_header(flow, "content-type");

    answer->status = http_flow_status(flow);
    answer->ended = true;
    answer->flow = NULL;
    if (err)
        answer->err = *err;
    (void)snprintf(answer->type, sizeof answer->type, "%s", type ? type : ""); /* cut to fit */
}

static void start_call(struct world *w, struct answer *answer, const char *path,
                       struct http_call call)
{
    struct error err = ERROR_INIT;
    CLEANUP(text)
    char *url = str_format("%s://localhost:%u%s", w->ca.cert_pem ? "https" : "http", w->port, path);

    *answer =
        (struct answer){.body = BUF_INIT(8 << 20), .world = w, .remove_at = answer->remove_at};
    call.url = url;
    fail_if(
        http_client_flow(w->client, w->loop, &call, on_bytes, on_end, answer, &answer->flow, &err),
        &err);
}

static void turn_until(struct world *w, const bool *flag)
{
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    struct error err = ERROR_INIT;

    while (!*flag) {
        if (clock_monotonic_ms() > deadline_ms)
            fail_msg("nothing happened within %d ms", DEADLINE_MS);
        fail_if(loop_turn(w->loop, 100, &err), &err);
    }
}

static void call(struct world *w, struct answer *answer, const char *path, struct http_call options)
{
    start_call(w, answer, path, options);
    turn_until(w, &answer->ended);
}

static void request_reaches_handler_with_all_its_parts(void **state)
{
    CLEANUP(world) struct world *w = world_new(false);
    CLEANUP(answer) struct answer answer = {0};
    const char *headers[] = {"X-Test: blue", NULL};

    call(w, &answer, "/a%2Fb/c%20d?a=1%2B1&b=2&a=x+y",
         (struct http_call){.method = "PUT", .headers = headers, .body = STR("hello")});
    assert_int_equal(answer.status, 201);
    assert_string_equal(buf_text(&answer.body), "PUT|/a/b/c d|/a%2Fb/c%20d|1+1|2|blue|hello");
    assert_string_equal(answer.type, "text/plain");
}

static void malformed_escape_is_400(void **state)
{
    CLEANUP(world) struct world *w = world_new(false);
    CLEANUP(answer) struct answer answer = {0};

    call(w, &answer, "/a%zz", (struct http_call){0});
    assert_int_equal(answer.status, 400);
    answer_done(&answer);
    call(w, &answer, "/a?b=%00", (struct http_call){0});
    assert_int_equal(answer.status, 400);
}

static void body_beyond_its_limit_is_413(void **state)
{
    CLEANUP(world) struct world *w = world_new(false);
    CLEANUP(answer) struct answer answer = {0};
    CLEANUP(buf) struct buf body = BUF_INIT(BODY_MAX + 100);
    const char *chunked[] = {"Transfer-Encoding: chunked", NULL};

    memset(buf_room(&body, BODY_MAX + 1), 'x', BODY_MAX + 1);
    buf_grew(&body, BODY_MAX + 1);
    call(w, &answer, "/echo", (struct http_call){.body = buf_str(&body)});
    assert_int_equal(answer.status, 413);
    answer_done(&answer);
    call(w, &answer, "/echo", (struct http_call){.body = buf_str(&body), .headers = chunked});
    assert_int_equal(answer.status, 413);
    answer_done(&answer);
    call(w, &answer, "/echo", (struct http_call){.body = str_first(buf_str(&body), BODY_MAX)});
    assert_int_equal(answer.status, 201);
    assert_true(answer.body.len > BODY_MAX);
}

static void file_is_sent_from_its_offset(void **state)
{
    CLEANUP(world) struct world *w = world_new(false);
    CLEANUP(answer) struct answer answer = {0};

    call(w, &answer, "/file", (struct http_call){0});
    assert_int_equal(answer.status, 200);
    assert_string_equal(buf_text(&answer.body), "ELF");
    answer_done(&answer);
    call(w, &answer, "/file", (struct http_call){.method = "HEAD"});
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body.len, 0);
}

static void redirect_is_followed_unless_told_not_to(void **state)
{
    CLEANUP(world) struct world *w = world_new(false);
    CLEANUP(answer) struct answer answer = {0};

    call(w, &answer, "/redirect", (struct http_call){0});
    assert_int_equal(answer.status, 200);
    assert_string_equal(buf_text(&answer.body), "{\"a\":1}");
    assert_string_equal(answer.type, "application/json");
    answer_done(&answer);
    call(w, &answer, "/redirect", (struct http_call){.no_redirects = true});
    assert_int_equal(answer.status, 302);
    assert_string_equal(buf_text(&answer.body), "elsewhere");
}

static void answer_may_come_later(void **state)
{
    CLEANUP(world) struct world *w = world_new(false);
    CLEANUP(answer) struct answer answer = {0}, other = {0};

    start_call(w, &answer, "/later", (struct http_call){0});
    call(w, &other, "/json", (struct http_call){0}); /* others are served meanwhile */
    assert_int_equal(other.status, 200);
    assert_non_null(w->waiting);
    assert_false(answer.ended);
    http_respond_json(w->waiting, 202, "{}");
    turn_until(w, &answer.ended);
    assert_int_equal(answer.status, 202);
}

static void server_can_be_freed_with_requests_open(void **state)
{
    CLEANUP(world) struct world *w = world_new(false);
    CLEANUP(answer) struct answer later = {0}, watch = {.remove_at = 0};

    start_call(w, &later, "/later", (struct http_call){0});
    start_call(w, &watch, "/watch", (struct http_call){0});
    while (!w->waiting || watch.events < 10) {
        struct error err = ERROR_INIT;
        fail_if(loop_turn(w->loop, 100, &err), &err);
    }
    http_server_free(TAKE(w->server));
    assert_int_equal(w->gone, 1);
    turn_until(w, &watch.ended);
    turn_until(w, &later.ended);
    assert_int_equal(later.err.kind, ERR_UNAVAILABLE);
}

/* Each event is written only once the one before has arrived, so a delay anywhere would add up. */
static void stream_of_events(bool tls)
{
    CLEANUP(world) struct world *w = world_new(tls);
    CLEANUP(answer) struct answer answer = {0};
    int64_t started_us = clock_monotonic_us();

    call(w, &answer, "/watch", (struct http_call){.timeout_ms = -1});
    int64_t took_us = clock_monotonic_us() - started_us;
    assert_int_equal(answer.err.kind, ERR_NONE);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.events, EVENTS);
    assert_int_equal(w->gone, 0);
    print_message("%d events, %lld us each, slowest %lld us\n", EVENTS, (long long)took_us / EVENTS,
                  (long long)answer.slowest_us);
    assert_true(took_us / EVENTS < 20000); /* a delayed acknowledgement takes 40 ms */
}

static void thousand_events_arrive_one_by_one(void **state)
{
    stream_of_events(false);
}

static void thousand_events_arrive_one_by_one_over_tls(void **state)
{
    stream_of_events(true);
}

static void stream_hears_that_its_client_went_away(void **state)
{
    for (int tls = 0; tls < 2; tls++) {
        CLEANUP(world) struct world *w = world_new(tls);
        CLEANUP(answer) struct answer answer = {.remove_at = 10}, after = {0};
        start_call(w, &answer, "/watch", (struct http_call){.timeout_ms = -1});
        int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
        while (w->gone == 0) {
            struct error err = ERROR_INIT;
            assert_true(clock_monotonic_ms() < deadline_ms);
            fail_if(loop_turn(w->loop, 100, &err), &err);
        }
        assert_false(answer.ended);
        assert_int_equal(answer.events, 10);
        call(w, &after, "/json", (struct http_call){0});
        assert_int_equal(after.status, 200);
        assert_int_equal(w->gone, 1);
    }
}

/* With a stream and a kept connection open and nothing to do, the loop sleeps. */
static void idle_server_and_client_do_not_spin(void **state)
{
    for (int tls = 0; tls < 2; tls++) {
        CLEANUP(world) struct world *w = world_new(tls);
        CLEANUP(answer) struct answer watch = {0}, other = {0};
        struct error err = ERROR_INIT;
        start_call(w, &watch, "/later", (struct http_call){.timeout_ms = -1});
        call(w, &other, "/json", (struct http_call){0});
        int64_t until_ms = clock_monotonic_ms() + 300;
        int turns = 0;
        while (clock_monotonic_ms() < until_ms) {
            fail_if(loop_turn(w->loop, (int)(until_ms - clock_monotonic_ms()), &err), &err);
            turns++;
        }
        assert_true(turns < 30);
        http_respond_json(w->waiting, 200, "{}");
        turn_until(w, &watch.ended);
        assert_int_equal(watch.status, 200);
    }
}

/* A client that does not read: its socket fills, then `pending`, then it is cut off. */
static void slow_reader_is_cut_off(void **state)
{
    CLEANUP(world) struct world *w = world_new(false);
    CLEANUP(fd) int fd = -1;
    CLEANUP(buf) struct buf line = BUF_INIT(8192);
    struct error err = ERROR_INIT;
    static const char request[] = "GET /watch HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int64_t deadline_ms = clock_monotonic_ms() + DEADLINE_MS;
    size_t most = 0;

    fail_if(io_connect_tcp("127.0.0.1", w->port, 1000, -1, &fd, &err), &err);
    fail_if(io_write(fd, request, sizeof request - 1, &err), &err);
    memset(buf_room(&line, 4096), 'x', 4096);
    buf_grew(&line, 4096);
    while (w->gone == 0) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        fail_if(loop_turn(w->loop, w->stream ? 0 : 100, &err), &err);
        if (!w->stream)
            continue;
        http_stream_write(w->stream, buf_str(&line));
        if (http_stream_pending(w->stream) > most)
            most = http_stream_pending(w->stream);
    }
    assert_true(most <= PENDING_MAX);
    assert_true(most > PENDING_MAX / 2);
}

static void client_certificate_tells_who_asks(void **state)
{
    CLEANUP(world) struct world *w = world_new(true);
    CLEANUP(answer) struct answer answer = {0};

    call(w, &answer, "/who", (struct http_call){0});
    assert_string_equal(buf_text(&answer.body), "admin of system:masters");
    answer_done(&answer);

    use_client(w, &(struct http_client_options){.ca_pem = w->ca.cert_pem});
    call(w, &answer, "/who", (struct http_call){0});
    assert_int_equal(answer.status, 401);
    answer_done(&answer);

    use_client(w, &(struct http_client_options){.ca_pem = w->ca.cert_pem,
                                                .client_cert_pem = w->stranger.cert_pem,
                                                .client_key_pem = w->stranger.key_pem});
    call(w, &answer, "/who", (struct http_call){0});
    assert_int_not_equal(answer.status, 200); /* 401, or no certificate is sent at all */
    answer_done(&answer);

    /* A server's certificate is no client's, though of the same CA. */
    use_client(w, &(struct http_client_options){.ca_pem = w->ca.cert_pem,
                                                .client_cert_pem = w->leaf.cert_pem,
                                                .client_key_pem = w->leaf.key_pem});
    call(w, &answer, "/who", (struct http_call){0});
    assert_int_equal(answer.status, 401);
}

static void server_of_another_ca_is_untrusted(void **state)
{
    CLEANUP(world) struct world *w = world_new(true);
    CLEANUP(answer) struct answer answer = {0};

    use_client(w, &(struct http_client_options){.ca_pem = w->stranger_ca.cert_pem});
    call(w, &answer, "/json", (struct http_call){0});
    assert_int_equal(answer.err.kind, ERR_UNTRUSTED);
    answer_done(&answer);
    use_client(w, &(struct http_client_options){.insecure = true});
    call(w, &answer, "/json", (struct http_call){0});
    assert_int_equal(answer.status, 200);
}

static void nobody_listening_is_unavailable(void **state)
{
    CLEANUP(world) struct world *w = world_new(false);
    CLEANUP(answer) struct answer answer = {0};

    http_server_free(TAKE(w->server));
    call(w, &answer, "/json", (struct http_call){0});
    assert_int_equal(answer.err.kind, ERR_UNAVAILABLE);
}

static void silent_server_is_a_timeout(void **state)
{
    CLEANUP(world) struct world *w = world_new(false);
    CLEANUP(answer) struct answer answer = {0};

    call(w, &answer, "/later", (struct http_call){.timeout_ms = 100});
    assert_int_equal(answer.err.kind, ERR_TIMEOUT);
    http_respond_json(w->waiting, 200, "{}"); /* swallowed */
    answer_done(&answer);
    call(w, &answer, "/json", (struct http_call){0});
    assert_int_equal(answer.status, 200);
}

static void answer_beyond_its_limit_is_refused(void **state)
{
    CLEANUP(world) struct world *w = world_new(false);
    CLEANUP(answer) struct answer answer = {0};

    call(w, &answer, "/json", (struct http_call){.answer_max = 3});
    assert_int_equal(answer.err.kind, ERR_LIMIT);
}

/* --- blocking calls; the server runs in a child --- */

static pid_t start_child(struct world *w)
{
    pid_t pid = fork();
    struct error err = ERROR_INIT;

    assert_true(pid >= 0);
    if (pid == 0) {
        int result = loop_run(w->loop, &err); /* until the parent kills it */
        _exit(result < 0 ? 1 : 0);
    }
    return pid;
}

static void stop_child(pid_t pid)
{
    int status;

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static int keep_body(struct str bytes, void *ctx, struct error *err)
{
    buf_add_str(ctx, bytes);
    return 0;
}

static int refuse_body(struct str bytes, void *ctx, struct error *err)
{
    return error_set(err, ERR_DENIED, "not this");
}

static void blocking_calls_work_and_reuse_the_connection(void **state)
{
    CLEANUP(world) struct world *w = world_new(true);
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    CLEANUP(text) char *url = str_format("https://localhost:%u/echo?a=b", w->port);
    CLEANUP(text) char *missing = str_format("https://localhost:%u/a%%zz", w->port);
    CLEANUP(buf) struct buf kept = BUF_INIT(1000);
    CLEANUP(fd) int fd = memfd_create("body", MFD_CLOEXEC);
    struct error err = ERROR_INIT;
    pid_t pid = start_child(w);

    assert_int_equal(write(fd, "from a file", 11), 11);
    int failed = http_client_call(w->client, &(struct http_call){.url = url, .body = STR("x")},
                                  &answer, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(failed, 0);
    assert_int_equal(answer.status, 201);
    assert_string_equal(http_answer_header(&answer, "x-test"), "yes");
    assert_null(http_answer_header(&answer, "x"));
    assert_string_equal(buf_text(&answer.body), "POST|/echo|/echo|b|1|-|x");

    int64_t started_us = clock_monotonic_us();
    for (int i = 0; i < 100; i++) {
        fail_if(http_client_call(w->client, &(struct http_call){.url = url}, &answer, &err), &err);
        assert_string_equal(buf_text(&answer.body), "GET|/echo|/echo|b|1|-|");
    }
    print_message("%lld us a call\n", (long long)(clock_monotonic_us() - started_us) / 100);
    fail_if(http_client_call(w->client,
                             &(struct http_call){.url = url,
                                                 .method = "PUT",
                                                 .body_fd = fd,
                                                 .body_fd_size = 11,
                                                 .on_body = keep_body,
                                                 .ctx = &kept},
                             &answer, &err),
            &err);
    assert_string_equal(buf_text(&kept), "PUT|/echo|/echo|b|1|-|from a file");
    assert_int_equal(answer.body.len, 0);

    assert_int_equal(http_client_call(w->client,
                                      &(struct http_call){.url = url, .on_body = refuse_body},
                                      &answer, &err),
                     -1);
    assert_int_equal(err.kind, ERR_DENIED);
    fail_if(http_client_call(w->client, &(struct http_call){.url = missing, .on_body = refuse_body},
                             &answer, &err),
            &err);
    assert_int_equal(answer.status, 400); /* a refusal's body is not taken for the thing itself */
    assert_true(answer.body.len > 0);
    stop_child(pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_reaches_handler_with_all_its_parts),
        cmocka_unit_test(malformed_escape_is_400),
        cmocka_unit_test(body_beyond_its_limit_is_413),
        cmocka_unit_test(file_is_sent_from_its_offset),
        cmocka_unit_test(redirect_is_followed_unless_told_not_to),
        cmocka_unit_test(answer_may_come_later),
        cmocka_unit_test(server_can_be_freed_with_requests_open),
        cmocka_unit_test(thousand_events_arrive_one_by_one),
        cmocka_unit_test(thousand_events_arrive_one_by_one_over_tls),
        cmocka_unit_test(stream_hears_that_its_client_went_away),
        cmocka_unit_test(idle_server_and_client_do_not_spin),
        cmocka_unit_test(slow_reader_is_cut_off),
        cmocka_unit_test(client_certificate_tells_who_asks),
        cmocka_unit_test(server_of_another_ca_is_untrusted),
        cmocka_unit_test(nobody_listening_is_unavailable),
        cmocka_unit_test(silent_server_is_a_timeout),
        cmocka_unit_test(answer_beyond_its_limit_is_refused),
        cmocka_unit_test(blocking_calls_work_and_reuse_the_connection),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as main() does */
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
