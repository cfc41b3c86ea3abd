/* advisory/advisory.h - what is known to be vulnerable: OSV records in, a compact database, matches
 * out.
 *
 *   version.h   order of versions by ecosystem      cvss.h     scores and severity words
 *   record.h    one OSV record, parsed and checked  draft.h    records → database file
 *   import.c    zip, folder, file; update from a URL
 *   db.c        the mapped file                     match.c    package and version → advisories
 *
 * The database is one file, written beside and renamed, so a reader sees the old or the new one,
 * whole. It is mapped, opened in microseconds, and distrusted: every offset in it is checked when
 * it is used. Source: OSV schema 1.7, "Evaluation". */
#pragma once
#include "advisory/cvss.h"
#include "base/buf.h"
#include "base/error.h"

struct advisory_db; /* read only, so threads may share it */

/* Maps the file. NOT_FOUND; INVALID if it is not such a file or of another format version. */
NODISCARD int advisory_db_open(const char *path, struct advisory_db **ret, struct error *err);
void advisory_db_free(struct advisory_db *db);
DEFINE_CLEANUP(advisory_db, struct advisory_db *, advisory_db_free)
/* Reads everything and compares the checksums. UNTRUSTED if they differ. */
NODISCARD int advisory_db_verify(const struct advisory_db *db, struct error *err);

struct advisory_ecosystem {
    const char *name; /* borrowed from the database; with what follows ':' */
    uint32_t packages;
    uint32_t records;
};
struct advisory_status {
    int64_t imported_s; /* when the last import ran: the age of the database counts from here */
    int64_t newest_s;   /* newest `modified` of a record */
    uint32_t records;
    uint32_t withdrawn;
    uint32_t packages;
    uint64_t file_bytes;
    const struct advisory_ecosystem *ecosystems; /* borrowed from the database */
    size_t ecosystem_count;
    char version[72]; /* digest of the content: equal databases have equal versions */
};
void advisory_db_status(const struct advisory_db *db, struct advisory_status *ret);

/* ---- import ---- */
struct advisory_fault { /* a record that was skipped */
    char name[160];     /* file, and the member of the archive: "npm/all.zip:GHSA-x.json" */
    char text[200];     /* why */
};
enum { ADVISORY_FAULTS_MAX = 100 }; /* named; more are only counted */
struct advisory_report {
    uint32_t read, added, changed, unchanged, older, malformed;
    uint32_t sources;              /* files and archives read */
    uint32_t not_changed;          /* update: sources that the server says are as before */
    struct advisory_fault *faults; /* owned */
    size_t fault_count;
};
#define ADVISORY_REPORT_INIT                                                                       \
    {                                                                                              \
        0                                                                                          \
    }
void advisory_report_done(struct advisory_report *report);
DEFINE_CLEANUP_VALUE(advisory_report, struct advisory_report, advisory_report_done)

/* Adds `source` to the database at db_path (made if absent, its folder too): DIR/ECOSYSTEM/all.zip,
 * folders of
 * *.json at any depth, one *.zip or one *.json. The same id: the newer `modified` wins, equal ones
 * are taken from the source. `now_s` becomes imported_s. One writer at a time (a lock beside the
 * file). Errors: NOT_FOUND; INVALID if nothing there is a record; LIMIT; SYSTEM. */
NODISCARD int advisory_import(const char *db_path, const char *source, int64_t now_s,
                              struct advisory_report *ret_report, struct error *err);

#define ADVISORY_DEFAULT_URL "https://osv-vulnerabilities.storage.googleapis.com"
struct advisory_update_options {
    const char *url;               /* base: URL/ECOSYSTEM/all.zip; NULL: ADVISORY_DEFAULT_URL */
    const char *const *ecosystems; /* NULL-ended; NULL: npm, Debian */
    const char *trust_bundle_path; /* further roots; NULL: none */
    int64_t now_s;
};
/* Fetches what has changed (If-None-Match; the tags are kept in db_path + ".sources") and imports
 * it in one step. UNAVAILABLE, TIMEOUT, UNTRUSTED leave the database as it was. */
NODISCARD int advisory_update(const char *db_path, const struct advisory_update_options *options,
                              struct advisory_report *ret_report, struct error *err);

/* ---- matching ---- */
struct advisory_query {
    const char *ecosystem; /* "npm", "Debian:12" */
    const char *name;      /* OS packages: the source package's */
    const char *version;
};

struct advisory_match { /* texts are borrowed from the database */
    const char *id;     /* of the record that names it best: GHSA before CVE before x_… */
    const char *const
        *ids; /* all records and aliases merged into this one, sorted, NULL-ended, id included */
    const char *const *upstream; /* CVEs that a distribution's advisory covers; NULL-ended */
    const char *summary;         /* "" if none */
    enum severity severity;
    int score_tenths;          /* -1: no score known */
    const char *vector;        /* "" if none */
    const char *severity_from; /* id of the record that says so; "" if none */
    const char *urgency;       /* Debian's word, "" if none */
    const char *fixed; /* the nearest version above the installed one that is not affected by this
                          advisory; "" if none is known */
    int64_t published_s, modified_s; /* 0: not known */
};
struct advisory_matches {
    struct advisory_match *items; /* owned; sorted by severity (highest first), then id */
    size_t count;
    void *memory; /* owned */
};
#define ADVISORY_MATCHES_INIT                                                                      \
    {                                                                                              \
        0                                                                                          \
    }
void advisory_matches_done(struct advisory_matches *matches);
DEFINE_CLEANUP_VALUE(advisory_matches, struct advisory_matches, advisory_matches_done)

/* Every advisory that the package at that version is affected by; withdrawn ones are skipped and
 * aliases merged. INVALID if the database is broken there; NO_MEMORY. */
NODISCARD int advisory_match(const struct advisory_db *db, const struct advisory_query *query,
                             struct advisory_matches *ret, struct error *err);
/* The least version above the query's that none of its advisories affects, or "" if a known
 * advisory has no fix: where a bump must go. Written to `out`. */
NODISCARD int advisory_safe_version(const struct advisory_db *db,
                                    const struct advisory_query *query, struct buf *out,
                                    struct error *err);
