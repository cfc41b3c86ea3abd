/* base/proc.h - starting other programs: argv, never a shell string. */
#pragma once
#include <sys/types.h>

#include "base/buf.h"

struct loop;

/* What the child does before exec, all in async-signal-safe calls. Zeroed fields: inherit. */
struct proc_options {
    const char *const *argv; /* argv[0] is looked up in PATH unless it holds a slash */
    const char *const *envp; /* NULL: ours */
    const char *cwd;         /* NULL: ours */
    int stdin_fd;            /* -1: /dev/null */
    int stdout_fd;           /* -1: /dev/null */
    int stderr_fd;           /* -1: /dev/null */
    const int *keep_fds;     /* further descriptors: keep_fds[i] becomes 3+i in the child */
    size_t keep_fds_count;
    int netns_fd;      /* 0 or -1: ours; else setns() to it */
    bool hide_cgroup2; /* private mount namespace without /sys/fs/cgroup/unified: see oci/runtime.h
                        */
    bool new_session;  /* setsid(), so that a kill of our terminal's group spares it */
    bool die_with_parent;
    uid_t uid; /* 0: ours; else setgroups(0), setgid, setuid */
    gid_t gid;
};
#define PROC_OPTIONS_INIT                                                                          \
    {                                                                                              \
        .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .netns_fd = -1                           \
    }

/* Starts the program; a failed exec is reported here (by a pipe), with the reason. */
NODISCARD int proc_start(const struct proc_options *options, pid_t *ret_pid, struct error *err);
/* Waits up to timeout_ms (-1: for ever). *ret_status as of waitpid. TIMEOUT leaves it running. */
NODISCARD int proc_wait(pid_t pid, int timeout_ms, int *ret_status, struct error *err);
/* TERM, up to grace_ms, KILL, reaped. Never fails: a process that is gone is what we want. */
void proc_stop(pid_t pid, int grace_ms);

/* Runs to the end. Standard output is appended to `out` (NULL: dropped), standard error is kept
 * (last 1 KiB) for the error text. A non-zero exit is ERR_SYSTEM: "'git' exited 128: <its last
 * lines>"; if ret_exit is given a non-zero exit is no error and stands there. Kills it at the
 * deadline. */
NODISCARD int proc_run(const struct proc_options *options, struct str input, struct buf *out,
                       int timeout_ms, int *ret_exit, struct error *err);
/* proc_run() of argv alone, as in PROC_RUN(&out, 5000, err, "git", "-C", dir, "rev-parse", "HEAD").
 */
NODISCARD int proc_run_argv(const char *const *argv, struct buf *out, int timeout_ms,
                            struct error *err);
#define PROC_RUN(out, timeout_ms, err, ...)                                                        \
    proc_run_argv((const char *const[]){__VA_ARGS__, NULL}, (out), (timeout_ms), (err))

/* "exited 3", "was killed by signal 9 (Killed)". */
const char *proc_status_text(int status, char *out, size_t out_size);
