/* advisory/build.h - a database in the making: records are added, older ones of the same id give
 * way, and in the end the whole is written in its one canonical form. */
#pragma once
#include "advisory/db_internal.h"

enum {
    BUILD_STRINGS_LIMIT = 1 << 30, /* bytes */
    BUILD_BODIES_LIMIT = 1 << 30,
    BUILD_RECORDS_LIMIT = 8000000, /* the public dump of 2026 has about 700,000 */
};

struct build_record {
    struct db_record
        r; /* texts are offsets in build.strings; list and group are set when writing */
    uint32_t aliases, alias_count; /* in build.lists */
    uint32_t upstream, upstream_count;
    uint32_t first_affected, affected_count;
    bool is_dead; /* another one of that id came */
};
struct build_affected {
    uint32_t ecosystem, name; /* texts, keys */
    uint32_t record;
    uint32_t offset, bytes; /* in build.bodies */
};
struct build {
    struct buf strings;
    uint32_t *slots; /* owned: hash table of offsets + 1 */
    size_t slot_count, text_count;
    struct build_record *records; /* owned */
    size_t record_count, record_capacity;
    uint32_t *by_id; /* owned: hash table, id → record + 1 */
    size_t by_id_count;
    struct build_affected *affected; /* owned */
    size_t affected_count, affected_capacity;
    uint32_t *lists; /* owned */
    size_t list_count, list_capacity;
    struct buf bodies;
    uint8_t failed; /* sticky: 1 no memory, 2 limit */
};
#define BUILD_INIT                                                                                 \
    {                                                                                              \
        .strings = BUF_INIT(BUILD_STRINGS_LIMIT), .bodies = BUF_INIT(BUILD_BODIES_LIMIT)           \
    }
void build_done(struct build *b);
DEFINE_CLEANUP_VALUE(build, struct build, build_done)
NODISCARD int build_ok(const struct build *b, struct error *err);

uint32_t build_text(struct build *b, struct str text); /* offset of the one copy */
/* The record with that id, or NULL. */
struct build_record *build_find(struct build *b, struct str id);
/* A record in four steps: begin, its lists, its affected packages (bodies by body_add…), then end,
 * which lets an older one of the same id give way. Strings of ids are texts of the build. */
void build_begin(struct build *b, const struct db_record *r);
void build_add_alias(struct build *b, uint32_t text);    /* all of these … */
void build_add_upstream(struct build *b, uint32_t text); /* … before any of those */
void build_begin_affected(struct build *b, struct str ecosystem, struct str name);
void build_end_affected(struct build *b);
void build_end(struct build *b);
void build_drop_last(struct build *b); /* undo since build_begin() */

/* Everything of an existing database. INVALID if it is broken. */
NODISCARD int build_load(struct build *b, const struct advisory_db *db, struct error *err);
/* Writes the file, atomically. */
NODISCARD int build_write(struct build *b, const char *path, int64_t imported_s, struct error *err);
