/* cluster/api/route.c - see route.h. */
#include "cluster/api/route.h"

#include "base/encode.h"

void route_done(struct route *route)
{
    strv_done(&route->segments);
    *route = (struct route){0};
}

static int add_segment(struct strv *segments, struct str raw, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(ROUTE_SEGMENT_MAX);

    if (segments->count == ROUTE_SEGMENTS_MAX)
        return error_set(err, ERR_LIMIT, "the path has too many parts");
    if (!percent_decode(raw, &text) || memchr(buf_text(&text), 0, text.len))
        return error_set(err, ERR_INVALID, "malformed percent-encoding in the path");
    strv_add(segments, buf_text(&text));
    return strv_ok(segments, err);
}

static const char *segment(const struct route *route, size_t index)
{
    return index < route->segments.count ? route->segments.items[index] : "";
}

/* From `at`: [namespaces/NS/]PLURAL[/NAME[/SUB]]. */
static void read_resource(struct route *route, size_t at)
{
    size_t left = route->segments.count - at;

    route->kind = ROUTE_RESOURCE;
    /* "/namespaces/NS" is the object, "/namespaces/NS/pods" are the pods in it; its own
     * subresources win over kinds of that name. */
    bool is_own = left == 3 && (strcmp(segment(route, at + 2), "status") == 0 ||
                                strcmp(segment(route, at + 2), "finalize") == 0);
    if (left >= 3 && strcmp(segment(route, at), "namespaces") == 0 && !is_own) {
        route->namespace_name = segment(route, at + 1);
        at += 2;
        left -= 2;
    }
    route->plural = segment(route, at);
    route->name = segment(route, at + 1);
    route->subresource = segment(route, at + 2);
    if (left > 3)
        route->kind = ROUTE_NONE;
}

static void read_openapi(struct route *route)
{
    size_t count = route->segments.count;
    bool is_v2 = strcmp(segment(route, 1), "v2") == 0, is_v3 = strcmp(segment(route, 1), "v3") == 0;

    if (is_v2 && count == 2) {
        route->kind = ROUTE_OPENAPI_V2;
    } else if (is_v3 && count == 2) {
        route->kind = ROUTE_OPENAPI_V3;
    } else if (is_v3 && count == 4 && strcmp(segment(route, 2), "api") == 0) {
        route->kind = ROUTE_OPENAPI_V3_PART;
        route->version = segment(route, 3);
    } else if (is_v3 && count == 5 && strcmp(segment(route, 2), "apis") == 0) {
        route->kind = ROUTE_OPENAPI_V3_PART;
        route->group = segment(route, 3);
        route->version = segment(route, 4);
    }
}

static void read_api(struct route *route, bool has_group)
{
    size_t count = route->segments.count;
    size_t at = 1;

    route->kind = has_group ? ROUTE_APIS : ROUTE_API;
    if (count == at)
        return;
    if (has_group) {
        route->group = segment(route, at++);
        route->kind = ROUTE_GROUP;
        if (count == at)
            return;
    }
    route->version = segment(route, at++);
    route->kind = ROUTE_VERSION;
    if (count > at)
        read_resource(route, at);
}

static void read_segments(struct route *route)
{
    const char *first = segment(route, 0);
    bool is_alone = route->segments.count <= 1;

    if (!*first)
        route->kind = route->segments.count == 0 ? ROUTE_ROOT : ROUTE_NONE;
    else if (strcmp(first, "api") == 0)
        read_api(route, false);
    else if (strcmp(first, "apis") == 0)
        read_api(route, true);
    else if (strcmp(first, "v2") == 0)
        route->kind = ROUTE_REGISTRY;
    else if (strcmp(first, "openapi") == 0)
        read_openapi(route);
    else if (is_alone && strcmp(first, "version") == 0)
        route->kind = ROUTE_INFO;
    else if (strcmp(first, "healthz") == 0 || strcmp(first, "livez") == 0 ||
             strcmp(first, "readyz") == 0)
        route->kind = ROUTE_HEALTH;
}

int route_parse(const char *raw_path, struct route *ret, struct error *err)
{
    struct str rest = str_of(raw_path);
    CLEANUP(route)
    struct route route = {.group = "",
                          .version = "",
                          .namespace_name = "",
                          .plural = "",
                          .name = "",
                          .subresource = ""};

    if (!str_starts(rest, STR("/")))
        return error_set(err, ERR_INVALID, "the path must start with '/'");
    if (str_starts(rest, STR("/v2/"))) { /* the registry's own names: not looked at here */
        route.kind = ROUTE_REGISTRY;
        *ret = route;
        route = (struct route){0};
        return 0;
    }
    rest = str_skip(rest, 1);
    while (rest.len > 0) {
        struct str raw = str_cut(&rest, '/');
        if (add_segment(&route.segments, raw, err) < 0)
            return -1;
    }
    read_segments(&route);
    *ret = route;
    route = (struct route){0};
    return 0;
}
