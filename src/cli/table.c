/* cli/table.c - every command, in the order of the help. A command is declared by its own file. */
#include "cli/commands.h"

const struct cli_command *const cli_table[] = {
    /* keep this list in the order of docs/reference.md */
    &cli_render,
    &cli_verify,
    &cli_release_list,
    &cli_release_show,
    &cli_release_export,
    &cli_release_import,
    &cli_platform_init,
    &cli_platform_check,
    &cli_platform_diff,
    &cli_key_new,
    &cli_key_show,
    &cli_sbom,
    &cli_scan,
    &cli_db_import,
    &cli_db_update,
    &cli_db_status,
    &cli_version_compare,
    &cli_purl,
    &cli_cvss,
    &cli_json,
    &cli_toml2json,
    &cli_yaml2json,
    &cli_version,
    &cli_man,
    &cli_reference,
    NULL,
};
