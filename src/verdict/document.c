/* verdict/document.c - findings and verdicts as JSON: keys in a fixed order, no clock. See
 * verdict.h. */
#include "base/clock.h"
#include "verdict/verdict_internal.h"

static json_t *list_to_json(const char *const *list)
{
    json_t *array = json_array();

    for (; list && *list; list++)
        (void)json_array_append_new(array, json_string(*list)); /* UTF-8: texts of a pool are */
    return array;
}

static const char *remedy_name(enum remedy remedy)
{
    static const char *const names[] = {[REMEDY_NONE] = "none",
                                        [REMEDY_BUMP] = "bump",
                                        [REMEDY_REBASE] = "rebase",
                                        [REMEDY_REMOVE] = "remove"};

    return names[remedy];
}

static json_t *time_to_json(int64_t unix_s)
{
    char text[CLOCK_TEXT_SIZE];

    return unix_s > 0 ? json_string(clock_rfc3339(unix_s, text)) : json_null();
}

static json_t *text_or_null(const char *text)
{
    return text && text[0] ? json_string(text) : json_null();
}

static json_t *others_to_json(const struct finding *f)
{
    json_t *array = json_array();

    for (const struct package *const *p = f->others; p && *p; p++)
        (void)json_array_append_new(array, json_string((*p)->name)); /* as above */
    return array;
}

static json_t *finding_to_json(const struct inventory *inventory, const struct finding *f)
{
    const struct package *p = f->package;
    const struct inventory_layer *layers;
    size_t layer_count;
    const struct inventory_layer *layer;

    layers = inventory_layers(inventory, &layer_count);
    layer = p->layer < layer_count ? &layers[p->layer] : NULL;
    return json_pack(
        "{ss,so,so,ss,ss,so,so,so,ss,ss,ss,so,so,so,ss,ss,so,so,ss,so,ss,so}", "advisory",
        f->advisory, "aliases", list_to_json(f->aliases), "upstream", list_to_json(f->upstream),
        "summary", f->summary, "severity", severity_name(f->severity), "score",
        f->score_tenths < 0 ? json_null() : json_real(f->score_tenths / 10.0), "vector",
        text_or_null(f->vector), "severityFrom", text_or_null(f->severity_from), "package", p->name,
        "version", p->version, "ecosystem", p->ecosystem, "source",
        strcmp(p->name, p->source_name) == 0 ? json_null() : json_string(p->source_name), "others",
        others_to_json(f), "purl", json_string(p->purl), "owner", owner_name(p->owner), "team",
        p->team, "layer", text_or_null(layer ? layer->diff_id.text : ""), "fixed",
        text_or_null(f->fixed), "remedy", remedy_name(f->remedy), "command",
        text_or_null(f->command), "advice", f->advice, "published", time_to_json(f->published_s));
}

/* {"total", "developer", "platform", "critical", "high", …} */
static json_t *count_to_json(const struct findings *findings)
{
    json_int_t by_severity[SEVERITY_COUNT] = {0}, developer = 0;
    json_t *object;

    for (size_t i = 0; i < findings->count; i++) {
        by_severity[findings->items[i].severity]++;
        developer += owner_is_developer(findings->items[i].package->owner);
    }
    object = json_pack("{sIsIsI}", "total", (json_int_t)findings->count, "developer", developer,
                       "platform", (json_int_t)findings->count - developer);
    for (int s = SEVERITY_COUNT - 1; object && s >= 0; s--)
        (void)json_object_set_new(object, severity_name((enum severity)s),
                                  json_integer(by_severity[s])); /* checked with the whole */
    return object;
}

static json_t *database_to_json(const struct advisory_db *db)
{
    struct advisory_status status;

    advisory_db_status(db, &status);
    return json_pack("{ss,so,sI}", "version", status.version, "imported",
                     time_to_json(status.imported_s), "records", (json_int_t)status.records);
}

int findings_to_json(const struct inventory *inventory, const struct advisory_db *db,
                     const struct findings *findings, json_t **ret, struct error *err)
{
    CLEANUP(json) json_t *array = json_array();
    json_t *root;

    for (size_t i = 0; i < findings->count; i++) {
        json_t *item = finding_to_json(inventory, &findings->items[i]);
        if (!item || json_array_append_new(array, item) < 0)
            return error_no_memory(err);
    }
    root = json_pack("{so,so,so,sO,so}", "image", text_or_null(inventory_image(inventory)->text),
                     "name", text_or_null(inventory_name(inventory)), "database",
                     database_to_json(db), "findings", array, "count", count_to_json(findings));
    if (!root)
        return error_no_memory(err);
    *ret = root;
    return 0;
}

int verdict_to_json(const struct verdict *verdict, json_t **ret, struct error *err)
{
    CLEANUP(json) json_t *array = json_array();
    json_t *root;

    for (size_t i = 0; i < verdict->count; i++) {
        const struct failure *f = &verdict->items[i];
        json_t *item = json_pack(
            "{ss,ss,ss,ss,ss,so,so,so}", "rule", f->rule, "level", check_level_name(f->level),
            "evidence", f->evidence, "owner", owner_name(f->owner), "team", f->team, "command",
            text_or_null(f->command), "waived", text_or_null(f->waived), "advisory",
            f->finding ? json_string(f->finding->advisory) : json_null());
        if (!item || json_array_append_new(array, item) < 0)
            return error_no_memory(err);
    }
    root = json_pack("{ss,ss,sb,sO}", "cluster", verdict->cluster, "level",
                     check_level_name(verdict->level), "passed", verdict->level < CHECK_HOLD,
                     "failures", array);
    if (!root)
        return error_no_memory(err);
    *ret = root;
    return 0;
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
