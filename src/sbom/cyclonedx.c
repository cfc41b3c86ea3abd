/* sbom/cyclonedx.c - the inventory as CycloneDX 1.6 JSON. Source: bom-1.6.schema.json.
 *
 * The same inventory gives the same bytes: no clock, the serial number is of the image's digest, or
 * of the components where there is no image. cyclonedx_read.c takes all of it back. */
#include "sbom/purl.h"
#include "sbom/sbom_internal.h"

static int add(json_t *object, const char *key, json_t *take_value, struct error *err)
{
    return json_object_set_new(object, key, take_value) < 0 ? error_no_memory(err) : 0;
}

static int add_property(json_t *properties, const char *name, const char *value, struct error *err)
{
    if (!value || !value[0])
        return 0;
    if (json_array_append_new(properties, json_pack("{ssss}", "name", name, "value", value)) < 0)
        return error_set(err, ERR_INVALID, "property '%s' is not UTF-8", name);
    return 0;
}

/* Unique in the document: a purl may be in two layers. */
static const char *ref_of(const struct inventory *inv, size_t index, char *space, size_t size)
{
    const struct package *p = &inv->packages[index];
    size_t before = 0;

    while (before < index && strcmp(inv->packages[index - before - 1].purl, p->purl) == 0)
        before++;
    if (before == 0)
        return p->purl;
    (void)snprintf(space, size, "%s#%zu", p->purl, before + 1); /* purls fit: PURL_BYTES_MAX */
    return space;
}

static int add_properties(const struct inventory *inv, const struct package *p, json_t *component,
                          struct error *err)
{
    const struct inventory_layer *layer =
        p->layer < inv->layer_count ? &inv->layers[p->layer] : NULL;
    json_t *list = json_array();
    char source[1024] = "";

    if (add(component, "properties", list, err) < 0)
        return -1;
    if (strcmp(p->source_name, p->name) != 0 || strcmp(p->source_version, p->version) != 0)
        (void)snprintf(source, sizeof source, "%s %s", p->source_name, p->source_version);
    if (add_property(list, "dev.monban:layer", layer ? layer->diff_id.text : "", err) < 0 ||
        add_property(list, "dev.monban:layer-name", layer ? layer->name : "", err) < 0 ||
        add_property(list, "dev.monban:owner", owner_name(p->owner), err) < 0 ||
        add_property(list, "dev.monban:team", p->team, err) < 0 ||
        add_property(list, "dev.monban:ecosystem", p->ecosystem, err) < 0 ||
        add_property(list, "dev.monban:source", source, err) < 0 ||
        add_property(list, "dev.monban:direct", p->is_direct ? "true" : "", err) < 0)
        return -1;
    for (size_t i = 0; i < p->need_count; i++) {
        CLEANUP(text) char *need = str_format("%s %s", p->needs[i].by, p->needs[i].range);
        if (!need)
            return error_no_memory(err);
        if (add_property(list, "dev.monban:required-by", need, err) < 0)
            return -1;
    }
    return 0;
}

static int add_paths(const struct package *p, json_t *component, struct error *err)
{
    json_t *occurrences = json_array();
    size_t count = 0;

    for (; p->paths && p->paths[count]; count++) {
        if (json_array_append_new(occurrences, json_pack("{ss}", "location", p->paths[count])) <
            0) {
            json_decref(occurrences);
            return error_set(err, ERR_INVALID, "a path of '%s' is not UTF-8", p->name);
        }
    }
    if (count == 0) {
        json_decref(occurrences);
        return 0;
    }
    return add(component, "evidence", json_pack("{so}", "occurrences", occurrences), err);
}

static int add_component(const struct inventory *inv, size_t index, json_t *components,
                         struct error *err)
{
    const struct package *p = &inv->packages[index];
    bool is_scoped = strcmp(p->ecosystem, "npm") == 0 && p->name[0] == '@' && strchr(p->name, '/');
    const char *slash = is_scoped ? strchr(p->name, '/') : NULL;
    char space[PURL_BYTES_MAX + 32];
    json_t *c = json_pack("{ssss}", "type", p->owner == OWNER_RUNTIME ? "platform" : "library",
                          "bom-ref", ref_of(inv, index, space, sizeof space));

    if (!c || json_array_append_new(components, c) < 0)
        return error_set(err, ERR_INVALID, "package '%s' is not UTF-8", p->name);
    if (slash && add(c, "group", json_stringn(p->name, (size_t)(slash - p->name)), err) < 0)
        return -1;
    if (add(c, "name", json_string(slash ? slash + 1 : p->name), err) < 0 ||
        add(c, "version", json_string(p->version), err) < 0 ||
        (p->is_dev && add(c, "scope", json_string("excluded"), err) < 0) ||
        add(c, "purl", json_string(p->purl), err) < 0 || add_paths(p, c, err) < 0)
        return -1;
    return add_properties(inv, p, c, err);
}

/* "libc6@2.36-9" → the packages of that name and version, for the edges of the graph. */
struct named {
    char *text; /* owned */
    size_t index;
};

static int by_text(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;
    int order = strcmp(x->text, y->text);

    return order ? order : (x->index > y->index) - (x->index < y->index);
}

/* {ref, dependsOn[]} of every package, and of the whole ("root" asks for what is direct). */
struct graph {
    const struct inventory *inv;
    struct named *names; /* owned; sorted */
    json_t **lists;      /* owned array; borrowed: the document's */
};

static void graph_done(struct graph *g)
{
    for (size_t i = 0; g->names && i < g->inv->package_count; i++)
        free(g->names[i].text);
    free(g->names);
    free(g->lists);
}
DEFINE_CLEANUP_VALUE(graph, struct graph, graph_done)

static int graph_init(struct graph *g, json_t *dependencies, struct error *err)
{
    const struct inventory *inv = g->inv;
    char space[PURL_BYTES_MAX + 32];

    g->names = calloc(inv->package_count + 1, sizeof *g->names);
    g->lists = calloc(inv->package_count + 1, sizeof *g->lists);
    if (!g->names || !g->lists)
        return error_no_memory(err);
    for (size_t i = 0; i < inv->package_count; i++) {
        const struct package *p = &inv->packages[i];
        json_t *entry = json_pack("{ss}", "ref", ref_of(inv, i, space, sizeof space));
        g->names[i] = (struct named){str_format("%s@%s", p->name, p->version), i};
        g->lists[i] = json_array();
        if (!g->names[i].text || json_array_append_new(dependencies, entry) < 0 ||
            json_object_set_new(entry, "dependsOn", g->lists[i]) < 0)
            return error_no_memory(err);
    }
    if (inv->package_count)
        qsort(g->names, inv->package_count, sizeof *g->names, by_text);
    return 0;
}

static int add_edges_of(struct graph *g, size_t index, json_t *root, struct error *err)
{
    const struct inventory *inv = g->inv;
    const struct package *p = &inv->packages[index];
    char space[PURL_BYTES_MAX + 32];
    const char *ref = ref_of(inv, index, space, sizeof space);

    if (p->is_direct && json_array_append_new(root, json_string(ref)) < 0)
        return error_no_memory(err);
    for (size_t i = 0; i < p->need_count; i++) {
        struct named key = {(char *)p->needs[i].by, 0};
        size_t low = 0, high = inv->package_count;
        if (i > 0 && strcmp(p->needs[i].by, p->needs[i - 1].by) == 0)
            continue; /* sorted: the same one with another range */
        while (low < high) {
            size_t middle = (low + high) / 2;
            if (by_text(&g->names[middle], &key) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < inv->package_count && strcmp(g->names[low].text, p->needs[i].by) == 0 &&
            json_array_append_new(g->lists[g->names[low].index], json_string(ref)) < 0)
            return error_no_memory(err);
    }
    return 0;
}

static int add_graph(const struct inventory *inv, json_t *bom, struct error *err)
{
    CLEANUP(graph) struct graph g = {.inv = inv};
    json_t *dependencies = json_array();
    json_t *root = json_array();

    if (add(bom, "dependencies", dependencies, err) < 0 ||
        json_array_append_new(dependencies, json_pack("{ssso}", "ref", "root", "dependsOn", root)) <
            0 ||
        graph_init(&g, dependencies, err) < 0)
        return error_no_memory(err);
    for (size_t i = 0; i < inv->package_count; i++) {
        if (add_edges_of(&g, i, root, err) < 0)
            return -1;
    }
    return 0;
}

static int add_metadata(const struct inventory *inv, json_t *bom, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(1 << 20);
    CLEANUP(json) json_t *layers = inventory_layers_to_json(inv);
    bool is_image = inv->image.text[0] != '\0';
    const char *name = inv->name[0] ? inv->name : is_image ? "image" : "source";
    const char *short_name = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    json_t *component = json_pack("{ssssss}", "type", is_image ? "container" : "application",
                                  "bom-ref", "root", "name", name);
    json_t *properties = json_array();
    json_t *metadata =
        json_pack("{s{s[{ssss}]},so,so}", "tools", "components", "type", "application", "name",
                  "monban", "component", component, "properties", properties);

    if (!layers || add(bom, "metadata", metadata, err) < 0)
        return error_set(err, ERR_INVALID, "the name '%s' is not UTF-8", name);
    if (is_image) {
        purl_build(&text, "oci", NULL, short_name, inv->image.text, NULL);
        if (buf_ok(&text, err) < 0 ||
            add(component, "version", json_string(inv->image.text), err) < 0 ||
            add(component, "purl", json_string(buf_text(&text)), err) < 0)
            return -1;
        buf_clear(&text);
    }
    if (json_write(layers, false, &text, err) < 0 ||
        add_property(properties, "dev.monban:layers", inv->layer_count ? buf_text(&text) : "",
                     err) < 0 ||
        add_property(properties, "dev.monban:name", inv->name, err) < 0)
        return -1;
    for (size_t i = 0; i < inv->fault_count; i++) {
        CLEANUP(text) char *fault = str_format("%s: %s", inv->faults[i].path, inv->faults[i].text);
        if (!fault)
            return error_no_memory(err);
        if (add_property(properties, "dev.monban:fault", fault, err) < 0)
            return -1;
    }
    return 0;
}

static int add_components(const struct inventory *inv, json_t *bom, struct error *err)
{
    json_t *components = json_array();

    if (add(bom, "components", components, err) < 0)
        return -1;
    if (inv->os_id[0]) {
        json_t *os =
            json_pack("{ssssss}", "type", "operating-system", "bom-ref", "os", "name", inv->os_id);
        if (!os || json_array_append_new(components, os) < 0)
            return error_set(err, ERR_INVALID, "the name of the system is not UTF-8");
        if (inv->os_version[0] && add(os, "version", json_string(inv->os_version), err) < 0)
            return -1;
    }
    for (size_t i = 0; i < inv->package_count; i++) {
        if (add_component(inv, i, components, err) < 0)
            return -1;
    }
    return 0;
}

/* RFC 9562, version 8: made of a digest. */
static int add_serial(const struct inventory *inv, json_t *bom, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(JSON_BYTES_MAX);
    struct digest digest;
    char serial[64];
    const char *h;

    if (inv->image.text[0])
        buf_add_text(&text, inv->image.text);
    else if (json_write(json_object_get(bom, "components"), false, &text, err) < 0)
        return -1;
    if (buf_ok(&text, err) < 0)
        return -1;
    digest = digest_of(buf_str(&text));
    h = digest_hex(&digest);
    (void)snprintf(serial, sizeof serial, "urn:uuid:%.8s-%.4s-8%.3s-a%.3s-%.12s", h, h + 8, h + 13,
                   h + 17, h + 20); /* fits by construction */
    return add(bom, "serialNumber", json_string(serial), err);
}

int inventory_to_cyclonedx(const struct inventory *inv, json_t **ret, struct error *err)
{
    CLEANUP(json)
    json_t *bom =
        json_pack("{sssssssnsi}", "$schema", "http://cyclonedx.org/schema/bom-1.6.schema.json",
                  "bomFormat", "CycloneDX", "specVersion", "1.6", "serialNumber", "version", 1);

    if (!bom)
        return error_no_memory(err);
    if (add_metadata(inv, bom, err) < 0 || add_components(inv, bom, err) < 0 ||
        add_graph(inv, bom, err) < 0 || add_serial(inv, bom, err) < 0)
        return error_wrap(err, "writing CycloneDX");
    *ret = TAKE(bom);
    return 0;
}
