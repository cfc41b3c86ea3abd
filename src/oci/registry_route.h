/* oci/registry_route.h - which call of the distribution API a path is (distribution-spec,
 * Endpoints). */
#pragma once
#include "oci/reference.h"

enum registry_call {
    REGISTRY_NONE,    /* not below /v2 */
    REGISTRY_UNKNOWN, /* below /v2, but nothing that we know */
    REGISTRY_BAD_NAME,
    REGISTRY_BASE,
    REGISTRY_CATALOG,
    REGISTRY_TAGS,
    REGISTRY_MANIFEST,  /* reference */
    REGISTRY_BLOB,      /* reference: as given, maybe no digest */
    REGISTRY_UPLOADS,   /* begin one */
    REGISTRY_UPLOAD,    /* reference: its id */
    REGISTRY_REFERRERS, /* reference: as given */
};

struct registry_route {
    enum registry_call call;
    char repository[REFERENCE_REPOSITORY_MAX + 1];
    char reference[REFERENCE_TAG_MAX + 1];
};

/* `path` as decoded, without the query. A name may itself hold "blobs" or "tags": the end of the
 * path decides. */
struct registry_route registry_route(struct str path);
