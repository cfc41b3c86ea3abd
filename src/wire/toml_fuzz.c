/* wire/toml_fuzz.c - what parses is written so that it parses to the same. */
#include <assert.h>
#include <stdint.h>

#include "wire/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(doc) struct doc *doc = NULL;
    CLEANUP(doc) struct doc *again = NULL;
    CLEANUP(buf) struct buf out = BUF_INIT(4 * DOC_BYTES_MAX);
    struct error err = ERROR_INIT;

    if (toml_parse("fuzz", str_slice((const char *)data, size), &doc, &err) < 0) {
        assert(err.kind != ERR_NONE && err.kind != ERR_INTERNAL);
        return 0;
    }
    if (toml_write(doc_root(doc), &out, &err) < 0)
        return 0;
    int result = toml_parse("again", buf_str(&out), &again, &err);
    assert(result == 0 || err.kind == ERR_LIMIT);
    assert(result < 0 || json_equal(doc_root(doc), doc_root(again)));
    return 0;
}
