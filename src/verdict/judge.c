/* verdict/judge.c - findings and facts against the platform's check levels. See verdict.h. */
#include "base/clock.h"
#include "verdict/verdict_internal.h"

enum { FAILURES_LIMIT = 1000000, SECONDS_A_DAY = 86400 };

static const char *const level_names[] = {"off", "note", "warn", "hold", "refuse"};

const char *check_level_name(enum check_level level)
{
    return (unsigned)level < ARRAY_LEN(level_names) ? level_names[level] : level_names[0];
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

void verdict_free(struct verdict *verdict)
{
    if (!verdict)
        return;
    texts_done(&verdict->texts);
    free(verdict->items);
    free(verdict);
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

static enum check_level level_of(const struct verdict_input *in, const char *rule)
{
    for (size_t i = 0; i < in->rule_count; i++) {
        if (strcmp(in->rules[i].name, rule) == 0)
            return in->rules[i].level;
    }
    return CHECK_OFF;
}

/* A finding whose severity nobody states counts as medium: neither ignored nor alarming. */
static const char *rule_of(enum severity severity)
{
    switch (severity) {
    case SEVERITY_CRITICAL:
        return "vulnerability-critical";
    case SEVERITY_HIGH:
        return "vulnerability-high";
    case SEVERITY_MEDIUM:
    case SEVERITY_UNKNOWN:
        return "vulnerability-medium";
    case SEVERITY_LOW:
        return "vulnerability-low";
    case SEVERITY_NEGLIGIBLE:
        break;
    }
    return NULL;
}

/* The gate's rule: what the developer cannot fix does not stop the developer. */
static enum check_level soften(const struct verdict_input *in, enum check_level level,
                               enum owner owner)
{
    if (in->is_developer_gate && !owner_is_developer(owner) && level > CHECK_WARN)
        return CHECK_WARN;
    return level;
}

static int add(struct verdict *v, const struct failure *failure, struct error *err)
{
    if (v->count == FAILURES_LIMIT)
        return error_set(err, ERR_LIMIT, "more than %d failures", FAILURES_LIMIT);
    if (v->count == v->capacity) {
        size_t capacity = v->capacity ? v->capacity * 2 : 32;
        struct failure *items = reallocarray(v->items, capacity, sizeof *items);
        if (!items)
            return error_no_memory(err);
        v->items = items;
        v->capacity = capacity;
    }
    v->items[v->count++] = *failure;
    if (failure->level > v->level)
        v->level = failure->level;
    return texts_ok(&v->texts, err);
}

static bool has(const char *const *list, const char *text)
{
    for (; list && *list; list++) {
        if (strcmp(*list, text) == 0)
            return true;
    }
    return false;
}

/* A name, or a package URL: without a version it covers all versions. */
static bool covers_package(const char *wanted, const struct package *p)
{
    struct str purl = str_of(p->purl);
    struct str rest = purl;

    if (!wanted || !wanted[0])
        return true;
    if (strncmp(wanted, "pkg:", 4) != 0)
        return strcmp(wanted, p->name) == 0 || strcmp(wanted, p->source_name) == 0;
    rest = str_cut(&purl, '?');
    if (str_is(rest, wanted))
        return true;
    return str_is(
        str_first(rest, (size_t)(str_find_last(rest, '@') < 0 ? (ptrdiff_t)rest.len
                                                              : str_find_last(rest, '@'))),
        wanted);
}

static bool covers(const struct waiver *w, const struct finding *f)
{
    return (strcmp(w->advisory, f->advisory) == 0 || has(f->aliases, w->advisory) ||
            has(f->upstream, w->advisory)) &&
           covers_package(w->package, f->package);
}

/* The waiver that holds, or else the latest one that has ended (*ret_ended). */
static const struct waiver *find_waiver(const struct verdict_input *in, const struct finding *f,
                                        const struct waiver **ret_ended)
{
    *ret_ended = NULL;
    for (size_t i = 0; i < in->waiver_count; i++) {
        const struct waiver *w = &in->waivers[i];
        int64_t day;
        if (!covers(w, f) || !w->until || !clock_parse_date(str_of(w->until), &day))
            continue;
        if (in->now_s < (day + 1) * SECONDS_A_DAY)
            return w;
        if (!*ret_ended || strcmp(w->until, (*ret_ended)->until) > 0)
            *ret_ended = w;
    }
    return NULL;
}

static int judge_finding(struct verdict *v, const struct verdict_input *in, const struct finding *f,
                         struct error *err)
{
    const char *rule = rule_of(f->severity);
    enum check_level level = rule ? level_of(in, rule) : CHECK_OFF;
    const struct waiver *ended, *waiver;
    struct failure failure;

    if (level == CHECK_OFF)
        return 0;
    waiver = find_waiver(in, f, &ended);
    failure = (struct failure){
        .rule = rule,
        .level = soften(in, level, f->package->owner),
        .owner = f->package->owner,
        .team = f->package->team,
        .command = f->command,
        .waived = "",
        .finding = f,
    };
    failure.evidence =
        texts_addf(&v->texts, "%s has %s (%s)%s%s", package_text(&v->texts, f->package),
                   f->advisory, severity_text(&v->texts, f->severity, f->score_tenths),
                   f->summary[0] ? ": " : "", f->summary);
    if (waiver) {
        failure.level = failure.level > CHECK_NOTE ? CHECK_NOTE : failure.level;
        failure.waived = texts_addf(&v->texts, "waived by %s until %s: %s", waiver->team,
                                    waiver->until, waiver->reason);
    } else if (ended) {
        failure.evidence = texts_addf(&v->texts, "%s; the waiver of %s ended on %s",
                                      failure.evidence, ended->team, ended->until);
    }
    return add(v, &failure, err);
}

/* "advisory-age-24h": the database may be no older than that. */
static int judge_age(struct verdict *v, const struct verdict_input *in,
                     const struct check_rule *rule, struct error *err)
{
    static const char prefix[] = "advisory-age-";
    char age_text[CLOCK_TEXT_SIZE];
    struct advisory_status status;
    struct failure failure = {.rule = rule->name,
                              .owner = OWNER_PLATFORM,
                              .team = "platform team",
                              .command = "monban db update",
                              .waived = ""};
    int64_t allowed_ms, age_s;

    if (rule->level == CHECK_OFF || strncmp(rule->name, prefix, strlen(prefix)) != 0 ||
        !clock_parse_duration(str_of(rule->name + strlen(prefix)), &allowed_ms))
        return 0;
    failure.level = soften(in, rule->level, OWNER_PLATFORM);
    failure.evidence = "there is no advisory database";
    if (in->db) {
        advisory_db_status(in->db, &status);
        age_s = in->now_s - status.imported_s;
        if (age_s <= allowed_ms / 1000)
            return 0;
        failure.evidence = texts_addf(&v->texts, "the advisory database is %s old, %s is allowed",
                                      clock_age(age_s, age_text), rule->name + strlen(prefix));
    }
    return add(v, &failure, err);
}

static int judge_fact(struct verdict *v, const struct verdict_input *in,
                      const struct check_fact *fact, struct error *err)
{
    enum check_level level = level_of(in, fact->name);
    struct failure failure = {
        .rule = fact->name,
        .level = soften(in, level, fact->owner),
        .evidence = texts_add(&v->texts, str_of(fact->evidence)),
        .owner = fact->owner,
        .team = owner_is_developer(fact->owner) ? "app team" : "platform team",
        .command = texts_add(&v->texts, str_of(fact->command)),
        .waived = "",
    };

    return fact->holds || level == CHECK_OFF ? 0 : add(v, &failure, err);
}

static int by_level(const void *a, const void *b)
{
    const struct failure *x = a;
    const struct failure *y = b;
    int order = (int)y->level - (int)x->level;

    if (order == 0)
        order = owner_is_developer(y->owner) - owner_is_developer(x->owner);
    if (order == 0 && x->finding && y->finding)
        return x->finding < y->finding ? -1 : x->finding > y->finding; /* their own order */
    if (order == 0)
        order = strcmp(x->rule, y->rule);
    return order ? order : strcmp(x->evidence, y->evidence);
}

int verdict_judge(const struct verdict_input *in, struct verdict **ret, struct error *err)
{
    CLEANUP(verdict) struct verdict *v = calloc(1, sizeof *v);

    if (!v)
        return error_no_memory(err);
    v->texts = (struct texts)TEXTS_INIT(FINDINGS_TEXT_LIMIT);
    v->cluster = texts_add(&v->texts, str_of(in->cluster ? in->cluster : ""));
    for (size_t i = 0; in->findings && i < in->findings->count; i++) {
        if (judge_finding(v, in, &in->findings->items[i], err) < 0)
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
    if (v->count)
        qsort(v->items, v->count, sizeof *v->items, by_level);
    *ret = TAKE(v);
    return 0;
}
