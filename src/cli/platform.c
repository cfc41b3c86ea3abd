/* cli/platform.c - monban platform init, check, diff: the platform folder. */
#include "platform/platform.h"
#include "base/fs.h"
#include "cli/commands.h"

/* The folder that a command is about: its word, else HOME/platform. free() it; NULL without memory.
 */
static char *folder_of(const struct cli *cli, const struct strv *words, size_t index)
{
    return words->count > index ? str_dup(str_of(words->items[index]))
                                : fs_join(cli->home, "platform");
}

static int run_init(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(strv) struct strv words = STRV_INIT;
    const char *name = "platform";
    bool done;
    const struct cli_option options[] = {
        {.name = "name", .value = "NAME", .help = "metadata.name", .text = &name},
        {.name = NULL},
    };

    if (cli_options(cli, &cli_platform_init, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 1)
        return cli_usage(&cli_platform_init, "one folder, please");
    if (platform_init(words.items[0], name, &err) < 0)
        return cli_fail(cli, &err, NULL);
    if (!cli->json)
        printf(
            "%s: four embedded clusters, a stack, and a file of each kind\nnext: monban platform "
            "check %s\n",
            words.items[0], words.items[0]);
    return CLI_DONE;
}

const struct cli_command cli_platform_init = {
    "platform init", "DIR [--name NAME]", "make a platform folder to begin with",
    "An existing folder keeps its files; one with a platform.yaml is left alone.", run_init};

static void print_levels(const struct platform *p)
{
    const struct strv *checks = platform_checks(p);
    size_t count;
    const struct platform_cluster *clusters = platform_clusters(p, &count);

    printf("\n%-26s", "CHECK");
    for (size_t i = 0; i < count; i++)
        printf(" %-12s", clusters[i].name);
    printf("\n");
    for (size_t k = 0; k < checks->count; k++) {
        printf("%-26s", checks->items[k]);
        for (size_t i = 0; i < count; i++)
            printf(" %-12s", platform_level_name(
                                 platform_check_level(p, clusters[i].name, checks->items[k])));
        printf("\n");
    }
}

static void print_clusters(const struct platform *p)
{
    size_t count;
    const struct platform_cluster *clusters = platform_clusters(p, &count);

    printf("%-3s %-14s %-6s %-12s %-14s %s\n", "#", "CLUSTER", "LOOP", "ENGINE", "FOLLOWS",
           "PROMOTION");
    for (size_t i = 0; i < count; i++) {
        const struct platform_cluster *c = &clusters[i];
        printf("%-3u %-14s %-6s %-12s %-14s ", c->index, c->name,
               c->loop == PLATFORM_OUTER ? "outer" : "inner",
               c->kubeconfig ? "kubeconfig" : "embedded", c->follows ? c->follows : "-");
        if (c->follows)
            printf("soak %lld s, approvals %u", (long long)(c->soak_ms / 1000), c->approvals);
        printf("%s\n", c->is_gate ? "the gate" : "");
    }
}

static int print_ways(const struct platform *p, struct error *err)
{
    CLEANUP(platform_ways) struct platform_ways ways = {0};

    if (platform_ways(p, &ways, err) < 0)
        return -1;
    printf("\nWAYS through the network separation (all else is dropped)\n");
    for (size_t i = 0; i < ways.count; i++)
        printf("%-14s -> %s:%u  (%s%s)\n", ways.items[i].from, ways.items[i].to, ways.items[i].port,
               ways.items[i].why, ways.items[i].from_pods ? ", from its pods" : "");
    return 0;
}

static int run_check(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(platform) struct platform *p = NULL;
    CLEANUP(json) json_t *whole = NULL;
    bool done;

    if (cli_options(cli, &cli_platform_check, argc, argv, NULL, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count > 1)
        return cli_usage(&cli_platform_check, "one folder, please");
    CLEANUP(text) char *dir = folder_of(cli, &words, 0);
    if (!dir)
        (void)error_no_memory(&err);
    if (!dir || platform_read(dir, &p, &err) < 0 || platform_describe(p, &whole, &err) < 0)
        return cli_fail(cli, &err, NULL);
    if (cli->json) {
        cli_print_json(whole);
        return CLI_DONE;
    }
    printf("platform %s (%s)\n", platform_name(p), platform_digest(p)->text);
    print_clusters(p);
    print_levels(p);
    if (print_ways(p, &err) < 0)
        return cli_fail(cli, &err, NULL);
    return CLI_DONE;
}

const struct cli_command cli_platform_check = {
    "platform check", "[DIR]", "check a platform folder; every fault at once, with its place",
    "Without DIR the folder in use (HOME/platform). Prints the clusters, the checks in each, and "
    "the ways through the network separation.",
    run_check};

static void print_difference(const json_t *item)
{
    const char *a = json_str_at(item, "a"), *b = json_str_at(item, "b");

    printf("%-12s %-26s %-20s -> %s\n", json_str_at(item, "what"), json_str_at(item, "name"),
           a && *a ? a : "-", b && *b ? b : "-");
}

static int run_diff(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(platform) struct platform *p = NULL;
    CLEANUP(json) json_t *list = NULL;
    bool done;
    size_t i;
    const json_t *item;

    if (cli_options(cli, &cli_platform_diff, argc, argv, NULL, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count < 2 || words.count > 3)
        return cli_usage(&cli_platform_diff, "two clusters, please");
    CLEANUP(text) char *dir = folder_of(cli, &words, 2);
    if (!dir)
        (void)error_no_memory(&err);
    if (!dir || platform_read(dir, &p, &err) < 0 ||
        platform_diff(p, words.items[0], words.items[1], &list, &err) < 0)
        return cli_fail(cli, &err, NULL);
    if (cli->json) {
        cli_print_json(list);
        return CLI_DONE;
    }
    printf("%-12s %-26s %-20s -> %s\n", "", "", words.items[0], words.items[1]);
    json_array_foreach(list, i, item)
    {
        print_difference(item);
    }
    return CLI_DONE;
}

const struct cli_command cli_platform_diff = {
    "platform diff", "A B [DIR]", "what cluster B demands beyond, or unlike, cluster A",
    "Shows where governance rises along the road: checks, conventions, agents, services, "
    "promotion.",
    run_diff};
