/* cli/approve.c - monban approve. */
#include "cli/commands.h"
#include "cli/order.h"

static int run_approve(struct cli *cli, int argc, char **argv)
{
    return cli_order(cli, &cli_approve, DELIVER_APPROVE, argc, argv);
}

const struct cli_command cli_approve = {
    "approve", "APP --cluster CLUSTER", "let a release go on that waits for a person",
    "Signed with the operator's key of the cluster (HOME/agents/CLUSTER/keys/operator.key).",
    run_approve};
