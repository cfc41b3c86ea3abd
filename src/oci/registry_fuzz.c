/* Any text as a path of the API, and as a WWW-Authenticate header. */
#include <assert.h>

#include "oci/registry_auth.h"
#include "oci/registry_route.h"

static void check_path(struct str in)
{
    struct registry_route route = registry_route(in);

    if (route.call >= REGISTRY_TAGS) {
        assert(reference_is_repository(str_of(route.repository)));
        assert(str_starts(in, STR("/v2/")));
        assert(strlen(route.reference) <= REFERENCE_TAG_MAX);
        assert(route.call == REGISTRY_UPLOADS || route.reference[0]);
    } else {
        assert(!route.repository[0] && !route.reference[0]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(registry_challenge) struct registry_challenge challenge = {0};
    CLEANUP(text) char *url = NULL;
    struct error err = ERROR_INIT;
    struct str in = str_slice((const char *)data, size);

    check_path(in);
    if (registry_challenge_parse(in, &challenge, &err) < 0) {
        assert(err.kind == ERR_LIMIT);
        return 0;
    }
    assert(challenge.realm && challenge.service && challenge.scope);
    if (registry_challenge_url(&challenge, &url, &err) == 0)
        assert(strncmp(url, "http", 4) == 0);
    return 0;
}
