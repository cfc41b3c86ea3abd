/* advisory/version_fuzz.c - every scheme's order of any three texts is an order. Input: a digit or
 * letter for the scheme, then three lines. */
#include <assert.h>

#include "advisory/version.h"

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_slice((const char *)data, size);
    int scheme = size ? data[0] - '0' : 0;
    struct str v[3];

    if (size == 0 || scheme < VERSION_NONE || scheme > VERSION_NUGET)
        return 0;
    rest = str_skip(rest, 1);
    for (int i = 0; i < 3; i++)
        v[i] = rest.ptr ? str_cut(&rest, '\n') : STR("");
    for (int a = 0; a < 3; a++) {
        assert(version_compare((enum version_scheme)scheme, v[a], v[a]) == 0);
        for (int b = 0; b < 3; b++) {
            int ab = sign(version_compare((enum version_scheme)scheme, v[a], v[b]));
            int c = 3 - a - b;
            assert(ab == -sign(version_compare((enum version_scheme)scheme, v[b], v[a])));
            if (a == b || c == a || c == b || c < 0 || c > 2)
                continue;
            /* PHP's and Maven's own rules are no order for odd texts; all others must be. */
            if (scheme != VERSION_PACKAGIST && scheme != VERSION_MAVEN && ab <= 0 &&
                version_compare((enum version_scheme)scheme, v[b], v[c]) <= 0)
                assert(version_compare((enum version_scheme)scheme, v[a], v[c]) <= 0);
        }
    }
    return 0;
}
