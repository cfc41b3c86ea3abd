/* cli/manual.c - monban plumbing man, plumbing reference: manual pages and docs/reference.md from
 * the one source, the commands' own help. */
#include "cli/commands.h"

static int run_help(struct cli *cli, const struct cli_command *command)
{
    char name[64];
    char help[] = "--help";
    char *argv[] = {name, help, NULL};

    (void)snprintf(name, sizeof name, "%s", command->name); /* names are ours and short */
    return command->run(cli, 2, argv);
}

static int run_man(struct cli *cli, int argc, char **argv)
{
    CLEANUP(strv) struct strv words = STRV_INIT;
    bool done;

    if (cli_options(cli, &cli_man, argc, argv, NULL, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 1)
        return cli_usage(&cli_man, "one command's name, please (\"cluster create\" in quotes)");
    for (const struct cli_command *const *c = cli_table; *c; c++) {
        if (strcmp((*c)->name, words.items[0]) != 0)
            continue;
        cli->help = CLI_HELP_MAN;
        return run_help(cli, *c);
    }
    return cli_usage(&cli_man, "no command '%s'", words.items[0]);
}

const struct cli_command cli_man = {"plumbing man", "COMMAND",
                                    "print the manual page of a command (troff)", NULL, run_man};

static int run_reference(struct cli *cli, int argc, char **argv)
{
    bool done;

    if (cli_options(cli, &cli_reference, argc, argv, NULL, NULL, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    printf(
        "# Commands\n\nMade by `monban plumbing reference` from the commands' own help. Every command "
        "takes `--home DIR`, `-o json`\nwhere it lists or reports, and `--help`. Exit codes: 0 done, 1 "
        "failed, 2 wrong usage, 3 refused by the gate or a check.\n\n");
    cli->help = CLI_HELP_MARKDOWN;
    for (const struct cli_command *const *c = cli_table; *c; c++) {
        if (run_help(cli, *c) != CLI_DONE)
            return CLI_FAILED;
    }
    return CLI_DONE;
}

const struct cli_command cli_reference = {
    "plumbing reference", "", "print docs/reference.md: all commands", NULL, run_reference};
