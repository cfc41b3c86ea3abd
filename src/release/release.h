/* release/release.h - image, YAML, inventory, findings, provenance and verdict → one signed
 * release; and its verification.
 *
 * What a release is made of stands in docs/design.md, "The release". It lives in an OCI layout
 * (oci/layout.h) under the repository "apps/WORKLOAD". Writing is append-only: a blob is never
 * changed, tags move forward, and the tag `release` moves last, so that a reader sees the old
 * release or the new one, whole.
 *
 * Read release.c first (the statement), then write.c, verify.c, promotion.c, export.c, import.c. */
#pragma once
#include "oci/descriptor.h"
#include "sign/sign.h"
#include "workload/workload.h"

struct layout;          /* oci/layout.h */
struct registry_client; /* oci/registry_client.h */

#define RELEASE_ARTIFACT_TYPE   "application/vnd.monban.release.v1+json"
#define PROMOTION_ARTIFACT_TYPE "application/vnd.monban.promotion.v1+json"
#define RELEASE_TAG             "release" /* the newest; "release-N" for each */
#define PROMOTION_TAG           "healthy"

enum { RELEASE_ATTESTATIONS_MAX = 16, RELEASE_YAML_MAX = 4 << 20 /* bytes */ };

struct release_attestation {
    char predicate_type[128];
    struct digest digest; /* of the DSSE envelope */
    uint64_t size;
};

/* The release statement, read. */
struct release {
    char workload[64];
    char namespace_[64];
    uint64_t sequence;
    char commit[72];
    int64_t created_s;
    struct descriptor image;
    struct digest yaml; /* of the Flux artifact's manifest */
    uint64_t yaml_size;
    struct release_attestation attestations[RELEASE_ATTESTATIONS_MAX];
    size_t attestation_count;
    struct digest digest; /* of the release manifest */
    struct digest key_id; /* who signed it */
};

/* --- writing, by the gate */
struct release_input {
    const struct workload *workload;
    const char *commit;
    const char *source_uri;  /* for the Flux artifact's annotations; may be NULL */
    struct descriptor image; /* its blobs and manifest are in the layout already */
    struct str yaml;
    json_t *sbom;       /* borrowed: CycloneDX document */
    json_t *findings;   /* borrowed: findings/v1 predicate */
    json_t *provenance; /* borrowed: SLSA provenance v1 predicate */
    json_t *verdict;    /* borrowed: VSA predicate */
    const json_t *vex;  /* borrowed: OpenVEX document, or NULL */
    int64_t created_s;
    uint64_t sequence; /* 0: the next after the newest in the layout */
};
/* DENIED if the verdict did not pass. */
NODISCARD int release_write(struct layout *layout, const struct release_input *input,
                            struct signer *signer, struct release *ret, struct error *err);

/* --- reading and verifying */
struct release_rules {
    const char
        *workload; /* the repository it was asked for is apps/WORKLOAD: it must name itself so */
    uint64_t least_sequence; /* an older one is refused; 0: none */
    bool allow_rollback;     /* an older one is allowed (a rollback was signed for) */
    bool want_provenance;    /* the provenance attestation must be there */
    bool skip_layers; /* the image's layers are not read (they are checked as they are copied) */
};
/* Everything that was read on the way, so that nobody reads twice. */
struct release_content {
    struct release release;
    struct buf yaml;        /* delivery.yaml */
    json_t *sbom;           /* owned; predicates */
    json_t *findings;       /* owned */
    json_t *provenance;     /* owned; may be NULL */
    json_t *verdict;        /* owned */
    json_t *image_manifest; /* owned */
};
#define RELEASE_CONTENT_INIT                                                                       \
    {                                                                                              \
        .yaml = BUF_INIT(RELEASE_YAML_MAX)                                                         \
    }
void release_content_done(struct release_content *content);
DEFINE_CLEANUP_VALUE(release_content, struct release_content, release_content_done)

/* Check all of a release that lies in the layout: signature of the statement, subject, sequence,
 * workload; digests of manifest, config, layers, YAML, attestations; signature and type of each;
 * the verdict's outcome. `reference`: a tag of apps/WORKLOAD, or the release manifest's digest.
 * UNTRUSTED says which digest or rule fails; DENIED if the verdict is not PASSED; NOT_FOUND. */
NODISCARD int release_verify(struct layout *layout, const char *reference,
                             const struct trust *trust, const struct release_rules *rules,
                             struct release_content *ret, struct error *err);

/* Pull a release from a registry into the layout, verifying as it goes: first the statement
 * (signature, workload, sequence), only then what it names, by digest; at last the tags release-N
 * and release. A refused one moves no tag. Blocks. Errors: those of release_verify(); UNAVAILABLE;
 * LIMIT for a full disk. */
NODISCARD int release_fetch(struct registry_client *client, const char *reference,
                            struct layout *layout, const struct trust *trust,
                            const struct release_rules *rules, struct release_content *ret,
                            struct error *err);

/* Names of all workloads that have a release, and the releases of one, newest first:
 * [{"sequence","commit", "createdAt","image","digest"}]. Not verified: what the statements claim.
 */
NODISCARD int release_workloads(struct layout *layout, struct strv *ret, struct error *err);
NODISCARD int release_list(struct layout *layout, const char *workload, json_t **ret,
                           struct error *err);

/* --- promotion, by the agents of outer clusters */
struct promotion {
    char cluster[64];
    char workload[64];
    uint64_t sequence;
    int64_t healthy_since_s;
    struct digest release; /* of the release manifest */
    struct digest key_id;
};
NODISCARD int promotion_write(struct layout *layout, const struct promotion *promotion,
                              struct signer *signer, struct error *err);
/* The promotion that the tag `healthy` of apps/WORKLOAD says, in the layout. NOT_FOUND; UNTRUSTED.
 */
NODISCARD int promotion_verify(struct layout *layout, const char *workload,
                               const struct trust *trust, struct promotion *ret, struct error *err);
/* The same of a registry: pulled into the layout (which keeps it by digest, without a tag), then
 * verified. */
NODISCARD int promotion_fetch(struct registry_client *client, const char *workload,
                              struct layout *layout, const struct trust *trust,
                              struct promotion *ret, struct error *err);

/* --- one file: a tar of an OCI layout that holds one release */
NODISCARD int release_export(struct layout *layout, const char *workload, const char *reference,
                             const char *path, struct error *err);
/* Unpacks into `layout` after verification by `trust`. */
NODISCARD int release_import(struct layout *layout, const char *path, const struct trust *trust,
                             struct release *ret, struct error *err);
