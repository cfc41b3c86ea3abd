/* dev/tree.h - a source tree that is watched (inotify): which files were saved, or are gone. */
#pragma once
#include "base/loop.h"

enum {
    TREE_FOLDERS_MAX = 20000, /* watches; node_modules and the like are not among them */
    TREE_DEPTH_MAX = 64,
    TREE_QUIET_MS = 8, /* editors write, rename and chmod in one go: a save is told once */
};

struct tree;
struct tree_change {
    const char *path; /* relative; borrowed for the call */
    bool is_gone;
};
/* After a save: all that changed, sorted by path, each once. `since_ms`: monotonic time of the
 * first event. */
typedef void tree_fn(const struct tree_change *changes, size_t count, int64_t since_ms, void *ctx);

/* Ignored files (dev/ignore.h) are never told. NOT_FOUND; LIMIT above TREE_FOLDERS_MAX. */
NODISCARD int tree_watch(struct loop *loop, const char *path, tree_fn *on_change, void *ctx,
                         struct tree **ret, struct error *err);
void tree_free(struct tree *tree);
DEFINE_CLEANUP(tree, struct tree *, tree_free)
