/* cli/status.c - monban status: the whole road, read from the Kubernetes API of each cluster. */
#include "base/clock.h"
#include "cli/commands.h"
#include "deliver/deliver.h"

enum { STATUS_SHORT = 12, STATUS_FINDINGS = 20 };

static const char *state_color(const struct cli *cli, const char *state)
{
    if (!cli->color)
        return "";
    if (strcmp(state, "Healthy") == 0)
        return "\033[32m";
    if (strcmp(state, "Refused") == 0 || strcmp(state, "Degraded") == 0 ||
        strcmp(state, "RolledBack") == 0)
        return "\033[31m";
    return "\033[33m";
}

static void print_reason(const char *reason)
{
    struct str rest = str_of(reason);

    while (rest.len > 0) {
        struct str line = str_cut(&rest, '\n');
        if (str_trim(line).len > 0)
            printf("    %.*s\n", STR_ARG(line));
    }
}

static void print_findings(const json_t *findings)
{
    size_t i;
    const json_t *finding;

    json_array_foreach(findings, i, finding)
    {
        const char *keys[] = {"severity", "advisory", "package", "version", "owner", "command"};
        const char *texts[ARRAY_LEN(keys)];
        for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
            const char *text = json_str_at(finding, keys[k]);
            texts[k] = text ? text : "";
        }
        const char *team = json_str_at(finding, "team");
        if (i >= STATUS_FINDINGS) {
            printf("    and %zu more: monban status -o json\n", json_array_size(findings) - i);
            return;
        }
        printf("    affected: %s %s in %s %s (owner: %s%s%s)%s%s\n", texts[0], texts[1], texts[2],
               texts[3], team && *team ? team : texts[4], team && *team ? ", " : "",
               team && *team ? texts[4] : "", *texts[5] ? "; remedy: " : "", texts[5]);
    }
}

static void print_release(const struct cli *cli, const char *cluster, const json_t *release)
{
    const char *state = json_str_at(release, "state");
    const char *commit = json_str_at(release, "commit");
    int64_t since = 0;
    int64_t sequence = json_int_at(release, "sequence", 0);
    int64_t candidate = json_int_at(release, "candidate", 0);
    char age[CLOCK_TEXT_SIZE] = "";
    char number[24] = "-";
    const char *since_text = json_str_at(release, "since");

    if (since_text && clock_parse_rfc3339(str_of(since_text), &since))
        (void)clock_age(clock_now_s() - since, age);
    if (sequence)
        (void)snprintf(number, sizeof number, "%lld", (long long)sequence);
    printf("%-14s %-20s %-8s %-12.*s %s%-11s%s %-8s %zu\n", cluster,
           json_str_at(release, "workload"), number, STATUS_SHORT, commit && *commit ? commit : "-",
           state_color(cli, state), state, cli->color ? "\033[0m" : "", age,
           json_array_size(json_object_get(release, "findings")));
    if (candidate)
        printf("    release %lld is %s\n", (long long)candidate,
               strcmp(state, "Refused") == 0 ? "refused" : "coming");
    print_reason(json_str_at(release, "reason"));
    print_findings(json_object_get(release, "findings"));
}

static void print_status(const struct cli *cli, const json_t *status)
{
    size_t i, j;
    const json_t *cluster, *release;

    printf("%-14s %-20s %-8s %-12s %-11s %-8s %s\n", "CLUSTER", "WORKLOAD", "RELEASE", "COMMIT",
           "STATE", "SINCE", "FINDINGS");
    json_array_foreach(status, i, cluster)
    {
        const char *name = json_str_at(cluster, "cluster");
        const json_t *releases = json_object_get(cluster, "releases");
        if (!json_bool_at(cluster, "reachable", false)) {
            printf("%-14s not reachable: %s\n", name, json_str_at(cluster, "error"));
            continue;
        }
        if (json_array_size(releases) == 0)
            printf("%-14s %-20s %-8s %-12s %s\n", name, "-", "-", "-",
                   strcmp(json_str_at(cluster, "loop"), "inner") == 0 ? "(inner loop)" : "-");
        json_array_foreach(releases, j, release)
        {
            print_release(cli, name, release);
        }
    }
}

static int run_status(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(json) json_t *status = NULL;
    bool done;

    if (cli_options(cli, &cli_status, argc, argv, NULL, NULL, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (deliver_status(cli->home, &status, &err) < 0)
        return cli_fail(cli, &err, "monban up");
    if (cli->json)
        cli_print_json(status);
    else
        print_status(cli, status);
    return CLI_DONE;
}

const struct cli_command cli_status = {
    "status", "", "what runs in each cluster of the road, and what is known against it",
    "Release, commit, state and findings (with owner and remedy) of every workload, read from the\n"
    "Kubernetes API of each cluster.",
    run_status};
