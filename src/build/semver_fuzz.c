/* Ranges come from package.json and from the registry. */
#include "build/semver.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str rest = str_slice((const char *)bytes, size);
    struct str first = str_cut(&rest, '\n');
    CLEANUP(semver_range) struct semver_range *range = semver_range_parse(first);
    struct semver version;

    if (range && semver_parse(rest, &version))
        (void)semver_range_has(range, &version);
    return 0;
}
