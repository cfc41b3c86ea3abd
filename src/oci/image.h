/* oci/image.h - an image: its manifest and its config, read from a layout, or built from layers.
 *
 * Source: image-spec manifest.md, config.md, image-index.md. Docker's schema 2 is read too. */
#pragma once
#include "oci/layer.h"
#include "oci/layout.h"

enum { IMAGE_LAYERS_MAX = 500, IMAGE_INDEX_DEPTH_MAX = 4 };

struct image {
    struct descriptor descriptor; /* of the manifest */
    json_t *manifest;             /* owned */
    json_t *config;               /* owned; json_object() if it is no image config (an artifact) */
    struct layer *layers;         /* owned; base first; diff_id "" for an artifact */
    size_t layer_count;
};

/* `digest` may be of an index: then the entry for `platform` ("linux/amd64", NULL: this machine's)
 * is taken; NOT_FOUND "no image for linux/amd64; there are …". INVALID if layers and diff_ids do
 * not pair. */
NODISCARD int image_read(const struct layout *layout, const struct digest *digest,
                         const char *platform, struct image **ret, struct error *err);
void image_free(struct image *image);
DEFINE_CLEANUP(image, struct image *, image_free)

/* The entry of an index that fits `platform`, the first one that does (image-index.md). Borrowed
 * from index; NULL if none does. Attestation entries are skipped. */
const json_t *image_index_pick(const json_t *index, const char *platform);
const char *image_platform(void); /* "linux/amd64" */

/* A label of the config, or NULL. */
const char *image_label(const struct image *image, const char *name);
/* uid, gid and further groups for a config's "User" (name, uid, "user:group"), by /etc/passwd and
 * /etc/group found in `lowerdirs` (topmost first; may be NULL if User is numeric). NOT_FOUND. */
struct image_user {
    uint32_t uid, gid;
    uint32_t groups[64];
    size_t group_count;
};
NODISCARD int image_user(const char *user, const struct strv *lowerdirs, struct image_user *ret,
                         struct error *err);

struct image_history {
    const char *created_by;
    bool empty_layer;
};
struct image_options {
    const struct layer *layers; /* base first */
    size_t layer_count;
    /* The "config" member:
     * {"Env":[…],"Entrypoint":[…],"Cmd":[…],"User","WorkingDir","Labels":{…},…}; borrowed, may be
     * NULL. */
    const json_t *config;
    const struct image_history *history; /* one for each layer (and empty ones), or NULL */
    size_t history_count;
    const char *platform;      /* NULL: this machine's */
    int64_t created_s;         /* "created", seconds since 1970; 0 is 1970: reproducible */
    const json_t *annotations; /* of the manifest; borrowed, may be NULL */
};
/* Writes config and manifest; keys in a fixed order, so the same options give the same digest. */
NODISCARD int image_write(struct layout *layout, const struct image_options *options,
                          struct descriptor *ret, struct error *err);

/* An artifact manifest (image-spec, "Guidelines for Artifact Usage"). */
struct artifact_options {
    const char *artifact_type;        /* NULL only with a config of its own */
    const struct descriptor *config;  /* NULL: the empty blob */
    const json_t *layers;             /* array of descriptors with annotations; borrowed */
    const struct descriptor *subject; /* or NULL */
    const json_t *annotations;        /* or NULL */
};
NODISCARD int artifact_write(struct layout *layout, const struct artifact_options *options,
                             struct descriptor *ret, struct error *err);
