/* advisory/cvss_internal.h - a vector as metric → value, checked against the version's table. */
#pragma once
#include "advisory/cvss.h"

struct cvss_metric {
    const char *name;
    const char *values; /* allowed ones, between blanks: "N A L P" */
    bool is_required;
};
enum { CVSS_METRICS_MAX = 40 };
struct cvss_vector {
    const struct cvss_metric *table;
    size_t count;
    char values[CVSS_METRICS_MAX][8]; /* "" : not given */
};
/* The value, or `otherwise` if it was not given or is "X" or "ND". */
const char *cvss_value(const struct cvss_vector *v, const char *metric, const char *otherwise);
NODISCARD int cvss_take_vector(struct str text, const struct cvss_metric *table, size_t count,
                               struct cvss_vector *ret, struct error *err);

NODISCARD int cvss2_parse(struct str metrics, struct cvss *ret, struct error *err);
NODISCARD int cvss3_parse(struct str metrics, bool is_31, struct cvss *ret, struct error *err);
NODISCARD int cvss4_parse(struct str metrics, struct cvss *ret, struct error *err);
