/* cli/commands.h - the commands that cli/table.c lists; each is defined in the file of its name. */
#pragma once
#include "cli/cli.h"

extern const struct cli_command cli_version;
