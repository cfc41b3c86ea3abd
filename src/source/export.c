/* source/export.c - a commit's tree onto disk. git hands out raw objects only (no attributes,
 * filters or substitutions of a hostile tree take part); every blob is hashed as it is written and
 * must be the one that the commit names. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/proc.h"
#include "source/source_internal.h"

enum {
    READ_SIZE = 256 << 10,
    LINE_MAX_SIZE = 256,
    END_GRACE_MS = 1000,
};

struct reader { /* what git says */
    int fd;
    char *bytes; /* owned; READ_SIZE */
    size_t at, len;
};

struct export
{
    int root_fd;
    int folder_fd;                 /* of folder_path, or -1 */
    char folder[GIT_PATH_MAX + 1]; /* where the last file was written */
    struct reader reader;
    struct object_hash *hash; /* owned */
    uint64_t total;           /* bytes written */
    pid_t git;                /* or 0 */
};

static void export_done(struct export *x)
{
    io_close(&x->folder_fd);
    io_close(&x->root_fd);
    io_close(&x->reader.fd);
    free(x->reader.bytes);
    object_hash_free(x->hash);
    proc_stop(x->git, END_GRACE_MS);
}
DEFINE_CLEANUP_VALUE(export, struct export, export_done)

static int reader_fill(struct reader *r, struct error *err)
{
    ssize_t got;

    do
        got = read(r->fd, r->bytes, READ_SIZE);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return error_errno(err, "reading from git");
    if (got == 0)
        return error_set(err, ERR_INVALID, "git ended early: an object is missing");
    r->at = 0;
    r->len = (size_t)got;
    return 0;
}

static int reader_line(struct reader *r, char out[LINE_MAX_SIZE], struct error *err)
{
    for (size_t len = 0; len < LINE_MAX_SIZE - 1;) {
        if (r->at == r->len && reader_fill(r, err) < 0)
            return -1;
        char ch = r->bytes[r->at++];
        if (ch == '\n') {
            out[len] = '\0';
            return 0;
        }
        out[len++] = ch;
    }
    return error_set(err, ERR_INTERNAL, "git wrote a line that is too long");
}

/* The next 1 to `want` bytes, borrowed. */
static int reader_some(struct reader *r, uint64_t want, struct str *ret, struct error *err)
{
    if (r->at == r->len && reader_fill(r, err) < 0)
        return -1;
    size_t len = r->len - r->at;
    if (len > want)
        len = (size_t)want;
    *ret = str_slice(r->bytes + r->at, len);
    r->at += len;
    return 0;
}

/* The ids of all blobs, a line each, in a file in memory: git reads it while we read git. */
static int ids_file(const struct tree_listing *listing, int *ret_fd, struct error *err)
{
    CLEANUP(fd) int fd = memfd_create("objects", MFD_CLOEXEC);
    CLEANUP(buf) struct buf ids = BUF_INIT((SOURCE_COMMIT_SIZE + 1) * (size_t)SOURCE_FILES_MAX);

    if (fd < 0)
        return error_errno(err, "making a file in memory");
    for (size_t i = 0; i < listing->count; i++) {
        enum tree_kind kind = listing->items[i].kind;
        size_t len = strcspn(listing->items[i].id, "\t");
        if (kind != TREE_FOLDER && kind != TREE_SUBMODULE)
            buf_addf(&ids, "%.*s\n", (int)len, listing->items[i].id);
    }
    if (buf_ok(&ids, err) < 0 || io_write(fd, buf_text(&ids), ids.len, err) < 0)
        return -1;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_errno(err, "rewinding a file in memory");
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int start_git(struct export *x, const char *repository, const struct tree_listing *listing,
                     struct error *err)
{
    CLEANUP(git_command) struct git_command git;
    CLEANUP(fd) int ids = -1;
    struct proc_options options = PROC_OPTIONS_INIT;
    int ends[2];

    git_command_init(&git, repository, "");
    GIT_ARGS(&git, "cat-file", "--batch", "--buffer");
    if (strv_ok(&git.argv, err) < 0 || strv_ok(&git.envp, err) < 0 ||
        ids_file(listing, &ids, err) < 0)
        return -1;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(err, "making a pipe");
    x->reader.fd = ends[0];
    CLEANUP(fd) int write_end = ends[1];
    options.argv = (const char *const *)git.argv.items;
    options.envp = (const char *const *)git.envp.items;
    options.stdin_fd = ids;
    options.stdout_fd = write_end;
    options.die_with_parent = true;
    return proc_start(&options, &x->git, err);
}

/* The folder that holds `path`, opened beneath the root: kept until a file of another folder comes.
 */
static int open_folder_of(struct export *x, const char *path, const char **ret_name,
                          struct error *err)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;

    *ret_name = slash ? slash + 1 : path;
    if (x->folder_fd >= 0 && strlen(x->folder) == len && strncmp(x->folder, path, len) == 0)
        return 0;
    io_close(&x->folder_fd);
    (void)snprintf(x->folder, sizeof(x->folder), "%.*s", (int)len, path);
    return fs_open_beneath(x->root_fd, len ? x->folder : ".", O_RDONLY | O_DIRECTORY, 0,
                           &x->folder_fd, err);
}

/* "ID blob SIZE" */
static int read_head(struct export *x, const struct tree_entry *entry, uint64_t *ret_size,
                     struct error *err)
{
    char line[LINE_MAX_SIZE];

    if (reader_line(&x->reader, line, err) < 0)
        return -1;
    struct str rest = str_of(line);
    struct str id = str_word(&rest), type = str_word(&rest), size = str_word(&rest);
    if (strncmp(entry->id, id.ptr ? id.ptr : "", id.len) != 0 || !git_is_object_id(id) ||
        !str_is(type, "blob") || !str_to_u64(size, ret_size))
        return error_set(err, ERR_INVALID, "git has no file contents for '%s' (%s)", entry->path,
                         line);
    x->total += *ret_size;
    if (*ret_size > SOURCE_BYTES_MAX || x->total > SOURCE_BYTES_MAX)
        return error_set(err, ERR_LIMIT, "the tree is larger than %llu MiB",
                         SOURCE_BYTES_MAX >> 20);
    return 0;
}

/* The contents go to `fd`, or into `text` (of a link). */
static int read_contents(struct export *x, const struct tree_entry *entry, uint64_t size, int fd,
                         struct buf *text, struct error *err)
{
    char found[SOURCE_COMMIT_SIZE], newline[LINE_MAX_SIZE];

    object_hash_begin(x->hash, "blob", size);
    while (size > 0) {
        struct str part;
        if (reader_some(&x->reader, size, &part, err) < 0)
            return -1;
        object_hash_add(x->hash, part.ptr, part.len);
        if (fd >= 0 && io_write(fd, part.ptr, part.len, err) < 0)
            return -1;
        if (text)
            buf_add_str(text, part);
        size -= part.len;
    }
    object_hash_end(x->hash, found);
    if (strncmp(found, entry->id, strlen(found)) != 0)
        return error_set(err, ERR_UNTRUSTED, "'%s' has id %s, its commit says %.*s", entry->path,
                         found, (int)strlen(found), entry->id);
    return reader_line(&x->reader, newline, err); /* git ends an object with one */
}

static int write_file(struct export *x, const struct tree_entry *entry, int64_t time_s,
                      struct error *err)
{
    CLEANUP(fd) int fd = -1;
    mode_t mode = entry->kind == TREE_PROGRAM ? 0755 : 0644;
    const struct timespec times[2] = {{.tv_sec = time_s}, {.tv_sec = time_s}};
    const char *name;
    uint64_t size = 0;

    if (read_head(x, entry, &size, err) < 0 || open_folder_of(x, entry->path, &name, err) < 0)
        return -1;
    fd = openat(x->folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return error_errno(err, "writing '%s'", entry->path);
    if (read_contents(x, entry, size, fd, NULL, err) < 0)
        return -1;
    if (fchmod(fd, mode) < 0 || futimens(fd, times) < 0)
        return error_errno(err, "writing '%s'", entry->path);
    return 0;
}

static int write_link(struct export *x, const struct tree_entry *entry, int64_t time_s,
                      struct error *err)
{
    CLEANUP(buf) struct buf target = BUF_INIT(GIT_PATH_MAX);
    const struct timespec times[2] = {{.tv_sec = time_s}, {.tv_sec = time_s}};
    const char *name;
    uint64_t size = 0;

    if (read_head(x, entry, &size, err) < 0 || open_folder_of(x, entry->path, &name, err) < 0 ||
        read_contents(x, entry, size, -1, &target, err) < 0 || buf_ok(&target, err) < 0)
        return -1;
    if (target.len == 0 || strlen(buf_text(&target)) != target.len)
        return error_set(err, ERR_INVALID, "the link '%s' has no fit target", entry->path);
    if (symlinkat(buf_text(&target), x->folder_fd, name) < 0 ||
        utimensat(x->folder_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "writing '%s'", entry->path);
    return 0;
}

static int make_folder(struct export *x, const struct tree_entry *entry, struct error *err)
{
    const char *name;

    if (open_folder_of(x, entry->path, &name, err) < 0)
        return -1;
    if (mkdirat(x->folder_fd, name, 0755) < 0 || fchmodat(x->folder_fd, name, 0755, 0) < 0)
        return error_errno(err, "making folder '%s'", entry->path);
    return 0;
}

static int write_entries(struct export *x, const struct tree_listing *listing, int64_t time_s,
                         struct error *err)
{
    for (size_t i = 0; i < listing->count; i++) {
        const struct tree_entry *entry = &listing->items[i];
        int result = 0;
        switch (entry->kind) {
        case TREE_FOLDER:
        case TREE_SUBMODULE:
            result = make_folder(x, entry, err);
            break;
        case TREE_FILE:
        case TREE_PROGRAM:
            result = write_file(x, entry, time_s, err);
            break;
        case TREE_LINK:
            result = write_link(x, entry, time_s, err);
            break;
        }
        if (result < 0)
            return -1;
    }
    return 0;
}

/* Folders last and from the deepest: writing into one changes its time. */
static int set_folder_times(struct export *x, const struct tree_listing *listing, int64_t time_s,
                            struct error *err)
{
    const struct timespec times[2] = {{.tv_sec = time_s}, {.tv_sec = time_s}};

    for (size_t i = listing->count; i-- > 0;) {
        const struct tree_entry *entry = &listing->items[i];
        if (entry->kind != TREE_FOLDER && entry->kind != TREE_SUBMODULE)
            continue;
        if (utimensat(x->root_fd, entry->path, times, AT_SYMLINK_NOFOLLOW) < 0)
            return error_errno(err, "setting the time of '%s'", entry->path);
    }
    if (futimens(x->root_fd, times) < 0)
        return error_errno(err, "setting the time of the source folder");
    return 0;
}

static int open_root(struct export *x, const char *dir, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;

    if (fs_make_dirs(AT_FDCWD, dir, 0755, err) < 0 || fs_list(AT_FDCWD, dir, &names, err) < 0)
        return -1;
    if (names.count > 0)
        return error_set(err, ERR_CONFLICT, "folder '%s' is not empty", dir);
    return fs_open_dir(AT_FDCWD, dir, &x->root_fd, err);
}

static int export_tree(struct export *x, const char *repository, const struct source_commit *commit,
                       struct error *err)
{
    CLEANUP(tree_listing) struct tree_listing listing = {0};

    if (tree_list(repository, commit->id, &listing, err) < 0 ||
        tree_verify(&listing, commit->tree, err) < 0 ||
        object_hash_new(strlen(commit->id), &x->hash, err) < 0 ||
        start_git(x, repository, &listing, err) < 0)
        return -1;
    if (write_entries(x, &listing, commit->time_s, err) < 0 ||
        set_folder_times(x, &listing, commit->time_s, err) < 0)
        return -1;
    io_close(&x->reader.fd); /* git has said all: it ends, and export_done() reaps it */
    return 0;
}

int source_export(const char *repository, const char *commit, const char *dir, struct error *err)
{
    CLEANUP(export)
    struct export x = {.root_fd = -1, .folder_fd = -1, .reader = {.fd = -1}};
    struct source_commit about;

    if (source_describe(repository, commit, &about, err) < 0)
        return -1;
    x.reader.bytes = malloc(READ_SIZE);
    if (!x.reader.bytes)
        return error_no_memory(err);
    if (open_root(&x, dir, err) < 0 || export_tree(&x, repository, &about, err) < 0)
        return error_wrap(err, "exporting commit %.12s", commit);
    return 0;
}
