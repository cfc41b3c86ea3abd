/* workload/workload_fuzz.c - workload.yaml, which every developer writes. */
#include <stddef.h>
#include <stdint.h>

#include "workload/workload.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    CLEANUP(workload) struct workload *w = NULL;
    struct error err = ERROR_INIT;

    if (workload_parse("fuzz.yaml", str_slice((const char *)bytes, size), &w, &err) == 0 &&
        !workload_name(w))
        __builtin_trap(); /* a checked Workload has a name */
    return 0;
}
