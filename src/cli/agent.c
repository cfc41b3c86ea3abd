/* cli/agent.c - monban agent: the daemon of an outer cluster. */
#include <unistd.h>

#include "base/log.h"
#include "cli/commands.h"
#include "deliver/deliver.h"

static int run_agent(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    const char *kubeconfig = NULL, *ready = NULL;
    bool verbose = false, done;
    const struct cli_option options[] = {
        {.name = "kubeconfig",
         .value = "FILE",
         .help = "how to reach the cluster (else as the platform says)",
         .text = &kubeconfig},
        {.name = "ready-fd", .value = "FD", .help = "gets a byte once it follows", .text = &ready},
        {.name = "verbose", .letter = 'v', .help = "log every step", .flag = &verbose},
        {.name = NULL},
    };
    CLEANUP(strv) struct strv words = STRV_INIT;
    uint64_t ready_fd = 0;

    if (cli_options(cli, &cli_agent, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 1)
        return cli_usage(&cli_agent, "one cluster's name, please");
    if (ready && (!str_to_u64(str_of(ready), &ready_fd) || ready_fd > 1000))
        return cli_usage(&cli_agent, "'%s' is no descriptor", ready);
    CLEANUP(text) char *process = str_format("agent %s", words.items[0]);
    log_setup(STDERR_FILENO, verbose ? LOG_DEBUG : LOG_INFO, process ? process : "agent");
    const struct deliver_options agent = {.home = cli->home,
                                          .cluster = words.items[0],
                                          .kubeconfig = kubeconfig,
                                          .ready_fd = (int)ready_fd};
    if (deliver_prepare(cli->home, words.items[0], &err) < 0 || deliver_run(&agent, &err) < 0)
        return cli_fail(cli, &err, "monban platform check");
    return CLI_DONE;
}

const struct cli_command cli_agent = {
    "agent", "CLUSTER", "the daemon of an outer cluster: pulls, verifies, binds, applies, watches",
    "Runs in the foreground until SIGTERM. 'monban up' starts one for each outer cluster of this\n"
    "machine. It follows the registry that HOME/agents/CLUSTER/upstream names and trusts the keys\n"
    "in that folder.",
    run_agent};
