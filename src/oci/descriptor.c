/* oci/descriptor.c - see descriptor.h. */
#include "oci/descriptor.h"

int descriptor_from_json(const json_t *object, struct descriptor *ret, struct error *err)
{
    struct descriptor d = {0};
    const json_t *size = json_object_get(object, "size");
    const char *type = json_string_value(json_object_get(object, "mediaType"));
    const char *digest = json_string_value(json_object_get(object, "digest"));

    if (!json_is_object(object))
        return error_set(err, ERR_INVALID, "expected a descriptor, got no object");
    if (!digest || !digest_parse(str_of(digest), &d.digest)) {
        return error_set(err, ERR_INVALID, "descriptor: 'digest' is no sha256 digest: '%.100s'",
                         digest ? digest : "(none)");
    }
    if (!json_is_integer(size) || json_integer_value(size) < 0)
        return error_set(err, ERR_INVALID, "descriptor of %s: 'size' is no size", d.digest.text);
    if (!type || strlen(type) >= sizeof(d.media_type)) {
        return error_set(err, ERR_INVALID, "descriptor of %s: 'mediaType' is %s", d.digest.text,
                         type ? "longer than 255 bytes" : "missing");
    }
    memcpy(d.media_type, type, strlen(type) + 1);
    d.size = (uint64_t)json_integer_value(size);
    *ret = d;
    return 0;
}

json_t *descriptor_to_json(const struct descriptor *d)
{
    return json_pack("{s:s, s:s, s:I}", "mediaType", d->media_type, "digest", d->digest.text,
                     "size", (json_int_t)d->size);
}

struct descriptor descriptor_of(const char *media_type, struct str bytes)
{
    struct descriptor d = {.digest = digest_of(bytes), .size = bytes.len};
    snprintf(d.media_type, sizeof(d.media_type), "%s", media_type);
    return d;
}

bool media_type_is_index(const char *media_type)
{
    return strcmp(media_type, OCI_INDEX) == 0 || strcmp(media_type, DOCKER_INDEX) == 0;
}

bool media_type_is_manifest(const char *media_type)
{
    return strcmp(media_type, OCI_MANIFEST) == 0 || strcmp(media_type, DOCKER_MANIFEST) == 0;
}
