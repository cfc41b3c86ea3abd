/* release/verify.c - a release is taken apart and each part is held against the signed statement.
 */
#include <archive.h>
#include <archive_entry.h>

#include "base/clock.h"
#include "oci/image.h"
#include "oci/registry_client.h"
#include "release/release_internal.h"

enum { MEMBERS_MAX = 64 }; /* files of a YAML artifact */

struct reading {
    struct layout *layout;
    struct registry_client *client; /* NULL: all lies in the layout */
    const struct trust *trust;
    const struct release_rules *rules;
    char repository[RELEASE_NAME_SIZE];
    struct release_content *content;
};

static int need_blob(const struct reading *r, const struct descriptor *blob, struct error *err)
{
    if (!r->client)
        return 0;
    return registry_pull_blob(r->client, r->repository, blob, r->layout, err);
}

/* Everything below a manifest, by digest. */
static int need_manifest(const struct reading *r, const struct digest *digest, int flags,
                         struct error *err)
{
    struct descriptor got;
    const struct registry_copy copy = {
        .repository = r->repository, .reference = digest->text, .flags = flags};

    if (!r->client)
        return 0;
    return registry_pull(r->client, &copy, r->layout, &got, err);
}

static int check_rules(const struct reading *r, struct error *err)
{
    const struct release *release = &r->content->release;
    const struct release_rules *rules = r->rules;

    if (strcmp(release->workload, rules->workload) != 0)
        return error_set(err, ERR_UNTRUSTED, "rule 'workload': the release in 'apps/%s' is of '%s'",
                         rules->workload, release->workload);
    if (release->sequence < rules->least_sequence && !rules->allow_rollback)
        return error_set(
            err, ERR_UNTRUSTED,
            "rule 'sequence': release %llu of '%s' is older than release %llu, which was "
            "accepted already (a rollback must be signed for)",
            (unsigned long long)release->sequence, release->workload,
            (unsigned long long)rules->least_sequence);
    return 0;
}

/* The statement: signed by a trusted key, of the manifest's own subject, and by the rules. */
static int open_statement(const struct reading *r, const struct digest *digest,
                          const json_t *manifest, struct error *err)
{
    struct release *release = &r->content->release;
    struct descriptor layer, subject;
    CLEANUP(buf) struct buf envelope = BUF_INIT(RELEASE_ENVELOPE_MAX);
    CLEANUP(json) json_t *statement = NULL;
    struct digest key_id;

    if (release_artifact(manifest, RELEASE_ARTIFACT_TYPE, &layer, &subject, err) < 0 ||
        need_blob(r, &layer, err) < 0 ||
        layout_read(r->layout, &layer.digest, &envelope, err) < 0 ||
        statement_open(r->trust, "release statement", buf_str(&envelope), &subject.digest,
                       PREDICATE_RELEASE, &statement, &key_id, err) < 0 ||
        release_from_statement(statement, release, err) < 0)
        return -1;
    if (!digest_equal(&release->image.digest, &subject.digest))
        return error_set(err, ERR_UNTRUSTED,
                         "rule 'subject': the statement is of %s, and names the image %s",
                         subject.digest.text, release->image.digest.text);
    release->digest = *digest;
    release->key_id = key_id;
    return check_rules(r, err);
}

static int read_image(const struct reading *r, struct error *err)
{
    struct release_content *content = r->content;
    CLEANUP(image) struct image *image = NULL;

    if (need_manifest(r, &content->release.image.digest, REGISTRY_COSIGN_TAGS, err) < 0 ||
        image_read(r->layout, &content->release.image.digest, NULL, &image, err) < 0)
        return error_wrap(err, "image %s", content->release.image.digest.text);
    content->image_manifest = json_incref(image->manifest);
    if (r->rules->skip_layers)
        return 0;
    for (size_t i = 0; i < image->layer_count; i++) {
        struct digest got;
        uint64_t size;
        const struct descriptor *want = &image->layers[i].descriptor;
        CLEANUP(text) char *path = str_format("blobs/sha256/%s", digest_hex(&want->digest));
        if (!path)
            return error_no_memory(err);
        if (digest_of_file(layout_dir_fd(r->layout), path, &got, &size, err) < 0)
            return error_wrap(err, "layer %s", want->digest.text);
        if (!digest_equal(&got, &want->digest) || size != want->size)
            return error_set(err, ERR_UNTRUSTED, "digest mismatch: layer %s has the bytes of %s",
                             want->digest.text, got.text);
    }
    return 0;
}

/* delivery.yaml out of the artifact's tar; other members are left alone. */
static int unpack_yaml(struct archive *a, struct buf *out, struct error *err)
{
    struct archive_entry *entry;

    for (int i = 0; i < MEMBERS_MAX; i++) {
        int code = archive_read_next_header(a, &entry);
        if (code == ARCHIVE_EOF)
            break;
        if (code != ARCHIVE_OK)
            return error_set(err, ERR_INVALID, "the YAML artifact is no tar: %s",
                             archive_error_string(a));
        const char *name = archive_entry_pathname(entry);
        if (!name || strcmp(name, "delivery.yaml") != 0)
            continue;
        for (;;) {
            char chunk[65536];
            la_ssize_t n = archive_read_data(a, chunk, sizeof chunk);
            if (n < 0)
                return error_set(err, ERR_INVALID, "the YAML artifact is broken: %s",
                                 archive_error_string(a));
            if (n == 0)
                return buf_ok(out, err);
            buf_add(out, chunk, (size_t)n);
            if (buf_ok(out, err) < 0)
                return -1;
        }
    }
    return error_set(err, ERR_INVALID, "the YAML artifact holds no delivery.yaml");
}

static int read_yaml(const struct reading *r, struct error *err)
{
    const struct digest *digest = &r->content->release.yaml;
    CLEANUP(json) json_t *manifest = NULL;
    CLEANUP(buf) struct buf packed = BUF_INIT(RELEASE_YAML_MAX);
    struct descriptor layer;

    if (need_manifest(r, digest, 0, err) < 0 ||
        layout_read_manifest(r->layout, digest, &manifest, NULL, NULL, err) < 0 ||
        descriptor_from_json(json_at(manifest, "layers[0]"), &layer, err) < 0 ||
        layout_read(r->layout, &layer.digest, &packed, err) < 0)
        return error_wrap(err, "YAML %s", digest->text);
    struct archive *a = archive_read_new();
    if (!a)
        return error_no_memory(err);
    int result = -1;
    if (archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
        archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_open_memory(a, buf_text(&packed), packed.len) != ARCHIVE_OK)
        (void)error_set(err, ERR_INVALID, "the YAML artifact cannot be read: %s",
                        archive_error_string(a));
    else
        result = unpack_yaml(a, &r->content->yaml, err);
    (void)archive_read_free(a); /* read only */
    return result < 0 ? error_wrap(err, "YAML %s", digest->text) : 0;
}

static int read_attestation(const struct reading *r, const struct release_attestation *a,
                            json_t **ret_predicate, struct error *err)
{
    CLEANUP(buf) struct buf envelope = BUF_INIT(RELEASE_ENVELOPE_MAX);
    CLEANUP(json) json_t *statement = NULL;
    struct descriptor blob = {.digest = a->digest, .size = a->size};

    (void)snprintf(blob.media_type, sizeof blob.media_type, "%s", ENVELOPE_TYPE); /* fits */
    if (need_blob(r, &blob, err) < 0 || layout_read(r->layout, &a->digest, &envelope, err) < 0 ||
        statement_open(r->trust, "attestation", buf_str(&envelope),
                       &r->content->release.image.digest, a->predicate_type, &statement, NULL,
                       err) < 0)
        return error_wrap(err, "attestation %s (%s)", a->predicate_type, a->digest.text);
    json_decref(*ret_predicate);
    *ret_predicate = json_incref(json_object_get(statement, "predicate"));
    return 0;
}

static int read_attestations(const struct reading *r, struct error *err)
{
    struct release_content *content = r->content;
    const struct {
        const char *type;
        json_t **to;
        bool is_needed;
    } wanted[] = {
        {PREDICATE_CYCLONEDX, &content->sbom, true},
        {PREDICATE_FINDINGS, &content->findings, true},
        {PREDICATE_PROVENANCE, &content->provenance, r->rules->want_provenance},
        {PREDICATE_VSA, &content->verdict, true},
    };

    for (size_t i = 0; i < content->release.attestation_count; i++) {
        const struct release_attestation *a = &content->release.attestations[i];
        for (size_t j = 0; j < ARRAY_LEN(wanted); j++) {
            if (strcmp(a->predicate_type, wanted[j].type) == 0 &&
                read_attestation(r, a, wanted[j].to, err) < 0)
                return -1;
        }
    }
    for (size_t j = 0; j < ARRAY_LEN(wanted); j++) {
        if (wanted[j].is_needed && !*wanted[j].to)
            return error_set(err, ERR_UNTRUSTED, "rule 'attestations': none of type %s",
                             wanted[j].type);
    }
    const char *result = json_str_at(content->verdict, "verificationResult");
    if (!result || strcmp(result, "PASSED") != 0)
        return error_set(err, ERR_DENIED, "rule 'verdict': the gate says '%s', not PASSED",
                         result ? result : "");
    return 0;
}

/* The provenance is of the commit that the statement names (SLSA provenance v1,
 * resolvedDependencies). */
static int check_provenance(const struct reading *r, struct error *err)
{
    const json_t *provenance = r->content->provenance;
    size_t i;
    json_t *item;

    if (!provenance)
        return 0;
    json_array_foreach(json_at(provenance, "buildDefinition.resolvedDependencies"), i, item)
    {
        const char *commit = json_str_at(item, "digest.gitCommit");
        if (commit && strcmp(commit, r->content->release.commit) == 0)
            return 0;
    }
    return error_set(err, ERR_UNTRUSTED,
                     "rule 'provenance': it does not name the commit %s of the statement",
                     r->content->release.commit);
}

static int read_rest(const struct reading *r, struct error *err)
{
    if (read_attestations(r, err) < 0 || check_provenance(r, err) < 0 || read_yaml(r, err) < 0 ||
        read_image(r, err) < 0)
        return error_wrap(err, "release %llu of '%s'",
                          (unsigned long long)r->content->release.sequence, r->rules->workload);
    return 0;
}

/* A tag of the layout, or a digest. */
static int resolve(const struct reading *r, const char *reference, struct digest *ret,
                   struct error *err)
{
    struct descriptor d;

    if (digest_parse(str_of(reference), ret))
        return 0;
    if (layout_resolve(r->layout, r->repository, reference, &d, err) < 0)
        return -1;
    *ret = d.digest;
    return 0;
}

int release_verify(struct layout *layout, const char *reference, const struct trust *trust,
                   const struct release_rules *rules, struct release_content *ret,
                   struct error *err)
{
    struct reading r = {.layout = layout, .trust = trust, .rules = rules, .content = ret};
    CLEANUP(json) json_t *manifest = NULL;
    struct digest digest;

    release_repository(rules->workload, r.repository);
    if (resolve(&r, reference, &digest, err) < 0 ||
        layout_read_manifest(layout, &digest, &manifest, NULL, NULL, err) < 0)
        return error_wrap(err, "release of '%s'", rules->workload);
    if (open_statement(&r, &digest, manifest, err) < 0)
        return error_wrap(err, "release %s of '%s'", digest.text, rules->workload);
    return read_rest(&r, err);
}

static int tag_release(const struct reading *r, const struct descriptor *manifest,
                       struct error *err)
{
    CLEANUP(text)
    char *own = str_format("release-%llu", (unsigned long long)r->content->release.sequence);

    if (!own)
        return error_no_memory(err);
    const struct layout_tag_set tags[] = {{r->repository, own, *manifest},
                                          {r->repository, RELEASE_TAG, *manifest}};
    return layout_tag_all(r->layout, tags, ARRAY_LEN(tags), err);
}

int release_fetch(struct registry_client *client, const char *reference, struct layout *layout,
                  const struct trust *trust, const struct release_rules *rules,
                  struct release_content *ret, struct error *err)
{
    struct reading r = {
        .layout = layout, .client = client, .trust = trust, .rules = rules, .content = ret};
    CLEANUP(buf) struct buf bytes = BUF_INIT(LAYOUT_MANIFEST_MAX);
    CLEANUP(json) json_t *manifest = NULL;
    struct descriptor got, stored;
    bool changed;

    release_repository(rules->workload, r.repository);
    const struct registry_ask ask = {.repository = r.repository, .reference = reference};
    if (registry_get_manifest(client, &ask, &bytes, &got, &changed, err) < 0 ||
        json_parse("release manifest", buf_str(&bytes), &manifest, err) < 0)
        return error_wrap(err, "release of '%s'", rules->workload);
    if (open_statement(&r, &got.digest, manifest, err) < 0)
        return error_wrap(err, "release %s of '%s'", got.digest.text, rules->workload);
    if (read_rest(&r, err) < 0 ||
        layout_put_manifest(layout, got.media_type, buf_str(&bytes), &stored, err) < 0)
        return -1;
    return tag_release(&r, &stored, err);
}
