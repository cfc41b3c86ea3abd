/* wire/yaml_fuzz.c - what parses is written so that it parses to the same; every value has a place.
 */
#include <assert.h>
#include <stdint.h>

#include "wire/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct doc *doc)
{
    CLEANUP(buf) struct buf out = BUF_INIT(4 * DOC_BYTES_MAX);
    CLEANUP(doc) struct doc *again = NULL;
    struct error err = ERROR_INIT;
    json_t *root = doc_root(doc);

    for (void *it = json_object_iter(root); it; it = json_object_iter_next(root, it))
        assert(doc_key_place(doc, root, json_object_iter_key(it)).line > 0);
    if (!json_is_object(root) || yaml_write(root, &out, &err) < 0)
        return;
    int result = yaml_parse_one("again", buf_str(&out), &again, &err);
    assert(result == 0 || err.kind == ERR_LIMIT);
    assert(result < 0 || json_equal(root, doc_root(again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(docs) struct docs docs = {0};
    struct error err = ERROR_INIT;

    if (yaml_parse("fuzz", str_slice((const char *)data, size), &docs, &err) < 0) {
        assert(err.kind != ERR_NONE && err.kind != ERR_INTERNAL);
        return 0;
    }
    for (size_t i = 0; i < docs.count; i++)
        check(docs.items[i]);
    return 0;
}
