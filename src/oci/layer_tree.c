/* oci/layer_tree.c - a folder on disk as entries of a layer; see layer_add_tree(). */
#include "oci/layer_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

enum { DEPTH_MAX = 200 }; /* folders below each other */

struct walk {
    struct layer_writer *writer;
    const struct layer_tree *tree;
    const char *dir;    /* for texts: the path in the image, or the folder on disk */
    const char *prefix; /* clean */
    size_t tree_index;
};

static int check_file(const struct walk *walk, const char *path, struct stat *info,
                      bool *ret_leave_out, struct error *err)
{
    int flags = walk->writer->options.flags;

    *ret_leave_out = false;
    if (!S_ISREG(info->st_mode) && !S_ISDIR(info->st_mode) && !S_ISLNK(info->st_mode)) {
        *ret_leave_out = true;
        if (flags & LAYER_SKIP_SPECIAL)
            return 0;
        return error_set(err, ERR_DENIED,
                         "'%s/%s' is a device node, socket or fifo; an image may not hold one",
                         walk->dir, path);
    }
    if (S_ISREG(info->st_mode) && (info->st_mode & (S_ISUID | S_ISGID))) {
        if (flags & LAYER_DROP_SETUID)
            info->st_mode &= ~(mode_t)(S_ISUID | S_ISGID);
        else if (!(flags & LAYER_ALLOW_SETUID))
            return error_set(err, ERR_DENIED, "'%s/%s' has a setuid or setgid bit", walk->dir,
                             path);
    }
    /* A name ".wh.x" would delete 'x' of the layers below (image-spec layer.md, Whiteouts). */
    const char *slash = strrchr(path, '/');
    if (strncmp(slash ? slash + 1 : path, ".wh.", 4) == 0)
        return error_set(err, ERR_DENIED,
                         "'%s/%s': names that begin with '.wh.' are the image format's own",
                         walk->dir, path);
    return 0;
}

static int add(const struct walk *walk, int parent_fd, const char *name, const char *path,
               const struct stat *info, struct error *err)
{
    const struct layer_options *options = &walk->writer->options;
    bool keep = options->flags & LAYER_KEEP_OWNER;
    struct layer_entry entry = {
        .mode = (uint32_t)info->st_mode & 07777,
        .uid = keep ? info->st_uid : options->uid,
        .gid = keep ? info->st_gid : options->gid,
        .kind = S_ISDIR(info->st_mode)   ? LAYER_DIR
                : S_ISLNK(info->st_mode) ? LAYER_SYMLINK
                                         : LAYER_FILE,
    };

    entry.path = walk->prefix[0] && path[0] ? fs_join(walk->prefix, path)
                                            : str_dup(str_of(path[0] ? path : walk->prefix));
    if (entry.path && entry.path[0] == '\0') { /* the root itself is nobody's entry */
        layer_entry_done(&entry);
        return 0;
    }
    if (entry.kind == LAYER_FILE) {
        entry.size = (uint64_t)info->st_size;
        entry.source = str_dup(str_of(path));
        entry.tree = walk->tree_index;
        entry.device = info->st_dev;
        entry.inode = info->st_ino;
        entry.linked = info->st_nlink > 1;
    }
    if (entry.kind == LAYER_SYMLINK) {
        CLEANUP(buf) struct buf target = BUF_INIT(PATH_MAX);
        entry.mode = 0777;
        if (fs_read_link(parent_fd, name, &target, err) < 0) {
            layer_entry_done(&entry);
            return -1;
        }
        entry.link = buf_take(&target);
    }
    if (!entry.path || (entry.kind == LAYER_FILE && !entry.source) ||
        (entry.kind == LAYER_SYMLINK && !entry.link)) {
        layer_entry_done(&entry);
        return error_no_memory(err);
    }
    return layer_push(walk->writer, &entry, err);
}

static int walk_children(const struct walk *walk, int dir_fd, const char *path, unsigned depth,
                         struct error *err);

static int walk_entry(const struct walk *walk, int parent_fd, const char *name, const char *path,
                      unsigned depth, struct error *err)
{
    struct stat info;
    bool leave_out;

    if (walk->tree && walk->tree->skip && path[0] && walk->tree->skip(path, walk->tree->ctx))
        return 0;
    if (fstatat(parent_fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "cannot stat '%s/%s'", walk->dir, path);
    if (check_file(walk, path, &info, &leave_out, err) < 0)
        return -1;
    if (leave_out)
        return 0;
    if (add(walk, parent_fd, name, path, &info, err) < 0)
        return -1;
    if (!S_ISDIR(info.st_mode))
        return 0;
    CLEANUP(fd) int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "cannot open folder '%s/%s'", walk->dir, path);
    return walk_children(walk, fd, path, depth + 1, err);
}

static int walk_children(const struct walk *walk, int dir_fd, const char *path, unsigned depth,
                         struct error *err)
{
    int copy = depth > DEPTH_MAX ? -1 : fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *item;
    int result = 0;

    if (depth > DEPTH_MAX)
        return error_set(err, ERR_LIMIT, "'%s/%.200s…' is deeper than %d folders", walk->dir, path,
                         DEPTH_MAX);
    if (!dir) {
        (void)error_errno(err, "cannot read folder '%s/%s'", walk->dir, path);
        io_close(&copy);
        return -1;
    }
    while (result == 0) {
        errno = 0;
        item = readdir(dir);
        if (!item)
            break;
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0)
            continue;
        CLEANUP(text)
        char *below = path[0] ? fs_join(path, item->d_name) : str_dup(str_of(item->d_name));
        result = below ? walk_entry(walk, dir_fd, item->d_name, below, depth, err)
                       : error_no_memory(err);
    }
    if (result == 0 && errno != 0)
        result = error_errno(err, "cannot read folder '%s/%s'", walk->dir, path);
    (void)closedir(dir); /* opened for reading: nothing can be lost */
    return result;
}

static int keep_tree_fd(struct layer_writer *w, int take_fd, struct error *err)
{
    int *fds = reallocarray(w->tree_fds, w->tree_count + 1, sizeof(*fds));

    if (!fds) {
        io_close(&take_fd);
        return error_no_memory(err);
    }
    w->tree_fds = fds;
    w->tree_fds[w->tree_count++] = take_fd;
    return 0;
}

static int walk_only(const struct walk *walk, int dir_fd, struct error *err)
{
    for (const char *const *path = walk->tree->only; *path; path++) {
        CLEANUP(text) char *clean = NULL;
        if (layer_clean_path(*path, &clean, err) < 0 ||
            walk_entry(walk, dir_fd, clean[0] ? clean : ".", clean, 0, err) < 0)
            return -1;
    }
    return 0;
}

int layer_add_tree(struct layer_writer *w, const char *dir, const struct layer_tree *tree,
                   struct error *err)
{
    CLEANUP(text) char *prefix = NULL;
    int dir_fd = -1;

    if (layer_clean_path(tree && tree->prefix ? tree->prefix : "", &prefix, err) < 0 ||
        fs_open_dir(AT_FDCWD, dir, &dir_fd, err) < 0 || keep_tree_fd(w, dir_fd, err) < 0)
        return -1;
    struct walk walk = {.writer = w,
                        .tree = tree,
                        .dir = prefix[0] ? prefix : dir,
                        .prefix = prefix,
                        .tree_index = w->tree_count - 1};
    if (tree && tree->only)
        return walk_only(&walk, dir_fd, err);
    return walk_entry(&walk, dir_fd, ".", "", 0, err);
}
