/* verdict/finding.c - inventory × database → findings. Binary packages of one source share their
 * advisories, so they make one finding. */
#include "verdict/verdict_internal.h"

void findings_free(struct findings *findings)
{
    if (!findings)
        return;
    texts_done(&findings->texts);
    free(findings->items);
    free(findings);
}

const struct finding *findings_items(const struct findings *findings, size_t *ret_count)
{
    *ret_count = findings->count;
    return findings->items;
}

const char *severity_text(struct texts *texts, enum severity severity, int tenths)
{
    if (severity == SEVERITY_UNKNOWN)
        return "severity not known";
    if (tenths < 0)
        return severity_name(severity);
    return texts_addf(texts, "%s %d.%d", severity_name(severity), tenths / 10, tenths % 10);
}

const char *package_text(struct texts *texts, const struct package *p)
{
    if (strcmp(p->name, p->source_name) == 0)
        return texts_addf(texts, "%s %s", p->name, p->version);
    return texts_addf(texts, "%s %s (source %s)", p->name, p->version, p->source_name);
}

static int by_source(const void *a, const void *b)
{
    const struct package *x = *(const struct package *const *)a;
    const struct package *y = *(const struct package *const *)b;
    int order = strcmp(x->ecosystem, y->ecosystem);

    if (order == 0)
        order = strcmp(x->source_name, y->source_name);
    if (order == 0)
        order = strcmp(x->source_version, y->source_version);
    if (order == 0)
        order = (x->layer > y->layer) - (x->layer < y->layer);
    if (order == 0)
        order = (int)x->owner - (int)y->owner;
    if (order == 0)
        order = strcmp(x->name, y->name);
    return order ? order : strcmp(x->purl, y->purl);
}

static bool is_same_source(const struct package *x, const struct package *y)
{
    return x->layer == y->layer && x->owner == y->owner &&
           strcmp(x->ecosystem, y->ecosystem) == 0 && strcmp(x->source_name, y->source_name) == 0 &&
           strcmp(x->source_version, y->source_version) == 0;
}

/* Runtimes have no ecosystem of their own in OSV; Bitnami's records name them as we do. */
static struct advisory_query query_of(const struct package *p)
{
    const char *ecosystem = p->ecosystem;

    if (!ecosystem[0] && strncmp(p->purl, "pkg:generic/", 12) == 0)
        ecosystem = "Bitnami";
    return (struct advisory_query){ecosystem, p->source_name, p->source_version};
}

/* A copy of the list in the pool, without `except`. */
static const char *const *copy_list(struct texts *texts, const char *const *list,
                                    const char *except)
{
    const char **copy;
    size_t count = 0, used = 0;

    while (list && list[count])
        count++;
    copy = texts_room(texts, count + 1, sizeof *copy);
    for (size_t i = 0; copy && i < count; i++) {
        if (!except || strcmp(list[i], except) != 0)
            copy[used++] = texts_add(texts, str_of(list[i]));
    }
    return copy;
}

static const struct package *const *list_others(struct texts *texts,
                                                const struct package *const *packages, size_t count)
{
    const struct package **others = texts_room(texts, count + 1, sizeof *others);

    for (size_t i = 1; others && i < count; i++)
        others[i - 1] = packages[i];
    return others;
}

static int add_finding(struct findings *findings, const struct finding *f, struct error *err)
{
    if (findings->count == FINDINGS_LIMIT)
        return error_set(err, ERR_LIMIT, "more than %d findings", FINDINGS_LIMIT);
    if (findings->count == findings->capacity) {
        size_t capacity = findings->capacity ? findings->capacity * 2 : 32;
        struct finding *items = reallocarray(findings->items, capacity, sizeof *items);
        if (!items)
            return error_no_memory(err);
        findings->items = items;
        findings->capacity = capacity;
    }
    findings->items[findings->count++] = *f;
    return texts_ok(&findings->texts, err);
}

/* All advisories of one source at one version: packages[0…count). */
static int match_source(struct findings *findings, const struct inventory *inventory,
                        const struct advisory_db *db, const struct package *const *packages,
                        size_t count, struct error *err)
{
    CLEANUP(advisory_matches) struct advisory_matches matches = ADVISORY_MATCHES_INIT;
    CLEANUP(buf) struct buf safe = BUF_INIT(4096);
    struct texts *texts = &findings->texts;
    struct advisory_query query = query_of(packages[0]);
    const struct package *const *others;

    if (!query.ecosystem[0] || advisory_match(db, &query, &matches, err) < 0)
        return query.ecosystem[0] ? -1 : 0;
    if (matches.count == 0)
        return 0;
    if (advisory_safe_version(db, &query, &safe, err) < 0)
        return -1;
    others = list_others(texts, packages, count);
    for (size_t i = 0; i < matches.count; i++) {
        const struct advisory_match *m = &matches.items[i];
        struct finding f = {
            .package = packages[0],
            .advisory = texts_add(texts, str_of(m->id)),
            .aliases = copy_list(texts, m->ids, m->id),
            .upstream = copy_list(texts, m->upstream, NULL),
            .summary = texts_add(texts, str_of(m->summary)),
            .severity = m->severity,
            .score_tenths = m->score_tenths,
            .vector = texts_add(texts, str_of(m->vector)),
            .severity_from = texts_add(texts, str_of(m->severity_from)),
            .published_s = m->published_s,
            .fixed = texts_add(texts, str_of(m->fixed)),
            .safe = texts_add(texts, buf_str(&safe)),
            .others = others,
        };
        if (remedy_decide(inventory, &f, texts, err) < 0 || add_finding(findings, &f, err) < 0)
            return -1;
    }
    return 0;
}

static int by_urgency(const void *a, const void *b)
{
    const struct finding *x = a;
    const struct finding *y = b;
    int order = owner_is_developer(y->package->owner) - owner_is_developer(x->package->owner);

    if (order == 0)
        order = (int)y->severity - (int)x->severity;
    if (order == 0)
        order = y->score_tenths - x->score_tenths;
    if (order == 0)
        order = strcmp(x->package->purl, y->package->purl);
    if (order == 0)
        order = strcmp(x->advisory, y->advisory);
    return order
               ? order
               : (x->package->layer > y->package->layer) - (x->package->layer < y->package->layer);
}

int findings_of(const struct inventory *inventory, const struct advisory_db *db,
                struct findings **ret, struct error *err)
{
    CLEANUP(findings) struct findings *findings = calloc(1, sizeof *findings);
    const struct package **order = NULL;
    const struct package *packages;
    size_t count;
    int rc = 0;

    packages = inventory_packages(inventory, &count);
    order = malloc((count + 1) * sizeof *order);
    if (!findings || !order) {
        free(order);
        return error_no_memory(err);
    }
    findings->texts = (struct texts)TEXTS_INIT(FINDINGS_TEXT_LIMIT);
    for (size_t i = 0; i < count; i++)
        order[i] = &packages[i];
    qsort(order, count, sizeof *order, by_source);
    for (size_t i = 0; rc == 0 && i < count;) {
        size_t end = i;
        while (end < count && is_same_source(order[i], order[end]))
            end++;
        rc = match_source(findings, inventory, db, order + i, end - i, err);
        i = end;
    }
    free(order);
    if (rc < 0)
        return error_wrap(err, "looking for advisories");
    if (findings->count)
        qsort(findings->items, findings->count, sizeof *findings->items, by_urgency);
    *ret = TAKE(findings);
    return 0;
}
