/* release/write.c - one signed release into the layout, the tag `release` last. */
#include "base/clock.h"
#include "oci/image.h"
#include "release/release_internal.h"

#define COSIGN_SIGNATURE "dev.cosignproject.cosign/signature"

struct writing {
    struct layout *layout;
    struct signer *signer;
    const struct release_input *input;
    const char *repository; /* "apps/NAME" */
    char *subject_name;     /* owned: what statements call the image */
    struct release release;
    json_t *att_layers; /* owned: layers of the cosign tag .att */
};

/* The Flux artifact that holds delivery.yaml (Flux, "OCI artifacts"). */
static int put_yaml(struct writing *w, struct error *err)
{
    CLEANUP(layer_writer) struct layer_writer *writer = NULL;
    const struct layer_options options = {.threads = 1};
    struct layer layer;
    struct descriptor config, manifest;
    char created[CLOCK_TEXT_SIZE];

    if (layer_writer_new(w->layout, &options, &writer, err) < 0 ||
        layer_add_file(writer, "delivery.yaml", 0644, w->input->yaml, err) < 0 ||
        layer_finish(writer, &layer, err) < 0)
        return error_wrap(err, "writing the YAML artifact");
    memcpy(layer.descriptor.media_type, FLUX_CONTENT_TYPE, sizeof FLUX_CONTENT_TYPE);
    if (layout_put(w->layout, FLUX_CONFIG_TYPE, STR("{}"), &config, err) < 0)
        return -1;
    CLEANUP(text) char *revision = str_format("main@sha1:%s", w->input->commit);
    CLEANUP(json) json_t *layers = json_pack("[o]", descriptor_to_json(&layer.descriptor));
    CLEANUP(json)
    json_t *annotations =
        json_pack("{s:s, s:s, s:s*}", "org.opencontainers.image.created",
                  clock_rfc3339(w->input->created_s, created), "org.opencontainers.image.revision",
                  revision, "org.opencontainers.image.source", w->input->source_uri);
    if (!revision || !layers || !annotations)
        return error_no_memory(err);
    const struct artifact_options artifact = {
        .config = &config, .layers = layers, .annotations = annotations};
    if (artifact_write(w->layout, &artifact, &manifest, err) < 0)
        return -1;
    w->release.yaml = manifest.digest;
    w->release.yaml_size = manifest.size;
    return 0;
}

/* A sigstore bundle as a referrer of the image: what cosign 3 looks for. */
static int put_bundle(struct writing *w, struct str envelope, const char *predicate_type,
                      struct error *err)
{
    CLEANUP(buf) struct buf bundle = BUF_INIT(2 * (size_t)RELEASE_ENVELOPE_MAX);
    struct descriptor blob, manifest;
    char created[CLOCK_TEXT_SIZE];

    if (bundle_write(envelope, signer_public_pem(w->signer), &bundle, err) < 0 ||
        layout_put(w->layout, SIGN_BUNDLE_TYPE, buf_str(&bundle), &blob, err) < 0)
        return -1;
    CLEANUP(json) json_t *layers = json_pack("[o]", descriptor_to_json(&blob));
    CLEANUP(json)
    json_t *annotations =
        json_pack("{s:s, s:s, s:s}", "org.opencontainers.image.created",
                  clock_rfc3339(w->input->created_s, created), "dev.sigstore.bundle.content",
                  "dsse-envelope", "dev.sigstore.bundle.predicateType", predicate_type);
    if (!layers || !annotations)
        return error_no_memory(err);
    const struct artifact_options options = {.artifact_type = SIGN_BUNDLE_TYPE,
                                             .layers = layers,
                                             .subject = &w->input->image,
                                             .annotations = annotations};
    return artifact_write(w->layout, &options, &manifest, err);
}

static int attest(struct writing *w, const char *predicate_type, const json_t *predicate,
                  struct error *err)
{
    CLEANUP(json) json_t *statement = NULL;
    CLEANUP(buf) struct buf envelope = BUF_INIT(RELEASE_ENVELOPE_MAX);
    struct descriptor blob;
    struct release_attestation *a = &w->release.attestations[w->release.attestation_count];

    if (statement_new(w->subject_name, &w->input->image.digest, predicate_type,
                      json_incref((json_t *)(uintptr_t)predicate), &statement, err) < 0 ||
        statement_sign(w->signer, statement, &envelope, err) < 0 ||
        layout_put(w->layout, ENVELOPE_TYPE, buf_str(&envelope), &blob, err) < 0 ||
        put_bundle(w, buf_str(&envelope), predicate_type, err) < 0)
        return error_wrap(err, "attesting %s", predicate_type);
    json_t *layer = descriptor_to_json(&blob);
    if (!layer ||
        json_object_set_new(
            layer, "annotations",
            json_pack("{s:s, s:s}", COSIGN_SIGNATURE, "", "predicateType", predicate_type)) < 0 ||
        json_array_append_new(w->att_layers, layer) < 0)
        return error_no_memory(err);
    (void)snprintf(a->predicate_type, sizeof a->predicate_type, "%s",
                   predicate_type); /* ours fit */
    a->digest = blob.digest;
    a->size = blob.size;
    w->release.attestation_count++;
    return 0;
}

/* cosign's tags .sig and .att: an image manifest whose layers are the signatures (cosign,
 * SIGNATURE_SPEC). */
static int put_cosign_manifest(struct writing *w, const json_t *layers, struct descriptor *ret,
                               struct error *err)
{
    CLEANUP(json) json_t *diff_ids = json_array();
    CLEANUP(json) json_t *history = json_array();
    CLEANUP(buf) struct buf text = BUF_INIT(1 << 20);
    struct descriptor config;
    size_t i;
    json_t *layer;

    json_array_foreach(layers, i, layer)
    {
        if (json_array_append(diff_ids, json_object_get(layer, "digest")) < 0 ||
            json_array_append_new(history, json_pack("{s:s}", "created", "0001-01-01T00:00:00Z")) <
                0)
            return error_no_memory(err);
    }
    CLEANUP(json)
    json_t *root = json_pack("{s:s, s:s, s:O, s:s, s:{s:s, s:O}, s:{}}", "architecture", "",
                             "created", "0001-01-01T00:00:00Z", "history", history, "os", "",
                             "rootfs", "type", "layers", "diff_ids", diff_ids, "config");
    if (!root)
        return error_no_memory(err);
    if (json_write(root, false, &text, err) < 0 ||
        layout_put(w->layout, OCI_CONFIG, buf_str(&text), &config, err) < 0)
        return -1;
    const struct artifact_options options = {.config = &config, .layers = layers};
    return artifact_write(w->layout, &options, ret, err);
}

static int put_signature(struct writing *w, struct descriptor *ret, struct error *err)
{
    CLEANUP(buf) struct buf payload = BUF_INIT(8192);
    CLEANUP(buf) struct buf signature = BUF_INIT(1024);
    CLEANUP(buf) struct buf envelope = BUF_INIT(1 << 20);
    CLEANUP(json) json_t *statement = NULL;
    struct descriptor blob;

    if (simple_payload(w->subject_name, &w->input->image.digest, &payload, err) < 0 ||
        simple_sign(w->signer, buf_str(&payload), &signature, err) < 0 ||
        layout_put(w->layout, SIMPLE_SIGNING_TYPE, buf_str(&payload), &blob, err) < 0)
        return error_wrap(err, "signing the image");
    if (statement_new(NULL, &w->input->image.digest, PREDICATE_SIGNATURE, json_object(), &statement,
                      err) < 0 ||
        statement_sign(w->signer, statement, &envelope, err) < 0 ||
        put_bundle(w, buf_str(&envelope), PREDICATE_SIGNATURE, err) < 0)
        return error_wrap(err, "signing the image");
    json_t *layer = descriptor_to_json(&blob);
    CLEANUP(json) json_t *layers = json_pack("[o]", layer);
    if (!layers ||
        json_object_set_new(layer, "annotations",
                            json_pack("{s:s}", COSIGN_SIGNATURE, buf_text(&signature))) < 0)
        return error_no_memory(err);
    return put_cosign_manifest(w, layers, ret, err);
}

static int next_sequence(struct writing *w, struct error *err)
{
    CLEANUP(json) json_t *list = NULL;
    struct error none = ERROR_INIT;

    w->release.sequence = 1;
    if (release_list(w->layout, workload_name(w->input->workload), &list, &none) < 0) {
        if (none.kind == ERR_NOT_FOUND)
            return 0; /* the first release of this app */
        *err = none;
        return -1;
    }
    w->release.sequence = (uint64_t)json_int_at(json_array_get(list, 0), "sequence", 0) + 1;
    return 0;
}

static int attest_all(struct writing *w, struct error *err)
{
    const struct release_input *in = w->input;

    if (attest(w, PREDICATE_CYCLONEDX, in->sbom, err) < 0 ||
        attest(w, PREDICATE_FINDINGS, in->findings, err) < 0 ||
        attest(w, PREDICATE_PROVENANCE, in->provenance, err) < 0 ||
        attest(w, PREDICATE_VSA, in->verdict, err) < 0)
        return -1;
    return in->vex ? attest(w, "https://openvex.dev/ns", in->vex, err) : 0;
}

static int write_all(struct writing *w, struct error *err)
{
    struct descriptor sig, att, statement_manifest;
    CLEANUP(json) json_t *predicate = NULL;
    CLEANUP(json) json_t *statement = NULL;
    const char *hex = digest_hex(&w->input->image.digest);

    if (put_yaml(w, err) < 0 || attest_all(w, err) < 0 || put_signature(w, &sig, err) < 0 ||
        put_cosign_manifest(w, w->att_layers, &att, err) < 0)
        return -1;
    if (release_to_json(&w->release, &predicate, err) < 0 ||
        statement_new(w->subject_name, &w->input->image.digest, PREDICATE_RELEASE, TAKE(predicate),
                      &statement, err) < 0 ||
        release_put_statement(w->layout, w->signer, statement, RELEASE_ARTIFACT_TYPE,
                              &w->input->image, &statement_manifest, err) < 0)
        return error_wrap(err, "writing the release statement");
    w->release.digest = statement_manifest.digest;
    CLEANUP(text) char *sig_tag = str_format("sha256-%s.sig", hex);
    CLEANUP(text) char *att_tag = str_format("sha256-%s.att", hex);
    CLEANUP(text)
    char *own_tag = str_format("release-%llu", (unsigned long long)w->release.sequence);
    if (!sig_tag || !att_tag || !own_tag)
        return error_no_memory(err);
    const struct layout_tag_set tags[] = {{w->repository, sig_tag, sig},
                                          {w->repository, att_tag, att},
                                          {w->repository, own_tag, statement_manifest},
                                          {w->repository, RELEASE_TAG, statement_manifest}};
    return layout_tag_all(w->layout, tags, ARRAY_LEN(tags), err);
}

int release_write(struct layout *layout, const struct release_input *input, struct signer *signer,
                  struct release *ret, struct error *err)
{
    char repository[RELEASE_NAME_SIZE];
    const char *name = workload_name(input->workload);
    const char *result_text = json_str_at(input->verdict, "verificationResult");
    struct writing w = {.layout = layout, .signer = signer, .input = input};

    if (!result_text || strcmp(result_text, "PASSED") != 0)
        return error_set(err, ERR_DENIED, "rule 'verdict': the gate's verdict is not PASSED");
    w.repository = release_repository(name, repository);
    w.release.image = input->image;
    w.release.created_s = input->created_s;
    w.release.key_id = *signer_key_id(signer);
    /* Sized for what workload/ and source/ let through. */
    (void)snprintf(w.release.workload, sizeof w.release.workload, "%s", name);
    (void)snprintf(w.release.namespace_, sizeof w.release.namespace_, "%s",
                   workload_namespace(input->workload));
    (void)snprintf(w.release.commit, sizeof w.release.commit, "%s", input->commit);
    w.subject_name = str_format("registry.monban.local/%s", repository);
    w.att_layers = json_array();
    int result = w.subject_name && w.att_layers ? 0 : error_no_memory(err);
    w.release.sequence = input->sequence;
    if (result == 0 && input->sequence == 0)
        result = next_sequence(&w, err);
    if (result == 0)
        result = write_all(&w, err);
    free(w.subject_name);
    json_decref(w.att_layers);
    if (result < 0)
        return error_wrap(err, "writing the release of '%s'", name);
    *ret = w.release;
    return 0;
}
