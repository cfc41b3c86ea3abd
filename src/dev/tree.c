/* dev/tree.c - inotify over a source tree: see dev/tree.h. */
#include "dev/tree.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "dev/ignore.h"

enum {
    TREE_EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |
                  IN_ONLYDIR | IN_EXCL_UNLINK
};

struct folder {
    int wd;
    char *path; /* owned; relative, "" for the root */
};

struct tree {
    struct loop *loop; /* borrowed */
    struct loop_io *io;
    struct loop_timer *timer;
    char *root; /* owned */
    struct ignore *ignore;
    struct folder *folders;
    size_t folder_count;
    struct strv changed; /* relative paths, with repetitions */
    struct strv created; /* of those the ones that were not there before */
    int64_t since_ms;
    tree_fn *on_change;
    void *ctx;
    int fd;
};

static char *join(const char *dir, const char *name)
{
    return *dir ? str_format("%s/%s", dir, name) : str_dup(str_of(name));
}

static int watch_folder(struct tree *tree, const char *path, struct error *err)
{
    CLEANUP(text) char *full = fs_join(tree->root, *path ? path : ".");

    if (!full)
        return error_no_memory(err);
    if (tree->folder_count >= TREE_FOLDERS_MAX)
        return error_set(err, ERR_LIMIT, "'%s' has more than %d folders: ignore some by .gitignore",
                         tree->root, TREE_FOLDERS_MAX);
    int wd = inotify_add_watch(tree->fd, full, TREE_EVENTS);
    if (wd < 0)
        return error_errno(err, "watching '%s'", full);
    struct folder *grown =
        reallocarray(tree->folders, tree->folder_count + 1, sizeof *tree->folders);
    if (!grown)
        return error_no_memory(err);
    tree->folders = grown;
    char *copy = str_dup(str_of(path));
    if (!copy)
        return error_no_memory(err);
    tree->folders[tree->folder_count++] = (struct folder){wd, copy};
    return 0;
}

static void read_patterns(struct tree *tree, const char *path)
{
    CLEANUP(text) char *in_dir = join(path, ".gitignore");
    CLEANUP(text) char *full = in_dir ? fs_join(tree->root, in_dir) : NULL;
    CLEANUP(buf) struct buf text = BUF_INIT(IGNORE_FILE_MAX);
    struct error lost = ERROR_INIT; /* most folders have none */

    if (full && fs_read_at(AT_FDCWD, full, &text, &lost) == 0)
        ignore_add(tree->ignore, path, buf_str(&text));
}

/* The folder and all below; with `tell`, files that are there already count as changed. */
static int add_folders(struct tree *tree, const char *path, bool tell, unsigned depth,
                       struct error *err)
{
    CLEANUP(text) char *full = fs_join(tree->root, *path ? path : ".");
    CLEANUP(strv) struct strv names = STRV_INIT;

    if (!full)
        return error_no_memory(err);
    if (depth > TREE_DEPTH_MAX)
        return error_set(err, ERR_LIMIT, "'%s' is deeper than %d folders", full, TREE_DEPTH_MAX);
    if (watch_folder(tree, path, err) < 0)
        return -1;
    read_patterns(tree, path);
    if (fs_list(AT_FDCWD, full, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(text) char *child = join(path, names.items[i]);
        CLEANUP(text) char *child_full = fs_join(full, names.items[i]);
        struct stat info;
        if (!child || !child_full)
            return error_no_memory(err);
        if (lstat(child_full, &info) < 0 || ignore_has(tree->ignore, child, S_ISDIR(info.st_mode)))
            continue;
        if (!S_ISDIR(info.st_mode) && tell)
            strv_add(&tree->changed, child);
        if (S_ISDIR(info.st_mode) && add_folders(tree, child, tell, depth + 1, err) < 0)
            return -1;
    }
    return 0;
}

static bool is_pattern_file(const char *path)
{
    const char *base = strrchr(path, '/');
    return strcmp(base ? base + 1 : path, ".gitignore") == 0;
}

/* A .gitignore was saved: all of them are read again, in the order of the folders. */
static void reread_patterns(struct tree *tree)
{
    struct ignore *fresh = ignore_new();

    if (!fresh)
        return; /* the old ones go on */
    ignore_free(tree->ignore);
    tree->ignore = fresh;
    for (size_t i = 0; i < tree->folder_count; i++)
        read_patterns(tree, tree->folders[i].path);
}

static void tell(struct loop *loop, void *ctx)
{
    struct tree *tree = ctx;
    struct strv changed = tree->changed;
    size_t count = 0;

    tree->timer = NULL;
    tree->changed = (struct strv)STRV_INIT;
    struct strv created = tree->created;
    tree->created = (struct strv)STRV_INIT;
    strv_sort(&changed);
    struct tree_change *changes = calloc(changed.count + 1, sizeof *changes);
    for (size_t i = 0; changes && i < changed.count; i++) {
        CLEANUP(text) char *full = fs_join(tree->root, changed.items[i]);
        struct stat info;
        if (i > 0 && strcmp(changed.items[i], changed.items[i - 1]) == 0)
            continue;
        bool is_gone = !full || lstat(full, &info) < 0;
        if (is_gone && strv_has(&created, changed.items[i]))
            continue; /* an editor's own file: it came and went */
        changes[count++] = (struct tree_change){changed.items[i], is_gone};
    }
    if (count > 0)
        tree->on_change(changes, count, tree->since_ms, tree->ctx);
    free(changes);
    strv_done(&changed);
    strv_done(&created);
}

static void on_event(struct tree *tree, const struct inotify_event *event)
{
    const char *dir = NULL;
    bool is_dir = event->mask & IN_ISDIR;
    struct error lost = ERROR_INIT;

    for (size_t i = 0; i < tree->folder_count; i++) {
        if (tree->folders[i].wd == event->wd)
            dir = tree->folders[i].path;
    }
    if (!dir || event->len == 0)
        return;
    CLEANUP(text) char *path = join(dir, event->name);
    if (!path || ignore_has(tree->ignore, path, is_dir))
        return;
    if (is_pattern_file(path) && !(event->mask & IN_CREATE))
        reread_patterns(tree);
    if (tree->changed.count == 0)
        tree->since_ms = clock_monotonic_ms();
    if (is_dir && (event->mask & (IN_CREATE | IN_MOVED_TO))) {
        /* A folder that is gone again by now, or too many: its files are not live-updated. */
        if (add_folders(tree, path, true, 1, &lost) < 0)
            return;
    } else if (event->mask & IN_CREATE) {
        strv_add(&tree->created, path); /* told when it is closed */
    } else {
        strv_add(&tree->changed, path);
    }
}

static void on_readable(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct tree *tree = ctx;
    _Alignas(struct inotify_event) char room[65536];
    ssize_t got = read(fd, room, sizeof room);
    struct error lost = ERROR_INIT;

    for (ssize_t at = 0; got > 0 && at < got;) {
        const struct inotify_event *event = (const void *)(room + at);
        on_event(tree, event);
        at += (ssize_t)(sizeof *event + event->len);
    }
    if (tree->changed.count == 0)
        return;
    if (tree->timer)
        loop_timer_set(tree->timer, TREE_QUIET_MS);
    else if (loop_add_timer(loop, TREE_QUIET_MS, tell, tree, &tree->timer, &lost) < 0)
        tell(loop, tree); /* without memory for a timer: at once */
}

int tree_watch(struct loop *loop, const char *path, tree_fn *on_change, void *ctx,
               struct tree **ret, struct error *err)
{
    CLEANUP(tree) struct tree *tree = calloc(1, sizeof *tree);

    if (!tree)
        return error_no_memory(err);
    tree->loop = loop;
    tree->on_change = on_change;
    tree->ctx = ctx;
    tree->root = str_dup(str_of(path));
    tree->ignore = ignore_new();
    tree->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (!tree->root || !tree->ignore)
        return error_no_memory(err);
    if (tree->fd < 0)
        return error_errno(err, "cannot watch folders");
    if (add_folders(tree, "", false, 0, err) < 0 ||
        loop_add_io(loop, tree->fd, EPOLLIN, on_readable, tree, &tree->io, err) < 0)
        return -1;
    *ret = TAKE(tree);
    return 0;
}

void tree_free(struct tree *tree)
{
    if (!tree)
        return;
    loop_timer_remove(tree->timer);
    loop_io_remove(tree->io);
    if (tree->fd > 0)
        io_close(&tree->fd);
    for (size_t i = 0; i < tree->folder_count; i++)
        free(tree->folders[i].path);
    free(tree->folders);
    ignore_free(tree->ignore);
    strv_done(&tree->changed);
    strv_done(&tree->created);
    free(tree->root);
    free(tree);
}
