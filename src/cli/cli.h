/* cli/cli.h - the command line: one file a command, one table (table.c) that lists them.
 *
 * A command is a const struct cli_command. It parses its options with cli_options(), calls the
 * stage's public functions, prints, and gives an exit code. No logic stands here that an API call
 * would need too. */
#pragma once
#include "wire/json.h"

/* Exit codes, the same for every command. */
enum cli_exit { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_REFUSED = 3 };

struct cli {
    char *home; /* owned; absolute */
    bool json;  /* -o json */
    bool color; /* standard output is a terminal and NO_COLOR is not set */
    enum { CLI_HELP_TEXT, CLI_HELP_MAN, CLI_HELP_MARKDOWN } help; /* how --help is written */
    bool progress;                                                /* standard error is a terminal */
    const char *program; /* absolute path of this binary, for starting daemons */
    const char *const *envp;
};

struct cli_command {
    const char *name;    /* "build"; of a sub-command "cluster create" */
    const char *usage;   /* "DIR [--tag NAME]" */
    const char *summary; /* one line */
    const char *help;    /* further text of --help, or NULL */
    /* argv[0] is the command's name. Returns an exit code; prints its own errors by cli_fail(). */
    int (*run)(struct cli *cli, int argc, char **argv);
};

extern const struct cli_command *const cli_table[]; /* NULL-ended */

/* Options: "--name VALUE", "--name=VALUE", "-x VALUE", flags; "--" ends them; the rest are words.
 */
struct cli_option {
    const char *name;  /* "tag"; NULL ends the table */
    char letter;       /* 't' or 0 */
    const char *value; /* what it takes, for the help ("NAME"); NULL: a flag */
    const char *help;
    const char **text; /* set to the value (borrowed from argv) */
    bool *flag;        /* set to true */
    struct strv *list; /* for a repeated option: appended */
};
/* Handles --help (prints, *ret_done), -o json and --home for every command. Words go to `words`.
 * -1: usage error already printed (exit CLI_USAGE). */
NODISCARD int cli_options(struct cli *cli, const struct cli_command *command, int argc, char **argv,
                          const struct cli_option *options, struct strv *words, bool *ret_done);

/* Prints "monban: <error>" (all lines of it) and, if given, "next: <command>"; gives the exit code:
 * DENIED and UNTRUSTED are CLI_REFUSED, else CLI_FAILED. */
int cli_fail(const struct cli *cli, const struct error *err, const char *next);
int cli_usage(const struct cli_command *command, const char *format, ...) PRINTF_LIKE(2, 3);
void cli_print_json(const json_t *root); /* indented */
