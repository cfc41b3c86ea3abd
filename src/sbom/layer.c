/* sbom/layer.c - the facts of a layer: which files are evidence, and how they are kept. See
 * layer.h; layer_read.c streams the archive. */
#include "sbom/layer.h"

#include "sbom/evidence.h"

uint64_t facts_hash(struct str path)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < path.len; i++)
        hash = (hash ^ (unsigned char)path.ptr[i]) * 0x100000001b3u;
    return hash;
}

/* What follows the last "node_modules/", or ptr NULL if the path is not in one. */
static struct str after_node_modules(struct str path)
{
    static const struct str folder = {"node_modules/", 13};
    struct str rest = path;
    struct str found = STR_NONE;
    ptrdiff_t at;

    while ((at = str_find_text(rest, folder)) >= 0) {
        bool is_component =
            at == 0 ? rest.ptr == path.ptr || rest.ptr[-1] == '/' : rest.ptr[at - 1] == '/';
        rest = str_skip(rest, (size_t)at + folder.len);
        if (is_component)
            found = rest;
    }
    return found;
}

/* "name/package.json", "@scope/name/package.json": an installed package, not a test's fixture in
 * it. */
static bool is_installed_manifest(struct str rest)
{
    int slashes = 0;

    for (size_t i = 0; i < rest.len; i++)
        slashes += rest.ptr[i] == '/';
    return str_ends(rest, STR("/package.json")) &&
           slashes == (rest.len && rest.ptr[0] == '@' ? 2 : 1) && rest.ptr[0] != '.';
}

static bool has_name(struct str path, const char *name) /* "name" or "…/name" */
{
    size_t len = strlen(name);

    return path.len >= len && memcmp(path.ptr + path.len - len, name, len) == 0 &&
           (path.len == len || path.ptr[path.len - len - 1] == '/');
}

static enum evidence_kind kind_of_os(struct str path)
{
    static const struct str one = {"var/lib/dpkg/status.d/", 22};

    if (str_is(path, "var/lib/dpkg/status"))
        return EVIDENCE_DPKG;
    if (str_starts(path, one) && str_find(str_skip(path, one.len), '/') < 0 &&
        !str_ends(path, STR(".md5sums")))
        return EVIDENCE_DPKG_ONE;
    if (str_is(path, "etc/os-release") || str_is(path, "usr/lib/os-release"))
        return EVIDENCE_OS_RELEASE;
    return EVIDENCE_NONE;
}

enum evidence_kind evidence_kind_of(struct str path, uint64_t size, size_t *ret_limit)
{
    enum evidence_kind kind = kind_of_os(path);
    struct str rest;

    *ret_limit = EVIDENCE_FILE_LIMIT;
    if (kind != EVIDENCE_NONE)
        return kind;
    if (has_name(path, "include/node/node_version.h"))
        return EVIDENCE_NODE;
    if (has_name(path, "bin/node") && size > (1 << 20))
        return EVIDENCE_NODE; /* the program itself: searched, not read whole */
    if (!has_name(path, "package.json") && !has_name(path, "package-lock.json") &&
        !has_name(path, "npm-shrinkwrap.json"))
        return EVIDENCE_NONE;
    rest = after_node_modules(path);
    if (has_name(path, "package.json")) {
        *ret_limit = EVIDENCE_MANIFEST_LIMIT;
        if (!rest.ptr)
            return EVIDENCE_NPM_MANIFEST;
        return is_installed_manifest(rest) ? EVIDENCE_NPM_PACKAGE : EVIDENCE_NONE;
    }
    return rest.ptr ? EVIDENCE_NONE : EVIDENCE_NPM_LOCK;
}

static int add_item(struct layer_facts *facts, const struct evidence *item, struct error *err)
{
    if (facts->count == LAYER_EVIDENCE_LIMIT)
        return error_set(err, ERR_LIMIT, "more than %d files with package facts",
                         LAYER_EVIDENCE_LIMIT);
    if (facts->count == facts->capacity) {
        size_t capacity = facts->capacity ? facts->capacity * 2 : 64;
        struct evidence *items = reallocarray(facts->items, capacity, sizeof *items);
        if (!items)
            return error_no_memory(err);
        facts->items = items;
        facts->capacity = capacity;
    }
    facts->items[facts->count++] = *item;
    return texts_ok(&facts->texts, err);
}

int layer_facts_add_fault(struct layer_facts *facts, enum evidence_kind kind, struct str path,
                          const char *fault, struct error *err)
{
    struct evidence item = {
        .kind = kind,
        .path = texts_add(&facts->texts, path),
        .fault = texts_add(&facts->texts, str_of(fault)),
    };

    return add_item(facts, &item, err);
}

static int parse(enum evidence_kind kind, struct str text, struct texts *texts,
                 struct fact_list *out, struct error *err)
{
    switch (kind) {
    case EVIDENCE_DPKG:
        return dpkg_parse(text, true, texts, out, err);
    case EVIDENCE_DPKG_ONE:
        return dpkg_parse(text, false, texts, out, err);
    case EVIDENCE_OS_RELEASE:
        return osrelease_parse(text, texts, out, err);
    case EVIDENCE_NPM_PACKAGE:
        return npm_parse_manifest(text, false, texts, out, err);
    case EVIDENCE_NPM_MANIFEST:
        return npm_parse_manifest(text, true, texts, out, err);
    case EVIDENCE_NPM_LOCK:
        return npm_parse_lock(text, texts, out, err);
    case EVIDENCE_NODE:
        return node_parse_version(text, texts, out, err);
    case EVIDENCE_NONE:
        break;
    }
    return error_set(err, ERR_INTERNAL, "no parser for evidence of kind %d", (int)kind);
}

int layer_facts_add(struct layer_facts *facts, enum evidence_kind kind, struct str path,
                    struct str text, struct error *err)
{
    CLEANUP(fact_list) struct fact_list list = FACT_LIST_INIT;
    struct evidence item = {.kind = kind};
    struct fact *kept;

    if (parse(kind, text, &facts->texts, &list, err) < 0) {
        char reason[256];
        if (err->kind != ERR_INVALID)
            return error_wrap(err, "%.*s", STR_ARG(str_first(path, 200)));
        (void)snprintf(reason, sizeof reason, "%.200s", err->text); /* cut is fine */
        error_clear(err);
        return layer_facts_add_fault(facts, kind, path, reason, err);
    }
    kept = texts_room(&facts->texts, list.count, sizeof *kept);
    if (kept && list.count)
        memcpy(kept, list.items, list.count * sizeof *kept);
    item.path = texts_add(&facts->texts, path);
    item.facts = kept;
    item.fact_count = kept ? list.count : 0;
    return add_item(facts, &item, err);
}

static int by_path(const void *a, const void *b)
{
    const struct evidence *x = a;
    const struct evidence *y = b;

    return strcmp(x->path, y->path);
}

static int by_hash(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return (*x > *y) - (*x < *y);
}

void layer_facts_sort(struct layer_facts *facts)
{
    size_t kept = 0;

    if (facts->count) /* qsort of glibc is a merge sort: stable, so the later of two entries stays
                         later */
        qsort(facts->items, facts->count, sizeof *facts->items, by_path);
    for (size_t i = 0; i < facts->count; i++) {
        if (i + 1 < facts->count && strcmp(facts->items[i].path, facts->items[i + 1].path) == 0)
            continue; /* an archive may hold a path twice: the last one is what unpacks */
        facts->items[kept++] = facts->items[i];
    }
    facts->count = kept;
    if (facts->solid_count)
        qsort(facts->solid, facts->solid_count, sizeof *facts->solid, by_hash);
    strv_sort(&facts->whiteouts);
    strv_sort(&facts->opaques);
}

void layer_facts_done(struct layer_facts *facts)
{
    texts_done(&facts->texts);
    free(facts->items);
    strv_done(&facts->whiteouts);
    strv_done(&facts->opaques);
    free(facts->solid);
    *facts = (struct layer_facts)LAYER_FACTS_INIT;
}
