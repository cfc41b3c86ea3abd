/* release/release_internal.h - what the files of this folder share; only they include it. */
#pragma once
#include "release/release.h"

#define FLUX_CONFIG_TYPE    "application/vnd.cncf.flux.config.v1+json"
#define FLUX_CONTENT_TYPE   "application/vnd.cncf.flux.content.v1.tar+gzip"
#define ENVELOPE_TYPE       "application/vnd.dsse.envelope.v1+json"
#define REF_NAME            "org.opencontainers.image.ref.name"
#define SIMPLE_SIGNING_TYPE "application/vnd.dev.cosign.simplesigning.v1+json"

enum {
    RELEASE_ENVELOPE_MAX = 96 << 20, /* bytes: base64 of SIGN_PAYLOAD_MAX */
    RELEASE_NAME_SIZE = 80,          /* "apps/" and a DNS label */
};

/* "apps/WORKLOAD" into `out`, which is returned. */
const char *release_repository(const char *workload, char out[RELEASE_NAME_SIZE]);

/* The statement's predicate ↔ struct release. `digest` and `key_id` are not part of it. */
NODISCARD int release_to_json(const struct release *r, json_t **ret, struct error *err);
NODISCARD int release_from_statement(const json_t *statement, struct release *ret,
                                     struct error *err);
/* The statement inside an envelope, without asking who signed it: for listings. */
NODISCARD int release_peek(struct str envelope, json_t **ret_statement, struct error *err);

/* The same of the release that a tag or digest of the layout names, read as a struct. */
NODISCARD int release_peek_at(struct layout *layout, const char *repository, const char *reference,
                              struct release *ret, struct error *err);

/* The one layer of an artifact manifest of this artifactType, and its subject. UNTRUSTED if it is
 * another kind of document. */
NODISCARD int release_artifact(const json_t *manifest, const char *artifact_type,
                               struct descriptor *ret_layer, struct descriptor *ret_subject,
                               struct error *err);
/* An artifact of one signed statement in the layout, tagged by nobody yet. */
NODISCARD int release_put_statement(struct layout *layout, struct signer *signer,
                                    const json_t *statement, const char *artifact_type,
                                    const struct descriptor *subject, struct descriptor *ret,
                                    struct error *err);
