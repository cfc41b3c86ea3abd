/* oci/layer_internal.h - the parts of layer.h among each other. */
#pragma once
#include <pthread.h>

#include "oci/layer.h"

enum layer_kind { LAYER_FILE, LAYER_DIR, LAYER_SYMLINK, LAYER_HARD_LINK };

struct layer_entry {
    char *path; /* owned; relative, no trailing slash */
    char *link; /* owned; target of a link, or NULL */
    enum layer_kind kind;
    uint32_t mode; /* permission bits */
    uint32_t uid, gid;
    uint64_t size;
    char *bytes;  /* owned; contents given by the caller */
    char *source; /* owned; path beneath trees[tree], or NULL */
    size_t tree;  /* index into layer_writer.tree_fds, if source is set */
    dev_t device; /* with nlink > 1: which file this is a name of */
    ino_t inode;
    bool linked;  /* the file on disk has further names */
    bool implied; /* a parent that nobody gave */
    size_t order; /* of adding: the later of two counts */
};

struct layer_writer {
    struct layout *layout; /* borrowed: the caller's */
    struct layer_options options;
    struct layer_entry *entries; /* owned */
    size_t count, capacity;
    int *tree_fds; /* owned, each too */
    size_t tree_count;
};

/* Takes over path, link, bytes and source of `entry`, also on failure. */
int layer_push(struct layer_writer *w, struct layer_entry *take_entry, struct error *err);
void layer_entry_done(struct layer_entry *entry);
/* "/a/./b/" → "a/b" (the caller's to free()); INVALID with "..", LIMIT above PATH_MAX. "" is the
 * root. */
int layer_clean_path(const char *path, char **ret, struct error *err);
/* Sorts, drops what was given twice, adds parents, makes hard links of further names. */
int layer_arrange(struct layer_writer *w, struct error *err);

/* The header blocks of one entry (with a pax header before, if need be), appended to `out`. */
void layer_tar_header(const struct layer_entry *entry, int64_t mtime_s, struct buf *out);
enum { TAR_BLOCK = 512 };

/* Compresses a stream in pieces, in order, on some threads, and stores it. */
struct layer_packer;
int layer_packer_new(struct layout *layout, const struct layer_options *options,
                     struct layer_packer **ret, struct error *err);
/* Room for more tar bytes: at least one. Fill, then layer_packer_grew(). NULL on failure. */
char *layer_packer_room(struct layer_packer *p, size_t *ret_len, struct error *err);
void layer_packer_grew(struct layer_packer *p, size_t len);
int layer_packer_add(struct layer_packer *p, struct str bytes, struct error *err);
int layer_packer_finish(struct layer_packer *p, struct layer *ret, struct error *err);
void layer_packer_free(struct layer_packer *p);
DEFINE_CLEANUP(layer_packer, struct layer_packer *, layer_packer_free)
