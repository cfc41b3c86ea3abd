/* sign/key_fuzz.c - private key files and public keys. */
#include <stddef.h>
#include <stdint.h>

#include "sign/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    CLEANUP(sign_key) struct sign_key *key = NULL;
    struct str text = str_slice((const char *)bytes, size);
    struct error err = ERROR_INIT;
    struct digest id;

    (void)!sign_key_parse("fuzz", text, STR(""), &key, &err);
    (void)!sign_public_id("fuzz", text, &id, &err);
    return 0;
}
