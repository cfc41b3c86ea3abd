/* sign/provenance.c - what the gate states about a build (SLSA provenance v1) and about its verdict
 * (SLSA verification summary v1). Source: slsa.dev/provenance/v1, slsa.dev/verification_summary/v1.
 */
#include "base/clock.h"
#include "sign/sign_internal.h"

#define BUILD_TYPE  "https://monban.dev/buildtypes/cnb/v1"
#define BUILDER_ID  "https://monban.dev/builder/v1"
#define VERIFIER_ID "https://monban.dev/gate/v1"

/* Sets a member unless the value is absent; `take_value` is consumed. False without memory. */
static bool put(json_t *object, const char *key, json_t *take_value)
{
    return json_object_set_new(object, key, take_value) == 0;
}

static bool put_text(json_t *object, const char *key, const char *text)
{
    return !text || put(object, key, json_string(text));
}

static bool put_time(json_t *object, const char *key, int64_t unix_s)
{
    char text[CLOCK_TEXT_SIZE];

    return unix_s == 0 || put(object, key, json_string(clock_rfc3339(unix_s, text)));
}

/* A reference to a tree that somebody else owns. jansson counts references, so the cast takes
 * nothing away. */
static json_t *borrow(const json_t *tree)
{
    return json_incref((json_t *)tree);
}

static json_t *source_descriptor(const struct provenance_input *input)
{
    return json_pack("{s:s, s:{s:s}}", "uri", input->source_uri, "digest", "gitCommit",
                     input->commit);
}

static json_t *dependencies(const struct provenance_input *input)
{
    CLEANUP(json) json_t *list = json_array();

    if (!list || json_array_append_new(list, source_descriptor(input)) < 0)
        return NULL;
    if (input->dependencies && json_array_extend(list, (json_t *)input->dependencies) < 0)
        return NULL;
    return TAKE(list);
}

static json_t *build_definition(const struct provenance_input *input)
{
    CLEANUP(json) json_t *external = json_pack("{s:s}", "source", input->source_uri);
    CLEANUP(json) json_t *definition = json_pack("{s:s}", "buildType", BUILD_TYPE);

    if (!external || !definition || !put_text(external, "ref", input->ref) ||
        !put_text(external, "subPath", input->sub_path) ||
        !put(external, "env", input->build_env ? borrow(input->build_env) : json_array()) ||
        !put(definition, "externalParameters", borrow(external)) ||
        (input->internal && !put(definition, "internalParameters", borrow(input->internal))) ||
        !put(definition, "resolvedDependencies", dependencies(input)))
        return NULL;
    return TAKE(definition);
}

static json_t *run_details(const struct provenance_input *input)
{
    CLEANUP(json) json_t *metadata = json_object();
    CLEANUP(json)
    json_t *details = json_pack("{s:{s:s, s:{s:s}}}", "builder", "id",
                                input->builder_id ? input->builder_id : BUILDER_ID, "version",
                                "monban", input->builder_version ? input->builder_version : "0");

    if (!metadata || !details || !put_text(metadata, "invocationId", input->invocation_id) ||
        !put_time(metadata, "startedOn", input->started_s) ||
        !put_time(metadata, "finishedOn", input->finished_s) ||
        !put(details, "metadata", borrow(metadata)))
        return NULL;
    return TAKE(details);
}

int provenance_new(const struct provenance_input *input, json_t **ret_predicate, struct error *err)
{
    CLEANUP(json) json_t *definition = build_definition(input);
    CLEANUP(json) json_t *details = run_details(input);
    json_t *predicate = definition && details ? json_pack("{s:O, s:O}", "buildDefinition",
                                                          definition, "runDetails", details)
                                              : NULL;

    if (!predicate)
        return error_no_memory(err);
    *ret_predicate = predicate;
    return 0;
}

static json_t *vsa_levels(const struct vsa_input *input)
{
    if (input->levels)
        return borrow(input->levels);
    return input->passed ? json_pack("[s]", "SLSA_BUILD_LEVEL_2") : json_pack("[s]", "FAILED");
}

static json_t *vsa_policy(const struct vsa_input *input)
{
    CLEANUP(json)
    json_t *policy = json_pack("{s:s}", "uri", input->policy_uri ? input->policy_uri : "");

    if (!policy ||
        (input->policy && input->policy->text[0] &&
         !put(policy, "digest", json_pack("{s:s}", "sha256", digest_hex(input->policy)))))
        return NULL;
    return TAKE(policy);
}

int vsa_new(const struct vsa_input *input, json_t **ret_predicate, struct error *err)
{
    char time[CLOCK_TEXT_SIZE];
    CLEANUP(json)
    json_t *predicate =
        json_pack("{s:{s:s}, s:s, s:s}", "verifier", "id",
                  input->verifier_id ? input->verifier_id : VERIFIER_ID, "timeVerified",
                  clock_rfc3339(input->verified_s, time), "resourceUri", input->resource_uri);

    if (!predicate || !put(predicate, "policy", vsa_policy(input)) ||
        (input->input_attestations &&
         !put(predicate, "inputAttestations", borrow(input->input_attestations))) ||
        !put_text(predicate, "verificationResult", input->passed ? "PASSED" : "FAILED") ||
        !put(predicate, "verifiedLevels", vsa_levels(input)) ||
        !put_text(predicate, "slsaVersion", "1.0") ||
        (input->extension &&
         !put(predicate, "https://monban.dev/verdict/v1", borrow(input->extension))))
        return error_no_memory(err);
    *ret_predicate = TAKE(predicate);
    return 0;
}
