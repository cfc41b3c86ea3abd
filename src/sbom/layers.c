/* sbom/layers.c - who owns which layer: from labels, else by guess.
 *
 * Labels: dev.monban.layers (docs/design.md, "Images"); io.buildpacks.lifecycle.metadata (CNB
 * platform specification, "Labels") of any other buildpacks builder. Both speak of diff ids, so
 * order does not matter. */
#include "sbom/sbom_internal.h"

static struct inventory_layer *layer_of(struct inventory *inv, const char *diff_id)
{
    for (size_t i = 0; diff_id && i < inv->layer_count; i++) {
        if (strcmp(inv->layers[i].diff_id.text, diff_id) == 0)
            return &inv->layers[i];
    }
    return NULL;
}

static const char *text_or_empty(struct texts *texts, const char *text)
{
    return text ? texts_add(texts, str_of(text)) : "";
}

static int take_monban(struct inventory *inv, const char *label, struct error *err)
{
    CLEANUP(json) json_t *root = NULL;
    json_t *item;
    size_t i;

    if (json_parse("label dev.monban.layers", str_of(label), &root, err) < 0) {
        if (err->kind != ERR_INVALID)
            return -1;
        error_clear(err);
    }
    if (!json_is_array(root))
        return inventory_add_fault(inv, "label dev.monban.layers", "expected a JSON array", err);
    json_array_foreach(root, i, item)
    {
        struct inventory_layer *layer = layer_of(inv, json_str_at(item, "diffID"));
        enum owner owner;
        if (!layer || !owner_parse(str_of(json_str_at(item, "owner")), &owner))
            continue;
        layer->owner = owner;
        layer->team = text_or_empty(&inv->texts, json_str_at(item, "team"));
        layer->name = text_or_empty(&inv->texts, json_str_at(item, "name"));
        layer->is_labelled = owner != OWNER_UNKNOWN;
    }
    return texts_ok(&inv->texts, err);
}

static void own(struct inventory *inv, const char *diff_id, enum owner owner)
{
    struct inventory_layer *layer = layer_of(inv, diff_id);

    if (layer && !layer->is_labelled) {
        layer->owner = owner;
        layer->is_labelled = true;
    }
}

static int take_cnb(struct inventory *inv, const char *label, struct error *err)
{
    static const char *const platform_keys[] = {"launcher", "config", "process-types", "sbom"};
    CLEANUP(json) json_t *root = NULL;
    const struct inventory_layer *top;
    json_t *item;
    size_t i;

    if (json_parse("label io.buildpacks.lifecycle.metadata", str_of(label), &root, err) < 0) {
        if (err->kind != ERR_INVALID)
            return -1;
        error_clear(err);
        return inventory_add_fault(inv, "label io.buildpacks.lifecycle.metadata", "expected JSON",
                                   err);
    }
    top = layer_of(inv, json_str_at(root, "runImage.topLayer"));
    for (i = 0; top && i <= (size_t)(top - inv->layers); i++)
        own(inv, inv->layers[i].diff_id.text, OWNER_BASE);
    json_array_foreach(json_object_get(root, "app"), i, item)
        own(inv, json_str_at(item, "sha"), OWNER_APP);
    for (i = 0; i < ARRAY_LEN(platform_keys); i++)
        own(inv, json_str_at(json_object_get(root, platform_keys[i]), "sha"), OWNER_PLATFORM);
    /* Layers of buildpacks are runtimes or dependencies; which of them, their content says:
     * owner_guess(). */
    return 0;
}

int inventory_set_layers(struct inventory *inv, const struct digest *diff_ids, size_t count,
                         const char *monban_label, const char *cnb_label, struct error *err)
{
    inv->layers = calloc(count + 1, sizeof *inv->layers);
    if (!inv->layers)
        return error_no_memory(err);
    inv->layer_count = count;
    for (size_t i = 0; i < count; i++)
        inv->layers[i] = (struct inventory_layer){.diff_id = diff_ids[i], .team = "", .name = ""};
    if (monban_label && take_monban(inv, monban_label, err) < 0)
        return -1;
    return cnb_label ? take_cnb(inv, cnb_label, err) : 0;
}

enum owner owner_guess(const char *ecosystem, const char *purl, const char *path)
{
    if (strncmp(purl, "pkg:deb/", 8) == 0 || strncmp(purl, "pkg:apk/", 8) == 0 ||
        strncmp(purl, "pkg:rpm/", 8) == 0)
        return OWNER_BASE;
    if (strncmp(purl, "pkg:generic/", 12) == 0)
        return OWNER_RUNTIME;
    /* What npm installed globally came with the runtime: "usr/local/lib/node_modules/npm/…". */
    if (strcmp(ecosystem, "npm") == 0 && strstr(path, "lib/node_modules/"))
        return OWNER_RUNTIME;
    return OWNER_DEPENDENCY;
}

void inventory_set_owner(struct inventory *inv, const struct inventory_options *options,
                         const char *path, struct package *p)
{
    const struct inventory_layer *layer =
        p->layer < inv->layer_count ? &inv->layers[p->layer] : NULL;

    p->team = layer ? layer->team : "";
    p->owner = layer && layer->owner != OWNER_UNKNOWN ? layer->owner
                                                      : owner_guess(p->ecosystem, p->purl, path);
    if (p->team[0])
        return;
    if (owner_is_developer(p->owner))
        p->team = options->app_team ? options->app_team : "app team";
    else
        p->team = options->platform_team ? options->platform_team : "platform team";
    p->team = texts_add(&inv->texts, str_of(p->team));
}

json_t *inventory_layers_to_json(const struct inventory *inv)
{
    json_t *array = json_array();

    for (size_t i = 0; i < inv->layer_count; i++) {
        const struct inventory_layer *l = &inv->layers[i];
        json_t *item = json_pack("{ssssssss}", "diffID", l->diff_id.text, "owner",
                                 owner_name(l->owner), "team", l->team, "name", l->name);
        if (json_array_append_new(array, item) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}
