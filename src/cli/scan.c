/* cli/scan.c - monban scan: inventory, findings and the verdict of a cluster's checks, without a
 * cluster. */
#include <fcntl.h>

#include "base/clock.h"
#include "base/fs.h"
#include "cli/commands.h"
#include "platform/platform.h"
#include "verdict/verdict.h"

struct scan {
    const char *db_path, *cache, *fail_on, *cluster, *platform_dir;
    struct inventory_options inventory;
    struct platform *platform; /* owned; NULL: no checks of a platform */
    struct check_rule *rules;  /* owned */
    size_t rule_count;
    struct waiver *waivers; /* owned */
    size_t waiver_count;
    bool is_gate;
};

static void scan_done(struct scan *s)
{
    platform_free(s->platform);
    free(s->rules);
    free(s->waivers);
}
DEFINE_CLEANUP_VALUE(scan, struct scan, scan_done)

/* --fail-on high: what is high or worse is refused. */
static int set_threshold(struct scan *s, struct error *err)
{
    static const char *const names[SEVERITY_COUNT] = {
        [SEVERITY_LOW] = "vulnerability-low",
        [SEVERITY_MEDIUM] = "vulnerability-medium",
        [SEVERITY_HIGH] = "vulnerability-high",
        [SEVERITY_CRITICAL] = "vulnerability-critical",
    };
    enum severity least = severity_of_word(str_of(s->fail_on));

    if (least < SEVERITY_LOW)
        return error_set(err, ERR_INVALID,
                         "--fail-on: expected low, medium, high or critical, found '%s'",
                         s->fail_on);
    s->rules = calloc(SEVERITY_COUNT, sizeof *s->rules);
    if (!s->rules)
        return error_no_memory(err);
    for (int i = SEVERITY_LOW; i < SEVERITY_COUNT; i++)
        s->rules[s->rule_count++] =
            (struct check_rule){names[i], i >= (int)least ? CHECK_REFUSE : CHECK_NOTE};
    return 0;
}

static int set_platform_rules(struct scan *s, struct error *err)
{
    const struct platform_cluster *cluster =
        s->cluster ? platform_cluster(s->platform, s->cluster) : platform_gate(s->platform);
    const struct strv *checks = platform_checks(s->platform);
    const struct platform_waiver *waivers;

    if (!cluster)
        return error_set(err, ERR_NOT_FOUND, "no cluster '%s' in the platform '%s'",
                         s->cluster ? s->cluster : "with the role gate", platform_dir(s->platform));
    waivers = platform_waivers(s->platform, &s->waiver_count);
    s->rules = calloc(checks->count + 1, sizeof *s->rules);
    s->waivers = calloc(s->waiver_count + 1, sizeof *s->waivers);
    if (!s->rules || !s->waivers)
        return error_no_memory(err);
    for (size_t i = 0; i < checks->count; i++)
        s->rules[s->rule_count++] = (struct check_rule){
            checks->items[i],
            (enum check_level)platform_check_level(s->platform, cluster->name, checks->items[i])};
    for (size_t i = 0; i < s->waiver_count; i++)
        s->waivers[i] = (struct waiver){.advisory = waivers[i].advisory,
                                        .package = waivers[i].purl,
                                        .team = waivers[i].owner,
                                        .reason = waivers[i].reason,
                                        .until = waivers[i].until};
    s->cluster = cluster->name;
    s->is_gate = cluster->is_gate;
    return 0;
}

/* --fail-on, else the checks of a platform folder, else none. */
static int set_rules(struct scan *s, const struct cli *cli, struct error *err)
{
    CLEANUP(text) char *usual = fs_join(cli->home, "platform");
    CLEANUP(text) char *file = fs_join(cli->home, "platform/platform.yaml");

    if (!usual || !file)
        return error_no_memory(err);
    if (s->fail_on)
        return set_threshold(s, err);
    if (!s->platform_dir && !s->cluster && !fs_exists(AT_FDCWD, file))
        return 0;
    if (platform_read(s->platform_dir ? s->platform_dir : usual, &s->platform, err) < 0)
        return -1;
    return set_platform_rules(s, err);
}

static int judge(const struct scan *s, const struct findings *findings,
                 const struct advisory_db *db, struct verdict **ret, struct error *err)
{
    const struct verdict_input input = {
        .findings = findings,
        .rules = s->rules,
        .rule_count = s->rule_count,
        .waivers = s->waivers,
        .waiver_count = s->waiver_count,
        .db = db,
        .now_s = clock_now_s(),
        .cluster = s->cluster ? s->cluster : "",
        .is_developer_gate = s->is_gate,
    };

    return verdict_judge(&input, ret, err);
}

static int print_json(const struct inventory *inv, const struct advisory_db *db,
                      const struct findings *findings, const struct verdict *verdict,
                      struct error *err)
{
    CLEANUP(json) json_t *root = NULL;
    json_t *judged = NULL;

    if (findings_to_json(inv, db, findings, &root, err) < 0 ||
        verdict_to_json(verdict, &judged, err) < 0)
        return -1;
    if (json_object_set_new(root, "verdict", judged) < 0)
        return error_no_memory(err);
    cli_print_json(root);
    return 0;
}

static int print_text(const struct cli *cli, const struct scan *s, const struct inventory *inv,
                      const struct advisory_db *db, const struct findings *findings,
                      const struct verdict *verdict, struct error *err)
{
    CLEANUP(buf) struct buf out = BUF_INIT(64 << 20);
    char age[CLOCK_TEXT_SIZE];
    struct advisory_status status;
    const struct inventory_fault *faults;
    size_t packages, fault_count;

    advisory_db_status(db, &status);
    (void)inventory_packages(inv, &packages);
    faults = inventory_faults(inv, &fault_count);
    buf_addf(&out, "%zu packages, %u advisories, database %s old\n", packages, status.records,
             clock_age(clock_now_s() - status.imported_s, age));
    for (size_t i = 0; i < fault_count; i++)
        buf_addf(&out, "could not use %s: %s\n", faults[i].path, faults[i].text);
    verdict_report(findings, s->rule_count ? verdict : NULL, cli->color, &out);
    if (buf_ok(&out, err) < 0)
        return -1;
    fputs(buf_text(&out), stdout);
    return 0;
}

static int scan(struct cli *cli, struct scan *s, const char *target, enum check_level *ret_level,
                struct error *err)
{
    CLEANUP(text) char *usual_db = fs_join(cli->home, "db/advisories.db");
    CLEANUP(text) char *registry = fs_join(cli->home, "gate/registry");
    CLEANUP(inventory) struct inventory *inv = NULL;
    CLEANUP(advisory_db) struct advisory_db *db = NULL;
    CLEANUP(findings) struct findings *findings = NULL;
    CLEANUP(verdict) struct verdict *verdict = NULL;

    if (!usual_db || !registry)
        return error_no_memory(err);
    if (set_rules(s, cli, err) < 0 ||
        inventory_of_target(target, registry, &s->inventory, &inv, err) < 0 ||
        advisory_db_open(s->db_path ? s->db_path : usual_db, &db, err) < 0 ||
        findings_of(inv, db, &findings, err) < 0 || judge(s, findings, db, &verdict, err) < 0)
        return -1;
    *ret_level = verdict_level(verdict);
    return cli->json ? print_json(inv, db, findings, verdict, err)
                     : print_text(cli, s, inv, db, findings, verdict, err);
}

static int run_scan(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(scan) struct scan s = {0};
    const struct cli_option options[] = {
        {.name = "fail-on",
         .value = "SEVERITY",
         .help = "exit 3 if a finding is that severe (low, medium, high, critical)",
         .text = &s.fail_on},
        {.name = "platform", .value = "DIR", .help = "whose checks count", .text = &s.platform_dir},
        {.name = "cluster",
         .value = "NAME",
         .help = "judge as this cluster does (the gate's)",
         .text = &s.cluster},
        {.name = "db", .value = "FILE", .help = "the advisory database", .text = &s.db_path},
        {.name = "cache", .value = "DIR", .help = "keep what layers hold there", .text = &s.cache},
        {.name = "with-dev",
         .help = "packages for development, too",
         .flag = &s.inventory.with_dev},
        {.name = NULL},
    };
    CLEANUP(strv) struct strv words = STRV_INIT;
    enum check_level level = CHECK_OFF;
    bool done;

    if (cli_options(cli, &cli_scan, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 1)
        return cli_usage(&cli_scan, "one image or folder, please");
    s.inventory.cache_dir = s.cache;
    if (scan(cli, &s, words.items[0], &level, &err) < 0)
        return cli_fail(cli, &err,
                        err.kind == ERR_NOT_FOUND && strstr(err.text, "advisor")
                            ? "monban db update (or: monban db import DIR)"
                            : NULL);
    return level >= CHECK_HOLD ? CLI_REFUSED : CLI_DONE;
}

const struct cli_command cli_scan = {
    "scan", "IMAGE-OR-DIR [--fail-on SEVERITY]",
    "what is vulnerable in an image or a folder, and who must fix it",
    "IMAGE is an OCI layout (PATH, PATH:TAG, PATH@sha256:HEX) or REPOSITORY:TAG of the gate's registry; DIR is a\n"
    "folder of source with a lock file; a CycloneDX file works, too. Needs no network and no cluster. With a\n"
    "platform folder (--platform, or the one of `monban up`) it gives that gate's verdict. Exit 3: refused or held.",
    run_scan};
