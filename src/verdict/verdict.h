/* verdict/verdict.h - who must fix what, and whether that stops the commit.
 *
 * Takes an inventory (sbom/), the advisory database (advisory/), the platform's check levels of one
 * cluster, waivers, and facts found by other stages; gives findings with owner and remedy, and a
 * verdict with all its failures at once. Pure: the same inputs (the time is one) give the same
 * bytes.
 *
 *   finding.c   inventory × database → findings      remedy.c  what to do, as an exact command
 *   judge.c     findings, facts, checks → verdict    report.c  the terminal table       document.c
 * JSON
 *
 * The gate's rule (DESIGN, "Who owns a vulnerability"): a developer is refused only for what the
 * developer can fix: owner dependency or app. What the platform must fix is named as the platform
 * team's. */
#pragma once
#include "advisory/advisory.h"
#include "sbom/sbom.h"

/* ---- findings ---- */
struct finding {                   /* texts live as long as the findings */
    const struct package *package; /* borrowed: the inventory's */
    const char *advisory;          /* "GHSA-rv95-896h-c2vc" */
    const char *const *aliases;    /* NULL-ended, without `advisory` */
    const char *const *upstream;   /* NULL-ended */
    const char *summary;
    enum severity severity;
    int score_tenths; /* -1: not known */
    const char *vector;
    const char *severity_from;
    int64_t published_s;
    const char *fixed; /* nearest version without this advisory; "" if none */
    const char *safe;  /* nearest version without any known advisory of this package; "" if none */
    enum remedy { REMEDY_NONE, REMEDY_BUMP, REMEDY_REBASE, REMEDY_REMOVE } remedy;
    const char *command; /* exact: "npm install express@4.19.2" */
    const char *advice;  /* one sentence: who does what */
    const struct package *const
        *others; /* further binary packages of the same source; NULL-ended */
};
struct findings; /* opaque; holds a reference to neither: inventory and database outlive it */

NODISCARD int findings_of(const struct inventory *inventory, const struct advisory_db *db,
                          struct findings **ret, struct error *err);
void findings_free(struct findings *findings);
DEFINE_CLEANUP(findings, struct findings *, findings_free)
/* Sorted: developer's first, then severity (highest first), package, advisory. */
const struct finding *findings_items(const struct findings *findings, size_t *ret_count);

/* ---- checks ---- */
enum check_level { CHECK_OFF, CHECK_NOTE, CHECK_WARN, CHECK_HOLD, CHECK_REFUSE };
const char *check_level_name(enum check_level level);
bool check_level_parse(struct str text, enum check_level *ret);

struct check_rule {   /* one row of the platform's matrix, for the cluster in question */
    const char *name; /* "vulnerability-high", "advisory-age-24h", "pod-security-restricted", … */
    enum check_level level;
};
struct check_fact { /* a check that another stage has made: signature, runs-as-two, … */
    const char *name;
    bool holds;
    const char *evidence; /* "container 'web' runs as root" */
    enum owner owner;
    const char *command; /* what to do; "" if nothing to type */
};
struct waiver {
    const char *advisory; /* id or any alias */
    const char *package;  /* its name or purl (without version: all versions), or NULL: any */
    const char *team;     /* that accepted it (owner) */
    const char *reason;
    const char *until; /* YYYY-MM-DD, the last day it holds */
};

struct verdict_input {
    const struct findings *findings;
    const struct check_rule *rules;
    size_t rule_count;
    const struct check_fact *facts; /* facts without a rule of that name are left out */
    size_t fact_count;
    const struct waiver *waivers;
    size_t waiver_count;
    const struct advisory_db *db; /* for its age */
    int64_t now_s;
    const char *cluster;    /* whose checks these are: "build" */
    bool is_developer_gate; /* hold and refuse count for the developer's own only; others become
                               warn */
};
struct failure {            /* one line of a verdict */
    const char *rule;       /* "vulnerability-high" */
    enum check_level level; /* the effective one */
    const char *evidence;   /* "express 4.17.1 has GHSA-… (high 7.5)" */
    enum owner owner;
    const char *team;
    const char *command; /* "" if nothing to type */
    const char
        *waived; /* reason, until and team if a waiver covers it (level is then note); else "" */
    const struct finding *finding; /* NULL for facts */
};
struct verdict; /* borrows from its input's findings */
NODISCARD int verdict_judge(const struct verdict_input *input, struct verdict **ret,
                            struct error *err);
void verdict_free(struct verdict *verdict);
DEFINE_CLEANUP(verdict, struct verdict *, verdict_free)
enum check_level verdict_level(const struct verdict *verdict); /* the highest: REFUSE stops */
const struct failure *verdict_failures(const struct verdict *verdict, size_t *ret_count);

/* ---- documents ---- */
/* The predicate of https://monban.dev/findings/v1:
 * {"image","name","database":{…},"findings":[{"advisory",
 * "aliases","severity","score","package","version","purl","layer","owner","team","fixed","remedy","command"…}],
 * "count":{…}}. Keys in a fixed order, new reference in *ret. */
NODISCARD int findings_to_json(const struct inventory *inventory, const struct advisory_db *db,
                               const struct findings *findings, json_t **ret, struct error *err);
/* {"cluster","level","passed","failures":[{"rule","level","evidence","owner","team","command","waived"}]}
 */
NODISCARD int verdict_to_json(const struct verdict *verdict, json_t **ret, struct error *err);
/* Text for a terminal, grouped by owner, failures first; colour only if asked. */
void verdict_report(const struct findings *findings, const struct verdict *verdict, bool color,
                    struct buf *out);
/* The failures alone, a paragraph each, for a developer who pushed: rule, evidence, owner, command.
 */
void verdict_explain(const struct verdict *verdict, bool color, struct buf *out);

/* Findings of a release that was inventoried earlier: a stored CycloneDX document with our
 * properties against the database of today; neither image nor layers are touched. *ret: as
 * findings_to_json(). */
NODISCARD int verdict_recheck(const json_t *bom, const struct advisory_db *db, json_t **ret,
                              struct error *err);
