/* cli/table.c - every command, in the order of the help. A command is declared by its own file. */
#include "cli/commands.h"

const struct cli_command *const cli_table[] = {
    /* keep this list in the order of docs/reference.md */
    &cli_render,
    &cli_platform_init,
    &cli_platform_check,
    &cli_platform_diff,
    &cli_key_new,
    &cli_key_show,
    &cli_json,
    &cli_toml2json,
    &cli_yaml2json,
    &cli_version,
    &cli_man,
    &cli_reference,
    NULL,
};
