/* advisory/import_internal.h - one import: the old database is loaded, sources are added, the new
 * one is written. */
#pragma once
#include "advisory/record.h"

struct import {
    struct draft draft;
    struct advisory_report report;
    const char *db_path; /* borrowed */
    int lock_fd;
};
#define IMPORT_INIT(path)                                                                          \
    {                                                                                              \
        .draft = DRAFT_INIT, .db_path = (path), .lock_fd = -1                                      \
    }
void import_done(struct import *import);
DEFINE_CLEANUP_VALUE(import, struct import, import_done)
/* Makes the folder, takes the lock, loads what is there. */
NODISCARD int import_begin(struct import *import, struct error *err);
/* A zip, a .json, or a folder of them. `shown`: how faults name it. */
NODISCARD int import_path(struct import *import, const char *path, const char *shown,
                          struct error *err);
NODISCARD int import_zip(struct import *import, const char *path, const char *shown,
                         struct error *err);
/* Writes the database; hands the report over. */
NODISCARD int import_end(struct import *import, int64_t now_s, struct advisory_report *ret_report,
                         struct error *err);
