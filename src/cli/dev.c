/* cli/dev.c - monban dev: run an app in the dev cluster, and keep it as it is in the folder. */
#include "dev/dev.h"
#include "cli/commands.h"

static int run_dev(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    const char *cluster = NULL;
    bool keep = false, quiet = false, done;
    const struct cli_option options[] = {
        {.name = "cluster",
         .value = "NAME",
         .help = "which cluster (the first of the inner loop)",
         .text = &cluster},
        {.name = "keep", .help = "leave it running at the end", .flag = &keep},
        {.name = "quiet", .letter = 'q', .help = "without the app's logs", .flag = &quiet},
        {.name = NULL},
    };
    CLEANUP(strv) struct strv words = STRV_INIT;

    if (cli_options(cli, &cli_dev, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count > 1)
        return cli_usage(&cli_dev, "one folder, please");
    const struct dev_options dev = {.home = cli->home,
                                    .source = words.count == 1 ? words.items[0] : ".",
                                    .cluster = cluster,
                                    .keep = keep,
                                    .quiet = quiet};
    if (dev_run(&dev, &err) < 0)
        return cli_fail(cli, &err, "monban up");
    return CLI_DONE;
}

const struct cli_command cli_dev = {
    "dev", "[DIR] [--keep]", "run an app in the dev cluster; a save is live at once",
    "Builds the app, starts it in the dev cluster, prints its address and logs, and sends every\n"
    "saved file into the running container. Ctrl-C removes it again, unless --keep.",
    run_dev};
