/* cluster/node/probe.c - startup, readiness and liveness of a container, by connect, HTTP or a
 * program.
 *
 * Until the first success a startup or readiness probe is tried after 20, 40, 80 … ms up to its
 * period, so that a program is in service as soon as it is ready; failures count only at the pace
 * of periodSeconds, as in Kubernetes. Connections are made from the cluster's namespace: the node's
 * own, which policies always let in. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/node/node_internal.h"

enum {
    PROBE_FIRST_MS = 20,
    PROBE_ANSWER_MAX = 512, /* bytes: the status line is all that counts */
    PROBE_QUIET_MS = 1000,  /* failures so early are no event: the program is only starting */
};

struct probe {
    struct container *container; /* borrowed */
    enum probe_kind kind;
    const char *what; /* "Readiness" */
    json_t *spec;     /* owned */
    int64_t period_ms, timeout_ms;
    int64_t since_ms;     /* monotonic: of the first try */
    int64_t next_fast_ms; /* 0: at the period's pace */
    unsigned counted_failures;
    unsigned successes;
    struct loop_timer *timer; /* the next try, or the time-out of this one */
    struct loop_io *io;
    int fd;            /* -1: none */
    bool is_connected; /* and, for HTTP, the request is sent */
    struct buf answer;
    pid_t pid; /* of an exec probe; 0: none */
};

static void try_now(struct probe *probe);
static void finish_try(struct probe *probe, bool is_success, const char *why);

static void on_next(struct loop *loop, void *ctx)
{
    struct probe *probe = ctx;
    probe->timer = NULL;
    try_now(probe);
}

static void on_timeout(struct loop *loop, void *ctx)
{
    struct probe *probe = ctx;
    probe->timer = NULL;
    finish_try(probe, false, "timeout: no answer in time");
}

static void set_timer(struct probe *probe, int64_t after_ms, loop_timer_fn *fn)
{
    struct error err = ERROR_INIT;

    if (probe->timer)
        loop_timer_remove(TAKE(probe->timer));
    if (loop_add_timer(probe->container->pod->node->loop, after_ms, fn, probe, &probe->timer,
                       &err) < 0)
        log_error("a probe stands still", log_str("container", probe->container->name),
                  log_err(&err));
}

static void end_try(struct probe *probe)
{
    if (probe->timer)
        loop_timer_remove(TAKE(probe->timer));
    loop_io_remove(TAKE(probe->io));
    io_close(&probe->fd);
    if (probe->pid) {
        reaper_forget(probe->container->pod->node->reaper, probe->pid);
        (void)kill(probe->pid, SIGKILL); /* not reaped while the reaper knew it */
        probe->pid = 0;
    }
    buf_clear(&probe->answer);
    probe->is_connected = false;
}

/* --- what a result means --- */

static void on_success(struct probe *probe)
{
    struct container *c = probe->container;
    bool was_started = c->is_started;

    probe->successes++;
    probe->counted_failures = 0;
    if ((int64_t)probe->successes < json_int_at(probe->spec, "successThreshold", 1))
        return;
    probe->next_fast_ms = 0;
    if (probe->kind == PROBE_READINESS) {
        c->is_ready = true;
    } else if (probe->kind == PROBE_STARTUP && !was_started) {
        c->is_started = true;
        c->is_ready = !json_object_get(container_spec(c), "readinessProbe");
    }
}

/* May free the probe: a container that is to be restarted has none. */
static void on_failure(struct probe *probe, const char *why)
{
    struct container *c = probe->container;
    int64_t elapsed_ms = clock_monotonic_ms() - probe->since_ms;
    int64_t threshold = json_int_at(probe->spec, "failureThreshold", 3);
    char text[200];

    probe->successes = 0;
    if (probe->next_fast_ms && elapsed_ms < (int64_t)probe->counted_failures * probe->period_ms)
        return; /* an extra try of ours */
    probe->counted_failures++;
    if (clock_monotonic_ms() - c->started_ms > PROBE_QUIET_MS)
        pod_event(c->pod, "Warning", "Unhealthy", "%s probe failed: %s", probe->what, why);
    if ((int64_t)probe->counted_failures < threshold)
        return;
    if (probe->kind == PROBE_READINESS) {
        c->is_ready = false;
        return;
    }
    (void)snprintf(text, sizeof(text), "Container %.60s failed %s probe, will be restarted",
                   c->name, probe->kind == PROBE_LIVENESS ? "liveness" : "startup");
    container_restart(c, text); /* stops all probes */
}

static void finish_try(struct probe *probe, bool is_success, const char *why)
{
    struct container *c = probe->container;
    struct pod *pod = c->pod;
    bool was_ready = c->is_ready, was_started = c->is_started;
    enum probe_kind kind = probe->kind;

    end_try(probe);
    int64_t next_ms = probe->period_ms;
    if (is_success)
        on_success(probe);
    else
        on_failure(probe, why);
    if (c->probes[kind] != probe)
        return; /* freed by what it found */
    if (probe->next_fast_ms) {
        next_ms = probe->next_fast_ms;
        probe->next_fast_ms = next_ms * 2 < probe->period_ms ? next_ms * 2 : 0;
    }
    if (kind == PROBE_STARTUP && c->is_started) {
        probe_start_all(c); /* the others may begin; this one has done its work */
    } else {
        set_timer(probe, next_ms, on_next);
    }
    if (was_ready != c->is_ready || was_started != c->is_started) {
        pod_save(pod);
        pod_report(pod);
        if (c->is_init)
            pod_step(pod);
    }
}

/* --- how it is tried --- */

static uint16_t port_of(const struct probe *probe, const json_t *port)
{
    const char *name = json_string_value(port);
    uint64_t number = json_is_integer(port) ? (uint64_t)json_integer_value(port) : 0;
    size_t i;
    json_t *item;

    if (name && !str_to_u64(str_of(name), &number)) {
        json_array_foreach(json_object_get(container_spec(probe->container), "ports"), i, item)
        {
            const char *have = json_str_at(item, "name");
            if (have && strcmp(have, name) == 0)
                number = (uint64_t)json_int_at(item, "containerPort", 0);
        }
    }
    return number <= 65535 ? (uint16_t)number : 0;
}

static bool is_plain(const char *text) /* may stand in a request line or header */
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static void send_request(struct probe *probe)
{
    const json_t *http = json_object_get(probe->spec, "httpGet");
    const char *path = json_str_at(http, "path"), *host = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT(64 << 10);
    CLEANUP(buf) struct buf headers = BUF_INIT(32 << 10);
    char address[NET_ADDRESS_SIZE];
    size_t i;
    json_t *item;

    json_array_foreach(json_object_get(http, "httpHeaders"), i, item)
    {
        const char *name = json_str_at(item, "name"), *value = json_str_at(item, "value");
        if (!name || !value || !is_plain(name) || !is_plain(value))
            continue;
        if (strcasecmp(name, "Host") == 0)
            host = value;
        else
            buf_addf(&headers, "%s: %s\r\n", name, value);
    }
    if (!path || !is_plain(path) || strchr(path, ' '))
        path = "/";
    buf_addf(&text, "GET %s%s HTTP/1.1\r\nHost: ", path[0] == '/' ? "" : "/", path);
    if (host)
        buf_add_text(&text, host);
    else
        buf_addf(&text, "%s:%u", pod_address(probe->container->pod, address),
                 port_of(probe, json_object_get(http, "port")));
    buf_addf(&text, "\r\nUser-Agent: kube-probe/1.32\r\nAccept: */*\r\nConnection: close\r\n%s\r\n",
             buf_text(&headers));
    /* a fresh connection takes this much at once; if it does not, no answer comes and the time-out
     * speaks */
    (void)send(probe->fd, buf_text(&text), text.len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void read_answer(struct probe *probe)
{
    char *room = buf_room(&probe->answer, PROBE_ANSWER_MAX / 2);
    ssize_t n = room ? recv(probe->fd, room, PROBE_ANSWER_MAX / 2, MSG_DONTWAIT) : 0;
    uint64_t status = 0;
    char why[100];

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        buf_grew(&probe->answer, (size_t)n);
    struct str text = buf_str(&probe->answer);
    if (text.len < 13 && n > 0)
        return; /* "HTTP/1.1 200 " */
    if (text.len < 12 || !str_starts(text, STR("HTTP/1.")) ||
        !str_to_u64(str_slice(text.ptr + 9, 3), &status)) {
        finish_try(probe, false, "the answer is not HTTP");
        return;
    }
    (void)snprintf(why, sizeof(why), "HTTP probe failed with statuscode: %u", (unsigned)status);
    finish_try(probe, status >= 200 && status < 400, why);
}

static void on_socket(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct probe *probe = ctx;
    struct error err = ERROR_INIT;
    int code = 0;
    socklen_t size = sizeof(code);
    char why[200];

    if (probe->is_connected) {
        read_answer(probe);
        return;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0 || code != 0) {
        (void)snprintf(why, sizeof(why), "connect: %s", strerror(code ? code : errno));
        finish_try(probe, false, why);
        return;
    }
    if (!json_object_get(probe->spec, "httpGet") ||
        strcmp(json_str_at(probe->spec, "httpGet.scheme")
                   ? json_str_at(probe->spec, "httpGet.scheme")
                   : "HTTP",
               "HTTPS") == 0) {
        finish_try(probe, true, ""); /* of HTTPS and gRPC only the connection is tried */
        return;
    }
    probe->is_connected = true;
    send_request(probe);
    if (loop_io_set(probe->io, EPOLLIN, &err) < 0)
        finish_try(probe, false, err.text);
}

static int start_connect(struct probe *probe, uint16_t port, struct error *err)
{
    struct pod *pod = probe->container->pod;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    char address[NET_ADDRESS_SIZE];

    if (inet_pton(AF_INET, pod_address(pod, address), &to.sin_addr) != 1 || port == 0)
        return error_set(err, ERR_INVALID, "the probe names no port");
    if (io_socket_in_netns(pod->node->netns, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                           &probe->fd, err) < 0)
        return -1;
    if (connect(probe->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
        return error_errno(err, "connect");
    return loop_add_io(pod->node->loop, probe->fd, EPOLLOUT, on_socket, probe, &probe->io, err);
}

static void on_program_end(pid_t pid, int status, void *ctx)
{
    struct probe *probe = ctx;
    char why[100];

    probe->pid = 0;
    (void)snprintf(why, sizeof(why), "command exited with status %d",
                   WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    finish_try(probe, WIFEXITED(status) && WEXITSTATUS(status) == 0, why);
}

static int start_program(struct probe *probe, const json_t *command, struct error *err)
{
    struct container *c = probe->container;
    struct node *node = c->pod->node;
    CLEANUP(container_paths) struct container_paths paths = {0};
    CLEANUP(strv) struct strv args = STRV_INIT;
    size_t i;
    json_t *word;

    json_array_foreach((json_t *)command, i, word)
    {
        strv_add(&args, json_string_value(word) ? json_string_value(word) : "");
    }
    if (args.count == 0)
        return error_set(err, ERR_INVALID, "the probe has no command");
    if (strv_ok(&args, err) < 0 || container_paths_of(c, &paths, err) < 0)
        return -1;
    struct container_exec exec = {
        .args = (const char *const *)args.items, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    if (container_exec_start(&(struct container_ref){node->state_dir, paths.dir, paths.id}, &exec,
                             &probe->pid, err) < 0)
        return -1;
    return reaper_watch(node->reaper, probe->pid, on_program_end, probe, err);
}

static void try_now(struct probe *probe)
{
    const json_t *command = json_at(probe->spec, "exec.command"), *port;
    struct error err = ERROR_INIT;
    int failed;

    port = json_at(probe->spec, "httpGet.port");
    if (!port)
        port = json_at(probe->spec, "tcpSocket.port");
    if (!port)
        port = json_at(probe->spec, "grpc.port");
    if (command)
        failed = start_program(probe, command, &err);
    else
        failed = start_connect(probe, port_of(probe, port), &err);
    if (failed < 0)
        finish_try(probe, false, err.text);
    else
        set_timer(probe, probe->timeout_ms, on_timeout);
}

/* --- life --- */

static void probe_free(struct probe *probe)
{
    if (!probe)
        return;
    end_try(probe);
    buf_done(&probe->answer);
    json_decref(probe->spec);
    free(probe);
}

static void start(struct container *c, enum probe_kind kind, const char *key, const char *what)
{
    const json_t *spec = json_object_get(container_spec(c), key);
    struct probe *probe;

    if (!spec || c->probes[kind])
        return;
    probe = calloc(1, sizeof(*probe));
    if (!probe) {
        log_error("a container is not probed: no memory", log_str("container", c->name));
        return;
    }
    *probe = (struct probe){.container = c,
                            .kind = kind,
                            .what = what,
                            .spec = json_incref((json_t *)spec),
                            .period_ms = json_int_at(spec, "periodSeconds", 10) * 1000,
                            .timeout_ms = json_int_at(spec, "timeoutSeconds", 1) * 1000,
                            .fd = -1,
                            .answer = BUF_INIT(PROBE_ANSWER_MAX)};
    int64_t delay_ms = json_int_at(spec, "initialDelaySeconds", 0) * 1000;
    probe->since_ms = clock_monotonic_ms() + delay_ms;
    probe->next_fast_ms = kind == PROBE_LIVENESS ? 0 : PROBE_FIRST_MS;
    c->probes[kind] = probe;
    set_timer(probe, delay_ms, on_next);
}

void probe_start_all(struct container *c)
{
    if (c->phase != CONTAINER_RUNNING || c->is_stopping)
        return;
    if (!c->is_started) {
        start(c, PROBE_STARTUP, "startupProbe", "Startup");
        return;
    }
    probe_free(TAKE(c->probes[PROBE_STARTUP]));
    start(c, PROBE_READINESS, "readinessProbe", "Readiness");
    start(c, PROBE_LIVENESS, "livenessProbe", "Liveness");
}

void probe_stop_all(struct container *c)
{
    for (int i = 0; i < PROBE_COUNT; i++)
        probe_free(TAKE(c->probes[i]));
}
