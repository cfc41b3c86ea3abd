/* source/tree.c - the entries of a commit's tree: listed by git, checked by us. The ids of all
 * folders are computed again, so that the names, modes and blob ids which are written to disk are
 * those that the commit names. */
#include <ctype.h>
#include <openssl/evp.h>
#include <strings.h>

#include "base/encode.h"
#include "source/source_internal.h"

enum {
    LISTING_MAX = 128 << 20, /* bytes: SOURCE_FILES_MAX entries of long paths */
};

struct object_hash {
    EVP_MD_CTX *ctx; /* owned */
    const EVP_MD *type;
};

int object_hash_new(size_t id_len, struct object_hash **ret, struct error *err)
{
    CLEANUP(object_hash) struct object_hash *hash = calloc(1, sizeof(*hash));

    if (!hash)
        return error_no_memory(err);
    hash->type = id_len == 64 ? EVP_sha256() : EVP_sha1();
    hash->ctx = EVP_MD_CTX_new();
    if (!hash->ctx)
        return error_no_memory(err);
    *ret = TAKE(hash);
    return 0;
}

void object_hash_free(struct object_hash *hash)
{
    if (!hash)
        return;
    EVP_MD_CTX_free(hash->ctx);
    free(hash);
}

void object_hash_begin(struct object_hash *hash, const char *type, uint64_t size)
{
    char head[64];
    int len = snprintf(head, sizeof(head), "%s %llu", type, (unsigned long long)size);

    (void)EVP_DigestInit_ex(hash->ctx, hash->type, NULL); /* cannot fail with a built-in digest */
    object_hash_add(hash, head, (size_t)len + 1);         /* with its terminator */
}

void object_hash_add(struct object_hash *hash, const void *bytes, size_t len)
{
    (void)EVP_DigestUpdate(hash->ctx, bytes, len); /* as above */
}

void object_hash_end(struct object_hash *hash, char out[SOURCE_COMMIT_SIZE])
{
    uint8_t bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    CLEANUP(buf) struct buf hex = BUF_INIT(2 * EVP_MAX_MD_SIZE + 1);

    (void)EVP_DigestFinal_ex(hash->ctx, bytes, &len); /* as above */
    hex_encode(str_slice((char *)bytes, len), &hex);
    (void)snprintf(out, SOURCE_COMMIT_SIZE, "%s", buf_text(&hex));
}

/* A part of a path that may be written to disk. ".git" in any case is refused, as git itself does.
 */
static bool is_fit_part(struct str part)
{
    return part.len > 0 && part.len <= 255 && !str_is(part, ".") && !str_is(part, "..") &&
           !(part.len == 4 && strncasecmp(part.ptr, ".git", 4) == 0);
}

static bool is_fit_path(const char *path)
{
    struct str rest = str_of(path);
    size_t depth = 0;

    if (rest.len == 0 || rest.len > GIT_PATH_MAX)
        return false;
    while (rest.ptr) {
        if (!is_fit_part(str_cut(&rest, '/')) || ++depth > GIT_DEPTH_MAX)
            return false;
    }
    return true;
}

static bool kind_of_mode(struct str mode, enum tree_kind *ret)
{
    static const struct {
        const char *mode;
        enum tree_kind kind;
    } kinds[] = {
        {"040000", TREE_FOLDER}, {"100644", TREE_FILE},      {"100755", TREE_PROGRAM},
        {"120000", TREE_LINK},   {"160000", TREE_SUBMODULE},
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (str_is(mode, kinds[i].mode)) {
            *ret = kinds[i].kind;
            return true;
        }
    }
    return false;
}

/* "100644 blob ID<tab>PATH" */
static int parse_entry(char *text, size_t id_len, struct tree_entry *ret, struct error *err)
{
    char *tab = strchr(text, '\t');
    struct str rest = str_slice(text, tab ? (size_t)(tab - text) : 0);
    struct str mode = str_word(&rest), type = str_word(&rest), id = str_word(&rest);

    if (!tab || !git_is_object_id(id) || id.len != id_len || !kind_of_mode(mode, &ret->kind))
        return error_set(err, ERR_INVALID, "the tree holds an entry of mode '%.*s' (%.*s)",
                         STR_ARG(mode), STR_ARG(type));
    *tab = '\0'; /* ends the id */
    ret->id = id.ptr;
    ret->path = tab + 1;
    if (!is_fit_path(ret->path))
        return error_set(err, ERR_INVALID, "the tree holds a path that cannot be written: '%s'",
                         ret->path);
    return 0;
}

int tree_parse(struct tree_listing *listing, size_t id_len, struct error *err)
{
    size_t count = 0;
    char *at = listing->text.ptr, *end = at + listing->text.len;

    for (size_t i = 0; i < listing->text.len; i++)
        count += listing->text.ptr[i] == '\0';
    if (count > SOURCE_FILES_MAX)
        return error_set(err, ERR_LIMIT, "the tree has %zu entries; at most %d are taken", count,
                         SOURCE_FILES_MAX);
    listing->items = calloc(count ? count : 1, sizeof(*listing->items));
    if (!listing->items)
        return error_no_memory(err);
    while (at < end && listing->count < count) {
        char *next = at + strlen(at) + 1;
        if (parse_entry(at, id_len, &listing->items[listing->count], err) < 0)
            return -1;
        listing->count++;
        at = next;
    }
    return 0;
}

int tree_list(const char *repository, const char *commit, struct tree_listing *ret,
              struct error *err)
{
    CLEANUP(git_command) struct git_command git;
    CLEANUP(tree_listing) struct tree_listing listing = {.text = BUF_INIT(LISTING_MAX)};

    git_command_init(&git, repository, "");
    GIT_ARGS(&git, "ls-tree", "-r", "-t", "-z", "--full-tree", commit);
    if (git_run(&git, &listing.text, GIT_TIMEOUT_MS, NULL, err) < 0)
        return error_wrap(err, "listing the tree of %s", commit);
    if (tree_parse(&listing, strlen(commit), err) < 0)
        return -1;
    *ret = listing;
    listing = (struct tree_listing){0};
    return 0;
}

void tree_listing_done(struct tree_listing *listing)
{
    free(listing->items);
    buf_done(&listing->text);
    listing->items = NULL;
    listing->count = 0;
}

struct verifier {
    const struct tree_listing *listing;
    struct object_hash *hash;
    size_t at; /* next entry */
    size_t id_len;
};

static const char *mode_in_tree(enum tree_kind kind)
{
    static const char *const modes[] = {"40000", "100644", "100755", "120000", "160000"};

    return modes[kind];
}

static void add_entry(struct buf *body, const struct tree_entry *entry, size_t prefix_len,
                      size_t id_len)
{
    buf_addf(body, "%s %s", mode_in_tree(entry->kind), entry->path + prefix_len);
    buf_add_char(body, '\0');
    (void)hex_decode(str_slice(entry->id, id_len), body); /* parse_entry() saw that it is hex */
}

/* The entries below `prefix` ("" or "a/b/"), from verifier.at on; their tree object must have the
 * id `want`. */
static int verify_folder(struct verifier *v, struct str prefix, const char *want, struct error *err)
{
    CLEANUP(buf) struct buf body = BUF_INIT(LISTING_MAX);
    char found[SOURCE_COMMIT_SIZE];

    while (v->at < v->listing->count) {
        const struct tree_entry *entry = &v->listing->items[v->at];
        if (!str_starts(str_of(entry->path), prefix))
            break;
        if (strchr(entry->path + prefix.len, '/'))
            return error_set(err, ERR_UNTRUSTED, "'%s' comes without its folder", entry->path);
        v->at++;
        add_entry(&body, entry, prefix.len, v->id_len);
        if (entry->kind != TREE_FOLDER)
            continue;
        CLEANUP(text) char *below = str_format("%s/", entry->path);
        if (!below)
            return error_no_memory(err);
        if (verify_folder(v, str_of(below), entry->id, err) < 0)
            return -1;
    }
    if (buf_ok(&body, err) < 0)
        return -1;
    object_hash_begin(v->hash, "tree", body.len);
    object_hash_add(v->hash, buf_text(&body), body.len);
    object_hash_end(v->hash, found);
    if (strncmp(found, want, v->id_len) != 0)
        return error_set(err, ERR_UNTRUSTED, "folder '%.*s' has id %s, its commit says %.*s",
                         STR_ARG(prefix), found, (int)v->id_len, want);
    return 0;
}

int tree_verify(const struct tree_listing *listing, const char *root_id, struct error *err)
{
    CLEANUP(object_hash) struct object_hash *hash = NULL;
    struct verifier v = {.listing = listing, .id_len = strlen(root_id)};

    if (object_hash_new(v.id_len, &hash, err) < 0)
        return -1;
    v.hash = hash;
    if (verify_folder(&v, STR(""), root_id, err) < 0)
        return error_wrap(err, "checking the tree that git listed");
    return 0;
}
