/* verdict/document.c - findings and verdict as JSON, and the re-check of a stored inventory. */
#include "base/clock.h"
#include "verdict/verdict_internal.h"

static const char *remedy_name(enum remedy remedy)
{
    static const char *const names[] = {"none", "bump", "rebase", "remove"};

    return names[remedy];
}

static json_t *list_of(const char *const *texts)
{
    json_t *list = json_array();

    for (; texts && *texts; texts++) {
        if (json_array_append_new(list, json_string(*texts)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *names_of(const struct package *const *packages)
{
    json_t *list = json_array();

    for (; packages && *packages; packages++) {
        if (json_array_append_new(list, json_string((*packages)->name)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *finding_to_json(const struct inventory *inventory, const struct finding *f)
{
    size_t layer_count;
    const struct inventory_layer *layers = inventory_layers(inventory, &layer_count);
    const struct package *p = f->package;
    const char *layer = p->layer < layer_count ? layers[p->layer].diff_id.text : "";
    json_t *score = f->score_tenths >= 0 ? json_real(f->score_tenths / 10.0) : json_null();

    return json_pack("{s:s, s:o, s:o, s:s, s:s, s:o, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:s, "
                     "s:s, s:s, s:s}",
                     "advisory", f->advisory, "aliases", list_of(f->aliases), "upstream",
                     list_of(f->upstream), "summary", f->summary, "severity",
                     severity_name(f->severity), "score", score, "package", p->name, "version",
                     p->version, "purl", p->purl, "also", names_of(f->others), "layer", layer,
                     "owner", owner_name(p->owner), "team",
                     p->team[0]                     ? p->team
                     : owner_is_developer(p->owner) ? "app team"
                                                    : "platform team",
                     "fixed", f->fixed, "safe", f->safe, "remedy", remedy_name(f->remedy),
                     "command", f->command, "advice", f->advice);
}

static json_t *database_to_json(const struct advisory_db *db)
{
    struct advisory_status status;
    char imported[CLOCK_TEXT_SIZE];

    advisory_db_status(db, &status);
    return json_pack("{s:s, s:s, s:I}", "version", status.version, "importedAt",
                     clock_rfc3339(status.imported_s, imported), "records",
                     (json_int_t)status.records);
}

static json_t *count_to_json(const struct findings *findings)
{
    json_t *count = json_object();

    for (int s = SEVERITY_CRITICAL; s >= SEVERITY_UNKNOWN; s--) {
        json_int_t n = 0;
        for (size_t i = 0; i < findings->count; i++)
            n += (int)findings->items[i].severity == s;
        if (json_object_set_new(count, severity_name((enum severity)s), json_integer(n)) < 0) {
            json_decref(count);
            return NULL;
        }
    }
    return count;
}

int findings_to_json(const struct inventory *inventory, const struct advisory_db *db,
                     const struct findings *findings, json_t **ret, struct error *err)
{
    json_t *list = json_array();

    for (size_t i = 0; i < findings->count; i++) {
        if (json_array_append_new(list, finding_to_json(inventory, &findings->items[i])) < 0) {
            json_decref(list);
            return error_no_memory(err);
        }
    }
    *ret = json_pack("{s:s, s:s, s:o, s:o, s:o}", "image", inventory_image(inventory)->text, "name",
                     inventory_name(inventory), "database", database_to_json(db), "findings", list,
                     "count", count_to_json(findings));
    return *ret ? 0 : error_no_memory(err);
}

int verdict_to_json(const struct verdict *verdict, json_t **ret, struct error *err)
{
    json_t *list = json_array();

    for (size_t i = 0; i < verdict->count; i++) {
        const struct failure *f = &verdict->items[i];
        if (json_array_append_new(
                list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "rule", f->rule, "level",
                                check_level_name(f->level), "evidence", f->evidence, "owner",
                                owner_name(f->owner), "team", f->team ? f->team : "", "command",
                                f->command, "waived", f->waived)) < 0) {
            json_decref(list);
            return error_no_memory(err);
        }
    }
    *ret = json_pack("{s:s, s:s, s:b, s:o}", "cluster", verdict->cluster, "level",
                     check_level_name(verdict->level), "passed", verdict->level < CHECK_HOLD,
                     "failures", list);
    return *ret ? 0 : error_no_memory(err);
}

int verdict_recheck(const json_t *bom, const struct advisory_db *db, json_t **ret,
                    struct error *err)
{
    CLEANUP(inventory) struct inventory *inventory = NULL;
    CLEANUP(findings) struct findings *findings = NULL;

    if (inventory_of_cyclonedx(bom, &inventory, err) < 0 ||
        findings_of(inventory, db, &findings, err) < 0)
        return -1;
    return findings_to_json(inventory, db, findings, ret, err);
}
