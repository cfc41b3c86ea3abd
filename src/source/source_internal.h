/* source/source_internal.h - how this folder calls git. */
#pragma once
#include "base/buf.h"
#include "source/source.h"

enum { GIT_TIMEOUT_MS = 60000, GIT_PATH_MAX = 4096, GIT_DEPTH_MAX = 128 };

/* argv and envp of a git command on a bare repository: no hooks, no prompts, no configuration but
 * the repository's own, no protocol but those in `protocols` ("" for none; "https:ssh" in git's
 * GIT_ALLOW_PROTOCOL form). */
struct git_command {
    struct strv argv, envp;
};
void git_command_init(struct git_command *git, const char *repository, const char *protocols);
void git_command_done(struct git_command *git);
DEFINE_CLEANUP_VALUE(git_command, struct git_command, git_command_done)

/* Runs it to its end; out may be NULL. *ret_exit NULL: a non-zero exit is an error. */
NODISCARD int git_run(struct git_command *git, struct buf *out, int timeout_ms, int *ret_exit,
                      struct error *err);
/* git's arguments after the common ones. */
#define GIT_ARGS(git, ...) git_add_args((git), (const char *const[]){__VA_ARGS__, NULL})
void git_add_args(struct git_command *git, const char *const *args);

bool git_is_object_id(struct str text); /* 40 or 64 lower-case hex digits */

/* The objects of one tree, in depth-first order, as `git ls-tree -r -t -z` lists them. */
enum tree_kind { TREE_FOLDER, TREE_FILE, TREE_PROGRAM, TREE_LINK, TREE_SUBMODULE };
struct tree_entry {
    enum tree_kind kind;
    const char *id;   /* borrowed: the listing */
    const char *path; /* borrowed: the listing; relative, checked */
};
struct tree_listing {
    struct buf text;          /* what git said */
    struct tree_entry *items; /* owned */
    size_t count;
};
void tree_listing_done(struct tree_listing *listing);
DEFINE_CLEANUP_VALUE(tree_listing, struct tree_listing, tree_listing_done)
NODISCARD int tree_list(const char *repository, const char *commit, struct tree_listing *ret,
                        struct error *err);
/* The entries of listing->text, of which git's id lengths are `id_len`. */
NODISCARD int tree_parse(struct tree_listing *listing, size_t id_len, struct error *err);
/* Computes the ids of all folders again from their entries. UNTRUSTED names the one that differs.
 */
NODISCARD int tree_verify(const struct tree_listing *listing, const char *root_id,
                          struct error *err);

/* A running hash of a git object: sha1 or sha256, by the length of its id. */
struct object_hash;
NODISCARD int object_hash_new(size_t id_len, struct object_hash **ret, struct error *err);
void object_hash_begin(struct object_hash *hash, const char *type, uint64_t size);
void object_hash_add(struct object_hash *hash, const void *bytes, size_t len);
/* Lower-case hex. */
void object_hash_end(struct object_hash *hash, char out[SOURCE_COMMIT_SIZE]);
void object_hash_free(struct object_hash *hash);
DEFINE_CLEANUP(object_hash, struct object_hash *, object_hash_free)

/* Tree, time, author and subject of a commit object's text. */
NODISCARD int commit_parse(struct str text, struct source_commit *ret, struct error *err);
