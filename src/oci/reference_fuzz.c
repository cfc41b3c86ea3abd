/* Any text either is refused, or its parts format to the same text again. */
#include <assert.h>

#include "oci/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    struct reference ref;
    char text[REFERENCE_TEXT_MAX + 1];
    struct str in = str_slice((const char *)data, size);

    if (reference_parse(in, &ref, &err) < 0) {
        assert(err.kind == ERR_INVALID || err.kind == ERR_LIMIT);
        return 0;
    }
    assert(str_is(in, reference_format(&ref, text, sizeof(text))));
    return 0;
}
