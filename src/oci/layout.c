/* oci/layout.c - opening a store, its blobs and its cache; see layout.h. */
#include "oci/layout_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"

#define LAYOUT_HEADER "{\"imageLayoutVersion\":\"1.0.0\"}" /* image-layout.md, oci-layout file */

enum { HEADER_MAX = 4096, CACHE_VALUE_MAX = 16 << 20, CACHE_KEY_MAX = 200, STALE_S = 3600 };

int layout_failed(const struct layout *layout, struct error *err)
{
    if (err->kind == ERR_LIMIT && (err->sys_errno == ENOSPC || err->sys_errno == EDQUOT))
        return error_wrap(err, "image store '%s' is full, nothing was stored", layout->path);
    return error_wrap(err, "image store '%s'", layout->path);
}

const char *layout_blob_path(const struct digest *digest, char out[BLOB_PATH_SIZE])
{
    snprintf(out, BLOB_PATH_SIZE, "blobs/sha256/%s", digest_hex(digest));
    return out;
}

int layout_write_file(const struct layout *layout, const char *path, struct str bytes, bool sync,
                      struct error *err)
{
    if (sync && (layout->flags & LAYOUT_SYNC))
        return fs_write_atomic(layout->dir_fd, path, bytes, 0644, err);
    return fs_write_quick(layout->dir_fd, path, bytes, 0644, err);
}

static int check_header(const struct layout *layout, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(HEADER_MAX);
    CLEANUP(json) json_t *root = NULL;

    if (fs_read_at(layout->dir_fd, "oci-layout", &text, err) < 0)
        return -1;
    if (json_parse("oci-layout", buf_str(&text), &root, err) < 0)
        return -1;
    const char *version = json_str_at(root, "imageLayoutVersion");
    if (!version || strncmp(version, "1.", 2) != 0) {
        return error_set(err, ERR_INVALID,
                         "expected 'imageLayoutVersion' 1.x in oci-layout, got '%s'",
                         version ? version : "(none)");
    }
    return 0;
}

/* ".index.json.…" beside index.json: of a writer that was killed. Younger ones may be under way. */
static void sweep(const struct layout *layout)
{
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct error ignored = ERROR_INIT; /* what cannot be swept now is swept next time */
    struct stat info;

    if (fs_list(layout->dir_fd, ".", &names, &ignored) < 0)
        return;
    for (size_t i = 0; i < names.count; i++)
        if (strncmp(names.items[i], ".index.json.", 12) == 0 &&
            fstatat(layout->dir_fd, names.items[i], &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            info.st_mtime < clock_now_s() - STALE_S)
            (void)unlinkat(layout->dir_fd, names.items[i], 0); /* as above */
}

static int create(struct layout *layout, struct error *err)
{
    static const char *const folders[] = {"blobs/sha256", "refs", "referrers", "cache", "tmp"};

    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        if (fs_make_dirs(layout->dir_fd, folders[i], 0755, err) < 0)
            return -1;
    if (layout_tags_create(layout, err) < 0)
        return -1;
    sweep(layout);
    /* Last, so that a folder without it is a store that was never finished. */
    if (!fs_exists(layout->dir_fd, "oci-layout"))
        return layout_write_file(layout, "oci-layout", STR(LAYOUT_HEADER), true, err);
    return 0;
}

int layout_open(const char *path, int flags, struct layout **ret, struct error *err)
{
    CLEANUP(layout) struct layout *layout = calloc(1, sizeof(*layout));

    if (!layout)
        return error_no_memory(err);
    layout->dir_fd = -1;
    layout->flags = flags;
    layout->path = str_dup(str_of(path));
    if (!layout->path)
        return error_no_memory(err);
    if ((flags & LAYOUT_CREATE) && fs_make_dirs(AT_FDCWD, path, 0755, err) < 0)
        return layout_failed(layout, err);
    if (fs_open_dir(AT_FDCWD, path, &layout->dir_fd, err) < 0)
        return layout_failed(layout, err);
    if ((flags & LAYOUT_CREATE) && create(layout, err) < 0)
        return layout_failed(layout, err);
    if (check_header(layout, err) < 0)
        return layout_failed(layout, err);
    *ret = TAKE(layout);
    return 0;
}

void layout_free(struct layout *layout)
{
    if (!layout)
        return;
    io_close(&layout->dir_fd);
    free(layout->path);
    free(layout);
}

const char *layout_path(const struct layout *layout)
{
    return layout->path;
}

int layout_dir_fd(const struct layout *layout)
{
    return layout->dir_fd;
}

bool layout_has(const struct layout *layout, const struct digest *digest)
{
    char path[BLOB_PATH_SIZE];
    return digest->text[0] && fs_exists(layout->dir_fd, layout_blob_path(digest, path));
}

int layout_open_blob(const struct layout *layout, const struct digest *digest, int *ret_fd,
                     uint64_t *ret_size, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    char path[BLOB_PATH_SIZE];
    struct stat info;

    if (!digest->text[0])
        return error_set(err, ERR_INVALID, "no digest given");
    fd = openat(layout->dir_fd, layout_blob_path(digest, path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT) {
        return error_set(err, ERR_NOT_FOUND, "no blob %s in image store '%s'", digest->text,
                         layout->path);
    }
    if (fd < 0 || fstat(fd, &info) < 0) {
        (void)error_errno(err, "cannot open blob %s", digest->text);
        return layout_failed(layout, err);
    }
    if (!S_ISREG(info.st_mode))
        return error_set(err, ERR_INVALID, "blob %s is no regular file", digest->text);
    if (ret_size)
        *ret_size = (uint64_t)info.st_size;
    if (ret_fd)
        *ret_fd = TAKE_FD(fd);
    return 0;
}

int layout_read(const struct layout *layout, const struct digest *digest, struct buf *out,
                struct error *err)
{
    CLEANUP(fd) int fd = -1;
    uint64_t size;
    size_t start = out->len;

    if (layout_open_blob(layout, digest, &fd, &size, err) < 0)
        return -1;
    if (size > out->limit - start) {
        return error_set(err, ERR_LIMIT, "blob %s has %llu bytes, the limit here is %zu",
                         digest->text, (unsigned long long)size, out->limit - start);
    }
    if (io_read_all(fd, out, err) < 0)
        return error_wrap(err, "reading blob %s", digest->text);
    struct digest got = digest_of(str_skip(buf_str(out), start));
    if (!digest_equal(&got, digest)) {
        buf_truncate(out, start);
        return error_set(err, ERR_UNTRUSTED, "blob %s in '%s' is damaged: its bytes are %s",
                         digest->text, layout->path, got.text);
    }
    return 0;
}

int layout_put(struct layout *layout, const char *media_type, struct str bytes,
               struct descriptor *ret, struct error *err)
{
    struct descriptor d = descriptor_of(media_type, bytes);

    if (!layout_has(layout, &d.digest)) {
        CLEANUP(layout_writer) struct layout_writer *writer = NULL;
        struct digest got;

        if (layout_writer_new(layout, &writer, err) < 0 ||
            layout_writer_add(writer, bytes, err) < 0 ||
            layout_writer_commit(writer, &d.digest, &got, err) < 0)
            return -1;
    }
    *ret = d;
    return 0;
}

int layout_remove_blob(struct layout *layout, const struct digest *digest, struct error *err)
{
    char path[BLOB_PATH_SIZE];

    if (!layout_has(layout, digest)) {
        return error_set(err, ERR_NOT_FOUND, "no blob %s in image store '%s'", digest->text,
                         layout->path);
    }
    return fs_remove(layout->dir_fd, layout_blob_path(digest, path), err);
}

static int cache_path(const char *key, char *out, size_t out_size, struct error *err)
{
    size_t len = strlen(key);
    bool good = len > 0 && len <= CACHE_KEY_MAX && key[0] != '.';

    for (size_t i = 0; good && i < len; i++) {
        char c = key[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '-' || c == '_' || c == '.';
    }
    if (!good)
        return error_set(err, ERR_INVALID, "'%.100s' is no cache key", key);
    snprintf(out, out_size, "cache/%s", key);
    return 0;
}

int layout_cache_get(const struct layout *layout, const char *key, json_t **ret, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(CACHE_VALUE_MAX);
    char path[CACHE_KEY_MAX + 8];

    if (cache_path(key, path, sizeof(path), err) < 0 ||
        fs_read_at(layout->dir_fd, path, &text, err) < 0)
        return -1;
    if (json_parse(path, buf_str(&text), ret, err) < 0) {
        /* A half-written entry after a power cut is as good as none. */
        error_clear(err);
        return error_set(err, ERR_NOT_FOUND, "cache entry '%s' is damaged", key);
    }
    return 0;
}

int layout_cache_put(struct layout *layout, const char *key, const json_t *value, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(CACHE_VALUE_MAX);
    char path[CACHE_KEY_MAX + 8];

    if (cache_path(key, path, sizeof(path), err) < 0 || json_write(value, false, &text, err) < 0)
        return -1;
    if (fs_make_dirs(layout->dir_fd, "cache", 0755, err) < 0 ||
        layout_write_file(layout, path, buf_str(&text), false, err) < 0)
        return layout_failed(layout, err);
    return 0;
}
