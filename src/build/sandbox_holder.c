/* build/sandbox_holder.c - the supervisor of one sandbox: a process between builder and container.
 *
 * All mounts are made in a mount namespace of its own, so they end with it. It leaves the
 * terminal's session and ignores the signals of a Ctrl-C: it ends when the builder's end of the
 * control socket closes, whatever the reason, and then deletes the container. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "build/proxy.h"
#include "build/sandbox_internal.h"
#include "oci/runtime.h"

enum {
    AGENT_TIMEOUT_MS = 20000, /* until the agent has connected */
    LOWERS_MAX = 16,
    BINDS_MAX = 256,
    CPU_PERIOD_US = 100000,
};

struct work {
    const struct holder *h;
    const struct sandbox_options *o;
    int netns_fd, listen_fd, agent_listener;
    uint16_t proxy_port;
    char *netns, *container_dir, *state_dir; /* owned */
    pid_t container, proxy;
    int fds[HOLDER_FDS];
};

/* Only 0-2 and what we need stay open: no descriptor of the builder may live in here. */
static void keep_only(int *fds, size_t count)
{
    enum { HIGH = 100 };

    for (size_t i = 0; i < count; i++) { /* first out of each other's way, then down to 3… */
        int high = fcntl(fds[i], F_DUPFD_CLOEXEC, HIGH);
        if (high < 0)
            _exit(1);
        fds[i] = high;
    }
    for (size_t i = 0; i < count; i++) {
        if (dup3(fds[i], 3 + (int)i, O_CLOEXEC) < 0)
            _exit(1);
        fds[i] = 3 + (int)i;
    }
    if (syscall(SYS_close_range, 3 + (unsigned)count, ~0U, 0) < 0)
        _exit(1);
}

static void leave_session(void)
{
    int null = open("/dev/null", O_RDWR);

    (void)setsid();
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    if (null >= 0) {
        (void)dup2(null, 0);
        (void)dup2(null, 1);
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    (void)prctl(PR_SET_NAME, "monban-sandbox");
}

static int make_dir(const char *base, const char *name, mode_t mode, uint32_t uid, uint32_t gid,
                    struct error *err)
{
    CLEANUP(text) char *path = fs_join(base, name);

    if (!path)
        return error_no_memory(err);
    if (mkdir(path, 0755) < 0 || chmod(path, mode) < 0 || chown(path, uid, gid) < 0)
        return error_errno(err, "making '%s'", path);
    return 0;
}

static int make_folders(const struct work *w, struct error *err)
{
    const char *dir = w->h->dir;
    uint32_t uid = w->o->uid, gid = w->o->gid;

    if (make_dir(dir, "workspace", 0755, uid, gid, err) < 0 ||
        make_dir(dir, "upper", 0755, uid, gid, err) < 0 ||
        make_dir(dir, "work", 0755, 0, 0, err) < 0 ||
        make_dir(dir, "lower", 0755, uid, gid, err) < 0 ||
        make_dir(dir, "layers", 0755, 0, 0, err) < 0 ||
        make_dir(dir, "platform", 0755, 0, 0, err) < 0 ||
        make_dir(dir, "tmp", 01777, 0, 0, err) < 0 ||
        make_dir(dir, "home", 0755, uid, gid, err) < 0 ||
        make_dir(dir, "socket", 0755, 0, 0, err) < 0 || make_dir(dir, "state", 0700, 0, 0, err) < 0)
        return -1;
    return 0;
}

static int mount_disk(const struct work *w, struct error *err)
{
    char data[128];
    uint64_t size = w->o->disk_bytes ? w->o->disk_bytes : SANDBOX_DISK;
    uint64_t files = w->o->files_max ? w->o->files_max : 1000000;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return error_errno(err, "making a mount namespace");
    snprintf(data, sizeof(data), "size=%llu,nr_inodes=%llu,mode=0755", (unsigned long long)size,
             (unsigned long long)files);
    if (mount("tmpfs", w->h->dir, "tmpfs", MS_NOSUID | MS_NODEV, data) < 0)
        return error_errno(err, "mounting a tmpfs");
    return make_folders(w, err);
}

/* /layers: what is restored and the runtimes below, what the buildpacks write above. */
static int mount_layers(const struct work *w, struct error *err)
{
    CLEANUP(buf) struct buf data = BUF_INIT(1 << 16);
    CLEANUP(text) char *target = fs_join(w->h->dir, "layers");

    buf_add_text(&data, "lowerdir=");
    for (size_t i = 0; w->o->layer_lowers && w->o->layer_lowers[i] && i < LOWERS_MAX; i++)
        buf_addf(&data, "%s:", w->o->layer_lowers[i]);
    buf_addf(&data, "%s/lower,upperdir=%s/upper,workdir=%s/work", w->h->dir, w->h->dir, w->h->dir);
    if (!target || buf_ok(&data, err) < 0)
        return error_no_memory(err);
    if (mount("overlay", target, "overlay", MS_NOSUID | MS_NODEV, buf_text(&data)) < 0)
        return error_errno(err, "mounting /layers");
    return 0;
}

/* A network namespace with its loopback device up; the proxy's socket is made inside. */
static int make_network(struct work *w, struct error *err)
{
    CLEANUP(fd) int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    CLEANUP(fd) int s = -1;
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int result = 0;

    if (home < 0 || unshare(CLONE_NEWNET) < 0)
        return error_errno(err, "making a network namespace");
    w->netns_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (w->netns_fd < 0 || s < 0 || ioctl(s, SIOCSIFFLAGS, &lo) < 0)
        result = error_errno(err, "setting up the sandbox's loopback");
    if (result == 0 && w->o->allow_hosts)
        result = io_listen_tcp("127.0.0.1", 0, -1, &w->listen_fd, &w->proxy_port, err);
    if (setns(home, CLONE_NEWNET) < 0)
        return error_errno(err, "leaving the sandbox's network");
    w->netns = str_format("/proc/%d/fd/%d", (int)getpid(), w->netns_fd);
    return result < 0 ? -1 : w->netns ? 0 : error_no_memory(err);
}

static int start_proxy(struct work *w, struct error *err)
{
    if (w->listen_fd < 0)
        return 0;
    w->proxy = fork();
    if (w->proxy < 0)
        return error_errno(err, "starting the proxy");
    if (w->proxy == 0) {
        int fds[] = {w->listen_fd, w->h->refused_fd};
        keep_only(fds, ARRAY_LEN(fds));
        proxy_serve(fds[0], w->o->allow_hosts, fds[1]);
    }
    io_close(&w->listen_fd);
    return 0;
}

static bool add_mount(struct container_mount *mounts, size_t *count, enum container_mount_kind kind,
                      const char *source, const char *target)
{
    if (*count == BINDS_MAX || !source || !target)
        return false;
    mounts[(*count)++] =
        (struct container_mount){.kind = kind, .source = source, .target = target, .exec = true};
    return true;
}

static int start_container_with(struct work *w, const struct container_mount *mounts, size_t count,
                                struct error *err)
{
    static const char *const args[] = {"/run/sandbox/agent", "/run/sandbox/socket/agent", NULL};
    static const char *const env[] = {"PATH=/usr/bin", NULL};
    struct container_options c = CONTAINER_OPTIONS_INIT;
    CLEANUP(text) char *cgroup = str_format("/monban-%s", w->h->id) /* no parent to leave behind */;

    if (!cgroup)
        return error_no_memory(err);
    c.state_dir = w->state_dir;
    c.dir = w->container_dir;
    c.id = w->h->id;
    c.lowerdirs = w->o->root_lowers;
    c.args = args;
    c.env = env;
    c.uid = w->o->uid;
    c.gid = w->o->gid;
    c.netns = w->netns;
    c.hostname = "build";
    c.mounts = mounts;
    c.mount_count = count;
    c.no_sysfs = true;
    c.memory_max = w->o->memory_bytes ? w->o->memory_bytes : SANDBOX_MEMORY;
    c.cpu_quota_us = (int64_t)w->o->cpu_percent * CPU_PERIOD_US / 100;
    c.pids_max = w->o->pids ? w->o->pids : 512;
    c.cgroup = cgroup;
    c.oom_score_adj = 500; /* before any daemon of ours */
    c.stdout_fd = w->h->output_fd;
    c.stderr_fd = w->h->output_fd;
    if (container_prepare(&c, err) < 0)
        return -1;
    return container_start(&c, &w->container, err);
}

static int start_container(struct work *w, struct error *err)
{
    const char *dir = w->h->dir;
    struct container_mount mounts[BINDS_MAX];
    size_t count = 0;
    CLEANUP(text) char *workspace = fs_join(dir, "workspace");
    CLEANUP(text) char *layers = fs_join(dir, "layers");
    CLEANUP(text) char *platform = fs_join(dir, "platform");
    CLEANUP(text) char *tmp = fs_join(dir, "tmp");
    CLEANUP(text) char *home = fs_join(dir, "home");
    CLEANUP(text) char *socket = fs_join(dir, "socket");
    CLEANUP(strv) struct strv binds = STRV_INIT; /* source and target in turn */

    for (size_t i = 0; w->o->binds && w->o->binds[i]; i++) {
        struct str target = str_of(w->o->binds[i]);
        struct str source = str_cut(&target, ':');
        strv_add_str(&binds, source);
        strv_add_str(&binds, target);
    }
    if (strv_ok(&binds, err) < 0)
        return -1;
    bool fits = add_mount(mounts, &count, CONTAINER_BIND_RW, workspace, "/workspace") &&
                add_mount(mounts, &count, CONTAINER_BIND_RW, layers, "/layers") &&
                add_mount(mounts, &count, CONTAINER_BIND_RO, platform, "/platform") &&
                add_mount(mounts, &count, CONTAINER_BIND_RW, tmp, "/tmp") &&
                add_mount(mounts, &count, CONTAINER_BIND_RW, home, "/home/cnb") &&
                add_mount(mounts, &count, CONTAINER_BIND_RO, socket, "/run/sandbox/socket") &&
                add_mount(mounts, &count, CONTAINER_BIND_RO, w->o->agent, "/run/sandbox/agent");
    for (size_t i = 0; fits && i + 1 < binds.count; i += 2)
        fits = add_mount(mounts, &count, CONTAINER_BIND_RO, binds.items[i], binds.items[i + 1]);
    if (!fits)
        return error_set(err, ERR_LIMIT, "too many mounts for a sandbox");
    return start_container_with(w, mounts, count, err);
}

static int listen_agent(struct work *w, struct error *err)
{
    CLEANUP(text) char *path = fs_join(w->h->dir, "socket/agent");

    if (!path)
        return error_no_memory(err);
    return io_listen_unix(path, 0666, &w->agent_listener, err);
}

/* The agent's first connection is the only one: the socket is gone before any buildpack runs. */
static int accept_agent(struct work *w, struct error *err)
{
    CLEANUP(text) char *path = fs_join(w->h->dir, "socket/agent");
    CLEANUP(fd) int pidfd = (int)syscall(SYS_pidfd_open, w->container, 0);
    struct pollfd polls[] = {{w->agent_listener, POLLIN, 0}, {pidfd, POLLIN, 0}};
    char ready;

    if (!path)
        return error_no_memory(err);
    if (poll(polls, 2, AGENT_TIMEOUT_MS) <= 0 || !polls[0].revents)
        return error_set(err, ERR_SYSTEM, "the sandbox ended before it was ready");
    w->fds[HOLDER_AGENT] = accept4(w->agent_listener, NULL, NULL, SOCK_CLOEXEC);
    if (w->fds[HOLDER_AGENT] < 0)
        return error_errno(err, "accepting the sandbox's agent");
    io_close(&w->agent_listener);
    if (unlink(path) < 0)
        return error_errno(err, "removing '%s'", path);
    return io_read_exact(w->fds[HOLDER_AGENT], &ready, 1, err);
}

static int open_folders(struct work *w, struct error *err)
{
    static const char *const names[] = {"workspace", "layers", "upper", "platform"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP(text) char *path = fs_join(w->h->dir, names[i]);
        if (!path)
            return error_no_memory(err);
        if (fs_open_dir(AT_FDCWD, path, &w->fds[i], err) < 0)
            return -1;
    }
    return 0;
}

static int set_up(struct work *w, struct error *err)
{
    w->container_dir = fs_join(w->h->dir, "container");
    w->state_dir = fs_join(w->h->dir, "state");
    if (!w->container_dir || !w->state_dir)
        return error_no_memory(err);
    if (make_network(w, err) < 0 || mount_disk(w, err) < 0 || mount_layers(w, err) < 0 ||
        open_folders(w, err) < 0 || listen_agent(w, err) < 0 || start_proxy(w, err) < 0 ||
        start_container(w, err) < 0)
        return -1;
    return accept_agent(w, err);
}

static void report(const struct work *w, const struct error *failure)
{
    struct holder_message m = {.type = failure ? 'E' : 'D', .port = w->proxy_port};
    struct error ignored = ERROR_INIT;

    if (failure) {
        m.kind = (uint8_t)failure->kind;
        snprintf(m.text, sizeof(m.text), "%.*s", (int)sizeof(m.text) - 1, failure->text);
        if (io_send_fd(w->h->control_fd, str_slice((const char *)&m, sizeof(m)), -1, &ignored) < 0)
            error_clear(&ignored); /* the builder is gone: the end is the same */
        return;
    }
    for (size_t i = 0; i < HOLDER_FDS; i++) {
        if (io_send_fd(w->h->control_fd, str_slice((const char *)&m, sizeof(m)), w->fds[i],
                       &ignored) < 0)
            return;
    }
}

/* Until the builder is gone, or the container. */
static void wait_for_end(const struct work *w)
{
    CLEANUP(fd) int pidfd = (int)syscall(SYS_pidfd_open, w->container, 0);
    struct pollfd polls[] = {{w->h->control_fd, POLLIN, 0}, {pidfd, POLLIN, 0}};

    while (poll(polls, 2, -1) < 0 && errno == EINTR)
        ;
}

static void tear_down(struct work *w)
{
    const struct container_ref ref = {w->state_dir, w->container_dir, w->h->id};
    struct error err = ERROR_INIT;

    if (w->proxy > 0)
        (void)kill(w->proxy, SIGKILL); /* its children die with it */
    for (size_t i = 0; i < HOLDER_FDS; i++)
        io_close(&w->fds[i]);
    if (w->state_dir && w->container_dir && container_delete(&ref, &err) < 0)
        fprintf(stderr, "monban: removing a sandbox: %s\n", err.text);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    (void)umount2(w->h->dir, MNT_DETACH); /* ours alone; it ends with this process at the latest */
    (void)rmdir(w->h->dir);               /* the builder does it too; whoever is last succeeds */
    free(w->netns);
    free(w->container_dir);
    free(w->state_dir);
}

void holder_run(const struct holder *holder)
{
    struct holder h = *holder;
    int fds[] = {h.control_fd, h.output_fd, h.refused_fd};
    struct work w = {.h = &h,
                     .o = h.options,
                     .netns_fd = -1,
                     .listen_fd = -1,
                     .agent_listener = -1,
                     .fds = {-1, -1, -1, -1, -1}};
    struct error err = ERROR_INIT;

    keep_only(fds, ARRAY_LEN(fds));
    h.control_fd = fds[0];
    h.output_fd = fds[1];
    h.refused_fd = fds[2];
    leave_session();
    if (set_up(&w, &err) < 0) {
        report(&w, &err);
    } else {
        report(&w, NULL);
        io_close(&h.output_fd);
        for (size_t i = 0; i < HOLDER_FDS; i++)
            io_close(&w.fds[i]); /* the builder has them now */
        wait_for_end(&w);
    }
    tear_down(&w);
    _exit(0);
}
