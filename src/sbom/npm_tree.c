/* sbom/npm_tree.c - who asks for whom in node_modules. Source: Node.js, "Loading from node_modules
 * folders". */
#include "sbom/sbom_internal.h"

struct ref {
    const char *location;
    uint32_t node;
};
struct tree {
    struct ref *refs; /* owned; sorted by location */
    size_t count;
};

static void tree_done(struct tree *tree)
{
    free(tree->refs);
}
DEFINE_CLEANUP_VALUE(tree, struct tree, tree_done)

static int by_location(const void *a, const void *b)
{
    return strcmp(((const struct ref *)a)->location, ((const struct ref *)b)->location);
}

static int tree_init(struct tree *tree, const struct assembly *b, struct error *err)
{
    tree->refs = malloc((b->node_count + 1) * sizeof *tree->refs);
    if (!tree->refs)
        return error_no_memory(err);
    for (size_t i = 0; i < b->node_count; i++) {
        if (b->nodes[i].location)
            tree->refs[tree->count++] = (struct ref){b->nodes[i].location, (uint32_t)i};
    }
    qsort(tree->refs, tree->count, sizeof *tree->refs, by_location);
    return 0;
}

static const struct ref *find(const struct tree *tree, const char *location)
{
    struct ref key = {.location = location};

    return bsearch(&key, tree->refs, tree->count, sizeof *tree->refs, by_location);
}

/* From "w/node_modules/a" the name "b" is w/node_modules/a/node_modules/b, else w/node_modules/b.
 */
static const struct ref *resolve(const struct tree *tree, struct str from, const char *name)
{
    char path[LAYER_PATH_LIMIT];

    for (;;) {
        const struct ref *found;
        struct str rest = from;
        ptrdiff_t at, last = -1;
        int len = snprintf(path, sizeof path, "%.*s%snode_modules/%s", STR_ARG(from),
                           from.len ? "/" : "", name);
        if (len < 0 || (size_t)len >= sizeof path)
            return NULL;
        found = find(tree, path);
        if (found)
            return found;
        /* Up: cut the last "node_modules/…" off. */
        while ((at = str_find_text(rest, STR("node_modules/"))) >= 0) {
            last = rest.ptr - from.ptr + at;
            rest = str_skip(rest, (size_t)at + 1);
        }
        if (last < 0)
            return NULL;
        from = str_trim_end(str_first(from, (size_t)last), '/');
    }
}

/* The app's folder may be apart from its node_modules (a buildpack's dependency layer): then a
 * package at the top of any one tree serves. Trees of globally installed tools do not. */
static const struct ref *find_at_top(const struct tree *tree, const char *name)
{
    for (size_t i = 0; i < tree->count; i++) {
        struct str location = str_of(tree->refs[i].location);
        ptrdiff_t at = str_find_text(location, STR("node_modules/"));
        if (at >= 0 && str_is(str_skip(location, (size_t)at + strlen("node_modules/")), name) &&
            str_find_text(location, STR("lib/node_modules/")) < 0)
            return &tree->refs[i];
    }
    return NULL;
}

static int resolve_app(struct assembly *b, const struct tree *tree, const struct npm_app *app,
                       struct error *err)
{
    for (size_t i = 0; i < app->fact->need_count; i++) {
        const struct fact_need *need = &app->fact->needs[i];
        const struct ref *ref = resolve(tree, app->folder, need->name);
        if (!ref)
            ref = find_at_top(tree, need->name);
        if (ref && assembly_add_edge(b, ref->node, "",
                                     texts_add(&b->inventory->texts, str_of(need->range)), err) < 0)
            return -1;
    }
    return 0;
}

int npm_tree_resolve(struct assembly *b, const struct npm_app *apps, size_t app_count,
                     struct error *err)
{
    CLEANUP(tree) struct tree tree = {0};
    struct texts *texts = &b->inventory->texts;

    if (tree_init(&tree, b, err) < 0)
        return -1;
    for (size_t i = 0; i < b->node_count; i++) {
        const struct node *node = &b->nodes[i];
        const char *by;
        if (!node->location || !node->fact || node->fact->need_count == 0)
            continue;
        by = texts_addf(texts, "%s@%s", node->package.name, node->package.version);
        for (size_t k = 0; k < node->fact->need_count; k++) {
            const struct fact_need *need = &node->fact->needs[k];
            const struct ref *ref = resolve(&tree, str_of(node->location), need->name);
            if (ref &&
                assembly_add_edge(b, ref->node, by, texts_add(texts, str_of(need->range)), err) < 0)
                return -1;
        }
    }
    for (size_t i = 0; i < app_count; i++) {
        if (resolve_app(b, &tree, &apps[i], err) < 0)
            return -1;
    }
    return texts_ok(texts, err);
}
