/* deliver/matrix.c - governance of this cluster over a release: see matrix.h. */
#include "deliver/matrix.h"

#include "base/clock.h"
#include "deliver/dress.h"
#include "verdict/verdict.h"

enum { MATRIX_RULES_MAX = 64, MATRIX_WAIVERS_MAX = 4096 };

void matrix_done(struct matrix *matrix)
{
    json_decref(matrix->failures);
    json_decref(matrix->findings);
    buf_done(&matrix->text);
    *matrix = (struct matrix)MATRIX_INIT;
}

int matrix_brief(const json_t *predicate, json_t **ret, struct error *err)
{
    static const char *const keys[] = {"advisory", "severity", "package", "version", "owner",
                                       "team",     "fixed",    "remedy",  "command", "advice"};
    CLEANUP(json) json_t *out = json_array();
    const json_t *findings = json_object_get(predicate, "findings");
    size_t i;
    const json_t *finding;

    json_array_foreach(findings, i, finding)
    {
        if (i >= MATRIX_FINDINGS_MAX)
            break;
        json_t *brief = json_object();
        for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
            json_t *value = json_object_get(finding, keys[k]);
            if (value && json_object_set(brief, keys[k], value) < 0)
                return error_no_memory(err);
        }
        if (json_array_append_new(out, brief) < 0)
            return error_no_memory(err);
    }
    *ret = TAKE(out);
    return 0;
}

int matrix_recheck(const json_t *bom, const char *db_path, json_t **ret_findings, char version[80],
                   struct error *err)
{
    CLEANUP(advisory_db) struct advisory_db *db = NULL;
    CLEANUP(json) json_t *predicate = NULL;
    struct advisory_status status;

    if (advisory_db_open(db_path, &db, err) < 0 || verdict_recheck(bom, db, &predicate, err) < 0)
        return -1;
    advisory_db_status(db, &status);
    (void)snprintf(version, 80, "%s", status.version);
    return matrix_brief(predicate, ret_findings, err);
}

/* What the cluster's rules say, as the verdict's own types. */
static size_t rules_of(const struct matrix_input *input, struct check_rule *rules)
{
    const struct strv *names = platform_checks(input->platform);
    size_t count = 0;

    for (size_t i = 0; i < names->count && count < MATRIX_RULES_MAX; i++) {
        enum platform_level level =
            platform_check_level(input->platform, input->cluster, names->items[i]);
        rules[count++] = (struct check_rule){names->items[i], (enum check_level)level};
    }
    return count;
}

static size_t waivers_of(const struct matrix_input *input, struct waiver *waivers, size_t max)
{
    size_t total = 0;
    size_t count = 0;
    const struct platform_waiver *all = platform_waivers(input->platform, &total);

    for (size_t i = 0; i < total && count < max; i++) {
        if (all[i].workload && strcmp(all[i].workload, input->workload) != 0)
            continue;
        waivers[count++] = (struct waiver){all[i].advisory, all[i].purl, all[i].owner,
                                           all[i].reason, all[i].until};
    }
    return count;
}

static int judge(const struct matrix_input *input, const struct findings *findings,
                 const struct advisory_db *db, struct matrix *out, struct error *err)
{
    struct check_rule rules[MATRIX_RULES_MAX];
    size_t waiver_max = 0;
    char restricted[1024];
    CLEANUP(verdict) struct verdict *verdict = NULL;
    CLEANUP(json) json_t *document = NULL;

    (void)platform_waivers(input->platform, &waiver_max);
    struct waiver *waivers = calloc(waiver_max + 1, sizeof *waivers);
    if (!waivers)
        return error_no_memory(err);
    dress_restricted_faults(input->objects, restricted, sizeof restricted);
    bool is_two = dress_least_replicas(input->objects) != 1;
    const struct check_fact facts[] = {
        {"signature", true, "", OWNER_PLATFORM, ""},
        {"provenance", input->content->provenance != NULL,
         "the release has no provenance attestation", OWNER_PLATFORM, "monban gate"},
        {"pod-security-restricted", restricted[0] == '\0', restricted, OWNER_APP, ""},
        {"runs-as-two", is_two, "a Deployment runs with one replica", OWNER_PLATFORM,
         "set `replicas: 2` in platform/conventions"},
    };
    struct verdict_input judged = {
        .findings = findings,
        .rules = rules,
        .rule_count = rules_of(input, rules),
        .facts = facts,
        .fact_count = ARRAY_LEN(facts),
        .waivers = waivers,
        .waiver_count = waivers_of(input, waivers, waiver_max),
        .db = db,
        .now_s = clock_now_s(),
        .cluster = input->cluster,
    };
    int result = verdict_judge(&judged, &verdict, err);
    if (result == 0)
        result = verdict_to_json(verdict, &document, err);
    if (result == 0) {
        out->level = (enum platform_level)verdict_level(verdict);
        out->failures = json_incref(json_object_get(document, "failures"));
        verdict_explain(verdict, false, &out->text);
        result = buf_ok(&out->text, err);
    }
    free(waivers);
    return result;
}

int matrix_judge(const struct matrix_input *input, struct matrix *ret, struct error *err)
{
    CLEANUP(matrix) struct matrix out = MATRIX_INIT;
    CLEANUP(advisory_db) struct advisory_db *db = NULL;
    CLEANUP(inventory) struct inventory *inventory = NULL;
    CLEANUP(findings) struct findings *findings = NULL;
    CLEANUP(json) json_t *predicate = NULL;

    if (advisory_db_open(input->db_path, &db, err) < 0) {
        if (err->kind == ERR_NOT_FOUND)
            return error_set(err, ERR_UNAVAILABLE,
                             "there is no advisory database at '%s' (owner: platform team); next: "
                             "monban db update",
                             input->db_path);
        return -1;
    }
    if (inventory_of_cyclonedx(input->content->sbom, &inventory, err) < 0 ||
        findings_of(inventory, db, &findings, err) < 0 ||
        findings_to_json(inventory, db, findings, &predicate, err) < 0 ||
        matrix_brief(predicate, &out.findings, err) < 0 ||
        judge(input, findings, db, &out, err) < 0)
        return -1;
    *ret = out;
    out = (struct matrix)MATRIX_INIT;
    return 0;
}
