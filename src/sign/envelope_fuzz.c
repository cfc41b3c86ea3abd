/* sign/envelope_fuzz.c - DSSE envelopes, bundles and signing payloads, which come from registries.
 */
#include <stddef.h>
#include <stdint.h>

#include "sign/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
                              "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEh3nfmqvMRY7Qqj/neFjUB9KvTuMl\n"
                              "qnKRDV0e/CbyUD3G30IsPomvkpMYufCEXGrOYMR4+cmBVIN51VJ+MYYhCQ==\n"
                              "-----END PUBLIC KEY-----\n";
    struct str text = str_slice((const char *)bytes, size);
    const struct digest subject = digest_of(STR("x"));
    CLEANUP(trust) struct trust *trust = NULL;
    CLEANUP(buf) struct buf out = BUF_INIT(1 << 20);
    CLEANUP(json) json_t *statement = NULL;
    struct error err = ERROR_INIT;

    if (trust_new(&trust, &err) < 0 || trust_add_pem(trust, "fuzz", str_of(pem), &err) < 0)
        return 0;
    (void)!statement_open(trust, "fuzz", text, &subject, NULL, &statement, NULL, &err);
    (void)!bundle_read("fuzz", text, &out, &err);
    (void)!simple_verify(trust, text, STR("AA=="), &subject, NULL, &err);
    return 0;
}
