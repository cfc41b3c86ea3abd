/* cluster/node/container.c - one container: starts it in a worker, sees its end, and starts it
 * again with growing pauses. Source: Kubernetes, pod-lifecycle. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/node/node_internal.h"

enum {
    BACKOFF_FIRST_MS = 10000, /* of the second restart; the first is at once */
    BACKOFF_MAX_MS = 300000,
    BACKOFF_RESET_MS = 600000, /* after a run of ten minutes it is forgotten */
    PULL_NOTICE_MS = 1000,     /* ErrImagePull is shown so long before ImagePullBackOff */
    CONFIG_RETRY_MS = 5000,    /* beside every change of a ConfigMap or Secret */
    END_MESSAGE_MAX = 4096,    /* bytes of /dev/termination-log, as Kubernetes */
    LOG_FILE_MAX = 10 << 20,   /* bytes; then the older half is dropped */
};

const json_t *container_spec(const struct container *container)
{
    const json_t *list = json_at(container->pod->object,
                                 container->is_init ? "spec.initContainers" : "spec.containers");
    size_t i;
    json_t *item;

    json_array_foreach((json_t *)list, i, item)
    {
        const char *name = json_str_at(item, "name");
        if (name && strcmp(name, container->name) == 0)
            return item;
    }
    return NULL; /* json_… calls take it for an empty one */
}

int container_paths_of(const struct container *c, struct container_paths *ret, struct error *err)
{
    const struct pod *pod = c->pod;
    struct container_paths paths = {0};
    CLEANUP(text) char *logs = pod_log_folder(pod);

    (void)snprintf(paths.id, sizeof(paths.id), "%.40s-%zu-%u", pod->uid, c->number, c->attempt);
    (void)snprintf(paths.cgroup, sizeof(paths.cgroup), "/monban/%.63s/%s", pod->node->name,
                   paths.id);
    paths.dir = str_format("%s/c/%zu-%u", pod->folder, c->number, c->attempt);
    paths.end_file = str_format("%s/c/%zu.end", pod->folder, c->number);
    paths.log = logs ? str_format("%s/%s/%u.log", logs, c->name, c->restarts) : NULL;
    if (!paths.dir || !paths.end_file || !paths.log) {
        container_paths_done(&paths);
        return error_no_memory(err);
    }
    *ret = paths;
    return 0;
}

void container_paths_done(struct container_paths *paths)
{
    free(paths->dir);
    free(paths->log);
    free(paths->end_file);
}

static void set_waiting(struct container *c, const char *reason, const char *message)
{
    c->phase = CONTAINER_WAITING;
    (void)snprintf(c->reason, sizeof(c->reason), "%s", reason);
    (void)snprintf(c->message, sizeof(c->message), "%s", message);
}

static void on_timer(struct loop *loop, void *ctx);

static void set_timer(struct container *c, int64_t after_ms)
{
    struct error err = ERROR_INIT;

    if (c->timer)
        loop_timer_set(c->timer, after_ms);
    else if (loop_add_timer(c->pod->node->loop, after_ms, on_timer, c, &c->timer, &err) < 0)
        log_error("a container waits for ever", log_str("container", c->name), log_err(&err));
}

static const char *image_of(const struct container *c)
{
    const char *image = json_str_at(container_spec(c), "image");
    return image ? image : "";
}

static int64_t doubled(int64_t ms)
{
    ms = ms ? ms * 2 : BACKOFF_FIRST_MS;
    return ms > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : ms;
}

/* A pause is over. */
static void on_timer(struct loop *loop, void *ctx)
{
    struct container *c = ctx;

    c->timer = NULL;
    if (c->pod->phase > POD_DONE)
        return;
    if (strcmp(c->reason, "ErrImagePull") == 0) {
        char message[500];
        c->pull_backoff_ms = doubled(c->pull_backoff_ms);
        (void)snprintf(message, sizeof(message), "Back-off pulling image \"%.400s\"", image_of(c));
        set_waiting(c, "ImagePullBackOff", message);
        pod_event(c->pod, "Normal", "BackOff", "%s", message);
        set_timer(c, c->pull_backoff_ms);
        pod_report(c->pod);
        return;
    }
    container_begin(c);
}

/* --- start --- */

static void run(struct container *c, pid_t pid);
static void end(struct container *c, int exit_code, const char *reason, const char *message);

static void start_failed(struct container *c, const char *reason, const char *message)
{
    set_waiting(c, reason, message);
    if (strcmp(reason, "RunContainerError") == 0) { /* it was made, and ended before it ran */
        c->started_s = clock_now_s();
        end(c, 128, "StartError", message);
        return;
    }
    if (strcmp(reason, "ErrImagePull") == 0) {
        pod_event(c->pod, "Warning", "Failed", "Failed to pull image \"%s\": %s", image_of(c),
                  message);
        pod_event(c->pod, "Warning", "Failed", "Error: ErrImagePull");
        set_timer(c, PULL_NOTICE_MS);
    } else {
        pod_event(c->pod, "Warning", "Failed", "Error: %s", message);
        set_timer(c, CONFIG_RETRY_MS);
    }
    pod_report(c->pod);
}

static void on_launched(const json_t *result, const struct error *err, void *ctx)
{
    struct container *c = ctx;
    const char *reason = json_str_at(result, "reason"), *image_id = json_str_at(result, "imageID");
    const char *message = err ? err->text : json_str_at(result, "message");

    c->worker = NULL;
    c->is_pulling = false;
    if (image_id) {
        free(c->image_id);
        c->image_id = str_dup(str_of(image_id));
    }
    c->stop_signal = (int)json_int_at(result, "stopSignal", SIGTERM);
    if (!err && !reason) {
        run(c, (pid_t)json_int_at(result, "pid", 0));
        return;
    }
    if (c->is_stopping) { /* nothing runs, and nothing shall */
        end(c, 137, "Error", "");
        return;
    }
    start_failed(c, reason ? reason : "CreateContainerError", message ? message : "");
}

static void on_news(const char *news, void *ctx)
{
    struct container *c = ctx;

    if (strcmp(news, "pulling") == 0) {
        c->is_pulling = true;
        pod_event(c->pod, "Normal", "Pulling", "Pulling image \"%s\"", image_of(c));
    } else if (strcmp(news, "created") == 0) {
        if (c->is_pulling)
            pod_event(c->pod, "Normal", "Pulled", "Successfully pulled image \"%s\"", image_of(c));
        else
            pod_event(c->pod, "Normal", "Pulled",
                      "Container image \"%s\" already present on machine", image_of(c));
        c->is_pulling = false;
        c->pull_backoff_ms = 0;
        pod_event(c->pod, "Normal", "Created", "Created container %s", c->name);
    }
}

void container_begin(struct container *c)
{
    struct node *node = c->pod->node;
    struct error err = ERROR_INIT;
    struct worker_options options = {.loop = node->loop,
                                     .reaper = node->reaper,
                                     .job = launch_job,
                                     .on_done = on_launched,
                                     .on_news = on_news,
                                     .ctx = c};

    if (c->worker || c->is_stopping)
        return;
    if (c->timer)
        loop_timer_remove(TAKE(c->timer));
    if (c->phase == CONTAINER_EXITED || strcmp(c->reason, "CrashLoopBackOff") == 0)
        c->restarts++;
    c->attempt++;
    c->restart_wanted = false;
    if (c->reason[0] == '\0' || c->phase == CONTAINER_EXITED ||
        strcmp(c->reason, "CrashLoopBackOff") == 0 || strcmp(c->reason, "PodInitializing") == 0)
        set_waiting(c, "ContainerCreating", "");
    c->phase = CONTAINER_STARTING;
    pod_save(c->pod); /* the attempt's number, before anything of it exists */
    if (node_worker_start(&options, &c->worker, &err) < 0)
        start_failed(c, "CreateContainerError", err.text);
}

static void on_exit_status(pid_t pid, int status, void *ctx)
{
    struct container *c = ctx;
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);

    end(c, code, NULL, NULL);
}

static void mark_running(struct container *c)
{
    const json_t *spec = container_spec(c);

    c->phase = CONTAINER_RUNNING;
    c->reason[0] = c->message[0] = '\0';
    c->is_started = !json_object_get(spec, "startupProbe");
    c->is_ready = c->is_started && !json_object_get(spec, "readinessProbe");
}

static void run(struct container *c, pid_t pid)
{
    struct error err = ERROR_INIT;

    c->pid = pid;
    c->pid_start = 0;
    (void)process_start(pid, &c->pid_start); /* gone already: its end comes next */
    c->started_s = clock_now_s();
    c->started_ms = clock_monotonic_ms();
    mark_running(c);
    pod_event(c->pod, "Normal", "Started", "Started container %s", c->name);
    pod_save(c->pod);
    if (reaper_watch(c->pod->node->reaper, pid, on_exit_status, c, &err) < 0) {
        log_error("a container's end will not be seen", log_str("container", c->name),
                  log_err(&err));
        return;
    }
    if (c->is_stopping) {
        container_kill_now(c);
        return;
    }
    probe_start_all(c);
    pod_report(c->pod);
    if (c->is_init)
        pod_step(c->pod); /* a sidecar that is started lets the next one go */
}

/* --- a container of an earlier node process --- */

static void remove_attempt(struct container *c, struct container_paths *take_paths);

static void on_adopted_end(struct loop *loop, pid_t pid, int status, void *ctx)
{
    /* its exit code went to whoever is its parent now */
    end(ctx, 137, "ContainerStatusUnknown",
        "The container ended while another process was its parent; its exit code is not known");
}

/* The node ended while a worker was at it: the container runs by now, or what there is of it goes.
 */
static void find_started(struct container *c)
{
    struct container_paths paths;
    struct error err = ERROR_INIT;
    pid_t pid;

    set_waiting(c, "ContainerCreating", "");
    if (container_paths_of(c, &paths, &err) < 0)
        return;
    struct container_ref ref = {c->pod->node->state_dir, paths.dir, paths.id};
    if (container_pid(&ref, &pid, &err) == 0 && process_start(pid, &c->pid_start)) {
        c->pid = pid;
        c->started_s = clock_now_s();
        c->stop_signal = SIGTERM;
        mark_running(c);
        container_paths_done(&paths);
        return;
    }
    remove_attempt(c, &paths);
}

void container_adopt(struct container *c)
{
    struct error err = ERROR_INIT;
    uint64_t start = 0;

    if (c->phase == CONTAINER_STARTING)
        find_started(c);
    if (c->phase != CONTAINER_RUNNING)
        return;
    if (!process_start(c->pid, &start) || start != c->pid_start ||
        loop_add_process(c->pod->node->loop, c->pid, on_adopted_end, c, &err) < 0) {
        end(c, 137, "ContainerStatusUnknown",
            "The container ended while the node process was not running");
        return;
    }
    c->started_ms = clock_monotonic_ms() - (clock_now_s() - c->started_s) * 1000;
    probe_start_all(c);
}

/* --- end --- */

static bool was_out_of_memory(const char *cgroup)
{
    for (int i = 0; i < 2; i++) {
        CLEANUP(text)
        char *path = str_format(i ? "/sys/fs/cgroup%s/memory.events"
                                  : "/sys/fs/cgroup/memory%s/memory.oom_control",
                                cgroup);
        CLEANUP(buf) struct buf text = BUF_INIT(4096);
        struct error ignored = ERROR_INIT; /* no such file: the other version of cgroups */
        if (!path || fs_read_at(AT_FDCWD, path, &text, &ignored) < 0)
            continue;
        ptrdiff_t at = str_find_text(buf_str(&text), STR("oom_kill "));
        return at >= 0 && text.ptr[at + 9] != '0';
    }
    return false;
}

struct removal {
    struct container_paths paths;
    const char *state_dir;
};

static int removal_job(struct worker *worker, void *ctx, json_t **ret, struct error *err)
{
    const struct removal *r = ctx;
    return container_delete(&(struct container_ref){r->state_dir, r->paths.dir, r->paths.id}, err);
}

static void on_removed(const json_t *result, const struct error *err, void *ctx)
{
    struct removal *r = ctx;

    if (err)
        log_warn("an ended container is removed with its pod", log_str("id", r->paths.id),
                 log_err(err));
    container_paths_done(&r->paths);
    free(r);
}

/* In the background: what comes next does not wait for it. */
static void remove_attempt(struct container *c, struct container_paths *take_paths)
{
    struct node *node = c->pod->node;
    struct removal *r = calloc(1, sizeof(*r));
    struct worker *worker;
    struct error err = ERROR_INIT;

    if (!r) {
        container_paths_done(take_paths);
        return; /* the pod's end removes it */
    }
    *r = (struct removal){*take_paths, node->state_dir};
    struct worker_options options = {.loop = node->loop,
                                     .reaper = node->reaper,
                                     .job = removal_job,
                                     .on_done = on_removed,
                                     .ctx = r};
    if (node_worker_start(&options, &worker, &err) < 0)
        on_removed(NULL, &err, r);
}

static void read_end(struct container *c)
{
    struct container_paths paths;
    CLEANUP(buf) struct buf text = BUF_INIT(END_MESSAGE_MAX);
    struct error err = ERROR_INIT;

    if (container_paths_of(c, &paths, &err) < 0)
        return;
    if (c->exit_code == 137 && was_out_of_memory(paths.cgroup))
        (void)snprintf(c->exit_reason, sizeof(c->exit_reason), "OOMKilled");
    if (!c->exit_message && fs_read_at(AT_FDCWD, paths.end_file, &text, &err) == 0 && text.len)
        c->exit_message = buf_take(&text);
    if (c->pod->phase <= POD_DONE)
        remove_attempt(c, &paths);
    else
        container_paths_done(&paths); /* the pod's removal takes it along */
}

static bool shall_restart(const struct container *c)
{
    const char *policy = pod_restart_policy(c->pod);

    if (c->is_sidecar)
        return c->pod->phase == POD_RUNNING;
    if (strcmp(policy, "Never") == 0)
        return false;
    if (c->is_init || strcmp(policy, "OnFailure") == 0)
        return c->exit_code != 0 || c->restart_wanted;
    return true;
}

static json_t *last_state_new(const struct container *c)
{
    char started[CLOCK_TEXT_SIZE], finished[CLOCK_TEXT_SIZE];
    json_t *ended = json_pack("{s:i,s:s,s:s,s:s}", "exitCode", c->exit_code, "reason",
                              c->exit_reason, "startedAt", clock_rfc3339(c->started_s, started),
                              "finishedAt", clock_rfc3339(c->finished_s, finished));
    if (c->exit_message && ended)
        (void)json_object_set_new(ended, "message", json_string(c->exit_message)); /* only a text */
    return json_pack("{s:o}", "terminated", ended);
}

static void restart(struct container *c)
{
    char message[400];

    json_decref(c->last_state);
    c->last_state = last_state_new(c);
    if (clock_monotonic_ms() - c->started_ms >= BACKOFF_RESET_MS)
        c->backoff_ms = 0;
    if (c->backoff_ms == 0 && c->restarts == 0) {
        container_begin(c);
        return;
    }
    c->backoff_ms = doubled(c->backoff_ms);
    (void)snprintf(message, sizeof(message),
                   "back-off %llds restarting failed container=%.60s pod=%.80s_%.60s(%.40s)",
                   (long long)c->backoff_ms / 1000, c->name, c->pod->name, c->pod->ns, c->pod->uid);
    set_waiting(c, "CrashLoopBackOff", message);
    pod_event(c->pod, "Warning", "BackOff", "Back-off restarting failed container %s in pod %s",
              c->name, c->pod->name);
    set_timer(c, c->backoff_ms);
}

static void end(struct container *c, int exit_code, const char *reason, const char *message)
{
    probe_stop_all(c);
    c->pid = 0;
    c->phase = CONTAINER_EXITED;
    c->is_ready = c->is_started = false;
    c->exit_code = exit_code;
    c->finished_s = clock_now_s();
    free(c->exit_message);
    c->exit_message = message && message[0] ? str_dup(str_of(message)) : NULL;
    (void)snprintf(c->exit_reason, sizeof(c->exit_reason), "%s",
                   reason           ? reason
                   : exit_code == 0 ? "Completed"
                                    : "Error");
    c->reason[0] = c->message[0] = '\0';
    read_end(c);
    if (c->pod->phase <= POD_DONE && shall_restart(c))
        restart(c);
    pod_save(c->pod);
    pod_container_ended(c->pod);
}

/* A process of ours is not reaped behind our back; an adopted one is known by its start. */
static void signal_process(const struct container *c, int number)
{
    uint64_t start;

    if (c->pid <= 0 || !process_start(c->pid, &start) || start != c->pid_start)
        return;
    if (kill(c->pid, number) < 0 && errno != ESRCH)
        log_warn("a container cannot be signalled", log_str("container", c->name),
                 log_i64("errno", errno));
}

static void on_hook_end(pid_t pid, int status, void *ctx)
{
    struct container *c = ctx;

    c->hook_pid = 0;
    signal_process(c, c->stop_signal);
}

/* preStop exec; false: there is none, or it cannot start. (Other kinds of hooks are not offered.)
 */
static bool start_hook(struct container *c)
{
    const json_t *command = json_at(container_spec(c), "lifecycle.preStop.exec.command");
    CLEANUP(container_paths) struct container_paths paths = {0};
    CLEANUP(strv) struct strv args = STRV_INIT;
    struct error err = ERROR_INIT;
    size_t i;
    json_t *word;

    json_array_foreach((json_t *)command, i, word)
    {
        strv_add(&args, json_string_value(word) ? json_string_value(word) : "");
    }
    if (args.count == 0)
        return false;
    struct container_exec exec = {
        .args = (const char *const *)args.items, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    if (container_paths_of(c, &paths, &err) == 0 &&
        container_exec_start(&(struct container_ref){c->pod->node->state_dir, paths.dir, paths.id},
                             &exec, &c->hook_pid, &err) == 0 &&
        reaper_watch(c->pod->node->reaper, c->hook_pid, on_hook_end, c, &err) == 0)
        return true;
    pod_event(c->pod, "Warning", "FailedPreStopHook", "%s", err.text);
    c->hook_pid = 0;
    return false;
}

static void on_sleep_end(struct loop *loop, void *ctx)
{
    struct container *c = ctx;
    c->timer = NULL;
    signal_process(c, c->stop_signal);
}

void container_stop(struct container *c)
{
    struct error err = ERROR_INIT;
    int64_t sleep_s = json_int_at(container_spec(c), "lifecycle.preStop.sleep.seconds", 0);

    if (c->is_stopping)
        return;
    c->is_stopping = true;
    probe_stop_all(c);
    if (c->timer)
        loop_timer_remove(TAKE(c->timer));
    switch (c->phase) {
    case CONTAINER_STARTING:
        if (!c->is_pulling)
            break; /* a few milliseconds, then run() or on_launched() sees that we stop */
        node_worker_cancel(TAKE(c->worker));
        end(c, 137, "Error", "");
        break;
    case CONTAINER_WAITING:
        c->phase = CONTAINER_EXITED;
        break;
    case CONTAINER_RUNNING:
        pod_event(c->pod, "Normal", "Killing", "Stopping container %s", c->name);
        if (sleep_s > 0 && loop_add_timer(c->pod->node->loop, sleep_s * 1000, on_sleep_end, c,
                                          &c->timer, &err) == 0)
            break;
        if (!start_hook(c))
            signal_process(c, c->stop_signal ? c->stop_signal : SIGTERM);
        break;
    case CONTAINER_EXITED:
        break;
    }
}

void container_kill_now(struct container *c)
{
    if (c->phase == CONTAINER_RUNNING)
        signal_process(c, SIGKILL);
}

static void on_restart_grace_over(struct loop *loop, void *ctx)
{
    struct container *c = ctx;
    c->timer = NULL;
    container_kill_now(c);
}

void container_restart(struct container *c, const char *why)
{
    struct error err = ERROR_INIT;
    int64_t grace_s = json_int_at(c->pod->object, "spec.terminationGracePeriodSeconds", 30);

    if (c->phase != CONTAINER_RUNNING || c->restart_wanted)
        return;
    c->restart_wanted = true;
    pod_event(c->pod, "Normal", "Killing", "%s", why);
    probe_stop_all(c);
    signal_process(c, c->stop_signal ? c->stop_signal : SIGTERM);
    /* PID 1 without a handler ignores it: the pod's grace, then the hard way */
    if (c->timer)
        loop_timer_remove(TAKE(c->timer));
    if (loop_add_timer(c->pod->node->loop, grace_s * 1000, on_restart_grace_over, c, &c->timer,
                       &err) < 0)
        signal_process(c, SIGKILL);
}

void container_release(struct container *c)
{
    probe_stop_all(c);
    if (c->timer)
        loop_timer_remove(c->timer);
    if (c->pid)
        reaper_forget(c->pod->node->reaper, c->pid);
    if (c->hook_pid)
        reaper_forget(c->pod->node->reaper, c->hook_pid);
    node_worker_cancel(c->worker);
    free(c->name);
    free(c->exit_message);
    free(c->image_id);
    json_decref(c->last_state);
}

/* --- logs --- */

/* The writer appends, so the file can be shortened under it: the newer half is kept. */
static void cut_log(const char *path)
{
    CLEANUP(fd) int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    CLEANUP(buf) struct buf kept = BUF_INIT(LOG_FILE_MAX);
    struct error err = ERROR_INIT;
    struct stat sb;

    if (fd < 0 || fstat(fd, &sb) < 0 || sb.st_size <= LOG_FILE_MAX)
        return;
    char *room = buf_room(&kept, LOG_FILE_MAX / 2);
    ssize_t n = room ? pread(fd, room, LOG_FILE_MAX / 2, sb.st_size - LOG_FILE_MAX / 2) : -1;
    if (n <= 0 || ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return;
    buf_grew(&kept, (size_t)n);
    ptrdiff_t line = str_find(buf_str(&kept), '\n'); /* from a whole line on */
    struct str rest = str_skip(buf_str(&kept), line >= 0 ? (size_t)line + 1 : 0);
    if (io_write(fd, rest.ptr, rest.len, &err) < 0)
        log_warn("a log lost its older lines", log_str("path", path), log_err(&err));
}

void container_cut_logs(struct node *node)
{
    for (struct pod *pod = node->pods; pod; pod = pod->next) {
        for (size_t i = 0; i < pod->container_count; i++) {
            CLEANUP(container_paths) struct container_paths paths = {0};
            struct error err = ERROR_INIT;
            if (pod->containers[i].phase == CONTAINER_RUNNING &&
                container_paths_of(&pod->containers[i], &paths, &err) == 0)
                cut_log(paths.log);
        }
    }
}
