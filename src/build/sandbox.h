/* build/sandbox.h - where buildpacks run: a container with nothing of the host's in it.
 *
 * Root is the stack's build image (overlay, writes go to a tmpfs of limited size); /workspace,
 * /layers, /tmp and /home/cnb lie in the same tmpfs; own user (not root, no capabilities, no new
 * privileges, seccomp), own pid, ipc, uts, mount and network namespace. The network has a loopback
 * device and one listener on it: the allow-list proxy (proxy.h), which runs outside. A supervisor
 * process holds it all; when the supervisor or the process that made the sandbox dies, by any
 * means, the container dies, and its mounts and namespaces go with it. */
#pragma once
#include "base/error.h"
#include "base/str.h"

struct sandbox;

struct sandbox_options {
    const char *const *root_lowers; /* NULL-ended: overlay lowerdirs of /, topmost first */
    const char *const
        *layer_lowers;        /* NULL-ended: lowerdirs of /layers, topmost first; may be empty */
    const char *const *binds; /* NULL-ended: "HOST:INSIDE", read-only */
    const char *agent; /* the static program that runs commands inside (launcher/sandbox_agent.c) */
    uint32_t uid, gid;
    const char *const *allow_hosts; /* NULL or NULL-ended; NULL: no proxy, no way out */
    uint64_t memory_bytes;          /* 0: 3 GiB; what lies in the tmpfs counts */
    uint64_t disk_bytes;            /* 0: 2 GiB; size of the tmpfs */
    uint64_t files_max;             /* 0: 1,000,000 inodes */
    unsigned pids;                  /* 0: 512 */
    unsigned cpu_percent;           /* 0: no limit; 100: one core */
};

/* Starts it: the agent is running and waits. */
NODISCARD int sandbox_new(const struct sandbox_options *options, struct sandbox **ret,
                          struct error *err);
/* Ends everything inside and waits until mounts and cgroup are gone. */
void sandbox_free(struct sandbox *sandbox);
DEFINE_CLEANUP(sandbox, struct sandbox *, sandbox_free)

int sandbox_workspace_fd(const struct sandbox *sandbox); /* folder /workspace; borrowed */
int sandbox_layers_fd(const struct sandbox *sandbox);    /* folder /layers as seen inside */
int sandbox_layers_upper_fd(
    const struct sandbox *sandbox);                     /* only what was written since the start */
int sandbox_platform_fd(const struct sandbox *sandbox); /* folder /platform */
uint16_t sandbox_proxy_port(const struct sandbox *sandbox); /* 0 without proxy */

struct sandbox_command {
    const char *const *argv;
    const char *const *envp;
    const char *cwd;
    int timeout_ms; /* 0: 10 minutes */
    void (*on_output)(struct str bytes,
                      void *ctx); /* standard output and error together; NULL: dropped */
    void *ctx;
};
/* Runs one program inside to its end; what it left running is killed. *ret_exit: 0-255, or 128 +
 * signal. LIMIT: deadline passed or memory used up. */
NODISCARD int sandbox_run(struct sandbox *sandbox, const struct sandbox_command *command,
                          int *ret_exit, struct error *err);
/* Hosts that were asked for and refused since the last call, "host:port". */
void sandbox_refused(struct sandbox *sandbox, struct strv *out);
