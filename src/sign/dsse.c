/* sign/dsse.c - DSSE 1.0: a payload with its type, signed over its pre-authentication encoding
 * (PAE). Source: secure-systems-lab/dsse, protocol.md and envelope.md. */
#include "base/encode.h"
#include "sign/sign_internal.h"

enum {
    ENVELOPE_SIGNATURES_MAX = 16,
    PAE_HEAD_MAX = 512, /* bytes before the payload */
};

/* What stands before the payload. `out` has PAE_HEAD_MAX at least; a longer type fails there. */
static void pae_head(const char *payload_type, size_t payload_len, struct buf *out)
{
    buf_addf(out, "DSSEv1 %zu %s %zu ", strlen(payload_type), payload_type, payload_len);
}

void dsse_pae(const char *payload_type, struct str payload, struct buf *out)
{
    pae_head(payload_type, payload.len, out);
    buf_add_str(out, payload);
}

static int pae_sha256(const char *payload_type, struct str payload, uint8_t out[SHA256_SIZE],
                      struct error *err)
{
    CLEANUP(buf) struct buf head = BUF_INIT(PAE_HEAD_MAX);
    CLEANUP(sha256) struct sha256 *hash = sha256_new();

    if (!hash)
        return error_no_memory(err);
    pae_head(payload_type, payload.len, &head);
    if (buf_ok(&head, err) < 0)
        return -1;
    sha256_add(hash, head.ptr, head.len);
    sha256_add(hash, payload.ptr, payload.len);
    sha256_end(hash, out);
    return 0;
}

int dsse_sign(struct signer *signer, const char *payload_type, struct str payload,
              struct buf *ret_envelope, struct error *err)
{
    uint8_t sha256[SHA256_SIZE];
    struct signature made;

    if (payload.len > SIGN_PAYLOAD_MAX)
        return error_set(err, ERR_LIMIT, "payload of %zu bytes; at most %d are signed", payload.len,
                         SIGN_PAYLOAD_MAX);
    if (pae_sha256(payload_type, payload, sha256, err) < 0 ||
        signer_sign(signer, sha256, &made, err) < 0)
        return -1;
    buf_add_text(ret_envelope, "{\"payloadType\":");
    json_add_quoted(ret_envelope, str_of(payload_type));
    buf_add_text(ret_envelope, ",\"payload\":\"");
    base64_encode(payload, ret_envelope);
    buf_add_text(ret_envelope, "\",\"signatures\":[{\"keyid\":\"\",\"sig\":\"");
    base64_encode(str_slice((char *)made.bytes, made.len), ret_envelope);
    buf_add_text(ret_envelope, "\"}]}");
    return buf_ok(ret_envelope, err);
}

/* True if any of the envelope's signatures over `sha256` is by a trusted key. A keyid is only a
 * hint. */
static bool any_is_trusted(const struct trust *trust, const json_t *signatures,
                           const uint8_t sha256[SHA256_SIZE], struct digest *ret_key_id)
{
    size_t count = json_array_size(signatures);

    for (size_t i = 0; i < count && i < ENVELOPE_SIGNATURES_MAX; i++) {
        CLEANUP(buf) struct buf signature = BUF_INIT(SIGN_SIGNATURE_MAX);
        const char *text = json_str_at(json_array_get(signatures, i), "sig");
        if (text && base64_decode(str_of(text), &signature) && !signature.failed &&
            trust_verify(trust, sha256, buf_str(&signature), ret_key_id))
            return true;
    }
    return false;
}

int dsse_open(const struct trust *trust, const char *name, struct str envelope,
              const char *payload_type, struct buf *ret_payload, struct digest *ret_key_id,
              struct error *err)
{
    CLEANUP(json) json_t *root = NULL;
    CLEANUP(buf) struct buf payload = BUF_INIT(SIGN_PAYLOAD_MAX);
    uint8_t sha256[SHA256_SIZE];

    if (json_parse(name, envelope, &root, err) < 0)
        return -1;
    const char *type = json_str_at(root, "payloadType");
    const json_t *text = json_object_get(root, "payload");
    const json_t *signatures = json_object_get(root, "signatures");
    if (!type || !json_is_string(text) || !json_is_array(signatures))
        return error_set(err, ERR_INVALID,
                         "%s: expected a DSSE envelope with payloadType, payload and signatures",
                         name);
    if (strcmp(type, payload_type) != 0)
        return error_set(err, ERR_UNTRUSTED, "%s: payload type '%s', expected '%s'", name, type,
                         payload_type);
    if (!base64_decode(str_slice(json_string_value(text), json_string_length(text)), &payload))
        return error_set(err, ERR_INVALID, "%s: payload is not base64", name);
    if (buf_ok(&payload, err) < 0 || pae_sha256(type, buf_str(&payload), sha256, err) < 0)
        return -1;
    if (!any_is_trusted(trust, signatures, sha256, ret_key_id))
        return error_set(err, ERR_UNTRUSTED,
                         "%s: no signature by a trusted key (%zu keys, %zu signatures)", name,
                         trust_count(trust), json_array_size(signatures));
    buf_add_str(ret_payload, buf_str(&payload));
    return buf_ok(ret_payload, err);
}
