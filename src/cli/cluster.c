/* cli/cluster.c - `monban cluster …`: the embedded clusters of a home. */
#include "cluster/cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/commands.h"

/* The one word of a command: its cluster's name. */
static bool one_name(const struct cli_command *command, const struct strv *words, int *ret_code)
{
    if (words->count == 1)
        return true;
    *ret_code = cli_usage(command, "expected one NAME");
    return false;
}

static void print_info(const struct cli *cli, const struct cluster_info *info)
{
    if (!cli->json) {
        printf("cluster %s: index %u, API https://127.0.0.1:%u\nkubeconfig: %s\n", info->name,
               info->index, info->port, info->kubeconfig);
        return;
    }
    CLEANUP(json)
    json_t *root =
        json_pack("{s:s,s:i,s:i,s:s,s:s}", "name", info->name, "index", (int)info->index, "port",
                  (int)info->port, "kubeconfig", info->kubeconfig, "netns", info->netns);
    cli_print_json(root);
}

static int run_create(struct cli *cli, int argc, char **argv)
{
    const char *index = NULL, *loop = NULL;
    const struct cli_option options[] = {
        {.name = "index",
         .value = "N",
         .help = "of its addresses, 10.90.N.0/24 (default: the next free)",
         .text = &index},
        {.name = "loop", .value = "LOOP", .help = "inner or outer (default: inner)", .text = &loop},
        {0},
    };
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(cluster_info) struct cluster_info info = CLUSTER_INFO_INIT;
    struct error err = ERROR_INIT;
    uint64_t number = 0;
    bool done;
    int code;

    if (cli_options(cli, &cli_cluster_create, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (!one_name(&cli_cluster_create, &words, &code))
        return code;
    if (index &&
        (!str_to_u64(str_of(index), &number) || number < 1 || number > NET_CLUSTER_INDEX_MAX))
        return cli_usage(&cli_cluster_create, "--index: expected 1 to %d, got '%s'",
                         NET_CLUSTER_INDEX_MAX, index);
    if (loop && strcmp(loop, "inner") != 0 && strcmp(loop, "outer") != 0)
        return cli_usage(&cli_cluster_create, "--loop: expected 'inner' or 'outer', got '%s'",
                         loop);
    struct cluster_create_options create = {
        .home = cli->home,
        .name = words.items[0],
        .program = cli->program,
        .index = (unsigned)number,
        .loop = loop && strcmp(loop, "outer") == 0 ? CLUSTER_OUTER : CLUSTER_INNER,
    };
    if (cluster_create(&create, &info, &err) < 0)
        return cli_fail(cli, &err, err.kind == ERR_CONFLICT ? "monban cluster list" : NULL);
    print_info(cli, &info);
    return CLI_DONE;
}

const struct cli_command cli_cluster_create = {
    .name = "cluster create",
    .usage = "NAME [--index N] [--loop inner|outer]",
    .summary = "make an embedded cluster and start it",
    .help = "A Kubernetes API of its own, with its own network namespace, keys, data and images.",
    .run = run_create,
};

/* Commands that take a NAME and nothing else. */
static int with_name(struct cli *cli, const struct cli_command *command, int argc, char **argv,
                     const struct cli_option *options,
                     int (*act)(struct cli *cli, const char *name, struct error *err))
{
    static const struct cli_option none[] = {{0}};
    CLEANUP(strv) struct strv words = STRV_INIT;
    struct error err = ERROR_INIT;
    bool done;
    int code;

    if (cli_options(cli, command, argc, argv, options ? options : none, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (!one_name(command, &words, &code))
        return code;
    if (act(cli, words.items[0], &err) < 0)
        return cli_fail(cli, &err, err.kind == ERR_NOT_FOUND ? "monban cluster list" : NULL);
    return CLI_DONE;
}

static int delete (struct cli *cli, const char *name, struct error *err)
{
    if (cluster_delete(cli->home, name, err) < 0)
        return -1;
    if (!cli->json)
        printf("cluster %s deleted\n", name);
    return 0;
}

static int run_delete(struct cli *cli, int argc, char **argv)
{
    return with_name(cli, &cli_cluster_delete, argc, argv, NULL, delete);
}

const struct cli_command cli_cluster_delete = {
    .name = "cluster delete",
    .usage = "NAME",
    .summary = "remove a cluster with all that is in it",
    .help = "Also removes what a create or delete that was killed has left.",
    .run = run_delete,
};

static int start(struct cli *cli, const char *name, struct error *err)
{
    CLEANUP(cluster_info) struct cluster_info info = CLUSTER_INFO_INIT;

    if (cluster_start(cli->home, name, cli->program, &info, err) < 0)
        return -1;
    print_info(cli, &info);
    return 0;
}

static int run_start(struct cli *cli, int argc, char **argv)
{
    return with_name(cli, &cli_cluster_start, argc, argv, NULL, start);
}

const struct cli_command cli_cluster_start = {
    .name = "cluster start",
    .usage = "NAME",
    .summary = "start the server of a cluster that exists; its pods are adopted",
    .run = run_start,
};

static int stop(struct cli *cli, const char *name, struct error *err)
{
    return cluster_stop(cli->home, name, false, err);
}

static int stop_with_pods(struct cli *cli, const char *name, struct error *err)
{
    return cluster_stop(cli->home, name, true, err);
}

static int run_stop(struct cli *cli, int argc, char **argv)
{
    bool pods = false;
    const struct cli_option options[] = {
        {.name = "stop-pods",
         .help = "end its pods, too (they start again with the cluster)",
         .flag = &pods},
        {0},
    };
    /* the flag is known only after parsing: look for it as the parser will */
    for (int i = 1; i < argc; i++)
        pods = pods || strcmp(argv[i], "--stop-pods") == 0;
    return with_name(cli, &cli_cluster_stop, argc, argv, options, pods ? stop_with_pods : stop);
}

const struct cli_command cli_cluster_stop = {
    .name = "cluster stop",
    .usage = "NAME [--stop-pods]",
    .summary = "stop the server of a cluster; its pods go on",
    .run = run_stop,
};

static int run_list(struct cli *cli, int argc, char **argv)
{
    static const struct cli_option none[] = {{0}};
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(json) json_t *list = NULL;
    struct error err = ERROR_INIT;
    bool done;
    size_t i;
    json_t *item;

    if (cli_options(cli, &cli_cluster_list, argc, argv, none, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count)
        return cli_usage(&cli_cluster_list, "expected no words");
    if (cluster_list(cli->home, &list, &err) < 0)
        return cli_fail(cli, &err, NULL);
    if (cli->json) {
        cli_print_json(list);
        return CLI_DONE;
    }
    printf("%-16s %-6s %-6s %-8s %-16s %s\n", "NAME", "INDEX", "LOOP", "STATE", "ADDRESS", "API");
    json_array_foreach(list, i, item)
    {
        printf("%-16s %-6" PRId64 " %-6s %-8s %-16s https://127.0.0.1:%" PRId64 "\n",
               json_str_at(item, "name"), json_int_at(item, "index", 0), json_str_at(item, "loop"),
               json_bool_at(item, "running", false) ? "running" : "stopped",
               json_str_at(item, "address"), json_int_at(item, "port", 0));
    }
    return CLI_DONE;
}

const struct cli_command cli_cluster_list = {
    .name = "cluster list",
    .usage = "[-o json]",
    .summary = "the embedded clusters of this home",
    .run = run_list,
};

static int kubeconfig(struct cli *cli, const char *name, struct error *err)
{
    CLEANUP(cluster_info) struct cluster_info info = CLUSTER_INFO_INIT;

    if (cluster_find(cli->home, name, &info, err) < 0)
        return -1;
    printf("%s\n", info.kubeconfig);
    return 0;
}

static int run_kubeconfig(struct cli *cli, int argc, char **argv)
{
    return with_name(cli, &cli_cluster_kubeconfig, argc, argv, NULL, kubeconfig);
}

const struct cli_command cli_cluster_kubeconfig = {
    .name = "cluster kubeconfig",
    .usage = "NAME",
    .summary = "print the path of a cluster's kubeconfig",
    .help = "Use it as: KUBECONFIG=$(monban cluster kubeconfig dev) kubectl get pods",
    .run = run_kubeconfig,
};

static int run_serve(struct cli *cli, int argc, char **argv)
{
    bool node = false, stop_pods = false, done;
    const char *ready = NULL;
    const struct cli_option options[] = {
        {.name = "stop-pods", .help = "end the pods when the server ends", .flag = &stop_pods},
        {.name = "ready-fd",
         .value = "FD",
         .help = "write a byte there once the API answers",
         .text = &ready},
        {.name = "node",
         .help = "be the node process of a server (descriptor 3 is its socket)",
         .flag = &node},
        {0},
    };
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(text) char *process = NULL;
    struct error err = ERROR_INIT;
    uint64_t ready_fd = 0;
    int code;

    if (cli_options(cli, &cli_cluster_serve, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (!one_name(&cli_cluster_serve, &words, &code))
        return code;
    if (ready && (!str_to_u64(str_of(ready), &ready_fd) || ready_fd > 1000))
        return cli_usage(&cli_cluster_serve, "--ready-fd: expected a descriptor, got '%s'", ready);
    process = str_format(node ? "node %s" : "cluster %s", words.items[0]);
    log_setup(STDERR_FILENO, LOG_INFO, process ? process : "cluster");
    if (node)
        code = cluster_node(cli->home, words.items[0], &err);
    else
        code =
            cluster_serve(&(struct cluster_serve_options){.home = cli->home,
                                                          .name = words.items[0],
                                                          .program = cli->program,
                                                          .stop_pods = stop_pods,
                                                          .ready_fd = ready ? (int)ready_fd : -1},
                          &err);
    return code < 0 ? cli_fail(cli, &err, NULL) : CLI_DONE;
}

const struct cli_command cli_cluster_serve = {
    .name = "cluster serve",
    .usage = "NAME [--stop-pods]",
    .summary = "the server of a cluster, in the foreground",
    .help = "`cluster create` and `cluster start` run it in the background.",
    .run = run_serve,
};
