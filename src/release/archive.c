/* release/archive.c - one release as one file: a tar of an OCI image layout (image-spec,
 * image-layout.md) that any OCI tool reads. On the way in every blob is checked against its name,
 * and the release against the keys, before a tag moves. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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
#define REF_NAME         "org.opencontainers.image.ref.name"
#define LAYOUT_TEXT      "{\"imageLayoutVersion\":\"1.0.0\"}"

/* --- export */

struct packing {
    struct layout *layout;
    const char *repository;
    struct strv digests; /* of all blobs */
    json_t *manifests;   /* owned: index.json's */
};

static void packing_done(struct packing *p)
{
    strv_done(&p->digests);
    json_decref(p->manifests);
}
DEFINE_CLEANUP_VALUE(packing, struct packing, packing_done)

static void pack_blob(struct packing *p, const char *digest)
{
    if (digest && !strv_has(&p->digests, digest))
        strv_add(&p->digests, digest);
}

/* A manifest with its config and layers. `tag` NULL: listed without a name; not listed at all if
 * !is_listed. */
static int pack_manifest(struct packing *p, const struct digest *digest, const char *tag,
                         bool is_listed, struct error *err)
{
    CLEANUP(json) json_t *manifest = NULL;
    struct descriptor d;
    size_t i;
    json_t *layer;

    if (layout_read_manifest(p->layout, digest, &manifest, NULL, &d, err) < 0)
        return -1;
    pack_blob(p, digest->text);
    pack_blob(p, json_str_at(manifest, "config.digest"));
    json_array_foreach(json_object_get(manifest, "layers"), i, layer)
    {
        pack_blob(p, json_str_at(layer, "digest"));
    }
    if (!is_listed)
        return 0;
    json_t *entry = descriptor_to_json(&d);
    CLEANUP(text) char *name = tag ? str_format("%s:%s", p->repository, tag) : NULL;
    if (!entry || (tag && !name) ||
        (name &&
         json_object_set_new(entry, "annotations", json_pack("{s:s}", REF_NAME, name)) < 0)) {
        json_decref(entry);
        return error_no_memory(err);
    }
    return json_array_append_new(p->manifests, entry) < 0 ? error_no_memory(err) : 0;
}

/* A tag that need not be there. */
static int pack_tag(struct packing *p, const char *tag, struct error *err)
{
    struct descriptor d;

    if (layout_resolve(p->layout, p->repository, tag, &d, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    return pack_manifest(p, &d.digest, tag, true, err);
}

static int pack_bundles(struct packing *p, const struct digest *image, struct error *err)
{
    CLEANUP(json) json_t *referrers = NULL;
    size_t i;
    json_t *item;

    if (layout_referrers(p->layout, image, SIGN_BUNDLE_TYPE, &referrers, err) < 0)
        return -1;
    json_array_foreach(referrers, i, item)
    {
        struct descriptor d;
        if (descriptor_from_json(item, &d, err) < 0 ||
            pack_manifest(p, &d.digest, NULL, true, err) < 0)
            return -1;
    }
    return 0;
}

static int pack_release(struct packing *p, const struct release *release, struct error *err)
{
    const char *hex = digest_hex(&release->image.digest);
    CLEANUP(text)
    char *own = str_format("release-%llu", (unsigned long long)release->sequence);
    CLEANUP(text) char *sig = str_format("sha256-%s.sig", hex);
    CLEANUP(text) char *att = str_format("sha256-%s.att", hex);

    if (!own || !sig || !att)
        return error_no_memory(err);
    if (pack_manifest(p, &release->digest, own, true, err) < 0 ||
        pack_manifest(p, &release->image.digest, NULL, true, err) < 0 ||
        pack_manifest(p, &release->yaml, NULL, true, err) < 0 || pack_tag(p, sig, err) < 0 ||
        pack_tag(p, att, err) < 0 || pack_bundles(p, &release->image.digest, err) < 0)
        return -1;
    for (size_t i = 0; i < release->attestation_count; i++)
        pack_blob(p, release->attestations[i].digest.text);
    strv_sort(&p->digests);
    return strv_ok(&p->digests, err);
}

static int write_head(struct archive *a, const char *path, uint64_t size, struct error *err)
{
    struct archive_entry *entry = archive_entry_new();

    if (!entry)
        return error_no_memory(err);
    archive_entry_set_pathname(entry, path);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_set_mtime(entry, 0, 0); /* the same release gives the same file */
    int code = archive_write_header(a, entry);
    archive_entry_free(entry);
    if (code != ARCHIVE_OK)
        return error_set(err, ERR_SYSTEM, "writing the archive: %s", archive_error_string(a));
    return 0;
}

static int write_bytes(struct archive *a, const void *bytes, size_t len, struct error *err)
{
    if (archive_write_data(a, bytes, len) != (la_ssize_t)len)
        return error_set(err, ERR_SYSTEM, "writing the archive: %s", archive_error_string(a));
    return 0;
}

static int write_text(struct archive *a, const char *path, struct str text, struct error *err)
{
    return write_head(a, path, text.len, err) < 0 ? -1 : write_bytes(a, text.ptr, text.len, err);
}

static int write_blob(struct archive *a, const struct layout *layout, const char *text, char *chunk,
                      struct error *err)
{
    CLEANUP(fd) int fd = -1;
    struct digest digest;
    uint64_t size = 0;

    if (!digest_parse(str_of(text), &digest))
        return error_set(err, ERR_INVALID, "'%s' is no sha256 digest", text);
    if (layout_open_blob(layout, &digest, &fd, &size, err) < 0)
        return -1;
    CLEANUP(text) char *path = str_format("blobs/sha256/%s", digest_hex(&digest));
    if (!path)
        return error_no_memory(err);
    if (write_head(a, path, size, err) < 0)
        return -1;
    while (size > 0) {
        size_t len = size < CHUNK ? (size_t)size : CHUNK;
        if (io_read_exact(fd, chunk, len, err) < 0 || write_bytes(a, chunk, len, err) < 0)
            return -1;
        size -= len;
    }
    return 0;
}

static int write_members(struct archive *a, const struct packing *p, struct error *err)
{
    CLEANUP(buf) struct buf index = BUF_INIT(INDEX_MAX);
    CLEANUP(text) char *chunk = malloc(CHUNK);
    CLEANUP(json)
    json_t *root = json_pack("{s:i, s:s, s:O}", "schemaVersion", 2, "mediaType", OCI_INDEX,
                             "manifests", p->manifests);

    if (!chunk || !root)
        return error_no_memory(err);
    /* The index comes before the blobs, so that a reader knows what is to come. */
    if (json_write(root, false, &index, err) < 0 ||
        write_text(a, "oci-layout", STR(LAYOUT_TEXT), err) < 0 ||
        write_text(a, "index.json", buf_str(&index), err) < 0)
        return -1;
    for (size_t i = 0; i < p->digests.count; i++)
        if (write_blob(a, p->layout, p->digests.items[i], chunk, err) < 0)
            return -1;
    return 0;
}

static int write_archive(int fd, const struct packing *p, struct error *err)
{
    struct archive *a = archive_write_new();
    int result = -1;

    if (!a)
        return error_no_memory(err);
    if (archive_write_set_format_pax_restricted(a) != ARCHIVE_OK ||
        archive_write_open_fd(a, fd) != ARCHIVE_OK)
        (void)error_set(err, ERR_SYSTEM, "writing the archive: %s", archive_error_string(a));
    else
        result = write_members(a, p, err);
    if (result == 0 && archive_write_close(a) != ARCHIVE_OK)
        result = error_set(err, ERR_SYSTEM, "writing the archive: %s", archive_error_string(a));
    (void)archive_write_free(a); /* closed above, or given up */
    return result;
}

/* The release that a tag or digest names, as its statement says; who signed it is asked on import.
 */
static int read_release(struct layout *layout, const char *repository, const char *reference,
                        struct release *ret, struct error *err)
{
    CLEANUP(json) json_t *manifest = NULL, *statement = NULL;
    CLEANUP(buf) struct buf envelope = BUF_INIT(RELEASE_ENVELOPE_MAX);
    struct descriptor d, layer, subject;

    if (!digest_parse(str_of(reference), &d.digest) &&
        layout_resolve(layout, repository, reference, &d, err) < 0)
        return -1;
    if (layout_read_manifest(layout, &d.digest, &manifest, NULL, NULL, err) < 0 ||
        release_artifact(manifest, RELEASE_ARTIFACT_TYPE, &layer, &subject, err) < 0 ||
        layout_read(layout, &layer.digest, &envelope, err) < 0 ||
        release_peek(buf_str(&envelope), &statement, err) < 0 ||
        release_from_statement(statement, ret, err) < 0)
        return -1;
    ret->digest = d.digest;
    return 0;
}

static int export_to(const struct packing *p, const char *path, struct error *err)
{
    CLEANUP(text) char *beside = str_format("%s.partial", path);
    CLEANUP(fd) int fd = -1;

    if (!beside)
        return error_no_memory(err);
    fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return error_errno(err, "writing '%s'", beside);
    int result = write_archive(fd, p, err);
    if (result == 0 && fsync(fd) < 0)
        result = error_errno(err, "writing '%s'", beside);
    if (result == 0)
        return fs_rename(AT_FDCWD, beside, path, err);
    (void)unlink(beside); /* the error that stopped us is what counts */
    return -1;
}

int release_export(struct layout *layout, const char *workload, const char *reference,
                   const char *path, struct error *err)
{
    char repository[RELEASE_NAME_SIZE];
    CLEANUP(packing)
    struct packing p = {.layout = layout,
                        .repository = release_repository(workload, repository),
                        .manifests = json_array()};
    struct release release;

    if (!p.manifests)
        return error_no_memory(err);
    if (read_release(layout, repository, reference, &release, err) < 0 ||
        pack_release(&p, &release, err) < 0 || export_to(&p, path, err) < 0)
        return error_wrap(err, "exporting release '%s' of '%s'", reference, workload);
    return 0;
}

/* --- import */

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
    if (read_release(layout, repository, RELEASE_TAG, &newest, err) < 0)
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
