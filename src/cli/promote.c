/* cli/promote.c - monban promote. */
#include "cli/commands.h"
#include "cli/order.h"

static int run_promote(struct cli *cli, int argc, char **argv)
{
    return cli_order(cli, &cli_promote, DELIVER_PROMOTE, argc, argv);
}

const struct cli_command cli_promote = {
    "promote", "APP --cluster CLUSTER", "do not wait for the rest of the soak time",
    "Checks and approvals stay as they are. Signed with the operator's key of the cluster.",
    run_promote};
