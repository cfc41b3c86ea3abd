/* Requests come from inside the sandbox. */
#include <assert.h>

#include "build/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const list[] = {"registry.npmjs.org", ".example", NULL};
    char host[PROXY_HOST_MAX] = "";
    uint16_t port = 0;

    if (size <= PROXY_HEAD_MAX &&
        proxy_parse_connect(str_slice((const char *)bytes, size), host, &port) == 1) {
        assert(host[0] && strlen(host) < PROXY_HOST_MAX && port > 0);
        (void)proxy_allows(list, host, port);
    }
    return 0;
}
