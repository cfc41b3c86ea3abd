/* advisory/version.h - the order of versions, of each ecosystem as its own tools have it.
 *
 * Sources: Debian policy 5.6.12; SemVer 2.0.0 §11; PEP 440; Maven ComparableVersion; Gem::Version;
 * Composer (PHP version_compare); NuGet; apk-tools version.c; rpmvercmp; the Go module reference.
 */
#pragma once
#include "base/error.h"
#include "base/str.h"

enum { VERSION_BYTES_MAX = 1024 }; /* longer is not valid in any scheme */

enum version_scheme {
    VERSION_NONE, /* no order known: only equality */
    VERSION_SEMVER,
    VERSION_GO,
    VERSION_DEBIAN,
    VERSION_RPM,
    VERSION_ALPINE,
    VERSION_PYPI,
    VERSION_MAVEN,
    VERSION_RUBYGEMS,
    VERSION_PACKAGIST,
    VERSION_NUGET,
};

/* Of an OSV ecosystem ("Debian:12", "npm", "Red Hat", "Maven:https://…"); what follows ':' does not
 * count. */
enum version_scheme version_scheme_of(struct str ecosystem);
/* Whether the scheme's own tool would take it. */
bool version_is_valid(enum version_scheme scheme, struct str version);
/* <0, 0, >0. Total for all texts, also not valid ones (then as lenient as the scheme's tools, and
 * where they refuse, below every valid one and by bytes among themselves). Never allocates, never
 * fails. */
int version_compare(enum version_scheme scheme, struct str a, struct str b);
