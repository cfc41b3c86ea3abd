/* sbom/inventory.c - the inventory itself, and how nodes and edges become packages. */
#include "sbom/purl.h"
#include "sbom/sbom_internal.h"

struct inventory *inventory_new(void)
{
    struct inventory *inv = malloc(sizeof *inv);

    if (inv)
        *inv = (struct inventory){
            .texts = TEXTS_INIT(INVENTORY_TEXT_LIMIT), .name = "", .os_id = "", .os_version = ""};
    return inv;
}

void inventory_free(struct inventory *inv)
{
    if (!inv)
        return;
    texts_done(&inv->texts);
    free(inv->packages);
    free(inv->layers);
    free(inv->faults);
    free(inv);
}

const struct package *inventory_packages(const struct inventory *inv, size_t *ret_count)
{
    *ret_count = inv->package_count;
    return inv->packages;
}

const struct inventory_layer *inventory_layers(const struct inventory *inv, size_t *ret_count)
{
    *ret_count = inv->layer_count;
    return inv->layers;
}

const struct inventory_fault *inventory_faults(const struct inventory *inv, size_t *ret_count)
{
    *ret_count = inv->fault_count;
    return inv->faults;
}

const char *inventory_name(const struct inventory *inv)
{
    return inv->name;
}

const struct digest *inventory_image(const struct inventory *inv)
{
    return &inv->image;
}

const char *inventory_os_id(const struct inventory *inv)
{
    return inv->os_id;
}

const char *inventory_os_version(const struct inventory *inv)
{
    return inv->os_version;
}

const struct inventory_cost *inventory_cost(const struct inventory *inv)
{
    return &inv->cost;
}

int inventory_add_fault(struct inventory *inv, const char *path, const char *text,
                        struct error *err)
{
    struct inventory_fault *faults =
        reallocarray(inv->faults, inv->fault_count + 1, sizeof *faults);

    if (!faults)
        return error_no_memory(err);
    inv->faults = faults;
    faults[inv->fault_count++] = (struct inventory_fault){
        .path = texts_add(&inv->texts, str_of(path)),
        .text = texts_add(&inv->texts, str_of(text)),
    };
    return texts_ok(&inv->texts, err);
}

void assembly_done(struct assembly *assembly)
{
    free(assembly->nodes);
    free(assembly->edges);
    *assembly = (struct assembly){0};
}

/* Room for one more item of `size` bytes in a growing array. */
static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    size_t wanted = *capacity ? *capacity * 2 : 256;

    if (count < *capacity)
        return items;
    items = reallocarray(items, wanted, size);
    if (items)
        *capacity = wanted;
    return items;
}

int assembly_add_node(struct assembly *b, const struct node *node, struct error *err)
{
    struct node *nodes;

    if (b->node_count == INVENTORY_NODES_LIMIT)
        return error_set(err, ERR_LIMIT, "more than %d packages", INVENTORY_NODES_LIMIT);
    nodes = grow(b->nodes, b->node_count, &b->node_capacity, sizeof *nodes);
    if (!nodes)
        return error_no_memory(err);
    b->nodes = nodes;
    nodes[b->node_count++] = *node;
    return texts_ok(&b->inventory->texts, err);
}

int assembly_add_edge(struct assembly *b, uint32_t to, const char *by, const char *range,
                      struct error *err)
{
    struct edge *edges;

    if (b->edge_count == INVENTORY_EDGES_LIMIT)
        return error_set(err, ERR_LIMIT, "more than %d dependencies", INVENTORY_EDGES_LIMIT);
    edges = grow(b->edges, b->edge_count, &b->edge_capacity, sizeof *edges);
    if (!edges)
        return error_no_memory(err);
    b->edges = edges;
    edges[b->edge_count++] = (struct edge){to, by, range};
    return 0;
}

static int by_package(const void *a, const void *b, void *ctx)
{
    const struct node *nodes = ctx;
    const struct node *x = &nodes[*(const uint32_t *)a];
    const struct node *y = &nodes[*(const uint32_t *)b];
    int order = strcmp(x->package.purl, y->package.purl);

    if (order == 0)
        order = (x->package.layer > y->package.layer) - (x->package.layer < y->package.layer);
    return order ? order : strcmp(x->path, y->path);
}

static bool is_same_package(const struct node *x, const struct node *y)
{
    return x->package.layer == y->package.layer && strcmp(x->package.purl, y->package.purl) == 0;
}

static int by_target(const void *a, const void *b)
{
    const struct edge *x = a;
    const struct edge *y = b;
    int order = (x->to > y->to) - (x->to < y->to);

    if (order == 0)
        order = strcmp(x->by, y->by);
    return order ? order : strcmp(x->range, y->range);
}

/* The package of the nodes order[0…count): their paths, each once. */
static void merge_nodes(struct assembly *b, const uint32_t *order, size_t count, struct package *p)
{
    size_t path_count = count < PACKAGE_PATHS_MAX ? count : PACKAGE_PATHS_MAX;
    const char **paths = texts_room(&b->inventory->texts, path_count + 1, sizeof *paths);
    size_t used = 0;

    *p = b->nodes[order[0]].package;
    for (size_t i = 0; i < count; i++) {
        const struct node *node = &b->nodes[order[i]];
        p->is_direct |= node->package.is_direct;
        p->is_dev &= node->package.is_dev;
        if (paths && used < path_count && (used == 0 || strcmp(paths[used - 1], node->path) != 0))
            paths[used++] = node->path;
    }
    p->paths = paths;
}

/* Edges sorted by package → needs of each, each once. */
static void attach_needs(struct assembly *b)
{
    struct inventory *inv = b->inventory;

    for (size_t i = 0; i < b->edge_count;) {
        struct package *p = &inv->packages[b->edges[i].to];
        struct package_need *needs;
        size_t end = i, used = 0;
        while (end < b->edge_count && b->edges[end].to == b->edges[i].to)
            end++;
        needs = texts_room(&inv->texts, end - i < PACKAGE_NEEDS_MAX ? end - i : PACKAGE_NEEDS_MAX,
                           sizeof *needs);
        for (size_t k = i; needs && k < end && used < PACKAGE_NEEDS_MAX; k++) {
            if (k > i && by_target(&b->edges[k - 1], &b->edges[k]) == 0)
                continue;
            needs[used++] = (struct package_need){b->edges[k].by, b->edges[k].range};
            p->is_direct |= b->edges[k].by[0] == '\0';
        }
        p->needs = needs;
        p->need_count = used;
        i = end;
    }
}

int assembly_finish(struct assembly *b, struct error *err)
{
    struct inventory *inv = b->inventory;
    uint32_t *order = malloc((b->node_count + 1) * sizeof *order);
    uint32_t *package_of = malloc((b->node_count + 1) * sizeof *package_of);
    size_t count = 0;
    int rc = -1;

    inv->packages = calloc(b->node_count + 1, sizeof *inv->packages);
    if (!order || !package_of || !inv->packages) {
        (void)error_no_memory(err);
        goto out;
    }
    for (size_t i = 0; i < b->node_count; i++)
        order[i] = (uint32_t)i;
    qsort_r(order, b->node_count, sizeof *order, by_package, b->nodes);
    for (size_t i = 0; i < b->node_count;) {
        size_t end = i;
        while (end < b->node_count && is_same_package(&b->nodes[order[i]], &b->nodes[order[end]]))
            package_of[order[end++]] = (uint32_t)count;
        merge_nodes(b, order + i, end - i, &inv->packages[count++]);
        i = end;
    }
    inv->package_count = count;
    for (size_t i = 0; i < b->edge_count; i++)
        b->edges[i].to = package_of[b->edges[i].to];
    if (b->edge_count)
        qsort(b->edges, b->edge_count, sizeof *b->edges, by_target);
    attach_needs(b);
    rc = texts_ok(&inv->texts, err);
out:
    free(order);
    free(package_of);
    return rc;
}
