/* cli/order.h - what approve, promote and rollback have in common: an order to an outer cluster. */
#pragma once
#include "cli/cli.h"
#include "deliver/deliver.h"

int cli_order(struct cli *cli, const struct cli_command *command, enum deliver_order order,
              int argc, char **argv);
