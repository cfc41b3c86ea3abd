/* oci/runtime_mount.c - the overlay of a container: many read-only layers, one writable folder
 * above. */
#include "oci/runtime_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/fs.h"

enum {
    MOUNT_DATA_MAX = 4095, /* bytes: mount(2) takes one page */
    LAYERS_MAX = 200,      /* "/proc/self/fd/NNN:" each still fits that page */
};

static bool needs_short_names(const char *const *dirs)
{
    size_t total = 0;

    for (; *dirs; dirs++) {
        total += strlen(*dirs) + 1;
        if (strpbrk(*dirs, ":,\\"))
            return true;
    }
    return total > MOUNT_DATA_MAX / 2;
}

/* "a:b:c"; long or awkward paths stand as descriptors, which the caller keeps open until after the
 * mount. */
static int lower_text(const char *const *dirs, struct buf *out, int *fds, size_t *ret_count,
                      struct error *err)
{
    bool short_names = needs_short_names(dirs);

    for (size_t i = 0; dirs[i]; i++) {
        if (i == LAYERS_MAX)
            return error_set(err, ERR_LIMIT, "more than %d layers", LAYERS_MAX);
        if (i > 0)
            buf_add_char(out, ':');
        if (!short_names) {
            buf_add_text(out, dirs[i]);
            continue;
        }
        fds[i] = open(dirs[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fds[i] < 0)
            return error_errno(err, "cannot open layer '%s'", dirs[i]);
        *ret_count = i + 1;
        buf_addf(out, "/proc/self/fd/%d", fds[i]);
    }
    return buf_ok(out, err);
}

/* DIR/rw holds upper and work; a tmpfs if its size is limited. */
static int make_writable(const struct container_options *o, const char *rw, struct error *err)
{
    CLEANUP(text) char *upper = fs_join(rw, "upper");
    CLEANUP(text) char *work = fs_join(rw, "work");
    char data[64];

    if (!upper || !work)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, rw, 0700, err) < 0)
        return -1;
    snprintf(data, sizeof(data), "mode=0700,size=%llu", (unsigned long long)o->writable_max);
    if (o->writable_max && mount("tmpfs", rw, "tmpfs", MS_NODEV, data) < 0)
        return error_errno(err, "cannot mount a tmpfs on '%s'", rw);
    return fs_make_dirs(AT_FDCWD, upper, 0755, err) < 0 ? -1
                                                        : fs_make_dirs(AT_FDCWD, work, 0700, err);
}

int runtime_mount_overlay(const struct container_options *o, struct error *err)
{
    CLEANUP(text) char *root = fs_join(o->dir, "rootfs");
    CLEANUP(text) char *rw = fs_join(o->dir, "rw");
    CLEANUP(buf) struct buf data = BUF_INIT(MOUNT_DATA_MAX);
    int fds[LAYERS_MAX];
    size_t fd_count = 0;
    int result = -1;

    if (!root || !rw)
        return error_no_memory(err);
    if (!o->lowerdirs[0])
        return error_set(err, ERR_INVALID, "container '%s' has no layers", o->id);
    if (strpbrk(o->dir, ":,\\"))
        return error_set(err, ERR_INVALID, "folder '%s' holds a ':', ',' or '\\'", o->dir);
    if (make_writable(o, rw, err) < 0 || fs_make_dirs(AT_FDCWD, root, 0755, err) < 0)
        return -1;
    buf_add_text(&data, "lowerdir=");
    if (lower_text(o->lowerdirs, &data, fds, &fd_count, err) == 0) {
        buf_addf(&data, ",upperdir=%s/upper,workdir=%s/work", rw, rw);
        result = buf_ok(&data, err);
    }
    if (result == 0 && mount("overlay", root, "overlay", MS_NODEV, buf_text(&data)) < 0)
        result = error_errno(err, "cannot mount the layers on '%s'", root);
    for (size_t i = 0; i < fd_count; i++)
        io_close(&fds[i]);
    return result;
}

int runtime_unmount(const char *dir, struct error *err)
{
    static const char *const names[] = {"rootfs", "rw"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CLEANUP(text) char *path = fs_join(dir, names[i]);
        if (!path)
            return error_no_memory(err);
        /* Lazily: a straggler may still stand in it. EINVAL: nothing is mounted there. */
        if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
            return error_errno(err, "cannot unmount '%s'", path);
    }
    return 0;
}
