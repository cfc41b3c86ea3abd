/* deliver/agent.c - the daemon: start, what it listens to, the end. See deliver.h. */
#include <fcntl.h>
#include <sched.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "deliver/agent_internal.h"
#include "oci/registry_client.h"
#include "platform/platform.h"

enum { AGENT_SETTLE_MS = 50 };

void agent_log(const struct follow *follow, const char *message, const struct error *err)
{
    log_warn(message, log_str("workload", follow->name), log_err(err));
}

struct follow *agent_follow(struct agent *agent, const char *name, struct error *err)
{
    struct follow *follow = NULL;
    struct follow **grown =
        reallocarray(agent->follows, agent->follow_count + 1, sizeof(struct follow *));

    if (!grown) {
        (void)error_no_memory(err); /* always -1 */
        return NULL;
    }
    agent->follows = grown;
    if (follow_new(agent, name, &follow, err) < 0)
        return NULL;
    agent->follows[agent->follow_count++] = follow;
    return follow;
}

/* --- folders that are watched: the platform's, and the advisory database's */

static void watch_folder(struct agent *agent, const char *path)
{
    /* A folder that is not there yet is seen by the watch of HOME. */
    (void)inotify_add_watch(agent->inotify_fd, path,
                            IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |
                                IN_ONLYDIR);
}

static void watch_folders(struct agent *agent)
{
    static const char *const folders[] = {"",
                                          "/platform",
                                          "/platform/services",
                                          "/platform/agents",
                                          "/platform/conventions",
                                          "/platform/waivers",
                                          "/platform/stacks"};

    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        CLEANUP(text) char *path = str_format("%s%s", agent->site.home, folders[i]);
        if (path)
            watch_folder(agent, path);
    }
    CLEANUP(text) char *secrets = str_format("%s/secrets", agent->dir);
    CLEANUP(text) char *db = str_format("%s/db", agent->site.home);
    if (secrets)
        agent->secrets_wd =
            inotify_add_watch(agent->inotify_fd, secrets, IN_CLOSE_WRITE | IN_MOVED_TO);
    if (db)
        agent->db_wd = inotify_add_watch(agent->inotify_fd, db, IN_CLOSE_WRITE | IN_MOVED_TO);
}

static void on_changed(struct loop *loop, void *ctx)
{
    struct agent *agent = ctx;
    bool platform = agent->platform_changed;

    agent->changed_timer = NULL;
    agent->platform_changed = false;
    agent->db_changed = false;
    watch_folders(agent); /* folders that are new */
    log_info(platform ? "the platform folder changed: judging again"
                      : "the advisory database changed: checking what runs");
    for (size_t i = 0; i < agent->follow_count; i++) {
        struct follow *follow = agent->follows[i];
        bool is_candidate = follow->phase == PHASE_WAITING || follow->phase == PHASE_REFUSED;
        follow_recheck_findings(follow);
        if (platform || is_candidate)
            follow_event(follow, EVENT_RECHECK);
    }
}

static bool is_database(const struct agent *agent, const struct inotify_event *event)
{
    return event->wd == agent->db_wd && event->len > 0 && strcmp(event->name, "advisories.db") == 0;
}

/* In HOME itself only the platform folder and the database's count: much else happens there. */
static bool is_platform(const struct agent *agent, const struct inotify_event *event)
{
    if (event->wd == agent->db_wd || event->len == 0)
        return false;
    return strcmp(event->name, "platform") == 0 || strcmp(event->name, "db") == 0 ||
           str_ends(str_of(event->name), STR(".yaml")) ||
           str_ends(str_of(event->name), STR(".yml")) || event->wd == agent->secrets_wd;
}

static void on_inotify(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct agent *agent = ctx;
    _Alignas(struct inotify_event) char room[16384];
    struct error err = ERROR_INIT;
    ssize_t got = read(fd, room, sizeof room);

    for (ssize_t at = 0; got > 0 && at < got;) {
        const struct inotify_event *event = (const void *)(room + at);
        agent->db_changed = agent->db_changed || is_database(agent, event);
        agent->platform_changed = agent->platform_changed || is_platform(agent, event);
        at += (ssize_t)(sizeof *event + event->len);
    }
    /* A folder is copied file by file: one look at the end of it. */
    if ((agent->db_changed || agent->platform_changed) && !agent->changed_timer &&
        loop_add_timer(agent->loop, AGENT_SETTLE_MS, on_changed, agent, &agent->changed_timer,
                       &err) < 0)
        log_error("cannot look at a change: restart the agent", log_err(&err));
}

static void on_hourly(struct loop *loop, void *ctx)
{
    struct agent *agent = ctx;

    loop_timer_set(agent->recheck_timer, AGENT_RECHECK_MS);
    for (size_t i = 0; i < agent->follow_count; i++)
        follow_recheck_findings(agent->follows[i]);
}

static int start_watching(struct agent *agent, struct error *err)
{
    agent->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (agent->inotify_fd < 0)
        return error_errno(err, "cannot watch folders");
    watch_folders(agent);
    if (loop_add_io(agent->loop, agent->inotify_fd, EPOLLIN, on_inotify, agent, &agent->inotify,
                    err) < 0)
        return -1;
    return loop_add_timer(agent->loop, AGENT_RECHECK_MS, on_hourly, agent, &agent->recheck_timer,
                          err);
}

/* --- start */

static void on_stop(struct loop *loop, int signal, void *ctx)
{
    loop_stop(loop);
}

static int enter_netns(const struct agent *agent, struct error *err)
{
    CLEANUP(text)
    char *path = str_format("%s/clusters/%s/netns", agent->site.home, agent->site.cluster);
    CLEANUP(fd) int fd = -1;

    if (!path)
        return error_no_memory(err);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "cannot open the network of cluster '%s' at '%s'",
                           agent->site.cluster, path);
    if (setns(fd, CLONE_NEWNET) < 0)
        return error_errno(err, "cannot enter the network of cluster '%s'", agent->site.cluster);
    return 0;
}

static int take_lock(const struct agent *agent, int *ret_fd, struct error *err)
{
    CLEANUP(text) char *path = fs_join(agent->dir, "agent.pid");
    CLEANUP(fd) int fd = -1;
    char pid[24];

    if (!path)
        return error_no_memory(err);
    if (fs_lock(AT_FDCWD, path, false, &fd, err) < 0)
        return error_wrap(err, "another agent of cluster '%s' runs", agent->site.cluster);
    int len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)len, 0) != len)
        return error_errno(err, "cannot write '%s'", path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int make_namespace(struct agent *agent, struct error *err)
{
    struct kube_apply_options options = {.manager = DELIVER_MANAGER, .force = true};
    CLEANUP(json)
    json_t *object = json_pack("{s:s, s:s, s:{s:s, s:{s:s}}}", "apiVersion", "v1", "kind",
                               "Namespace", "metadata", "name", DELIVER_NAMESPACE, "labels",
                               "app.kubernetes.io/managed-by", "monban");

    if (!object)
        return error_no_memory(err);
    return kube_apply(agent->kube, object, &options, NULL, err);
}

/* Every workload that we know of, whether the followed registry answers or not. */
static int start_known(struct agent *agent, struct error *err)
{
    CLEANUP(json) json_t *memory = NULL;
    const char *name;
    json_t *known;

    if (memory_load(agent, &memory, err) < 0)
        return -1;
    json_object_foreach(memory, name, known)
    {
        struct follow *follow = agent_follow(agent, name, err);
        if (!follow)
            return -1;
        (void)json_object_update(follow->memory, known);
    }
    for (size_t i = 0; i < agent->follow_count; i++)
        follow_start(agent->follows[i]);
    return 0;
}

/* The uplink of an embedded cluster; all addresses of a real one's machine. NULL: nobody follows.
 */
static int serve_followers(struct agent *agent, const struct platform *platform,
                           const struct platform_cluster *cluster, struct error *err)
{
    size_t count = 0;
    const struct platform_cluster *clusters = platform_clusters(platform, &count);
    bool is_followed = false;
    CLEANUP(text) char *uplink = str_format("100.64.%u.2", cluster->index);

    for (size_t i = 0; i < count; i++)
        is_followed =
            is_followed || (clusters[i].follows && strcmp(clusters[i].follows, cluster->name) == 0);
    if (!uplink)
        return error_no_memory(err);
    if (!is_followed)
        return 0;
    return serve_start(agent, cluster->kubeconfig ? "0.0.0.0" : uplink, &agent->serve, err);
}

static int open_site(struct agent *agent, const struct platform_cluster *cluster, struct error *err)
{
    const struct deliver_options *options = agent->options;

    agent->registry_dir = fs_join(agent->dir, "registry");
    if (options->kubeconfig)
        agent->kubeconfig = str_dup(str_of(options->kubeconfig));
    else if (cluster->kubeconfig)
        agent->kubeconfig = str_dup(str_of(cluster->kubeconfig));
    else
        agent->kubeconfig =
            str_format("%s/clusters/%s/inside.kubeconfig", options->home, options->cluster);
    if (!agent->registry_dir || !agent->kubeconfig)
        return error_no_memory(err);
    agent->site.registry = agent->registry_dir;
    agent->site.kubeconfig = agent->kubeconfig;
    return 0;
}

static int start_signer(struct agent *agent, struct error *err)
{
    CLEANUP(text) char *key = fs_join(agent->dir, "keys/agent.key");

    if (!key)
        return error_no_memory(err);
    if (signer_start(key, STR(""), &agent->signer, err) < 0)
        return -1;
    agent->site.signer_fd = signer_fd(agent->signer);
    return 0;
}

static int start(struct agent *agent, const struct platform *platform,
                 const struct platform_cluster *cluster, struct error *err)
{
    if (open_site(agent, cluster, err) < 0)
        return -1;
    if (!cluster->kubeconfig && enter_netns(agent, err) < 0)
        return -1;
    if (loop_new(&agent->loop, err) < 0 ||
        loop_add_signal(agent->loop, SIGTERM, on_stop, agent, err) < 0 ||
        loop_add_signal(agent->loop, SIGINT, on_stop, agent, err) < 0 ||
        kube_client_open(agent->kubeconfig, cluster->kubeconfig ? cluster->context : NULL,
                         &agent->kube, err) < 0 ||
        make_namespace(agent, err) < 0)
        return -1;
    if (serve_followers(agent, platform, cluster, err) < 0 || start_watching(agent, err) < 0 ||
        start_known(agent, err) < 0 || orders_start(agent, err) < 0)
        return -1;
    return upstream_start(agent, err);
}

static void tell_ready(int fd)
{
    if (fd <= 0)
        return;
    if (write(fd, "\n", 1) < 0)
        log_debug("nobody waits for us to be ready");
    (void)close(fd); /* nothing was buffered */
}

static void stop(struct agent *agent)
{
    for (size_t i = 0; i < agent->follow_count; i++)
        follow_free(agent->follows[i]);
    free(agent->follows);
    upstream_stop(agent);
    worker_remove(agent->sync_worker);
    apply_stop_prunes(agent);
    live_unwatch_all(agent);
    kube_watch_remove(agent->order_watch);
    serve_stop(agent->serve);
    kube_client_free(agent->kube);
    trust_free(agent->operators);
    loop_free(agent->loop);
    signer_free(agent->signer);
    io_close(&agent->inotify_fd);
    free(agent->dir);
    free(agent->registry_dir);
    free(agent->kubeconfig);
}

int deliver_run(const struct deliver_options *options, struct error *err)
{
    struct agent agent = {.options = options, .inotify_fd = -1, .db_wd = -1, .secrets_wd = -1};
    CLEANUP(text) char *platform_path = fs_join(options->home, "platform");
    CLEANUP(platform) struct platform *platform = NULL;
    CLEANUP(fd) int lock = -1;

    agent.dir = str_format("%s/agents/%s", options->home, options->cluster);
    if (!agent.dir || !platform_path)
        return error_no_memory(err);
    agent.site = (struct site){
        .home = options->home, .cluster = options->cluster, .dir = agent.dir, .signer_fd = -1};
    int result = platform_read(platform_path, &platform, err);
    const struct platform_cluster *cluster =
        result == 0 ? platform_cluster(platform, options->cluster) : NULL;
    if (result == 0 && !cluster)
        result =
            error_set(err, ERR_NOT_FOUND, "the platform has no cluster '%s'", options->cluster);
    if (result == 0)
        result = start_signer(&agent, err); /* first: it must inherit nothing */
    if (result == 0)
        result = take_lock(&agent, &lock, err);
    if (result == 0)
        result = start(&agent, platform, cluster, err);
    if (result == 0) {
        log_info("the agent follows", log_str("cluster", options->cluster),
                 log_str("registry", agent.upstream_url));
        tell_ready(options->ready_fd);
        result = loop_run(agent.loop, err);
    }
    stop(&agent);
    return result;
}
