/* sbom/layer_fuzz.c - a whole layer, compressed or not, laid over itself and written as a document.
 */
#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "sbom/sbom_internal.h"

static void document(const struct layer_facts *facts)
{
    static const struct inventory_options options = {.name = "fuzz"};
    CLEANUP(inventory) struct inventory *inv = inventory_new();
    CLEANUP(json) json_t *bom = NULL;
    struct digest diff_ids[2] = {digest_of(STR("a")), digest_of(STR("b"))};
    struct layer_facts both[2] = {*facts, *facts};
    struct error err = ERROR_INIT;

    assert(inv);
    assert(inventory_set_layers(inv, diff_ids, 2, NULL, NULL, &err) == 0);
    if (merge_facts(inv, both, 2, &options, &err) < 0) {
        assert(err.kind == ERR_LIMIT);
        return;
    }
    assert(inventory_to_cyclonedx(inv, &bom, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(layer_facts) struct layer_facts facts = LAYER_FACTS_INIT;
    CLEANUP(fd) int fd = memfd_create("layer", MFD_CLOEXEC);
    struct digest none = {0};
    struct error err = ERROR_INIT;

    if (fd < 0 || io_write(fd, data, size, &err) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        return 0;
    if (layer_facts_read(fd, &none, &facts, &err) == 0)
        document(&facts);
    else
        assert(err.kind == ERR_INVALID || err.kind == ERR_LIMIT || err.kind == ERR_NO_MEMORY);
    return 0;
}
