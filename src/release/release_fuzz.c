/* release/release_fuzz.c - what a registry hands us as a release: manifest, envelope, statement. */
#include <stddef.h>
#include <stdint.h>

#include "oci/descriptor.h"
#include "release/release_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str text = str_slice((const char *)bytes, size);
    CLEANUP(json) json_t *root = NULL, *statement = NULL, *back = NULL;
    struct error err = ERROR_INIT;
    struct descriptor layer, subject;
    struct release r;

    if (release_peek(text, &statement, &err) == 0)
        (void)!release_from_statement(statement, &r, &err);
    if (json_parse("fuzz", text, &root, &err) < 0)
        return 0;
    (void)!release_artifact(root, RELEASE_ARTIFACT_TYPE, &layer, &subject, &err);
    if (release_from_statement(root, &r, &err) == 0)
        (void)!release_to_json(&r, &back, &err);
    return 0;
}
