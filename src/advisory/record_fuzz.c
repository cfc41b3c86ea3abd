/* advisory/record_fuzz.c - any bytes as an OSV record: refused as INVALID, or in the draft; twice
 * is once. */
#include <assert.h>

#include "advisory/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(draft) struct draft draft = DRAFT_INIT;
    struct str json = str_slice((const char *)data, size);
    enum record_change change;
    struct error err = ERROR_INIT;

    if (record_add(&draft, "fuzz", json, &change, &err) < 0) {
        assert(err.kind == ERR_INVALID || err.kind == ERR_LIMIT);
        assert(err.kind == ERR_LIMIT || draft.record_count == 0);
        return 0;
    }
    assert(change == RECORD_ADDED && draft.record_count == 1);
    assert(record_add(&draft, "fuzz", json, &change, &err) == 0);
    assert(change == RECORD_UNCHANGED && draft.record_count == 1);
    return 0;
}
