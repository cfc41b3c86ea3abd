/* sbom/evidence.h - the parsers of evidence: one file's bytes in, facts out.
 *
 * Each appends to a growing list and fails with INVALID (what is wrong with the file), NO_MEMORY or
 * LIMIT. What a package's record lacks (a version) leaves that package out, not the file. */
#pragma once
#include "sbom/layer.h"

struct fact_list {
    struct fact *items; /* owned */
    size_t count, capacity;
};
#define FACT_LIST_INIT                                                                             \
    {                                                                                              \
        0                                                                                          \
    }
NODISCARD int fact_list_add(struct fact_list *list, const struct fact *fact, struct error *err);
void fact_list_done(struct fact_list *list);
DEFINE_CLEANUP_VALUE(fact_list, struct fact_list, fact_list_done)

enum { FACTS_PER_FILE_LIMIT = 200000 };

/* dpkg's status file (deb-control(5) stanzas). `needs_status`: only stanzas whose Status says
 * "installed"; else (status.d of distroless images) all. */
NODISCARD int dpkg_parse(struct str text, bool needs_status, struct texts *texts,
                         struct fact_list *out, struct error *err);
/* os-release(5). One fact. */
NODISCARD int osrelease_parse(struct str text, struct texts *texts, struct fact_list *out,
                              struct error *err);
/* package.json: one fact. An app's may lack name and version. */
NODISCARD int npm_parse_manifest(struct str text, bool is_app, struct texts *texts,
                                 struct fact_list *out, struct error *err);
/* package-lock.json, npm-shrinkwrap.json; lockfileVersion 1, 2, 3. The first fact is the app. */
NODISCARD int npm_parse_lock(struct str text, struct texts *texts, struct fact_list *out,
                             struct error *err);
/* Node's node_version.h, or the text "https://nodejs.org/download/release/vX.Y.Z/" of the binary.
 */
NODISCARD int node_parse_version(struct str text, struct texts *texts, struct fact_list *out,
                                 struct error *err);
