/* verdict/judge.c - findings, facts and the platform's checks → verdict. Pure: the time is an
 * input. */
#include <stdlib.h>

#include "base/clock.h"
#include "verdict/verdict_internal.h"

enum { SECONDS_A_DAY = 86400 };

static const char *const level_names[] = {"off", "note", "warn", "hold", "refuse"};

const char *check_level_name(enum check_level level)
{
    return (unsigned)level < ARRAY_LEN(level_names) ? level_names[level] : "unknown";
}

bool check_level_parse(struct str text, enum check_level *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
        if (str_is(text, level_names[i])) {
            *ret = (enum check_level)i;
            return true;
        }
    }
    return false;
}

static enum check_level level_of(const struct verdict_input *in, const char *rule)
{
    for (size_t i = 0; i < in->rule_count; i++) {
        if (strcmp(in->rules[i].name, rule) == 0)
            return in->rules[i].level;
    }
    return CHECK_OFF;
}

/* What the platform must mend does not stop a developer at the gate. */
static enum check_level effective(const struct verdict_input *in, enum check_level level,
                                  enum owner owner)
{
    return in->is_developer_gate && !owner_is_developer(owner) && level > CHECK_WARN ? CHECK_WARN
                                                                                     : level;
}

static struct failure *new_failure(struct verdict *v, struct error *err)
{
    if (v->count == v->capacity) {
        size_t capacity = v->capacity ? 2 * v->capacity : 32;
        struct failure *grown = reallocarray(v->items, capacity, sizeof *grown);
        if (!grown) {
            (void)error_no_memory(err);
            return NULL;
        }
        v->items = grown;
        v->capacity = capacity;
    }
    v->items[v->count] = (struct failure){.team = "", .command = "", .waived = ""};
    return &v->items[v->count++];
}

/* An advisory without a severity counts as medium: unknown is not harmless. */
static const char *rule_of(const struct finding *f)
{
    static const char *const rules[SEVERITY_COUNT] = {
        [SEVERITY_UNKNOWN] = "vulnerability-medium", [SEVERITY_NEGLIGIBLE] = "vulnerability-low",
        [SEVERITY_LOW] = "vulnerability-low",        [SEVERITY_MEDIUM] = "vulnerability-medium",
        [SEVERITY_HIGH] = "vulnerability-high",      [SEVERITY_CRITICAL] = "vulnerability-critical",
    };

    if (str_starts(str_of(f->advisory), STR("MAL-")))
        return "malicious-package";
    return rules[f->severity];
}

static bool waiver_names(const struct waiver *w, const struct finding *f)
{
    if (w->package && strcmp(w->package, f->package->name) != 0 &&
        strcmp(w->package, f->package->source_name) != 0)
        return false;
    if (strcmp(w->advisory, f->advisory) == 0)
        return true;
    for (const char *const *a = f->aliases; *a; a++) {
        if (strcmp(w->advisory, *a) == 0)
            return true;
    }
    for (const char *const *u = f->upstream; *u; u++) {
        if (strcmp(w->advisory, *u) == 0)
            return true;
    }
    return false;
}

/* The waiver that covers the finding today; else the last expired one in *ret_expired. */
static const struct waiver *find_waiver(const struct verdict_input *in, const struct finding *f,
                                        const struct waiver **ret_expired)
{
    *ret_expired = NULL;
    for (size_t i = 0; i < in->waiver_count; i++) {
        const struct waiver *w = &in->waivers[i];
        int64_t until;
        if (!waiver_names(w, f))
            continue;
        if (clock_parse_date(str_of(w->until), &until) && in->now_s / SECONDS_A_DAY <= until)
            return w;
        *ret_expired = w;
    }
    return NULL;
}

static const char *score_text(const struct finding *f, char *out, size_t size)
{
    if (f->score_tenths < 0)
        (void)snprintf(out, size, "%s", severity_name(f->severity)); /* fits, as below */
    else
        (void)snprintf(out, size, "%s %d.%d", severity_name(f->severity), f->score_tenths / 10,
                       f->score_tenths % 10);
    return out;
}

static const char *evidence_of(struct verdict *v, const struct finding *f,
                               const struct waiver *expired)
{
    char score[32];

    score_text(f, score, sizeof score);
    if (expired)
        return texts_addf(&v->texts, "%s %s has %s (%s); the waiver of %s expired on %s",
                          f->package->name, f->package->version, f->advisory, score, expired->team,
                          expired->until);
    return texts_addf(&v->texts, "%s %s has %s (%s)", f->package->name, f->package->version,
                      f->advisory, score);
}

static int judge_finding(struct verdict *v, const struct verdict_input *in, const struct finding *f,
                         struct error *err)
{
    const char *rule = rule_of(f);
    enum check_level level = level_of(in, rule);
    const struct waiver *expired;
    const struct waiver *waiver = find_waiver(in, f, &expired);

    if (level == CHECK_OFF)
        return 0;
    struct failure *failure = new_failure(v, err);
    if (!failure)
        return -1;
    failure->rule = rule;
    failure->level = waiver ? CHECK_NOTE : effective(in, level, f->package->owner);
    failure->evidence = evidence_of(v, f, waiver ? NULL : expired);
    failure->owner = f->package->owner;
    failure->team = f->package->team;
    failure->command = f->command;
    failure->finding = f;
    if (waiver)
        failure->waived = texts_addf(&v->texts, "%s, accepted by %s until %s", waiver->reason,
                                     waiver->team, waiver->until);
    return 0;
}

static int judge_age(struct verdict *v, const struct verdict_input *in,
                     const struct check_rule *rule, struct error *err)
{
    static const struct str prefix = {"advisory-age-", 13};
    struct advisory_status status;
    int64_t limit_ms;
    char age[CLOCK_TEXT_SIZE];

    if (!str_starts(str_of(rule->name), prefix) || !in->db ||
        !clock_parse_duration(str_skip(str_of(rule->name), prefix.len), &limit_ms))
        return 0;
    advisory_db_status(in->db, &status);
    if (rule->level == CHECK_OFF || in->now_s - status.imported_s <= limit_ms / 1000)
        return 0;
    struct failure *failure = new_failure(v, err);
    if (!failure)
        return -1;
    failure->rule = texts_add(&v->texts, str_of(rule->name));
    failure->level = effective(in, rule->level, OWNER_PLATFORM);
    failure->evidence = texts_addf(&v->texts, "the advisory database is %s old",
                                   clock_age(in->now_s - status.imported_s, age));
    failure->owner = OWNER_PLATFORM;
    failure->team = "platform team";
    failure->command = "monban db update";
    return 0;
}

static int judge_fact(struct verdict *v, const struct verdict_input *in,
                      const struct check_fact *fact, struct error *err)
{
    enum check_level level = level_of(in, fact->name);

    if (fact->holds || level == CHECK_OFF)
        return 0;
    struct failure *failure = new_failure(v, err);
    if (!failure)
        return -1;
    failure->rule = texts_add(&v->texts, str_of(fact->name));
    failure->level = effective(in, level, fact->owner);
    failure->evidence = texts_add(&v->texts, str_of(fact->evidence));
    failure->owner = fact->owner;
    failure->team = owner_is_developer(fact->owner) ? "app team" : "platform team";
    failure->command = texts_add(&v->texts, str_of(fact->command));
    return 0;
}

static int compare(const void *left, const void *right)
{
    const struct failure *a = left, *b = right;

    if (a->level != b->level)
        return a->level > b->level ? -1 : 1;
    int mine = owner_is_developer(b->owner) - owner_is_developer(a->owner);
    if (mine != 0)
        return mine;
    int order = strcmp(a->rule, b->rule);
    return order ? order : strcmp(a->evidence, b->evidence);
}

static int judge_all(struct verdict *v, const struct verdict_input *in, struct error *err)
{
    size_t count;
    const struct finding *findings = findings_items(in->findings, &count);

    for (size_t i = 0; i < count; i++) {
        if (judge_finding(v, in, &findings[i], err) < 0)
            return -1;
    }
    for (size_t i = 0; i < in->rule_count; i++) {
        if (judge_age(v, in, &in->rules[i], err) < 0)
            return -1;
    }
    for (size_t i = 0; i < in->fact_count; i++) {
        if (judge_fact(v, in, &in->facts[i], err) < 0)
            return -1;
    }
    return texts_ok(&v->texts, err);
}

int verdict_judge(const struct verdict_input *input, struct verdict **ret, struct error *err)
{
    CLEANUP(verdict) struct verdict *v = calloc(1, sizeof *v);

    if (!v)
        return error_no_memory(err);
    v->texts = (struct texts)TEXTS_INIT(VERDICT_TEXTS_MAX);
    v->cluster = texts_add(&v->texts, str_of(input->cluster ? input->cluster : ""));
    if (judge_all(v, input, err) < 0)
        return -1;
    if (v->count > 1)
        qsort(v->items, v->count, sizeof *v->items, compare);
    v->level = v->count > 0 ? v->items[0].level : CHECK_OFF;
    *ret = TAKE(v);
    return 0;
}

enum check_level verdict_level(const struct verdict *verdict)
{
    return verdict->level;
}

const struct failure *verdict_failures(const struct verdict *verdict, size_t *ret_count)
{
    *ret_count = verdict->count;
    return verdict->items;
}

void verdict_free(struct verdict *verdict)
{
    if (!verdict)
        return;
    free(verdict->items);
    texts_done(&verdict->texts);
    free(verdict);
}
