/* gate/walk_internal.h - what the stages of a walk share; only this folder includes it. */
#pragma once
#include "base/str.h"
#include "build/build.h"
#include "gate/walk.h"
#include "oci/layout.h"
#include "source/source.h"
#include "workload/workload.h"

/* Whose work a failure is: the developer's, or the platform team's. */
enum walk_owner { WALK_OWNER_APP, WALK_OWNER_PLATFORM };

struct walk {
    const struct walk_options *options; /* borrowed */
    char *work_dir;                     /* owned: HOME/gate/work/APP-PID; removed at the end */
    char
        *repository; /* owned: the one to read from: the app's, or one made over a push's objects */
    char *tree_dir;  /* owned: the exported source */
    struct source_commit commit;
    struct workload *workload; /* owned */
    struct layout *layout;     /* owned: HOME/gate/registry */
    struct build_result build;
    json_t *sbom;     /* owned: CycloneDX */
    json_t *findings; /* owned: findings/v1 */
    json_t *verdict;  /* owned: of the gate's checks */
    bool passed;
    uint64_t sequence; /* of the release, once written */
    bool unchanged;    /* the newest release is this one already */
    json_t *stages;    /* owned: [{"stage","ms","text"}] */
    int64_t started_us, stage_us;
    int64_t started_s;
    const char *stage; /* the one that runs */
    enum walk_owner owner;
    const char *next; /* what to do if the stage fails */
};

void walk_say(struct walk *w, const char *format, ...) PRINTF_LIKE(2, 3);
void walk_say_text(struct walk *w, struct str text); /* any number of lines, indented */
/* The stage is done: says "  build     TEXT  12 ms" and notes it. */
void walk_done(struct walk *w, const char *format, ...) PRINTF_LIKE(2, 3);
void walk_begin(struct walk *w, const char *stage, enum walk_owner owner, const char *next);

/* The stages, in this order. Each is -1 with an error, which ends the walk. */
NODISCARD int walk_source(struct walk *w, struct error *err);
NODISCARD int walk_build(struct walk *w, struct error *err);
NODISCARD int walk_inspect(struct walk *w, struct error *err); /* sbom, findings, verdict */
NODISCARD int walk_publish(struct walk *w, struct error *err); /* render, release */
