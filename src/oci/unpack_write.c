/* oci/unpack_write.c - entries of a hostile tar onto disk, beneath one folder; see unpack.h.
 *
 * Every parent is resolved by openat2(RESOLVE_IN_ROOT), so links lead nowhere but inside; the last
 * component is never followed. Attributes other than owner, mode and time (xattrs, flags) are not
 * taken over: an archive could forge trusted.overlay.* with them. Source: image-spec layer.md,
 * "Applying Changesets". */
#include "oci/unpack_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"
#define OPAQUE_XATTR    "trusted.overlay.opaque"

struct target {
    struct unpack_reader *reader;
    int root_fd; /* borrowed */
    int flags;   /* enum unpack_flags */
    uint64_t bytes_left, entries_left;
    char parent[PATH_MAX]; /* of parent_fd */
    int parent_fd;         /* owned; -1: none open */
};

static int open_in_root(int root_fd, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, root_fd, path[0] ? path : ".", &how, sizeof(how));
}

/* Makes the folders of `path` that are missing, 0755. */
static int make_parents(struct target *t, const char *path, struct error *err)
{
    CLEANUP(fd) int at = open_in_root(t->root_fd, "", O_PATH | O_DIRECTORY);
    char prefix[PATH_MAX];

    for (const char *end = path; at >= 0 && *end;) {
        const char *name = *end == '/' ? end + 1 : end;
        end = strchrnul(name, '/');
        snprintf(prefix, sizeof(prefix), "%.*s", (int)(end - path), path);
        int next = open_in_root(t->root_fd, prefix, O_PATH | O_DIRECTORY);
        if (next < 0 && errno == ENOENT) {
            const char *base = strrchr(prefix, '/');
            if (mkdirat(at, base ? base + 1 : prefix, 0755) < 0)
                return error_errno(err, "cannot make folder '%s'", prefix);
            next = open_in_root(t->root_fd, prefix, O_PATH | O_DIRECTORY);
        }
        int why = errno;
        io_close(&at);
        at = next;
        errno = why;
    }
    if (at < 0)
        return errno == ENOTDIR
                   ? error_set(err, ERR_INVALID, "'%s' is below what is no folder", path)
                   : error_errno(err, "cannot open folder '%s'", path);
    t->parent_fd = TAKE_FD(at);
    return 0;
}

/* Opens the folder that holds `path`; *ret_name borrows from path. */
static int go_to_parent(struct target *t, const char *path, const char **ret_name,
                        struct error *err)
{
    const char *slash = strrchr(path, '/');
    int len = slash ? (int)(slash - path) : 0;
    char parent[PATH_MAX];

    *ret_name = slash ? slash + 1 : path;
    snprintf(parent, sizeof(parent), "%.*s", len, path);
    if (t->parent_fd >= 0 && strcmp(parent, t->parent) == 0)
        return 0;
    io_close(&t->parent_fd);
    t->parent_fd = open_in_root(t->root_fd, parent, O_PATH | O_DIRECTORY);
    if (t->parent_fd < 0 && make_parents(t, parent, err) < 0)
        return -1;
    memcpy(t->parent, parent, sizeof(parent));
    return 0;
}

static mode_t mode_of(const struct target *t, struct archive_entry *entry)
{
    mode_t mode = archive_entry_perm(entry) & 07777;
    return t->flags & UNPACK_NO_SETUID ? mode & ~(mode_t)(S_ISUID | S_ISGID) : mode;
}

/* Owner, mode, time of what is open. */
static int set_attributes(const struct target *t, int fd, struct archive_entry *entry,
                          struct error *err)
{
    struct timespec times[2] = {{.tv_sec = archive_entry_mtime(entry)},
                                {.tv_sec = archive_entry_mtime(entry)}};

    if ((t->flags & UNPACK_OWNERS) &&
        fchown(fd, (uid_t)archive_entry_uid(entry), (gid_t)archive_entry_gid(entry)) < 0)
        return error_errno(err, "cannot set the owner");
    if (fchmod(fd, mode_of(t, entry)) < 0)
        return error_errno(err, "cannot set the mode");
    if (futimens(fd, times) < 0 && errno != EINVAL) /* a year that the file system cannot hold */
        return error_errno(err, "cannot set the time");
    return 0;
}

static int write_contents(struct target *t, int fd, struct error *err)
{
    const void *bytes;
    size_t len;
    la_int64_t offset;
    int code;

    t->reader->failed = err;
    while ((code = archive_read_data_block(t->reader->archive, &bytes, &len, &offset)) ==
           ARCHIVE_OK) {
        for (size_t done = 0; done < len;) {
            ssize_t n =
                pwrite(fd, (const char *)bytes + done, len - done, offset + (la_int64_t)done);
            if (n < 0 && errno != EINTR)
                return error_errno(err, "cannot write");
            done += n > 0 ? (size_t)n : 0;
        }
    }
    if (code == ARCHIVE_EOF)
        return 0;
    if (err->kind != ERR_NONE)
        return -1;
    return error_set(err, ERR_INVALID, "damaged tar archive: %s",
                     archive_error_string(t->reader->archive));
}

static int make_file(struct target *t, const char *name, struct archive_entry *entry,
                     struct error *err)
{
    CLEANUP(fd)
    int fd = openat(t->parent_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    la_int64_t size = archive_entry_size(entry);

    if (fd < 0)
        return error_errno(err, "cannot create");
    if (size < 0 || (uint64_t)size > t->bytes_left)
        return error_set(err, ERR_LIMIT, "the archive unpacks to more bytes than allowed");
    t->bytes_left -= (uint64_t)size;
    if (write_contents(t, fd, err) < 0)
        return -1;
    if (size > 0 && archive_entry_sparse_count(entry) > 0 && ftruncate(fd, size) < 0)
        return error_errno(err, "cannot set the length");
    return set_attributes(t, fd, entry, err);
}

static bool is_whiteout(const struct stat *info)
{
    return S_ISCHR(info->st_mode) && info->st_rdev == makedev(0, 0);
}

static int mark_opaque(int fd, struct error *err)
{
    if (fsetxattr(fd, OPAQUE_XATTR, "y", 1, 0) < 0)
        return error_errno(err, "cannot mark a folder as opaque");
    return 0;
}

/* `was_whiteout`: the same layer removed what lower layers have here, then made it anew. */
static int make_dir(struct target *t, const char *name, bool exists, bool was_whiteout,
                    struct archive_entry *entry, struct error *err)
{
    CLEANUP(fd) int fd = -1;

    if (!exists && mkdirat(t->parent_fd, name, 0700) < 0)
        return error_errno(err, "cannot make the folder");
    fd = openat(t->parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "cannot open the folder");
    if (was_whiteout && mark_opaque(fd, err) < 0)
        return -1;
    return set_attributes(t, fd, entry, err);
}

static int make_symlink(const struct target *t, const char *name, struct archive_entry *entry,
                        struct error *err)
{
    const char *to = archive_entry_symlink(entry);

    if (!to || !to[0])
        return error_set(err, ERR_INVALID, "a symbolic link without a target");
    if (symlinkat(to, t->parent_fd, name) < 0)
        return error_errno(err, "cannot make the link");
    if ((t->flags & UNPACK_OWNERS) &&
        fchownat(t->parent_fd, name, (uid_t)archive_entry_uid(entry),
                 (gid_t)archive_entry_gid(entry), AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "cannot set the owner");
    return 0;
}

static int make_hard_link(const struct target *t, const char *name, const char *to,
                          struct error *err)
{
    CLEANUP(fd) int fd = -1;
    char clean[PATH_MAX], proc[64];
    struct stat info;

    if (unpack_clean_path(to, clean, err) < 0)
        return -1;
    fd = open_in_root(t->root_fd, clean, O_PATH | O_NOFOLLOW);
    if (fd < 0)
        return error_errno(err, "cannot find '%s' that it is linked to", clean);
    if (fstat(fd, &info) < 0 || (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)))
        return error_set(err, ERR_INVALID, "hard link to '%s', which is no file", clean);
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, proc, t->parent_fd, name, AT_SYMLINK_FOLLOW) < 0)
        return error_errno(err, "cannot link to '%s'", clean);
    return 0;
}

/* ".wh.NAME": lower layers' NAME goes; what this layer has made itself stays. */
static int make_whiteout(struct target *t, const char *name, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    const char *hidden = name + strlen(WHITEOUT_PREFIX);
    struct stat info;

    if (!(t->flags & UNPACK_OVERLAY))
        return error_set(err, ERR_DENIED, "names that begin with '.wh.' are not expected here");
    if (strcmp(name, WHITEOUT_OPAQUE) == 0) {
        fd = openat(t->parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? error_errno(err, "cannot open the folder") : mark_opaque(fd, err);
    }
    if (strncmp(hidden, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0)
        return 0; /* .wh..wh.*: aufs' own, means nothing */
    if (hidden[0] == '\0' || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
        return error_set(err, ERR_INVALID, "a whiteout that names nothing");
    if (mknodat(t->parent_fd, hidden, S_IFCHR, makedev(0, 0)) == 0)
        return 0;
    if (errno != EEXIST)
        return error_errno(err, "cannot make a whiteout");
    if (fstatat(t->parent_fd, hidden, &info, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(info.st_mode))
        return 0;
    fd = openat(t->parent_fd, hidden, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? error_errno(err, "cannot open the folder") : mark_opaque(fd, err);
}

/* Folder over folder changes attributes; anything else makes way for the new (layer.md). */
static int make_way(struct target *t, const char *name, bool for_dir, bool *ret_exists,
                    bool *ret_was_whiteout, struct error *err)
{
    struct stat info;

    *ret_exists = *ret_was_whiteout = false;
    if (fstatat(t->parent_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : error_errno(err, "cannot stat");
    if (S_ISDIR(info.st_mode) && for_dir) {
        *ret_exists = true;
        return 0;
    }
    *ret_was_whiteout = is_whiteout(&info);
    if (!S_ISDIR(info.st_mode))
        return unlinkat(t->parent_fd, name, 0) < 0 ? error_errno(err, "cannot replace") : 0;
    return fs_remove_tree(t->parent_fd, name, err);
}

static int write_root(const struct target *t, struct archive_entry *entry, struct error *err)
{
    if (archive_entry_filetype(entry) != AE_IFDIR)
        return error_set(err, ERR_INVALID, "the root is no folder");
    return set_attributes(t, t->root_fd, entry, err);
}

static int write_entry(struct target *t, struct archive_entry *entry, const char *path,
                       struct error *err)
{
    const char *hard = archive_entry_hardlink(entry), *name;
    __LA_MODE_T type = archive_entry_filetype(entry);
    bool exists, was_whiteout;

    if (path[0] == '\0')
        return write_root(t, entry, err);
    if (go_to_parent(t, path, &name, err) < 0)
        return -1;
    if (strncmp(name, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0)
        return make_whiteout(t, name, err);
    /* Device nodes, fifos and sockets are left out: a container gets its own /dev, and a node in a
     * layer is a door to the machine's devices. */
    if (!hard && type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)
        return 0;
    if (make_way(t, name, !hard && type == AE_IFDIR, &exists, &was_whiteout, err) < 0)
        return -1;
    if (hard)
        return make_hard_link(t, name, hard, err);
    if (type == AE_IFLNK)
        return make_symlink(t, name, entry, err);
    if (type == AE_IFDIR)
        return make_dir(t, name, exists, was_whiteout, entry, err);
    return make_file(t, name, entry, err);
}

int unpack_write_all(struct unpack_reader *reader, int dir_fd, int flags,
                     const struct unpack_limits *limits, struct error *err)
{
    struct target t = {.reader = reader, .root_fd = dir_fd, .flags = flags, .parent_fd = -1};
    struct archive_entry *entry;
    char path[PATH_MAX];
    int more, result = 0;

    t.bytes_left = limits && limits->bytes_max ? limits->bytes_max : UNPACK_BYTES_MAX;
    t.entries_left = limits && limits->entries_max ? limits->entries_max : UNPACK_ENTRIES_MAX;
    while (result == 0 && (more = unpack_reader_next(reader, &entry, err)) != 0) {
        if (more < 0)
            result = -1;
        else if (t.entries_left-- == 0)
            result = error_set(err, ERR_LIMIT, "the archive has more entries than allowed");
        else if (unpack_clean_path(archive_entry_pathname(entry), path, err) < 0)
            result = -1;
        else if (write_entry(&t, entry, path, err) < 0)
            result = error_wrap(err, "'%s'", path);
    }
    io_close(&t.parent_fd);
    return result;
}
