/* oci/layout_writer.c - one blob on its way into a store: hashed while it is written, named at the
 * end. */
#include "oci/layout_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/random.h"

enum {
    TEMP_PATH_SIZE = 64,
    PENDING_SIZE =
        256 << 10, /* bytes collected before write and hash: sha256 wants blocks of 8 kB and more */
};

struct layout_writer {
    struct layout *layout;     /* borrowed: the caller's */
    struct sha256 *hash;       /* owned */
    int fd;                    /* owned */
    char temp[TEMP_PATH_SIZE]; /* "" with O_TMPFILE */
    uint64_t size;
    char *pending; /* owned, PENDING_SIZE */
    size_t pending_len;
};

/* O_TMPFILE leaves nothing behind however we end. Where the file system lacks it: a name. */
static int open_temp(struct layout_writer *w, struct error *err)
{
    int dir_fd = w->layout->dir_fd;
    char letters[17];

    w->fd = openat(dir_fd, "tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
    if (w->fd < 0 && errno == ENOENT) { /* a store made by another tool */
        if (fs_make_dirs(dir_fd, "tmp", 0755, err) < 0 ||
            fs_make_dirs(dir_fd, "blobs/sha256", 0755, err) < 0)
            return -1;
        w->fd = openat(dir_fd, "tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
    }
    if (w->fd >= 0)
        return 0;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return error_errno(err, "cannot create a file in 'tmp'");
    random_name(letters, 16);
    snprintf(w->temp, sizeof(w->temp), "tmp/%s", letters);
    w->fd = openat(dir_fd, w->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (w->fd < 0) {
        w->temp[0] = '\0';
        return error_errno(err, "cannot create a file in 'tmp'");
    }
    return 0;
}

int layout_writer_new(struct layout *layout, struct layout_writer **ret, struct error *err)
{
    CLEANUP(layout_writer) struct layout_writer *w = calloc(1, sizeof(*w));

    if (!w)
        return error_no_memory(err);
    w->fd = -1;
    w->layout = layout;
    w->hash = sha256_new();
    w->pending = malloc(PENDING_SIZE);
    if (!w->hash || !w->pending)
        return error_no_memory(err);
    if (open_temp(w, err) < 0)
        return layout_failed(layout, err);
    *ret = TAKE(w);
    return 0;
}

static int put_out(struct layout_writer *w, const char *bytes, size_t len, struct error *err)
{
    sha256_add(w->hash, bytes, len);
    if (io_write(w->fd, bytes, len, err) < 0)
        return layout_failed(w->layout, err);
    return 0;
}

static int flush(struct layout_writer *w, struct error *err)
{
    size_t len = w->pending_len;

    w->pending_len = 0;
    return len > 0 ? put_out(w, w->pending, len, err) : 0;
}

int layout_writer_add(struct layout_writer *w, struct str bytes, struct error *err)
{
    w->size += bytes.len;
    if (bytes.len + w->pending_len > PENDING_SIZE && flush(w, err) < 0)
        return -1;
    if (bytes.len >= PENDING_SIZE)
        return put_out(w, bytes.ptr, bytes.len, err);
    if (bytes.len > 0)
        memcpy(w->pending + w->pending_len, bytes.ptr, bytes.len);
    w->pending_len += bytes.len;
    return 0;
}

uint64_t layout_writer_size(const struct layout_writer *w)
{
    return w->size;
}

static int give_name(struct layout_writer *w, const char *path, struct error *err)
{
    int dir_fd = w->layout->dir_fd;
    char proc[64];

    if (w->temp[0]) {
        if (renameat(dir_fd, w->temp, dir_fd, path) < 0)
            return error_errno(err, "cannot name blob '%s'", path);
        w->temp[0] = '\0';
        return 0;
    }
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", w->fd);
    if (linkat(AT_FDCWD, proc, dir_fd, path, AT_SYMLINK_FOLLOW) < 0 && errno != EEXIST)
        return error_errno(err, "cannot name blob '%s'", path);
    return 0;
}

static int finish(struct layout_writer *w, const char *path, struct error *err)
{
    CLEANUP(fd) int blobs_fd = -1;
    bool sync = w->layout->flags & LAYOUT_SYNC;

    if (sync && fsync(w->fd) < 0)
        return error_errno(err, "cannot sync a blob");
    if (give_name(w, path, err) < 0)
        return -1;
    if (!sync)
        return 0;
    if (fs_open_dir(w->layout->dir_fd, "blobs/sha256", &blobs_fd, err) < 0)
        return -1;
    return fs_sync_dir(blobs_fd, err);
}

/* A file of another length under that name is the wreck of a power cut: it makes way. */
static bool is_there(const struct layout_writer *w, const char *path)
{
    struct stat info;

    if (fstatat(w->layout->dir_fd, path, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    if (S_ISREG(info.st_mode) && (uint64_t)info.st_size == w->size)
        return true;
    (void)unlinkat(w->layout->dir_fd, path, 0); /* if that fails, giving the name says so */
    return false;
}

int layout_writer_commit(struct layout_writer *w, const struct digest *expected,
                         struct digest *ret_digest, struct error *err)
{
    char path[BLOB_PATH_SIZE];

    if (flush(w, err) < 0)
        return -1;
    struct digest got = sha256_end_digest(w->hash);
    if (expected && !digest_equal(expected, &got)) {
        return error_set(err, ERR_UNTRUSTED, "digest mismatch: expected %s, got %s", expected->text,
                         got.text);
    }
    layout_blob_path(&got, path);
    if (!is_there(w, path) && finish(w, path, err) < 0)
        return layout_failed(w->layout, err);
    *ret_digest = got;
    return 0;
}

void layout_writer_free(struct layout_writer *w)
{
    if (!w)
        return;
    if (w->temp[0])
        (void)unlinkat(w->layout->dir_fd, w->temp,
                       0); /* nobody knows its name; nothing more to do */
    io_close(&w->fd);
    sha256_free(w->hash);
    free(w->pending);
    free(w);
}
