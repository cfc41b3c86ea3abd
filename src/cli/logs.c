/* cli/logs.c - monban logs: what the pods of an app say. */
#include <unistd.h>

#include "base/io.h"
#include "cli/commands.h"
#include "deliver/deliver.h"
#include "kube/rollout.h"
#include "platform/platform.h"

struct asked {
    const char *app;
    const char *cluster;
    const char *container;
    const char *ns;
    struct kube_log_options log;
};

static int print_bytes(struct str bytes, void *ctx, struct error *err)
{
    return io_write(STDOUT_FILENO, bytes.ptr, bytes.len, err);
}

static int find_pods(struct kube_client *kube, const struct asked *asked, json_t **ret,
                     struct error *err)
{
    static const char *const labels[] = {"monban.dev/workload", "app.kubernetes.io/name",
                                         "carto.run/workload-name", "app"};
    struct kube_ref ref = {"v1", "Pod", asked->ns ? asked->ns : "", NULL};

    for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
        CLEANUP(json) json_t *list = NULL;
        CLEANUP(text) char *selector = str_format("%s=%s", labels[i], asked->app);
        struct kube_list_options options = {.label_selector = selector};
        if (!selector)
            return error_no_memory(err);
        if (kube_list(kube, &ref, &options, &list, err) < 0)
            return -1;
        if (json_array_size(json_object_get(list, "items")) > 0) {
            *ret = TAKE(list);
            return 0;
        }
    }
    return error_set(err, ERR_NOT_FOUND, "no pod of '%s' in cluster '%s'", asked->app,
                     asked->cluster);
}

static bool has_container(const json_t *pod, const char *name)
{
    size_t i;
    const json_t *container;

    json_array_foreach(json_at(pod, "spec.containers"), i, container)
    {
        const char *found = json_str_at(container, "name");
        if (found && strcmp(found, name) == 0)
            return true;
    }
    return false;
}

/* --follow: of the newest pod; else of every pod, one after another. */
static int print_logs(struct cli *cli, struct asked *asked, struct error *err)
{
    CLEANUP(text) char *kubeconfig = NULL;
    CLEANUP(kube_client) struct kube_client *kube = NULL;
    CLEANUP(json) json_t *pods = NULL;
    size_t i;
    const json_t *pod;

    if (deliver_kubeconfig(cli->home, asked->cluster, &kubeconfig, err) < 0 ||
        kube_client_open(kubeconfig, NULL, &kube, err) < 0 ||
        find_pods(kube, asked, &pods, err) < 0)
        return -1;
    const json_t *items = json_object_get(pods, "items");
    json_array_foreach(items, i, pod)
    {
        const char *name = json_str_at(pod, "metadata.name");
        if (asked->log.follow && i + 1 < json_array_size(items))
            continue;
        if (json_array_size(items) > 1 && !asked->log.follow)
            printf("==> %s <==\n", name);
        (void)fflush(stdout); /* before what is written past stdio */
        asked->log.container = asked->container;
        if (!asked->container && has_container(pod, "workload"))
            asked->log.container = "workload";
        if (kube_log(kube, json_str_at(pod, "metadata.namespace"), name, &asked->log, print_bytes,
                     NULL, err) < 0)
            return -1;
    }
    return 0;
}

/* The last outer cluster of the road: what users see. */
static int default_cluster(const struct cli *cli, char **ret, struct error *err)
{
    CLEANUP(text) char *path = str_format("%s/platform", cli->home);
    CLEANUP(platform) struct platform *platform = NULL;
    size_t count = 0;

    if (!path)
        return error_no_memory(err);
    if (platform_read(path, &platform, err) < 0)
        return -1;
    const struct platform_cluster *clusters = platform_clusters(platform, &count);
    if (count == 0)
        return error_set(err, ERR_NOT_FOUND, "the platform has no cluster");
    *ret = str_dup(str_of(clusters[count - 1].name));
    return *ret ? 0 : error_no_memory(err);
}

static int run_logs(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    struct asked asked = {.log = {.tail_lines = -1}};
    const char *tail = NULL;
    bool done;
    const struct cli_option options[] = {
        {.name = "cluster",
         .value = "NAME",
         .help = "which cluster (the last of the road)",
         .text = &asked.cluster},
        {.name = "container",
         .letter = 'c',
         .value = "NAME",
         .help = "which container (workload)",
         .text = &asked.container},
        {.name = "namespace", .letter = 'n', .value = "NAME", .help = "(all)", .text = &asked.ns},
        {.name = "follow", .letter = 'f', .help = "go on printing", .flag = &asked.log.follow},
        {.name = "previous",
         .letter = 'p',
         .help = "of the container before its last restart",
         .flag = &asked.log.previous},
        {.name = "timestamps", .help = "with times", .flag = &asked.log.timestamps},
        {.name = "tail", .value = "N", .help = "only the last N lines", .text = &tail},
        {.name = NULL},
    };
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(text) char *cluster = NULL;

    if (cli_options(cli, &cli_logs, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 1)
        return cli_usage(&cli_logs, "one app's name, please");
    if (tail && (!str_to_i64(str_of(tail), &asked.log.tail_lines) || asked.log.tail_lines < 0))
        return cli_usage(&cli_logs, "'%s' is no number of lines", tail);
    if (!asked.cluster && default_cluster(cli, &cluster, &err) < 0)
        return cli_fail(cli, &err, "monban up");
    if (!asked.cluster)
        asked.cluster = cluster;
    asked.app = words.items[0];
    if (print_logs(cli, &asked, &err) < 0)
        return cli_fail(cli, &err, "monban status");
    return CLI_DONE;
}

const struct cli_command cli_logs = {"logs", "APP [--cluster NAME] [-f]",
                                     "what the pods of an app say", NULL, run_logs};
