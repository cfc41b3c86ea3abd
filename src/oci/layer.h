/* oci/layer.h - makes layers: a tar with sorted entries, compressed on all cores, streamed into a
 * layout.
 *
 * Takes entries in any order (bytes, links, folders, whole trees); gives the layer's descriptor and
 * diff id. The same entries give the same bytes: sorted by path, forged owner, fixed time, no names
 * of users, no access times. ustar, with a pax header where a path, link or size does not fit
 * (POSIX.1-2017, pax). Compression: gzip of many members, 1 MiB of tar each (RFC 1952, 2.2). Root
 * directory entries and missing parent folders are written as 0755. */
#pragma once
#include "oci/layout.h"

struct layer {
    struct descriptor descriptor;
    struct digest diff_id; /* of the tar before compression */
};

enum layer_flags {
    LAYER_ALLOW_SETUID = 1 << 0, /* else setuid and setgid bits are DENIED, naming the file */
    LAYER_DROP_SETUID = 1 << 1,  /* take the bits off silently */
    LAYER_PLAIN = 1 << 2,        /* do not compress */
    LAYER_KEEP_OWNER = 1 << 3,   /* trees: the owner on disk, not uid and gid below */
    LAYER_SKIP_SPECIAL = 1 << 4, /* trees: leave device nodes, sockets and fifos out; else DENIED */
};

struct layer_options {
    int flags;
    int level;       /* libdeflate 1…12; 0: LAYER_LEVEL_DEFAULT */
    int threads;     /* 0: one for each core, at most 8 */
    int64_t mtime_s; /* of all entries, seconds since 1970; 0 is 1970 (CNB: 1980-01-01T00:00:01Z) */
    uint32_t uid, gid;
};
enum { LAYER_LEVEL_DEFAULT = 1, LAYER_ENTRIES_MAX = 2000000, LAYER_CNB_MTIME = 315532801 };

struct layer_writer;
NODISCARD int layer_writer_new(struct layout *layout, const struct layer_options *options,
                               struct layer_writer **ret, struct error *err);
void layer_writer_free(struct layer_writer *writer);
DEFINE_CLEANUP(layer_writer, struct layer_writer *, layer_writer_free)

/* Paths inside the image: "etc/passwd" or "/etc/passwd"; no "..". Bytes are copied. An entry given
 * twice: the later one counts, but a folder made only as a parent never hides one that was given.
 */
NODISCARD int layer_add_dir(struct layer_writer *writer, const char *path, uint32_t mode,
                            struct error *err);
NODISCARD int layer_add_file(struct layer_writer *writer, const char *path, uint32_t mode,
                             struct str bytes, struct error *err);
NODISCARD int layer_add_symlink(struct layer_writer *writer, const char *path, const char *target,
                                struct error *err);
/* ".wh.NAME" beside: hides what lower layers have at `path`. */
NODISCARD int layer_add_whiteout(struct layer_writer *writer, const char *path, struct error *err);
/* Owner of the entries added from here on (overrides the options). */
void layer_set_owner(struct layer_writer *writer, uint32_t uid, uint32_t gid);

struct layer_tree {
    const char
        *prefix; /* path in the image that `dir` becomes: "/workspace"; "" or NULL: the root */
    const char *const
        *only; /* NULL-ended paths relative to `dir` (folders with all below); NULL: all */
    /* Asked for every path relative to `dir`; true leaves it and all below out. NULL: nothing. */
    bool (*skip)(const char *path, void *ctx);
    void *ctx;
};
/* Reads names and attributes now, contents at layer_finish(): the tree must stay as it is until
 * then (a size that changed is CONFLICT). Hard links inside the tree stay hard links. tree may be
 * NULL. */
NODISCARD int layer_add_tree(struct layer_writer *writer, const char *dir,
                             const struct layer_tree *tree, struct error *err);

/* Writes, stores, and spends the writer. DENIED, LIMIT (disk full), CONFLICT, SYSTEM. */
NODISCARD int layer_finish(struct layer_writer *writer, struct layer *ret, struct error *err);

/* The layer made before from the input `key`, if its blob is still there: NOT_FOUND otherwise. */
NODISCARD int layer_cached(const struct layout *layout, const char *key, struct layer *ret,
                           struct error *err);
NODISCARD int layer_remember(struct layout *layout, const char *key, const struct layer *layer,
                             struct error *err);
