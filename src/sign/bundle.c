/* sign/bundle.c - sigstore's bundle v0.3 around a DSSE envelope and the hint of a public key, as
 * cosign 3 writes and reads it. Source: sigstore/protobuf-specs, sigstore_bundle.proto (JSON
 * mapping). */
#include <openssl/x509.h>

#include "base/encode.h"
#include "sign/sign_internal.h"

/* base64 of the sha256 of the key's DER. */
static int add_hint(const char *public_pem, struct buf *out, struct error *err)
{
    CLEANUP(buf) struct buf raw = BUF_INIT(SHA256_SIZE);
    struct digest id;

    if (sign_public_id("public key", str_of(public_pem), &id, err) < 0)
        return -1;
    (void)hex_decode(str_of(digest_hex(&id)), &raw); /* a digest is always hex */
    base64_encode(buf_str(&raw), out);
    return buf_ok(&raw, err);
}

int bundle_write(struct str envelope, const char *public_pem, struct buf *out, struct error *err)
{
    CLEANUP(json) json_t *root = NULL;

    if (json_parse("envelope", envelope, &root, err) < 0)
        return -1;
    json_t *signature = json_array_get(json_object_get(root, "signatures"), 0);
    if (!signature || json_array_size(json_object_get(root, "signatures")) != 1)
        return error_set(err, ERR_INVALID, "a bundle takes an envelope with exactly one signature");
    (void)json_object_del(signature, "keyid"); /* cosign writes none; absent already is fine */

    buf_add_text(out, "{\"mediaType\":\"" SIGN_BUNDLE_TYPE
                      "\",\"verificationMaterial\":{\"publicKey\":{\"hint\":\"");
    if (add_hint(public_pem, out, err) < 0)
        return -1;
    buf_add_text(out, "\"},\"tlogEntries\":[],\"timestampVerificationData\":"
                      "{\"rfc3161Timestamps\":[]}},\"dsseEnvelope\":");
    if (json_write(root, false, out, err) < 0)
        return -1;
    buf_add_char(out, '}');
    return buf_ok(out, err);
}

int bundle_read(const char *name, struct str bundle, struct buf *ret_envelope, struct error *err)
{
    CLEANUP(json) json_t *root = NULL;

    if (json_parse(name, bundle, &root, err) < 0)
        return -1;
    const char *type = json_string_value(json_object_get(root, "mediaType"));
    const json_t *envelope = json_object_get(root, "dsseEnvelope");
    if (!type || !str_starts(str_of(type), STR("application/vnd.dev.sigstore.bundle")))
        return error_set(err, ERR_INVALID, "%s: expected a sigstore bundle, got media type '%s'",
                         name, type ? type : "");
    if (!json_is_object(envelope))
        return error_set(err, ERR_UNSUPPORTED, "%s: bundle without a DSSE envelope", name);
    return json_write(envelope, false, ret_envelope, err);
}
