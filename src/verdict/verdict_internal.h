/* verdict/verdict_internal.h - shared by the files of the verdict. */
#pragma once
#include "sbom/texts.h"
#include "verdict/verdict.h"

enum { FINDINGS_TEXT_LIMIT = 256 << 20, FINDINGS_LIMIT = 1000000 };

struct findings {
    struct texts texts;
    struct finding *items; /* owned */
    size_t count, capacity;
};
/* Fills remedy, command and advice of `f` (remedy.c). `inventory`: who asks for it. */
NODISCARD int remedy_decide(const struct inventory *inventory, struct finding *f,
                            struct texts *texts, struct error *err);

struct verdict {
    struct texts texts;
    struct failure *items; /* owned */
    size_t count, capacity;
    enum check_level level;
    const char *cluster;
};

/* "high 7.5", "critical", "severity not known" into the pool. */
const char *severity_text(struct texts *texts, enum severity severity, int score_tenths);
/* What a person reads of a package: "libssl3 3.0.11-1 (openssl)". */
const char *package_text(struct texts *texts, const struct package *package);
