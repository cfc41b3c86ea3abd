/* oci/layout.h - the store: an OCI image layout on disk that many repositories share.
 *
 *   DIR/oci-layout  index.json   image-spec, image-layout.md; the annotation ref.name is
 * "REPOSITORY:TAG", so `skopeo copy oci:DIR:apps/x:1 …` reads it DIR/blobs/sha256/HEX         each
 * verified before it got its name DIR/refs/REPOSITORY/_tags/T  descriptor of a tag: made from
 * index.json, for look-up without reading it DIR/referrers/HEX/HEX2       descriptor of manifest
 * HEX2, whose subject is HEX DIR/cache/KEY                whatever a stage found out about an input
 * (see layout_cache_get()) DIR/tmp/                     unfinished files; those of dead writers are
 * swept
 *
 * index.json is what counts for tags; refs/ is rebuilt from it when another tool changed it.
 * Writers of any number of processes may work at once (DIR/lock); a kill -9 leaves the old or the
 * new, never half. A full disk is ERR_LIMIT "no space left in image store 'DIR'…" and changes
 * nothing. One struct is used from one thread. All calls block on disk. */
#pragma once
#include "base/fs.h"
#include "oci/descriptor.h"

struct layout;

enum layout_flags {
    LAYOUT_CREATE = 1 << 0,
    LAYOUT_SYNC =
        1 << 1, /* fsync blobs and tags; without it the kernel decides (a cache, a test) */
};
enum {
    LAYOUT_MANIFEST_MAX = 4 << 20, /* bytes: the distribution-spec asks for 4 MiB at least */
};

/* NOT_FOUND if it does not exist (without CREATE); INVALID if it is no layout. */
NODISCARD int layout_open(const char *path, int flags, struct layout **ret, struct error *err);
void layout_free(struct layout *layout);
DEFINE_CLEANUP(layout, struct layout *, layout_free)
const char *layout_path(const struct layout *layout);
int layout_dir_fd(const struct layout *layout);

/* --- blobs --- */
bool layout_has(const struct layout *layout, const struct digest *digest);
/* *ret_size may be asked for without opening (ret_fd NULL) and the other way round. NOT_FOUND. */
NODISCARD int layout_open_blob(const struct layout *layout, const struct digest *digest,
                               int *ret_fd, uint64_t *ret_size, struct error *err);
/* Appended to `out`, verified; LIMIT beyond its limit, UNTRUSTED if the bytes on disk are not the
 * digest's. */
NODISCARD int layout_read(const struct layout *layout, const struct digest *digest, struct buf *out,
                          struct error *err);
NODISCARD int layout_put(struct layout *layout, const char *media_type, struct str bytes,
                         struct descriptor *ret, struct error *err);
NODISCARD int layout_remove_blob(struct layout *layout, const struct digest *digest,
                                 struct error *err);

/* A blob of unknown length: hashed and written as it comes. */
struct layout_writer;
NODISCARD int layout_writer_new(struct layout *layout, struct layout_writer **ret,
                                struct error *err);
NODISCARD int layout_writer_add(struct layout_writer *writer, struct str bytes, struct error *err);
uint64_t layout_writer_size(const struct layout_writer *writer);
/* Gives the blob its name. `expected` (or NULL): UNTRUSTED "digest mismatch: expected …, got …" and
 * nothing is stored. A blob that exists already is kept. The writer is spent, and still to be
 * freed. */
NODISCARD int layout_writer_commit(struct layout_writer *writer, const struct digest *expected,
                                   struct digest *ret_digest, struct error *err);
void layout_writer_free(struct layout_writer *writer); /* drops what was not committed */
DEFINE_CLEANUP(layout_writer, struct layout_writer *, layout_writer_free)

/* --- manifests (and indexes): the exact bytes count --- */
/* Stored as a blob, and noted as a referrer if it has a subject. media_type NULL: from the
 * document, else told by its shape. INVALID if it is no manifest. Missing blobs are not looked for.
 */
NODISCARD int layout_put_manifest(struct layout *layout, const char *media_type, struct str bytes,
                                  struct descriptor *ret, struct error *err);
/* ret_root, ret_bytes, ret may be NULL. ret_bytes is appended to. INVALID if the blob is no
 * manifest. */
NODISCARD int layout_read_manifest(const struct layout *layout, const struct digest *digest,
                                   json_t **ret_root, struct buf *ret_bytes, struct descriptor *ret,
                                   struct error *err);
/* [descriptor + artifactType + annotations] of the manifests whose subject is `digest`, sorted by
 * digest; artifact_type NULL: all. A new reference, empty if there are none. */
NODISCARD int layout_referrers(const struct layout *layout, const struct digest *digest,
                               const char *artifact_type, json_t **ret_array, struct error *err);
/* The manifest is no longer a referrer of its subject, and its tags and blob are gone. */
NODISCARD int layout_remove_manifest(struct layout *layout, const struct digest *digest,
                                     struct error *err);

/* --- tags --- */
NODISCARD int layout_tag(struct layout *layout, const char *repository, const char *tag,
                         const struct descriptor *descriptor, struct error *err);
/* All of them or none, in one step. */
struct layout_tag_set {
    const char
        *repository; /* "" for a layout of one repository: the annotation is then the tag alone */
    const char *tag;
    struct descriptor descriptor;
};
NODISCARD int layout_tag_all(struct layout *layout, const struct layout_tag_set *sets, size_t count,
                             struct error *err);
/* NOT_FOUND "no tag 'T' in repository 'R'". */
NODISCARD int layout_resolve(struct layout *layout, const char *repository, const char *tag,
                             struct descriptor *ret, struct error *err);
NODISCARD int layout_untag(struct layout *layout, const char *repository, const char *tag,
                           struct error *err);
/* Sorted by bytes; NOT_FOUND if the repository has never had a tag. */
NODISCARD int layout_tags(struct layout *layout, const char *repository, struct strv *out,
                          struct error *err);
NODISCARD int layout_repositories(struct layout *layout, struct strv *out, struct error *err);
/* An inotify descriptor (the caller's to close) that becomes readable when any process changes a
 * tag. */
NODISCARD int layout_watch(const struct layout *layout, int *ret_fd, struct error *err);
void layout_watch_drain(int fd); /* reads away what it has */

/* --- what a stage found out before (a pure function of digests) --- */
/* `key`: letters, digits, '-', '_', '.' (64 hex digits as a rule). NOT_FOUND. */
NODISCARD int layout_cache_get(const struct layout *layout, const char *key, json_t **ret,
                               struct error *err);
NODISCARD int layout_cache_put(struct layout *layout, const char *key, const json_t *value,
                               struct error *err);
