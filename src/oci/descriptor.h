/* oci/descriptor.h - a descriptor (image-spec, descriptor.md): what a blob is called, how big, what
 * kind. */
#pragma once
#include "base/digest.h"
#include "wire/json.h"

#define OCI_MANIFEST      "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX         "application/vnd.oci.image.index.v1+json"
#define OCI_CONFIG        "application/vnd.oci.image.config.v1+json"
#define OCI_LAYER         "application/vnd.oci.image.layer.v1.tar"
#define OCI_LAYER_GZIP    "application/vnd.oci.image.layer.v1.tar+gzip"
#define OCI_LAYER_ZSTD    "application/vnd.oci.image.layer.v1.tar+zstd"
#define OCI_EMPTY         "application/vnd.oci.empty.v1+json" /* the blob "{}" */
#define DOCKER_MANIFEST   "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_INDEX      "application/vnd.docker.distribution.manifest.list.v2+json"
#define DOCKER_CONFIG     "application/vnd.docker.container.image.v1+json"
#define DOCKER_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"

enum { MEDIA_TYPE_SIZE = 256 }; /* bytes: RFC 6838 allows 127 + '/' + 127 */

struct descriptor {
    struct digest digest;
    uint64_t size; /* bytes */
    char media_type[MEDIA_TYPE_SIZE];
};

/* From {"mediaType","digest","size"}; other members are left alone. INVALID names the member. */
NODISCARD int descriptor_from_json(const json_t *object, struct descriptor *ret, struct error *err);
/* A new object of the three members; NULL without memory. */
json_t *descriptor_to_json(const struct descriptor *d);
struct descriptor descriptor_of(const char *media_type, struct str bytes);
bool media_type_is_index(const char *media_type);
bool media_type_is_manifest(const char *media_type); /* an image manifest, not an index */
