/* The launcher reads metadata.toml of images, which another builder may have made. */
#include "metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct metadata m = {0};

    if (size < 65536)
        (void)metadata_parse(text_copy((const char *)bytes, size), &m);
    return 0;
}
