/* launcher/launch.h - what to execute: process type and arguments, environment of all layers,
 * working folder (buildpacks spec, platform.md, "launcher"). */
#pragma once
#include "env.h"
#include "metadata.h"

enum { LAUNCH_FAILED_EXIT = 82 }; /* CNB: launch phase */

struct launch {
    const char *program;
    struct list argv;
    struct env env;
    const char *cwd;
    const char *type; /* process type, or "" for a command of the user's own */
};

/* Runs exec.d programs on the way. False: said on standard error. */
bool launch_prepare(int argc, char **argv, char **envp, struct launch *ret);
/* chdir and execve; comes back only on failure, with -errno. */
int launch_exec(const struct launch *launch);
