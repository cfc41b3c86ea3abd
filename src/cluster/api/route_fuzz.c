/* cluster/api/route_fuzz.c - paths of requests, label selectors and field selectors, from outside.
 */
#include <assert.h>

#include "cluster/api/route.h"
#include "cluster/api/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_slice((const char *)data, size);
    CLEANUP(route) struct route route = ROUTE_INIT;
    CLEANUP(selector) struct selector labels = SELECTOR_INIT, fields = SELECTOR_INIT;
    CLEANUP(text) char *path = str_dup(text);
    CLEANUP(json)
    json_t *object =
        json_pack("{s:{s:s}, s:{s:i}}", "metadata", "name", "x", "spec", "replicas", 3);
    struct error err = ERROR_INIT;

    if (path && route_parse(path, &route, &err) == 0 && route.kind == ROUTE_RESOURCE) {
        assert(route.plural && route.name && route.subresource);
        (void)resource_find(route.group, route.version, route.plural);
    }
    if (selector_parse_labels(text, &labels, &err) == 0)
        (void)selector_matches_labels(&labels, json_object_get(object, "metadata"));
    if (selector_parse_fields(text, &fields, &err) == 0)
        (void)selector_matches_fields(&fields, object);
    return 0;
}
