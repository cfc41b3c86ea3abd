/* build/tree.h - folders: their digest, and copies with another owner. Links are never followed,
 * special files are left out. Depth and number of entries are limited: LIMIT beyond. */
#pragma once
#include "base/buf.h"
#include "base/digest.h"

enum { TREE_DEPTH_MAX = 200, TREE_ENTRIES_MAX = 500000 };

/* Asked for every entry with its path relative to the top and its name; true leaves it out. */
typedef bool tree_skip_fn(const char *path, const char *name);
bool tree_skip_source(const char *path, const char *name); /* ".git" and "node_modules", anywhere */

/* Over names, executable bits, links and contents, in order of names. skip may be NULL. */
NODISCARD int tree_digest(const char *dir, tree_skip_fn *skip, struct digest *ret,
                          struct error *err);

/* What is in the folder from_fd into the existing folder to_fd; files become 0644 or 0755 of uid
 * and gid. */
NODISCARD int tree_copy(int from_fd, int to_fd, uint32_t uid, uint32_t gid, tree_skip_fn *skip,
                        struct error *err);
/* Appends a regular file beneath dir_fd; INVALID if it is something else, LIMIT beyond the buffer.
 */
NODISCARD int tree_read_file(int dir_fd, const char *path, struct buf *out, struct error *err);
