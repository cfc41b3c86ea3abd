/* oci/runtime.c - driving crun: prepare, start, exec, kill, delete; see runtime.h. */
#include "oci/runtime_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/proc.h"

enum {
    RUNTIME_TIMEOUT_MS =
        60000, /* crun takes 20 ms; a machine under load may take long, a hang has an end */
    GONE_TIMEOUT_MS = 10000, /* from SIGKILL until the kernel has torn the process down */
    CONFIG_MAX = 4 << 20,
    LOG_MAX = 64 << 10,
    ID_MAX = 200
};

static const char *runtime_program(void)
{
    static const char *const crun[] = {"/usr/bin/crun", "/usr/local/bin/crun"};

    for (size_t i = 0; i < ARRAY_LEN(crun); i++)
        if (access(crun[i], X_OK) == 0)
            return crun[i];
    return "runc";
}

static int check_ref(const struct container_ref *ref, struct error *err)
{
    size_t len = ref->id ? strlen(ref->id) : 0;
    bool good = len > 0 && len <= ID_MAX && ref->id[0] != '.' && ref->id[0] != '-';

    for (size_t i = 0; good && i < len; i++)
        good = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.",
                      ref->id[i]) != NULL;
    if (!good)
        return error_set(err, ERR_INVALID, "'%.100s' is no container id", ref->id ? ref->id : "");
    if (!ref->dir || ref->dir[0] != '/' || !ref->state_dir || ref->state_dir[0] != '/')
        return error_set(err, ERR_INVALID, "container '%s': its folders are not absolute", ref->id);
    return 0;
}

static struct container_ref ref_of(const struct container_options *o)
{
    return (struct container_ref){.state_dir = o->state_dir, .dir = o->dir, .id = o->id};
}

/* --- prepare --- */

static int write_config(const struct container_options *o, struct error *err)
{
    CLEANUP(text) char *path = fs_join(o->dir, "config.json");
    CLEANUP(buf) struct buf text = BUF_INIT(CONFIG_MAX);
    CLEANUP(json) json_t *config = NULL;

    if (!path)
        return error_no_memory(err);
    if (container_config(o, o->rootfs ? o->rootfs : "rootfs", &config, err) < 0 ||
        json_write(config, false, &text, err) < 0)
        return -1;
    /* 0600: env may hold secrets. */
    return fs_write_quick(AT_FDCWD, path, buf_str(&text), 0600, err);
}

int container_prepare(const struct container_options *o, struct error *err)
{
    struct container_ref ref = ref_of(o);
    struct error ignored = ERROR_INIT; /* the first error is the one to tell */

    if (check_ref(&ref, err) < 0)
        return -1;
    if (!o->lowerdirs == !o->rootfs)
        return error_set(err, ERR_INVALID, "container '%s' needs layers or a root folder", o->id);
    if (fs_make_dirs(AT_FDCWD, o->dir, 0711, err) < 0 ||
        fs_make_dirs(AT_FDCWD, o->state_dir, 0700, err) < 0)
        return error_wrap(err, "preparing container '%s'", o->id);
    if (write_config(o, err) == 0 && (o->rootfs || runtime_mount_overlay(o, err) == 0))
        return 0;
    if (runtime_unmount(o->dir, &ignored) == 0 && fs_remove_tree(AT_FDCWD, o->dir, &ignored) < 0)
        error_clear(&ignored);
    return error_wrap(err, "preparing container '%s'", o->id);
}

/* --- calling the runtime --- */

struct runtime_call {
    struct strv argv;
    char *log_path; /* owned */
};

static void runtime_call_done(struct runtime_call *call)
{
    strv_done(&call->argv);
    free(call->log_path);
}
DEFINE_CLEANUP_VALUE(runtime_call, struct runtime_call, runtime_call_done)

/* "crun --root S --cgroup-manager=cgroupfs --log=F COMMAND". The log is where the runtime says what
 * went wrong: its standard error is the container's. */
static int begin_call(const struct container_ref *ref, const char *command,
                      struct runtime_call *call, struct error *err)
{
    const char *program = runtime_program();
    bool is_crun = strstr(program, "crun") != NULL;

    call->log_path = fs_join(ref->dir, "runtime.log");
    strv_add(&call->argv, program);
    strv_addf(&call->argv, "--root=%s", ref->state_dir);
    if (is_crun)
        strv_add(&call->argv, "--cgroup-manager=cgroupfs");
    strv_addf(&call->argv, "--log=%s", call->log_path ? call->log_path : "");
    strv_add(&call->argv, command);
    if (!call->log_path)
        return error_no_memory(err);
    return strv_ok(&call->argv, err);
}

/* What the runtime logged, without its time stamps: the last line. */
static int runtime_failed(const struct container_ref *ref, const struct runtime_call *call,
                          int status, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(LOG_MAX);
    struct error ignored = ERROR_INIT; /* then there is only the status to tell */
    struct str line, last = STR_NONE;
    char status_text[100];

    if (fs_read_at(AT_FDCWD, call->log_path, &text, &ignored) == 0) {
        struct lines in = lines_over("", buf_str(&text));
        while (lines_next(&in, &line))
            if (str_trim(line).len > 0)
                last = str_trim(line);
    }
    const char *program = strrchr(call->argv.items[0], '/');
    program = program ? program + 1 : call->argv.items[0];
    if (last.len > 0) {
        bool missing = str_find_text(last, STR("executable file")) >= 0 ||
                       str_find_text(last, STR("open executable")) >= 0 || /* crun, both */
                       str_find_text(last, STR("exec: ")) >= 0;            /* runc */
        return error_set(err, missing ? ERR_INVALID : ERR_SYSTEM, "container '%s': %s: %.*s",
                         ref->id, program, STR_ARG(str_first(last, 500)));
    }
    return error_set(err, ERR_SYSTEM, "container '%s': %s %s", ref->id, program,
                     proc_status_text(status, status_text, sizeof(status_text)));
}

static struct proc_options proc_of(const struct runtime_call *call)
{
    struct proc_options options = PROC_OPTIONS_INIT;

    options.argv = (const char *const *)call->argv.items;
    options.hide_cgroup2 = true;
    return options;
}

static int run_call(const struct container_ref *ref, const struct runtime_call *call,
                    const struct proc_options *options, struct error *err)
{
    pid_t pid;
    int status;

    if (proc_start(options, &pid, err) < 0)
        return -1;
    if (proc_wait(pid, RUNTIME_TIMEOUT_MS, &status, err) < 0) {
        proc_stop(pid, 0);
        return error_wrap(err, "container '%s': the runtime hangs", ref->id);
    }
    return status == 0 ? 0 : runtime_failed(ref, call, status, err);
}

/* --- the first process --- */

static int read_started(const struct container_ref *ref, pid_t *ret_pid, uint64_t *ret_start,
                        struct error *err)
{
    CLEANUP(text) char *path = fs_join(ref->dir, "started");
    CLEANUP(buf) struct buf text = BUF_INIT(256);
    uint64_t pid, start;

    if (!path)
        return error_no_memory(err);
    if (fs_read_at(AT_FDCWD, path, &text, err) < 0)
        return -1;
    struct str rest = buf_str(&text);
    if (!str_to_u64(str_word(&rest), &pid) || !str_to_u64(str_word(&rest), &start) || pid < 2 ||
        pid > INT32_MAX)
        return error_set(err, ERR_INVALID, "'%s' is damaged", path);
    *ret_pid = (pid_t)pid;
    *ret_start = start;
    return 0;
}

/* DIR/started = "PID START". */
static int note_started(const struct container_ref *ref, pid_t *ret_pid, struct error *err)
{
    CLEANUP(text) char *pid_path = fs_join(ref->dir, "pid");
    CLEANUP(text) char *path = fs_join(ref->dir, "started");
    CLEANUP(buf) struct buf text = BUF_INIT(64), out = BUF_INIT(128);
    uint64_t pid;

    if (!pid_path || !path)
        return error_no_memory(err);
    if (fs_read_at(AT_FDCWD, pid_path, &text, err) < 0)
        return -1;
    if (!str_to_u64(str_trim(buf_str(&text)), &pid) || pid < 2 || pid > INT32_MAX)
        return error_set(err, ERR_INVALID, "container '%s': no pid in '%s'", ref->id, pid_path);
    buf_addf(&out, "%llu %llu\n", (unsigned long long)pid,
             (unsigned long long)runtime_start_time((pid_t)pid));
    if (fs_write_quick(AT_FDCWD, path, buf_str(&out), 0600, err) < 0)
        return -1;
    *ret_pid = (pid_t)pid;
    return 0;
}

int container_start(const struct container_options *o, pid_t *ret_pid, struct error *err)
{
    CLEANUP(runtime_call) struct runtime_call call = {0};
    struct container_ref ref = ref_of(o);
    struct error later = ERROR_INIT;

    if (check_ref(&ref, err) < 0 || begin_call(&ref, "run", &call, err) < 0)
        return -1;
    strv_add(&call.argv, "--detach");
    strv_addf(&call.argv, "--pid-file=%s/pid", o->dir);
    strv_addf(&call.argv, "--bundle=%s", o->dir);
    strv_add(&call.argv, o->id);
    if (strv_ok(&call.argv, err) < 0)
        return -1;
    struct proc_options options = proc_of(&call);
    options.stdout_fd = o->stdout_fd;
    options.stderr_fd = o->stderr_fd;
    options.new_session = true; /* a Ctrl-C at our terminal is not for containers */
    if (run_call(&ref, &call, &options, err) == 0) {
        if (note_started(&ref, ret_pid, err) < 0)
            return -1;
        runtime_adopt(*ret_pid);
        return 0;
    }
    /* crun fails so when the program ended within milliseconds: it did run, its exit status tells
     * the rest. */
    if (!strstr(err->text, "open pidfd") || note_started(&ref, ret_pid, &later) < 0)
        return -1;
    error_clear(err);
    runtime_adopt(*ret_pid);
    return 0;
}

int container_pid(const struct container_ref *ref, pid_t *ret_pid, struct error *err)
{
    uint64_t start;
    return check_ref(ref, err) < 0 ? -1 : read_started(ref, ret_pid, &start, err);
}

/* A pidfd of the first process; -1 in *ret_fd if it is gone. */
static int open_first(const struct container_ref *ref, int *ret_fd, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    uint64_t start;
    pid_t pid;

    *ret_fd = -1;
    if (read_started(ref, &pid, &start, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err); /* never started */
        return 0;
    }
    fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0 && errno != ESRCH)
        return error_errno(err, "cannot open process %d", pid);
    if (fd >= 0 && runtime_start_time(pid) == start) /* else the number is somebody else's by now */
        *ret_fd = TAKE_FD(fd);
    return 0;
}

static int read_cgroup(const struct container_ref *ref, char **ret_path, struct error *err)
{
    CLEANUP(text) char *path = fs_join(ref->dir, "config.json");
    CLEANUP(json) json_t *config = NULL;

    if (!path)
        return error_no_memory(err);
    if (json_read_file(AT_FDCWD, path, &config, err) < 0)
        return -1;
    const char *cgroup = json_str_at(config, "linux.cgroupsPath");
    *ret_path = str_dup(str_of(cgroup ? cgroup : ""));
    return *ret_path ? 0 : error_no_memory(err);
}

static int kill_all(const struct container_ref *ref, int signal, size_t *ret_count,
                    struct error *err)
{
    CLEANUP(text) char *cgroup = NULL;

    *ret_count = 0;
    if (read_cgroup(ref, &cgroup, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err); /* deleted already */
        return 0;
    }
    return runtime_cgroup_kill(cgroup, signal, ret_count, err);
}

int container_kill(const struct container_ref *ref, int signal, bool all, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    size_t count;

    if (check_ref(ref, err) < 0)
        return -1;
    if (all)
        return kill_all(ref, signal, &count, err);
    if (open_first(ref, &fd, err) < 0)
        return -1;
    if (fd >= 0 && syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0 && errno != ESRCH)
        return error_errno(err, "cannot send signal %d to container '%s'", signal, ref->id);
    return 0;
}

/* --- exec --- */

/* The runtime's exit code 1 could be the program's, so we look ourselves. */
static int check_runs(const struct container_ref *ref, struct error *err)
{
    CLEANUP(fd) int fd = -1;

    if (open_first(ref, &fd, err) < 0)
        return -1;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (fd < 0 || poll(&wait, 1, 0) > 0)
        return error_set(err, ERR_NOT_FOUND, "container '%s' does not run", ref->id);
    return 0;
}

static int exec_call(const struct container_ref *ref, const struct container_exec *exec,
                     const char *pid_file, struct runtime_call *call, struct error *err)
{
    if (check_ref(ref, err) < 0 || check_runs(ref, err) < 0 ||
        begin_call(ref, "exec", call, err) < 0)
        return -1;
    if (!exec->args || !exec->args[0])
        return error_set(err, ERR_INVALID, "container '%s': nothing to execute", ref->id);
    if (pid_file)
        strv_addf(&call->argv, "--pid-file=%s", pid_file);
    if (exec->cwd)
        strv_addf(&call->argv, "--cwd=%s", exec->cwd);
    for (const char *const *env = exec->env; env && *env; env++)
        strv_addf(&call->argv, "--env=%s", *env);
    strv_add(&call->argv, ref->id);
    for (const char *const *arg = exec->args; *arg; arg++)
        strv_add(&call->argv, *arg);
    return strv_ok(&call->argv, err);
}

static int start_exec(const struct container_exec *exec, const struct runtime_call *call,
                      pid_t *ret_pid, struct error *err)
{
    struct proc_options options = proc_of(call);

    options.stdin_fd = exec->stdin_fd;
    options.stdout_fd = exec->stdout_fd;
    options.stderr_fd = exec->stderr_fd;
    return proc_start(&options, ret_pid, err);
}

int container_exec_start(const struct container_ref *ref, const struct container_exec *exec,
                         pid_t *ret_pid, struct error *err)
{
    CLEANUP(runtime_call) struct runtime_call call = {0};

    if (exec_call(ref, exec, NULL, &call, err) < 0)
        return -1;
    return start_exec(exec, &call, ret_pid, err);
}

/* The program inside outlives the runtime's exec process, so it is killed by its own pid. */
static void kill_exec(const char *pid_file, pid_t runtime)
{
    CLEANUP(buf) struct buf text = BUF_INIT(64);
    struct error ignored =
        ERROR_INIT; /* not written yet: then only the runtime is there to be killed */
    uint64_t pid;

    if (fs_read_at(AT_FDCWD, pid_file, &text, &ignored) == 0 &&
        str_to_u64(str_trim(buf_str(&text)), &pid) && pid > 1 && pid <= INT32_MAX)
        (void)kill((pid_t)pid, SIGKILL); /* gone already is fine */
    proc_stop(runtime, 100);
}

int container_exec(const struct container_ref *ref, const struct container_exec *exec,
                   int timeout_ms, int *ret_exit, struct error *err)
{
    CLEANUP(runtime_call) struct runtime_call call = {0};
    CLEANUP(text)
    char *pid_file =
        str_format("%s/exec-%d-%lld.pid", ref->dir, getpid(), (long long)clock_monotonic_us());
    struct error ignored = ERROR_INIT; /* a pid file that stays goes with the folder */
    pid_t pid;
    int status = 0;

    if (!pid_file)
        return error_no_memory(err);
    if (exec_call(ref, exec, pid_file, &call, err) < 0 || start_exec(exec, &call, &pid, err) < 0)
        return -1;
    int result = proc_wait(pid, timeout_ms, &status, err);
    if (result < 0)
        kill_exec(pid_file, pid);
    if (fs_remove(AT_FDCWD, pid_file, &ignored) < 0)
        error_clear(&ignored);
    if (result < 0)
        return error_wrap(err, "container '%s': exec of '%s'", ref->id, exec->args[0]);
    *ret_exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return 0;
}

/* --- delete --- */

/* Kills until the cgroup is empty and the first process is gone. */
static int end_all(const struct container_ref *ref, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    int64_t deadline = clock_monotonic_ms() + GONE_TIMEOUT_MS;
    size_t count;

    if (open_first(ref, &fd, err) < 0)
        return -1;
    for (;;) {
        if (fd >= 0)
            (void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0); /* gone already is fine */
        if (kill_all(ref, SIGKILL, &count, err) < 0)
            return -1;
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        bool first_gone = fd < 0 || poll(&wait, 1, 0) > 0;
        if (count == 0 && first_gone)
            return 0;
        if (clock_monotonic_ms() > deadline)
            return error_set(err, ERR_TIMEOUT, "container '%s': processes do not end", ref->id);
        /* Others of the cgroup have no descriptor to wait on: look again after a millisecond. */
        (void)poll(&wait, first_gone ? 0 : 1, first_gone ? 1 : 20);
    }
}

static int delete_state(const struct container_ref *ref, struct error *err)
{
    CLEANUP(runtime_call) struct runtime_call call = {0};
    CLEANUP(text) char *state = fs_join(ref->state_dir, ref->id);

    if (!state)
        return error_no_memory(err);
    if (!fs_exists(AT_FDCWD, state))
        return 0;
    if (begin_call(ref, "delete", &call, err) < 0)
        return -1;
    strv_add(&call.argv, "--force");
    strv_add(&call.argv, ref->id);
    if (strv_ok(&call.argv, err) < 0)
        return -1;
    struct proc_options options = proc_of(&call);
    if (run_call(ref, &call, &options, err) < 0) {
        /* A state that the runtime cannot read (killed half-way through a start) is only files. */
        error_clear(err);
        return fs_remove_tree(AT_FDCWD, state, err);
    }
    return 0;
}

int container_delete(const struct container_ref *ref, struct error *err)
{
    CLEANUP(text) char *cgroup = NULL;

    if (check_ref(ref, err) < 0)
        return -1;
    if (end_all(ref, err) < 0 || delete_state(ref, err) < 0)
        return error_wrap(err, "deleting container '%s'", ref->id);
    if (fs_exists(AT_FDCWD, ref->dir) && read_cgroup(ref, &cgroup, err) < 0 &&
        err->kind == ERR_NOT_FOUND)
        error_clear(err); /* it was never prepared */
    if (cgroup && cgroup[0] && container_cgroup_remove(cgroup, err) < 0)
        return error_wrap(err, "deleting container '%s'", ref->id);
    if (runtime_unmount(ref->dir, err) < 0 || fs_remove_tree(AT_FDCWD, ref->dir, err) < 0)
        return error_wrap(err, "deleting container '%s'", ref->id);
    return 0;
}
