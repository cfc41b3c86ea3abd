/* deliver/matrix.h - the checks of this cluster over one release: the platform's matrix, judged
 * here. */
#pragma once
#include "platform/platform.h"
#include "release/release.h"

struct matrix_input {
    const struct platform *platform;
    const char *cluster;
    const char *workload;
    const char *db_path; /* the advisory database */
    const struct release_content *content;
    const json_t *objects; /* as they would be applied */
};
struct matrix {
    enum platform_level level;
    json_t *failures; /* owned */
    json_t *
        findings;    /* owned:
                        [{"advisory","severity","package","version","owner","team","fixed","command",…}]
                      */
    struct buf text; /* the failures, in words, a line each */
};
#define MATRIX_INIT                                                                                \
    {                                                                                              \
        .text = BUF_INIT(65536)                                                                    \
    }
void matrix_done(struct matrix *matrix);
DEFINE_CLEANUP_VALUE(matrix, struct matrix, matrix_done)
NODISCARD int matrix_judge(const struct matrix_input *input, struct matrix *ret, struct error *err);

enum { MATRIX_FINDINGS_MAX = 500 }; /* of a ConfigMap, which holds 1 MiB */
/* The findings of a findings/v1 predicate, cut down to what status shows. */
NODISCARD int matrix_brief(const json_t *predicate, json_t **ret, struct error *err);
/* The stored inventory against the database at db_path. NOT_FOUND without a database. */
NODISCARD int matrix_recheck(const json_t *bom, const char *db_path, json_t **ret_findings,
                             char version[80], struct error *err);
