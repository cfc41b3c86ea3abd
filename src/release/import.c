/* release/import.c - a release out of one file. Every blob is checked against its name as it comes
 * in, and the release against the keys, before a tag moves; what is refused leaves at most blobs
 * that nothing names. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>

#include "base/fs.h"
#include "oci/image.h"
#include "release/release_internal.h"

enum {
    CHUNK = 1 << 20,
    INDEX_MAX = 1 << 20,     /* bytes of index.json */
    INDEX_ENTRIES_MAX = 256, /* manifests of one release: 12 as a rule */
    MEMBERS_MAX = 10000,     /* files of an archive */
};
#define IMPORT_BYTES_MAX (32ULL << 30) /* bytes of all blobs together */

struct unpacking {
    struct layout *layout;
    struct archive *archive;
    struct buf index; /* index.json */
    uint64_t bytes;
};

static void unpacking_done(struct unpacking *u)
{
    buf_done(&u->index);
    if (u->archive)
        (void)archive_read_free(u->archive); /* read only */
}
DEFINE_CLEANUP_VALUE(unpacking, struct unpacking, unpacking_done)

/* The member's bytes, in parts, to `take`. */
static int each_part(struct unpacking *u,
                     int (*take)(void *ctx, struct str part, struct error *err), void *ctx,
                     struct error *err)
{
    for (;;) {
        const void *bytes;
        size_t len;
        la_int64_t offset;
        int code = archive_read_data_block(u->archive, &bytes, &len, &offset);
        if (code == ARCHIVE_EOF)
            return 0;
        if (code != ARCHIVE_OK)
            return error_set(err, ERR_INVALID, "the archive is broken: %s",
                             archive_error_string(u->archive));
        u->bytes += len;
        if (u->bytes > IMPORT_BYTES_MAX)
            return error_set(err, ERR_LIMIT, "the archive holds more than %llu GiB",
                             IMPORT_BYTES_MAX >> 30);
        if (take(ctx, str_slice(bytes, len), err) < 0)
            return -1;
    }
}

static int take_index(void *ctx, struct str part, struct error *err)
{
    struct buf *index = ctx;

    buf_add_str(index, part);
    return buf_ok(index, err);
}

static int take_blob(void *ctx, struct str part, struct error *err)
{
    return layout_writer_add(ctx, part, err);
}

static int import_blob(struct unpacking *u, struct str hex, struct error *err)
{
    CLEANUP(layout_writer) struct layout_writer *writer = NULL;
    CLEANUP(text) char *text = str_format("sha256:%.*s", STR_ARG(hex));
    struct digest want, got;

    if (!text)
        return error_no_memory(err);
    if (!digest_parse(str_of(text), &want))
        return error_set(err, ERR_INVALID, "the archive has a member 'blobs/sha256/%.*s'",
                         STR_ARG(hex));
    if (layout_writer_new(u->layout, &writer, err) < 0 ||
        each_part(u, take_blob, writer, err) < 0 ||
        layout_writer_commit(writer, &want, &got, err) < 0)
        return error_wrap(err, "blob %s", want.text);
    return 0;
}

static int import_member(struct unpacking *u, struct archive_entry *entry, struct error *err)
{
    struct str name = str_of(archive_entry_pathname(entry));

    if (str_starts(name, STR("./")))
        name = str_skip(name, 2);
    if (archive_entry_filetype(entry) == AE_IFDIR || str_is(name, "oci-layout"))
        return 0;
    if (archive_entry_filetype(entry) != AE_IFREG || !name.ptr)
        return error_set(err, ERR_INVALID, "the archive holds '%.*s', which is no file",
                         STR_ARG(name));
    if (str_is(name, "index.json"))
        return each_part(u, take_index, &u->index, err);
    if (str_starts(name, STR("blobs/sha256/")))
        return import_blob(u, str_skip(name, strlen("blobs/sha256/")), err);
    return error_set(err, ERR_INVALID, "the archive holds '%.*s', which no OCI layout has",
                     STR_ARG(name));
}

static int import_members(struct unpacking *u, int fd, struct error *err)
{
    struct archive_entry *entry;

    u->archive = archive_read_new();
    if (!u->archive)
        return error_no_memory(err);
    if (archive_read_support_format_tar(u->archive) != ARCHIVE_OK ||
        archive_read_open_fd(u->archive, fd, CHUNK) != ARCHIVE_OK)
        return error_set(err, ERR_INVALID, "no archive: %s", archive_error_string(u->archive));
    for (int i = 0; i < MEMBERS_MAX; i++) {
        int code = archive_read_next_header(u->archive, &entry);
        if (code == ARCHIVE_EOF)
            return 0;
        if (code != ARCHIVE_OK)
            return error_set(err, ERR_INVALID, "the archive is broken: %s",
                             archive_error_string(u->archive));
        if (import_member(u, entry, err) < 0)
            return -1;
    }
    return error_set(err, ERR_LIMIT, "the archive holds more than %d files", MEMBERS_MAX);
}

/* What of the index is the release: the manifest that is named "apps/NAME:release-N". */
static int find_release(const json_t *manifests, char workload[64], struct digest *ret,
                        struct error *err)
{
    size_t i;
    json_t *item;

    json_array_foreach((json_t *)manifests, i, item)
    {
        const char *name =
            json_string_value(json_object_get(json_object_get(item, "annotations"), REF_NAME));
        struct str tag = str_of(name);
        struct str repository = str_cut(&tag, ':');
        const char *digest = json_str_at(item, "digest");
        if (!str_starts(repository, STR("apps/")) || !str_starts(tag, STR("release-")) || !digest ||
            !digest_parse(str_of(digest), ret) || repository.len - 5 >= 64)
            continue;
        (void)snprintf(workload, 64, "%.*s", STR_ARG(str_skip(repository, 5)));
        return 0;
    }
    return error_set(err, ERR_INVALID, "the archive names no release");
}

/* The manifests are blobs so far; noted as such they are found as referrers, and by their tags. */
static int import_manifest(struct layout *layout, const json_t *item, const char *repository,
                           struct error *err)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(LAYOUT_MANIFEST_MAX);
    struct descriptor d, stored;
    const char *name =
        json_string_value(json_object_get(json_object_get(item, "annotations"), REF_NAME));

    if (descriptor_from_json(item, &d, err) < 0 ||
        layout_read(layout, &d.digest, &bytes, err) < 0 ||
        layout_put_manifest(layout, NULL, buf_str(&bytes), &stored, err) < 0)
        return -1;
    struct str tag = str_of(name);
    struct str in = name ? str_cut(&tag, ':') : STR_NONE;
    /* Only cosign's tags: the release's own are set when it has been verified as a whole. */
    if (!str_is(in, repository) || !str_starts(tag, STR("sha256-")))
        return 0;
    return layout_tag(layout, repository, tag.ptr, &stored, err);
}

static int import_manifests(struct layout *layout, const json_t *manifests, const char *repository,
                            struct error *err)
{
    size_t i;
    json_t *item;

    json_array_foreach((json_t *)manifests, i, item)
    {
        if (import_manifest(layout, item, repository, err) < 0)
            return -1;
    }
    return 0;
}

/* The tag `release` never goes back: an older archive only adds its own release-N. */
static int tag_release(struct layout *layout, const char *repository, const struct release *release,
                       struct error *err)
{
    CLEANUP(text)
    char *own = str_format("release-%llu", (unsigned long long)release->sequence);
    struct descriptor manifest;
    struct release newest;
    size_t count = 1;

    if (!own)
        return error_no_memory(err);
    if (layout_read_manifest(layout, &release->digest, NULL, NULL, &manifest, err) < 0)
        return -1;
    if (release_peek_at(layout, repository, RELEASE_TAG, &newest, err) < 0)
        count = 2; /* the first of this workload; err is filled again or not looked at */
    else if (newest.sequence <= release->sequence)
        count = 2;
    const struct layout_tag_set tags[] = {{repository, own, manifest},
                                          {repository, RELEASE_TAG, manifest}};
    return layout_tag_all(layout, tags, count, err);
}

static int import_release(struct unpacking *u, const struct trust *trust, struct release *ret,
                          struct error *err)
{
    CLEANUP(json) json_t *root = NULL;
    CLEANUP(release_content) struct release_content content = RELEASE_CONTENT_INIT;
    char workload[64], repository[RELEASE_NAME_SIZE];
    struct digest digest;

    if (json_parse("index.json", buf_str(&u->index), &root, err) < 0)
        return -1;
    const json_t *manifests = json_object_get(root, "manifests");
    if (json_array_size(manifests) > INDEX_ENTRIES_MAX)
        return error_set(err, ERR_LIMIT, "index.json lists more than %d manifests",
                         INDEX_ENTRIES_MAX);
    if (find_release(manifests, workload, &digest, err) < 0)
        return -1;
    const struct release_rules rules = {.workload = workload};
    release_repository(workload, repository);
    if (release_verify(u->layout, digest.text, trust, &rules, &content, err) < 0 ||
        import_manifests(u->layout, manifests, repository, err) < 0 ||
        tag_release(u->layout, repository, &content.release, err) < 0)
        return -1;
    *ret = content.release;
    return 0;
}

int release_import(struct layout *layout, const char *path, const struct trust *trust,
                   struct release *ret, struct error *err)
{
    CLEANUP(unpacking) struct unpacking u = {.layout = layout, .index = BUF_INIT(INDEX_MAX)};
    CLEANUP(fd) int fd = -1;

    if (fs_open_read(AT_FDCWD, path, &fd, err) < 0)
        return error_wrap(err, "importing a release");
    if (import_members(&u, fd, err) < 0 || import_release(&u, trust, ret, err) < 0)
        return error_wrap(err, "importing '%s'", path);
    return 0;
}
