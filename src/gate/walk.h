/* gate/walk.h - the road of one commit: source → build → sbom → findings → verdict → render →
 * release.
 *
 * Each stage says one line with its time. A stage is a function of digests, so an unchanged one is
 * no work. The first stage that fails ends the walk, with the one thing to do; the last release
 * stays. */
#pragma once
#include "platform/platform.h"
#include "sign/sign.h"

struct walk_options {
    const char *home;
    const char *app;
    const char *ref;
    const char *commit;
    const char *old;         /* where the ref must still stand, or NULL: see struct gate_request */
    const char *repository;  /* path of the bare repository */
    const char *objects_dir; /* where a push that is not accepted yet has its objects, or NULL */
    const struct platform *platform;
    struct signer *signer;
    const char *source_uri; /* of a watched remote, or NULL: the repository itself */
    /* A line for the developer; no line end in it. */
    void (*say)(struct str line, void *ctx);
    void *ctx;
};

enum walk_outcome { WALK_RELEASED, WALK_UNCHANGED, WALK_REFUSED, WALK_FAILED };
const char *walk_outcome_name(enum walk_outcome outcome);
int walk_exit_code(enum walk_outcome outcome); /* 0, 0, 3, 1 */

/* Never fails as a call: everything that goes wrong is said and is the outcome. Blocks for as long
 * as the build takes. Writes HOME/gate/state/APP.json. */
enum walk_outcome walk_commit(const struct walk_options *options);
