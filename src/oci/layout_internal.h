/* oci/layout_internal.h - the parts of layout.h among each other. */
#pragma once
#include "oci/layout.h"

enum { BLOB_PATH_SIZE = 128 };

struct layout {
    char *path;       /* owned */
    int dir_fd;       /* owned */
    int flags;        /* enum layout_flags */
    struct stat seen; /* of index.json when refs/ was last known to agree with it; zeroed: never */
};

/* "blobs/sha256/HEX"; returns out. */
const char *layout_blob_path(const struct digest *digest, char out[BLOB_PATH_SIZE]);
/* A small file that readers see whole: synced if the layout is, or if `must_sync` is unset not at
 * all. */
int layout_write_file(const struct layout *layout, const char *path, struct str bytes, bool sync,
                      struct error *err);
/* Says which store it was; returns -1. */
int layout_failed(const struct layout *layout, struct error *err);
/* Makes index.json if there is none. */
int layout_tags_create(struct layout *layout, struct error *err);
/* Every tag that names `digest` goes. */
int layout_untag_digest(struct layout *layout, const struct digest *digest, struct error *err);
