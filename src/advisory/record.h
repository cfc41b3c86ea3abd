/* advisory/record.h - one OSV record (JSON) into a database in the making.
 *
 * Source: OSV schema 1.7. What a matcher uses is kept: no details, references or credits. A part
 * that is not as the schema has it (a range with a broken event, a severity that is no vector) is
 * left out, as long as the record says which package it is about; else the record is malformed. */
#pragma once
#include "advisory/draft.h"

enum {
    RECORD_BYTES_MAX = 32 << 20, /* bytes: the largest real one has 6 MiB */
    RECORD_LIST_MAX = 100000,    /* aliases, upstreams, events or versions of one record */
};

enum record_change { RECORD_ADDED, RECORD_CHANGED, RECORD_UNCHANGED, RECORD_OLDER };

/* `name`: of the file, for the error. INVALID: malformed, and nothing was added. NO_MEMORY, LIMIT.
 */
NODISCARD int record_add(struct draft *b, const char *name, struct str json,
                         enum record_change *ret_change, struct error *err);

/* The record's text without the members that no matcher reads (details, references, credits),
 * appended to `out`: they are half of most records, and skipping them is ten times faster than
 * building their tree. False if the text is not as plain as that takes; the caller then parses all
 * of it. What was skipped has not been checked. */
bool record_skim(struct str json, struct buf *out);
