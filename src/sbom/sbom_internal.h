/* sbom/sbom_internal.h - how an inventory is put together: nodes (one for each place where a
 * package was found) and edges (who asks for it) are collected, then merged into packages by
 * assembly_finish(). */
#pragma once
#include "sbom/layer.h"
#include "sbom/sbom.h"

enum {
    INVENTORY_TEXT_LIMIT = 512 << 20, /* bytes */
    INVENTORY_NODES_LIMIT = 1000000,
    INVENTORY_EDGES_LIMIT = 4000000,
    PACKAGE_NEEDS_MAX = 256, /* of one package; more tell nobody anything */
    PACKAGE_PATHS_MAX = 1024,
};

struct inventory {
    struct texts texts;
    struct package *packages; /* owned; the array: texts and lists are in the pool */
    size_t package_count;
    struct inventory_layer *layers; /* owned */
    size_t layer_count;
    struct inventory_fault *faults; /* owned */
    size_t fault_count;
    const char *name;
    struct digest image;
    const char *os_id, *os_version;
    struct inventory_cost cost;
};
struct inventory *inventory_new(void); /* NULL without memory */
NODISCARD int inventory_add_fault(struct inventory *inv, const char *path, const char *text,
                                  struct error *err);

struct node {
    struct package package; /* paths, needs are NULL */
    const char *path;       /* where its evidence stood */
    const char *location;   /* npm: "workspace/node_modules/a", for resolving; else NULL */
    const struct fact *fact;
};
struct edge {
    uint32_t to; /* node */
    const char *by, *range;
};
struct assembly {
    struct inventory *inventory; /* borrowed */
    struct node *nodes;          /* owned */
    size_t node_count, node_capacity;
    struct edge *edges; /* owned */
    size_t edge_count, edge_capacity;
};
#define ASSEMBLY_INIT(inv)                                                                         \
    {                                                                                              \
        .inventory = (inv)                                                                         \
    }
void assembly_done(struct assembly *assembly);
DEFINE_CLEANUP_VALUE(assembly, struct assembly, assembly_done)
NODISCARD int assembly_add_node(struct assembly *assembly, const struct node *node,
                                struct error *err);
NODISCARD int assembly_add_edge(struct assembly *assembly, uint32_t to, const char *by,
                                const char *range, struct error *err);
/* Nodes of equal purl and layer become one package; sorted by purl, then layer. */
NODISCARD int assembly_finish(struct assembly *assembly, struct error *err);

/* Facts of layers laid over each other (merge.c). `facts` of layer i belong to
 * inventory->layers[i]; without layers (a folder) there is one, and lock files count more than
 * node_modules. */
NODISCARD int merge_facts(struct inventory *inv, const struct layer_facts *facts, size_t count,
                          const struct inventory_options *options, struct error *err);
/* Edges between npm nodes, by Node's rule of resolution (npm_tree.c). `apps`: facts of the app's
 * own manifests with the folder each stands in. */
struct npm_app {
    const struct fact *fact;
    struct str folder; /* "workspace", "" */
};
NODISCARD int npm_tree_resolve(struct assembly *assembly, const struct npm_app *apps,
                               size_t app_count, struct error *err);

/* The OSV ecosystem of an OS: "Debian:12", "Ubuntu:22.04:LTS"; "" where OSV has none. In the pool.
 */
const char *ecosystem_of_os(struct texts *texts, const char *id, const char *version);
/* Who owns what no label speaks of: by the kind of the package and where it stands. */
enum owner owner_guess(const char *ecosystem, const char *purl, const char *path);
/* Fills owner and team of a package from its layer, or by guess. */
void inventory_set_owner(struct inventory *inv, const struct inventory_options *options,
                         const char *path, struct package *package);
/* Layers of an image from its diff ids and the labels dev.monban.layers or
 * io.buildpacks.lifecycle.metadata (texts, may be NULL; broken labels become faults). */
NODISCARD int inventory_set_layers(struct inventory *inv, const struct digest *diff_ids,
                                   size_t count, const char *monban_label, const char *cnb_label,
                                   struct error *err);
/* "dev.monban.layers" again, for the document. New reference; NULL without memory. */
json_t *inventory_layers_to_json(const struct inventory *inv);
