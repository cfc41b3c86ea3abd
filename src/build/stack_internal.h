/* build/stack_internal.h - between stack.c (the file and the record), stack_apt.c (which packages,
 * and their files) and stack_merge.c (packages into one tree). Only these three include it. */
#pragma once
#include "build/stack.h"
#include "oci/layer.h"

struct deb {                                      /* one Debian package of a closure */
    char *name, *version, *architecture, *source; /* owned */
    char *file;                                   /* owned: the .deb, absolute */
    char *control;                                /* owned: its control record, as dpkg keeps it */
};
struct debs {
    struct deb *items; /* owned; sorted by name */
    size_t count;
};
void debs_done(struct debs *debs);
DEFINE_CLEANUP_VALUE(debs, struct debs, debs_done)
enum { DEBS_MAX = 2000 }; /* of one image: a desktop has that many */

/* Which packages, and their files: `wanted` and all they depend on, without `drop`. Files land in
 * debs_dir. Blocks, network. NOT_FOUND with apt's text. */
NODISCARD int debs_resolve(const struct strv *wanted, const struct strv *drop, const char *debs_dir,
                           struct debs *ret, struct error *err);
/* [{"name","version","architecture","source"}]; NULL without memory. */
json_t *debs_to_json(const struct debs *debs);

struct merge_options {
    const struct debs *debs;
    const struct strv *links; /* "PATH=TARGET": what update-alternatives would have made */
    const char *user_name;
    uint32_t uid, gid;
    struct str trust; /* PEM, appended to ca-certificates.crt; may be empty */
};
/* Into one reproducible layer of `layout`. */
NODISCARD int merge_into_layer(const struct merge_options *options, struct layout *layout,
                               struct layer *ret, struct error *err);
/* Into the folder `dir` (made), owned by root. */
NODISCARD int merge_into_dir(const struct merge_options *options, const char *dir,
                             struct error *err);
