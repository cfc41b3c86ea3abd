/* sbom/owner.c - see owner.h. */
#include "sbom/owner.h"

static const char *const names[OWNER_COUNT] = {
    [OWNER_UNKNOWN] = "unknown",       [OWNER_BASE] = "base",
    [OWNER_RUNTIME] = "runtime",       [OWNER_PLATFORM] = "platform",
    [OWNER_DEPENDENCY] = "dependency", [OWNER_APP] = "app",
};

const char *owner_name(enum owner owner)
{
    return (unsigned)owner < OWNER_COUNT ? names[owner] : names[OWNER_UNKNOWN];
}

bool owner_parse(struct str text, enum owner *ret)
{
    for (size_t i = 0; i < OWNER_COUNT; i++) {
        if (str_is(text, names[i])) {
            *ret = (enum owner)i;
            return true;
        }
    }
    return false;
}

bool owner_is_developer(enum owner owner)
{
    return owner == OWNER_DEPENDENCY || owner == OWNER_APP;
}
