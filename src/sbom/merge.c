/* sbom/merge.c - the facts of layers laid over each other: what is visible in the end, and which
 * layer brought it.
 *
 * Source: image-spec layer.md (whiteouts hide lower layers only; a file hides a lower folder). A
 * package of dpkg's one status file belongs to the lowest layer since which it has stood there
 * unchanged: the file is written anew whenever a layer installs anything, which says nothing about
 * the others. */
#include "sbom/purl.h"
#include "sbom/sbom_internal.h"

struct seen { /* one piece of evidence in one layer */
    const struct evidence *item;
    uint32_t layer;
};
struct merge {
    struct inventory *inv;
    const struct layer_facts *facts;
    size_t layer_count;
    const struct inventory_options *options;
    struct assembly assembly;
    struct seen *seen; /* owned; sorted by path, topmost layer first */
    size_t seen_count;
    struct npm_app *apps; /* owned */
    size_t app_count;
    const char *ecosystem; /* of the OS */
    bool is_folder;
    bool skips_locks, skips_installed;
};

static void merge_done(struct merge *m)
{
    assembly_done(&m->assembly);
    free(m->seen);
    free(m->apps);
}
DEFINE_CLEANUP_VALUE(merge, struct merge, merge_done)

static int by_path_and_layer(const void *a, const void *b)
{
    const struct seen *x = a;
    const struct seen *y = b;
    int order = strcmp(x->item->path, y->item->path);

    return order ? order : (x->layer < y->layer) - (x->layer > y->layer);
}

static int by_text(const void *key, const void *item)
{
    return strcmp(key, *(char *const *)item);
}

static bool has_text(const struct strv *v, const char *text)
{
    return v->count && bsearch(text, v->items, v->count, sizeof *v->items, by_text);
}

static int by_hash(const void *key, const void *item)
{
    const uint64_t *x = key;
    const uint64_t *y = item;

    return (*x > *y) - (*x < *y);
}

static bool is_solid(const struct layer_facts *facts, struct str path)
{
    uint64_t hash = facts_hash(path);

    return facts->solid_count &&
           bsearch(&hash, facts->solid, facts->solid_count, sizeof hash, by_hash);
}

/* Whether a layer above `layer` takes `path` away: by a whiteout of it or of a folder above it, by
 * an opaque folder, or by something that is no folder where its folder was (or where it was
 * itself). */
static bool is_hidden(const struct merge *m, const char *path, uint32_t layer)
{
    char part[LAYER_PATH_LIMIT];
    size_t len = strlen(path);

    if (len >= sizeof part)
        return true;
    for (size_t above = layer + 1; above < m->layer_count; above++) {
        const struct layer_facts *facts = &m->facts[above];
        memcpy(part, path, len + 1);
        if (has_text(&facts->whiteouts, part) || is_solid(facts, str_slice(part, len)))
            return true;
        for (size_t at = len; at-- > 0;) {
            if (part[at] != '/')
                continue;
            part[at] = '\0';
            if (has_text(&facts->whiteouts, part) || has_text(&facts->opaques, part) ||
                is_solid(facts, str_slice(part, at)))
                return true;
        }
        if (has_text(&facts->opaques, ""))
            return true;
    }
    return false;
}

static int collect_seen(struct merge *m, struct error *err)
{
    size_t total = 0;

    for (size_t i = 0; i < m->layer_count; i++)
        total += m->facts[i].count;
    m->seen = malloc((total + 1) * sizeof *m->seen);
    m->apps = malloc((total + 1) * sizeof *m->apps);
    if (!m->seen || !m->apps)
        return error_no_memory(err);
    for (size_t i = 0; i < m->layer_count; i++) {
        for (size_t k = 0; k < m->facts[i].count; k++)
            m->seen[m->seen_count++] = (struct seen){&m->facts[i].items[k], (uint32_t)i};
    }
    qsort(m->seen, m->seen_count, sizeof *m->seen, by_path_and_layer);
    return 0;
}

/* Leaves the visible ones; those below a visible dpkg status stay right behind it for
 * package_layer(). */
static void drop_hidden(struct merge *m)
{
    size_t kept = 0;

    for (size_t i = 0; i < m->seen_count;) {
        size_t end = i;
        while (end < m->seen_count && strcmp(m->seen[i].item->path, m->seen[end].item->path) == 0)
            end++;
        if (!is_hidden(m, m->seen[i].item->path, m->seen[i].layer)) {
            size_t keep = m->seen[i].item->kind == EVIDENCE_DPKG ? end - i : 1;
            for (size_t k = 0; k < keep; k++)
                m->seen[kept++] = m->seen[i + k];
        }
        i = end;
    }
    m->seen_count = kept;
}

static bool has_package(const struct evidence *item, const struct fact *fact, size_t hint)
{
    /* dpkg keeps the file sorted by name, so the hint is nearly always close. */
    for (size_t i = 0; i < item->fact_count; i++) {
        const struct fact *other = &item->facts[(hint + i) % item->fact_count];
        if (strcmp(other->name, fact->name) == 0 && strcmp(other->version, fact->version) == 0 &&
            strcmp(other->architecture, fact->architecture) == 0)
            return true;
    }
    return false;
}

/* `seen` is the visible status; those of the same path behind it are of lower layers. */
static uint32_t package_layer(const struct merge *m, const struct seen *seen, size_t index)
{
    const struct seen *lower = seen + 1;
    uint32_t layer = seen->layer;

    for (; lower < m->seen + m->seen_count && strcmp(lower->item->path, seen->item->path) == 0;
         lower++) {
        if (!has_package(lower->item, &seen->item->facts[index], index))
            break;
        layer = lower->layer;
    }
    return layer;
}

static int add_node(struct merge *m, struct node *node, const struct seen *seen, struct buf *purl,
                    struct error *err)
{
    struct package *p = &node->package;

    if (buf_ok(purl, err) < 0)
        return -1;
    p->purl = texts_add(&m->inv->texts, buf_str(purl));
    if (m->is_folder)
        p->layer = PACKAGE_NO_LAYER;
    node->path = texts_add(&m->inv->texts, str_of(seen->item->path));
    inventory_set_owner(m->inv, m->options, node->path, p);
    return assembly_add_node(&m->assembly, node, err);
}

static int add_deb(struct merge *m, const struct seen *seen, size_t index, struct error *err)
{
    CLEANUP(buf) struct buf purl = BUF_INIT(PURL_BYTES_MAX);
    const struct fact *fact = &seen->item->facts[index];
    struct texts *texts = &m->inv->texts;
    const char *id = m->inv->os_id[0] ? m->inv->os_id : "debian";
    bool has_source = strcmp(fact->name, fact->source_name) != 0;
    bool has_other_version = strcmp(fact->version, fact->source_version) != 0;
    char distro[128] = "", upstream[512] = "";
    struct node node = {.package = {.architecture = texts_add(texts, str_of(fact->architecture)),
                                    .ecosystem = m->ecosystem,
                                    .layer = seen->layer}};

    if (m->inv->os_version[0])
        (void)snprintf(distro, sizeof distro, "%s-%s", id,
                       m->inv->os_version); /* cut is harmless */
    if (has_source || has_other_version)
        (void)snprintf(upstream, sizeof upstream, "%s%s%s", fact->source_name,
                       has_other_version ? "@" : "", has_other_version ? fact->source_version : "");
    purl_build(&purl, "deb", id, fact->name, fact->version,
               (const char *const[]){"arch", fact->architecture, "distro", distro, "upstream",
                                     upstream, NULL});
    node.package.name = texts_add(texts, str_of(fact->name));
    node.package.version = texts_add(texts, str_of(fact->version));
    node.package.source_name = texts_add(texts, str_of(fact->source_name));
    node.package.source_version = texts_add(texts, str_of(fact->source_version));
    if (seen->item->kind == EVIDENCE_DPKG)
        node.package.layer = package_layer(m, seen, index);
    return add_node(m, &node, seen, &purl, err);
}

static int add_npm(struct merge *m, const struct seen *seen, const struct fact *fact,
                   const char *location, struct error *err)
{
    CLEANUP(buf) struct buf purl = BUF_INIT(PURL_BYTES_MAX);
    struct texts *texts = &m->inv->texts;
    const char *name = texts_add(texts, str_of(fact->name));
    const char *version = texts_add(texts, str_of(fact->version));
    struct str rest = str_of(name);
    CLEANUP(text) char *scope = NULL;
    struct node node = {.package = {.name = name,
                                    .version = version,
                                    .source_name = name,
                                    .source_version = version,
                                    .architecture = "",
                                    .ecosystem = "npm",
                                    .layer = seen->layer,
                                    .is_dev = fact->is_dev},
                        .location = texts_add(texts, str_of(location)),
                        .fact = fact};

    if (rest.ptr[0] == '@' && str_find(rest, '/') > 0) {
        scope = str_dup(str_cut(&rest, '/'));
        if (!scope)
            return error_no_memory(err);
    }
    purl_build(&purl, "npm", scope, rest.ptr, version, NULL);
    return add_node(m, &node, seen, &purl, err);
}

static int add_runtime(struct merge *m, const struct seen *seen, const char *name,
                       const char *version, struct error *err)
{
    CLEANUP(buf) struct buf purl = BUF_INIT(PURL_BYTES_MAX);
    struct texts *texts = &m->inv->texts;
    struct node node = {.package = {.architecture = "", .ecosystem = "", .layer = seen->layer}};

    node.package.name = node.package.source_name = texts_add(texts, str_of(name));
    node.package.version = node.package.source_version = texts_add(texts, str_of(version));
    purl_build(&purl, "generic", NULL, name, version, NULL);
    return add_node(m, &node, seen, &purl, err);
}

static struct str folder_of(const char *path)
{
    struct str s = str_of(path);
    ptrdiff_t slash = str_find_last(s, '/');

    return slash < 0 ? STR("") : str_first(s, (size_t)slash);
}

static int add_lock(struct merge *m, const struct seen *seen, struct error *err)
{
    struct str folder = folder_of(seen->item->path);

    if (m->skips_locks || seen->item->fact_count == 0)
        return 0;
    m->apps[m->app_count++] = (struct npm_app){&seen->item->facts[0], folder};
    for (size_t i = 1; i < seen->item->fact_count; i++) {
        const struct fact *fact = &seen->item->facts[i];
        char location[LAYER_PATH_LIMIT * 2];
        if (fact->is_dev && !m->options->with_dev)
            continue;
        (void)snprintf(location, sizeof location, "%.*s%s%s", STR_ARG(folder),
                       folder.len ? "/" : "", fact->location); /* a cut one resolves to nothing */
        if (add_npm(m, seen, fact, location, err) < 0)
            return -1;
    }
    return 0;
}

static int add_item(struct merge *m, const struct seen *seen, struct error *err)
{
    const struct evidence *item = seen->item;

    if (item->fault)
        return inventory_add_fault(m->inv, item->path, item->fault, err);
    switch (item->kind) {
    case EVIDENCE_DPKG:
    case EVIDENCE_DPKG_ONE:
        for (size_t i = 0; i < item->fact_count; i++) {
            if (add_deb(m, seen, i, err) < 0)
                return -1;
        }
        return 0;
    case EVIDENCE_NPM_PACKAGE: {
        CLEANUP(text) char *location = str_dup(folder_of(item->path));
        if (!location)
            return error_no_memory(err);
        return m->skips_installed || item->fact_count == 0
                   ? 0
                   : add_npm(m, seen, &item->facts[0], location, err);
    }
    case EVIDENCE_NPM_MANIFEST:
        if (item->fact_count)
            m->apps[m->app_count++] = (struct npm_app){&item->facts[0], folder_of(item->path)};
        return 0;
    case EVIDENCE_NPM_LOCK:
        return add_lock(m, seen, err);
    case EVIDENCE_NODE:
        return item->fact_count ? add_runtime(m, seen, "node", item->facts[0].version, err) : 0;
    case EVIDENCE_OS_RELEASE:
    case EVIDENCE_NONE:
        break;
    }
    return 0;
}

/* What decides how the rest is read: the OS, and whether packages are installed or only listed. */
static void look_ahead(struct merge *m)
{
    bool has_installed = false, has_lock = false;

    for (size_t i = 0; i < m->seen_count; i++) {
        const struct evidence *item = m->seen[i].item;
        if (item->kind == EVIDENCE_OS_RELEASE && item->fact_count && !m->inv->os_id[0]) {
            m->inv->os_id = texts_add(&m->inv->texts, str_of(item->facts[0].name));
            m->inv->os_version = texts_add(&m->inv->texts, str_of(item->facts[0].version));
        }
        has_installed |= item->kind == EVIDENCE_NPM_PACKAGE &&
                         str_find_text(str_of(item->path), STR("lib/node_modules/")) < 0;
        has_lock |= item->kind == EVIDENCE_NPM_LOCK && !item->fault;
    }
    /* An image runs what is installed; a lock file in it may list much that is not. A folder is a
     * source: its lock file is what will be installed. */
    m->skips_locks = !m->is_folder && has_installed;
    m->skips_installed = m->is_folder && has_lock;
    m->ecosystem = ecosystem_of_os(&m->inv->texts, m->inv->os_id, m->inv->os_version);
}

/* A layer that is labelled "node@22.11.0" and shows no other sign of it. */
static int add_labelled_runtimes(struct merge *m, struct error *err)
{
    for (size_t i = 0; i < m->inv->layer_count; i++) {
        const struct inventory_layer *layer = &m->inv->layers[i];
        struct evidence item = {.path = layer->name};
        struct seen seen = {&item, (uint32_t)i};
        ptrdiff_t at = str_find_last(str_of(layer->name), '@');
        bool is_known = false;
        CLEANUP(text) char *name = NULL;
        if (layer->owner != OWNER_RUNTIME || at <= 0)
            continue;
        name = str_dup(str_first(str_of(layer->name), (size_t)at));
        if (!name)
            return error_no_memory(err);
        for (size_t k = 0; k < m->assembly.node_count; k++)
            is_known |= m->assembly.nodes[k].package.layer == i &&
                        strcmp(m->assembly.nodes[k].package.name, name) == 0;
        if (!is_known && layer->name[at + 1] &&
            add_runtime(m, &seen, name, layer->name + at + 1, err) < 0)
            return -1;
    }
    return 0;
}

int merge_facts(struct inventory *inv, const struct layer_facts *facts, size_t count,
                const struct inventory_options *options, struct error *err)
{
    CLEANUP(merge)
    struct merge m = {.inv = inv,
                      .facts = facts,
                      .layer_count = count,
                      .options = options,
                      .assembly = ASSEMBLY_INIT(inv),
                      .is_folder = inv->layer_count == 0};

    if (collect_seen(&m, err) < 0)
        return -1;
    drop_hidden(&m);
    look_ahead(&m);
    for (size_t i = 0; i < m.seen_count; i++) {
        /* The lower status files that drop_hidden() left are there for package_layer() only. */
        if (i > 0 && strcmp(m.seen[i - 1].item->path, m.seen[i].item->path) == 0)
            continue;
        if (add_item(&m, &m.seen[i], err) < 0)
            return -1;
    }
    if (add_labelled_runtimes(&m, err) < 0 ||
        npm_tree_resolve(&m.assembly, m.apps, m.app_count, err) < 0)
        return -1;
    return assembly_finish(&m.assembly, err);
}
