/* sbom/owner.h - who answers for a layer, and so for every package in it (docs/design.md,
 * "Images"). */
#pragma once
#include <stdbool.h>

#include "base/str.h"

enum owner {
    OWNER_UNKNOWN,
    OWNER_BASE,       /* Debian packages: the platform team */
    OWNER_RUNTIME,    /* Node and its like: the platform team */
    OWNER_PLATFORM,   /* launcher and config layers: the platform team */
    OWNER_DEPENDENCY, /* what the app asked for: the app team */
    OWNER_APP,        /* the app itself: the app team */
};
enum { OWNER_COUNT = OWNER_APP + 1 };

const char *owner_name(enum owner owner); /* "base", "runtime", …; "unknown" */
bool owner_parse(struct str text, enum owner *ret);
/* True if the developer can act on it, so that the gate may refuse the developer for it. */
bool owner_is_developer(enum owner owner);
