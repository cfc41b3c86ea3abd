/* advisory/db_internal.h - the database file, version 1. Numbers are little-endian, as on every
 * machine we run on.
 *
 *   header   struct db_header, 512 bytes
 *   STRINGS  texts, each ended by NUL; a text is named by its offset; offset 0 is ""
 *   RECORDS  struct db_record, sorted by id
 *   LISTS    uint32: for each record its alias count, aliases, upstream count, upstreams
 *   NAMES    struct db_name: every id and alias → record, sorted by text, then record
 *   PACKAGES struct db_package, sorted by hash of ecosystem and name
 *   POSTINGS for each package: varint record, varint length, body (body.c), records rising
 *   ECOSYSTEMS struct db_ecosystem, sorted by name
 *
 * The same records give the same bytes, but for the time of import, which the digest leaves out. A
 * reader checks each offset when it uses it: a file that lies gives wrong answers or INVALID, never
 * a fault. */
#pragma once
#include <assert.h>

#include "advisory/advisory.h"
#include "advisory/version.h"
#include "base/digest.h"

#define DB_MAGIC "monban advisories" /* with its NUL, 18 bytes */
enum { DB_FORMAT = 1, DB_HEADER_BYTES = 512 };
#define DB_BYTES_MAX ((uint64_t)1 << 31) /* offsets of texts have 32 bits */

enum db_section {
    DB_STRINGS,
    DB_RECORDS,
    DB_LISTS,
    DB_NAMES,
    DB_PACKAGES,
    DB_POSTINGS,
    DB_ECOSYSTEMS
};
enum { DB_SECTIONS = DB_ECOSYSTEMS + 1 };

struct db_span {
    uint64_t offset, bytes;
};
struct db_header {
    char magic[24];
    uint32_t format;
    uint32_t reserved;
    int64_t imported_s;
    int64_t newest_s;
    struct db_span sections[DB_SECTIONS];
    uint8_t digest[SHA256_SIZE];        /* of all bytes after the header */
    uint8_t header_digest[SHA256_SIZE]; /* of the header up to here */
};
static_assert(sizeof(struct db_header) <= DB_HEADER_BYTES, "the header outgrew its room");

enum db_flags { DB_WITHDRAWN = 1 << 0 };

struct db_record {
    int64_t modified_s, published_s;
    uint32_t id, summary, vector; /* texts */
    uint32_t list;                /* index into LISTS */
    uint32_t group;               /* least record of those that aliases join */
    int16_t score_tenths;         /* -1: none */
    uint8_t severity;             /* enum severity */
    uint8_t flags;
};
struct db_name {
    uint32_t text, record;
};
struct db_package {
    uint64_t hash;
    uint32_t ecosystem, name; /* texts; the name as normalised by package_key() */
    uint32_t offset, bytes;   /* in POSTINGS */
};
struct db_ecosystem {
    uint32_t name, packages, records;
};

struct advisory_db {
    const uint8_t *map; /* owned: mapped */
    size_t bytes;
    const struct db_header *header;
    const char *strings;
    size_t strings_bytes;
    const struct db_record *records;
    uint32_t record_count;
    const uint32_t *lists;
    size_t list_count;
    const struct db_name *names;
    size_t name_count;
    const struct db_package *packages;
    uint32_t package_count;
    const uint8_t *postings;
    size_t postings_bytes;
    const struct db_ecosystem *ecosystems;
    size_t ecosystem_count;
    struct advisory_ecosystem *status; /* owned */
};

/* "" for an offset outside. */
const char *db_text(const struct advisory_db *db, uint32_t offset);
/* The two lists of a record; false if they lead outside. */
bool db_lists(const struct advisory_db *db, const struct db_record *record,
              const uint32_t **aliases, size_t *alias_count, const uint32_t **upstream,
              size_t *upstream_count);
const struct db_package *db_find_package(const struct advisory_db *db, const char *ecosystem,
                                         const char *name);
/* The names equal to `text`: first index and count. */
size_t db_find_names(const struct advisory_db *db, const char *text, size_t *ret_first);

/* ---- bytes of a body (body.c) ---- */
struct reader { /* never reads past `end`; a short read sets failed and gives 0 */
    const uint8_t *at, *end;
    bool failed;
};
uint64_t reader_number(struct reader *r);
uint8_t reader_byte(struct reader *r);
bool reader_part(struct reader *r, size_t bytes, struct reader *ret);
void body_add_number(struct buf *out, uint64_t n);

enum event_kind { EVENT_INTRODUCED, EVENT_FIXED, EVENT_LAST_AFFECTED, EVENT_LIMIT };
enum { EVENT_KINDS = EVENT_LIMIT + 1 };
/* Body: severity byte, score + 1, vector, urgency, range count, ranges (event count, events (kind,
 * text)), version count, versions. Texts are numbers: offsets. */
struct body_head {
    uint8_t severity;
    int score_tenths;
    uint32_t vector, urgency;
};
void body_add_head(struct buf *out, const struct body_head *head);
bool body_read_head(struct reader *r, struct body_head *ret);
/* The body again with each text put through `map`. False if it is broken. */
bool body_translate(struct reader *r, uint32_t (*map)(uint32_t text, void *ctx), void *ctx,
                    struct buf *out);

/* ---- keys ---- */
/* What a package is filed under: languages drop what follows ':' of the ecosystem; PyPI and NuGet
 * names are normalised (PEP 503; lower case). Both are appended. */
void package_key(struct str ecosystem, struct str name, struct buf *ret_ecosystem,
                 struct buf *ret_name);
uint64_t package_hash(const char *ecosystem, const char *name);
