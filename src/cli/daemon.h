/* cli/daemon.h - starting and ending the daemons of a home: detached, with a log file, a pid file
 * that the daemon itself locks, and a pipe on which it says that it is ready. */
#pragma once
#include "cli/cli.h"

struct daemon_options {
    const char *name;             /* for messages: "agent staging" */
    const char *const *arguments; /* after the program and --home HOME; NULL-ended */
    const char *log_path;
    const char *pid_path;
    int timeout_ms; /* to be ready */
};

/* The pid of the daemon that holds the lock on pid_path, or 0. */
int daemon_pid(const char *pid_path);
/* Starts it unless it runs, and waits until it is ready. If it ends first, the error holds the last
 * lines of its log. */
NODISCARD int daemon_start(const struct cli *cli, const struct daemon_options *options,
                           struct error *err);
/* TERM, up to grace_ms, then KILL; waits until it is gone. Not running is fine. */
void daemon_stop(const char *pid_path, int grace_ms);
