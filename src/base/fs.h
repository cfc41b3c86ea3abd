/* base/fs.h - files and folders. Paths that come from outside go through fs_open_beneath(). */
#pragma once
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/io.h"

/* dir_fd may be AT_FDCWD. */
NODISCARD int fs_open_dir(int dir_fd, const char *path, int *ret_fd, struct error *err);
NODISCARD int fs_open_read(int dir_fd, const char *path, int *ret_fd, struct error *err);
NODISCARD int fs_read_at(int dir_fd, const char *path, struct buf *out, struct error *err);
bool fs_exists(int dir_fd, const char *path);
/* Written beside, synced, renamed, folder synced: readers see the old or the new, whole. */
NODISCARD int fs_write_atomic(int dir_fd, const char *path, struct str bytes, mode_t mode,
                              struct error *err);
/* The same without the two syncs: for what can be rebuilt. */
NODISCARD int fs_write_quick(int dir_fd, const char *path, struct str bytes, mode_t mode,
                             struct error *err);
NODISCARD int fs_make_dirs(int dir_fd, const char *path, mode_t mode,
                           struct error *err); /* mkdir -p */
NODISCARD int fs_sync_dir(int dir_fd, struct error *err);
/* Remove a tree, without following links or crossing into mounts. Gone already is fine. */
NODISCARD int fs_remove_tree(int dir_fd, const char *path, struct error *err);
NODISCARD int fs_remove(int dir_fd, const char *path, struct error *err); /* gone already is fine */
NODISCARD int fs_rename(int dir_fd, const char *from, const char *to, struct error *err);
NODISCARD int fs_read_link(int dir_fd, const char *path, struct buf *out, struct error *err);
/* Names in a folder, sorted by bytes, without "." and "..". */
NODISCARD int fs_list(int dir_fd, const char *path, struct strv *out, struct error *err);
/* A fresh empty folder "<prefix>XXXXXX" (mode 0700); its path is the caller's to free(). */
NODISCARD int fs_make_temp_dir(const char *prefix, char **ret_path, struct error *err);
NODISCARD int fs_copy_tree(const char *from, const char *to, struct error *err); /* links kept */

/* Hostile paths: resolved beneath dir_fd; no "..", no absolute or magic links leave it (openat2
 * RESOLVE_BENEATH). `flags` and `mode` as for open(2); O_CLOEXEC is added. */
NODISCARD int fs_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd,
                              struct error *err);
/* "a/b" joined with one slash, free() it; NULL without memory. */
char *fs_join(const char *a, const char *b);
/* An advisory lock on a file (created): held until *ret_fd is closed. CONFLICT if held and !wait.
 */
NODISCARD int fs_lock(int dir_fd, const char *path, bool wait, int *ret_fd, struct error *err);
