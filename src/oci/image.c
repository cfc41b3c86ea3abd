/* oci/image.c - reading images and artifacts; see image.h. */
#include "oci/image.h"

enum { CONFIG_MAX = 8 << 20 }; /* bytes: labels may hold a whole SBOM, but not more */

void image_free(struct image *image)
{
    if (!image)
        return;
    json_decref(image->manifest);
    json_decref(image->config);
    free(image->layers);
    free(image);
}

const char *image_platform(void)
{
#if defined(__x86_64__)
    return "linux/amd64";
#elif defined(__aarch64__)
    return "linux/arm64";
#else
#error "no name for this machine's architecture: add it as in Go's GOARCH"
#endif
}

/* arm64 without a variant is v8, arm is v7 (image-index.md, Platform Variants). */
static const char *variant_of(const char *architecture, const char *variant)
{
    if (variant && variant[0])
        return variant;
    if (strcmp(architecture, "arm64") == 0)
        return "v8";
    return strcmp(architecture, "arm") == 0 ? "v7" : "";
}

static bool fits(const json_t *entry, const char *platform)
{
    const json_t *named = json_object_get(entry, "platform");
    const char *os = json_string_value(json_object_get(named, "os"));
    const char *arch = json_string_value(json_object_get(named, "architecture"));
    struct str rest = str_of(platform);
    struct str want_os = str_cut(&rest, '/'), want_arch = str_cut(&rest, '/');
    char arch_text[32];

    /* BuildKit's attestations stand in the index with platform unknown/unknown. */
    if (json_object_get(json_object_get(entry, "annotations"), "vnd.docker.reference.type"))
        return false;
    if (!named) /* an index made of one image needs none */
        return true;
    if (!os || !arch || !str_is(want_os, os) || !str_is(want_arch, arch))
        return false;
    snprintf(arch_text, sizeof(arch_text), "%.*s", STR_ARG(want_arch));
    CLEANUP(text) char *want_variant = str_dup(rest.ptr ? rest : STR(""));
    const char *variant = json_string_value(json_object_get(named, "variant"));
    return want_variant &&
           strcmp(variant_of(arch, variant), variant_of(arch_text, want_variant)) == 0;
}

const json_t *image_index_pick(const json_t *index, const char *platform)
{
    json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(index, "manifests"), i, entry)
    {
        if (fits(entry, platform ? platform : image_platform()))
            return entry;
    }
    return NULL;
}

static int no_platform(const json_t *index, const char *platform, struct error *err)
{
    CLEANUP(buf) struct buf list = BUF_INIT(512);
    json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(index, "manifests"), i, entry)
    {
        const char *os = json_str_at(entry, "platform.os");
        const char *arch = json_str_at(entry, "platform.architecture");
        buf_addf(&list, "%s%s/%s", list.len ? ", " : "", os ? os : "?", arch ? arch : "?");
    }
    return error_set(err, ERR_NOT_FOUND, "no image for %s in the index; there are: %s", platform,
                     list.len ? buf_text(&list) : "none");
}

/* Config and diff ids of an image; an artifact (config of another type) has none. */
static int read_config(const struct layout *layout, struct image *image, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(CONFIG_MAX);
    struct descriptor d;

    if (descriptor_from_json(json_object_get(image->manifest, "config"), &d, err) < 0)
        return -1;
    if (strcmp(d.media_type, OCI_CONFIG) != 0 && strcmp(d.media_type, DOCKER_CONFIG) != 0) {
        image->config = json_object();
        return image->config ? 0 : error_no_memory(err);
    }
    if (layout_read(layout, &d.digest, &text, err) < 0 ||
        json_parse("image config", buf_str(&text), &image->config, err) < 0)
        return -1;
    const json_t *ids = json_at(image->config, "rootfs.diff_ids");
    /* A cosign signature names the image config type too, with diff ids of its payloads: same
     * count. */
    if (json_array_size(ids) != image->layer_count) {
        return error_set(err, ERR_INVALID, "image has %zu layers and %zu diff_ids",
                         image->layer_count, json_array_size(ids));
    }
    for (size_t i = 0; i < image->layer_count; i++) {
        const char *id = json_string_value(json_array_get(ids, i));
        if (!id || !digest_parse(str_of(id), &image->layers[i].diff_id))
            return error_set(err, ERR_INVALID, "image config: diff_ids[%zu] is no sha256 digest",
                             i);
    }
    return 0;
}

static int read_layers(struct image *image, struct error *err)
{
    const json_t *layers = json_object_get(image->manifest, "layers");
    size_t count = json_array_size(layers);

    if (count > IMAGE_LAYERS_MAX)
        return error_set(err, ERR_LIMIT, "image has %zu layers, the limit is %d", count,
                         IMAGE_LAYERS_MAX);
    image->layers = calloc(count ? count : 1, sizeof(*image->layers));
    if (!image->layers)
        return error_no_memory(err);
    image->layer_count = count;
    for (size_t i = 0; i < count; i++)
        if (descriptor_from_json(json_array_get(layers, i), &image->layers[i].descriptor, err) < 0)
            return -1;
    return 0;
}

int image_read(const struct layout *layout, const struct digest *digest, const char *platform,
               struct image **ret, struct error *err)
{
    CLEANUP(image) struct image *image = calloc(1, sizeof(*image));
    struct digest at = *digest;

    if (!image)
        return error_no_memory(err);
    if (!platform)
        platform = image_platform();
    for (unsigned depth = 0;; depth++) {
        struct descriptor chosen;
        json_decref(image->manifest);
        image->manifest = NULL;
        if (layout_read_manifest(layout, &at, &image->manifest, NULL, &image->descriptor, err) < 0)
            return -1;
        if (!media_type_is_index(image->descriptor.media_type))
            break;
        const json_t *entry = image_index_pick(image->manifest, platform);
        if (!entry || depth == IMAGE_INDEX_DEPTH_MAX)
            return no_platform(image->manifest, platform, err);
        if (descriptor_from_json(entry, &chosen, err) < 0)
            return -1;
        at = chosen.digest;
    }
    if (!media_type_is_manifest(image->descriptor.media_type))
        return error_set(err, ERR_UNSUPPORTED, "%s is no image: media type '%s'", at.text,
                         image->descriptor.media_type);
    if (read_layers(image, err) < 0 || read_config(layout, image, err) < 0)
        return error_wrap(err, "image %s", at.text);
    *ret = TAKE(image);
    return 0;
}

const char *image_label(const struct image *image, const char *name)
{
    return json_string_value(json_object_get(json_at(image->config, "config.Labels"), name));
}
