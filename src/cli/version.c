/* cli/version.c - monban version. */
#include "cli/commands.h"

static int run(struct cli *cli, int argc, char **argv)
{
    bool done;

    if (cli_options(cli, &cli_version, argc, argv, NULL, NULL, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (cli->json)
        printf("{\"version\":\"%s\"}\n", MONBAN_VERSION);
    else
        printf("monban %s\n", MONBAN_VERSION);
    return CLI_DONE;
}

const struct cli_command cli_version = {"version", "", "say which version this is", NULL, run};
