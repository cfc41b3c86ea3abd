/* advisory/record.c - see record.h. */
#include "advisory/record.h"

#include <jansson.h>

#include "base/clock.h"
#include "wire/json.h"

struct best { /* the most telling severity so far */
    int rank; /* 0: none; 1: a word; 2, 3, 4: CVSS version */
    uint8_t severity;
    int score_tenths;
    const char *vector;
};

static struct str text_of(const json_t *value)
{
    return json_is_string(value) ? str_slice(json_string_value(value), json_string_length(value))
                                 : STR_NONE;
}

static struct str text_at(const json_t *object, const char *key)
{
    return text_of(json_object_get(object, key));
}

static void take_vector(struct best *best, struct str vector)
{
    struct error ignored = ERROR_INIT;
    struct cvss cvss;
    int rank;

    if (!vector.ptr || cvss_parse(vector, &cvss, &ignored) < 0)
        return; /* the next one may be written better */
    rank = cvss.version[0] - '0';
    if (rank > best->rank)
        *best = (struct best){rank, (uint8_t)cvss.severity, cvss.score_tenths, vector.ptr};
}

static void take_word(struct best *best, struct str word)
{
    enum severity severity = word.ptr ? severity_of_word(word) : SEVERITY_UNKNOWN;

    if (severity != SEVERITY_UNKNOWN && best->rank < 1)
        *best = (struct best){1, (uint8_t)severity, -1, ""};
}

/* A bare score, as converted databases have it: {"cvss_v3": 7.5}. */
static void take_score(struct best *best, const json_t *value, int rank)
{
    double score = json_is_number(value) ? json_number_value(value) : -1;

    if (score >= 0 && score <= 10 && rank > best->rank) {
        int tenths = (int)(score * 10 + 0.5);
        *best = (struct best){rank, (uint8_t)severity_of_score(tenths), tenths, ""};
    }
}

static void take_severity(struct best *best, const json_t *owner)
{
    const json_t *specific = json_object_get(owner, "database_specific");
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(owner, "severity"), i, item)
    {
        struct str type = text_at(item, "type");
        struct str score = text_at(item, "score");
        if (type.ptr && str_starts(type, STR("CVSS_V")))
            take_vector(best, score);
        else
            take_word(best, score); /* Ubuntu's priority */
    }
    take_vector(best, text_at(specific, "cvss"));
    take_score(best, json_object_get(specific, "cvss_v4"), 4);
    take_score(best, json_object_get(specific, "cvss_v3"), 3);
    take_score(best, json_object_get(specific, "cvss_v2"), 2);
    take_word(best, text_at(specific, "severity"));
    /* RustSec: unmaintained, unsound, notice: worth a word, no hole. */
    if (text_at(specific, "informational").len)
        take_word(best, STR("negligible"));
}

/* {"introduced": "1.0"}; older records put two into one object. False: no event at all. */
static bool add_events(struct draft *b, const json_t *event, size_t *count, struct buf *out)
{
    static const char *const keys[EVENT_KINDS] = {
        [EVENT_INTRODUCED] = "introduced",
        [EVENT_FIXED] = "fixed",
        [EVENT_LAST_AFFECTED] = "last_affected",
        [EVENT_LIMIT] = "limit",
    };
    bool has_any = false;

    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        struct str version = text_at(event, keys[kind]);
        if (version.len == 0 || version.len > VERSION_BYTES_MAX)
            continue;
        has_any = true;
        ++*count;
        buf_add_char(out, (char)kind);
        body_add_number(out, draft_text(b, version));
    }
    return has_any;
}

/* Ranges of commits need the repository's history, so only `versions` speaks for those. */
static size_t add_ranges(struct draft *b, const json_t *affected, struct buf *out)
{
    CLEANUP(buf) struct buf events = BUF_INIT(RECORD_BYTES_MAX);
    size_t count = 0;
    json_t *range;
    size_t i;

    json_array_foreach(json_object_get(affected, "ranges"), i, range)
    {
        struct str type = text_at(range, "type");
        size_t event_count = 0;
        bool ok = type.ptr && (str_is(type, "SEMVER") || str_is(type, "ECOSYSTEM"));
        json_t *event;
        size_t k;
        buf_clear(&events);
        json_array_foreach(json_object_get(range, "events"), k, event)
        {
            if (!ok || event_count > RECORD_LIST_MAX)
                break;
            ok = add_events(b, event, &event_count, &events);
        }
        if (!ok || event_count == 0 || events.failed)
            continue;
        body_add_number(out, event_count);
        buf_add_str(out, buf_str(&events));
        count++;
    }
    return count;
}

static void add_versions(struct draft *b, const json_t *affected)
{
    const json_t *versions = json_object_get(affected, "versions");
    size_t count = 0;
    json_t *item;
    size_t i;

    json_array_foreach(versions, i, item) count +=
        text_of(item).len > 0 && text_of(item).len <= VERSION_BYTES_MAX;
    body_add_number(&b->bodies, count);
    json_array_foreach(versions, i, item)
    {
        if (text_of(item).len > 0 && text_of(item).len <= VERSION_BYTES_MAX)
            body_add_number(&b->bodies, draft_text(b, text_of(item)));
    }
}

/* False: the entry names no package. */
static bool add_affected(struct draft *b, const json_t *affected)
{
    CLEANUP(buf) struct buf ranges = BUF_INIT(RECORD_BYTES_MAX);
    CLEANUP(buf) struct buf key = BUF_INIT(4096);
    CLEANUP(buf) struct buf name_key = BUF_INIT(4096);
    const json_t *package = json_object_get(affected, "package");
    struct str ecosystem = text_at(package, "ecosystem");
    struct str name = text_at(package, "name");
    struct str urgency = text_at(json_object_get(affected, "ecosystem_specific"), "urgency");
    struct best best = {.score_tenths = -1, .vector = ""};
    struct body_head head;
    size_t count;

    if (ecosystem.len == 0 || name.len == 0)
        return false;
    package_key(ecosystem, name, &key, &name_key);
    if (key.failed || name_key.failed)
        return false;
    take_severity(&best, affected);
    draft_begin_affected(b, buf_str(&key), buf_str(&name_key));
    head = (struct body_head){.severity = best.severity,
                              .score_tenths = best.score_tenths,
                              .vector = draft_text(b, str_of(best.vector)),
                              .urgency = draft_text(b, urgency)};
    count = add_ranges(b, affected, &ranges);
    body_add_head(&b->bodies, &head);
    body_add_number(&b->bodies, count);
    buf_add_str(&b->bodies, buf_str(&ranges));
    if (ranges.failed)
        b->failed = ranges.failed;
    add_versions(b, affected);
    draft_end_affected(b);
    return true;
}

/* DEBIAN-CVE-2023-1 is what a distribution says of that one CVE: the same vulnerability, though the
 * schema files it under `upstream`. A DSA that covers many CVEs is not. */
static bool is_single_upstream(struct str id, const json_t *upstream)
{
    struct str cve = text_of(json_array_get(upstream, 0));

    return json_array_size(upstream) == 1 && cve.len > 4 && str_starts(cve, STR("CVE-")) &&
           id.len > cve.len && str_ends(id, cve) && id.ptr[id.len - cve.len - 1] == '-';
}

static void add_lists(struct draft *b, struct str id, const json_t *root)
{
    const json_t *upstream = json_object_get(root, "upstream");
    bool is_single = is_single_upstream(id, upstream);
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(root, "aliases"), i, item)
    {
        if (text_of(item).len && i < RECORD_LIST_MAX)
            draft_add_alias(b, draft_text(b, text_of(item)));
    }
    if (is_single)
        draft_add_alias(b, draft_text(b, text_of(json_array_get(upstream, 0))));
    json_array_foreach(upstream, i, item)
    {
        if (!is_single && text_of(item).len && i < RECORD_LIST_MAX)
            draft_add_upstream(b, draft_text(b, text_of(item)));
    }
}

static int check(const char *name, const json_t *root, struct str *ret_id, int64_t *ret_modified,
                 struct error *err)
{
    const json_t *affected = json_object_get(root, "affected");

    *ret_id = text_at(root, "id");
    if (!json_is_object(root))
        return error_set(err, ERR_INVALID, "%s: expected an object", name);
    if (ret_id->len == 0 || ret_id->len > 256)
        return error_set(err, ERR_INVALID, "%s: expected an \"id\"", name);
    if (!clock_parse_rfc3339(text_at(root, "modified"), ret_modified))
        return error_set(err, ERR_INVALID, "%s: expected \"modified\" as RFC 3339", name);
    if (affected && !json_is_array(affected))
        return error_set(err, ERR_INVALID, "%s: expected \"affected\" to be an array", name);
    return 0;
}

/* Whether it says the same as the one before: the parts that would be written, byte for byte. */
static bool is_same(const struct draft *b, const struct draft_record *x,
                    const struct draft_record *y)
{
    if (memcmp(&x->r, &y->r, sizeof x->r) != 0 || x->alias_count != y->alias_count ||
        x->upstream_count != y->upstream_count || x->affected_count != y->affected_count ||
        (x->alias_count + x->upstream_count &&
         memcmp(b->lists + x->aliases, b->lists + y->aliases,
                (x->alias_count + x->upstream_count) * sizeof *b->lists) != 0))
        return false;
    for (uint32_t i = 0; i < x->affected_count; i++) {
        const struct draft_affected *p = &b->affected[x->first_affected + i];
        bool found = false;
        for (uint32_t k = 0; k < y->affected_count && !found; k++) {
            const struct draft_affected *q = &b->affected[y->first_affected + k];
            found = p->ecosystem == q->ecosystem && p->name == q->name && p->bytes == q->bytes &&
                    memcmp(b->bodies.ptr + p->offset, b->bodies.ptr + q->offset, p->bytes) == 0;
        }
        if (!found)
            return false;
    }
    return true;
}

enum { SUMMARY_BYTES_MAX = 300 };

static struct str short_text(struct str s) /* cut between characters */
{
    size_t len = s.len < SUMMARY_BYTES_MAX ? s.len : SUMMARY_BYTES_MAX;

    while (len && len < s.len && ((unsigned char)s.ptr[len] & 0xc0) == 0x80)
        len--;
    return str_first(s, len);
}

static int add_checked(struct draft *b, const char *name, const json_t *root, struct str id,
                       int64_t modified, enum record_change *ret_change, struct error *err)
{
    struct draft_record *before = draft_find(b, id);
    size_t before_index = before ? (size_t)(before - b->records) : 0;
    struct best best = {.score_tenths = -1, .vector = ""};
    struct db_record r = {.modified_s = modified};
    json_t *item;
    size_t i;

    if (before && modified < before->r.modified_s)
        return *ret_change = RECORD_OLDER, 0;
    take_severity(&best, root);
    r.id = draft_text(b, id);
    r.summary = draft_text(b, short_text(text_at(root, "summary")));
    r.vector = draft_text(b, str_of(best.vector));
    r.score_tenths = (int16_t)best.score_tenths;
    r.severity = best.severity;
    if (!clock_parse_rfc3339(text_at(root, "published"), &r.published_s))
        r.published_s = 0;
    if (json_is_string(json_object_get(root, "withdrawn")))
        r.flags |= DB_WITHDRAWN;
    draft_begin(b, &r);
    add_lists(b, id, root);
    json_array_foreach(json_object_get(root, "affected"), i, item)
    {
        if (!add_affected(b, item)) {
            const json_t *package = json_object_get(item, "package");
            if (!package && json_object_get(item, "ranges"))
                continue; /* a repository without a package: legal, and nothing to match */
            draft_drop_last(b);
            return error_set(err, ERR_INVALID, "%s: affected[%zu] names no package and ecosystem",
                             name, i);
        }
    }
    if (draft_ok(b, err) < 0)
        return -1;
    *ret_change = before ? RECORD_CHANGED : RECORD_ADDED;
    if (before && is_same(b, &b->records[before_index], &b->records[b->record_count - 1])) {
        *ret_change = RECORD_UNCHANGED;
        draft_drop_last(b);
        return 0;
    }
    draft_end(b);
    return draft_ok(b, err);
}

int record_add(struct draft *b, const char *name, struct str json, enum record_change *ret_change,
               struct error *err)
{
    CLEANUP(buf) struct buf skimmed = BUF_INIT(RECORD_BYTES_MAX + 1);
    CLEANUP(json) json_t *root = NULL;
    json_error_t fault;
    int64_t modified;
    struct str id;

    if (json.len > RECORD_BYTES_MAX)
        return error_set(err, ERR_INVALID, "%s: more than %d bytes", name, RECORD_BYTES_MAX);
    if (record_skim(json, &skimmed))
        root = json_loadb(skimmed.ptr, skimmed.len, 0, &fault);
    if (!root) /* again with all of it, so that the place of the fault is the file's */
        root = json_loadb(json.ptr ? json.ptr : "", json.len, 0, &fault);
    if (!root)
        return error_set(err, ERR_INVALID, "%s:%d:%d: %s", name, fault.line, fault.column,
                         fault.text);
    if (check(name, root, &id, &modified, err) < 0)
        return -1;
    return add_checked(b, name, root, id, modified, ret_change, err);
}
