/* oci/layout_manifest.c - manifests and who refers to whom; see layout.h.
 *
 * A referrer is one small file, referrers/SUBJECT/REFERRER, written before the manifest's blob:
 * after a kill in between it names a blob that is not there, and is passed over. */
#include "oci/layout_internal.h"

#include <fcntl.h>

enum { REFERRER_PATH_SIZE = 256 };

static const char *referrer_path(const struct digest *subject, const struct digest *referrer,
                                 char out[REFERRER_PATH_SIZE])
{
    snprintf(out, REFERRER_PATH_SIZE, "referrers/%s%s%s", digest_hex(subject), referrer ? "/" : "",
             referrer ? digest_hex(referrer) : "");
    return out;
}

/* What the document says it is; else its shape tells (image-spec: mediaType SHOULD be there). */
static const char *own_media_type(const json_t *root)
{
    const char *type = json_string_value(json_object_get(root, "mediaType"));

    if (type)
        return type;
    if (json_is_array(json_object_get(root, "manifests")))
        return OCI_INDEX;
    return json_is_object(json_object_get(root, "config")) ? OCI_MANIFEST : NULL;
}

static int check_descriptors(const json_t *array, const char *what, struct error *err)
{
    struct descriptor d;
    size_t i;
    json_t *item;

    if (!json_is_array(array))
        return error_set(err, ERR_INVALID, "manifest: '%s' is no list", what);
    json_array_foreach(array, i, item)
    {
        if (descriptor_from_json(item, &d, err) < 0)
            return error_wrap(err, "manifest: %s[%zu]", what, i);
    }
    return 0;
}

static int check_manifest(const json_t *root, const char *media_type, struct error *err)
{
    struct descriptor d;

    if (!json_is_object(root) || json_int_at(root, "schemaVersion", 0) != 2)
        return error_set(err, ERR_INVALID, "expected a manifest with 'schemaVersion' 2");
    if (!media_type)
        return error_set(err, ERR_INVALID,
                         "manifest has neither 'mediaType', 'config' nor 'manifests'");
    if (media_type_is_index(media_type) &&
        check_descriptors(json_object_get(root, "manifests"), "manifests", err) < 0)
        return -1;
    if (media_type_is_manifest(media_type)) {
        if (descriptor_from_json(json_object_get(root, "config"), &d, err) < 0)
            return error_wrap(err, "manifest: config");
        if (check_descriptors(json_object_get(root, "layers"), "layers", err) < 0)
            return -1;
    }
    if (json_is_object(json_object_get(root, "subject")) &&
        descriptor_from_json(json_object_get(root, "subject"), &d, err) < 0)
        return error_wrap(err, "manifest: subject");
    return 0;
}

/* {"mediaType","digest","size","artifactType","annotations"} (distribution-spec, Listing
 * Referrers). */
static json_t *referrer_entry(const json_t *root, const struct descriptor *d)
{
    CLEANUP(json) json_t *entry = descriptor_to_json(d);
    json_t *type = json_object_get(root, "artifactType");
    json_t *annotations = json_object_get(root, "annotations");

    if (!json_is_string(type) || json_string_length(type) == 0)
        type = json_at(root, "config.mediaType");
    if (!entry || (json_is_string(type) && json_object_set(entry, "artifactType", type) < 0) ||
        (json_is_object(annotations) && json_object_set(entry, "annotations", annotations) < 0))
        return NULL;
    return TAKE(entry);
}

static int note_referrer(struct layout *layout, const json_t *root, const struct descriptor *d,
                         struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(LAYOUT_MANIFEST_MAX);
    CLEANUP(json) json_t *entry = NULL;
    char path[REFERRER_PATH_SIZE];
    struct descriptor subject;
    const json_t *named = json_object_get(root, "subject");

    if (!json_is_object(named))
        return 0;
    if (descriptor_from_json(named, &subject, err) < 0)
        return -1;
    entry = referrer_entry(root, d);
    if (!entry)
        return error_no_memory(err);
    if (json_write(entry, false, &text, err) < 0 ||
        fs_make_dirs(layout->dir_fd, referrer_path(&subject.digest, NULL, path), 0755, err) < 0)
        return layout_failed(layout, err);
    if (layout_write_file(layout, referrer_path(&subject.digest, &d->digest, path), buf_str(&text),
                          true, err) < 0)
        return layout_failed(layout, err);
    return 0;
}

int layout_put_manifest(struct layout *layout, const char *media_type, struct str bytes,
                        struct descriptor *ret, struct error *err)
{
    CLEANUP(json) json_t *root = NULL;
    struct descriptor d;

    if (bytes.len > LAYOUT_MANIFEST_MAX)
        return error_set(err, ERR_LIMIT, "manifest has %zu bytes, the limit is %d", bytes.len,
                         LAYOUT_MANIFEST_MAX);
    if (json_parse("manifest", bytes, &root, err) < 0)
        return -1;
    if (!media_type)
        media_type = own_media_type(root);
    if (check_manifest(root, media_type, err) < 0)
        return -1;
    if (strlen(media_type) >= MEDIA_TYPE_SIZE)
        return error_set(err, ERR_INVALID, "media type is longer than 255 bytes");
    d = descriptor_of(media_type, bytes);
    if (note_referrer(layout, root, &d, err) < 0)
        return -1;
    return layout_put(layout, media_type, bytes, ret, err);
}

int layout_read_manifest(const struct layout *layout, const struct digest *digest,
                         json_t **ret_root, struct buf *ret_bytes, struct descriptor *ret,
                         struct error *err)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(LAYOUT_MANIFEST_MAX);
    CLEANUP(json) json_t *root = NULL;

    if (layout_read(layout, digest, &bytes, err) < 0)
        return -1;
    if (json_parse(digest->text, buf_str(&bytes), &root, err) < 0)
        return -1;
    const char *type = own_media_type(root);
    if (check_manifest(root, type, err) < 0)
        return error_wrap(err, "blob %s", digest->text);
    if (strlen(type) >= MEDIA_TYPE_SIZE)
        return error_set(err, ERR_INVALID, "blob %s: media type is longer than 255 bytes",
                         digest->text);
    if (ret_bytes) {
        buf_add_str(ret_bytes, buf_str(&bytes));
        if (buf_ok(ret_bytes, err) < 0)
            return -1;
    }
    if (ret)
        *ret = descriptor_of(type, buf_str(&bytes));
    if (ret_root)
        *ret_root = TAKE(root);
    return 0;
}

/* The entry if it counts: readable, its blob there, of the type asked for. 1: passed over. */
static int read_referrer(const struct layout *layout, const char *folder, const char *name,
                         const char *artifact_type, json_t *array, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(LAYOUT_MANIFEST_MAX);
    CLEANUP(text) char *path = fs_join(folder, name);
    CLEANUP(json) json_t *entry = NULL;
    struct descriptor d;

    if (name[0] == '.')
        return 0;
    if (!path)
        return error_no_memory(err);
    if (fs_read_at(layout->dir_fd, path, &text, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err); /* removed since the folder was listed */
        return 0;
    }
    if (json_parse(path, buf_str(&text), &entry, err) < 0 ||
        descriptor_from_json(entry, &d, err) < 0)
        return -1;
    const char *type = json_str_at(entry, "artifactType");
    if (!layout_has(layout, &d.digest) ||
        (artifact_type && strcmp(artifact_type, type ? type : "") != 0))
        return 0;
    return json_array_append(array, entry) < 0 ? error_no_memory(err) : 0;
}

int layout_referrers(const struct layout *layout, const struct digest *digest,
                     const char *artifact_type, json_t **ret_array, struct error *err)
{
    CLEANUP(json) json_t *array = json_array();
    CLEANUP(strv) struct strv names = STRV_INIT;
    char folder[REFERRER_PATH_SIZE];

    if (!array)
        return error_no_memory(err);
    if (!digest->text[0])
        return error_set(err, ERR_INVALID, "no digest given");
    referrer_path(digest, NULL, folder);
    if (fs_exists(layout->dir_fd, folder) && fs_list(layout->dir_fd, folder, &names, err) < 0)
        return layout_failed(layout, err);
    for (size_t i = 0; i < names.count; i++)
        if (read_referrer(layout, folder, names.items[i], artifact_type, array, err) < 0)
            return layout_failed(layout, err);
    *ret_array = TAKE(array);
    return 0;
}

int layout_remove_manifest(struct layout *layout, const struct digest *digest, struct error *err)
{
    CLEANUP(json) json_t *root = NULL;
    char path[REFERRER_PATH_SIZE];
    struct descriptor subject;

    if (layout_read_manifest(layout, digest, &root, NULL, NULL, err) < 0)
        return -1;
    if (layout_untag_digest(layout, digest, err) < 0)
        return -1;
    const json_t *named = json_object_get(root, "subject");
    if (json_is_object(named)) {
        if (descriptor_from_json(named, &subject, err) < 0 ||
            fs_remove(layout->dir_fd, referrer_path(&subject.digest, digest, path), err) < 0)
            return -1;
    }
    return layout_remove_blob(layout, digest, err);
}
