/* oci/registry_route.c - see registry_route.h. */
#include "oci/registry_route.h"

static struct registry_route route_of(enum registry_call call, struct str repository,
                                      struct str reference)
{
    struct registry_route route = {.call = call};

    if (!reference_is_repository(repository))
        return (struct registry_route){.call = REGISTRY_BAD_NAME};
    if (reference.len > REFERENCE_TAG_MAX || str_find(reference, '\0') >= 0)
        return (struct registry_route){.call = REGISTRY_UNKNOWN};
    memcpy(route.repository, repository.ptr, repository.len);
    if (reference.len > 0)
        memcpy(route.reference, reference.ptr, reference.len);
    return route;
}

/* "NAME/KIND/LAST" where LAST is what follows the last slash. */
static struct registry_route two_parts(struct str name_and_kind, struct str last)
{
    static const struct {
        const char *kind;
        enum registry_call call;
    } kinds[] = {{"/manifests", REGISTRY_MANIFEST},
                 {"/blobs", REGISTRY_BLOB},
                 {"/blobs/uploads", REGISTRY_UPLOAD},
                 {"/referrers", REGISTRY_REFERRERS},
                 {"/tags", REGISTRY_TAGS}};

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct str kind = str_of(kinds[i].kind);
        if (!str_ends(name_and_kind, kind))
            continue;
        enum registry_call call = kinds[i].call;
        if (call == REGISTRY_TAGS && !str_is(last, "list"))
            continue;
        /* POST …/blobs/uploads/ and, laxly, …/blobs/uploads */
        if (call == REGISTRY_UPLOAD && last.len == 0)
            call = REGISTRY_UPLOADS;
        if (call == REGISTRY_BLOB && str_is(last, "uploads")) {
            call = REGISTRY_UPLOADS;
            last = STR("");
        }
        if (last.len == 0 && call != REGISTRY_UPLOADS)
            continue;
        return route_of(call, str_first(name_and_kind, name_and_kind.len - kind.len), last);
    }
    return (struct registry_route){.call = REGISTRY_UNKNOWN};
}

struct registry_route registry_route(struct str path)
{
    if (str_is(path, "/v2") || str_is(path, "/v2/"))
        return (struct registry_route){.call = REGISTRY_BASE};
    if (!str_starts(path, STR("/v2/")))
        return (struct registry_route){.call = REGISTRY_NONE};
    path = str_skip(path, 4);
    if (str_is(path, "_catalog"))
        return (struct registry_route){.call = REGISTRY_CATALOG};
    ptrdiff_t slash = str_find_last(path, '/');
    if (slash < 0)
        return (struct registry_route){.call = REGISTRY_UNKNOWN};
    return two_parts(str_first(path, (size_t)slash), str_skip(path, (size_t)slash + 1));
}
