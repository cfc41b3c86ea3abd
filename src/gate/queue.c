/* gate/queue.c - see gate/queue.h. */
#include "gate/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/log.h"
#include "base/proc.h"
#include "gate/walk.h"
#include "gate/watch.h"
#include "source/source.h"

enum { STOP_GRACE_MS = 5000 };

struct job {
    struct job *next;
    struct queue *queue; /* borrowed: its owner */
    struct queue_item item;
    int fd;               /* who listens, or -1 */
    struct loop_io *gone; /* owned while a listener is watched for leaving */
    pid_t pid;            /* of the worker, 0 while it waits */
};

struct queue {
    struct queue_options options;
    struct job *jobs; /* owned; oldest first, running ones included */
    size_t job_count;
    size_t running;
    bool closing;
};

int queue_new(const struct queue_options *options, struct queue **ret, struct error *err)
{
    struct queue *queue = calloc(1, sizeof *queue);

    if (!queue)
        return error_no_memory(err);
    queue->options = *options;
    *ret = queue;
    return 0;
}

static void say_fd(struct str line, void *ctx)
{
    struct error lost = ERROR_INIT;
    int fd = *(int *)ctx;
    CLEANUP(buf) struct buf text = BUF_INIT(1 << 20);

    if (fd < 0)
        return;
    buf_add_str(&text, line);
    buf_add_char(&text, '\n');
    (void)!io_write(fd, buf_text(&text), text.len, &lost);
}

static void say_exit(int fd, int code)
{
    char line[32];

    (void)snprintf(line, sizeof line, "{\"exit\":%d}", code); /* fits */
    say_fd(str_of(line), &fd);
}

static void free_job(struct job *job)
{
    loop_io_remove(job->gone);
    io_close(&job->fd);
    free(job);
}

static void unlink_job(struct job *job)
{
    struct job **at = &job->queue->jobs;

    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
    job->queue->job_count--;
}

static int walk_platform(const struct queue_options *options, struct platform **ret,
                         struct error *err)
{
    CLEANUP(text) char *path = fs_join(options->home, "platform");

    if (!path)
        return error_no_memory(err);
    return platform_read(path, ret, err);
}

/* A listener that has left, or whose socket is full for good, loses its text; the walk does not.
 * The text is also kept, for `monban gate status APP`. */
struct listener {
    int fd;      /* -1: nobody */
    int kept_fd; /* HOME/gate/state/APP.log, or -1 */
};

static void say_both(struct str line, void *ctx)
{
    struct listener *listener = ctx;

    say_fd(line, &listener->fd);
    say_fd(line, &listener->kept_fd);
}

static int open_kept(const struct queue_options *options, const char *app)
{
    CLEANUP(text) char *path = str_format("%s/gate/state/%s.log", options->home, app);

    return path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
}

/* What no walk could begin with. */
static int cannot_start(const struct queue_item *item, const struct error *err,
                        struct listener *listener)
{
    char text[ERROR_TEXT_MAX + ERROR_PLACE_MAX];

    error_format(err, text, sizeof text);
    log_error("a walk cannot start", log_str("app", item->app), log_str("error", text));
    say_both(str_of(text), listener);
    say_both(STR("owner: the platform team"), listener);
    say_both(STR("next: monban platform check HOME/platform"), listener);
    return 1;
}

static int run_walk(const struct queue_options *options, struct queue_item *item, int fd)
{
    struct error err = ERROR_INIT;
    CLEANUP(platform) struct platform *platform = NULL;
    CLEANUP(text) char *repository = str_format("%s/gate/git/%s.git", options->home, item->app);
    struct listener listener = {fd, open_kept(options, item->app)};
    int result = repository ? walk_platform(options, &platform, &err) : error_no_memory(&err);

    if (result == 0 && !item->commit[0])
        result = source_resolve(repository, item->ref, item->commit, &err);
    if (result < 0)
        return cannot_start(item, &err, &listener);
    const struct walk_options walk = {
        .home = options->home,
        .app = item->app,
        .ref = item->ref,
        .commit = item->commit,
        .repository = repository,
        .old = item->old[0] ? item->old : NULL,
        .objects_dir = item->objects_dir[0] ? item->objects_dir : NULL,
        .platform = platform,
        .signer = options->signer,
        .source_uri = item->source_uri[0] ? item->source_uri : NULL,
        .say = say_both,
        .ctx = &listener,
    };
    enum walk_outcome outcome = walk_commit(&walk);
    log_info("walk ended", log_str("app", item->app), log_str("commit", item->commit),
             log_str("outcome", walk_outcome_name(outcome)));
    if (item->source_uri[0] && watch_note_walked(options->home, item->app, item->commit, &err) < 0)
        log_warn("a watched commit will be walked again", log_str("app", item->app), log_err(&err));
    return walk_exit_code(outcome);
}

static void start_jobs(struct queue *queue);

static void clean_work(const struct queue *queue, const struct job *job, pid_t pid)
{
    struct error err = ERROR_INIT;
    CLEANUP(text)
    char *path = str_format("%s/gate/work/%s-%d", queue->options.home, job->item.app, (int)pid);

    if (path && fs_remove_tree(AT_FDCWD, path, &err) < 0)
        log_warn("a work folder stays until the next start", log_err(&err));
}

static void worker_ended(struct loop *loop, pid_t pid, int status, void *ctx)
{
    struct job *job = ctx;
    struct queue *queue = job->queue;

    (void)loop;
    if (!WIFEXITED(status)) {
        char how[64];
        log_warn("a walk was ended", log_str("app", job->item.app),
                 log_str("how", proc_status_text(status, how, sizeof how)));
    }
    clean_work(queue, job, pid);
    say_exit(job->fd, WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    unlink_job(job);
    free_job(job);
    queue->running--;
    if (!queue->closing)
        start_jobs(queue);
}

/* A push that was broken off: its ref will not move, so its walk is not wanted any more. */
static void listener_left(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct job *job = ctx;
    char byte;

    (void)loop;
    (void)events;
    if (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) > 0)
        return; /* nothing more is expected, but it is no reason to stop */
    loop_io_remove(job->gone);
    job->gone = NULL;
    if (job->pid > 0) {
        log_info("push broken off, its walk is stopped", log_str("app", job->item.app));
        (void)kill(-job->pid, SIGTERM); /* gone already is what we want */
        return;
    }
    unlink_job(job);
    free_job(job);
}

pid_t queue_fork(struct queue *queue)
{
    pid_t starter = getpid();
    pid_t pid = fork();

    if (pid > 0)
        (void)setpgid(pid, pid);
    if (pid != 0)
        return pid;
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail with these arguments */
    (void)setpgid(0, 0);                         /* the parent does it too: one succeeds */
    /* A gate that was killed leaves no walk behind, and its place is free for the next one. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != starter)
        _exit(1);
    io_close(&queue->options.lock_fd);
    return 0;
}

static void start_worker(struct job *job)
{
    struct queue *queue = job->queue;
    struct error err = ERROR_INIT;
    pid_t pid = queue_fork(queue);

    if (pid < 0) {
        log_error("no worker can be started", log_str("app", job->item.app));
        say_fd(STR("monban: the gate cannot start a process now; push again later"), &job->fd);
        say_exit(job->fd, 1);
        unlink_job(job);
        free_job(job);
        return;
    }
    if (pid == 0)
        _exit(run_walk(&queue->options, &job->item, job->fd));
    job->pid = pid;
    queue->running++;
    if (loop_add_child(queue->options.loop, pid, worker_ended, job, &err) < 0) {
        log_error("a worker cannot be watched", log_err(&err));
        (void)kill(-pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        worker_ended(queue->options.loop, pid, 1 << 8, job);
    }
}

static bool app_is_walking(const struct queue *queue, const char *app)
{
    for (const struct job *job = queue->jobs; job; job = job->next) {
        if (job->pid > 0 && strcmp(job->item.app, app) == 0)
            return true;
    }
    return false;
}

static void start_jobs(struct queue *queue)
{
    for (struct job *job = queue->jobs, *next; job && queue->running < GATE_WALKS_AT_ONCE;
         job = next) {
        next = job->next;
        if (job->pid == 0 && !app_is_walking(queue, job->item.app))
            start_worker(job);
    }
}

int queue_add(struct queue *queue, const struct queue_item *item, int take_fd, struct error *err)
{
    struct job *job = calloc(1, sizeof *job);
    struct job **at = &queue->jobs;

    if (!job || queue->job_count >= GATE_QUEUE_MAX) {
        io_close(&take_fd);
        free(job);
        return job ? error_set(err, ERR_LIMIT, "%d walks wait already", GATE_QUEUE_MAX)
                   : error_no_memory(err);
    }
    job->queue = queue;
    job->item = *item;
    job->fd = take_fd;
    while (*at)
        at = &(*at)->next;
    *at = job;
    queue->job_count++;
    if (take_fd >= 0 && loop_add_io(queue->options.loop, take_fd, EPOLLIN | EPOLLRDHUP,
                                    listener_left, job, &job->gone, err) < 0) {
        unlink_job(job);
        free_job(job);
        return -1;
    }
    start_jobs(queue);
    if (job->pid == 0 && take_fd >= 0)
        say_fd(STR("monban: waiting for the walk of an earlier commit"), &job->fd);
    return 0;
}

bool queue_has(const struct queue *queue, const char *app)
{
    for (const struct job *job = queue->jobs; job; job = job->next) {
        if (strcmp(job->item.app, app) == 0)
            return true;
    }
    return false;
}

void queue_free(struct queue *queue)
{
    if (!queue)
        return;
    queue->closing = true;
    for (struct job *job = queue->jobs; job; job = job->next) {
        if (job->pid > 0)
            (void)kill(-job->pid, SIGTERM); /* gone already is what we want */
    }
    while (queue->jobs) {
        struct job *job = queue->jobs;
        pid_t pid = job->pid;
        if (pid > 0) {
            proc_stop(pid, STOP_GRACE_MS);
            (void)kill(-pid, SIGKILL); /* what is left of its group */
            clean_work(queue, job, pid);
        }
        say_fd(STR("monban: the gate is stopping; push again when it runs"), &job->fd);
        say_exit(job->fd, 1);
        unlink_job(job);
        free_job(job);
    }
    free(queue);
}
