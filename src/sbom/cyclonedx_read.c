/* sbom/cyclonedx_read.c - an inventory from a CycloneDX document, ours or another tool's.
 *
 * From ours nothing is lost. From others purl and version say what a package is; its owner is
 * guessed, and edges come from `dependencies`, without ranges. */
#include "sbom/purl.h"
#include "sbom/sbom_internal.h"

enum { BOM_DEPTH_MAX = 16 };

struct reading {
    struct inventory *inv;
    struct assembly assembly;
    const struct inventory_options *options;
};

static const char *property(const json_t *object, const char *name)
{
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(object, "properties"), i, item)
    {
        const char *key = json_string_value(json_object_get(item, "name"));
        if (key && strcmp(key, name) == 0)
            return json_string_value(json_object_get(item, "value"));
    }
    return NULL;
}

static const char *keep(struct reading *r, const char *text)
{
    return text ? texts_add(&r->inv->texts, str_of(text)) : "";
}

/* "source 1.2-3" */
static void take_source(struct reading *r, const char *value, struct package *p)
{
    struct str version = str_of(value);
    struct str name = str_cut(&version, ' ');

    p->source_name = texts_add(&r->inv->texts, name);
    p->source_version = texts_add(&r->inv->texts, version);
}

static uint32_t layer_index(const struct inventory *inv, const char *diff_id)
{
    for (size_t i = 0; diff_id && i < inv->layer_count; i++) {
        if (strcmp(inv->layers[i].diff_id.text, diff_id) == 0)
            return (uint32_t)i;
    }
    return PACKAGE_NO_LAYER;
}

/* What the purl says: name as its tools write it, ecosystem, source. False if there is no version.
 */
static int take_purl(struct reading *r, struct str text, struct package *p, bool *ret_ok,
                     struct error *err)
{
    CLEANUP(purl) struct purl purl = PURL_INIT;
    CLEANUP(buf) struct buf ecosystem = BUF_INIT(1024);
    CLEANUP(buf) struct buf osv_name = BUF_INIT(PURL_BYTES_MAX);
    CLEANUP(buf) struct buf canonical = BUF_INIT(PURL_BYTES_MAX * 4);
    const char *upstream;
    bool is_os;

    *ret_ok = false;
    if (purl_parse(text, &purl, err) < 0) {
        if (err->kind == ERR_NO_MEMORY)
            return -1;
        error_clear(err);
        return 0;
    }
    if (!purl.version)
        return 0;
    purl_write(&purl, &canonical);
    p->purl = texts_add(&r->inv->texts, buf_str(&canonical));
    p->version = p->source_version = keep(r, purl.version);
    p->name = p->source_name = keep(r, purl.name);
    p->architecture = keep(r, purl_qualifier(&purl, "arch"));
    is_os = strcmp(purl.type, "deb") == 0 || strcmp(purl.type, "apk") == 0 ||
            strcmp(purl.type, "rpm") == 0;
    if (purl_osv(&purl, &ecosystem, &osv_name)) {
        p->ecosystem = texts_add(&r->inv->texts, buf_str(&ecosystem));
        p->source_name = texts_add(&r->inv->texts, buf_str(&osv_name));
        if (!is_os)
            p->name = p->source_name;
    }
    upstream = purl_qualifier(&purl, "upstream");
    if (is_os && upstream && strchr(upstream, '@'))
        p->source_version = keep(r, strchr(upstream, '@') + 1);
    *ret_ok = buf_ok(&canonical, err) == 0 && buf_ok(&ecosystem, err) == 0;
    return *ret_ok ? texts_ok(&r->inv->texts, err) : -1;
}

static int take_needs(struct reading *r, const json_t *component, uint32_t node, struct error *err)
{
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(component, "properties"), i, item)
    {
        const char *key = json_string_value(json_object_get(item, "name"));
        struct str range = str_of(json_string_value(json_object_get(item, "value")));
        struct str by;
        if (!key || strcmp(key, "dev.monban:required-by") != 0 || !range.ptr)
            continue;
        by = str_cut(&range, ' ');
        if (assembly_add_edge(&r->assembly, node, texts_add(&r->inv->texts, by),
                              texts_add(&r->inv->texts, range), err) < 0)
            return -1;
    }
    return 0;
}

/* A node for each place it was found at; the first one has the needs. */
static int add_nodes(struct reading *r, const json_t *component, struct node *node,
                     struct error *err)
{
    const json_t *occurrences =
        json_object_get(json_object_get(component, "evidence"), "occurrences");
    uint32_t first = (uint32_t)r->assembly.node_count;
    size_t count = 0;
    json_t *item;
    size_t i;

    json_array_foreach(occurrences, i, item)
    {
        const char *location = json_string_value(json_object_get(item, "location"));
        if (!location)
            continue;
        node->path = keep(r, location);
        if (assembly_add_node(&r->assembly, node, err) < 0)
            return -1;
        count++;
    }
    node->path = "";
    if (count == 0 && assembly_add_node(&r->assembly, node, err) < 0)
        return -1;
    return take_needs(r, component, first, err);
}

static int take_component(struct reading *r, const json_t *component, struct error *err)
{
    const char *purl = json_string_value(json_object_get(component, "purl"));
    const char *scope = json_string_value(json_object_get(component, "scope"));
    const char *ecosystem = property(component, "dev.monban:ecosystem");
    const char *source = property(component, "dev.monban:source");
    const char *team = property(component, "dev.monban:team");
    const char *direct = property(component, "dev.monban:direct");
    const char *owner = property(component, "dev.monban:owner");
    struct node node = {.package = {.ecosystem = "", .architecture = "", .team = ""}};
    struct package *p = &node.package;
    bool ok;

    if (!purl || take_purl(r, str_of(purl), p, &ok, err) < 0)
        return purl ? -1 : 0;
    if (!ok)
        return 0;
    p->layer = layer_index(r->inv, property(component, "dev.monban:layer"));
    if (ecosystem)
        p->ecosystem = keep(r, ecosystem);
    if (source)
        take_source(r, source, p);
    p->is_direct = direct && strcmp(direct, "true") == 0;
    p->is_dev = scope && strcmp(scope, "excluded") == 0;
    inventory_set_owner(r->inv, r->options, "", p);
    if (team)
        p->team = keep(r, team);
    if (owner)
        (void)owner_parse(str_of(owner), &p->owner); /* another word: the guess stays */
    return add_nodes(r, component, &node, err);
}

static int take_components(struct reading *r, const json_t *list, int depth, struct error *err)
{
    json_t *component;
    size_t i;

    if (depth > BOM_DEPTH_MAX)
        return error_set(err, ERR_LIMIT, "components nested deeper than %d", BOM_DEPTH_MAX);
    json_array_foreach(list, i, component)
    {
        const char *type = json_string_value(json_object_get(component, "type"));
        if (type && strcmp(type, "operating-system") == 0) {
            r->inv->os_id = keep(r, json_string_value(json_object_get(component, "name")));
            r->inv->os_version = keep(r, json_string_value(json_object_get(component, "version")));
        } else if (take_component(r, component, err) < 0) {
            return -1;
        }
        if (take_components(r, json_object_get(component, "components"), depth + 1, err) < 0)
            return -1;
    }
    return 0;
}

static int take_layers(struct reading *r, const json_t *metadata, struct error *err)
{
    const char *label = property(metadata, "dev.monban:layers");
    CLEANUP(json) json_t *layers = NULL;
    struct digest *diff_ids;
    size_t count;
    int rc;

    if (!label)
        return 0;
    if (json_parse("dev.monban:layers", str_of(label), &layers, err) < 0)
        return -1;
    count = json_array_size(layers);
    diff_ids = calloc(count + 1, sizeof *diff_ids);
    if (!diff_ids)
        return error_no_memory(err);
    for (size_t i = 0; i < count; i++)
        (void)digest_parse(str_of(json_str_at(json_array_get(layers, i), "diffID")), &diff_ids[i]);
    rc = inventory_set_layers(r->inv, diff_ids, count, label, NULL, err);
    free(diff_ids);
    return rc;
}

static int take_metadata(struct reading *r, const json_t *bom, struct error *err)
{
    const json_t *metadata = json_object_get(bom, "metadata");
    const char *name = property(metadata, "dev.monban:name");
    const char *version = json_str_at(metadata, "component.version");
    json_t *item;
    size_t i;

    r->inv->name = keep(r, name);
    if (version)
        (void)digest_parse(str_of(version), &r->inv->image); /* else it is no image of a registry */
    json_array_foreach(json_object_get(metadata, "properties"), i, item)
    {
        const char *key = json_string_value(json_object_get(item, "name"));
        struct str text = str_of(json_string_value(json_object_get(item, "value")));
        CLEANUP(text) char *path = NULL;
        ptrdiff_t at;
        if (!key || strcmp(key, "dev.monban:fault") != 0 ||
            (at = str_find_text(text, STR(": "))) < 0)
            continue;
        path = str_dup(str_first(text, (size_t)at));
        if (!path)
            return error_no_memory(err);
        if (inventory_add_fault(r->inv, path, text.ptr + at + 2, err) < 0)
            return -1;
    }
    return take_layers(r, metadata, err);
}

int inventory_of_cyclonedx(const json_t *bom, struct inventory **ret, struct error *err)
{
    static const struct inventory_options none = {0};
    CLEANUP(inventory) struct inventory *inv = inventory_new();
    struct reading r = {.inv = inv, .assembly = ASSEMBLY_INIT(inv), .options = &none};
    const char *format = json_str_at(bom, "bomFormat");
    int rc;

    if (!inv)
        return error_no_memory(err);
    if (!format || strcmp(format, "CycloneDX") != 0)
        return error_set(err, ERR_INVALID, "expected a CycloneDX document: no \"bomFormat\"");
    rc = take_metadata(&r, bom, err);
    if (rc == 0)
        rc = take_components(&r, json_object_get(bom, "components"), 0, err);
    if (rc == 0)
        rc = assembly_finish(&r.assembly, err);
    assembly_done(&r.assembly);
    if (rc < 0)
        return error_wrap(err, "reading CycloneDX");
    *ret = TAKE(inv);
    return 0;
}
