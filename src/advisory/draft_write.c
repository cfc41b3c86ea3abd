/* advisory/draft_write.c - the canonical file of a draft: records by id, packages by hash, texts in
 * the order of their first use, so that the same records give the same bytes however they came
 * together. */
#include <fcntl.h>

#include "advisory/draft.h"
#include "base/fs.h"

struct writing {
    struct draft *b;
    uint32_t *order;    /* owned: live records, by id */
    uint32_t *position; /* owned: record → its place in the file */
    uint32_t count;
    uint32_t *affected; /* owned: affected of live records, sorted */
    uint32_t affected_count;
    uint32_t *groups;        /* owned: union-find over places */
    uint32_t *keys, *values; /* owned: hash table, text of the draft + 1 → text of the file */
    size_t slot_count;
    struct buf sections[DB_SECTIONS];
};

static void writing_done(struct writing *w)
{
    free(w->order);
    free(w->position);
    free(w->affected);
    free(w->groups);
    free(w->keys);
    free(w->values);
    for (size_t i = 0; i < DB_SECTIONS; i++)
        buf_done(&w->sections[i]);
}
DEFINE_CLEANUP_VALUE(writing, struct writing, writing_done)

static const char *text(const struct draft *b, uint32_t offset)
{
    return b->strings.ptr + offset;
}

static int by_id(const void *a, const void *c, void *ctx)
{
    const struct draft *b = ctx;

    return strcmp(text(b, b->records[*(const uint32_t *)a].r.id),
                  text(b, b->records[*(const uint32_t *)c].r.id));
}

static int writing_init(struct writing *w, struct draft *b, struct error *err)
{
    size_t slots = 1024;

    w->b = b;
    while (slots < b->text_count * 2 + 2)
        slots *= 2;
    w->slot_count = slots;
    w->order = malloc((b->record_count + 1) * sizeof *w->order);
    w->position = malloc((b->record_count + 1) * sizeof *w->position);
    w->affected = malloc((b->affected_count + 1) * sizeof *w->affected);
    w->groups = malloc((b->record_count + 1) * sizeof *w->groups);
    w->keys = calloc(slots, sizeof *w->keys);
    w->values = calloc(slots, sizeof *w->values);
    for (size_t i = 0; i < DB_SECTIONS; i++)
        w->sections[i] = (struct buf)BUF_INIT(DB_BYTES_MAX);
    if (!w->order || !w->position || !w->affected || !w->groups || !w->keys || !w->values)
        return error_no_memory(err);
    for (size_t i = 0; i < b->record_count; i++) {
        if (!b->records[i].is_dead)
            w->order[w->count++] = (uint32_t)i;
    }
    qsort_r(w->order, w->count, sizeof *w->order, by_id, b);
    for (uint32_t i = 0; i < w->count; i++) {
        w->position[w->order[i]] = i;
        w->groups[i] = i;
    }
    return 0;
}

/* The text's offset in the file; written at its first use. */
static uint32_t place(struct writing *w, uint32_t offset)
{
    struct buf *out = &w->sections[DB_STRINGS];
    size_t at = (offset * 0x9e3779b1u) & (w->slot_count - 1);

    if (out->len == 0)
        buf_add_char(out, '\0');
    if (offset == 0)
        return 0;
    while (w->keys[at] && w->keys[at] != offset + 1)
        at = (at + 1) & (w->slot_count - 1);
    if (!w->keys[at]) {
        const char *s = text(w->b, offset);
        w->keys[at] = offset + 1;
        w->values[at] = (uint32_t)out->len;
        buf_add(out, s, strlen(s) + 1);
    }
    return w->values[at];
}

static uint32_t place_ctx(uint32_t offset, void *ctx)
{
    return place(ctx, offset);
}

static int by_package(const void *a, const void *c, void *ctx)
{
    const struct writing *w = ctx;
    const struct draft_affected *x = &w->b->affected[*(const uint32_t *)a];
    const struct draft_affected *y = &w->b->affected[*(const uint32_t *)c];
    int order = 0;

    if (x->ecosystem != y->ecosystem)
        order = strcmp(text(w->b, x->ecosystem), text(w->b, y->ecosystem));
    if (order == 0 && x->name != y->name)
        order = strcmp(text(w->b, x->name), text(w->b, y->name));
    if (order == 0)
        order = (w->position[x->record] > w->position[y->record]) -
                (w->position[x->record] < w->position[y->record]);
    return order ? order : (x->offset > y->offset) - (x->offset < y->offset);
}

static bool is_same_package(const struct draft_affected *x, const struct draft_affected *y)
{
    return x->ecosystem == y->ecosystem && x->name == y->name;
}

static int write_posting(struct writing *w, const struct draft_affected *a, struct buf *body,
                         struct error *err)
{
    struct buf *out = &w->sections[DB_POSTINGS];
    const uint8_t *bytes = (const uint8_t *)w->b->bodies.ptr + a->offset;
    struct reader r = {.at = bytes, .end = bytes + a->bytes};

    buf_clear(body);
    if (!body_translate(&r, place_ctx, w, body))
        return body->failed ? buf_ok(body, err)
                            : error_set(err, ERR_INTERNAL, "a body that does not read back");
    body_add_number(out, w->position[a->record]);
    body_add_number(out, body->len);
    buf_add(out, body->ptr, body->len);
    return 0;
}

/* All postings, and the packages and ecosystems that come of them. */
static int write_packages(struct writing *w, struct error *err)
{
    CLEANUP(buf) struct buf body = BUF_INIT(DB_BYTES_MAX);
    const struct draft *b = w->b;

    for (size_t i = 0; i < b->record_count; i++) {
        const struct draft_record *r = &b->records[i];
        for (uint32_t k = 0; !r->is_dead && k < r->affected_count; k++)
            w->affected[w->affected_count++] = r->first_affected + k;
    }
    qsort_r(w->affected, w->affected_count, sizeof *w->affected, by_package, w);
    for (uint32_t i = 0; i < w->affected_count;) {
        const struct draft_affected *first = &b->affected[w->affected[i]];
        struct db_package p = {
            .hash = package_hash(text(b, first->ecosystem), text(b, first->name)),
            .ecosystem = place(w, first->ecosystem),
            .name = place(w, first->name),
            .offset = (uint32_t)w->sections[DB_POSTINGS].len,
        };
        for (; i < w->affected_count && is_same_package(first, &b->affected[w->affected[i]]); i++) {
            if (write_posting(w, &b->affected[w->affected[i]], &body, err) < 0)
                return -1;
        }
        p.bytes = (uint32_t)w->sections[DB_POSTINGS].len - p.offset;
        buf_add(&w->sections[DB_PACKAGES], &p, sizeof p);
    }
    return buf_ok(&w->sections[DB_POSTINGS], err);
}

static int by_number(const void *a, const void *c)
{
    const uint32_t *x = a;
    const uint32_t *y = c;

    return (*x > *y) - (*x < *y);
}

/* Packages are still sorted by ecosystem here. A record counts once in each of its ecosystems. */
static int write_ecosystems(struct writing *w, struct error *err)
{
    const struct draft *b = w->b;

    for (uint32_t i = 0; i < w->affected_count;) {
        uint32_t ecosystem = b->affected[w->affected[i]].ecosystem;
        struct db_ecosystem e = {.name = place(w, ecosystem)};
        uint32_t *records = malloc(w->affected_count * sizeof *records + 1);
        uint32_t start = i;
        if (!records)
            return error_no_memory(err);
        for (; i < w->affected_count && b->affected[w->affected[i]].ecosystem == ecosystem; i++) {
            records[i - start] = b->affected[w->affected[i]].record;
            e.packages += i == start || !is_same_package(&b->affected[w->affected[i - 1]],
                                                         &b->affected[w->affected[i]]);
        }
        qsort(records, i - start, sizeof *records, by_number);
        for (uint32_t k = 0; k < i - start; k++)
            e.records += k == 0 || records[k] != records[k - 1];
        free(records);
        buf_add(&w->sections[DB_ECOSYSTEMS], &e, sizeof e);
    }
    return 0;
}

static int by_hash(const void *a, const void *c)
{
    const struct db_package *x = a;
    const struct db_package *y = c;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static uint32_t root_of(struct writing *w, uint32_t i)
{
    while (w->groups[i] != i) {
        w->groups[i] = w->groups[w->groups[i]];
        i = w->groups[i];
    }
    return i;
}

static void join(struct writing *w, uint32_t a, uint32_t b)
{
    a = root_of(w, a);
    b = root_of(w, b);
    if (a < b) /* the least one is the root, so that the result does not depend on the order */
        w->groups[b] = a;
    else
        w->groups[a] = b;
}

static int by_name(const void *a, const void *c, void *ctx)
{
    const struct writing *w = ctx;
    const struct db_name *x = a;
    const struct db_name *y = c;
    int order = x->text == y->text ? 0 : strcmp(text(w->b, x->text), text(w->b, y->text));

    return order ? order : (x->record > y->record) - (x->record < y->record);
}

/* Ids and aliases; records that share one are the same vulnerability (OSV schema, "aliases":
 * symmetric and transitive). Texts are the draft's until write_records() has placed them. */
static int collect_names(struct writing *w, struct buf *names, struct error *err)
{
    const struct draft *b = w->b;
    struct db_name *items;
    size_t count;

    for (uint32_t i = 0; i < w->count; i++) {
        const struct draft_record *r = &b->records[w->order[i]];
        struct db_name name = {r->r.id, i};
        buf_add(names, &name, sizeof name);
        for (uint32_t k = 0; k < r->alias_count; k++) {
            name.text = b->lists[r->aliases + k];
            buf_add(names, &name, sizeof name);
        }
    }
    if (buf_ok(names, err) < 0)
        return -1;
    items = (struct db_name *)(void *)names->ptr;
    count = names->len / sizeof *items;
    if (count)
        qsort_r(items, count, sizeof *items, by_name, w);
    for (size_t i = 1; i < count; i++) {
        if (items[i].text == items[i - 1].text)
            join(w, items[i].record, items[i - 1].record);
    }
    for (size_t i = 0; i < count; i++)
        items[i].text = place(w, items[i].text);
    return 0;
}

static void add_list(struct writing *w, uint32_t start, uint32_t count)
{
    struct buf *out = &w->sections[DB_LISTS];

    buf_add(out, &count, sizeof count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = place(w, w->b->lists[start + i]);
        buf_add(out, &at, sizeof at);
    }
}

static int64_t write_records(struct writing *w)
{
    int64_t newest = 0;

    for (uint32_t i = 0; i < w->count; i++) {
        const struct draft_record *from = &w->b->records[w->order[i]];
        struct db_record r = from->r;
        r.id = place(w, r.id);
        r.summary = place(w, r.summary);
        r.vector = place(w, r.vector);
        r.list = (uint32_t)(w->sections[DB_LISTS].len / sizeof(uint32_t));
        r.group = root_of(w, i);
        add_list(w, from->aliases, from->alias_count);
        add_list(w, from->upstream, from->upstream_count);
        buf_add(&w->sections[DB_RECORDS], &r, sizeof r);
        if (r.modified_s > newest)
            newest = r.modified_s;
    }
    return newest;
}

static void add_padding(struct buf *out)
{
    while (out->len % 8)
        buf_add_char(out, '\0');
}

/* Header and sections in one buffer. */
static int assemble(struct writing *w, int64_t imported_s, int64_t newest_s, struct buf *file,
                    struct error *err)
{
    struct db_header header = {
        .magic = DB_MAGIC, .format = DB_FORMAT, .imported_s = imported_s, .newest_s = newest_s};
    char *room = buf_room(file, DB_HEADER_BYTES);

    if (!room)
        return buf_ok(file, err);
    memset(room, 0, DB_HEADER_BYTES);
    buf_grew(file, DB_HEADER_BYTES);
    for (size_t i = 0; i < DB_SECTIONS; i++) {
        header.sections[i] = (struct db_span){file->len, w->sections[i].len};
        if (buf_ok(&w->sections[i], err) < 0)
            return -1;
        buf_add(file, w->sections[i].ptr, w->sections[i].len);
        add_padding(file);
    }
    if (buf_ok(file, err) < 0)
        return -1;
    sha256_of(str_skip(buf_str(file), DB_HEADER_BYTES), header.digest);
    sha256_of(str_slice((const char *)&header, offsetof(struct db_header, header_digest)),
              header.header_digest);
    memcpy(file->ptr, &header, sizeof header);
    return 0;
}

int draft_write(struct draft *b, const char *path, int64_t imported_s, struct error *err)
{
    CLEANUP(writing) struct writing w = {0};
    CLEANUP(buf) struct buf names = BUF_INIT(DB_BYTES_MAX);
    CLEANUP(buf) struct buf file = BUF_INIT(DB_BYTES_MAX);
    struct buf *packages = &w.sections[DB_PACKAGES];
    int64_t newest;

    (void)draft_text(b, STR("")); /* even an empty database has its "" */
    if (draft_ok(b, err) < 0 || writing_init(&w, b, err) < 0)
        return -1;
    (void)place(&w, 0);
    if (write_packages(&w, err) < 0 || write_ecosystems(&w, err) < 0)
        return -1;
    if (buf_ok(packages, err) < 0)
        return -1;
    if (packages->len)
        qsort(packages->ptr, packages->len / sizeof(struct db_package), sizeof(struct db_package),
              by_hash);
    if (collect_names(&w, &names, err) < 0)
        return -1;
    if (names.len)
        buf_add(&w.sections[DB_NAMES], names.ptr, names.len);
    newest = write_records(&w);
    if (assemble(&w, imported_s, newest, &file, err) < 0)
        return -1;
    return fs_write_atomic(AT_FDCWD, path, buf_str(&file), 0644, err);
}
