/* cluster/api/pod_log.c - pods/log: the lines of a container, to the end or for as long as it runs.
 */
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "cluster/api/server_internal.h"

enum {
    LOG_BLOCK = 64 << 10,
    LOG_BEHIND_MAX = 1 << 20, /* bytes not yet sent to a follower; then it is given time */
    LOG_CATCH_UP_MS = 20,
};

struct log_reader { /* a follower */
    struct log_reader *next;
    struct api_server *server;
    struct http_stream *stream;
    int fd, notify_fd;     /* owned */
    uint64_t offset, left; /* next byte; how many may still be sent */
    struct loop_io *io;
    struct loop_timer *timer; /* set while the client is behind */
    struct store_watch *watch;
    char *uid, *container; /* owned */
    int64_t restart;
    bool is_over; /* the container has ended: send the rest, then close */
    bool is_cut;  /* the node has just taken the older half away, all of which was sent */
};

struct log_request {
    const char *container; /* borrowed: the pod */
    int64_t restart;
    uint64_t offset, left;
    bool follows;
    int fd; /* owned */
};

/* --- which file --- */

static const json_t *find_named(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *other = json_str_at(json_array_get(list, i), "name");
        if (other && strcmp(other, name) == 0)
            return json_array_get(list, i);
    }
    return NULL;
}

static void add_names(struct buf *out, const json_t *containers)
{
    for (size_t i = 0; i < json_array_size(containers); i++)
        buf_addf(out, "%s%s", out->len ? " " : "",
                 json_str_at(json_array_get(containers, i), "name"));
}

static int choose_container(const struct request *rq, const json_t *pod, const char **ret,
                            struct status *status)
{
    const json_t *containers = json_at(pod, "spec.containers");
    const json_t *inits = json_at(pod, "spec.initContainers");
    const char *name = http_request_query(rq->http, "container");
    const json_t *annotations = json_at(pod, "metadata.annotations");
    CLEANUP(buf) struct buf names = BUF_INIT(1 << 14);

    if (!name || !*name) {
        const json_t *preferred =
            json_object_get(annotations, "kubectl.kubernetes.io/default-container");
        name = json_string_value(preferred);
    }
    if (!name && json_array_size(containers) == 1)
        name = json_str_at(json_array_get(containers, 0), "name");
    const json_t *found = name ? find_named(containers, name) : NULL;
    if (!found && name)
        found = find_named(inits, name);
    if (found) {
        *ret = json_str_at(found, "name");
        return 0;
    }
    if (name)
        return status_bad_request(status, "container %s is not valid for pod %s", name,
                                  rq->route.name);
    add_names(&names, containers);
    int rc = status_bad_request(
        status, "a container name must be specified for pod %s, choose one of: [%s]",
        rq->route.name, buf_text(&names));
    if (json_array_size(inits) > 0) {
        CLEANUP(buf) struct buf init_names = BUF_INIT(1 << 14);
        add_names(&init_names, inits);
        rc = status_bad_request(
            status,
            "a container name must be specified for pod %s, choose one of: [%s] or"
            " one of the init containers: [%s]",
            rq->route.name, buf_text(&names), buf_text(&init_names));
    }
    return rc;
}

static const json_t *container_status(const json_t *pod, const char *container)
{
    const json_t *found = find_named(json_at(pod, "status.containerStatuses"), container);
    return found ? found : find_named(json_at(pod, "status.initContainerStatuses"), container);
}

static bool open_log(const struct request *rq, const struct object *pod, const char *container,
                     int64_t restart, int *ret_fd)
{
    CLEANUP(fd) int dir = -1;
    struct error err = ERROR_INIT;
    CLEANUP(text)
    char *path = str_format("%s_%s_%s/%s/%lld.log", object_namespace(pod), object_name(pod),
                            object_uid(pod), container, (long long)restart);

    return rq->api->logs_dir && path && restart >= 0 &&
           fs_open_dir(AT_FDCWD, rq->api->logs_dir, &dir, &err) == 0 &&
           fs_open_beneath(dir, path, O_RDONLY, 0, ret_fd, &err) == 0;
}

static int find_log(struct request *rq, const struct object *pod, struct log_request *log,
                    struct status *status)
{
    const json_t *state = container_status(object_root(pod), log->container);
    const char *waiting = json_str_at(state, "state.waiting.reason");
    bool wants_previous = request_flag(rq, "previous");
    int64_t newest = json_int_at(state, "restartCount", 0);

    /* While it waits to be started again its last run is the one that people mean. */
    for (int64_t restart = newest; restart >= 0 && restart + 1 >= newest; restart--) {
        if (!open_log(rq, pod, log->container, restart, &log->fd))
            continue;
        log->restart = restart;
        if (!wants_previous)
            return 0;
        io_close(&log->fd);
        if (open_log(rq, pod, log->container, restart - 1, &log->fd)) {
            log->restart = restart - 1;
            return 0;
        }
        break;
    }
    if (wants_previous)
        return status_bad_request(status,
                                  "previous terminated container \"%s\" in pod \"%s\" not found",
                                  log->container, rq->route.name);
    return status_bad_request(status, "container \"%s\" in pod \"%s\" is waiting to start: %s",
                              log->container, rq->route.name,
                              waiting ? waiting : "ContainerCreating");
}

/* --- which part of it --- */

/* Where the last `lines` lines begin; a last line without an end counts. */
static uint64_t tail_offset(int fd, uint64_t size, uint64_t lines)
{
    char block[LOG_BLOCK];
    uint64_t end = size, seen = 0;

    if (lines == 0)
        return size;
    while (end > 0) {
        size_t len = end < sizeof(block) ? (size_t)end : sizeof(block);
        ssize_t got = pread(fd, block, len, (off_t)(end - len));
        if (got != (ssize_t)len)
            return 0; /* it shrank while we read: give all */
        for (size_t i = len; i-- > 0;) {
            uint64_t at = end - len + i;
            if (block[i] == '\n' && at + 1 < size && ++seen == lines)
                return at + 1;
        }
        end -= len;
    }
    return 0;
}

static int read_log_options(struct request *rq, struct log_request *log, struct status *status)
{
    const char *tail = http_request_query(rq->http, "tailLines");
    const char *limit = http_request_query(rq->http, "limitBytes");
    uint64_t lines;
    off_t size = lseek(log->fd, 0, SEEK_END);

    log->left = UINT64_MAX;
    log->follows = request_flag(rq, "follow");
    if (limit && (!str_to_u64(str_of(limit), &log->left) || log->left == 0))
        return status_bad_request(status, "limitBytes: expected a number above 0, got '%s'", limit);
    if (size < 0)
        return status_set(status, 500, "InternalError",
                          "Internal error occurred: the log cannot be read");
    if (tail && !str_to_u64(str_of(tail), &lines))
        return status_bad_request(status, "tailLines: expected a number, got '%s'", tail);
    if (tail)
        log->offset = tail_offset(log->fd, (uint64_t)size, lines);
    return 0;
}

/* --- following --- */

static void reader_free(struct log_reader *reader)
{
    for (struct log_reader **at = &reader->server->log_readers; *at; at = &(*at)->next) {
        if (*at == reader) {
            *at = reader->next;
            break;
        }
    }
    loop_io_remove(reader->io);
    loop_timer_remove(reader->timer);
    store_watch_remove(reader->watch);
    io_close(&reader->fd);
    io_close(&reader->notify_fd);
    free(reader->uid);
    free(reader->container);
    free(reader);
}

static void reader_gone(struct http_stream *stream, void *ctx)
{
    reader_free(ctx);
}

static void reader_send(struct log_reader *reader);

static void on_catch_up(struct loop *loop, void *ctx)
{
    struct log_reader *reader = ctx;
    reader->timer = NULL; /* a timer that has fired is gone */
    if (reader->is_cut) {
        off_t size = lseek(reader->fd, 0, SEEK_END);
        reader->is_cut = false;
        reader->offset = size > 0 ? (uint64_t)size : 0;
    }
    reader_send(reader);
}

/* True if the log was cut: cutting empties the file and writes the newer half again, so the end is
 * looked for when that is over. Lines of that short time are not followed (a new `logs` shows
 * them). */
static bool reader_was_cut(struct log_reader *reader)
{
    off_t size = lseek(reader->fd, 0, SEEK_END);
    struct error err = ERROR_INIT;

    if (reader->is_cut)
        return true;
    if (size < 0 || (uint64_t)size >= reader->offset || reader->timer)
        return false;
    reader->is_cut = loop_add_timer(reader->server->loop, LOG_CATCH_UP_MS, on_catch_up, reader,
                                    &reader->timer, &err) == 0;
    return reader->is_cut;
}

/* Sends what is there; frees the reader at its end. */
static void reader_send(struct log_reader *reader)
{
    char block[LOG_BLOCK];
    struct error err = ERROR_INIT;

    if (!reader->is_over && reader_was_cut(reader))
        return;
    while (reader->left > 0) {
        if (http_stream_pending(reader->stream) > LOG_BEHIND_MAX) {
            if (!reader->timer && loop_add_timer(reader->server->loop, LOG_CATCH_UP_MS, on_catch_up,
                                                 reader, &reader->timer, &err) < 0)
                break;
            return;
        }
        size_t len = reader->left < sizeof(block) ? (size_t)reader->left : sizeof(block);
        ssize_t got = pread(reader->fd, block, len, (off_t)reader->offset);
        if (got <= 0)
            break;
        http_stream_write(reader->stream, str_slice(block, (size_t)got));
        reader->offset += (uint64_t)got;
        reader->left -= (uint64_t)got;
    }
    if (reader->is_over || reader->left == 0) {
        http_stream_end(reader->stream);
        reader_free(reader);
    }
}

static void on_file_change(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    char drop[4096];

    while (read(fd, drop, sizeof(drop)) > 0) {
    }
    reader_send(ctx);
}

/* Whether this run of the container is over. */
static bool run_is_over(const struct log_reader *reader, const struct object *pod)
{
    const json_t *state = container_status(object_root(pod), reader->container);

    return json_int_at(state, "restartCount", 0) > reader->restart ||
           !json_at(state, "state.running");
}

static void on_pod_event(const struct store_event *event, void *ctx)
{
    struct log_reader *reader = ctx;

    if (strcmp(object_uid(event->object), reader->uid) != 0 || reader->is_over)
        return;
    if (event->type == STORE_DELETED || run_is_over(reader, event->object)) {
        reader->is_over = true;
        reader_send(reader);
    }
}

static int reader_watch(struct log_reader *reader, struct error *err)
{
    struct store_watch_options options = {.resource = resource_get(RES_PODS)};
    char path[64];

    reader->notify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (reader->notify_fd < 0)
        return error_errno(err, "inotify_init1");
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", reader->fd);
    if (inotify_add_watch(reader->notify_fd, path, IN_MODIFY) < 0)
        return error_errno(err, "inotify_add_watch");
    if (loop_add_io(reader->server->loop, reader->notify_fd, EPOLLIN, on_file_change, reader,
                    &reader->io, err) < 0)
        return -1;
    return store_watch_add(reader->server->api->store, &options, on_pod_event, reader,
                           &reader->watch, err);
}

static void follow(struct request *rq, const struct object *pod, struct log_request *log,
                   const struct http_header *headers)
{
    struct log_reader *reader = calloc(1, sizeof(*reader));
    struct error err = ERROR_INIT;

    if (!reader) {
        answer_text(rq, 500, "text/plain", STR("out of memory"));
        return;
    }
    *reader = (struct log_reader){.next = rq->server->log_readers,
                                  .server = rq->server,
                                  .fd = TAKE_FD(log->fd),
                                  .notify_fd = -1,
                                  .offset = log->offset,
                                  .left = log->left,
                                  .restart = log->restart,
                                  .uid = str_dup(str_of(object_uid(pod))),
                                  .container = str_dup(str_of(log->container))};
    rq->server->log_readers = reader;
    if (!reader->uid || !reader->container || reader_watch(reader, &err) < 0) {
        reader_free(reader);
        answer_error(rq, &err);
        return;
    }
    reader->is_over = run_is_over(reader, pod);
    reader->stream =
        http_respond_stream(rq->http, 200, headers, SERVER_STREAM_MAX, reader_gone, reader);
    reader_send(reader);
}

/* --- the request --- */

void pod_log_handle(struct request *rq)
{
    static const struct http_header headers[] = {
        {"Content-Type", "text/plain"}, {"Cache-Control", "no-cache, private"}, {NULL, NULL}};
    CLEANUP(status) struct status status = STATUS_INIT;
    struct log_request log = {.fd = -1};
    const struct object *pod =
        store_get(rq->api->store, rq->res, rq->route.namespace_name, rq->route.name);

    if (!pod)
        (void)status_not_found(&status, rq->res, rq->route.name);
    if (!pod || choose_container(rq, object_root(pod), &log.container, &status) < 0 ||
        find_log(rq, pod, &log, &status) < 0 || read_log_options(rq, &log, &status) < 0) {
        answer_status(rq, &status);
    } else if (log.follows) {
        follow(rq, pod, &log, headers);
    } else {
        uint64_t size = (uint64_t)lseek(log.fd, 0, SEEK_END);
        uint64_t length = size > log.offset ? size - log.offset : 0;
        http_respond_file(rq->http, 200, headers, TAKE_FD(log.fd), log.offset,
                          length < log.left ? length : log.left);
    }
    io_close(&log.fd);
}

void pod_log_end_all(struct api_server *server)
{
    while (server->log_readers) {
        http_stream_end(server->log_readers->stream);
        reader_free(server->log_readers);
    }
}
