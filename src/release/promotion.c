/* release/promotion.c - what an outer cluster says about a release that is healthy there. */
#include "base/clock.h"
#include "oci/image.h"
#include "oci/registry_client.h"
#include "release/release_internal.h"

int promotion_write(struct layout *layout, const struct promotion *promotion, struct signer *signer,
                    struct error *err)
{
    char repository[RELEASE_NAME_SIZE], since[CLOCK_TEXT_SIZE];
    CLEANUP(json) json_t *statement = NULL;
    struct descriptor subject, manifest;

    if (layout_read_manifest(layout, &promotion->release, NULL, NULL, &subject, err) < 0)
        return error_wrap(err, "promoting release %llu", (unsigned long long)promotion->sequence);
    json_t *predicate = json_pack("{s:s, s:s, s:I, s:s}", "cluster", promotion->cluster, "workload",
                                  promotion->workload, "sequence", (json_int_t)promotion->sequence,
                                  "healthySince", clock_rfc3339(promotion->healthy_since_s, since));
    if (!predicate)
        return error_no_memory(err);
    if (statement_new("release", &promotion->release, PREDICATE_PROMOTION, predicate, &statement,
                      err) < 0 ||
        release_put_statement(layout, signer, statement, PROMOTION_ARTIFACT_TYPE, &subject,
                              &manifest, err) < 0)
        return -1;
    return layout_tag(layout, release_repository(promotion->workload, repository), PROMOTION_TAG,
                      &manifest, err);
}

static int take(const json_t *predicate, const char *key, char *out, size_t size, struct error *err)
{
    const char *text = json_str_at(predicate, key);

    if (!text || strlen(text) >= size)
        return error_set(err, ERR_UNTRUSTED, "rule 'promotion': '%s' is missing or too long", key);
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int open_promotion(struct layout *layout, const json_t *manifest, const char *workload,
                          const struct trust *trust, struct promotion *ret, struct error *err)
{
    struct descriptor layer, subject;
    CLEANUP(buf) struct buf envelope = BUF_INIT(RELEASE_ENVELOPE_MAX);
    CLEANUP(json) json_t *statement = NULL;
    struct promotion p = {0};

    if (release_artifact(manifest, PROMOTION_ARTIFACT_TYPE, &layer, &subject, err) < 0 ||
        layout_read(layout, &layer.digest, &envelope, err) < 0 ||
        statement_open(trust, "promotion statement", buf_str(&envelope), &subject.digest,
                       PREDICATE_PROMOTION, &statement, &p.key_id, err) < 0)
        return -1;
    const json_t *predicate = json_object_get(statement, "predicate");
    const char *since = json_str_at(predicate, "healthySince");
    if (take(predicate, "cluster", p.cluster, sizeof p.cluster, err) < 0 ||
        take(predicate, "workload", p.workload, sizeof p.workload, err) < 0)
        return -1;
    if (strcmp(p.workload, workload) != 0)
        return error_set(err, ERR_UNTRUSTED, "rule 'promotion': it is of '%s', not of '%s'",
                         p.workload, workload);
    if (!since || !clock_parse_rfc3339(str_of(since), &p.healthy_since_s))
        return error_set(err, ERR_UNTRUSTED, "rule 'promotion': 'healthySince' is no time");
    p.sequence = (uint64_t)json_int_at(predicate, "sequence", 0);
    p.release = subject.digest;
    *ret = p;
    return 0;
}

int promotion_verify(struct layout *layout, const char *workload, const struct trust *trust,
                     struct promotion *ret, struct error *err)
{
    char repository[RELEASE_NAME_SIZE];
    struct descriptor d;
    CLEANUP(json) json_t *manifest = NULL;

    if (layout_resolve(layout, release_repository(workload, repository), PROMOTION_TAG, &d, err) <
            0 ||
        layout_read_manifest(layout, &d.digest, &manifest, NULL, NULL, err) < 0 ||
        open_promotion(layout, manifest, workload, trust, ret, err) < 0)
        return error_wrap(err, "promotion of '%s'", workload);
    return 0;
}

int promotion_fetch(struct registry_client *client, const char *workload, struct layout *layout,
                    const struct trust *trust, struct promotion *ret, struct error *err)
{
    char repository[RELEASE_NAME_SIZE];
    CLEANUP(buf) struct buf bytes = BUF_INIT(LAYOUT_MANIFEST_MAX);
    CLEANUP(json) json_t *manifest = NULL;
    struct descriptor d, layer, subject;
    bool changed;

    release_repository(workload, repository);
    const struct registry_ask ask = {.repository = repository, .reference = PROMOTION_TAG};
    if (registry_get_manifest(client, &ask, &bytes, &d, &changed, err) < 0 ||
        json_parse("promotion manifest", buf_str(&bytes), &manifest, err) < 0 ||
        release_artifact(manifest, PROMOTION_ARTIFACT_TYPE, &layer, &subject, err) < 0 ||
        registry_pull_blob(client, repository, &layer, layout, err) < 0 ||
        open_promotion(layout, manifest, workload, trust, ret, err) < 0)
        return error_wrap(err, "promotion of '%s'", workload);
    return 0;
}
