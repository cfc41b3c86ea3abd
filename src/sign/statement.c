/* sign/statement.c - in-toto statements, v1: who (subject digests), what kind (predicateType), what
 * (predicate). Source: in-toto/attestation, spec/v1/statement.md. v0.1 is read as well: cosign 2
 * still writes it. */
#include "sign/sign_internal.h"

#define STATEMENT_V1 "https://in-toto.io/Statement/v1"
#define STATEMENT_V0 "https://in-toto.io/Statement/v0.1"

int statement_new(const char *subject_name, const struct digest *subject,
                  const char *predicate_type, json_t *take_predicate, json_t **ret,
                  struct error *err)
{
    CLEANUP(json) json_t *predicate = take_predicate;

    if (!predicate)
        return error_no_memory(err);
    json_t *statement =
        json_pack("{s:s, s:[{s:s*, s:{s:s}}], s:s, s:O}", "_type", STATEMENT_V1, "subject", "name",
                  subject_name, "digest", "sha256", digest_hex(subject), "predicateType",
                  predicate_type, "predicate", predicate);
    if (!statement)
        return error_no_memory(err);
    *ret = statement;
    return 0;
}

int statement_sign(struct signer *signer, const json_t *statement, struct buf *ret_envelope,
                   struct error *err)
{
    CLEANUP(buf) struct buf payload = BUF_INIT(SIGN_PAYLOAD_MAX);

    if (json_write(statement, false, &payload, err) < 0)
        return -1;
    return dsse_sign(signer, SIGN_TYPE_INTOTO, buf_str(&payload), ret_envelope, err);
}

static bool has_subject(const json_t *statement, const struct digest *subject)
{
    const json_t *subjects = json_object_get(statement, "subject");
    size_t count = json_array_size(subjects);

    for (size_t i = 0; i < count; i++) {
        const char *hex = json_string_value(
            json_object_get(json_object_get(json_array_get(subjects, i), "digest"), "sha256"));
        if (hex && strcmp(hex, digest_hex(subject)) == 0)
            return true;
    }
    return false;
}

static int check_statement(const json_t *statement, const char *name, const struct digest *subject,
                           const char *predicate_type, struct error *err)
{
    const char *type = json_string_value(json_object_get(statement, "_type"));
    const char *found = json_string_value(json_object_get(statement, "predicateType"));

    if (!type || (strcmp(type, STATEMENT_V1) != 0 && strcmp(type, STATEMENT_V0) != 0))
        return error_set(err, ERR_UNTRUSTED, "%s: expected an in-toto statement, got _type '%s'",
                         name, type ? type : "");
    if (!found || (predicate_type && strcmp(found, predicate_type) != 0))
        return error_set(err, ERR_UNTRUSTED, "%s: predicate type '%s', expected '%s'", name,
                         found ? found : "", predicate_type ? predicate_type : "any");
    if (subject && !has_subject(statement, subject))
        return error_set(err, ERR_UNTRUSTED, "%s: is not about %s (no subject has that digest)",
                         name, subject->text);
    if (!json_is_object(json_object_get(statement, "predicate")))
        return error_set(err, ERR_INVALID, "%s: expected an object 'predicate'", name);
    return 0;
}

int statement_open(const struct trust *trust, const char *name, struct str envelope,
                   const struct digest *subject, const char *predicate_type, json_t **ret_statement,
                   struct digest *ret_key_id, struct error *err)
{
    CLEANUP(buf) struct buf payload = BUF_INIT(SIGN_PAYLOAD_MAX);
    CLEANUP(json) json_t *statement = NULL;
    struct digest key_id = {""};

    if (dsse_open(trust, name, envelope, SIGN_TYPE_INTOTO, &payload, &key_id, err) < 0 ||
        json_parse(name, buf_str(&payload), &statement, err) < 0 ||
        check_statement(statement, name, subject, predicate_type, err) < 0)
        return -1;
    *ret_statement = TAKE(statement);
    if (ret_key_id)
        *ret_key_id = key_id;
    return 0;
}
