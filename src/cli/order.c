/* cli/order.c - see cli/order.h. */
#include "cli/order.h"

#include <pwd.h>
#include <unistd.h>

/* Who says so: --by, else the name of the user. */
static const char *user_name(void)
{
    const struct passwd *user = getpwuid(getuid());
    return user ? user->pw_name : "unknown";
}

int cli_order(struct cli *cli, const struct cli_command *command, enum deliver_order order,
              int argc, char **argv)
{
    struct error err = ERROR_INIT;
    const char *cluster = NULL, *sequence = NULL, *by = NULL, *reason = NULL;
    const struct cli_option options[] = {
        {.name = "cluster", .value = "NAME", .help = "the outer cluster", .text = &cluster},
        {.name = "to", .value = "N", .help = "the release's sequence number", .text = &sequence},
        {.name = "by", .value = "WHO", .help = "who says so (your user name)", .text = &by},
        {.name = "reason", .value = "TEXT", .help = "kept with the order", .text = &reason},
        {.name = NULL},
    };
    CLEANUP(strv) struct strv words = STRV_INIT;
    uint64_t number = 0;
    bool done;

    if (cli_options(cli, command, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 1)
        return cli_usage(command, "one workload's name, please");
    if (!cluster)
        return cli_usage(command, "--cluster is missing");
    if (sequence && (!str_to_u64(str_of(sequence), &number) || number == 0))
        return cli_usage(command, "'%s' is no release number", sequence);
    const struct deliver_order_options order_options = {.home = cli->home,
                                                        .cluster = cluster,
                                                        .workload = words.items[0],
                                                        .order = order,
                                                        .sequence = number,
                                                        .by = by ? by : user_name(),
                                                        .reason = reason};
    if (deliver_order_send(&order_options, &err) < 0)
        return cli_fail(cli, &err, "monban status");
    if (!cli->json)
        printf("%s: %s in %s, told to its agent; see: monban status\n", command->name,
               words.items[0], cluster);
    return CLI_DONE;
}
