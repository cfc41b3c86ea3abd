/* sbom/target.c - what a person means by a name: a folder, an image in a layout, a document. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "oci/layout.h"
#include "oci/reference.h"
#include "sbom/sbom_internal.h"

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_layout(const char *path)
{
    CLEANUP(text) char *mark = fs_join(path, "oci-layout");

    return mark && is_folder(path) && fs_exists(AT_FDCWD, mark);
}

static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The digest of the one image that a layout's index.json names. */
static int only_image(const struct layout *layout, struct digest *ret, struct error *err)
{
    CLEANUP(json) json_t *index = NULL;
    CLEANUP(buf) struct buf names = BUF_INIT(4096);
    struct digest found = {0};
    size_t others = 0, i;
    json_t *item;

    if (json_read_file(layout_dir_fd(layout), "index.json", &index, err) < 0)
        return -1;
    json_array_foreach(json_object_get(index, "manifests"), i, item)
    {
        const json_t *notes = json_object_get(item, "annotations");
        const char *name =
            json_string_value(json_object_get(notes, "org.opencontainers.image.ref.name"));
        struct digest digest;
        if (!digest_parse(str_of(json_str_at(item, "digest")), &digest))
            continue;
        others += found.text[0] && !digest_equal(&digest, &found);
        found = digest;
        if (names.len < 400)
            buf_addf(&names, "%s%s", names.len ? ", " : "", name ? name : digest.text);
    }
    if (!found.text[0])
        return error_set(err, ERR_NOT_FOUND, "no image in the layout '%s'", layout_path(layout));
    if (others)
        return error_set(err, ERR_INVALID, "the layout '%s' holds several images, name one: %s",
                         layout_path(layout), buf_text(&names));
    *ret = found;
    return 0;
}

/* `ref`: "", "TAG", "REPOSITORY:TAG", "REPOSITORY@sha256:…", "@sha256:…". */
static int resolve(struct layout *layout, struct str ref, struct digest *ret, struct error *err)
{
    ptrdiff_t at = str_find(ref, '@');
    struct descriptor descriptor;
    CLEANUP(text) char *repository = NULL;
    CLEANUP(text) char *tag = NULL;

    if (ref.len == 0)
        return only_image(layout, ret, err);
    if (at >= 0) {
        if (!digest_parse(str_skip(ref, (size_t)at + 1), ret))
            return error_set(err, ERR_INVALID, "expected sha256: and 64 digits after '@'");
        return 0;
    }
    at = str_find_last(ref, ':');
    repository = str_dup(at < 0 ? STR("") : str_first(ref, (size_t)at));
    tag = str_dup(str_skip(ref, (size_t)(at + 1)));
    if (!repository || !tag)
        return error_no_memory(err);
    if (layout_resolve(layout, repository, tag, &descriptor, err) < 0)
        return -1;
    *ret = descriptor.digest;
    return 0;
}

static int of_layout(const char *path, struct str ref, const struct inventory_options *options,
                     struct inventory **ret, struct error *err)
{
    CLEANUP(layout) struct layout *layout = NULL;
    struct digest digest;

    if (layout_open(path, 0, &layout, err) < 0 || resolve(layout, ref, &digest, err) < 0)
        return -1;
    return inventory_of_image(path, &digest, options, ret, err);
}

static int of_document(const char *path, struct inventory **ret, struct error *err)
{
    CLEANUP(json) json_t *bom = NULL;

    if (json_read_file(AT_FDCWD, path, &bom, err) < 0)
        return -1;
    return inventory_of_cyclonedx(bom, ret, err);
}

/* PATH:REF and PATH@DIGEST: the longest prefix that is a layout. */
static size_t layout_prefix(const char *target)
{
    for (size_t len = strlen(target); len > 0; len--) {
        CLEANUP(text) char *path = NULL;
        if (target[len] != ':' && target[len] != '@')
            continue;
        path = str_dup(str_slice(target, len));
        if (path && is_layout(path))
            return len;
    }
    return 0;
}

int inventory_of_target(const char *target, const char *registry,
                        const struct inventory_options *options, struct inventory **ret,
                        struct error *err)
{
    struct inventory_options named = *options;
    CLEANUP(text) char *path = NULL;
    size_t prefix;

    if (!named.name)
        named.name = target;
    if (is_layout(target))
        return of_layout(target, STR(""), &named, ret, err);
    if (is_folder(target))
        return inventory_of_folder(target, &named, ret, err);
    if (is_file(target))
        return of_document(target, ret, err);
    prefix = layout_prefix(target);
    if (prefix) {
        struct str ref = str_skip(str_of(target), prefix);
        path = str_dup(str_slice(target, prefix));
        if (!path)
            return error_no_memory(err);
        if (!options->name)
            named.name = path;
        return of_layout(path, ref.ptr[0] == ':' ? str_skip(ref, 1) : ref, &named, ret, err);
    }
    if (registry && is_layout(registry) &&
        (str_find(str_of(target), ':') > 0 || str_find(str_of(target), '@') > 0))
        return of_layout(registry, str_of(target), &named, ret, err);
    return error_set(err, ERR_NOT_FOUND,
                     "'%s' is no folder, OCI layout, CycloneDX file or image of the registry",
                     target);
}
