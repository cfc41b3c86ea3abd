/* cli/up.c - monban up, monban down: the whole road on one machine. */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "cluster/cluster.h"
#include "deliver/deliver.h"
#include "gate/gate.h"
#include "platform/platform.h"

enum { READY_MS = 30000, STOP_MS = 10000 };

static void say(const struct cli *cli, int64_t started_us, const char *what, const char *name)
{
    if (!cli->json)
        printf("%-10s %-16s %7.1f ms\n", what, name,
               (double)(clock_monotonic_us() - started_us) / 1000.0);
    (void)fflush(stdout); /* progress only */
}

/* HOME/platform is a copy of the folder given, so that nothing changes under a running road. */
static int take_platform(struct cli *cli, const char *from, struct platform **ret,
                         struct error *err)
{
    CLEANUP(text) char *to = fs_join(cli->home, "platform");
    CLEANUP(text) char *beside = fs_join(cli->home, "platform.new");
    CLEANUP(platform) struct platform *checked = NULL;

    if (!to || !beside)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, cli->home, 0700, err) < 0)
        return -1;
    if (from) {
        if (platform_read(from, &checked, err) < 0)
            return -1;
        if (fs_remove_tree(AT_FDCWD, beside, err) < 0 || fs_copy_tree(from, beside, err) < 0 ||
            fs_remove_tree(AT_FDCWD, to, err) < 0 || fs_rename(AT_FDCWD, beside, to, err) < 0)
            return -1;
    } else if (!fs_exists(AT_FDCWD, to) && platform_init(to, "local", err) < 0) {
        return -1;
    }
    return platform_read(to, ret, err);
}

static int start_cluster(struct cli *cli, const struct platform_cluster *cluster, struct error *err)
{
    CLEANUP(cluster_info) struct cluster_info info = CLUSTER_INFO_INIT;
    int64_t started_us = clock_monotonic_us();

    if (cluster_find(cli->home, cluster->name, &info, err) == 0) {
        cluster_info_done(&info);
        if (cluster_start(cli->home, cluster->name, cli->program, &info, err) < 0)
            return -1;
    } else {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        const struct cluster_create_options options = {
            .home = cli->home,
            .name = cluster->name,
            .program = cli->program,
            .index = cluster->index,
            .loop = cluster->loop == PLATFORM_OUTER ? CLUSTER_OUTER : CLUSTER_INNER,
        };
        if (cluster_create(&options, &info, err) < 0)
            return error_wrap(err, "creating cluster '%s'", cluster->name);
    }
    say(cli, started_us, "cluster", cluster->name);
    return 0;
}

static int open_ways(struct cli *cli, const struct platform *platform, struct error *err)
{
    CLEANUP(platform_ways) struct platform_ways ways = {0};

    if (platform_ways(platform, &ways, err) < 0)
        return -1;
    struct fabric_way *list = calloc(ways.count + 1, sizeof *list);
    if (!list)
        return error_no_memory(err);
    for (size_t i = 0; i < ways.count; i++) {
        const struct platform_cluster *from = platform_cluster(platform, ways.items[i].from);
        list[i].from_index = from ? from->index : 0;
        list[i].with_pods = ways.items[i].from_pods;
        list[i].port = ways.items[i].port;
        /* Both are sized for an IPv4 address; the platform has checked it. */
        (void)snprintf(list[i].to, sizeof list[i].to, "%.15s", ways.items[i].to);
    }
    int result = fabric_set_ways(cli->home, list, ways.count, err);
    free(list);
    return result;
}

/* A gate that runs already learns that the platform folder is another one. */
static int start_gate(struct cli *cli, struct error *err)
{
    CLEANUP(text) char *log = fs_join(cli->home, "gate/gate.log");
    CLEANUP(text) char *pid = fs_join(cli->home, "gate/gate.pid");
    const char *const arguments[] = {"gate", NULL};
    int64_t started_us = clock_monotonic_us();

    if (!log || !pid)
        return error_no_memory(err);
    if (gate_prepare(cli->home, err) < 0)
        return -1;
    int running = daemon_pid(pid);
    if (running > 0)
        (void)kill(running, SIGHUP); /* gone meanwhile: it is started below */
    const struct daemon_options options = {.name = "gate",
                                           .arguments = arguments,
                                           .log_path = log,
                                           .pid_path = pid,
                                           .timeout_ms = READY_MS};
    if (daemon_start(cli, &options, err) < 0)
        return -1;
    say(cli, started_us, "gate", "");
    return 0;
}

static int start_agent(struct cli *cli, const char *cluster, struct error *err)
{
    CLEANUP(text) char *log = str_format("%s/agents/%s/agent.log", cli->home, cluster);
    CLEANUP(text) char *pid = str_format("%s/agents/%s/agent.pid", cli->home, cluster);
    CLEANUP(text) char *name = str_format("agent %s", cluster);
    const char *const arguments[] = {"agent", cluster, NULL};
    int64_t started_us = clock_monotonic_us();

    if (!log || !pid || !name)
        return error_no_memory(err);
    if (deliver_prepare(cli->home, cluster, err) < 0)
        return error_wrap(err, "preparing the agent of '%s'", cluster);
    const struct daemon_options options = {.name = name,
                                           .arguments = arguments,
                                           .log_path = log,
                                           .pid_path = pid,
                                           .timeout_ms = READY_MS};
    if (daemon_start(cli, &options, err) < 0)
        return -1;
    say(cli, started_us, "agent", cluster);
    return 0;
}

static int up(struct cli *cli, const char *from, struct error *err)
{
    CLEANUP(platform) struct platform *platform = NULL;
    size_t count;

    if (take_platform(cli, from, &platform, err) < 0)
        return -1;
    if (fabric_ensure(cli->home, err) < 0)
        return -1;
    const struct platform_cluster *clusters = platform_clusters(platform, &count);
    for (size_t i = 0; i < count; i++) {
        if (!clusters[i].kubeconfig && start_cluster(cli, &clusters[i], err) < 0)
            return -1;
    }
    if (open_ways(cli, platform, err) < 0 || start_gate(cli, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (clusters[i].loop == PLATFORM_OUTER && start_agent(cli, clusters[i].name, err) < 0)
            return -1;
    }
    return 0;
}

static int run_up(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    const char *platform = NULL;
    const struct cli_option options[] = {
        {.name = "platform",
         .value = "DIR",
         .help = "the platform folder to use from now on",
         .text = &platform},
        {.name = NULL},
    };
    CLEANUP(json) json_t *clusters = NULL;
    bool done;

    if (cli_options(cli, &cli_up, argc, argv, options, NULL, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (up(cli, platform, &err) < 0)
        return cli_fail(cli, &err, "monban down; monban up");
    if (cli->json && cluster_list(cli->home, &clusters, &err) == 0)
        cli_print_json(clusters);
    return CLI_DONE;
}

const struct cli_command cli_up = {
    "up", "[--platform DIR]", "start the whole road on this machine: clusters, gate, agents",
    "Can be repeated: what runs goes on running, what has ended is started again.", run_up};

static int stop_agents(struct cli *cli, struct error *err)
{
    CLEANUP(text) char *dir = fs_join(cli->home, "agents");
    CLEANUP(strv) struct strv names = STRV_INIT;

    if (!dir)
        return error_no_memory(err);
    if (fs_exists(AT_FDCWD, dir) && fs_list(AT_FDCWD, dir, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(text) char *pid = str_format("%s/%s/agent.pid", dir, names.items[i]);
        if (!pid)
            return error_no_memory(err);
        daemon_stop(pid, STOP_MS);
    }
    return 0;
}

static int stop_clusters(struct cli *cli, bool purge, struct error *err)
{
    CLEANUP(json) json_t *clusters = NULL;
    size_t i;
    json_t *cluster;

    if (cluster_list(cli->home, &clusters, err) < 0)
        return -1;
    json_array_foreach(clusters, i, cluster)
    {
        const char *name = json_str_at(cluster, "name");
        int64_t started_us = clock_monotonic_us();
        if (purge ? cluster_delete(cli->home, name, err) : cluster_stop(cli->home, name, true, err))
            return -1;
        say(cli, started_us, purge ? "deleted" : "stopped", name);
    }
    return 0;
}

static int run_down(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    bool purge = false, done;
    const struct cli_option options[] = {
        {.name = "purge", .help = "delete clusters and releases too", .flag = &purge},
        {.name = NULL},
    };
    CLEANUP(text) char *gate = fs_join(cli->home, "gate/gate.pid");

    if (cli_options(cli, &cli_down, argc, argv, options, NULL, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (!gate || stop_agents(cli, &err) < 0)
        return cli_fail(cli, &err, NULL);
    daemon_stop(gate, STOP_MS);
    if (stop_clusters(cli, purge, &err) < 0)
        return cli_fail(cli, &err, "monban cluster list");
    fabric_teardown(cli->home);
    if (!purge)
        return CLI_DONE;
    static const char *const folders[] = {"agents",   "gate", "db",      "net",
                                          "platform", "run",  "clusters"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        CLEANUP(text) char *path = fs_join(cli->home, folders[i]);
        if (!path || fs_remove_tree(AT_FDCWD, path, &err) < 0)
            return cli_fail(cli, &err, NULL);
    }
    return CLI_DONE;
}

const struct cli_command cli_down = {
    "down", "[--purge]", "stop the road of this machine: agents, gate, pods, clusters",
    "Releases, objects and caches stay for the next 'monban up', unless --purge.", run_down};
