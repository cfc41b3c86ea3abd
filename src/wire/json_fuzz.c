/* wire/json_fuzz.c - what parses is written so that it parses to the same. */
#include <assert.h>
#include <stdint.h>

#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json) json_t *root = NULL;
    CLEANUP(json) json_t *again = NULL;
    CLEANUP(buf) struct buf out = BUF_INIT(JSON_BYTES_MAX);
    struct error err = ERROR_INIT;

    if (json_parse_with_nul("fuzz", str_slice((const char *)data, size), &root, &err) < 0) {
        assert(err.kind != ERR_NONE && err.kind != ERR_INTERNAL);
        return 0;
    }
    if (json_write(root, false, &out, &err) < 0)
        return 0;
    int result = json_parse_with_nul("again", buf_str(&out), &again, &err);
    assert(result == 0);
    assert(json_equal(root, again));
    return 0;
}
