/* sbom/purl.h - package URLs: `pkg:type/namespace/name@version?key=value#subpath`.
 *
 * Source: package-url/purl-spec, "How to parse" and "How to build"; ecosystems as in the OSV
 * schema. */
#pragma once
#include "wire/json.h"

enum { PURL_BYTES_MAX = 8192, PURL_QUALIFIERS_MAX = 64 };

struct purl_qualifier {
    char *key;   /* owned; lower case */
    char *value; /* owned; decoded */
};

struct purl {
    char *type;                        /* owned; lower case */
    char *namespace_;                  /* owned; decoded, segments joined by '/'; NULL: none */
    char *name;                        /* owned; decoded */
    char *version;                     /* owned; decoded; NULL: none */
    struct purl_qualifier *qualifiers; /* owned; sorted by key */
    size_t qualifier_count;
    char *subpath; /* owned; decoded; NULL: none */
};
#define PURL_INIT                                                                                  \
    {                                                                                              \
        0                                                                                          \
    }

/* Parse and normalise by the rules of the type. INVALID says what is wrong; LIMIT; NO_MEMORY.
 * `ret` is empty before, and the caller calls purl_done(). */
NODISCARD int purl_parse(struct str text, struct purl *ret, struct error *err);
const char *purl_qualifier(const struct purl *purl, const char *key); /* NULL if absent */
/* The canonical text, appended to `out`. */
void purl_write(const struct purl *purl, struct buf *out);
void purl_done(struct purl *purl);
DEFINE_CLEANUP_VALUE(purl, struct purl, purl_done)

/* Canonical text from parts; namespace_, version may be NULL; `qualifiers` are key, value pairs
 * ended by NULL (sorted by key by the caller; NULL or empty values are left out), or NULL. */
void purl_build(struct buf *out, const char *type, const char *namespace_, const char *name,
                const char *version, const char *const *qualifiers);

/* {"type","namespace","name","version","qualifiers","subpath","canonical"}, absent parts null. New
 * reference; NULL without memory. */
json_t *purl_to_json(const struct purl *purl);

/* OSV ecosystem and package name of a purl: "npm" "@scope/name"; "Debian:12" "openssl" (of the
 * `upstream` qualifier if given). False where OSV has none. Names are appended to the two buffers.
 */
bool purl_osv(const struct purl *purl, struct buf *ecosystem, struct buf *name);
