/* source/source.h - a git repository and a ref → a source tree on disk, with its commit id.
 *
 * git itself does the work (base/proc.h), with a private configuration: no hooks, no filters, no
 * user or system configuration, protocols by allow-list, no prompts. All calls block; the gate
 * makes them from worker processes. Repositories and trees are hostile: names are checked, sizes
 * limited, and the exported tree's git tree id is computed again from the files, so what is built
 * is what was committed. */
#pragma once
#include "base/digest.h"
#include "base/error.h"

enum {
    SOURCE_COMMIT_SIZE = 65, /* 40 (sha1) or 64 (sha256) hex digits and the terminator */
    SOURCE_FILES_MAX = 200000,
    SOURCE_FETCH_TIMEOUT_MS = 120000,
};
#define SOURCE_BYTES_MAX (2ULL << 30) /* of an exported tree */

/* A bare repository at `path`, whose pre-receive hook (a refusal refuses the push) runs `program
 * --home HOME plumbing push-hook APP`, for each line of its input. Made again over an existing one
 * it only renews the hook. */
NODISCARD int source_create_repository(const char *path, const char *app, const char *program,
                                       const char *home, struct error *err);

/* "main", "refs/tags/v1", a commit id. NOT_FOUND; INVALID for what is no commit or no fit name. */
NODISCARD int source_resolve(const char *repository, const char *ref, char ret[SOURCE_COMMIT_SIZE],
                             struct error *err);
struct source_commit {
    char id[SOURCE_COMMIT_SIZE];
    char tree[SOURCE_COMMIT_SIZE];
    char author[128];
    char subject[256];
    int64_t time_s; /* committer date: the SOURCE_DATE_EPOCH of the build */
};
NODISCARD int source_describe(const char *repository, const char *commit, struct source_commit *ret,
                              struct error *err);

/* Write the tree of `commit` into the empty folder `dir` (made if missing): files 0644 or 0755,
 * links as they are (they may dangle or point anywhere: open beneath), no .git, submodules as empty
 * folders; times = commit. LIMIT above SOURCE_FILES_MAX or SOURCE_BYTES_MAX; UNTRUSTED if git
 * handed out something else. */
NODISCARD int source_export(const char *repository, const char *commit, const char *dir,
                            struct error *err);

/* Fetch `branch` of a remote into the bare repository (created if missing, without hook).
 * *ret_changed: the branch moved. https, ssh, git and file URLs only. UNAVAILABLE if it cannot be
 * reached. */
NODISCARD int source_fetch(const char *repository, const char *url, const char *branch,
                           char ret_commit[SOURCE_COMMIT_SIZE], bool *ret_changed,
                           struct error *err);

/* A digest over names, modes, links and contents of a folder, for trees that no commit names
 * (`monban build DIR`). .git is left out. */
NODISCARD int source_tree_digest(const char *dir, struct digest *ret, struct error *err);

bool source_name_is_fit(const char *app); /* a DNS label: what an app may be called */
