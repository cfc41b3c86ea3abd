/* oci/unpack.h - reads layers: onto disk for overlayfs, or entry by entry. Layers are hostile.
 *
 * plain, gzip (any number of members) and zstd, told by their first bytes. tar by libarchive. Files
 * are made through openat2(RESOLVE_IN_ROOT-like confinement): a link in a parent is never followed
 * out. Whiteouts ".wh.NAME" become 0/0 character devices, ".wh..wh..opq" the xattr
 * trusted.overlay.opaque=y (Linux, overlayfs.rst). Needs root for owners and whiteouts. */
#pragma once
#include <sys/types.h>

#include "oci/image.h"
#include "oci/layout.h"

struct unpack_limits {
    uint64_t bytes_max;   /* of file contents in one layer; 0: UNPACK_BYTES_MAX */
    uint64_t entries_max; /* 0: UNPACK_ENTRIES_MAX */
};
#define UNPACK_BYTES_MAX   ((uint64_t)16 << 30) /* bytes: no sane layer is above 16 GiB */
#define UNPACK_ENTRIES_MAX ((uint64_t)2000000)

/* The layer as a folder STORE/layers/HEX (HEX: of its diff id), unpacked unless it is there.
 * Verifies the blob's digest and the diff id (UNTRUSTED), and appears only when whole. diff_id may
 * be NULL for plain tools: then the folder's name is computed. Safe in many processes at once.
 * *ret_path is the caller's to free(). */
NODISCARD int unpack_layer(const struct layout *layout, const struct descriptor *blob,
                           const struct digest *diff_id, const char *store,
                           const struct unpack_limits *limits, char **ret_path, struct error *err);
/* All layers of an image as overlay lowerdirs, the topmost first. */
NODISCARD int unpack_image(const struct layout *layout, const struct image *image,
                           const char *store, const struct unpack_limits *limits,
                           struct strv *ret_lowerdirs, struct error *err);

/* A tar (any compression) read from `fd` into the existing empty folder `dir_fd`. */
enum unpack_flags {
    UNPACK_OVERLAY = 1 << 0, /* whiteouts in overlayfs form; else ".wh." names are refused */
    UNPACK_OWNERS = 1 << 1,  /* chown; else all files are ours */
    UNPACK_NO_SETUID = 1 << 2,
};
NODISCARD int unpack_tar(int fd, int dir_fd, int flags, const struct unpack_limits *limits,
                         struct error *err);

/* The entries of a layer, in the archive's order. */
struct unpack_entry {
    const char *path; /* without leading "/" or "./"; "" is the root; borrowed for the call */
    const char *link; /* target of a symbolic or hard link, or NULL */
    mode_t mode;      /* with the type bits; of a hard link S_IFREG */
    uint64_t size;
    bool hard_link;
};
struct unpack_reader;
/* Appends the contents of the current file (LIMIT beyond the buffer's limit). Only inside the
 * callback. */
NODISCARD int unpack_read(struct unpack_reader *reader, struct buf *out, struct error *err);
/* Return 0 to go on, 1 to stop (then the digest is not checked), -1 on failure. */
typedef int unpack_entry_fn(struct unpack_reader *reader, const struct unpack_entry *entry,
                            void *ctx, struct error *err);
NODISCARD int unpack_each(const struct layout *layout, const struct descriptor *blob,
                          unpack_entry_fn *fn, void *ctx, struct error *err);
/* One file of a layer by its path: NOT_FOUND. For small artifacts such as the release's YAML. */
NODISCARD int unpack_file(const struct layout *layout, const struct descriptor *blob,
                          const char *path, struct buf *out, struct error *err);
