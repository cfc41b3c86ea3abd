/* cli/rollback.c - monban rollback. */
#include "cli/commands.h"
#include "cli/order.h"

static int run_rollback(struct cli *cli, int argc, char **argv)
{
    return cli_order(cli, &cli_rollback, DELIVER_ROLLBACK, argc, argv);
}

const struct cli_command cli_rollback = {
    "rollback", "APP --cluster CLUSTER [--to N]",
    "go back to the last good release, or to release N",
    "The release that is left is not taken again; a newer one is. Signed with the operator's key of\\nthe cluster.",
    run_rollback};
