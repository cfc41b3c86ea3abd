/* sign/simple.c - cosign's first signature format: a payload that names the image, signed as it
 * stands. Source: containers/image "simple signing"; sigstore/cosign specs/SIGNATURE_SPEC.md. */
#include "base/encode.h"
#include "sign/sign_internal.h"

#define SIMPLE_TYPE "cosign container image signature"

int simple_payload(const char *docker_reference, const struct digest *manifest, struct buf *out,
                   struct error *err)
{
    buf_add_text(out, "{\"critical\":{\"identity\":{\"docker-reference\":");
    json_add_quoted(out, str_of(docker_reference));
    buf_add_text(out, "},\"image\":{\"docker-manifest-digest\":");
    json_add_quoted(out, str_of(manifest->text));
    buf_add_text(out, "},\"type\":\"" SIMPLE_TYPE "\"},\"optional\":null}");
    return buf_ok(out, err);
}

int simple_sign(struct signer *signer, struct str payload, struct buf *ret_base64,
                struct error *err)
{
    uint8_t sha256[SHA256_SIZE];
    struct signature made;

    sha256_of(payload, sha256);
    if (signer_sign(signer, sha256, &made, err) < 0)
        return -1;
    base64_encode(str_slice((char *)made.bytes, made.len), ret_base64);
    return buf_ok(ret_base64, err);
}

int simple_verify(const struct trust *trust, struct str payload, struct str base64,
                  const struct digest *manifest, const char *docker_reference, struct error *err)
{
    CLEANUP(buf) struct buf signature = BUF_INIT(SIGN_SIGNATURE_MAX);
    CLEANUP(json) json_t *root = NULL;
    uint8_t sha256[SHA256_SIZE];

    sha256_of(payload, sha256);
    if (!base64_decode(base64, &signature) || signature.failed ||
        !trust_verify(trust, sha256, buf_str(&signature), NULL))
        return error_set(err, ERR_UNTRUSTED, "signature of %s: not by a trusted key",
                         manifest->text);
    if (json_parse("signature payload", payload, &root, err) < 0)
        return -1;
    const char *type = json_str_at(root, "critical.type");
    const char *named = json_str_at(root, "critical.image.docker-manifest-digest");
    const char *reference = json_str_at(root, "critical.identity.docker-reference");
    if (!type || strcmp(type, SIMPLE_TYPE) != 0)
        return error_set(err, ERR_UNTRUSTED, "signature of %s: payload of type '%s'",
                         manifest->text, type ? type : "");
    if (!named || strcmp(named, manifest->text) != 0)
        return error_set(err, ERR_UNTRUSTED, "signature of %s: its payload names %s",
                         manifest->text, named ? named : "nothing");
    if (docker_reference && (!reference || strcmp(reference, docker_reference) != 0))
        return error_set(err, ERR_UNTRUSTED, "signature of %s: made for '%s', expected '%s'",
                         manifest->text, reference ? reference : "", docker_reference);
    return 0;
}
