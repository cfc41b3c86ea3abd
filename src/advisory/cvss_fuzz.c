/* advisory/cvss_fuzz.c - any text is refused, or has a score from 0.0 to 10.0 and the rating of
 * that score. */
#include <assert.h>

#include "advisory/cvss.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    struct cvss cvss;

    if (cvss_parse(str_slice((const char *)data, size), &cvss, &err) < 0) {
        assert(err.kind == ERR_INVALID);
        return 0;
    }
    assert(cvss.score_tenths >= 0 && cvss.score_tenths <= 100);
    assert(cvss.base_tenths >= 0 && cvss.base_tenths <= 100);
    assert(cvss.severity == severity_of_score(cvss.score_tenths));
    return 0;
}
