/* advisory/match.c - which advisories a package at a version is affected by. Source: OSV schema,
 * "Evaluation".
 *
 *   in `versions` → affected;  else the events of each range in order of versions, introduced
 * before fixed at the same one: introduced ≤ v turns it on, fixed ≤ v and last_affected < v turn it
 * off; a range whose limits are all at or below v does not count. */
#include "advisory/db_internal.h"
#include "sbom/texts.h"

enum { MATCH_EVENTS_MAX = 4096, MATCH_TEXT_LIMIT = 256 << 20 };

struct event {
    enum event_kind kind;
    struct str version;
};
struct package { /* one package of the database, as matching walks over it */
    const struct advisory_db *db;
    const struct db_package *entry;
    enum version_scheme scheme;
};
struct affected { /* one posting */
    uint32_t record;
    struct body_head head;
    struct reader ranges; /* from the range count on */
};

static struct str text_of(const struct advisory_db *db, uint64_t offset)
{
    return str_of(offset <= UINT32_MAX ? db_text(db, (uint32_t)offset) : "");
}

/* Before everything: the schema's "0". */
static int compare(enum version_scheme scheme, struct str a, struct str b)
{
    bool a_zero = str_is(a, "0"), b_zero = str_is(b, "0");

    if (a_zero || b_zero)
        return b_zero - a_zero;
    return version_compare(scheme, a, b);
}

static int by_version(const void *a, const void *b, void *ctx)
{
    const struct event *x = a;
    const struct event *y = b;
    int order = compare(*(const enum version_scheme *)ctx, x->version, y->version);

    return order ? order : (int)x->kind - (int)y->kind; /* introduced before fixed */
}

/* A range's events in `events`, sorted; the limits apart. Returns the count, or -1 if broken. */
static ptrdiff_t read_events(const struct package *p, struct reader *r, struct event *events)
{
    uint64_t count = reader_number(r);
    size_t kept = 0;
    enum version_scheme scheme = p->scheme;

    for (uint64_t i = 0; i < count; i++) {
        uint8_t kind = reader_byte(r);
        struct str version = text_of(p->db, reader_number(r));
        if (r->failed || kind >= EVENT_KINDS)
            return -1;
        if (kept < MATCH_EVENTS_MAX)
            events[kept++] = (struct event){(enum event_kind)kind, version};
    }
    if (kept > 1)
        qsort_r(events, kept, sizeof *events, by_version, &scheme);
    return (ptrdiff_t)kept;
}

static bool is_in_range(const struct package *p, const struct event *events, size_t count,
                        struct str version)
{
    bool has_limit = false, is_below_limit = false, is_affected = false;

    for (size_t i = 0; i < count; i++) {
        const struct event *e = &events[i];
        int order = e->kind == EVENT_LIMIT && str_is(e->version, "*")
                        ? -1
                        : compare(p->scheme, version, e->version);
        switch (e->kind) {
        case EVENT_INTRODUCED:
            if (order >= 0)
                is_affected = true;
            break;
        case EVENT_FIXED:
            if (order >= 0)
                is_affected = false;
            break;
        case EVENT_LAST_AFFECTED:
            if (order > 0)
                is_affected = false;
            break;
        case EVENT_LIMIT:
            has_limit = true;
            is_below_limit |= order < 0;
            break;
        }
    }
    return is_affected && (!has_limit || is_below_limit);
}

/* 1, 0, or -1 if the posting is broken. */
static int is_affected(const struct package *p, const struct affected *a, struct str version)
{
    struct event events[MATCH_EVENTS_MAX];
    struct reader r = a->ranges;
    bool is_ordered =
        p->scheme != VERSION_NONE && version_is_valid(p->scheme, version) && !str_is(version, "0");
    uint64_t ranges = reader_number(&r);
    uint64_t versions;

    for (uint64_t i = 0; i < ranges && !r.failed; i++) {
        ptrdiff_t count = read_events(p, &r, events);
        if (count < 0)
            return -1;
        if (is_ordered && is_in_range(p, events, (size_t)count, version))
            return 1;
    }
    versions = reader_number(&r);
    for (uint64_t i = 0; i < versions && !r.failed; i++) {
        if (str_equal(text_of(p->db, reader_number(&r)), version))
            return 1;
    }
    return r.failed ? -1 : 0;
}

/* Walks the postings of a package: withdrawn records are not there. */
struct postings {
    const struct package *package;
    struct reader r;
};

static bool postings_init(struct postings *it, const struct package *p)
{
    struct reader all = {.at = p->db->postings, .end = p->db->postings + p->db->postings_bytes};
    struct reader skipped;

    it->package = p;
    return reader_part(&all, p->entry->offset, &skipped) &&
           reader_part(&all, p->entry->bytes, &it->r);
}

static bool postings_next(struct postings *it, struct affected *ret)
{
    while (!it->r.failed && it->r.at < it->r.end) {
        uint64_t record = reader_number(&it->r);
        struct reader body;
        if (!reader_part(&it->r, reader_number(&it->r), &body) ||
            record >= it->package->db->record_count || !body_read_head(&body, &ret->head)) {
            it->r.failed = true;
            return false;
        }
        if (it->package->db->records[record].flags & DB_WITHDRAWN)
            continue;
        ret->record = (uint32_t)record;
        ret->ranges = body;
        return true;
    }
    return false;
}

static int broken(struct error *err)
{
    return error_set(err, ERR_INVALID,
                     "the advisory database is damaged: import the advisories again");
}

/* False if the database knows nothing of the package. */
static bool find_package(const struct advisory_db *db, const struct advisory_query *q,
                         struct package *ret)
{
    CLEANUP(buf) struct buf ecosystem = BUF_INIT(4096);
    CLEANUP(buf) struct buf name = BUF_INIT(4096);

    package_key(str_of(q->ecosystem), str_of(q->name), &ecosystem, &name);
    if (ecosystem.failed || name.failed || ecosystem.len == 0 || name.len == 0)
        return false;
    ret->db = db;
    ret->scheme = version_scheme_of(buf_str(&ecosystem));
    ret->entry = db_find_package(db, buf_text(&ecosystem), buf_text(&name));
    return ret->entry != NULL;
}

/* ---- merging ---- */

struct hit { /* a record that affects the version */
    struct affected affected;
    uint32_t group;
    uint32_t order; /* as found */
};
struct hits {
    struct hit *items; /* owned */
    size_t count, capacity;
};

static void hits_done(struct hits *h)
{
    free(h->items);
}
DEFINE_CLEANUP_VALUE(hits, struct hits, hits_done)

static int hits_add(struct hits *h, const struct affected *a, uint32_t group, struct error *err)
{
    if (h->count == h->capacity) {
        size_t capacity = h->capacity ? h->capacity * 2 : 8;
        struct hit *items = reallocarray(h->items, capacity, sizeof *items);
        if (!items)
            return error_no_memory(err);
        h->items = items;
        h->capacity = capacity;
    }
    h->items[h->count] = (struct hit){*a, group, (uint32_t)h->count};
    h->count++;
    return 0;
}

static int by_group(const void *a, const void *b)
{
    const struct hit *x = a;
    const struct hit *y = b;

    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static int collect_hits(const struct package *p, struct str version, struct hits *hits,
                        struct error *err)
{
    struct postings it;
    struct affected a;

    if (!postings_init(&it, p))
        return broken(err);
    while (postings_next(&it, &a)) {
        int affected = is_affected(p, &a, version);
        if (affected < 0)
            return broken(err);
        if (affected && hits_add(hits, &a, p->db->records[a.record].group, err) < 0)
            return -1;
    }
    if (it.r.failed)
        return broken(err);
    if (hits->count)
        qsort(hits->items, hits->count, sizeof *hits->items, by_group);
    return 0;
}

/* Which name says it best: reviewed databases first, then the CVE, then a distribution's repetition
 * of it. */
static int name_rank(const char *id)
{
    static const char *const first[] = {"PYSEC-", "GO-",   "RUSTSEC-", "DSA-",  "DLA-",
                                        "USN-",   "ALSA-", "ALBA-",    "ALEA-", "RLSA-",
                                        "RHSA-",  "GSD-",  "HSEC-"};

    if (strncmp(id, "GHSA-", 5) == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(first); i++) {
        if (strncmp(id, first[i], strlen(first[i])) == 0)
            return 1;
    }
    if (strncmp(id, "CVE-", 4) == 0)
        return 2;
    return strncmp(id, "x_", 2) == 0 ? 4 : 3;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A sorted, NULL-ended list without doubles, in the pool. */
static const char *const *make_list(struct texts *texts, struct strv *from)
{
    const char **list = texts_room(texts, from->count + 1, sizeof *list);
    size_t count = 0;

    if (!list)
        return NULL;
    strv_sort(from);
    for (size_t i = 0; i < from->count; i++) {
        if (i == 0 || strcmp(from->items[i], from->items[i - 1]) != 0)
            list[count++] = texts_add(texts, str_of(from->items[i]));
    }
    return list;
}

static int collect_ids(const struct package *p, const struct hit *hits, size_t count,
                       struct strv *ids, struct strv *upstream, struct error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct db_record *record = &p->db->records[hits[i].affected.record];
        const uint32_t *aliases, *ups;
        size_t alias_count, upstream_count;
        if (!db_lists(p->db, record, &aliases, &alias_count, &ups, &upstream_count))
            return broken(err);
        strv_add(ids, db_text(p->db, record->id));
        for (size_t k = 0; k < alias_count; k++)
            strv_add(ids, db_text(p->db, aliases[k]));
        for (size_t k = 0; k < upstream_count; k++)
            strv_add(upstream, db_text(p->db, ups[k]));
    }
    return strv_ok(ids, err) < 0 ? -1 : strv_ok(upstream, err);
}

static void take_severity(struct advisory_match *m, const struct advisory_db *db, int severity,
                          int tenths, uint32_t vector, const char *from)
{
    /* A score tells more than a word; of two scores the higher one counts. */
    if (severity == SEVERITY_UNKNOWN || (m->score_tenths >= 0 && tenths <= m->score_tenths) ||
        (tenths < 0 && severity <= (int)m->severity))
        return;
    m->severity = (enum severity)severity;
    m->score_tenths = tenths;
    m->vector = db_text(db, vector);
    m->severity_from = from;
}

/* Records of other databases that are about one of these names, for a score that ours lack. */
static void borrow_severity(struct advisory_match *m, const struct advisory_db *db,
                            const char *const *names)
{
    for (; names && *names; names++) {
        size_t first, count = db_find_names(db, *names, &first);
        for (size_t i = 0; i < count; i++) {
            uint32_t index = db->names[first + i].record;
            const struct db_record *r = index < db->record_count ? &db->records[index] : NULL;
            if (r && !(r->flags & DB_WITHDRAWN) && r->severity < SEVERITY_COUNT)
                take_severity(m, db, r->severity, r->score_tenths, r->vector, db_text(db, r->id));
        }
    }
}

static void decide_severity(struct advisory_match *m, const struct package *p,
                            const struct hit *hits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct db_record *r = &p->db->records[hits[i].affected.record];
        const struct body_head *head = &hits[i].affected.head;
        const char *id = db_text(p->db, r->id);
        if (head->severity != SEVERITY_UNKNOWN) /* "overrides the top level" */
            take_severity(m, p->db, head->severity, head->score_tenths, head->vector, id);
        else if (r->severity < SEVERITY_COUNT)
            take_severity(m, p->db, r->severity, r->score_tenths, r->vector, id);
        if (!m->urgency[0])
            m->urgency = db_text(p->db, head->urgency);
    }
    if (severity_of_word(str_of(m->urgency)) == SEVERITY_NEGLIGIBLE) {
        m->severity = SEVERITY_NEGLIGIBLE; /* Debian: no effect on the binary packages */
        m->severity_from = db_text(p->db, p->db->records[hits[0].affected.record].id);
        return;
    }
    if (m->score_tenths < 0)
        borrow_severity(m, p->db, m->ids);
    if (m->score_tenths < 0)
        borrow_severity(m, p->db, m->upstream);
    if (m->severity == SEVERITY_UNKNOWN)
        m->severity = severity_of_word(str_of(m->urgency));
}

/* ---- fixes ---- */

struct versions {
    struct str *items; /* owned */
    size_t count, capacity;
};

static void versions_done(struct versions *v)
{
    free(v->items);
}
DEFINE_CLEANUP_VALUE(versions, struct versions, versions_done)

static int versions_add(struct versions *v, struct str version, struct error *err)
{
    if (v->count == v->capacity) {
        size_t capacity = v->capacity ? v->capacity * 2 : 8;
        struct str *items = reallocarray(v->items, capacity, sizeof *items);
        if (!items)
            return error_no_memory(err);
        v->items = items;
        v->capacity = capacity;
    }
    v->items[v->count++] = version;
    return 0;
}

static int by_order(const void *a, const void *b, void *ctx)
{
    const struct str *x = a;
    const struct str *y = b;
    int order = version_compare(*(const enum version_scheme *)ctx, *x, *y);

    return order ? order : str_compare(*x, *y);
}

/* The `fixed` events of a posting above `version`. */
static int collect_fixes(const struct package *p, const struct affected *a, struct str version,
                         struct versions *out, struct error *err)
{
    struct event events[MATCH_EVENTS_MAX];
    struct reader r = a->ranges;
    uint64_t ranges = reader_number(&r);

    for (uint64_t i = 0; i < ranges && !r.failed; i++) {
        ptrdiff_t count = read_events(p, &r, events);
        if (count < 0)
            return broken(err);
        for (ptrdiff_t k = 0; k < count; k++) {
            if (events[k].kind == EVENT_FIXED && version_is_valid(p->scheme, events[k].version) &&
                version_compare(p->scheme, events[k].version, version) > 0 &&
                versions_add(out, events[k].version, err) < 0)
                return -1;
        }
    }
    return r.failed ? broken(err) : 0;
}

/* The least of the candidates that none of `hits` affects; STR "" if none. */
static int first_safe(const struct package *p, struct versions *candidates, const struct hit *hits,
                      size_t count, struct str *ret, struct error *err)
{
    enum version_scheme scheme = p->scheme;

    *ret = STR("");
    if (candidates->count > 1)
        qsort_r(candidates->items, candidates->count, sizeof *candidates->items, by_order, &scheme);
    for (size_t i = 0; i < candidates->count; i++) {
        bool is_safe = true;
        for (size_t k = 0; k < count && is_safe; k++) {
            int affected = is_affected(p, &hits[k].affected, candidates->items[i]);
            if (affected < 0)
                return broken(err);
            is_safe = !affected;
        }
        if (is_safe) {
            *ret = candidates->items[i];
            return 0;
        }
    }
    return 0;
}

static int nearest_fix(const struct package *p, struct str version, const struct hit *hits,
                       size_t count, const char **ret, struct error *err)
{
    CLEANUP(versions) struct versions candidates = {0};
    struct str fixed;

    for (size_t i = 0; i < count; i++) {
        if (collect_fixes(p, &hits[i].affected, version, &candidates, err) < 0)
            return -1;
    }
    if (first_safe(p, &candidates, hits, count, &fixed, err) < 0)
        return -1;
    *ret = fixed.ptr; /* terminated: texts of the database are */
    return 0;
}

static int make_match(const struct package *p, const struct advisory_query *q,
                      const struct hit *hits, size_t count, struct texts *texts,
                      struct advisory_match *m, struct error *err)
{
    CLEANUP(strv) struct strv ids = STRV_INIT;
    CLEANUP(strv) struct strv upstream = STRV_INIT;

    *m = (struct advisory_match){.score_tenths = -1,
                                 .vector = "",
                                 .severity_from = "",
                                 .urgency = "",
                                 .summary = "",
                                 .fixed = ""};
    if (collect_ids(p, hits, count, &ids, &upstream, err) < 0)
        return -1;
    m->ids = make_list(texts, &ids);
    m->upstream = make_list(texts, &upstream);
    if (texts_ok(texts, err) < 0)
        return -1;
    m->id = m->ids[0];
    for (size_t i = 0; m->ids[i]; i++) {
        if (name_rank(m->ids[i]) < name_rank(m->id))
            m->id = m->ids[i];
    }
    for (size_t i = 0; i < count; i++) {
        const struct db_record *r = &p->db->records[hits[i].affected.record];
        if (!m->summary[0] || name_rank(db_text(p->db, r->id)) == 0)
            m->summary = db_text(p->db, r->summary);
        if (r->published_s > 0 && (m->published_s == 0 || r->published_s < m->published_s))
            m->published_s = r->published_s;
        if (r->modified_s > m->modified_s)
            m->modified_s = r->modified_s;
    }
    decide_severity(m, p, hits, count);
    return nearest_fix(p, str_of(q->version), hits, count, &m->fixed, err);
}

static int by_severity(const void *a, const void *b)
{
    const struct advisory_match *x = a;
    const struct advisory_match *y = b;

    if (x->severity != y->severity)
        return x->severity > y->severity ? -1 : 1;
    if (x->score_tenths != y->score_tenths)
        return x->score_tenths > y->score_tenths ? -1 : 1;
    return by_text(&x->id, &y->id);
}

static bool has_text(const char *const *list, const char *text)
{
    for (; *list; list++) {
        if (strcmp(*list, text) == 0)
            return true;
    }
    return false;
}

/* A distribution's advisory covers CVEs that it also has records of: those would be told twice. */
static bool is_covered(const struct advisory_match *m, const struct advisory_match *by)
{
    for (size_t i = 0; m != by && !m->upstream[0] && m->ids[i]; i++) {
        if (has_text(by->upstream, m->ids[i]))
            return true;
    }
    return false;
}

static void fold_covered(struct advisory_matches *matches)
{
    size_t kept = 0;

    for (size_t i = 0; i < matches->count; i++) {
        bool covered = false;
        for (size_t k = 0; k < matches->count && !covered; k++)
            covered = is_covered(&matches->items[i], &matches->items[k]);
        if (!covered) /* those that cover are never dropped, so each is found, moved or not */
            matches->items[kept++] = matches->items[i];
    }
    matches->count = kept;
}

void advisory_matches_done(struct advisory_matches *matches)
{
    if (matches->memory)
        texts_done(matches->memory);
    free(matches->memory);
    free(matches->items);
    *matches = (struct advisory_matches)ADVISORY_MATCHES_INIT;
}

int advisory_match(const struct advisory_db *db, const struct advisory_query *query,
                   struct advisory_matches *ret, struct error *err)
{
    CLEANUP(advisory_matches) struct advisory_matches matches = ADVISORY_MATCHES_INIT;
    CLEANUP(hits) struct hits hits = {0};
    struct package p;
    struct texts *texts;

    if (!find_package(db, query, &p))
        return 0;
    if (collect_hits(&p, str_of(query->version), &hits, err) < 0)
        return -1;
    if (hits.count == 0)
        return 0;
    matches.items = calloc(hits.count, sizeof *matches.items);
    matches.memory = texts = calloc(1, sizeof *texts);
    if (!matches.items || !texts)
        return error_no_memory(err);
    *texts = (struct texts)TEXTS_INIT(MATCH_TEXT_LIMIT);
    for (size_t i = 0; i < hits.count;) {
        size_t end = i;
        while (end < hits.count && hits.items[end].group == hits.items[i].group)
            end++;
        if (make_match(&p, query, hits.items + i, end - i, texts, &matches.items[matches.count++],
                       err) < 0)
            return -1;
        i = end;
    }
    fold_covered(&matches);
    qsort(matches.items, matches.count, sizeof *matches.items, by_severity);
    *ret = matches;
    matches = (struct advisory_matches)ADVISORY_MATCHES_INIT; /* handed over */
    return 0;
}

int advisory_safe_version(const struct advisory_db *db, const struct advisory_query *query,
                          struct buf *out, struct error *err)
{
    CLEANUP(versions) struct versions candidates = {0};
    CLEANUP(hits) struct hits all = {0};
    struct package p;
    struct postings it;
    struct affected a;
    struct str safe;

    if (!find_package(db, query, &p))
        return 0;
    if (!postings_init(&it, &p))
        return broken(err);
    while (postings_next(&it, &a)) {
        if (hits_add(&all, &a, 0, err) < 0 ||
            collect_fixes(&p, &a, str_of(query->version), &candidates, err) < 0)
            return -1;
    }
    if (it.r.failed)
        return broken(err);
    if (first_safe(&p, &candidates, all.items, all.count, &safe, err) < 0)
        return -1;
    buf_add_str(out, safe);
    return buf_ok(out, err);
}
