/* wire/http_uri_fuzz.c - paths and queries of requests: decoded texts are terminated and hold no
 * NUL. */
#include <assert.h>
#include <stdint.h>

#include "wire/http_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(text) char *uri = str_dup(str_slice((const char *)data, size));
    struct http_request req = {0};
    struct error err = ERROR_INIT;

    if (uri && http_request_parse_uri(&req, uri, &err) == 0) {
        assert(strlen(req.path) <= strlen(req.raw_path));
        assert(req.query.count % 2 == 0 && req.query.count <= 2 * (size_t)HTTP_QUERY_MAX);
        for (size_t i = 0; i < req.query.count; i += 2)
            assert(http_request_query(&req, req.query.items[i]));
    } else if (uri) {
        assert(err.kind == ERR_INVALID || err.kind == ERR_LIMIT);
    }
    strv_done(&req.query);
    free(req.raw_query);
    free(req.path);
    free(req.raw_path);
    return 0;
}
