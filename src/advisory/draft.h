/* advisory/draft.h - a database in the making: records are added, older ones of the same id give
 * way, and in the end the whole is written in its one canonical form. */
#pragma once
#include "advisory/db_internal.h"

enum {
    DRAFT_STRINGS_LIMIT = 1 << 30, /* bytes */
    DRAFT_BODIES_LIMIT = 1 << 30,
    DRAFT_RECORDS_LIMIT = 8000000, /* the public dump of 2026 has about 700,000 */
};

struct draft_record {
    struct db_record
        r; /* texts are offsets in draft.strings; list and group are set when writing */
    uint32_t aliases, alias_count; /* in draft.lists */
    uint32_t upstream, upstream_count;
    uint32_t first_affected, affected_count;
    bool is_dead; /* another one of that id came */
};
struct draft_affected {
    uint32_t ecosystem, name; /* texts, keys */
    uint32_t record;
    uint32_t offset, bytes; /* in draft.bodies */
};
struct draft {
    struct buf strings;
    uint32_t *slots; /* owned: hash table of offsets + 1 */
    size_t slot_count, text_count;
    struct draft_record *records; /* owned */
    size_t record_count, record_capacity;
    uint32_t *by_id; /* owned: hash table, id → record + 1 */
    size_t by_id_count;
    struct draft_affected *affected; /* owned */
    size_t affected_count, affected_capacity;
    uint32_t *lists; /* owned */
    size_t list_count, list_capacity;
    struct buf bodies;
    uint8_t failed; /* sticky: 1 no memory, 2 limit */
};
#define DRAFT_INIT                                                                                 \
    {                                                                                              \
        .strings = BUF_INIT(DRAFT_STRINGS_LIMIT), .bodies = BUF_INIT(DRAFT_BODIES_LIMIT)           \
    }
void draft_done(struct draft *b);
DEFINE_CLEANUP_VALUE(draft, struct draft, draft_done)
NODISCARD int draft_ok(const struct draft *b, struct error *err);

uint32_t draft_text(struct draft *b, struct str text); /* offset of the one copy */
/* The record with that id, or NULL. */
struct draft_record *draft_find(struct draft *b, struct str id);
/* A record in four steps: begin, its lists, its affected packages (bodies by body_add…), then end,
 * which lets an older one of the same id give way. Strings of ids are texts of the draft. */
void draft_begin(struct draft *b, const struct db_record *r);
void draft_add_alias(struct draft *b, uint32_t text);    /* all of these … */
void draft_add_upstream(struct draft *b, uint32_t text); /* … before any of those */
void draft_begin_affected(struct draft *b, struct str ecosystem, struct str name);
void draft_end_affected(struct draft *b);
void draft_end(struct draft *b);
void draft_drop_last(struct draft *b); /* undo since draft_begin() */

/* Everything of an existing database. INVALID if it is broken. */
NODISCARD int draft_load(struct draft *b, const struct advisory_db *db, struct error *err);
/* Writes the file, atomically. */
NODISCARD int draft_write(struct draft *b, const char *path, int64_t imported_s, struct error *err);
