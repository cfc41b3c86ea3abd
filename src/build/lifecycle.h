/* build/lifecycle.h - the phases of the Cloud Native Buildpacks lifecycle, each a function over one
 * struct build.
 *
 *   detect.c    bin/detect of each group in order; the build plan         → build.group, build.plan
 *   engine.c    the runtimes that Monban provides itself (Node)           → build.node, lowers of
 * /layers step.c      bin/build of each buildpack of the group, its TOML files   → build.layers,
 * build.processes buildenv.c  the environment that buildpacks see store.c     layers kept for the
 * app's next build, and the record of the last export.c    layers of the image, labels, config
 *   build.c     the walk through all of them; the result by the digest of its inputs */
#pragma once
#include "build/build.h"
#include "build/buildpack.h"
#include "build/node.h"
#include "build/sandbox.h"
#include "build/stack.h"
#include "oci/layer.h"
#include "wire/doc.h"

#define PLATFORM_API "0.13"

enum {
    TOML_MAX = 1 << 20,
    LAYERS_MAX = 256,
    SLICES_MAX = 32
}; /* bytes of a buildpack's file; layers of an image */

struct build_layer { /* what a buildpack left in its folder: NAME.toml and maybe NAME/ */
    char *name;      /* owned */
    const struct buildpack *buildpack; /* borrowed: build.packs */
    bool launch, build, cache;
    bool has_dir;       /* the folder is there */
    bool changed;       /* something was written to it in this build */
    json_t *data;       /* owned: [metadata], or NULL */
    struct layer layer; /* in the image, if launch */
};

struct build {
    const struct build_options *options;
    struct buildpacks packs;
    struct stack *stack;   /* owned */
    struct layout *layout; /* owned: the target */
    struct layout *shared; /* owned: layers of stacks and runtimes, made once for all apps */
    char *app_dir;         /* owned, as the paths below: HOME/gate/cache/apps/NAME */
    char *trust_file;      /* what the sandbox trusts */
    char *launcher, *agent;
    int lock_fd;             /* on app_dir: one build of an app at a time */
    json_t *record;          /* of the last build of this app; never NULL once loaded */
    struct strv lowers;      /* of /layers: as the sandbox has them now */
    struct sandbox *sandbox; /* owned */
    struct node node;        /* if "node" is in the plan */
    bool has_node;

    json_t *elements, *plan;                  /* owned: see plan.h */
    const struct buildpack *group[GROUP_MAX]; /* those that take part */
    size_t group_count;

    struct strv env; /* of the buildpacks, with what build layers added so far */
    struct build_layer layers[LAYERS_MAX];
    size_t layer_count;
    json_t *processes;     /* owned: {"TYPE": {"command","args","working-dir","buildpack-id"}} */
    char *default_process; /* owned, or NULL */
    json_t *labels;        /* owned: {"key": "value"} */
    json_t *stores;        /* owned: {"BUILDPACK": {…}} of store.toml */
    struct str_tail {
        char text[4096];
        size_t len;
    } tail;          /* the last output, for the error */
    char line[1024]; /* of output, not yet ended */
    size_t line_len;
};

void build_say(const struct build *b, enum build_event event, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* What the buildpacks print goes to the progress callback, a line at a time, and into b->tail. */
void build_output(struct str bytes, void *ctx);

/* One program of a buildpack ("bin/detect") with cwd /workspace; argv and environment as the spec
 * says, plus `arguments` and `more`. Output goes to on_output with ctx. */
struct build_program {
    const struct buildpack *pack;
    const char *program;
    const struct strv *arguments, *more;
    void (*on_output)(struct str bytes, void *ctx);
    void *ctx;
    int timeout_ms;
};
NODISCARD int build_run_program(struct build *b, const struct build_program *program, int *ret_exit,
                                struct error *err);
/* A file of ours beneath /layers, owned by the sandbox's user: for plans. */
NODISCARD int build_put_file(struct build *b, const char *path, struct str bytes,
                             struct error *err);
/* A TOML file beneath /layers; *ret_doc stays NULL if there is none. `what` is its name in errors.
 */
NODISCARD int build_read_toml(struct build *b, const char *path, struct doc **ret_doc,
                              struct error *err);

/* A sandbox with b->lowers, the source in /workspace. */
NODISCARD int build_open_sandbox(struct build *b, struct error *err);

NODISCARD int detect_run(struct build *b, struct error *err);
/* Provides what the plan asks of us; opens the sandbox anew if /layers needs other lowers. */
NODISCARD int engine_run(struct build *b, struct error *err);
NODISCARD int step_run_all(struct build *b, struct error *err);

NODISCARD int buildenv_init(struct build *b, struct error *err);
/* The layer's folders and env/, env.build/ files, for the buildpacks that follow. */
NODISCARD int buildenv_add_layer(struct build *b, const struct build_layer *layer,
                                 struct error *err);
/* The environment of one call: b->env, unless clear-env the platform's files, and what `more` says
 * (NAME=VALUE). */
NODISCARD int buildenv_for(const struct build *b, const struct buildpack *pack,
                           const struct strv *more, struct strv *out, struct error *err);

NODISCARD int store_open(struct build *b, struct error *err);
NODISCARD int store_save(struct build *b, struct error *err);
/* The layer of the last build, if it is in the target layout still. */
bool store_last_layer(const struct build *b, const struct build_layer *layer, struct layer *ret);

NODISCARD int export_image(struct build *b, struct build_result *ret, struct error *err);
