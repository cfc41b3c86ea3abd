/* build/npm.h - the npm registry: which version of a package fits a range, and its tarball,
 * verified.
 *
 * Source: npm's registry API (abbreviated metadata, application/vnd.npm.install-v1+json) and its
 * dist.integrity (Subresource Integrity, sha512). What was fetched is kept: metadata for an hour,
 * and longer when the registry cannot be reached; tarballs, found by their integrity, for good. */
#pragma once
#include "base/digest.h"
#include "build/semver.h"
#include "wire/json.h"

struct npm_registry {
    const char *url;          /* "https://registry.npmjs.org" */
    const char *cache_dir;    /* HOME/gate/cache/npm; made */
    const char *trust_bundle; /* further roots (PEM file), or NULL */
};

struct npm_package {
    char *name; /* owned, as all below */
    char *version;
    char *tarball;   /* its address */
    char *integrity; /* "sha512-…" */
};
void npm_package_done(struct npm_package *package);
DEFINE_CLEANUP_VALUE(npm_package, struct npm_package, npm_package_done)

enum { REGISTRY_META_TTL_S = 3600 };

/* The newest version of `name` in `range`, no deprecated one if another fits. With `node` only
 * versions whose engines.node hold it. NOT_FOUND says which are the newest. Blocks on the network.
 */
NODISCARD int npm_registry_pick(const struct npm_registry *options, const char *name,
                                const char *range, const struct semver *node,
                                struct npm_package *ret, struct error *err);
/* The tarball as a file; *ret_path is the caller's to free(). UNTRUSTED if its integrity differs.
 */
NODISCARD int npm_registry_fetch(const struct npm_registry *options,
                                 const struct npm_package *package, char **ret_path,
                                 struct error *err);
