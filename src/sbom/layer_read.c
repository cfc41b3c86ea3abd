/* sbom/layer_read.c - streams a layer: bytes → decompressor → hash → tar reader → facts.
 *
 * Two libarchive readers stand behind each other, so that the uncompressed bytes pass through our
 * hands and can be compared with the diff id: facts are kept by diff id, and a layer that lies
 * about its own would otherwise poison what is kept for an honest one. Source: image-spec layer.md.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>

#include "sbom/layer.h"

enum { READ_BLOCK = 64 << 10, NODE_MARK_BYTES = 37, NODE_MARK_KEEP = 80 };

struct reader {
    struct archive *outer; /* decompresses */
    struct archive *inner; /* reads the tar */
    struct sha256 *hash;
    struct layer_facts *facts;
    uint64_t entries;
    bool is_over_limit;
    bool is_broken; /* the decompressor failed */
};

static int archive_error(struct archive *a, struct error *err)
{
    const char *text = archive_error_string(a);

    if (archive_errno(a) == ENOMEM)
        return error_no_memory(err);
    return error_set(err, ERR_INVALID, "%.300s", text ? text : "unreadable archive");
}

/* libarchive's read callback of the inner reader. */
static la_ssize_t give_plain(struct archive *a, void *ctx, const void **ret_block)
{
    struct reader *r = ctx;
    la_int64_t offset;
    size_t size = 0;
    int rc;

    do {
        rc = archive_read_data_block(r->outer, ret_block, &size, &offset);
    } while (rc == ARCHIVE_OK && size == 0);
    if (rc == ARCHIVE_EOF)
        return 0;
    if (rc < ARCHIVE_OK) {
        r->is_broken = true;
        archive_set_error(a, archive_errno(r->outer), "%s",
                          archive_error_string(r->outer) ? archive_error_string(r->outer)
                                                         : "cannot decompress");
        return -1;
    }
    r->facts->bytes += size;
    if (r->facts->bytes > LAYER_BYTES_LIMIT) {
        r->is_over_limit = true;
        archive_set_error(a, EFBIG, "the layer unpacks to more than it may");
        return -1;
    }
    sha256_add(r->hash, *ret_block, size);
    return (la_ssize_t)size;
}

static int open_readers(struct reader *r, int fd, struct error *err)
{
    struct archive_entry *entry;
    int rc;

    r->outer = archive_read_new();
    r->inner = archive_read_new();
    r->hash = sha256_new();
    if (!r->outer || !r->inner || !r->hash)
        return error_no_memory(err);
    /* By name, never "all": that one would start programs for formats it cannot read itself. */
    if (archive_read_support_filter_gzip(r->outer) < ARCHIVE_OK ||
        archive_read_support_filter_zstd(r->outer) < ARCHIVE_OK ||
        archive_read_support_filter_xz(r->outer) < ARCHIVE_OK ||
        archive_read_support_filter_bzip2(r->outer) < ARCHIVE_OK ||
        archive_read_support_format_raw(r->outer) < ARCHIVE_OK ||
        archive_read_support_format_empty(r->outer) < ARCHIVE_OK ||
        archive_read_open_fd(r->outer, fd, READ_BLOCK) < ARCHIVE_OK)
        return archive_error(r->outer, err);
    rc = archive_read_next_header(r->outer, &entry);
    if (rc == ARCHIVE_EOF)
        return error_set(err, ERR_INVALID, "expected a tar archive, found an empty file");
    if (rc < ARCHIVE_WARN)
        return archive_error(r->outer, err);
    if (archive_read_support_format_tar(r->inner) < ARCHIVE_OK ||
        archive_read_open(r->inner, r, NULL, give_plain, NULL) < ARCHIVE_OK)
        return archive_error(r->inner, err);
    return 0;
}

static void close_readers(struct reader *r)
{
    if (r->inner)
        (void)archive_read_free(r->inner); /* reading: nothing is lost */
    if (r->outer)
        (void)archive_read_free(r->outer);
    sha256_free(r->hash);
}
DEFINE_CLEANUP_VALUE(readers, struct reader, close_readers)

/* "./a//b/" → "a/b" in `out`. False for what leads out or is too long: nothing of ours is there. */
static bool normalise(const char *path, char out[LAYER_PATH_LIMIT], struct str *ret)
{
    struct str rest = str_of(path);
    size_t len = 0;

    while (rest.ptr && rest.len) {
        struct str part = str_cut(&rest, '/');
        if (part.len == 0 || str_is(part, "."))
            continue;
        if (str_is(part, "..") || len + part.len + 2 > LAYER_PATH_LIMIT)
            return false;
        if (len)
            out[len++] = '/';
        memcpy(out + len, part.ptr, part.len);
        len += part.len;
    }
    out[len] = '\0';
    *ret = str_slice(out, len);
    return true;
}

static int add_solid(struct layer_facts *facts, struct str path, struct error *err)
{
    if (facts->solid_count == facts->solid_capacity) {
        size_t capacity = facts->solid_capacity ? facts->solid_capacity * 2 : 1024;
        uint64_t *solid = reallocarray(facts->solid, capacity, sizeof *solid);
        if (!solid)
            return error_no_memory(err);
        facts->solid = solid;
        facts->solid_capacity = capacity;
    }
    facts->solid[facts->solid_count++] = facts_hash(path);
    return 0;
}

/* image-spec layer.md, "Whiteouts" and "Opaque Whiteout". True if it was one. */
static bool take_whiteout(struct layer_facts *facts, struct str path)
{
    ptrdiff_t slash = str_find_last(path, '/');
    struct str folder = slash < 0 ? STR("") : str_first(path, (size_t)slash);
    struct str name = slash < 0 ? path : str_skip(path, (size_t)slash + 1);

    if (!str_starts(name, STR(".wh.")))
        return false;
    if (str_is(name, ".wh..wh..opq")) {
        strv_add_str(&facts->opaques, folder);
    } else if (!str_starts(name, STR(".wh..wh."))) {
        name = str_skip(name, 4);
        strv_addf(&facts->whiteouts, "%.*s%s%.*s", STR_ARG(folder), folder.len ? "/" : "",
                  STR_ARG(name));
    }
    return true;
}

static int read_body(struct reader *r, size_t limit, struct buf *out, struct error *err)
{
    const void *block;
    size_t size;
    la_int64_t offset;
    int rc;

    while ((rc = archive_read_data_block(r->inner, &block, &size, &offset)) == ARCHIVE_OK) {
        /* A sparse file would have holes; evidence has none, and filling them is how a bomb works.
         */
        if ((uint64_t)offset != out->len || size > limit - out->len)
            return error_set(err, ERR_INVALID, "larger than %zu bytes, or sparse", limit);
        buf_add(out, block, size);
    }
    if (rc < ARCHIVE_WARN && rc != ARCHIVE_EOF)
        return archive_error(r->inner, err);
    return buf_ok(out, err);
}

/* The program "node" holds the address its headers come from:
 * "https://nodejs.org/download/release/vX.Y.Z/". */
static int search_node(struct reader *r, struct buf *out, struct error *err)
{
    static const char mark[] = "https://nodejs.org/download/release/v";
    CLEANUP(buf) struct buf window = BUF_INIT(16 << 20);
    const void *block;
    size_t size;
    la_int64_t offset;
    int rc;

    while ((rc = archive_read_data_block(r->inner, &block, &size, &offset)) == ARCHIVE_OK) {
        const char *at;
        buf_add(&window, block, size);
        if (buf_ok(&window, err) < 0)
            return -1;
        at = memmem(window.ptr, window.len, mark, NODE_MARK_BYTES);
        if (at && at - window.ptr + NODE_MARK_KEEP <= (ptrdiff_t)window.len) {
            buf_add(out, at, NODE_MARK_KEEP);
            return buf_ok(out, err);
        }
        if (window.len > NODE_MARK_KEEP)
            buf_drop(&window, window.len - NODE_MARK_KEEP);
    }
    if (rc < ARCHIVE_WARN && rc != ARCHIVE_EOF)
        return archive_error(r->inner, err);
    return 0;
}

static int take_evidence(struct reader *r, enum evidence_kind kind, struct str path, size_t limit,
                         struct error *err)
{
    CLEANUP(buf) struct buf body = BUF_INIT(limit + 1);
    struct error why = ERROR_INIT;
    int rc = kind == EVIDENCE_NODE && str_ends(path, STR("bin/node"))
                 ? search_node(r, &body, &why)
                 : read_body(r, limit, &body, &why);

    if (r->is_over_limit || r->is_broken)
        return 0; /* the next header fails with the reason */
    if (rc < 0 && why.kind == ERR_INVALID)
        return layer_facts_add_fault(r->facts, kind, path, why.text, err);
    if (rc < 0)
        return *err = why, -1;
    if (kind == EVIDENCE_NODE && body.len == 0)
        return 0; /* another program that is called node */
    return layer_facts_add(r->facts, kind, path, buf_str(&body), err);
}

static int take_entry(struct reader *r, struct archive_entry *entry, struct error *err)
{
    char space[LAYER_PATH_LIMIT];
    const char *raw = archive_entry_pathname(entry);
    int64_t size = archive_entry_size(entry);
    enum evidence_kind kind;
    struct str path;
    size_t limit;

    if (++r->entries > LAYER_ENTRIES_LIMIT)
        return error_set(err, ERR_LIMIT, "more than %d entries", LAYER_ENTRIES_LIMIT);
    if (!raw)
        raw = archive_entry_pathname_utf8(entry);
    if (!raw || !normalise(raw, space, &path) || path.len == 0)
        return 0;
    if (take_whiteout(r->facts, path))
        return strv_ok(&r->facts->whiteouts, err) < 0 ? -1 : strv_ok(&r->facts->opaques, err);
    if (archive_entry_filetype(entry) == AE_IFDIR)
        return 0;
    if (add_solid(r->facts, path, err) < 0)
        return -1;
    if (archive_entry_filetype(entry) != AE_IFREG || size < 0)
        return 0;
    kind = evidence_kind_of(path, (uint64_t)size, &limit);
    if (kind == EVIDENCE_NONE)
        return 0;
    if (archive_entry_hardlink(
            entry)) /* its bytes stood elsewhere in the stream, under another name */
        return layer_facts_add_fault(r->facts, kind, path, "a hard link, which is not followed",
                                     err);
    return take_evidence(r, kind, path, limit, err);
}

static int read_entries(struct reader *r, struct error *err)
{
    struct archive_entry *entry;
    int rc;

    while ((rc = archive_read_next_header(r->inner, &entry)) != ARCHIVE_EOF) {
        if (r->is_over_limit)
            return error_set(err, ERR_LIMIT, "unpacks to more than %llu bytes",
                             (unsigned long long)LAYER_BYTES_LIMIT);
        if (rc == ARCHIVE_RETRY)
            continue;
        if (rc < ARCHIVE_WARN)
            return archive_error(r->inner, err);
        if (take_entry(r, entry, err) < 0)
            return -1;
    }
    return 0;
}

int layer_facts_read(int fd, const struct digest *diff_id, struct layer_facts *ret,
                     struct error *err)
{
    CLEANUP(layer_facts) struct layer_facts facts = LAYER_FACTS_INIT;
    CLEANUP(readers) struct reader r = {.facts = &facts};
    const void *block;
    la_ssize_t rest;

    if (open_readers(&r, fd, err) < 0 || read_entries(&r, err) < 0)
        return -1;
    while ((rest = give_plain(r.inner, &r, &block)) >
           0) /* padding after the end belongs to the hash */
        continue;
    if (rest < 0)
        return r.is_over_limit ? error_set(err, ERR_LIMIT, "unpacks to too many bytes")
                               : archive_error(r.inner, err);
    if (diff_id->text[0]) {
        struct digest got = sha256_end_digest(r.hash);
        if (!digest_equal(&got, diff_id))
            return error_set(err, ERR_UNTRUSTED, "expected uncompressed bytes of %s, found %s",
                             diff_id->text, got.text);
    }
    layer_facts_sort(&facts);
    *ret = facts;
    facts = (struct layer_facts)LAYER_FACTS_INIT; /* handed over */
    return 0;
}
