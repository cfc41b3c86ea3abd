/* release/release.c - the release statement as a struct, and lists of releases; see
 * release/release.h. */
#include "release/release.h"

#include "base/clock.h"
#include "base/encode.h"
#include "oci/image.h"
#include "release/release_internal.h"

const char *release_repository(const char *workload, char out[RELEASE_NAME_SIZE])
{
    (void)snprintf(out, RELEASE_NAME_SIZE, "apps/%.63s", workload); /* a DNS label: fits */
    return out;
}

void release_content_done(struct release_content *content)
{
    buf_done(&content->yaml);
    json_decref(content->sbom);
    json_decref(content->findings);
    json_decref(content->provenance);
    json_decref(content->verdict);
    json_decref(content->image_manifest);
    *content = (struct release_content)RELEASE_CONTENT_INIT;
}

int release_to_json(const struct release *r, json_t **ret, struct error *err)
{
    char created[CLOCK_TEXT_SIZE];
    CLEANUP(json) json_t *attestations = json_array();

    for (size_t i = 0; i < r->attestation_count; i++) {
        if (json_array_append_new(attestations,
                                  json_pack("{s:s, s:s, s:I}", "predicateType",
                                            r->attestations[i].predicate_type, "digest",
                                            r->attestations[i].digest.text, "size",
                                            (json_int_t)r->attestations[i].size)) < 0)
            return error_no_memory(err);
    }
    *ret = json_pack("{s:{s:s, s:s}, s:I, s:s, s:s, s:{s:s, s:s, s:I}, s:{s:s, s:I}, s:O}",
                     "workload", "name", r->workload, "namespace", r->namespace_, "sequence",
                     (json_int_t)r->sequence, "commit", r->commit, "createdAt",
                     clock_rfc3339(r->created_s, created), "image", "digest", r->image.digest.text,
                     "mediaType", r->image.media_type, "size", (json_int_t)r->image.size, "yaml",
                     "digest", r->yaml.text, "size", (json_int_t)r->yaml_size, "attestations",
                     attestations);
    return *ret ? 0 : error_no_memory(err);
}

/* A text of the predicate that must be there and fit; what does not is as good as a forgery. */
static int take_text(const json_t *predicate, const char *path, char *out, size_t size,
                     struct error *err)
{
    const char *text = json_str_at(predicate, path);

    if (!text || strlen(text) >= size)
        return error_set(err, ERR_UNTRUSTED, "rule 'statement': '%s' is missing or too long", path);
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int take_digest(const json_t *predicate, const char *path, struct digest *ret,
                       struct error *err)
{
    const char *text = json_str_at(predicate, path);

    if (!text || !digest_parse(str_of(text), ret))
        return error_set(err, ERR_UNTRUSTED, "rule 'statement': '%s' is no sha256 digest", path);
    return 0;
}

static int take_number(const json_t *predicate, const char *path, uint64_t *ret, struct error *err)
{
    int64_t number = json_int_at(predicate, path, -1);

    if (number < 0)
        return error_set(err, ERR_UNTRUSTED, "rule 'statement': '%s' is no number", path);
    *ret = (uint64_t)number;
    return 0;
}

static int take_attestations(const json_t *predicate, struct release *r, struct error *err)
{
    json_t *list = json_object_get(predicate, "attestations");
    size_t i;
    json_t *item;

    if (!json_is_array(list) || json_array_size(list) > RELEASE_ATTESTATIONS_MAX)
        return error_set(err, ERR_UNTRUSTED,
                         "rule 'statement': 'attestations' is no list of at most %d",
                         RELEASE_ATTESTATIONS_MAX);
    json_array_foreach(list, i, item)
    {
        struct release_attestation *a = &r->attestations[i];
        if (take_text(item, "predicateType", a->predicate_type, sizeof a->predicate_type, err) <
                0 ||
            take_digest(item, "digest", &a->digest, err) < 0 ||
            take_number(item, "size", &a->size, err) < 0)
            return -1;
    }
    r->attestation_count = json_array_size(list);
    return 0;
}

int release_from_statement(const json_t *statement, struct release *ret, struct error *err)
{
    const json_t *p = json_object_get(statement, "predicate");
    const char *created = json_str_at(p, "createdAt");
    struct release r = {0};

    if (take_text(p, "workload.name", r.workload, sizeof r.workload, err) < 0 ||
        take_text(p, "workload.namespace", r.namespace_, sizeof r.namespace_, err) < 0 ||
        take_text(p, "commit", r.commit, sizeof r.commit, err) < 0 ||
        take_number(p, "sequence", &r.sequence, err) < 0 ||
        take_digest(p, "image.digest", &r.image.digest, err) < 0 ||
        take_number(p, "image.size", &r.image.size, err) < 0 ||
        take_text(p, "image.mediaType", r.image.media_type, sizeof r.image.media_type, err) < 0 ||
        take_digest(p, "yaml.digest", &r.yaml, err) < 0 ||
        take_number(p, "yaml.size", &r.yaml_size, err) < 0 || take_attestations(p, &r, err) < 0)
        return -1;
    if (r.sequence == 0)
        return error_set(err, ERR_UNTRUSTED, "rule 'statement': 'sequence' starts at 1");
    if (!created || !clock_parse_rfc3339(str_of(created), &r.created_s))
        return error_set(err, ERR_UNTRUSTED, "rule 'statement': 'createdAt' is no time");
    *ret = r;
    return 0;
}

int release_peek(struct str envelope, json_t **ret_statement, struct error *err)
{
    CLEANUP(json) json_t *outer = NULL;
    CLEANUP(buf) struct buf payload = BUF_INIT(SIGN_PAYLOAD_MAX);

    if (json_parse("envelope", envelope, &outer, err) < 0)
        return -1;
    const char *text = json_str_at(outer, "payload");
    if (!text || !base64_decode(str_of(text), &payload))
        return error_set(err, ERR_INVALID, "an envelope without payload");
    return json_parse("statement", buf_str(&payload), ret_statement, err);
}

int release_artifact(const json_t *manifest, const char *artifact_type,
                     struct descriptor *ret_layer, struct descriptor *ret_subject,
                     struct error *err)
{
    const char *type = json_str_at(manifest, "artifactType");
    json_t *layers = json_object_get(manifest, "layers");

    if (!type || strcmp(type, artifact_type) != 0)
        return error_set(err, ERR_UNTRUSTED, "rule 'artifact': '%s' was expected, not '%s'",
                         artifact_type, type ? type : "");
    if (json_array_size(layers) != 1)
        return error_set(err, ERR_UNTRUSTED, "rule 'artifact': one layer was expected, not %zu",
                         json_array_size(layers));
    if (descriptor_from_json(json_array_get(layers, 0), ret_layer, err) < 0 ||
        descriptor_from_json(json_object_get(manifest, "subject"), ret_subject, err) < 0)
        return -1;
    if (ret_layer->size > RELEASE_ENVELOPE_MAX)
        return error_set(err, ERR_LIMIT, "an envelope of %llu bytes",
                         (unsigned long long)ret_layer->size);
    return 0;
}

/* The release that a tag or digest names, as its statement says; who signed it is asked on import.
 */
int release_peek_at(struct layout *layout, const char *repository, const char *reference,
                    struct release *ret, struct error *err)
{
    CLEANUP(json) json_t *manifest = NULL, *statement = NULL;
    CLEANUP(buf) struct buf envelope = BUF_INIT(RELEASE_ENVELOPE_MAX);
    struct descriptor d, layer, subject;

    if (!digest_parse(str_of(reference), &d.digest) &&
        layout_resolve(layout, repository, reference, &d, err) < 0)
        return -1;
    if (layout_read_manifest(layout, &d.digest, &manifest, NULL, NULL, err) < 0 ||
        release_artifact(manifest, RELEASE_ARTIFACT_TYPE, &layer, &subject, err) < 0 ||
        layout_read(layout, &layer.digest, &envelope, err) < 0 ||
        release_peek(buf_str(&envelope), &statement, err) < 0 ||
        release_from_statement(statement, ret, err) < 0)
        return -1;
    ret->digest = d.digest;
    return 0;
}

int release_put_statement(struct layout *layout, struct signer *signer, const json_t *statement,
                          const char *artifact_type, const struct descriptor *subject,
                          struct descriptor *ret, struct error *err)
{
    CLEANUP(buf) struct buf envelope = BUF_INIT(RELEASE_ENVELOPE_MAX);
    struct descriptor blob;

    if (statement_sign(signer, statement, &envelope, err) < 0 ||
        layout_put(layout, ENVELOPE_TYPE, buf_str(&envelope), &blob, err) < 0)
        return -1;
    CLEANUP(json) json_t *layers = json_pack("[o]", descriptor_to_json(&blob));
    if (!layers)
        return error_no_memory(err);
    const struct artifact_options options = {
        .artifact_type = artifact_type, .layers = layers, .subject = subject};
    return artifact_write(layout, &options, ret, err);
}

int release_workloads(struct layout *layout, struct strv *ret, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;

    if (layout_repositories(layout, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        struct descriptor d;
        struct error none = ERROR_INIT; /* a repository without a release is none of ours */
        if (str_starts(str_of(names.items[i]), STR("apps/")) &&
            layout_resolve(layout, names.items[i], RELEASE_TAG, &d, &none) == 0)
            strv_add(ret, names.items[i] + strlen("apps/"));
    }
    return strv_ok(ret, err);
}

static int list_one(struct layout *layout, const char *repository, const char *tag, json_t *list,
                    struct error *err)
{
    struct descriptor d, layer, subject;
    CLEANUP(json) json_t *manifest = NULL;
    CLEANUP(json) json_t *statement = NULL;
    CLEANUP(buf) struct buf envelope = BUF_INIT(RELEASE_ENVELOPE_MAX);
    struct release r;
    char created[CLOCK_TEXT_SIZE];

    if (layout_resolve(layout, repository, tag, &d, err) < 0 ||
        layout_read_manifest(layout, &d.digest, &manifest, NULL, NULL, err) < 0 ||
        release_artifact(manifest, RELEASE_ARTIFACT_TYPE, &layer, &subject, err) < 0 ||
        layout_read(layout, &layer.digest, &envelope, err) < 0 ||
        release_peek(buf_str(&envelope), &statement, err) < 0 ||
        release_from_statement(statement, &r, err) < 0)
        return error_wrap(err, "reading '%s:%s'", repository, tag);
    if (json_array_append_new(list, json_pack("{s:I, s:s, s:s, s:s, s:s, s:s}", "sequence",
                                              (json_int_t)r.sequence, "commit", r.commit,
                                              "createdAt", clock_rfc3339(r.created_s, created),
                                              "image", r.image.digest.text, "digest", d.digest.text,
                                              "namespace", r.namespace_)) < 0)
        return error_no_memory(err);
    return 0;
}

static int newer_first(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x < y) - (x > y);
}

int release_list(struct layout *layout, const char *workload, json_t **ret, struct error *err)
{
    char repository[RELEASE_NAME_SIZE];
    CLEANUP(strv) struct strv tags = STRV_INIT;
    CLEANUP(json) json_t *list = json_array();
    size_t count = 0;
    int result = 0;

    if (!list)
        return error_no_memory(err);
    if (layout_tags(layout, release_repository(workload, repository), &tags, err) < 0)
        return -1;
    uint64_t *sequences = calloc(tags.count + 1, sizeof *sequences);
    if (!sequences)
        return error_no_memory(err);
    for (size_t i = 0; i < tags.count; i++) {
        struct str tag = str_of(tags.items[i]);
        if (str_starts(tag, STR("release-")) && str_to_u64(str_skip(tag, 8), &sequences[count]))
            count++;
    }
    qsort(sequences, count, sizeof *sequences, newer_first);
    for (size_t i = 0; i < count && result == 0; i++) {
        char tag[40];
        (void)snprintf(tag, sizeof tag, "release-%llu",
                       (unsigned long long)sequences[i]); /* fits */
        result = list_one(layout, repository, tag, list, err);
    }
    free(sequences);
    if (result == 0)
        *ret = TAKE(list);
    return result;
}
