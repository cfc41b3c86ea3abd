/* sbom/cyclonedx_fuzz.c - any JSON either is no document, or gives an inventory that comes back
 * from its own. */
#include <assert.h>

#include "sbom/sbom.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json) json_t *bom = NULL;
    CLEANUP(json) json_t *ours = NULL;
    CLEANUP(inventory) struct inventory *inv = NULL;
    CLEANUP(inventory) struct inventory *again = NULL;
    struct error err = ERROR_INIT;
    size_t count, count_again;

    if (json_parse("fuzz", str_slice((const char *)data, size), &bom, &err) < 0 ||
        inventory_of_cyclonedx(bom, &inv, &err) < 0)
        return 0;
    assert(inventory_to_cyclonedx(inv, &ours, &err) == 0);
    assert(inventory_of_cyclonedx(ours, &again, &err) == 0);
    (void)inventory_packages(inv, &count);
    (void)inventory_packages(again, &count_again);
    assert(count == count_again);
    return 0;
}
