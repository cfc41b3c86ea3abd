/* oci/unpack_internal.h - the parts of unpack.h among each other. */
#pragma once
#include <archive.h>
#include <archive_entry.h>

#include "oci/unpack.h"

/* A blob as it is read: raw bytes hashed, decompressed (told by the first bytes), tar bytes hashed.
 */
struct unpack_source;
int unpack_source_new(int fd, struct unpack_source **ret,
                      struct error *err); /* fd stays the caller's */
/* The next tar bytes, valid until the next call; *ret_len 0 at the end. */
int unpack_source_next(struct unpack_source *source, const void **ret_bytes, size_t *ret_len,
                       struct error *err);
/* Reads on to the end of the blob; then both digests are known. */
int unpack_source_finish(struct unpack_source *source, struct digest *ret_blob,
                         struct digest *ret_diff_id, struct error *err);
void unpack_source_free(struct unpack_source *source);
DEFINE_CLEANUP(unpack_source, struct unpack_source *, unpack_source_free)

struct unpack_reader {
    struct archive *archive;      /* owned */
    struct unpack_source *source; /* borrowed */
    struct error *failed;         /* borrowed: what the source said inside libarchive's callback */
};
int unpack_reader_open(struct unpack_reader *reader, struct unpack_source *source,
                       struct error *err);
/* 1: *ret_entry is the next one (libarchive's, until the next call); 0: the end. */
int unpack_reader_next(struct unpack_reader *reader, struct archive_entry **ret_entry,
                       struct error *err);
void unpack_reader_done(struct unpack_reader *reader);
DEFINE_CLEANUP_VALUE(unpack_reader, struct unpack_reader, unpack_reader_done)

/* "./a//b/" → "a/b" in `out` of PATH_MAX bytes; INVALID with "..", or if longer. */
int unpack_clean_path(const char *path, char *out, struct error *err);

/* Writes entries beneath a folder. */
int unpack_write_all(struct unpack_reader *reader, int dir_fd, int flags,
                     const struct unpack_limits *limits, struct error *err);
