/* verdict/verdict_internal.h - what the files of this folder share; only they include it. */
#pragma once
#include "sbom/texts.h"
#include "verdict/verdict.h"

enum {
    VERDICT_FINDINGS_MAX = 100000,
    VERDICT_TEXTS_MAX = 256 << 20, /* bytes */
};

struct findings {
    struct finding *items; /* owned */
    size_t count, capacity;
    struct advisory_matches *matches; /* owned: texts of the items live in them */
    size_t match_count, match_capacity;
    struct texts texts;
};

struct verdict {
    struct failure *items; /* owned */
    size_t count, capacity;
    enum check_level level;
    const char *cluster; /* in texts */
    struct texts texts;
};

/* Fills remedy, command and advice from the package, `fixed` and `safe`. */
void finding_add_remedy(struct finding *finding, struct texts *texts);
