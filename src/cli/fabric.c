/* cli/fabric.c - monban plumbing fabric-host: a host outside all clusters, on the fabric. */
#include "base/fs.h"
#include "cli/commands.h"
#include "cluster/net/net.h"

static int run(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(strv) struct strv words = STRV_INIT;
    bool remove = false, done;
    const struct cli_option options[] = {
        {.name = "remove", .help = "take it away again", .flag = &remove},
        {.name = NULL},
    };
    char address[NET_ADDRESS_SIZE];
    uint64_t k;

    if (cli_options(cli, &cli_fabric_host, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 2 || !str_to_u64(str_of(words.items[1]), &k) || k > NET_HOST_INDEX_MAX)
        return cli_usage(&cli_fabric_host, "a name and a number from 0 to %d, please",
                         NET_HOST_INDEX_MAX);
    if (remove) {
        fabric_detach_host(cli->home, words.items[0], (unsigned)k);
        return CLI_DONE;
    }
    if (fabric_ensure(cli->home, &err) < 0 ||
        fabric_attach_host(cli->home, words.items[0], (unsigned)k, &err) < 0)
        return cli_fail(cli, &err, NULL);
    printf("%s/net/%s %s\n", cli->home, words.items[0], net_host_address((unsigned)k, address));
    return CLI_DONE;
}

const struct cli_command cli_fabric_host = {
    "plumbing fabric-host", "NAME K", "join a host outside all clusters to the fabric",
    "Prints the file of its network namespace and its address 100.64.(200+K).2. A service that the\n"
    "platform folder names at that address (a database) is then reached by the clusters it serves.",
    run};
