/* sbom/purl_fuzz.c - the canonical form of a package URL is a package URL with the same canonical
 * form. */
#include <assert.h>

#include "sbom/purl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(purl) struct purl purl = PURL_INIT;
    CLEANUP(purl) struct purl again = PURL_INIT;
    CLEANUP(buf) struct buf first = BUF_INIT(PURL_BYTES_MAX * 4);
    CLEANUP(buf) struct buf second = BUF_INIT(PURL_BYTES_MAX * 4);
    CLEANUP(buf) struct buf ecosystem = BUF_INIT(PURL_BYTES_MAX * 4);
    struct error err = ERROR_INIT;

    if (purl_parse(str_slice((const char *)data, size), &purl, &err) < 0)
        return 0;
    (void)purl_osv(&purl, &ecosystem, &ecosystem); /* any answer will do */
    purl_write(&purl, &first);
    if (first.len > PURL_BYTES_MAX)
        return 0;
    assert(purl_parse(buf_str(&first), &again, &err) == 0);
    purl_write(&again, &second);
    assert(str_equal(buf_str(&first), buf_str(&second)));
    return 0;
}
