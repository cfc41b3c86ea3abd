/* gate/inspect.c - the middle stages of a walk: sbom, findings, verdict. */
#include "base/clock.h"
#include "base/fs.h"
#include "gate/walk_internal.h"
#include "verdict/verdict.h"

static int make_inventory(struct walk *w, struct inventory **ret, struct error *err)
{
    CLEANUP(text) char *cache = fs_join(w->options->home, "gate/cache/inventory");
    CLEANUP(text) char *name = str_format("apps/%s", w->options->app);
    CLEANUP(inventory) struct inventory *inventory = NULL;
    size_t count;

    walk_begin(w, "sbom", WALK_OWNER_PLATFORM, NULL);
    if (!cache || !name)
        return error_no_memory(err);
    struct inventory_options options = {.name = name, .cache_dir = cache};
    if (inventory_of_image(layout_path(w->layout), &w->build.manifest, &options, &inventory, err) <
            0 ||
        inventory_to_cyclonedx(inventory, &w->sbom, err) < 0)
        return -1;
    (void)inventory_packages(inventory, &count);
    const struct inventory_cost *cost = inventory_cost(inventory);
    walk_done(w, "%zu packages (%zu layers read, %zu known)", count, cost->layers_read,
              cost->layers_cached);
    *ret = TAKE(inventory);
    return 0;
}

static int open_database(struct walk *w, struct advisory_db **ret, struct error *err)
{
    CLEANUP(text) char *path = fs_join(w->options->home, "db/advisories.db");

    walk_begin(w, "findings", WALK_OWNER_PLATFORM, "monban db update (or: monban db import DIR)");
    if (!path)
        return error_no_memory(err);
    if (advisory_db_open(path, ret, err) < 0)
        return error_wrap(err, "opening the advisory database");
    return 0;
}

static void say_database(struct walk *w, const struct advisory_db *db, size_t finding_count)
{
    struct advisory_status status;
    char age[CLOCK_TEXT_SIZE];

    advisory_db_status(db, &status);
    walk_done(w, "%zu by %u advisories, database %s old", finding_count, status.records,
              clock_age(clock_now_s() - status.imported_s, age));
}

/* The rows of the platform's matrix, for the gate's own cluster. free() the array. */
static struct check_rule *rules_of(const struct platform *p, const char *cluster, size_t *ret_count)
{
    const struct strv *names = platform_checks(p);
    struct check_rule *rules = calloc(names->count + 1, sizeof *rules);

    for (size_t i = 0; rules && i < names->count; i++) {
        rules[i].name = names->items[i];
        rules[i].level = (enum check_level)platform_check_level(p, cluster, names->items[i]);
    }
    *ret_count = rules ? names->count : 0;
    return rules;
}

static struct waiver *waivers_of(const struct platform *p, const char *app, size_t *ret_count)
{
    size_t count;
    const struct platform_waiver *all = platform_waivers(p, &count);
    struct waiver *waivers = calloc(count + 1, sizeof *waivers);

    *ret_count = 0;
    for (size_t i = 0; waivers && i < count; i++) {
        if (all[i].workload && strcmp(all[i].workload, app) != 0)
            continue;
        waivers[(*ret_count)++] = (struct waiver){.advisory = all[i].advisory,
                                                  .package = all[i].purl,
                                                  .team = all[i].owner,
                                                  .reason = all[i].reason,
                                                  .until = all[i].until};
    }
    return waivers;
}

static int judge(struct walk *w, const struct findings *findings, const struct advisory_db *db,
                 struct verdict **ret, struct error *err)
{
    const struct platform *p = w->options->platform;
    const struct platform_cluster *gate = platform_gate(p);
    size_t rule_count, waiver_count;
    struct check_rule *rules = rules_of(p, gate ? gate->name : "build", &rule_count);
    struct waiver *waivers = waivers_of(p, w->options->app, &waiver_count);
    /* What the gate renders is restricted by construction (render/render.h); the outer cluster
     * checks again what it applies. */
    const struct check_fact facts[] = {{.name = "pod-security-restricted",
                                        .holds = true,
                                        .evidence = "rendered by the gate",
                                        .owner = OWNER_PLATFORM,
                                        .command = ""}};
    int result = -1;

    if (rules && waivers) {
        const struct verdict_input input = {
            .findings = findings,
            .rules = rules,
            .rule_count = rule_count,
            .facts = facts,
            .fact_count = ARRAY_LEN(facts),
            .waivers = waivers,
            .waiver_count = waiver_count,
            .db = db,
            .now_s = clock_now_s(),
            .cluster = gate ? gate->name : "build",
            .is_developer_gate = true,
        };
        result = verdict_judge(&input, ret, err);
    } else {
        result = error_no_memory(err);
    }
    free(rules);
    free(waivers);
    return result;
}

static void say_verdict(struct walk *w, const struct verdict *verdict)
{
    CLEANUP(buf) struct buf text = BUF_INIT(1 << 20);
    enum check_level level = verdict_level(verdict);
    size_t count;

    w->passed = level < CHECK_HOLD;
    (void)verdict_failures(verdict, &count);
    verdict_explain(verdict, false, &text);
    if (count > 0)
        walk_say_text(w, buf_str(&text));
    walk_done(w, "%s (%s)",
              w->passed             ? "passed"
              : level == CHECK_HOLD ? "held: it waits for the platform team (a waiver)"
                                    : "refused",
              check_level_name(level));
}

int walk_inspect(struct walk *w, struct error *err)
{
    CLEANUP(inventory) struct inventory *inventory = NULL;
    CLEANUP(advisory_db) struct advisory_db *db = NULL;
    CLEANUP(findings) struct findings *findings = NULL;
    CLEANUP(verdict) struct verdict *verdict = NULL;
    size_t count;

    if (make_inventory(w, &inventory, err) < 0)
        return -1;
    if (open_database(w, &db, err) < 0 || findings_of(inventory, db, &findings, err) < 0 ||
        findings_to_json(inventory, db, findings, &w->findings, err) < 0)
        return -1;
    (void)findings_items(findings, &count);
    say_database(w, db, count);

    walk_begin(w, "verdict", WALK_OWNER_PLATFORM, NULL);
    if (judge(w, findings, db, &verdict, err) < 0 || verdict_to_json(verdict, &w->verdict, err) < 0)
        return -1;
    say_verdict(w, verdict);
    return 0;
}
