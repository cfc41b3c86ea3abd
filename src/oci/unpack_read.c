/* oci/unpack_read.c - the entries of a layer, by libarchive; see unpack.h. */
#include "oci/unpack_internal.h"

#include <errno.h>
#include <limits.h>

static la_ssize_t on_read(struct archive *archive, void *ctx, const void **ret_bytes)
{
    struct unpack_reader *reader = ctx;
    size_t len;

    if (unpack_source_next(reader->source, ret_bytes, &len, reader->failed) < 0) {
        archive_set_error(archive, EIO, "%s", reader->failed->text);
        return ARCHIVE_FATAL;
    }
    return (la_ssize_t)len;
}

int unpack_reader_open(struct unpack_reader *reader, struct unpack_source *source,
                       struct error *err)
{
    reader->source = source;
    reader->failed = err;
    reader->archive = archive_read_new();
    if (!reader->archive)
        return error_no_memory(err);
    if (archive_read_support_format_tar(reader->archive) != ARCHIVE_OK ||
        archive_read_support_format_empty(reader->archive) != ARCHIVE_OK ||
        archive_read_open2(reader->archive, reader, NULL, on_read, NULL, NULL) != ARCHIVE_OK) {
        if (err->kind != ERR_NONE)
            return -1;
        return error_set(err, ERR_INVALID, "no tar archive: %s",
                         archive_error_string(reader->archive));
    }
    return 0;
}

int unpack_reader_next(struct unpack_reader *reader, struct archive_entry **ret_entry,
                       struct error *err)
{
    int code;

    reader->failed = err;
    do
        code = archive_read_next_header(reader->archive, ret_entry);
    while (code == ARCHIVE_RETRY);
    if (code == ARCHIVE_EOF)
        return 0;
    /* A warning is a name that does not fit the locale; its bytes are there all the same. */
    if (code == ARCHIVE_OK || code == ARCHIVE_WARN)
        return 1;
    if (err->kind != ERR_NONE)
        return -1;
    const char *text = archive_error_string(reader->archive);
    return error_set(err, ERR_INVALID, "damaged tar archive: %s", text ? text : "unknown reason");
}

void unpack_reader_done(struct unpack_reader *reader)
{
    archive_read_free(reader->archive);
    reader->archive = NULL;
}

int unpack_clean_path(const char *path, char *out, struct error *err)
{
    struct str rest = str_of(path ? path : "");
    size_t len = 0;

    if (!path)
        return error_set(err, ERR_INVALID, "an entry without a name");
    while (rest.ptr) {
        struct str part = str_cut(&rest, '/');
        if (part.len == 0 || str_is(part, "."))
            continue;
        if (str_is(part, ".."))
            return error_set(err, ERR_INVALID, "'..' in the path '%.200s'", path);
        if (part.len > NAME_MAX || len + part.len + 2 > PATH_MAX)
            return error_set(err, ERR_LIMIT, "the path '%.100s…' is too long", path);
        if (len > 0)
            out[len++] = '/';
        memcpy(out + len, part.ptr, part.len);
        len += part.len;
    }
    out[len] = '\0';
    return 0;
}

int unpack_read(struct unpack_reader *reader, struct buf *out, struct error *err)
{
    const void *bytes;
    size_t len;
    la_int64_t offset;
    size_t start = out->len;
    int code;

    reader->failed = err;
    while ((code = archive_read_data_block(reader->archive, &bytes, &len, &offset)) == ARCHIVE_OK) {
        if ((uint64_t)offset + len > out->limit - start)
            return error_set(err, ERR_LIMIT, "a file of more than %zu bytes", out->limit - start);
        while (out->len - start < (size_t)offset && !out->failed) /* a hole */
            buf_add_char(out, '\0');
        buf_add(out, bytes, len);
    }
    if (code == ARCHIVE_EOF)
        return buf_ok(out, err);
    if (err->kind != ERR_NONE)
        return -1;
    return error_set(err, ERR_INVALID, "damaged tar archive: %s",
                     archive_error_string(reader->archive));
}

static int give(struct unpack_reader *reader, struct archive_entry *entry, unpack_entry_fn *fn,
                void *ctx, struct error *err)
{
    const char *hard = archive_entry_hardlink(entry);
    char path[PATH_MAX];
    la_int64_t size = archive_entry_size(entry);

    if (unpack_clean_path(archive_entry_pathname(entry), path, err) < 0)
        return -1;
    struct unpack_entry out = {
        .path = path,
        .link = hard ? hard : archive_entry_symlink(entry),
        .mode = hard ? S_IFREG | archive_entry_perm(entry) : archive_entry_mode(entry),
        .size = size > 0 ? (uint64_t)size : 0,
        .hard_link = hard != NULL,
    };
    return fn(reader, &out, ctx, err);
}

int unpack_each(const struct layout *layout, const struct descriptor *blob, unpack_entry_fn *fn,
                void *ctx, struct error *err)
{
    CLEANUP(unpack_reader) struct unpack_reader reader = {0};
    CLEANUP(unpack_source) struct unpack_source *source = NULL;
    CLEANUP(fd) int fd = -1;
    struct archive_entry *entry;
    struct digest got, diff_id;
    int more;

    if (layout_open_blob(layout, &blob->digest, &fd, NULL, err) < 0 ||
        unpack_source_new(fd, &source, err) < 0 || unpack_reader_open(&reader, source, err) < 0)
        return -1;
    while ((more = unpack_reader_next(&reader, &entry, err)) > 0) {
        int result = give(&reader, entry, fn, ctx, err);
        if (result < 0)
            return error_wrap(err, "layer %s", blob->digest.text);
        if (result > 0)
            return 0;
    }
    if (more < 0 || unpack_source_finish(source, &got, &diff_id, err) < 0)
        return error_wrap(err, "layer %s", blob->digest.text);
    if (!digest_equal(&got, &blob->digest))
        return error_set(err, ERR_UNTRUSTED, "layer %s is damaged: its bytes are %s",
                         blob->digest.text, got.text);
    return 0;
}

struct wanted {
    const char *path;
    struct buf *out;
    bool found;
};

static int take_if_wanted(struct unpack_reader *reader, const struct unpack_entry *entry, void *ctx,
                          struct error *err)
{
    struct wanted *wanted = ctx;

    if (strcmp(entry->path, wanted->path) != 0 || !S_ISREG(entry->mode) || entry->hard_link)
        return 0;
    wanted->found = true;
    return unpack_read(reader, wanted->out, err);
}

int unpack_file(const struct layout *layout, const struct descriptor *blob, const char *path,
                struct buf *out, struct error *err)
{
    char clean[PATH_MAX];
    struct wanted wanted = {.path = clean, .out = out};

    if (unpack_clean_path(path, clean, err) < 0 ||
        unpack_each(layout, blob, take_if_wanted, &wanted, err) < 0)
        return -1;
    if (!wanted.found)
        return error_set(err, ERR_NOT_FOUND, "no file '%s' in layer %s", path, blob->digest.text);
    return 0;
}
