/* cluster/node/worker.c - see worker.h. */
#include "cluster/node/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/io.h"

enum { WORKER_RESULT_MAX = 4 << 20, WORKER_READ_SIZE = 16 << 10 };

struct worker {
    struct worker_options options;
    pid_t pid;
    int pipe; /* we read, the child writes: a line of JSON for each thing */
    struct loop_io *io;
    struct buf in;
    bool is_done;
};

static void write_line(int fd, json_t *take_line)
{
    CLEANUP(json) json_t *line = take_line;
    CLEANUP(buf) struct buf text = BUF_INIT(WORKER_RESULT_MAX);
    struct error err = ERROR_INIT;

    if (!line || json_write(line, false, &text, &err) < 0)
        return; /* the node sees an end without a result */
    buf_add_char(&text, '\n');
    if (io_write(fd, buf_text(&text), text.len, &err) < 0)
        _exit(1); /* the node is gone: so are we */
}

static void run_child(struct worker *worker, int fd)
{
    CLEANUP(json) json_t *result = NULL;
    struct error err = ERROR_INIT;
    sigset_t none;

    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL); /* what we start expects a usual mask */
    /* a container is ours until we end, then the node's: both are subreapers */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    worker->pipe = fd;
    if (worker->options.job(worker, worker->options.ctx, &result, &err) < 0)
        write_line(fd, json_pack("{s:i,s:s}", "kind", (int)err.kind, "error", err.text));
    else
        write_line(fd, json_pack("{s:O?}", "result", result));
    _exit(0);
}

void node_worker_tell(struct worker *worker, const char *news)
{
    write_line(worker->pipe, json_pack("{s:s}", "news", news));
}

static void finish(struct worker *worker, const json_t *result, const struct error *err)
{
    worker_done_fn *on_done = worker->options.on_done;
    void *ctx = worker->options.ctx;
    CLEANUP(json) json_t *kept = json_incref((json_t *)result);

    worker->is_done = true;
    node_worker_cancel(worker);
    on_done(kept, err, ctx);
}

/* False once it is finished (and freed). */
static bool on_line(struct worker *worker, struct str line)
{
    CLEANUP(json) json_t *value = NULL;
    struct error err = ERROR_INIT;
    const char *text;

    if (json_parse("worker", line, &value, &err) < 0) {
        finish(worker, NULL, &err);
        return false;
    }
    if ((text = json_str_at(value, "news"))) {
        if (worker->options.on_news)
            worker->options.on_news(text, worker->options.ctx);
        return true;
    }
    if ((text = json_str_at(value, "error"))) {
        (void)error_set(&err, (enum error_kind)json_int_at(value, "kind", ERR_INTERNAL), "%s",
                        text);
        finish(worker, NULL, &err);
        return false;
    }
    const json_t *result = json_object_get(value, "result");
    finish(worker, json_is_null(result) ? NULL : result, NULL);
    return false;
}

static void on_readable(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct worker *worker = ctx;
    struct error err = ERROR_INIT;
    char *room = buf_room(&worker->in, WORKER_READ_SIZE);
    ssize_t n = room ? read(fd, room, WORKER_READ_SIZE) : 0;

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        error_set(&err, ERR_INTERNAL, "a worker process died");
        finish(worker, NULL, &err);
        return;
    }
    buf_grew(&worker->in, (size_t)n);
    for (;;) {
        ptrdiff_t end = str_find(buf_str(&worker->in), '\n');
        if (end < 0)
            return;
        CLEANUP(text) char *line = str_dup(str_first(buf_str(&worker->in), (size_t)end));
        buf_drop(&worker->in, (size_t)end + 1);
        if (!on_line(worker, str_of(line)))
            return;
    }
}

static void on_worker_end(pid_t pid, int status, void *ctx)
{
    /* its pipe has told, or tells by ending */
}

int node_worker_start(const struct worker_options *options, struct worker **ret, struct error *err)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    int ends[2] = {-1, -1};

    if (!worker)
        return error_no_memory(err);
    worker->options = *options;
    worker->in = (struct buf)BUF_INIT(WORKER_RESULT_MAX);
    worker->pipe = -1;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        free(worker);
        return error_errno(err, "making a pipe");
    }
    worker->pid = fork();
    if (worker->pid == 0) {
        io_close(&ends[0]);
        run_child(worker, ends[1]);
    }
    io_close(&ends[1]);
    worker->pipe = ends[0];
    if (worker->pid < 0) {
        (void)error_errno(err, "starting a worker process");
        worker->is_done = true;
        node_worker_cancel(worker);
        return -1;
    }
    if (reaper_watch(options->reaper, worker->pid, on_worker_end, NULL, err) < 0 ||
        loop_add_io(options->loop, worker->pipe, EPOLLIN, on_readable, worker, &worker->io, err) <
            0) {
        node_worker_cancel(worker);
        return -1;
    }
    *ret = worker;
    return 0;
}

void node_worker_cancel(struct worker *worker)
{
    if (!worker)
        return;
    if (!worker->is_done && worker->pid > 0)
        (void)kill(worker->pid,
                   SIGKILL); /* it is ours and not reaped before the reaper's next turn */
    loop_io_remove(worker->io);
    io_close(&worker->pipe);
    buf_done(&worker->in);
    free(worker);
}
