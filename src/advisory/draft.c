/* advisory/draft.c - collecting records; draft_write.c makes the file. See draft.h. */
#include "advisory/draft.h"

static uint64_t hash_of(struct str text)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.ptr[i]) * 0x100000001b3u;
    return hash ^ (hash >> 29);
}

void draft_done(struct draft *b)
{
    buf_done(&b->strings);
    buf_done(&b->bodies);
    free(b->slots);
    free(b->records);
    free(b->by_id);
    free(b->affected);
    free(b->lists);
    *b = (struct draft)DRAFT_INIT;
}

int draft_ok(const struct draft *b, struct error *err)
{
    if (b->failed == 1)
        return error_no_memory(err);
    if (b->failed)
        return error_set(err, ERR_LIMIT, "more advisories than a database holds");
    return buf_ok(&b->strings, err) < 0 ? -1 : buf_ok(&b->bodies, err);
}

static struct str text_at(const struct draft *b, uint32_t offset)
{
    return str_of(b->strings.ptr + offset);
}

/* Room in a growing array, or NULL and failed. */
static void *grow(struct draft *b, void *items, size_t count, size_t *capacity, size_t size)
{
    size_t wanted = *capacity ? *capacity * 2 : 1024;
    void *grown;

    if (count < *capacity)
        return items;
    if (count >= UINT32_MAX / 2) {
        b->failed = 2;
        return NULL;
    }
    grown = reallocarray(items, wanted, size);
    if (!grown) {
        b->failed = 1;
        return NULL;
    }
    *capacity = wanted;
    return grown;
}

/* Open addressing, at most half full; `hash_at` gives the hash of what a slot names. */
static bool rehash(struct draft *b, uint32_t **slots, size_t *slot_count,
                   uint64_t (*hash_at)(const struct draft *b, uint32_t value))
{
    size_t count = *slot_count ? *slot_count * 2 : 4096;
    uint32_t *grown = calloc(count, sizeof *grown);

    if (!grown) {
        b->failed = 1;
        return false;
    }
    for (size_t i = 0; i < *slot_count; i++) {
        size_t at;
        if (!(*slots)[i])
            continue;
        at = hash_at(b, (*slots)[i] - 1) & (count - 1);
        while (grown[at])
            at = (at + 1) & (count - 1);
        grown[at] = (*slots)[i];
    }
    free(*slots);
    *slots = grown;
    *slot_count = count;
    return true;
}

static uint64_t hash_of_text(const struct draft *b, uint32_t offset)
{
    return hash_of(text_at(b, offset));
}

static uint64_t hash_of_record(const struct draft *b, uint32_t record)
{
    return hash_of(text_at(b, b->records[record].r.id));
}

uint32_t draft_text(struct draft *b, struct str text)
{
    uint64_t hash;
    size_t at;

    if (b->failed || b->strings.failed)
        return 0;
    if (b->strings.len == 0)
        buf_add_char(&b->strings, '\0'); /* offset 0 is "" */
    text.len = text.ptr ? strnlen(text.ptr, text.len) : 0;
    if (text.len == 0)
        return 0;
    if (b->text_count * 2 >= b->slot_count && !rehash(b, &b->slots, &b->slot_count, hash_of_text))
        return 0;
    hash = hash_of(text);
    for (at = hash & (b->slot_count - 1); b->slots[at]; at = (at + 1) & (b->slot_count - 1)) {
        const char *have = b->strings.ptr + b->slots[at] - 1;
        if (strncmp(have, text.ptr, text.len) == 0 && have[text.len] == '\0')
            return b->slots[at] - 1;
    }
    b->slots[at] = (uint32_t)b->strings.len + 1;
    b->text_count++;
    buf_add(&b->strings, text.ptr, text.len);
    buf_add_char(&b->strings, '\0');
    return b->slots[at] - 1;
}

/* The slot of the id, empty or not. by_id_count is a power of two, or 0. */
static uint32_t *id_slot(struct draft *b, struct str id)
{
    size_t at = hash_of(id) & (b->by_id_count - 1);

    while (b->by_id[at] && !str_equal(text_at(b, b->records[b->by_id[at] - 1].r.id), id))
        at = (at + 1) & (b->by_id_count - 1);
    return &b->by_id[at];
}

struct draft_record *draft_find(struct draft *b, struct str id)
{
    uint32_t *slot = b->by_id_count ? id_slot(b, id) : NULL;

    return slot && *slot ? &b->records[*slot - 1] : NULL;
}

void draft_begin(struct draft *b, const struct db_record *r)
{
    struct draft_record *records =
        grow(b, b->records, b->record_count, &b->record_capacity, sizeof *records);

    if (b->record_count >= DRAFT_RECORDS_LIMIT)
        b->failed = 2;
    if (!records || b->failed)
        return;
    b->records = records;
    records[b->record_count++] = (struct draft_record){
        .r = *r,
        .aliases = (uint32_t)b->list_count,
        .upstream = (uint32_t)b->list_count,
        .first_affected = (uint32_t)b->affected_count,
    };
}

static bool add_to_list(struct draft *b, uint32_t text)
{
    uint32_t *lists =
        b->failed ? NULL : grow(b, b->lists, b->list_count, &b->list_capacity, sizeof *lists);

    if (!lists)
        return false;
    b->lists = lists;
    lists[b->list_count++] = text;
    return true;
}

void draft_add_alias(struct draft *b, uint32_t text)
{
    if (add_to_list(b, text)) {
        struct draft_record *r = &b->records[b->record_count - 1];
        r->alias_count++;
        r->upstream = (uint32_t)b->list_count;
    }
}

void draft_add_upstream(struct draft *b, uint32_t text)
{
    if (add_to_list(b, text))
        b->records[b->record_count - 1].upstream_count++;
}

void draft_begin_affected(struct draft *b, struct str ecosystem, struct str name)
{
    struct draft_affected *affected = b->failed ? NULL
                                                : grow(b, b->affected, b->affected_count,
                                                       &b->affected_capacity, sizeof *affected);

    if (!affected)
        return;
    b->affected = affected;
    affected[b->affected_count++] = (struct draft_affected){
        .ecosystem = draft_text(b, ecosystem),
        .name = draft_text(b, name),
        .record = (uint32_t)b->record_count - 1,
        .offset = (uint32_t)b->bodies.len,
    };
    b->records[b->record_count - 1].affected_count++;
}

void draft_end_affected(struct draft *b)
{
    if (!b->failed) {
        struct draft_affected *a = &b->affected[b->affected_count - 1];
        a->bytes = (uint32_t)b->bodies.len - a->offset;
    }
}

void draft_end(struct draft *b)
{
    uint32_t *slot;

    if (b->failed || b->strings.failed)
        return;
    /* Twice the records, dead ones too: the table never fills. */
    if (b->record_count * 2 >= b->by_id_count &&
        !rehash(b, &b->by_id, &b->by_id_count, hash_of_record))
        return;
    slot = id_slot(b, text_at(b, b->records[b->record_count - 1].r.id));
    if (*slot)
        b->records[*slot - 1].is_dead = true;
    *slot = (uint32_t)b->record_count;
}

void draft_drop_last(struct draft *b)
{
    struct draft_record *r;

    if (b->failed || b->record_count == 0)
        return;
    r = &b->records[--b->record_count];
    b->list_count = r->aliases;
    if (b->affected_count > r->first_affected)
        buf_truncate(&b->bodies, b->affected[r->first_affected].offset);
    b->affected_count = r->first_affected;
}

struct loading {
    struct draft *draft;
    const struct advisory_db *db;
};

static uint32_t load_text(uint32_t text, void *ctx)
{
    struct loading *l = ctx;

    return draft_text(l->draft, str_of(db_text(l->db, text)));
}

/* Postings are by package, the draft wants them by record: first counted, then placed. */
struct placed {
    const struct db_package *package;
    struct reader body;
};

static int place_postings(const struct advisory_db *db, uint32_t *starts, struct placed *placed,
                          bool is_counting)
{
    for (uint32_t i = 0; i < db->package_count; i++) {
        const struct db_package *p = &db->packages[i];
        struct reader all = {.at = db->postings, .end = db->postings + db->postings_bytes}, r;
        if (!reader_part(&all, p->offset, &r) || !reader_part(&all, p->bytes, &r))
            return -1;
        while (r.at < r.end) {
            uint64_t record = reader_number(&r);
            struct reader body;
            if (!reader_part(&r, reader_number(&r), &body) || record >= db->record_count)
                return -1;
            if (is_counting)
                starts[record]++;
            else
                placed[starts[record]++] = (struct placed){p, body};
        }
    }
    return 0;
}

static int load_record(struct loading *l, uint32_t index, const struct placed *placed, size_t count)
{
    struct db_record r = l->db->records[index];
    const uint32_t *aliases, *upstream;
    size_t alias_count, upstream_count;

    if (!db_lists(l->db, &r, &aliases, &alias_count, &upstream, &upstream_count))
        return -1;
    r.id = load_text(r.id, l);
    r.summary = load_text(r.summary, l);
    r.vector = load_text(r.vector, l);
    r.list = r.group = 0; /* set anew when writing */
    draft_begin(l->draft, &r);
    for (size_t i = 0; i < alias_count; i++)
        draft_add_alias(l->draft, load_text(aliases[i], l));
    for (size_t i = 0; i < upstream_count; i++)
        draft_add_upstream(l->draft, load_text(upstream[i], l));
    for (size_t i = 0; i < count; i++) {
        struct reader body = placed[i].body;
        draft_begin_affected(l->draft, str_of(db_text(l->db, placed[i].package->ecosystem)),
                             str_of(db_text(l->db, placed[i].package->name)));
        if (!body_translate(&body, load_text, l, &l->draft->bodies) && !l->draft->bodies.failed)
            return -1;
        draft_end_affected(l->draft);
    }
    draft_end(l->draft);
    return 0;
}

int draft_load(struct draft *b, const struct advisory_db *db, struct error *err)
{
    struct loading l = {b, db};
    uint32_t *starts = calloc((size_t)db->record_count + 1, sizeof *starts);
    struct placed *placed = NULL;
    uint32_t total = 0;
    int rc = -1;

    if (!starts) {
        (void)error_no_memory(err);
        goto out;
    }
    if (place_postings(db, starts, NULL, true) < 0)
        goto damaged;
    for (uint32_t i = 0; i < db->record_count; i++) {
        uint32_t count = starts[i];
        starts[i] = total;
        total += count;
    }
    placed = malloc(((size_t)total + 1) * sizeof *placed);
    if (!placed) {
        (void)error_no_memory(err);
        goto out;
    }
    if (place_postings(db, starts, placed, false) < 0)
        goto damaged;
    for (uint32_t i = 0; i < db->record_count; i++) { /* starts[i] is now the end of record i */
        uint32_t first = i ? starts[i - 1] : 0;
        if (load_record(&l, i, placed + first, starts[i] - first) < 0)
            goto damaged;
    }
    rc = draft_ok(b, err);
    goto out;
damaged:
    (void)error_set(err, ERR_INVALID,
                    "the advisory database is damaged: remove it and import again");
out:
    free(starts);
    free(placed);
    return rc;
}
