/* oci/reference.h - image references: "[host[:port]/]path[:tag][@digest]".
 *
 * Source: distribution-spec (name and tag grammar); the rule that the first component is a host if
 * it holds
 * '.' or ':' or is "localhost" is the Docker reference implementation's. */
#pragma once
#include "base/digest.h"

enum {
    REFERENCE_HOST_MAX = 262,       /* bytes: a DNS name (255) and a port */
    REFERENCE_REPOSITORY_MAX = 255, /* bytes: what registries accept for a name */
    REFERENCE_TAG_MAX = 128,        /* bytes: distribution-spec */
    REFERENCE_TEXT_MAX = 800
};

struct reference {
    char host[REFERENCE_HOST_MAX + 1]; /* with ":port"; "" if the text named none */
    char repository[REFERENCE_REPOSITORY_MAX + 1];
    char tag[REFERENCE_TAG_MAX + 1]; /* "" for none */
    struct digest digest;            /* "" for none */
};

/* INVALID says which part is wrong. No default host or tag is put in. */
NODISCARD int reference_parse(struct str text, struct reference *ret, struct error *err);
/* The text again; returns `out`, cut to fit. */
const char *reference_format(const struct reference *ref, char *out, size_t out_size);
/* For files: "REPOSITORY:TAG" → an annotation, "TAG" alone if the repository is "". */
bool reference_is_repository(struct str text);
bool reference_is_tag(struct str text);
bool reference_is_host(struct str text); /* "name[:port]", "1.2.3.4:5000", "[::1]:5000" */
