/* launcher/files.c - see files.h. */
#include "files.h"

#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/fs.h>

enum { PATH_LIMIT = 4096, DEPTH_MAX = 64, REMOVEDIR = AT_REMOVEDIR };

struct writer {
    int root;
    int open_fd; /* of the last F, for P */
    const char *fault;
};

static uint32_t number_at(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static bool path_is_fit(const char *path)
{
    if (!*path || *path == '/' || text_len(path) >= PATH_LIMIT)
        return false;
    while (path && *path) {
        const char *slash = text_find(path, '/');
        const char *part = text_copy(path, slash ? (size_t)(slash - path) : text_len(path));
        if (!*part || text_equal(part, ".") || text_equal(part, ".."))
            return false;
        path = slash ? slash + 1 : NULL;
    }
    return true;
}

static void fault(struct writer *w, const char *path, const char *what, long error)
{
    if (!w->fault)
        w->fault = TEXT(path, ": ", what, error ? " (error " : "", error ? text_number(-error) : "",
                        error ? ")" : "");
}

/* The folder of `path`, made if it is missing; its descriptor, or -errno. */
static int open_parent(struct writer *w, const char *path)
{
    const char *base = text_base(path);
    int dir = sys_open_beneath(w->root, ".", O_PATH | O_DIRECTORY, 0);

    while (dir >= 0 && path != base) {
        const char *slash = text_find(path, '/');
        const char *part = text_copy(path, (size_t)(slash - path));
        (void)SYS_CALL(__NR_mkdirat, dir, part, 0755, 0, 0, 0); /* there already is fine */
        int next = sys_open_beneath(dir, part, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
        sys_close(dir);
        dir = next;
        path = slash + 1;
    }
    return dir;
}

static void remove_at(int dir, const char *name, int depth)
{
    struct list names = {0};

    if (SYS_CALL(__NR_unlinkat, dir, name, 0, 0, 0, 0) == 0 || depth > DEPTH_MAX)
        return;
    int fd = sys_open_beneath(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (fd < 0)
        return;
    dir_list(TEXT("/proc/self/fd/", text_number(fd)), &names);
    for (size_t i = 0; i < names.count; i++)
        remove_at(fd, names.items[i], depth + 1);
    sys_close(fd);
    (void)SYS_CALL(__NR_unlinkat, dir, name, REMOVEDIR, 0, 0,
                   0); /* seen by whoever writes there next */
}

static void apply_file(struct writer *w, const struct change *c, const char *path, size_t skip)
{
    int dir = open_parent(w, path);
    const char *name = text_base(path), *beside = TEXT(".", name, ".monban-live");
    unsigned mode = number_at(c->payload) & 0777;

    sys_close(w->open_fd);
    w->open_fd = -1;
    if (dir < 0) {
        fault(w, path, "its folder cannot be opened", dir);
        return;
    }
    (void)SYS_CALL(__NR_unlinkat, dir, beside, 0, 0, 0, 0); /* of a commit that was cut off */
    int fd = sys_open_beneath(dir, beside, O_WRONLY | O_CREAT | O_EXCL, mode);
    long renamed = fd;
    if (fd >= 0) {
        (void)SYS_CALL(__NR_fchmod, fd, mode, 0, 0, 0, 0); /* whatever the umask took */
        renamed = sys_write_all(fd, c->payload + skip, c->size - skip)
                      ? SYS_CALL(__NR_renameat2, dir, beside, dir, name, 0, 0)
                      : -28;
    }
    if (renamed < 0)
        fault(w, path, "cannot be written", renamed);
    w->open_fd = fd;
    sys_close(dir);
}

static void apply_link(struct writer *w, const char *path, const char *target)
{
    int dir = open_parent(w, path);

    if (dir < 0) {
        fault(w, path, "its folder cannot be opened", dir);
        return;
    }
    remove_at(dir, text_base(path), 0);
    long made = SYS_CALL(__NR_symlinkat, target, dir, text_base(path), 0, 0, 0);
    if (made < 0)
        fault(w, path, "cannot be linked", made);
    sys_close(dir);
}

static void apply_removal(struct writer *w, const char *path)
{
    int dir = open_parent(w, path);

    if (dir >= 0)
        remove_at(dir, text_base(path), 0);
    sys_close(dir);
}

static void apply(struct writer *w, const struct change *c)
{
    size_t head = c->type == 'F' ? 8 : c->type == 'L' ? 4 : 0;

    if (c->type == 'P') {
        if (w->open_fd < 0 || !sys_write_all(w->open_fd, c->payload, c->size))
            fault(w, "(part)", "cannot be written", 0);
        return;
    }
    size_t len = c->size;
    if (head) {
        if (c->size < head || number_at(c->payload + head - 4) > c->size - head) {
            fault(w, "(frame)", "is cut short", 0);
            return;
        }
        len = number_at(c->payload + head - 4);
    }
    const char *path = text_copy(c->payload + head, len);
    if (text_len(path) != len || !path_is_fit(path))
        fault(w, path, "is no path beneath the app", 0);
    else if (c->type == 'F')
        apply_file(w, c, path, head + len);
    else if (c->type == 'L')
        apply_link(w, path, text_copy(c->payload + head + len, c->size - head - len));
    else
        apply_removal(w, path);
}

const char *files_apply(const char *root, const struct change *changes, long *ret_count)
{
    struct writer w = {sys_open(AT_FDCWD, root, O_PATH | O_DIRECTORY, 0), -1, NULL};

    *ret_count = 0;
    if (w.root < 0)
        return "the app's folder cannot be opened";
    for (; changes; changes = changes->next) {
        apply(&w, changes);
        *ret_count += changes->type != 'P';
    }
    sys_close(w.open_fd);
    sys_close(w.root);
    return w.fault;
}
