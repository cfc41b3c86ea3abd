/* sign/sign.h - keys, signatures and statements, readable by cosign.
 *
 *   key.c        ECDSA P-256 keys: cosign.pub PEM; the private key encrypted as cosign writes it
 *   signer.c     the process that holds a private key: it signs sha256 values and does nothing else
 *   trust.c      a set of public keys, and verification by it
 *   dsse.c       DSSE envelopes (PAE)             statement.c   in-toto v1 statements
 *   simple.c     cosign's simple signing payload  bundle.c      sigstore bundle v0.3
 *   provenance.c SLSA provenance v1, and the verification summary v1
 *
 * Source: cosign's signature and bundle specifications; DSSE 1.0; in-toto attestation v1; SLSA 1.0.
 */
#pragma once
#include "base/digest.h"
#include "base/secret.h"
#include "wire/json.h"

enum {
    SIGN_SIGNATURE_MAX = 128, /* bytes of a DER ECDSA P-256 signature (72 at most), with room */

    SIGN_PAYLOAD_MAX = 64 << 20, /* bytes of a statement: an SBOM of a large image */
    SIGN_TRUST_KEYS_MAX = 64,
};

#define SIGN_TYPE_INTOTO "application/vnd.in-toto+json"

/* --- keys */
struct sign_key; /* a private key in this process's memory */
NODISCARD int sign_key_make(struct sign_key **ret, struct error *err);
void sign_key_free(struct sign_key *key);
DEFINE_CLEANUP(sign_key, struct sign_key *, sign_key_free)
/* NAME.key (mode 0600, encrypted with `password`, which may be empty) and NAME.pub in `dir` (made
 * if missing). CONFLICT if NAME.key is there. */
NODISCARD int sign_key_write(const struct sign_key *key, const char *dir, const char *name,
                             struct str password, struct error *err);
/* Text of a private key file: cosign's encrypted PEM, or plain PKCS#8 or SEC1. UNTRUSTED for a
 * wrong password. */
NODISCARD int sign_key_parse(const char *file, struct str text, struct str password,
                             struct sign_key **ret, struct error *err);
NODISCARD int sign_key_read(const char *path, struct str password, struct sign_key **ret,
                            struct error *err);
NODISCARD int sign_key_public_pem(const struct sign_key *key, struct buf *out, struct error *err);
/* "sha256:…" of a public key's DER: what we call the key by. */
NODISCARD int sign_public_id(const char *file, struct str pem, struct digest *ret,
                             struct error *err);

/* --- the signer: something that signs a sha256 value */
struct signer;
/* Forks the signer process, which reads the key file, answers over a socket pair, and ends with its
 * last peer. Call it at start, before threads and before anything from outside was read; fails if
 * the key cannot be read. */
NODISCARD int signer_start(const char *key_path, struct str password, struct signer **ret,
                           struct error *err);
/* The same interface over a key in this process, for commands that sign once. Takes the key. */
NODISCARD int signer_new_local(struct sign_key *take_key, struct signer **ret, struct error *err);
/* The peer's end, to hand to another process of ours, and a signer made of such an end (takes the
 * descriptor). */
int signer_fd(const struct signer *signer); /* -1 for a local one */
NODISCARD int signer_new_from_fd(int take_fd, struct signer **ret, struct error *err);
void signer_free(struct signer *signer); /* ends and reaps its process if signer_start() made it */
DEFINE_CLEANUP(signer, struct signer *, signer_free)
const char *signer_public_pem(const struct signer *signer);      /* borrowed */
const struct digest *signer_key_id(const struct signer *signer); /* borrowed */
struct signature {
    uint8_t bytes[SIGN_SIGNATURE_MAX]; /* ASN.1 DER */
    size_t len;
};
NODISCARD int signer_sign(struct signer *signer, const uint8_t sha256[SHA256_SIZE],
                          struct signature *ret, struct error *err);

/* --- trust: public keys */
struct trust;
NODISCARD int trust_new(struct trust **ret, struct error *err);
void trust_free(struct trust *trust);
DEFINE_CLEANUP(trust, struct trust *, trust_free)
NODISCARD int trust_add_pem(struct trust *trust, const char *file, struct str pem,
                            struct error *err);
NODISCARD int trust_add_file(struct trust *trust, const char *path, struct error *err);
NODISCARD int trust_add_folder(struct trust *trust, const char *dir, struct error *err); /* *.pub */
size_t trust_count(const struct trust *trust);
/* True if one of the keys made `signature` (DER) over the sha256; *ret_key_id says which (may be
 * NULL). */
bool trust_verify(const struct trust *trust, const uint8_t sha256[SHA256_SIZE],
                  struct str signature, struct digest *ret_key_id);

/* --- DSSE */
void dsse_pae(const char *payload_type, struct str payload, struct buf *out);
/* The envelope's JSON: {"payloadType","payload","signatures":[{"keyid":"","sig"}]}. */
NODISCARD int dsse_sign(struct signer *signer, const char *payload_type, struct str payload,
                        struct buf *ret_envelope, struct error *err);
/* The payload's bytes if one signature is by a trusted key. UNTRUSTED; INVALID at
 * `name`:line:column. */
NODISCARD int dsse_open(const struct trust *trust, const char *name, struct str envelope,
                        const char *payload_type, struct buf *ret_payload,
                        struct digest *ret_key_id, struct error *err);

/* --- in-toto statements, v1 */
/* {"_type","subject":[{"name","digest":{"sha256"}}],"predicateType","predicate"}. Consumes
 * take_predicate. */
NODISCARD int statement_new(const char *subject_name, const struct digest *subject,
                            const char *predicate_type, json_t *take_predicate, json_t **ret,
                            struct error *err);
/* Sign a statement: its compact JSON in a DSSE envelope. */
NODISCARD int statement_sign(struct signer *signer, const json_t *statement,
                             struct buf *ret_envelope, struct error *err);
/* Open an envelope and check: a subject is `subject`, the type is `predicate_type` (NULL: any).
 * Gives the whole statement. UNTRUSTED names the digest or rule that fails. */
NODISCARD int statement_open(const struct trust *trust, const char *name, struct str envelope,
                             const struct digest *subject, const char *predicate_type,
                             json_t **ret_statement, struct digest *ret_key_id, struct error *err);

/* --- cosign's simple signing, and the bundle */
NODISCARD int simple_payload(const char *docker_reference, const struct digest *manifest,
                             struct buf *out, struct error *err);
NODISCARD int simple_sign(struct signer *signer, struct str payload, struct buf *ret_base64,
                          struct error *err);
/* UNTRUSTED unless the signature is by a trusted key and the payload names `manifest` (and the
 * reference, if given). */
NODISCARD int simple_verify(const struct trust *trust, struct str payload, struct str base64,
                            const struct digest *manifest, const char *docker_reference,
                            struct error *err);
#define SIGN_BUNDLE_TYPE "application/vnd.dev.sigstore.bundle.v0.3+json"
NODISCARD int bundle_write(struct str envelope, const char *public_pem, struct buf *out,
                           struct error *err);
/* The envelope inside a bundle. */
NODISCARD int bundle_read(const char *name, struct str bundle, struct buf *ret_envelope,
                          struct error *err);

/* --- predicates */
#define PREDICATE_CYCLONEDX  "https://cyclonedx.org/bom"
#define PREDICATE_FINDINGS   "https://monban.dev/findings/v1"
#define PREDICATE_PROVENANCE "https://slsa.dev/provenance/v1"
#define PREDICATE_VSA        "https://slsa.dev/verification_summary/v1"
#define PREDICATE_RELEASE    "https://monban.dev/release/v1"
#define PREDICATE_PROMOTION  "https://monban.dev/promotion/v1"
#define PREDICATE_ROLLBACK   "https://monban.dev/rollback/v1"
#define PREDICATE_SIGNATURE  "https://sigstore.dev/cosign/sign/v1"

struct provenance_input {
    const char *builder_id;      /* "https://monban.dev/builder/v1" by default (NULL) */
    const char *builder_version; /* of monban */
    const char *source_uri;      /* "git+file:///…@refs/heads/main" or "git+https://…" */
    const char *commit;          /* hex */
    const char *ref;             /* "refs/heads/main"; NULL: none */
    const char *sub_path;        /* or NULL */
    const json_t *build_env;     /* array of {"name","value"}; NULL: none */
    const json_t *internal;      /* internalParameters; NULL: none */
    const json_t *dependencies;  /* array of ResourceDescriptors beyond the source: run image,
                                    buildpacks; NULL */
    const char *invocation_id;
    int64_t started_s, finished_s; /* 0: left out */
};
NODISCARD int provenance_new(const struct provenance_input *input, json_t **ret_predicate,
                             struct error *err);

struct vsa_input {
    const char *verifier_id;  /* NULL: "https://monban.dev/gate/v1" */
    const char *resource_uri; /* "oci://registry.monban.local/apps/x@sha256:…" */
    const char *policy_uri;   /* and the digest of the platform folder */
    const struct digest *policy;
    const json_t *input_attestations; /* array of {"digest":{"sha256"}} or NULL */
    bool passed;
    const json_t *levels; /* array of text; NULL: ["SLSA_BUILD_LEVEL_2"] if passed */
    const json_t
        *extension; /* the gate's verdict in full, under "https://monban.dev/verdict/v1"; NULL */
    int64_t verified_s;
};
NODISCARD int vsa_new(const struct vsa_input *input, json_t **ret_predicate, struct error *err);
