/* oci/runtime.h - running containers: config.json, overlay mount, crun (runc where crun is
 * missing).
 *
 * One folder a container: DIR/{config.json,rootfs,rw,pid,started,runtime.log}. The caller is the
 * subreaper (PR_SET_CHILD_SUBREAPER), so it reaps the container's first process, whose pid
 * container_start() gives. The runtime runs in a mount namespace of its own without
 * /sys/fs/cgroup/unified: crun 1.8 refuses a cgroup2 mount beside cgroup v1 ones (hybrid mode). No
 * resource limit (rlimit) is raised above ours. Nothing is inherited but the two output
 * descriptors. All calls block for tens of milliseconds. Source: runtime-spec 1.0.2 config.md,
 * config-linux.md. */
#pragma once
#include <sys/types.h>

#include "base/loop.h"
#include "wire/json.h"

enum container_mount_kind { CONTAINER_BIND_RO, CONTAINER_BIND_RW, CONTAINER_TMPFS };
struct container_mount {
    enum container_mount_kind kind;
    const char *source; /* absolute; NULL for a tmpfs */
    const char *target; /* absolute, in the container */
    uint64_t size;      /* bytes of a tmpfs; 0: 64 MiB */
    uint32_t mode;      /* of a tmpfs; 0: 01777 */
    bool exec; /* programs on it may run: a tmpfs is noexec otherwise; binds may always, unless
                  noexec */
    bool noexec;
};

struct container_options {
    const char *state_dir; /* the runtime's --root; one for all containers of a caller */
    const char *dir;       /* of this container; made; absolute */
    const char *id;        /* unique in state_dir: letters, digits, '-', '_', '.' */

    /* One of these: an overlay of lowerdirs (topmost first; writable above unless readonly_root),
     * or a folder as it is. */
    const char *const *lowerdirs; /* NULL-ended */
    const char *rootfs;
    bool readonly_root;
    uint64_t writable_max; /* bytes of the overlay's upper on a tmpfs; 0: upper is a plain folder in
                              `dir` */

    const char *const *args; /* NULL-ended; args[0] looked up by the env's PATH */
    const char *const *env;  /* NULL-ended "K=V"; NULL: none */
    const char *cwd;         /* NULL: "/" */
    uint32_t uid, gid;
    const uint32_t *groups;
    size_t group_count;
    uint32_t umask; /* 0: 022 */

    /* Namespaces to join, as paths; NULL: a new one. */
    const char *netns;
    const char *ipcns;
    const char *utsns;
    const char *pidns;
    const char *hostname; /* ignored with utsns */

    const struct container_mount *mounts;
    size_t mount_count;
    bool no_sysfs;                   /* no /sys (a build needs none) */
    const char *const *capabilities; /* NULL-ended "CAP_CHOWN"…; NULL: none at all */
    bool allow_new_privileges;       /* default: no_new_privs is set */
    bool unconfined;                 /* without the seccomp profile */

    uint64_t memory_max;  /* bytes; 0: none */
    uint32_t cpu_shares;  /* 0: default; milliCPU * 1024 / 1000 */
    int64_t cpu_quota_us; /* in each 100 ms; 0: none */
    uint32_t pids_max;    /* 0: CONTAINER_PIDS_DEFAULT */
    const char *cgroup;   /* path below each controller, "/monban/dev/POD/CTR"; NULL: "/monban-ID".
                           * container_delete() removes it, but not the folders above it */
    int oom_score_adj;

    int stdout_fd; /* -1: /dev/null; borrowed */
    int stderr_fd;
};
enum { CONTAINER_PIDS_DEFAULT = 4096 };
#define CONTAINER_OPTIONS_INIT                                                                     \
    {                                                                                              \
        .stdout_fd = -1, .stderr_fd = -1                                                           \
    }

/* Docker's default capabilities, NULL-ended, for those who ask for them. */
extern const char *const container_default_capabilities[];

/* The config.json for these options; `rootfs` is the path of the mounted root. Pure. A new
 * reference. */
NODISCARD int container_config(const struct container_options *options, const char *rootfs,
                               json_t **ret, struct error *err);
/* Makes `dir`, mounts the overlay, writes config.json. On failure nothing is left. */
NODISCARD int container_prepare(const struct container_options *options, struct error *err);
/* Starts what was prepared; the process runs when this returns. *ret_pid: its first process, the
 * caller's to reap. A program that cannot be executed is INVALID with the runtime's text. */
NODISCARD int container_start(const struct container_options *options, pid_t *ret_pid,
                              struct error *err);

/* A container that was started, also by an earlier process of ours. */
struct container_ref {
    const char *state_dir, *dir, *id;
};
/* To the first process, or (`all`) to every process of its cgroup. Gone already is fine. */
NODISCARD int container_kill(const struct container_ref *ref, int signal, bool all,
                             struct error *err);
/* The first process's pid, from `dir`/pid; NOT_FOUND if it never started. */
NODISCARD int container_pid(const struct container_ref *ref, pid_t *ret_pid, struct error *err);

struct container_exec {
    const char *const *args;            /* NULL-ended */
    const char *const *env;             /* added to the container's; may be NULL */
    const char *cwd;                    /* NULL: the container's */
    int stdin_fd, stdout_fd, stderr_fd; /* -1: /dev/null */
};
/* Runs a program inside and waits; TIMEOUT kills it; NOT_FOUND if the container does not run.
 * *ret_exit: its exit code, 128 + signal if killed. */
NODISCARD int container_exec(const struct container_ref *ref, const struct container_exec *exec,
                             int timeout_ms, int *ret_exit, struct error *err);
/* The same without waiting: *ret_pid ends with the program, with its exit code. */
NODISCARD int container_exec_start(const struct container_ref *ref,
                                   const struct container_exec *exec, pid_t *ret_pid,
                                   struct error *err);
/* Kills all that runs, deletes the runtime's state, the cgroups, the mount, and `dir`. May be
 * repeated. */
NODISCARD int container_delete(const struct container_ref *ref, struct error *err);

/* Removes a cgroup and all below from every controller's tree: for the folders above containers
 * ("/monban/dev"). Gone already is fine; SYSTEM (EBUSY) if a process is left in it. */
NODISCARD int container_cgroup_remove(const char *path, struct error *err);
/* Bytes now used by the container's cgroup, and processor time used; 0 where unknown. */
void container_usage(const char *cgroup, uint64_t *ret_memory, uint64_t *ret_cpu_ns);
