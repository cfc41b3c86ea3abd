/* source/digest.c - a digest over a folder that no commit names: a sorted list of every entry's
 * kind, path and contents, hashed. Two folders have the same digest if and only if a build would
 * see the same. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "source/source_internal.h"

struct walk {
    struct sha256 *hash; /* owned */
    size_t files;
    uint64_t bytes;
};

/* Every field with its length before it, so that no two lists of fields give the same bytes. */
static void add_field(struct sha256 *hash, struct str field)
{
    char head[32];
    int len = snprintf(head, sizeof(head), "%zu:", field.len);

    sha256_add(hash, head, (size_t)len);
    sha256_add(hash, field.ptr, field.len);
}

static int add_file(struct walk *w, int dir_fd, const char *name, const struct stat *info,
                    struct error *err)
{
    struct digest contents;
    uint64_t size;

    w->bytes += (uint64_t)info->st_size;
    if (w->bytes > SOURCE_BYTES_MAX)
        return error_set(err, ERR_LIMIT, "the folder is larger than %llu MiB",
                         SOURCE_BYTES_MAX >> 20);
    if (digest_of_file(dir_fd, name, &contents, &size, err) < 0)
        return -1;
    add_field(w->hash, info->st_mode & 0111 ? STR("program") : STR("file"));
    add_field(w->hash, str_of(contents.text));
    return 0;
}

static int add_link(struct walk *w, int dir_fd, const char *name, struct error *err)
{
    CLEANUP(buf) struct buf target = BUF_INIT(GIT_PATH_MAX);

    if (fs_read_link(dir_fd, name, &target, err) < 0)
        return -1;
    add_field(w->hash, STR("link"));
    add_field(w->hash, buf_str(&target));
    return 0;
}

static int add_folder(struct walk *w, int dir_fd, size_t depth, struct error *err);

static int add_entry(struct walk *w, int dir_fd, const char *name, size_t depth, struct error *err)
{
    struct stat info;

    if (++w->files > SOURCE_FILES_MAX)
        return error_set(err, ERR_LIMIT, "the folder has more than %d entries", SOURCE_FILES_MAX);
    if (fstatat(dir_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "reading '%s'", name);
    add_field(w->hash, str_of(name));
    if (S_ISREG(info.st_mode))
        return add_file(w, dir_fd, name, &info, err);
    if (S_ISLNK(info.st_mode))
        return add_link(w, dir_fd, name, err);
    if (!S_ISDIR(info.st_mode))
        return error_set(err, ERR_INVALID, "'%s' is neither file, folder nor link", name);
    CLEANUP(fd) int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "reading '%s'", name);
    add_field(w->hash, STR("folder"));
    return add_folder(w, fd, depth + 1, err);
}

static int add_folder(struct walk *w, int dir_fd, size_t depth, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;

    if (depth > GIT_DEPTH_MAX)
        return error_set(err, ERR_LIMIT, "folders deeper than %d", GIT_DEPTH_MAX);
    if (fs_list(dir_fd, ".", &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        if (depth == 0 && strcmp(names.items[i], ".git") == 0)
            continue;
        if (add_entry(w, dir_fd, names.items[i], depth, err) < 0)
            return -1;
    }
    add_field(w->hash, STR("")); /* no entry has an empty name: the folder ends */
    return 0;
}

int source_tree_digest(const char *dir, struct digest *ret, struct error *err)
{
    CLEANUP(sha256) struct sha256 *hash = sha256_new();
    CLEANUP(fd) int fd = -1;
    struct walk w = {.hash = hash};

    if (!hash)
        return error_no_memory(err);
    if (fs_open_dir(AT_FDCWD, dir, &fd, err) < 0 || add_folder(&w, fd, 0, err) < 0)
        return error_wrap(err, "reading source folder '%s'", dir);
    *ret = sha256_end_digest(hash);
    return 0;
}
