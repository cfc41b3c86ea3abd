/* release/export.c - one release as one file: a tar of an OCI image layout (image-spec,
 * image-layout.md) that any OCI tool reads. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "oci/image.h"
#include "release/release_internal.h"

enum { CHUNK = 1 << 20, INDEX_MAX = 1 << 20 /* bytes of index.json */ };
#define LAYOUT_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"

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
    if (release_peek_at(layout, repository, reference, &release, err) < 0 ||
        pack_release(&p, &release, err) < 0 || export_to(&p, path, err) < 0)
        return error_wrap(err, "exporting release '%s' of '%s'", reference, workload);
    return 0;
}
