/* base/proc.c - see base/proc.h. */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/io.h"

enum { STDERR_KEPT = 1024, STDERR_HELD = 1 << 20, CHILD_FDS_MAX = 32 };

extern char **environ;

/* What a child that fails before its exec sends up the pipe. */
struct start_failure {
    int number;
    char step[24];
};

static void child_fail(int report_fd, const char *step)
{
    struct start_failure failure = {.number = errno};

    memcpy(failure.step, step, strlen(step) + 1);
    (void)!write(report_fd, &failure, sizeof failure); /* the exit status tells if this is lost */
    _exit(127);
}

/* All descriptors go above the range that they are moved into, so that none is overwritten. */
static void child_fds(const struct proc_options *options, int report_fd)
{
    int moved[3 + CHILD_FDS_MAX];
    int base = 3 + CHILD_FDS_MAX + 1;
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    const int standard[3] = {options->stdin_fd, options->stdout_fd, options->stderr_fd};
    int count = 3 + (int)options->keep_fds_count;

    if (null_fd < 0)
        child_fail(report_fd, "open /dev/null");
    for (int i = 0; i < count; i++) {
        int from = i < 3 ? standard[i] : options->keep_fds[i - 3];
        moved[i] = fcntl(from < 0 ? null_fd : from, F_DUPFD_CLOEXEC, base);
        if (moved[i] < 0)
            child_fail(report_fd, "dup");
    }
    for (int i = 0; i < count; i++) {
        if (dup2(moved[i], i) < 0)
            child_fail(report_fd, "dup2");
    }
}

static void child_identity(const struct proc_options *options, int report_fd)
{
    if (options->gid != 0 &&
        (setgroups(0, NULL) < 0 || setresgid(options->gid, options->gid, options->gid) < 0))
        child_fail(report_fd, "setgid");
    if (options->uid != 0 && setresuid(options->uid, options->uid, options->uid) < 0)
        child_fail(report_fd, "setuid");
}

static void child_namespaces(const struct proc_options *options, int report_fd)
{
    if (options->netns_fd > 0 && setns(options->netns_fd, CLONE_NEWNET) < 0)
        child_fail(report_fd, "setns");
    if (!options->hide_cgroup2)
        return;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        child_fail(report_fd, "unshare");
    if (umount2("/sys/fs/cgroup/unified", MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
        child_fail(report_fd, "umount cgroup2");
}

static void child_run(const struct proc_options *options, int report_fd, pid_t parent)
{
    sigset_t none;
    int safe_report = fcntl(report_fd, F_DUPFD_CLOEXEC, 3 + CHILD_FDS_MAX + 200);

    if (safe_report < 0)
        child_fail(report_fd, "dup");
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL); /* cannot fail with these arguments */
    for (int number = 1; number < 32; number++)
        (void)signal(number, SIG_DFL); /* KILL and STOP refuse, as they should */
    if (options->new_session && setsid() < 0)
        child_fail(safe_report, "setsid");
    child_fds(options, safe_report);
    child_namespaces(options, safe_report);
    if (options->cwd && chdir(options->cwd) < 0)
        child_fail(safe_report, "chdir");
    child_identity(options, safe_report);
    if (options->die_with_parent) {
        /* After setuid, which clears it. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
            child_fail(safe_report, "prctl");
        if (getppid() != parent)
            _exit(127);
    }
    if (options->envp)
        environ = (char **)(uintptr_t)options->envp;
    execvp(options->argv[0], (char *const *)(uintptr_t)options->argv);
    child_fail(safe_report, "exec");
}

int proc_start(const struct proc_options *options, pid_t *ret_pid, struct error *err)
{
    struct start_failure failure;
    int report[2];
    size_t got = 0;

    if (options->keep_fds_count > CHILD_FDS_MAX)
        return error_set(err, ERR_LIMIT, "more than %d descriptors for a child", CHILD_FDS_MAX);
    if (pipe2(report, O_CLOEXEC) < 0)
        return error_errno(err, "cannot make a pipe");
    CLEANUP(fd) int report_read = report[0];
    CLEANUP(fd) int report_write = report[1];
    pid_t parent = getpid();
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    /* The child must not run one of our handlers before it has reset them. */
    (void)sigprocmask(SIG_SETMASK, &all, &before); /* cannot fail with these arguments */
    pid_t pid = fork();
    if (pid == 0)
        child_run(options, report_write, parent);
    (void)sigprocmask(SIG_SETMASK, &before, NULL); /* as above */
    if (pid < 0)
        return error_errno(err, "cannot start '%s'", options->argv[0]);
    io_close(&report_write);
    if (io_read(report_read, &failure, sizeof failure, &got, err) < 0 || got == sizeof failure) {
        (void)waitpid(pid, NULL, 0); /* it has ended or is about to */
        if (got != sizeof failure)
            return -1;
        failure.step[sizeof failure.step - 1] = 0;
        errno = failure.number;
        return error_errno(err, "cannot start '%s' (%s)", options->argv[0], failure.step);
    }
    *ret_pid = pid;
    return 0;
}

static int reap(pid_t pid, int *ret_status, struct error *err)
{
    pid_t got;

    do
        got = waitpid(pid, ret_status, 0);
    while (got < 0 && errno == EINTR);
    return got < 0 ? error_errno(err, "cannot wait for process %d", (int)pid) : 0;
}

int proc_wait(pid_t pid, int timeout_ms, int *ret_status, struct error *err)
{
    int64_t deadline = clock_monotonic_ms() + timeout_ms;
    int status = 0;

    if (timeout_ms >= 0) {
        CLEANUP(fd) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (fd < 0)
            return error_errno(err, "cannot watch process %d", (int)pid);
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int ready;
        do {
            int64_t left = deadline - clock_monotonic_ms();
            ready = poll(&wait, 1, left > 0 ? (int)left : 0);
        } while (ready < 0 && errno == EINTR);
        if (ready < 0)
            return error_errno(err, "cannot wait for process %d", (int)pid);
        if (ready == 0)
            return error_set(err, ERR_TIMEOUT, "process %d still runs after %d ms", (int)pid,
                             timeout_ms);
    }
    if (reap(pid, &status, err) < 0)
        return -1;
    if (ret_status)
        *ret_status = status;
    return 0;
}

void proc_stop(pid_t pid, int grace_ms)
{
    struct error err = ERROR_INIT;

    if (pid <= 0)
        return;
    (void)kill(pid, SIGTERM); /* gone already is what we want */
    if (grace_ms > 0 && proc_wait(pid, grace_ms, NULL, &err) == 0)
        return;
    (void)kill(pid, SIGKILL);              /* as above */
    (void)!proc_wait(pid, -1, NULL, &err); /* as above */
}

struct exchange {
    int in_fd, out_fd, error_fd;
    struct str input;
    struct buf *out;
    struct buf errors;
};

static int drain(int *fd, struct buf *into, struct error *err)
{
    char chunk[65536];
    ssize_t n = read(*fd, chunk, sizeof chunk);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n <= 0) {
        io_close(fd);
        return 0;
    }
    if (into) {
        buf_add(into, chunk, (size_t)n);
        if (buf_ok(into, err) < 0)
            return -1;
    }
    return 0;
}

/* Feeds and reads until the child has closed all, or the deadline. */
static int exchange_run(struct exchange *x, int64_t deadline, struct error *err)
{
    while (x->out_fd >= 0 || x->error_fd >= 0 || x->in_fd >= 0) {
        struct pollfd wait[3] = {{.fd = x->out_fd, .events = POLLIN},
                                 {.fd = x->error_fd, .events = POLLIN},
                                 {.fd = x->in_fd, .events = POLLOUT}};
        int64_t left = deadline < 0 ? -1 : deadline - clock_monotonic_ms();
        if (deadline >= 0 && left <= 0)
            return error_set(err, ERR_TIMEOUT, "no end within its time");
        int ready = poll(wait, 3, left > INT_MAX ? INT_MAX : (int)left);
        if (ready < 0 && errno != EINTR)
            return error_errno(err, "cannot wait for a program");
        if (ready <= 0)
            continue;
        if (wait[0].revents && drain(&x->out_fd, x->out, err) < 0)
            return -1;
        if (wait[1].revents) {
            if (x->errors.len > STDERR_HELD / 2)
                buf_drop(&x->errors, x->errors.len - STDERR_KEPT);
            if (drain(&x->error_fd, &x->errors, err) < 0)
                return -1;
        }
        if (wait[2].revents) {
            ssize_t n = x->input.len ? write(x->in_fd, x->input.ptr, x->input.len) : 0;
            if (n > 0)
                x->input = str_skip(x->input, (size_t)n);
            if (x->input.len == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                io_close(&x->in_fd);
        }
    }
    return 0;
}

static int pipe_pair(int ends[2], bool parent_writes, struct error *err)
{
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(err, "cannot make a pipe");
    if (fcntl(ends[parent_writes ? 1 : 0], F_SETFL, O_NONBLOCK) < 0)
        return error_errno(err, "cannot set up a pipe");
    return 0;
}

int proc_run(const struct proc_options *options, struct str input, struct buf *out, int timeout_ms,
             int *ret_exit, struct error *err)
{
    struct proc_options with_pipes = *options;
    struct exchange x = {-1, -1, -1, input, out, BUF_INIT(STDERR_HELD)};
    CLEANUP(buf) struct buf errors_owner = BUF_INIT(0);
    int in[2] = {-1, -1}, output[2] = {-1, -1}, errors[2] = {-1, -1};
    pid_t pid = -1;
    int status = 0;

    int result = pipe_pair(in, true, err) < 0 || pipe_pair(output, false, err) < 0 ||
                         pipe_pair(errors, false, err) < 0
                     ? -1
                     : 0;
    if (result == 0) {
        with_pipes.stdin_fd = in[0];
        with_pipes.stdout_fd = output[1];
        with_pipes.stderr_fd = options->stderr_fd >= 0 ? options->stderr_fd : errors[1];
        result = proc_start(&with_pipes, &pid, err);
    }
    io_close(&in[0]);
    io_close(&output[1]);
    io_close(&errors[1]);
    x.in_fd = in[1];
    x.out_fd = output[0];
    x.error_fd = errors[0];
    if (result == 0)
        result = exchange_run(&x, timeout_ms < 0 ? -1 : clock_monotonic_ms() + timeout_ms, err);
    io_close(&x.in_fd);
    io_close(&x.out_fd);
    io_close(&x.error_fd);
    errors_owner = x.errors;
    if (result < 0) {
        if (pid > 0)
            proc_stop(pid, 0);
        return error_wrap(err, "running '%s'", options->argv[0]);
    }
    if (proc_wait(pid, -1, &status, err) < 0)
        return -1;
    if (ret_exit && WIFEXITED(status)) {
        *ret_exit = WEXITSTATUS(status);
        return 0;
    }
    if (status == 0)
        return 0;
    char how[64];
    struct str said = str_trim(buf_str(&errors_owner));
    if (said.len > STDERR_KEPT)
        said = str_skip(said, said.len - STDERR_KEPT);
    return error_set(err, ERR_SYSTEM, "'%s' %s%s%.*s", options->argv[0],
                     proc_status_text(status, how, sizeof how), said.len ? ": " : "",
                     STR_ARG(said));
}

int proc_run_argv(const char *const *argv, struct buf *out, int timeout_ms, struct error *err)
{
    struct proc_options options = PROC_OPTIONS_INIT;

    options.argv = argv;
    return proc_run(&options, STR_NONE, out, timeout_ms, NULL, err);
}

const char *proc_status_text(int status, char *out, size_t out_size)
{
    /* Cut to fit by design. */
    if (WIFEXITED(status))
        (void)snprintf(out, out_size, "exited %d", WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        (void)snprintf(out, out_size, "was killed by signal %d (%s)", WTERMSIG(status),
                       sigdescr_np(WTERMSIG(status)));
    else
        (void)snprintf(out, out_size, "changed state %d", status);
    return out;
}
