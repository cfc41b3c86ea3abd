/* build/tree.c - see tree.h. */
#include "build/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

struct walk {
    tree_skip_fn *skip;
    uint32_t uid, gid;   /* of a copy */
    struct sha256 *hash; /* of a digest */
    size_t entries;
    char path[PATH_MAX]; /* of the entry at hand, relative to the top */
};

bool tree_skip_source(const char *path, const char *name)
{
    (void)path;
    return strcmp(name, ".git") == 0 || strcmp(name, "node_modules") == 0;
}

/* The path grows by "/name"; gives the length to cut it back to, or -1. */
static ptrdiff_t path_push(struct walk *w, const char *name, struct error *err)
{
    size_t len = strlen(w->path), more = strlen(name);

    if (len + more + 2 > sizeof(w->path))
        return error_set(err, ERR_LIMIT, "'%s/%s' is too long a path", w->path, name);
    if (len)
        w->path[len] = '/';
    memcpy(w->path + len + (len ? 1 : 0), name, more + 1);
    return (ptrdiff_t)len;
}

static int count(struct walk *w, unsigned depth, struct error *err)
{
    if (depth > TREE_DEPTH_MAX)
        return error_set(err, ERR_LIMIT, "'%s': more than %d folders deep", w->path,
                         TREE_DEPTH_MAX);
    if (++w->entries > TREE_ENTRIES_MAX)
        return error_set(err, ERR_LIMIT, "more than %d files", TREE_ENTRIES_MAX);
    return 0;
}

static int open_child_dir(int fd, const char *name, int *ret, struct error *err)
{
    *ret = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret < 0 ? error_errno(err, "opening '%s'", name) : 0;
}

static int open_child_file(int fd, const char *name, int *ret, struct error *err)
{
    *ret = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return *ret < 0 ? error_errno(err, "opening '%s'", name) : 0;
}

static int read_link(int fd, const char *name, char target[PATH_MAX], struct error *err)
{
    ssize_t len = readlinkat(fd, name, target, PATH_MAX - 1);

    if (len < 0)
        return error_errno(err, "reading the link '%s'", name);
    target[len] = 0;
    return 0;
}

/* --- digest --- */

static int hash_dir(struct walk *w, int fd, unsigned depth, struct error *err);

static int hash_file(struct walk *w, int dir, const char *name, const struct stat *st,
                     struct error *err)
{
    char room[64 << 10], head[64];
    CLEANUP(fd) int fd = -1;
    size_t got;

    if (open_child_file(dir, name, &fd, err) < 0)
        return -1;
    int len =
        snprintf(head, sizeof(head), "f%d %lld", (st->st_mode & 0111) != 0, (long long)st->st_size);
    sha256_add(w->hash, head, (size_t)len + 1);
    do {
        if (io_read(fd, room, sizeof(room), &got, err) < 0)
            return -1;
        sha256_add(w->hash, room, got);
    } while (got == sizeof(room));
    return 0;
}

static int hash_entry(struct walk *w, int dir, const char *name, unsigned depth, struct error *err)
{
    char target[PATH_MAX];
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "reading '%s'", w->path);
    sha256_add(w->hash, w->path, strlen(w->path) + 1);
    if (S_ISREG(st.st_mode))
        return hash_file(w, dir, name, &st, err);
    if (S_ISLNK(st.st_mode)) {
        if (read_link(dir, name, target, err) < 0)
            return -1;
        sha256_add(w->hash, "l", 1);
        sha256_add(w->hash, target, strlen(target) + 1);
        return 0;
    }
    if (!S_ISDIR(st.st_mode))
        return 0;
    CLEANUP(fd) int fd = -1;
    sha256_add(w->hash, "d", 1);
    if (open_child_dir(dir, name, &fd, err) < 0)
        return -1;
    return hash_dir(w, fd, depth + 1, err);
}

static int hash_dir(struct walk *w, int fd, unsigned depth, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;

    if (fs_list(fd, ".", &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        ptrdiff_t back = path_push(w, names.items[i], err);
        if (back < 0 || count(w, depth, err) < 0)
            return -1;
        if (!w->skip || !w->skip(w->path, names.items[i])) {
            if (hash_entry(w, fd, names.items[i], depth, err) < 0)
                return -1;
        }
        w->path[back] = 0;
    }
    return 0;
}

int tree_digest(const char *dir, tree_skip_fn *skip, struct digest *ret, struct error *err)
{
    CLEANUP(sha256) struct sha256 *hash = sha256_new();
    CLEANUP(fd) int fd = -1;
    struct walk w = {.skip = skip, .hash = hash};

    if (!hash)
        return error_no_memory(err);
    if (fs_open_dir(AT_FDCWD, dir, &fd, err) < 0 || hash_dir(&w, fd, 0, err) < 0)
        return error_wrap(err, "reading '%s'", dir);
    *ret = sha256_end_digest(hash);
    return 0;
}

/* --- copy --- */

static int copy_dir(struct walk *w, int from, int to, unsigned depth, struct error *err);

static int copy_bytes(int from, int to, const char *path, struct error *err)
{
    for (;;) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, 1 << 30, 0);
        if (n == 0)
            return 0;
        if (n > 0)
            continue;
        if (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)
            return io_copy(from, to, NULL, err);
        return error_errno(err, "copying '%s'", path);
    }
}

static int copy_file(struct walk *w, int from_dir, int to_dir, const char *name,
                     const struct stat *st, struct error *err)
{
    CLEANUP(fd) int from = -1;
    CLEANUP(fd) int to = -1;

    if (open_child_file(from_dir, name, &from, err) < 0)
        return -1;
    to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                st->st_mode & 0111 ? 0755 : 0644);
    if (to < 0)
        return error_errno(err, "making '%s'", w->path);
    if (fchown(to, w->uid, w->gid) < 0)
        return error_errno(err, "giving '%s' its owner", w->path);
    return copy_bytes(from, to, w->path, err);
}

static int copy_link(struct walk *w, int from, int to, const char *name, struct error *err)
{
    char target[PATH_MAX];

    if (read_link(from, name, target, err) < 0)
        return -1;
    if (symlinkat(target, to, name) < 0 ||
        fchownat(to, name, w->uid, w->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "linking '%s'", w->path);
    return 0;
}

static int copy_entry(struct walk *w, int from, int to, const char *name, unsigned depth,
                      struct error *err)
{
    struct stat st;

    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "reading '%s'", w->path);
    if (S_ISREG(st.st_mode))
        return copy_file(w, from, to, name, &st, err);
    if (S_ISLNK(st.st_mode))
        return copy_link(w, from, to, name, err);
    if (!S_ISDIR(st.st_mode))
        return 0;
    CLEANUP(fd) int child_from = -1;
    CLEANUP(fd) int child_to = -1;
    if (mkdirat(to, name, 0755) < 0 && errno != EEXIST)
        return error_errno(err, "making '%s'", w->path);
    if (open_child_dir(from, name, &child_from, err) < 0 ||
        open_child_dir(to, name, &child_to, err) < 0)
        return -1;
    if (fchown(child_to, w->uid, w->gid) < 0)
        return error_errno(err, "giving '%s' its owner", w->path);
    return copy_dir(w, child_from, child_to, depth + 1, err);
}

static int copy_dir(struct walk *w, int from, int to, unsigned depth, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;

    if (fs_list(from, ".", &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        ptrdiff_t back = path_push(w, names.items[i], err);
        if (back < 0 || count(w, depth, err) < 0)
            return -1;
        if (!w->skip || !w->skip(w->path, names.items[i])) {
            if (copy_entry(w, from, to, names.items[i], depth, err) < 0)
                return -1;
        }
        w->path[back] = 0;
    }
    return 0;
}

int tree_copy(int from_fd, int to_fd, uint32_t uid, uint32_t gid, tree_skip_fn *skip,
              struct error *err)
{
    struct walk w = {.skip = skip, .uid = uid, .gid = gid};

    return copy_dir(&w, from_fd, to_fd, 0, err);
}

int tree_read_file(int dir_fd, const char *path, struct buf *out, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    struct stat st;

    if (fs_open_beneath(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &fd, err) < 0)
        return -1;
    if (fstat(fd, &st) < 0)
        return error_errno(err, "reading '%s'", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERR_INVALID, "'%s' is no regular file", path);
    return io_read_all(fd, out, err);
}
