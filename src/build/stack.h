/* build/stack.h - a stack: the run image's base layer and the build image, both from Debian
 * packages.
 *
 * A stack file (platform/stacks/NAME.yaml), written and owned by the platform team:
 *
 *   apiVersion: monban.dev/v1alpha1
 *   kind: Stack
 *   metadata: {name: base}
 *   spec:
 *     owner: platform                 # team that answers for the base and runtime layers
 *     run:                            # what runs in production
 *       packages: [base-files, libc6] # Debian packages; what they depend on is added
 *       drop: [debconf, mawk]         # packages of that closure that are left out
 *     build:                          # what the sandbox of the build holds; never shipped
 *       packages: [dash, coreutils, gcc]
 *       drop: [perl]
 *     user: {name: cnb, uid: 1000, gid: 1000}   # this is the default
 *     trust: [corporate-ca.pem]       # further roots, relative to this file: into the run image
 * and sandbox registries: [npm.example.org]   # hosts that a build may reach beside the npm
 * registry
 *
 * apt (with the machine's sources, an empty dpkg status) resolves and fetches; our own code merges
 * the packages into one sorted layer, with dpkg's records kept in var/lib/dpkg/status.d/. Found
 * again by the digest of the file and of the resolved packages; `stack_open` does no network. */
#pragma once
#include "base/digest.h"
#include "wire/json.h"

struct stack {
    char *name;                /* owned, as all below */
    char *owner;               /* team */
    struct digest key;         /* of the stack file's meaning and all package versions */
    char *build_rootfs;        /* the unpacked build image: an overlay lowerdir, never written */
    char *blob_dir;            /* folder that holds the base layer's blob: an OCI layout */
    struct digest base_digest; /* of the compressed base layer */
    struct digest base_diff_id;
    uint64_t base_size;
    json_t *run_packages;   /* [{"name","version","architecture","source"}] */
    json_t *build_packages; /* the same */
    char *trust_bundle;     /* PEM file of the stack's own further roots, or NULL */
    struct strv registries;
    uint32_t uid, gid;
    char *user_name;
    char *distro_id, *distro_version; /* of os-release: "debian", "12" */
};
void stack_free(struct stack *stack);
DEFINE_CLEANUP(stack, struct stack *, stack_free)

struct stack_options {
    const char *home; /* results in HOME/gate/stacks/NAME/, packages in HOME/gate/cache/debs */
    const char *file; /* the stack file */
    bool refresh;     /* resolve again even if a result for this file exists (newer packages) */
    void (*progress)(struct str line, void *ctx); /* NULL: silent */
    void *ctx;
};

/* Build what is missing, then open. With a result on disk for the same file and no `refresh` this
 * reads two small files. Blocks; network by apt. INVALID at file:line:column; NOT_FOUND: a package;
 * UNAVAILABLE. */
NODISCARD int stack_build(const struct stack_options *options, struct stack **ret_stack,
                          bool *ret_built, struct error *err);
/* Every stack built under `home`:
 * [{"name","owner","key","baseDigest","size","packages","builtAt"}]. */
NODISCARD int stack_list(const char *home, json_t **ret_list, struct error *err);
