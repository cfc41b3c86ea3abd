/* verdict/finding.c - inventory × database → findings; see verdict/verdict.h. */
#include <stdlib.h>

#include "verdict/verdict_internal.h"

/* One look at the database: packages of one source at one version have the same matches. */
struct looked_up {
    const struct package *package; /* the first of them */
    const struct advisory_matches *matches;
    const char *safe;
    size_t first_finding; /* of its matches, in order */
};

struct search {
    const struct inventory *inventory;
    const struct advisory_db *db;
    struct findings *found;
    struct looked_up *seen; /* owned */
    size_t seen_count;
};

static bool same_source(const struct package *a, const struct package *b)
{
    return a->layer == b->layer && a->owner == b->owner &&
           strcmp(a->ecosystem, b->ecosystem) == 0 && strcmp(a->source_name, b->source_name) == 0 &&
           strcmp(a->source_version, b->source_version) == 0;
}

/* Without the id that names it. NULL-ended. */
static const char *const *aliases_of(struct texts *texts, const struct advisory_match *match)
{
    size_t count = 0, used = 0;

    while (match->ids && match->ids[count])
        count++;
    const char **list = texts_room(texts, count + 1, sizeof *list);
    for (size_t i = 0; list && i < count; i++) {
        if (strcmp(match->ids[i], match->id) != 0)
            list[used++] = match->ids[i];
    }
    return list;
}

static struct finding *new_finding(struct findings *f, struct error *err)
{
    if (f->count == f->capacity) {
        size_t capacity = f->capacity ? 2 * f->capacity : 64;
        struct finding *grown = capacity > VERDICT_FINDINGS_MAX
                                    ? NULL
                                    : reallocarray(f->items, capacity, sizeof *grown);
        if (!grown) {
            (void)error_set(err, ERR_LIMIT, "more than %d findings", VERDICT_FINDINGS_MAX);
            return NULL;
        }
        f->items = grown;
        f->capacity = capacity;
    }
    f->items[f->count] = (struct finding){0};
    return &f->items[f->count++];
}

static int add_findings(struct search *s, const struct looked_up *look, struct error *err)
{
    static const char *const none[] = {NULL};

    for (size_t i = 0; i < look->matches->count; i++) {
        const struct advisory_match *match = &look->matches->items[i];
        struct finding *finding = new_finding(s->found, err);
        if (!finding)
            return -1;
        const char *const *aliases = aliases_of(&s->found->texts, match);
        *finding = (struct finding){
            .package = look->package,
            .advisory = match->id,
            .aliases = aliases ? aliases : none,
            .upstream = match->upstream ? match->upstream : none,
            .summary = match->summary,
            .severity = match->severity,
            .score_tenths = match->score_tenths,
            .vector = match->vector,
            .severity_from = match->severity_from,
            .published_s = match->published_s,
            .fixed = match->fixed,
            .safe = look->safe,
            .others = (const struct package *const *)none,
        };
        finding_add_remedy(finding, &s->found->texts);
    }
    return 0;
}

/* Another binary package of a source that was looked up: its findings name it too. */
static void add_other(struct search *s, const struct looked_up *look, const struct package *package)
{
    for (size_t i = 0; i < look->matches->count; i++) {
        struct finding *finding = &s->found->items[look->first_finding + i];
        size_t count = 0;
        while (finding->others[count])
            count++;
        const struct package **grown =
            texts_room(&s->found->texts, count + 2, sizeof *grown); /* sticky: checked at the end */
        if (!grown)
            return;
        for (size_t j = 0; j < count; j++)
            grown[j] = finding->others[j];
        grown[count] = package;
        finding->others = grown;
    }
}

static struct advisory_matches *new_matches(struct findings *f)
{
    if (f->match_count == f->match_capacity) {
        size_t capacity = f->match_capacity ? 2 * f->match_capacity : 64;
        struct advisory_matches *grown = reallocarray(f->matches, capacity, sizeof *grown);
        if (!grown)
            return NULL;
        f->matches = grown;
        f->match_capacity = capacity;
    }
    f->matches[f->match_count] = (struct advisory_matches)ADVISORY_MATCHES_INIT;
    return &f->matches[f->match_count++];
}

static int look_up(struct search *s, const struct package *package, struct error *err)
{
    const struct advisory_query query = {
        .ecosystem = package->ecosystem,
        .name = package->source_name[0] ? package->source_name : package->name,
        .version = package->source_version[0] ? package->source_version : package->version,
    };
    struct looked_up *look = &s->seen[s->seen_count];
    struct advisory_matches *matches = new_matches(s->found);
    CLEANUP(buf) struct buf safe = BUF_INIT(4096);

    if (!matches)
        return error_no_memory(err);
    if (advisory_match(s->db, &query, matches, err) < 0)
        return -1;
    if (matches->count == 0) {
        s->found->match_count--;
        advisory_matches_done(matches);
        return 0;
    }
    if (advisory_safe_version(s->db, &query, &safe, err) < 0)
        return -1;
    /* The array of matches may move when it grows; what its items point to does not. */
    struct advisory_matches *kept = texts_room(&s->found->texts, 1, sizeof *kept);
    if (!kept)
        return error_no_memory(err);
    *kept = *matches;
    *look = (struct looked_up){.package = package,
                               .matches = kept,
                               .safe = texts_add(&s->found->texts, buf_str(&safe)),
                               .first_finding = s->found->count};
    s->seen_count++;
    return add_findings(s, look, err);
}

static int search_all(struct search *s, struct error *err)
{
    size_t count;
    const struct package *packages = inventory_packages(s->inventory, &count);

    s->seen = calloc(count + 1, sizeof *s->seen);
    if (!s->seen)
        return error_no_memory(err);
    for (size_t i = 0; i < count; i++) {
        const struct package *p = &packages[i];
        size_t at = 0;
        if (!p->ecosystem[0])
            continue;
        while (at < s->seen_count && !same_source(s->seen[at].package, p))
            at++;
        if (at < s->seen_count)
            add_other(s, &s->seen[at], p);
        else if (look_up(s, p, err) < 0)
            return error_wrap(err, "matching %s", p->purl);
    }
    return texts_ok(&s->found->texts, err);
}

static int compare(const void *left, const void *right)
{
    const struct finding *a = left, *b = right;
    int mine = owner_is_developer(b->package->owner) - owner_is_developer(a->package->owner);

    if (mine != 0)
        return mine;
    if (a->severity != b->severity)
        return a->severity > b->severity ? -1 : 1;
    if (a->score_tenths != b->score_tenths)
        return a->score_tenths > b->score_tenths ? -1 : 1;
    int order = strcmp(a->package->name, b->package->name);
    if (order == 0)
        order = strcmp(a->advisory, b->advisory);
    return order ? order : strcmp(a->package->purl, b->package->purl);
}

int findings_of(const struct inventory *inventory, const struct advisory_db *db,
                struct findings **ret, struct error *err)
{
    CLEANUP(findings) struct findings *found = calloc(1, sizeof *found);
    struct search s = {.inventory = inventory, .db = db, .found = found};

    if (!found)
        return error_no_memory(err);
    found->texts = (struct texts)TEXTS_INIT(VERDICT_TEXTS_MAX);
    int result = search_all(&s, err);
    free(s.seen);
    if (result < 0)
        return -1;
    if (found->count > 1)
        qsort(found->items, found->count, sizeof *found->items, compare);
    *ret = TAKE(found);
    return 0;
}

const struct finding *findings_items(const struct findings *findings, size_t *ret_count)
{
    *ret_count = findings->count;
    return findings->items;
}

void findings_free(struct findings *findings)
{
    if (!findings)
        return;
    for (size_t i = 0; i < findings->match_count; i++)
        advisory_matches_done(&findings->matches[i]);
    free(findings->matches);
    free(findings->items);
    texts_done(&findings->texts);
    free(findings);
}
