/* sbom/layer.h - what one layer says about packages, read once as a stream.
 *
 * A layer's facts depend on its bytes alone, not on the layers below, so they are kept by diff id:
 * when only the app layer changes, the others cost nothing. inventory.c lays them over each other.
 * Limits refuse with LIMIT; a single broken piece of evidence becomes a fault instead. */
#pragma once
#include "base/digest.h"
#include "sbom/texts.h"
#include "wire/json.h"

enum {
    LAYER_ENTRIES_LIMIT = 2000000,     /* a monorepo's node_modules has 300,000 */
    LAYER_PATH_LIMIT = 4096,           /* bytes: PATH_MAX */
    LAYER_EVIDENCE_LIMIT = 200000,     /* files with package facts */
    LAYER_TEXT_LIMIT = 256 << 20,      /* bytes of all facts of a layer */
    EVIDENCE_FILE_LIMIT = 64 << 20,    /* bytes of one lock file or dpkg status */
    EVIDENCE_MANIFEST_LIMIT = 4 << 20, /* bytes of one package.json */
};
#define LAYER_BYTES_LIMIT ((uint64_t)64 << 30) /* uncompressed: stops a bomb */

enum evidence_kind {
    EVIDENCE_NONE,
    EVIDENCE_OS_RELEASE,   /* one fact: name=ID, version=VERSION_ID, source_name=VERSION_CODENAME */
    EVIDENCE_DPKG,         /* var/lib/dpkg/status: many facts */
    EVIDENCE_DPKG_ONE,     /* var/lib/dpkg/status.d/NAME */
    EVIDENCE_NPM_PACKAGE,  /* node_modules/NAME/package.json: one fact */
    EVIDENCE_NPM_MANIFEST, /* package.json of an app: one fact */
    EVIDENCE_NPM_LOCK,     /* package-lock.json: many, the first is the app ("location" "") */
    EVIDENCE_NODE,         /* Node itself: one fact */
};
enum { EVIDENCE_KINDS = EVIDENCE_NODE + 1 };

struct fact_need { /* "asks for NAME in RANGE" */
    const char *name;
    const char *range;
};
struct fact { /* texts are borrowed from the facts' pool, none is NULL */
    const char *name, *version;
    const char *source_name, *source_version; /* "" unless the evidence says so */
    const char *architecture;
    const char *location; /* lock files: "node_modules/a"; else "" */
    const struct fact_need *needs;
    size_t need_count;
    bool is_dev;
};
struct evidence {
    enum evidence_kind kind;
    const char *path; /* in the image, without leading slash */
    const struct fact *facts;
    size_t fact_count;
    const char *fault; /* NULL, or why it could not be used */
};

struct layer_facts {
    struct texts texts;
    struct evidence *items; /* owned; sorted by path */
    size_t count, capacity;
    struct strv whiteouts; /* paths that disappear, with all below; sorted */
    struct strv opaques;   /* folders whose lower content disappears; sorted, "" is the root */
    /* Hashes (facts_hash) of the paths of all that is no folder, sorted: such a path hides lower
     * folders. */
    uint64_t *solid; /* owned */
    size_t solid_count, solid_capacity;
    uint64_t bytes;
};
#define LAYER_FACTS_INIT                                                                           \
    {                                                                                              \
        .texts = TEXTS_INIT(LAYER_TEXT_LIMIT)                                                      \
    }
void layer_facts_done(struct layer_facts *facts);
DEFINE_CLEANUP_VALUE(layer_facts, struct layer_facts, layer_facts_done)

/* Reads the layer from a descriptor (tar, plain or compressed with gzip, zstd, xz or bzip2).
 * UNTRUSTED if the uncompressed bytes are not `diff_id` (text "": not compared). INVALID if it is
 * no tar archive. */
NODISCARD int layer_facts_read(int fd, const struct digest *diff_id, struct layer_facts *ret,
                               struct error *err);

/* Which evidence a file is, by its path in the image and size. Gives the most bytes to read of it.
 */
enum evidence_kind evidence_kind_of(struct str path, uint64_t size, size_t *ret_limit);
/* Parse one file into facts; broken ones get a fault. Fails with NO_MEMORY and LIMIT only. */
NODISCARD int layer_facts_add(struct layer_facts *facts, enum evidence_kind kind, struct str path,
                              struct str text, struct error *err);
NODISCARD int layer_facts_add_fault(struct layer_facts *facts, enum evidence_kind kind,
                                    struct str path, const char *fault, struct error *err);
void layer_facts_sort(struct layer_facts *facts);
uint64_t facts_hash(struct str path); /* FNV-1a, 64 bits */

/* Kept form: FORMAT says which parser rules made it, so that better rules do not meet old facts. */
enum { LAYER_FACTS_FORMAT = 1 };
NODISCARD int layer_facts_to_json(const struct layer_facts *facts, json_t **ret, struct error *err);
/* INVALID if it was written by other rules or is broken: the caller then reads the layer again. */
NODISCARD int layer_facts_from_json(const json_t *root, struct layer_facts *ret, struct error *err);
