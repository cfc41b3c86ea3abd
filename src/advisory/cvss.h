/* advisory/cvss.h - scores from CVSS vectors, versions 2.0, 3.0, 3.1 and 4.0.
 *
 * Source: FIRST, CVSS v2 guide 3.2; v3.1 specification section 7 and 8; v4.0 specification
 * section 8. */
#pragma once
#include "base/error.h"
#include "base/str.h"

enum severity { /* the qualitative ratings of CVSS v3 and v4, in rising order */
                SEVERITY_UNKNOWN,
                SEVERITY_NEGLIGIBLE, /* score 0, or Debian's "unimportant" */
                SEVERITY_LOW,
                SEVERITY_MEDIUM,
                SEVERITY_HIGH,
                SEVERITY_CRITICAL,
};
enum { SEVERITY_COUNT = SEVERITY_CRITICAL + 1 };
const char *severity_name(enum severity severity); /* "critical", …, "unknown" */
/* Words of GHSA (MODERATE), Debian (unimportant, "low**"), Ubuntu, Red Hat; any case. UNKNOWN for
 * others. */
enum severity severity_of_word(struct str word);
enum severity severity_of_score(int score_tenths);

struct cvss {
    const char *version; /* "2.0", "3.0", "3.1", "4.0" */
    int score_tenths; /* 0 … 100: with temporal, threat and environmental metrics if the vector has
                         them */
    int base_tenths;  /* of the base metrics alone */
    enum severity severity;
};
/* INVALID names the metric that is wrong, missing or repeated. */
NODISCARD int cvss_parse(struct str vector, struct cvss *ret, struct error *err);
