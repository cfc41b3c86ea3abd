/* build/buildpack.h - buildpacks on disk, and the order in which groups of them are tried
 * (buildpacks spec, buildpack.md "buildpack.toml", order.toml).
 *
 *   DIR/order.toml          groups; absent: each buildpack of DIR alone, by name
 *   DIR/NAME/buildpack.toml bin/detect  bin/build
 *
 * "monban/node-engine" needs no folder: it is part of Monban (node.h). Which of our owners a launch
 * layer has is said in buildpack.toml, where no install script can reach it:
 * [metadata.monban.owners] LAYER = "dependency". */
#pragma once
#include "base/digest.h"
#include "wire/json.h"

enum { BUILDPACKS_MAX = 128, GROUP_MAX = 64 };

struct buildpack {
    char *id, *version, *name, *homepage; /* owned */
    char *escaped;                        /* owned: the id as a folder's name, "monban_node" */
    char *dir;                            /* owned; NULL: built in */
    char *api;                            /* owned: "0.10" */
    int api_minor;                        /* of major 0 */
    bool clear_env;
    json_t *sbom_formats; /* owned; may be NULL */
    json_t *owners;       /* owned: {"LAYER": "dependency"}; may be NULL */
};

struct group_item {
    size_t buildpack; /* index */
    bool optional;
};
struct group {
    struct group_item items[GROUP_MAX];
    size_t count;
};

struct buildpacks {
    struct buildpack *items; /* owned */
    size_t count;
    struct group *groups; /* owned; in the order to try */
    size_t group_count;
    struct digest digest; /* of the whole folder */
};
void buildpacks_done(struct buildpacks *b);
DEFINE_CLEANUP_VALUE(buildpacks, struct buildpacks, buildpacks_done)

/* INVALID, placed in the TOML file; UNSUPPORTED: an API that we do not speak; NOT_FOUND. */
NODISCARD int buildpacks_load(const char *dir, struct buildpacks *ret, struct error *err);
