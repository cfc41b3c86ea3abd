/* gate/request_fuzz.c - a line on gate.sock. */
#include <stddef.h>
#include <stdint.h>

#include "gate/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct queue_item item;
    struct error err = ERROR_INIT;

    (void)!request_parse("/", str_slice((const char *)bytes, size), &item, &err);
    return 0;
}
