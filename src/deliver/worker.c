/* deliver/worker.c - fork, run, tell: see worker.h. */
#include "deliver/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/io.h"

struct worker {
    struct loop *loop;  /* borrowed */
    struct loop_io *io; /* owned */
    struct buf result;  /* what came so far */
    worker_done_fn *done;
    void *ctx;
    pid_t pid;
    int fd; /* owned: the pipe's reading end */
};

static void close_others(int a, int b)
{
    int low = a < b ? a : b;
    int high = a < b ? b : a;

    /* Cannot fail for valid ranges; a descriptor that stays open would only be unused. */
    if (low > 3)
        (void)close_range(3, (unsigned)low - 1, 0);
    if (low >= 3 && high > low + 1)
        (void)close_range((unsigned)low + 1, (unsigned)high - 1, 0);
    (void)close_range((unsigned)(high < 2 ? 2 : high) + 1, ~0U, 0);
}

static void write_result(int fd, json_t *result, const struct error *failed)
{
    CLEANUP(json) json_t *message = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT(WORKER_RESULT_MAX);
    struct error err = ERROR_INIT;

    if (failed)
        message = json_pack("{s:{s:i, s:i, s:s, s:s}}", "error", "kind", (int)failed->kind, "errno",
                            failed->sys_errno, "place", failed->place, "text", failed->text);
    else
        message = json_pack("{s:O}", "result", result);
    if (message && json_write(message, false, &text, &err) == 0 &&
        io_write(fd, text.ptr, text.len, &err) == 0)
        _exit(0);
    _exit(1); /* the parent sees an end without a result */
}

static _Noreturn void run_child(worker_job_fn *job, const void *arg, int fd, int keep_fd,
                                pid_t parent)
{
    CLEANUP(json) json_t *result = NULL;
    struct error err = ERROR_INIT;
    sigset_t none;

    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail: the arguments are right */
    (void)signal(SIGPIPE, SIG_IGN);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nor this */
    if (getppid() != parent)
        _exit(1);
    close_others(fd, keep_fd < 0 ? fd : keep_fd);
    if (job(arg, &result, &err) < 0)
        write_result(fd, NULL, &err);
    else
        write_result(fd, result, NULL);
    _exit(1);
}

static void on_child(struct loop *loop, pid_t pid, int status, void *ctx)
{
    /* Only reaped here: the end of the pipe says the rest. */
}

static void worker_free(struct worker *worker)
{
    loop_io_remove(worker->io);
    io_close(&worker->fd);
    buf_done(&worker->result);
    free(worker);
}

/* The worker is gone before `done` runs, so that `done` may start the next. */
static void finish(struct worker *worker)
{
    CLEANUP(json) json_t *message = NULL;
    struct error err = ERROR_INIT;
    worker_done_fn *done = worker->done;
    void *ctx = worker->ctx;
    const json_t *failed = NULL;

    if (worker->result.len == 0) {
        (void)error_set(&err, ERR_SYSTEM, "the agent's worker died"); /* always -1 */
    } else if (buf_ok(&worker->result, &err) == 0 &&
               json_parse("worker", buf_str(&worker->result), &message, &err) == 0) {
        failed = json_object_get(message, "error");
        if (failed) {
            err.kind = (enum error_kind)json_int_at(failed, "kind", ERR_SYSTEM);
            err.sys_errno = (int)json_int_at(failed, "errno", 0);
            (void)snprintf(err.place, sizeof err.place, "%s", json_str_at(failed, "place"));
            (void)snprintf(err.text, sizeof err.text, "%s", json_str_at(failed, "text"));
        }
    }
    worker_free(worker);
    if (err.kind != ERR_NONE)
        done(NULL, &err, ctx);
    else
        done(json_object_get(message, "result"), NULL, ctx);
}

static void on_readable(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct worker *worker = ctx;
    char *room = buf_room(&worker->result, 65536);
    ssize_t got = room ? read(fd, room, 65536) : 0;

    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got > 0)
        buf_grew(&worker->result, (size_t)got);
    else
        finish(worker);
}

int worker_start(struct loop *loop, worker_job_fn *job, const void *arg, int keep_fd,
                 worker_done_fn *done, void *ctx, struct worker **ret, struct error *err)
{
    int ends[2];
    pid_t parent = getpid();
    struct worker *worker = calloc(1, sizeof *worker);

    if (!worker)
        return error_no_memory(err);
    *worker = (struct worker){
        .loop = loop, .result = BUF_INIT(WORKER_RESULT_MAX), .done = done, .ctx = ctx, .fd = -1};
    if (pipe2(ends, O_CLOEXEC) < 0) {
        free(worker);
        return error_errno(err, "cannot make a pipe");
    }
    worker->pid = fork();
    if (worker->pid == 0)
        run_child(job, arg, ends[1], keep_fd, parent);
    io_close(&ends[1]);
    worker->fd = ends[0];
    if (worker->pid < 0) {
        worker_free(worker);
        return error_errno(err, "cannot fork");
    }
    if (loop_add_child(loop, worker->pid, on_child, NULL, err) < 0 ||
        loop_add_io(loop, worker->fd, EPOLLIN, on_readable, worker, &worker->io, err) < 0) {
        (void)kill(worker->pid, SIGKILL); /* it is ours and not reaped: cannot fail */
        worker_free(worker);
        return -1;
    }
    *ret = worker;
    return 0;
}

void worker_remove(struct worker *worker)
{
    if (!worker)
        return;
    (void)kill(worker->pid, SIGKILL); /* gone already is fine; the loop reaps it */
    worker_free(worker);
}
