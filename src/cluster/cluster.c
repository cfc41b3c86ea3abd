/* cluster/cluster.c - making, starting, stopping and removing clusters, from a command. */
#include "cluster/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "cluster/cluster_internal.h"
#include "cluster/net/netns.h"
#include "cluster/net/pod_net.h"
#include "cluster/node/node.h"
#include "wire/http_client.h"

enum {
    CLUSTER_READY_MS = 20000, /* usual: 100 ms */
    CLUSTER_STOP_MS = 10000,
    CLUSTER_STOP_PODS_MS = 120000, /* their grace periods */
};

/* All clusters of a home, by name; NULL-ended names of folders that hold a cluster.json. */
static int list_names(const char *home, struct strv *out, struct error *err)
{
    CLEANUP(text) char *folder = fs_join(home, "clusters");
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct error ignored = ERROR_INIT; /* no folder: no clusters */

    if (!folder)
        return error_no_memory(err);
    if (fs_list(AT_FDCWD, folder, &names, &ignored) < 0)
        error_clear(&ignored);
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(text) char *file = cluster_path(home, names.items[i], "cluster.json");
        if (file && cluster_check_name(names.items[i], &ignored) == 0 && fs_exists(AT_FDCWD, file))
            strv_add(out, names.items[i]);
    }
    return strv_ok(out, err);
}

static json_t *describe(const struct cluster_info *info)
{
    char node[NET_ADDRESS_SIZE], uplink[NET_ADDRESS_SIZE];
    return json_pack("{s:s,s:i,s:s,s:i,s:i,s:b,s:s,s:s,s:s,s:s}", "name", info->name, "index",
                     (int)info->index, "loop", info->loop == CLUSTER_OUTER ? "outer" : "inner",
                     "port", (int)info->port, "pid", (int)info->pid, "running", info->pid != 0,
                     "kubeconfig", info->kubeconfig, "netns", info->netns, "address",
                     net_node_address(info->index, node), "uplink",
                     net_uplink_address(info->index, uplink));
}

int cluster_list(const char *home, json_t **ret, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;
    CLEANUP(json) json_t *list = json_array();

    if (!list)
        return error_no_memory(err);
    if (list_names(home, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(cluster_info) struct cluster_info info = CLUSTER_INFO_INIT;
        size_t at = 0;
        if (cluster_find(home, names.items[i], &info, err) < 0)
            return -1;
        while (at < json_array_size(list) &&
               json_int_at(json_array_get(list, at), "index", 0) < (int64_t)info.index)
            at++;
        if (json_array_insert_new(list, at, describe(&info)) < 0)
            return error_no_memory(err);
    }
    *ret = TAKE(list);
    return 0;
}

static int choose_index(const char *home, unsigned wanted, unsigned *ret_index, struct error *err)
{
    CLEANUP(json) json_t *list = NULL;
    unsigned free_index = 1;
    size_t i;
    json_t *item;

    if (cluster_list(home, &list, err) < 0)
        return -1;
    json_array_foreach(list, i, item) /* in index order */
    {
        unsigned index = (unsigned)json_int_at(item, "index", 0);
        if (wanted && index == wanted)
            return error_set(err, ERR_CONFLICT, "cluster '%s' has index %u already",
                             json_str_at(item, "name"), wanted);
        if (index == free_index)
            free_index++;
    }
    *ret_index = wanted ? wanted : free_index;
    if (*ret_index > NET_CLUSTER_INDEX_MAX)
        return error_set(err, ERR_LIMIT, "cluster index %u: at most %d", *ret_index,
                         NET_CLUSTER_INDEX_MAX);
    return 0;
}

static int choose_port(uint16_t *ret_port, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    return io_listen_tcp("127.0.0.1", 0, -1, &fd, ret_port, err);
}

/* --- start and stop --- */

static int wait_until_ready(int fd, struct error *err)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    char byte;
    int got;

    do
        got = poll(&waiting, 1, CLUSTER_READY_MS);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        return error_set(err, ERR_TIMEOUT, "the server is not ready after %d s",
                         CLUSTER_READY_MS / 1000);
    if (got < 0 || read(fd, &byte, 1) != 1)
        return error_set(err, ERR_UNAVAILABLE, "the server ended while it started");
    return 0;
}

static int check_ready(const struct cluster_info *info, struct error *err)
{
    CLEANUP(http_client) struct http_client *client = NULL;
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;
    CLEANUP(text) char *ca = NULL;
    CLEANUP(text) char *url = str_format("https://127.0.0.1:%u/readyz", info->port);

    if (!url)
        return error_no_memory(err);
    if (cluster_read_file(info, "pki/ca.crt", &ca, err) < 0 ||
        http_client_new(&(struct http_client_options){.ca_pem = ca}, &client, err) < 0 ||
        http_client_call(client, &(struct http_call){.url = url, .timeout_ms = CLUSTER_READY_MS},
                         &answer, err) < 0)
        return -1;
    return answer.status == 200
               ? 0
               : error_set(err, ERR_UNAVAILABLE, "/readyz answers %d", answer.status);
}

static int launch(const char *home, const char *program, const struct cluster_info *info,
                  struct error *err)
{
    const char *const argv[] = {program, "cluster",    "serve", info->name, "--home",
                                home,    "--ready-fd", "3",     NULL};
    CLEANUP(text) char *log_path = fs_join(info->folder, "cluster.log");
    CLEANUP(fd) int log_fd = -1;
    CLEANUP(fd) int reader = -1;
    CLEANUP(fd) int writer = -1;
    struct proc_options options = PROC_OPTIONS_INIT;
    int ends[2];
    pid_t pid;

    if (!log_path)
        return error_no_memory(err);
    log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        return error_errno(err, "opening '%s'", log_path);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(err, "making a pipe");
    reader = ends[0];
    writer = ends[1];
    options.argv = argv;
    options.stdout_fd = log_fd;
    options.stderr_fd = log_fd;
    options.keep_fds = &writer;
    options.keep_fds_count = 1;
    options.new_session = true;
    options.cwd = "/";
    if (proc_start(&options, &pid, err) < 0)
        return -1;
    io_close(&writer);
    if (wait_until_ready(reader, err) < 0)
        return error_wrap(err, "see '%s'", log_path);
    return check_ready(info, err);
}

/* Until a process has ended, child or not. TIMEOUT. */
static int wait_for_end(pid_t pid, int timeout_ms, struct error *err)
{
    CLEANUP(fd) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    int got;

    if (fd < 0)
        return errno == ESRCH ? 0 : error_errno(err, "watching process %d", (int)pid);
    do
        got = poll(&waiting, 1, timeout_ms);
    while (got < 0 && errno == EINTR);
    return got > 0 ? 0 : error_set(err, ERR_TIMEOUT, "process %d has not ended", (int)pid);
}

static int end_process(const struct cluster_info *info, const char *file, int signal_number,
                       int timeout_ms, struct error *err)
{
    pid_t pid = cluster_read_pid(info, file);

    if (!pid)
        return 0;
    if (signal_number && kill(pid, signal_number) < 0 && errno != ESRCH)
        return error_errno(err, "stopping process %d", (int)pid);
    if (wait_for_end(pid, timeout_ms, err) == 0)
        return 0;
    if (err->kind != ERR_TIMEOUT)
        return -1;
    error_clear(err);
    if (kill(pid, SIGKILL) < 0 && errno != ESRCH)
        return error_errno(err, "stopping process %d", (int)pid);
    return wait_for_end(pid, CLUSTER_STOP_MS, err);
}

/* A server that was killed may still be there for a moment, and answers nobody: it is waited for.
 */
static int is_serving(const struct cluster_info *info, bool *ret_is, struct error *err)
{
    *ret_is = false;
    if (!info->pid)
        return 0;
    if (check_ready(info, err) == 0) {
        *ret_is = true;
        return 0;
    }
    error_clear(err);
    return wait_for_end(info->pid, CLUSTER_STOP_MS, err);
}

int cluster_start(const char *home, const char *name, const char *program, struct cluster_info *ret,
                  struct error *err)
{
    CLEANUP(cluster_info) struct cluster_info info = CLUSTER_INFO_INIT;
    bool is_running;

    if (cluster_find(home, name, &info, err) < 0)
        return -1;
    if (is_serving(&info, &is_running, err) < 0 ||
        (!is_running && launch(home, program, &info, err) < 0))
        return error_wrap(err, "starting cluster '%s'", name);
    cluster_info_done(&info);
    return cluster_find(home, name, ret, err);
}

int cluster_stop(const char *home, const char *name, bool stop_pods, struct error *err)
{
    CLEANUP(cluster_info) struct cluster_info info = CLUSTER_INFO_INIT;

    if (cluster_find(home, name, &info, err) < 0)
        return -1;
    /* USR1 is TERM, with the pods */
    if (end_process(&info, "cluster.pid", stop_pods ? SIGUSR1 : SIGTERM,
                    stop_pods ? CLUSTER_STOP_PODS_MS : CLUSTER_STOP_MS, err) < 0 ||
        end_process(&info, "node.pid", 0, CLUSTER_STOP_MS, err) < 0)
        return error_wrap(err, "stopping cluster '%s'", name);
    return 0;
}

/* --- create and delete --- */

static int make(const struct cluster_create_options *options, struct cluster_info *info,
                struct error *err)
{
    CLEANUP(text) char *clusters = fs_join(options->home, "clusters");
    CLEANUP(text) char *lock_path = fs_join(options->home, "clusters/.lock");
    CLEANUP(fd) int lock = -1;
    static const char *const folders[] = {"images", "layers", "pods", "logs"};

    if (!clusters || !lock_path)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, clusters, 0755, err) < 0 ||
        fs_lock(AT_FDCWD, lock_path, true, &lock, err) < 0)
        return -1;
    (void)snprintf(info->name, sizeof(info->name), "%s", options->name);
    info->loop = options->loop;
    info->folder = cluster_path(options->home, options->name, NULL);
    info->netns = cluster_path(options->home, options->name, "netns");
    if (!info->folder || !info->netns)
        return error_no_memory(err);
    if (fs_exists(AT_FDCWD, info->folder))
        return error_set(err, ERR_CONFLICT, "cluster '%s' exists", options->name);
    if (choose_index(options->home, options->index, &info->index, err) < 0 ||
        choose_port(&info->port, err) < 0 || fs_make_dirs(AT_FDCWD, info->folder, 0700, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        CLEANUP(text) char *path = fs_join(info->folder, folders[i]);
        if (!path)
            return error_no_memory(err);
        if (fs_make_dirs(AT_FDCWD, path, 0711, err) < 0)
            return -1;
    }
    if (cluster_make_pki(info, err) < 0)
        return -1;
    return cluster_write(info, err); /* last: from here on it is a cluster */
}

int cluster_create(const struct cluster_create_options *options, struct cluster_info *ret,
                   struct error *err)
{
    CLEANUP(cluster_info) struct cluster_info info = CLUSTER_INFO_INIT;
    struct error ignored = ERROR_INIT; /* the first failure is what counts */

    if (cluster_check_name(options->name, err) < 0)
        return -1;
    if (make(options, &info, err) < 0) {
        if (err->kind != ERR_CONFLICT)
            if (cluster_delete(options->home, options->name, &ignored) < 0)
                error_clear(&ignored);
        return error_wrap(err, "creating cluster '%s'", options->name);
    }
    if (cluster_start(options->home, options->name, options->program, ret, err) < 0) {
        if (cluster_delete(options->home, options->name, &ignored) < 0)
            error_clear(&ignored);
        return error_wrap(err, "creating cluster '%s'", options->name);
    }
    return 0;
}

/* Empty groups /monban/NAME and /monban below each controller; others of ours may still use the
 * latter. */
static void remove_cgroups(const char *name)
{
    CLEANUP(strv) struct strv controllers = STRV_INIT;
    struct error ignored = ERROR_INIT; /* no cgroups: nothing to remove */

    if (fs_list(AT_FDCWD, "/sys/fs/cgroup", &controllers, &ignored) < 0)

        error_clear(&ignored);
    strv_add(&controllers, "."); /* version 2: one tree */
    for (size_t i = 0; i < controllers.count; i++) {
        CLEANUP(text)
        char *own = str_format("/sys/fs/cgroup/%s/monban/%s", controllers.items[i], name);
        CLEANUP(text) char *all = str_format("/sys/fs/cgroup/%s/monban", controllers.items[i]);
        if (own)
            (void)rmdir(own); /* absent, or another home's cluster of this name uses it */
        if (all)
            (void)rmdir(all);
    }
}

int cluster_delete(const char *home, const char *name, struct error *err)
{
    CLEANUP(cluster_info) struct cluster_info info = CLUSTER_INFO_INIT;
    struct error unreadable = ERROR_INIT;

    if (cluster_check_name(name, err) < 0)
        return -1;
    if (cluster_read(home, name, &info, &unreadable) <
        0) { /* killed half-way: what its folder holds still goes */
        (void)snprintf(info.name, sizeof(info.name), "%s", name);
        info.folder = cluster_path(home, name, NULL);
        info.netns = cluster_path(home, name, "netns");
        if (!info.folder || !info.netns)
            return error_no_memory(err);
        if (!fs_exists(AT_FDCWD, info.folder))
            return error_set(err, ERR_NOT_FOUND, "no cluster '%s' in '%s'", name, home);
    }
    if (end_process(&info, "cluster.pid", SIGTERM, CLUSTER_STOP_MS, err) < 0 ||
        end_process(&info, "node.pid", 0, CLUSTER_STOP_MS, err) < 0 ||
        node_remove_all(info.folder, err) < 0)
        return error_wrap(err, "deleting cluster '%s'", name);
    if (!info.index)
        info.index = fabric_cluster_index(home, name);
    if (info.index)
        fabric_detach_cluster(home, info.index);
    netns_remove(info.netns);
    remove_cgroups(name);
    if (fs_remove_tree(AT_FDCWD, info.folder, err) < 0)
        return error_wrap(err, "deleting cluster '%s'", name);
    return 0;
}
