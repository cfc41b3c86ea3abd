/* cli/commands.h - the commands that cli/table.c lists; each is defined in the file of its name. */
#pragma once
#include "cli/cli.h"

extern const struct cli_command cli_fabric_host;
extern const struct cli_command cli_gate;
extern const struct cli_command cli_gate_repository;
extern const struct cli_command cli_gate_walk;
extern const struct cli_command cli_push_hook;
extern const struct cli_command cli_up;
extern const struct cli_command cli_down;
extern const struct cli_command cli_man;
extern const struct cli_command cli_reference;
extern const struct cli_command cli_agent;
extern const struct cli_command cli_approve;
extern const struct cli_command cli_dev;
extern const struct cli_command cli_logs;
extern const struct cli_command cli_promote;
extern const struct cli_command cli_rollback;
extern const struct cli_command cli_status;
extern const struct cli_command cli_key_new;
extern const struct cli_command cli_key_show;
extern const struct cli_command cli_platform_check;
extern const struct cli_command cli_platform_diff;
extern const struct cli_command cli_platform_init;
extern const struct cli_command cli_release_export;
extern const struct cli_command cli_release_import;
extern const struct cli_command cli_release_list;
extern const struct cli_command cli_release_show;
extern const struct cli_command cli_render;
extern const struct cli_command cli_verify;
extern const struct cli_command cli_version;
extern const struct cli_command cli_json;
extern const struct cli_command cli_toml2json;
extern const struct cli_command cli_yaml2json;
extern const struct cli_command cli_sbom;
extern const struct cli_command cli_scan;
extern const struct cli_command cli_db_import;
extern const struct cli_command cli_db_update;
extern const struct cli_command cli_db_status;
extern const struct cli_command cli_version_compare;
extern const struct cli_command cli_purl;
extern const struct cli_command cli_cvss;
extern const struct cli_command cli_build;
extern const struct cli_command cli_stack_build;
extern const struct cli_command cli_stack_list;
