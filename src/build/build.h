/* build/build.h - a source tree and a stack become a standard image: the Cloud Native Buildpacks
 * lifecycle (buildpacks spec, Platform API 0.12-0.13, Buildpack API 0.8-0.11).
 *
 * Takes a folder of source, a stack file, a folder of buildpacks. Gives an image in an OCI layout,
 * layers in the order base, runtime, dependencies, app, launcher, config, each with an owner (label
 * dev.monban.layers). Unchanged input is no work: the result is kept under the digest of its
 * inputs.
 *
 *   stack.h      run and build image from Debian packages     semver.h     npm's version ranges
 *   sandbox.h    where buildpacks run                          proxy.h      the only way out of it
 *   buildpack.h  buildpack.toml and its folder                 plan.h       provides and requires
 *   lifecycle.h  detect, build (read this first)               export.h     layers, labels, image
 * config node.h       Node and npm from the npm registry            registry.h   the npm registry
 */
#pragma once
#include "base/digest.h"
#include "wire/json.h"

/* One line of progress ("detect: monban/node 0.1.0 (12 ms)"), or of a buildpack's own output. */
enum build_event { BUILD_PHASE, BUILD_OUTPUT, BUILD_WARNING };
typedef void build_progress_fn(enum build_event event, struct str line, void *ctx);

struct build_options {
    const char *home; /* caches stand in HOME/gate/cache, stacks in HOME/gate/stacks */
    const char
        *source_dir;    /* the tree to build; only read. ".git" and "node_modules" are left out */
    const char *commit; /* commit id for the label, or NULL */
    const char *source_url;     /* of the repository, for the label, or NULL */
    const json_t *workload;     /* the Workload as JSON, or NULL: its spec.build.env is used */
    const char *name;           /* app name: image name, cache folder; [a-z0-9-]+ */
    const char *stack_file;     /* platform/stacks/X.yaml; NULL: the one beside the buildpacks */
    const char *buildpacks_dir; /* NULL: build_find_share("buildpacks") */
    const char *launcher;       /* the launcher program; NULL: build_find_share("launcher") */
    const char *layout_dir;     /* OCI layout to write into; made if absent */
    const char
        *repository; /* "apps/guestbook"; with `tag`, tagged in the layout's index; or NULL */
    const char *tag;
    const char *trust_bundle; /* further roots (PEM) that the sandbox trusts beside the machine's;
                                 or NULL */
    const char *registry;     /* npm registry, NULL: https://registry.npmjs.org */
    const char *const
        *allow_hosts; /* NULL-ended; hosts that the sandbox may reach beside the registry */
    const char *team; /* owner of the app and dependency layers, for the label; NULL: "app" */
    bool no_cache;    /* do all the work again */
    build_progress_fn *progress; /* NULL: silent */
    void *progress_ctx;
};

struct build_result {
    struct digest manifest;
    struct digest config;
    uint64_t manifest_size;
    bool cached;        /* found by the digest of its inputs; no work was done */
    char *stack_name;   /* owned */
    json_t *layers;     /* owned: the label dev.monban.layers */
    json_t *processes;  /* owned: [{"type","command":[…],"default":bool}] */
    json_t *buildpacks; /* owned: [{"id","version"}] that took part */
    int64_t total_ms;
    char *provenance_inputs; /* owned: the digest of all inputs (the cache key) as text */
};
void build_result_done(struct build_result *result);
DEFINE_CLEANUP_VALUE(build_result, struct build_result, build_result_done)

/* Blocks for as long as the build takes. Buildpacks run in a sandbox (child processes, namespaces,
 * a cgroup), all gone on return, and gone too if this process is killed. INVALID: the app (no
 * buildpack fits, package.json or a buildpack's output is wrong), with a text that says what to do.
 * SYSTEM: a buildpack's bin/build failed (its last lines are in the text). DENIED. LIMIT: time,
 * memory, disk or processes of the sandbox. UNAVAILABLE: registry. UNTRUSTED: a digest. */
NODISCARD int build_image(const struct build_options *options, struct build_result *ret,
                          struct error *err);

/* Where what belongs to the program stands: `name` ("buildpacks", "launcher", "sandbox-agent")
 * beside the binary's source or build tree, else in /usr/share/monban or /usr/lib/monban. free()
 * it; NULL if absent. */
char *build_find_share(const char *name);
