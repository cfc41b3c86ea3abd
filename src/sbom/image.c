/* sbom/image.c - the inventory of an image: each layer streamed once, or taken from what is kept.
 *
 * Kept in options->cache_dir: "layer-HEX.json" (facts by diff id) and "image-HEX.json" (the
 * document, by manifest digest and options). Anything wrong with a kept file only means that the
 * work is done again. */
#include <fcntl.h>

#include "base/fs.h"
#include "oci/image.h"
#include "sbom/sbom_internal.h"

enum { IMAGE_RULES = 1 }; /* counted up when the same image gives another inventory than before */

static char *layer_path(const char *cache_dir, const struct digest *diff_id)
{
    return str_format("%s/layer-%s.json", cache_dir, digest_hex(diff_id));
}

static bool load_layer(const char *cache_dir, const struct digest *diff_id, struct layer_facts *ret)
{
    CLEANUP(text) char *path = cache_dir ? layer_path(cache_dir, diff_id) : NULL;
    CLEANUP(json) json_t *root = NULL;
    struct error ignored = ERROR_INIT;

    return path && json_read_file(AT_FDCWD, path, &root, &ignored) == 0 &&
           layer_facts_from_json(root, ret, &ignored) == 0;
}

static int write_json(const char *cache_dir, const char *path, const json_t *root,
                      struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(JSON_BYTES_MAX);

    if (fs_make_dirs(AT_FDCWD, cache_dir, 0700, err) < 0 || json_write(root, false, &text, err) < 0)
        return -1;
    return fs_write_quick(AT_FDCWD, path, buf_str(&text), 0600, err);
}

static void keep_layer(const char *cache_dir, const struct digest *diff_id,
                       const struct layer_facts *facts)
{
    CLEANUP(text) char *path = cache_dir ? layer_path(cache_dir, diff_id) : NULL;
    CLEANUP(json) json_t *root = NULL;
    struct error ignored = ERROR_INIT;

    if (path && layer_facts_to_json(facts, &root, &ignored) == 0)
        (void)write_json(cache_dir, path, root,
                         &ignored); /* a full disk costs us time later, no more */
}

static int read_layer(const struct layout *layout, const struct layer *layer,
                      const struct inventory_options *options, struct layer_facts *ret,
                      struct inventory_cost *cost, struct error *err)
{
    CLEANUP(fd) int fd = -1;

    if (load_layer(options->cache_dir, &layer->diff_id, ret)) {
        cost->layers_cached++;
        return 0;
    }
    if (layout_open_blob(layout, &layer->descriptor.digest, &fd, NULL, err) < 0)
        return -1;
    if (layer_facts_read(fd, &layer->diff_id, ret, err) < 0)
        return error_wrap(err, "reading layer %s", layer->descriptor.digest.text);
    cost->layers_read++;
    cost->bytes_read += ret->bytes;
    keep_layer(options->cache_dir, &layer->diff_id, ret);
    return 0;
}

static int read_layers(const struct layout *layout, const struct image *image,
                       const struct inventory_options *options, struct inventory *inv,
                       struct error *err)
{
    struct layer_facts *facts = calloc(image->layer_count + 1, sizeof *facts);
    int rc = 0;

    if (!facts)
        return error_no_memory(err);
    for (size_t i = 0; i < image->layer_count; i++)
        facts[i] = (struct layer_facts)LAYER_FACTS_INIT;
    for (size_t i = 0; rc == 0 && i < image->layer_count; i++)
        rc = read_layer(layout, &image->layers[i], options, &facts[i], &inv->cost, err);
    if (rc == 0)
        rc = merge_facts(inv, facts, image->layer_count, options, err);
    for (size_t i = 0; i < image->layer_count; i++)
        layer_facts_done(&facts[i]);
    free(facts);
    return rc;
}

static int set_layers(struct inventory *inv, const struct image *image, struct error *err)
{
    struct digest *diff_ids = calloc(image->layer_count + 1, sizeof *diff_ids);
    int rc;

    if (!diff_ids)
        return error_no_memory(err);
    for (size_t i = 0; i < image->layer_count; i++)
        diff_ids[i] = image->layers[i].diff_id;
    rc = inventory_set_layers(inv, diff_ids, image->layer_count,
                              image_label(image, "dev.monban.layers"),
                              image_label(image, "io.buildpacks.lifecycle.metadata"), err);
    free(diff_ids);
    return rc;
}

/* Where the whole result is kept; NULL: nowhere, or no memory. */
static char *image_path(const struct digest *manifest, const struct inventory_options *options)
{
    CLEANUP(text) char *inputs = NULL;
    struct digest key;

    if (!options->cache_dir)
        return NULL;
    inputs =
        str_format("%d/%d %s %s\n%s\n%s", IMAGE_RULES, LAYER_FACTS_FORMAT, manifest->text,
                   options->name ? options->name : "", options->app_team ? options->app_team : "",
                   options->platform_team ? options->platform_team : "");
    if (!inputs)
        return NULL;
    key = digest_of(str_of(inputs));
    return str_format("%s/image-%s.json", options->cache_dir, digest_hex(&key));
}

static bool load_image(const char *path, struct inventory **ret)
{
    CLEANUP(json) json_t *root = NULL;
    struct error ignored = ERROR_INIT;

    if (!path || json_read_file(AT_FDCWD, path, &root, &ignored) < 0 ||
        inventory_of_cyclonedx(root, ret, &ignored) < 0)
        return false;
    (*ret)->cost.layers_cached = (*ret)->layer_count;
    return true;
}

int inventory_of_image(const char *layout_path, const struct digest *manifest,
                       const struct inventory_options *options, struct inventory **ret,
                       struct error *err)
{
    CLEANUP(layout) struct layout *layout = NULL;
    CLEANUP(image) struct image *image = NULL;
    CLEANUP(inventory) struct inventory *inv = NULL;
    CLEANUP(text) char *path = NULL;
    CLEANUP(json) json_t *document = NULL;
    struct error ignored = ERROR_INIT;

    if (layout_open(layout_path, 0, &layout, err) < 0 ||
        image_read(layout, manifest, NULL, &image, err) < 0)
        return -1;
    path = image_path(&image->descriptor.digest, options);
    if (load_image(path, ret))
        return 0;
    inv = inventory_new();
    if (!inv)
        return error_no_memory(err);
    inv->image = image->descriptor.digest;
    inv->name = options->name ? texts_add(&inv->texts, str_of(options->name)) : "";
    if (set_layers(inv, image, err) < 0 || read_layers(layout, image, options, inv, err) < 0)
        return -1;
    if (path && inventory_to_cyclonedx(inv, &document, &ignored) == 0)
        (void)write_json(options->cache_dir, path, document, &ignored); /* kept if possible */
    *ret = TAKE(inv);
    return 0;
}
