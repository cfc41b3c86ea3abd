/* base/fs.c - see base/fs.h. */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/random.h"

enum { TREE_DEPTH_MAX = 200, LINK_MAX = 4096 };

int fs_open_dir(int dir_fd, const char *path, int *ret_fd, struct error *err)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return error_errno(err, "cannot open folder '%s'", path);
    *ret_fd = fd;
    return 0;
}

int fs_open_read(int dir_fd, const char *path, int *ret_fd, struct error *err)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return error_errno(err, "cannot open '%s'", path);
    *ret_fd = fd;
    return 0;
}

int fs_read_at(int dir_fd, const char *path, struct buf *out, struct error *err)
{
    CLEANUP(fd) int fd = -1;

    if (fs_open_read(dir_fd, path, &fd, err) < 0)
        return -1;
    if (io_read_all(fd, out, err) < 0)
        return error_wrap(err, "reading '%s'", path);
    return 0;
}

bool fs_exists(int dir_fd, const char *path)
{
    return faccessat(dir_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The folder of `path`, opened, and the last component (borrowed from path). */
static int open_parent(int dir_fd, const char *path, int *ret_fd, const char **ret_name,
                       struct error *err)
{
    const char *slash = strrchr(path, '/');

    *ret_name = slash ? slash + 1 : path;
    if (!slash)
        return fs_open_dir(dir_fd, ".", ret_fd, err);
    CLEANUP(text) char *parent = str_dup(str_slice(path, (size_t)(slash - path)));
    if (!parent)
        return error_no_memory(err);
    return fs_open_dir(dir_fd, parent[0] ? parent : "/", ret_fd, err);
}

static int write_beside(int parent_fd, const char *temp, struct str bytes, mode_t mode, bool sync,
                        struct error *err)
{
    CLEANUP(fd) int fd = openat(parent_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0)
        return error_errno(err, "cannot create a file");
    if (io_write(fd, bytes.ptr, bytes.len, err) < 0)
        return -1;
    if (fchmod(fd, mode) < 0 || (sync && fsync(fd) < 0))
        return error_errno(err, "cannot finish the file");
    return 0;
}

static int write_replacing(int dir_fd, const char *path, struct str bytes, mode_t mode, bool sync,
                           struct error *err)
{
    CLEANUP(fd) int parent_fd = -1;
    const char *name;
    char letters[13];

    if (open_parent(dir_fd, path, &parent_fd, &name, err) < 0)
        return error_wrap(err, "writing '%s'", path);
    random_name(letters, 12);
    CLEANUP(text) char *temp = str_format(".%s.%s", name, letters);
    if (!temp)
        return error_no_memory(err);
    if (write_beside(parent_fd, temp, bytes, mode, sync, err) < 0) {
        (void)unlinkat(parent_fd, temp, 0); /* the first error is the one to tell */
        return error_wrap(err, "writing '%s'", path);
    }
    if (renameat(parent_fd, temp, parent_fd, name) < 0) {
        (void)error_errno(err, "cannot replace '%s'", path);
        (void)unlinkat(parent_fd, temp, 0); /* as above */
        return -1;
    }
    return sync ? fs_sync_dir(parent_fd, err) : 0;
}

int fs_write_atomic(int dir_fd, const char *path, struct str bytes, mode_t mode, struct error *err)
{
    return write_replacing(dir_fd, path, bytes, mode, true, err);
}

int fs_write_quick(int dir_fd, const char *path, struct str bytes, mode_t mode, struct error *err)
{
    return write_replacing(dir_fd, path, bytes, mode, false, err);
}

int fs_make_dirs(int dir_fd, const char *path, mode_t mode, struct error *err)
{
    if (mkdirat(dir_fd, path, mode) == 0)
        return 0;
    if (errno == EEXIST) {
        struct stat info;
        if (fstatat(dir_fd, path, &info, 0) < 0 || !S_ISDIR(info.st_mode))
            return error_set(err, ERR_CONFLICT, "'%s' exists and is not a folder", path);
        return 0;
    }
    const char *slash = strrchr(path, '/');
    if (errno != ENOENT || !slash || slash == path)
        return error_errno(err, "cannot make folder '%s'", path);

    CLEANUP(text) char *parent = str_dup(str_slice(path, (size_t)(slash - path)));
    if (!parent)
        return error_no_memory(err);
    if (fs_make_dirs(dir_fd, parent, mode, err) < 0)
        return -1;
    if (mkdirat(dir_fd, path, mode) < 0 && errno != EEXIST)
        return error_errno(err, "cannot make folder '%s'", path);
    return 0;
}

int fs_sync_dir(int dir_fd, struct error *err)
{
    return fsync(dir_fd) < 0 ? error_errno(err, "cannot sync a folder") : 0;
}

static int remove_children(int dir_fd, dev_t device, unsigned depth, struct error *err);

static int remove_entry(int dir_fd, const char *name, dev_t device, unsigned depth,
                        struct error *err)
{
    CLEANUP(fd) int fd = -1;
    struct stat info;

    if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return error_errno(err, "cannot remove '%s'", name);
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "cannot open '%s' to remove it", name);
    if (fstat(fd, &info) < 0)
        return error_errno(err, "cannot look at '%s'", name);
    if (info.st_dev != device)
        return error_set(err, ERR_CONFLICT, "'%s' is a mount: not removed", name);
    if (remove_children(fd, device, depth + 1, err) < 0)
        return -1;
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return error_errno(err, "cannot remove folder '%s'", name);
    return 0;
}

static int remove_children(int dir_fd, dev_t device, unsigned depth, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;

    if (depth > TREE_DEPTH_MAX)
        return error_set(err, ERR_LIMIT, "folders nested deeper than %d", TREE_DEPTH_MAX);
    if (fs_list(dir_fd, ".", &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        if (remove_entry(dir_fd, names.items[i], device, depth, err) < 0)
            return -1;
    }
    return 0;
}

int fs_remove_tree(int dir_fd, const char *path, struct error *err)
{
    CLEANUP(fd) int parent_fd = -1;
    const char *name;
    struct stat info;

    if (!fs_exists(dir_fd, path))
        return 0;
    if (open_parent(dir_fd, path, &parent_fd, &name, err) < 0)
        return error_wrap(err, "removing '%s'", path);
    if (fstat(parent_fd, &info) < 0)
        return error_errno(err, "cannot look at the folder of '%s'", path);
    if (remove_entry(parent_fd, name, info.st_dev, 0, err) < 0)
        return error_wrap(err, "removing '%s'", path);
    return 0;
}

int fs_remove(int dir_fd, const char *path, struct error *err)
{
    if (unlinkat(dir_fd, path, 0) < 0 && errno != ENOENT)
        return error_errno(err, "cannot remove '%s'", path);
    return 0;
}

int fs_rename(int dir_fd, const char *from, const char *to, struct error *err)
{
    if (renameat(dir_fd, from, dir_fd, to) < 0)
        return error_errno(err, "cannot rename '%s' to '%s'", from, to);
    return 0;
}

int fs_read_link(int dir_fd, const char *path, struct buf *out, struct error *err)
{
    char target[LINK_MAX];
    ssize_t n = readlinkat(dir_fd, path, target, sizeof target);

    if (n < 0)
        return error_errno(err, "cannot read link '%s'", path);
    if ((size_t)n == sizeof target)
        return error_set(err, ERR_LIMIT, "link '%s' is longer than %d bytes", path, LINK_MAX);
    buf_add(out, target, (size_t)n);
    return buf_ok(out, err);
}

int fs_list(int dir_fd, const char *path, struct strv *out, struct error *err)
{
    int fd;

    if (fs_open_dir(dir_fd, path, &fd, err) < 0)
        return -1;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        io_close(&fd);
        return error_errno(err, "cannot read folder '%s'", path);
    }
    struct dirent *entry;
    while ((errno = 0, entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            strv_add(out, entry->d_name);
    }
    int failed = errno;
    (void)closedir(dir); /* read only */
    errno = failed;
    if (failed)
        return error_errno(err, "cannot read folder '%s'", path);
    strv_sort(out);
    return strv_ok(out, err);
}

int fs_make_temp_dir(const char *prefix, char **ret_path, struct error *err)
{
    CLEANUP(text) char *path = str_format("%sXXXXXX", prefix);

    if (!path)
        return error_no_memory(err);
    if (!mkdtemp(path))
        return error_errno(err, "cannot make a folder '%s'", path);
    *ret_path = TAKE(path);
    return 0;
}

static int copy_file(int from_dir, int to_dir, const char *name, mode_t mode, struct error *err)
{
    CLEANUP(fd) int from = -1;
    CLEANUP(fd) int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (to < 0)
        return error_errno(err, "cannot create '%s'", name);
    if (fs_open_beneath(from_dir, name, O_RDONLY | O_NOFOLLOW, 0, &from, err) < 0)
        return -1;
    for (;;) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, 1 << 30, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "cannot copy '%s'", name);
        if (n == 0)
            break;
    }
    return fchmod(to, mode & 07777) < 0 ? error_errno(err, "cannot set the mode of '%s'", name) : 0;
}

static int copy_children(int from_dir, int to_dir, unsigned depth, struct error *err);

static int copy_entry(int from_dir, int to_dir, const char *name, unsigned depth, struct error *err)
{
    struct stat info;

    if (fstatat(from_dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "cannot look at '%s'", name);
    if (S_ISLNK(info.st_mode)) {
        CLEANUP(buf) struct buf target = BUF_INIT(LINK_MAX);
        if (fs_read_link(from_dir, name, &target, err) < 0)
            return -1;
        if (symlinkat(buf_text(&target), to_dir, name) < 0)
            return error_errno(err, "cannot make link '%s'", name);
        return 0;
    }
    if (S_ISREG(info.st_mode))
        return copy_file(from_dir, to_dir, name, info.st_mode, err);
    if (!S_ISDIR(info.st_mode))
        return error_set(err, ERR_UNSUPPORTED, "'%s' is neither file, folder nor link", name);

    CLEANUP(fd) int from = -1;
    CLEANUP(fd) int to = -1;
    if (mkdirat(to_dir, name, info.st_mode & 07777) < 0 && errno != EEXIST)
        return error_errno(err, "cannot make folder '%s'", name);
    if (fs_open_beneath(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &from, err) < 0 ||
        fs_open_beneath(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &to, err) < 0)
        return -1;
    return copy_children(from, to, depth + 1, err);
}

static int copy_children(int from_dir, int to_dir, unsigned depth, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;

    if (depth > TREE_DEPTH_MAX)
        return error_set(err, ERR_LIMIT, "folders nested deeper than %d", TREE_DEPTH_MAX);
    if (fs_list(from_dir, ".", &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        if (copy_entry(from_dir, to_dir, names.items[i], depth, err) < 0)
            return -1;
    }
    return 0;
}

int fs_copy_tree(const char *from, const char *to, struct error *err)
{
    CLEANUP(fd) int from_fd = -1;
    CLEANUP(fd) int to_fd = -1;

    if (fs_make_dirs(AT_FDCWD, to, 0755, err) < 0 ||
        fs_open_dir(AT_FDCWD, from, &from_fd, err) < 0 ||
        fs_open_dir(AT_FDCWD, to, &to_fd, err) < 0)
        return -1;
    if (copy_children(from_fd, to_fd, 0, err) < 0)
        return error_wrap(err, "copying '%s' to '%s'", from, to);
    return 0;
}

int fs_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd,
                    struct error *err)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = (flags & (O_CREAT | O_TMPFILE)) ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd;

    do
        fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    if (fd < 0 && errno == EXDEV)
        return error_set(err, ERR_DENIED, "'%s' leads out of its folder", path);
    if (fd < 0)
        return error_errno(err, "cannot open '%s'", path);
    *ret_fd = (int)fd;
    return 0;
}

char *fs_join(const char *a, const char *b)
{
    size_t len = strlen(a);

    while (len > 1 && a[len - 1] == '/')
        len--;
    while (*b == '/')
        b++;
    return str_format("%.*s/%s", len == 1 && a[0] == '/' ? 0 : (int)len, a, b);
}

int fs_lock(int dir_fd, const char *path, bool wait, int *ret_fd, struct error *err)
{
    CLEANUP(fd) int fd = openat(dir_fd, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int result;

    if (fd < 0)
        return error_errno(err, "cannot open the lock '%s'", path);
    do
        result = flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
    while (result < 0 && errno == EINTR);
    if (result < 0 && errno == EWOULDBLOCK)
        return error_set(err, ERR_CONFLICT, "'%s' is held by another process", path);
    if (result < 0)
        return error_errno(err, "cannot lock '%s'", path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}
