/* oci/image_write.c - building configs and manifests; see image.h. */
#include "oci/image.h"

#include "base/clock.h"

enum { DOCUMENT_MAX = LAYOUT_MANIFEST_MAX };

/* Sets a value that was just made; a NULL one is "no memory". */
static int put(json_t *object, const char *key, json_t *take_value, struct error *err)
{
    return json_object_set_new(object, key, take_value) < 0 ? error_no_memory(err) : 0;
}

static int put_platform(json_t *config, const char *platform, struct error *err)
{
    struct str rest = str_of(platform ? platform : image_platform());
    struct str os = str_cut(&rest, '/'), architecture = str_cut(&rest, '/');

    if (os.len == 0 || architecture.len == 0)
        return error_set(err, ERR_INVALID, "'%s' is no platform: expected 'linux/amd64'", platform);
    if (put(config, "architecture", json_stringn(architecture.ptr, architecture.len), err) < 0 ||
        put(config, "os", json_stringn(os.ptr, os.len), err) < 0)
        return -1;
    return rest.len > 0 ? put(config, "variant", json_stringn(rest.ptr, rest.len), err) : 0;
}

static json_t *diff_ids(const struct image_options *options)
{
    CLEANUP(json) json_t *ids = json_array();

    for (size_t i = 0; ids && i < options->layer_count; i++)
        if (json_array_append_new(ids, json_string(options->layers[i].diff_id.text)) < 0)
            return NULL;
    return TAKE(ids);
}

static json_t *history(const struct image_options *options, const char *created)
{
    CLEANUP(json) json_t *list = json_array();

    for (size_t i = 0; list && i < options->history_count; i++) {
        const struct image_history *item = &options->history[i];
        json_t *entry = json_pack("{s:s, s:s}", "created", created, "created_by", item->created_by);
        if (entry && item->empty_layer &&
            json_object_set_new(entry, "empty_layer", json_true()) < 0) {
            json_decref(entry);
            return NULL;
        }
        if (json_array_append_new(list, entry) < 0)
            return NULL;
    }
    return TAKE(list);
}

static int write_config(struct layout *layout, const struct image_options *options,
                        struct descriptor *ret, struct error *err)
{
    CLEANUP(json) json_t *config = json_object();
    CLEANUP(buf) struct buf text = BUF_INIT(DOCUMENT_MAX);
    char created[CLOCK_TEXT_SIZE];

    clock_rfc3339(options->created_s, created);
    if (!config)
        return error_no_memory(err);
    if (put(config, "created", json_string(created), err) < 0 ||
        put_platform(config, options->platform, err) < 0)
        return -1;
    if (options->config && put(config, "config", json_deep_copy(options->config), err) < 0)
        return -1;
    if (put(config, "rootfs",
            json_pack("{s:s, s:o}", "type", "layers", "diff_ids", diff_ids(options)), err) < 0)
        return -1;
    if (options->history_count > 0 && put(config, "history", history(options, created), err) < 0)
        return -1;
    if (json_write(config, false, &text, err) < 0)
        return -1;
    return layout_put(layout, OCI_CONFIG, buf_str(&text), ret, err);
}

static json_t *layer_list(const struct image_options *options)
{
    CLEANUP(json) json_t *list = json_array();

    for (size_t i = 0; list && i < options->layer_count; i++)
        if (json_array_append_new(list, descriptor_to_json(&options->layers[i].descriptor)) < 0)
            return NULL;
    return TAKE(list);
}

static int count_history(const struct image_options *options, struct error *err)
{
    size_t layers = 0;

    for (size_t i = 0; i < options->history_count; i++)
        layers += !options->history[i].empty_layer;
    if (options->history_count > 0 && layers != options->layer_count)
        return error_set(err, ERR_INVALID, "image: history of %zu layers for %zu", layers,
                         options->layer_count);
    return 0;
}

static int put_manifest(struct layout *layout, const json_t *manifest, struct descriptor *ret,
                        struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(DOCUMENT_MAX);

    if (json_write(manifest, false, &text, err) < 0)
        return -1;
    return layout_put_manifest(layout, OCI_MANIFEST, buf_str(&text), ret, err);
}

int image_write(struct layout *layout, const struct image_options *options, struct descriptor *ret,
                struct error *err)
{
    CLEANUP(json) json_t *manifest = NULL;
    struct descriptor config;

    if (options->layer_count > IMAGE_LAYERS_MAX)
        return error_set(err, ERR_LIMIT, "image: more than %d layers", IMAGE_LAYERS_MAX);
    if (count_history(options, err) < 0 || write_config(layout, options, &config, err) < 0)
        return error_wrap(err, "writing an image");
    manifest = json_pack("{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType", OCI_MANIFEST,
                         "config", descriptor_to_json(&config), "layers", layer_list(options));
    if (!manifest)
        return error_no_memory(err);
    if (json_object_size(options->annotations) > 0 &&
        put(manifest, "annotations", json_deep_copy(options->annotations), err) < 0)
        return -1;
    return put_manifest(layout, manifest, ret, err);
}

/* The layers of an artifact without content: one empty descriptor (manifest.md, Guidelines). */
static json_t *artifact_layers(const struct artifact_options *options,
                               const struct descriptor *empty)
{
    if (json_array_size(options->layers) > 0)
        return json_deep_copy(options->layers);
    json_t *one = descriptor_to_json(empty);
    return one ? json_pack("[o]", one) : NULL;
}

int artifact_write(struct layout *layout, const struct artifact_options *options,
                   struct descriptor *ret, struct error *err)
{
    CLEANUP(json) json_t *manifest = NULL;
    struct descriptor empty;

    if (!options->artifact_type && !options->config)
        return error_set(err, ERR_INVALID, "artifact without a type");
    if (layout_put(layout, OCI_EMPTY, STR("{}"), &empty, err) < 0)
        return -1;
    manifest = json_pack("{s:i, s:s}", "schemaVersion", 2, "mediaType", OCI_MANIFEST);
    if (!manifest)
        return error_no_memory(err);
    if (options->artifact_type &&
        put(manifest, "artifactType", json_string(options->artifact_type), err) < 0)
        return -1;
    if (put(manifest, "config", descriptor_to_json(options->config ? options->config : &empty),
            err) < 0 ||
        put(manifest, "layers", artifact_layers(options, &empty), err) < 0)
        return -1;
    if (options->subject && put(manifest, "subject", descriptor_to_json(options->subject), err) < 0)
        return -1;
    if (json_object_size(options->annotations) > 0 &&
        put(manifest, "annotations", json_deep_copy(options->annotations), err) < 0)
        return -1;
    return put_manifest(layout, manifest, ret, err);
}
