/* build/semver.h - versions and ranges as npm reads them (semver.org 2.0.0; node-semver's range
 * grammar: comparators, hyphen ranges, x-ranges, ~, ^, ||). */
#pragma once
#include "base/str.h"

enum { SEMVER_PRE_MAX = 64 };

struct semver {
    uint64_t major, minor, patch;
    char pre[SEMVER_PRE_MAX]; /* "beta.1" or ""; build metadata is dropped */
};

/* "1.2.3", "v1.2.3-rc.1+build"; false if it is no full version, or a number passes 2^53. */
bool semver_parse(struct str text, struct semver *ret);
int semver_compare(const struct semver *a,
                   const struct semver *b); /* precedence, semver 2.0.0 section 11 */

struct semver_range; /* never changes once parsed */
/* NULL if it is no range (or without memory). "" and "*" match every release. */
struct semver_range *semver_range_parse(struct str text);
/* A version with a pre-release part matches only if a comparator with the same major.minor.patch
 * has one. */
bool semver_range_has(const struct semver_range *range, const struct semver *version);
void semver_range_free(struct semver_range *range);
DEFINE_CLEANUP(semver_range, struct semver_range *, semver_range_free)
