/* cli/plumbing.h - `monban plumbing …`: pure functions for scripts and tests, from standard input
 * to standard output. To add one, define a struct cli_command named "plumbing NAME" in the file of
 * its subject, declare it in cli/commands.h, and list it in cli/table.c. Those that answer line by
 * line use plumbing_lines(). */
#pragma once
#include "cli/cli.h"

/* One line in, one line out (without its end of line). false: the answer is an error, and the exit
 * code 1. */
typedef bool plumbing_line_fn(struct str line, struct buf *out, void *ctx);

/* Answers each line of standard input as it comes. `argv` may hold only options and, if `word` is
 * not NULL, exactly one word, which goes there (borrowed) before the first line is read. */
int plumbing_lines(struct cli *cli, const struct cli_command *command, int argc, char **argv,
                   const char **word, plumbing_line_fn *answer, void *ctx);
