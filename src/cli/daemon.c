/* cli/daemon.c - see cli/daemon.h. */
#include "cli/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/io.h"
#include "base/proc.h"

enum { LOG_TAIL = 1200, LOG_MAX = 16 << 20 };

int daemon_pid(const char *pid_path)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT(64);
    uint64_t pid;
    CLEANUP(fd) int fd = open(pid_path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    if (flock(fd, LOCK_SH | LOCK_NB) == 0)
        return 0; /* nobody holds it: the file is of a daemon that has ended */
    if (io_read_all(fd, &text, &err) < 0 || !str_to_u64(str_trim(buf_str(&text)), &pid))
        return 0;
    return (int)pid;
}

/* What the daemon said last: the text of its failure. */
static int failed_to_start(const struct daemon_options *options, off_t log_start, struct error *err)
{
    CLEANUP(fd) int fd = open(options->log_path, O_RDONLY | O_CLOEXEC);
    CLEANUP(buf) struct buf text = BUF_INIT(LOG_MAX);
    struct error lost = ERROR_INIT;

    if (fd < 0 || lseek(fd, log_start, SEEK_SET) < 0 || io_read_all(fd, &text, &lost) < 0)
        return error_set(err, ERR_SYSTEM, "%s ended at its start; see '%s'", options->name,
                         options->log_path);
    struct str said = str_trim(buf_str(&text));
    if (said.len > LOG_TAIL)
        said = str_skip(said, said.len - LOG_TAIL);
    return error_set(err, ERR_SYSTEM, "%s ended at its start: %.*s", options->name, STR_ARG(said));
}

static int wait_ready(const struct daemon_options *options, int ready_fd, pid_t pid,
                      off_t log_start, struct error *err)
{
    struct pollfd wait = {.fd = ready_fd, .events = POLLIN};
    int64_t deadline = clock_monotonic_ms() + options->timeout_ms;
    char byte;
    int ready;

    do {
        int64_t left = deadline - clock_monotonic_ms();
        ready = poll(&wait, 1, left > 0 ? (int)left : 0);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        (void)kill(pid, SIGTERM); /* gone already is what we want */
        return error_set(err, ERR_TIMEOUT, "%s is not ready after %d ms; see '%s'", options->name,
                         options->timeout_ms, options->log_path);
    }
    if (read(ready_fd, &byte, 1) == 1)
        return 0;
    (void)waitpid(pid, NULL, 0); /* it closed its end: it has ended */
    return failed_to_start(options, log_start, err);
}

int daemon_start(const struct cli *cli, const struct daemon_options *options, struct error *err)
{
    CLEANUP(strv) struct strv argv = STRV_INIT;
    CLEANUP(fd) int log_fd = -1;
    int ends[2];
    pid_t pid;

    if (daemon_pid(options->pid_path) > 0)
        return 0;
    strv_add(&argv, cli->program);
    for (const char *const *a = options->arguments; *a; a++)
        strv_add(&argv, *a);
    strv_add(&argv, "--home");
    strv_add(&argv, cli->home);
    strv_add(&argv, "--ready-fd");
    strv_add(&argv, "3");
    if (strv_ok(&argv, err) < 0)
        return -1;
    log_fd = open(options->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        return error_errno(err, "cannot open '%s'", options->log_path);
    off_t log_start = lseek(log_fd, 0, SEEK_END);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(err, "cannot make a pipe");
    CLEANUP(fd) int ready_fd = ends[0];
    CLEANUP(fd) int child_fd = ends[1];
    struct proc_options start = PROC_OPTIONS_INIT;
    start.argv = (const char *const *)argv.items;
    start.cwd = "/";
    start.stdout_fd = log_fd;
    start.stderr_fd = log_fd;
    start.keep_fds = &child_fd;
    start.keep_fds_count = 1;
    start.new_session = true;
    if (proc_start(&start, &pid, err) < 0)
        return error_wrap(err, "starting %s", options->name);
    io_close(&child_fd);
    return wait_ready(options, ready_fd, pid, log_start, err);
}

static bool wait_gone(int pid_fd, int timeout_ms)
{
    struct pollfd wait = {.fd = pid_fd, .events = POLLIN};
    int64_t deadline = clock_monotonic_ms() + timeout_ms;

    for (;;) {
        int64_t left = deadline - clock_monotonic_ms();
        int ready = poll(&wait, 1, left > 0 ? (int)left : 0);
        if (ready > 0)
            return true;
        if (ready == 0)
            return false;
        if (errno != EINTR)
            return false;
    }
}

void daemon_stop(const char *pid_path, int grace_ms)
{
    int pid = daemon_pid(pid_path);
    CLEANUP(fd) int pid_fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

    if (pid_fd < 0)
        return;
    if (syscall(SYS_pidfd_send_signal, pid_fd, SIGTERM, NULL, 0) < 0)
        return; /* gone in between */
    if (wait_gone(pid_fd, grace_ms))
        return;
    (void)syscall(SYS_pidfd_send_signal, pid_fd, SIGKILL, NULL, 0); /* as above */
    (void)wait_gone(pid_fd, grace_ms);
}
