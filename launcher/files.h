/* launcher/files.h - the file changes of one commit, written beneath /workspace. Nothing leaves it:
 * each path is opened with openat2(RESOLVE_BENEATH). */
#pragma once
#include "sys.h"

struct change { /* one frame F, P, L or D as it came */
    char type;
    char *payload; /* of mem_pages() */
    size_t size;
    struct change *next;
};
/* Writes all in order. NULL, or the text of the first fault (the others are tried still). */
const char *files_apply(const char *root, const struct change *changes, long *ret_count);
