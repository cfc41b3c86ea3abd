/* build/stack_merge.c - Debian packages merged into one tree, without maintainer scripts.
 *
 * What the scripts would have made is made here: the usrmerge links, ca-certificates.crt, users,
 * dpkg's records (status.d/NAME, as distroless images keep them), the links of update-alternatives.
 * What no container reads (manuals, translations, character set tables) is left out; copyright
 * files stay. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/proc.h"
#include "build/stack_internal.h"

enum {
    FILE_MAX = 512 << 20, /* bytes of one file: cc1 of gcc 12 has 33 MB */
    TRUST_MAX = 16 << 20,
};

/* Where the tree goes. Paths are without a leading slash, already under usr/. */
struct sink_ops {
    int (*dir)(void *ctx, const char *path, uint32_t mode, struct error *err);
    int (*file)(void *ctx, const char *path, uint32_t mode, struct str bytes, struct error *err);
    int (*symlink)(void *ctx, const char *path, const char *target, struct error *err);
    void (*owner)(void *ctx, uint32_t uid, uint32_t gid);
};
struct sink {
    const struct sink_ops *ops;
    void *ctx;
};

/* --- into a layer --- */

static int layer_dir(void *ctx, const char *path, uint32_t mode, struct error *err)
{
    return layer_add_dir(ctx, path, mode, err);
}

static int layer_file(void *ctx, const char *path, uint32_t mode, struct str bytes,
                      struct error *err)
{
    return layer_add_file(ctx, path, mode, bytes, err);
}

static int layer_symlink(void *ctx, const char *path, const char *target, struct error *err)
{
    return layer_add_symlink(ctx, path, target, err);
}

static void layer_owner(void *ctx, uint32_t uid, uint32_t gid)
{
    layer_set_owner(ctx, uid, gid);
}

static const struct sink_ops layer_ops = {layer_dir, layer_file, layer_symlink, layer_owner};

/* --- into a folder --- */

struct folder {
    int fd;
    uint32_t uid, gid;
};

static int folder_parent(const struct folder *f, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return 0;
    CLEANUP(text) char *parent = strndup(path, (size_t)(slash - path));
    if (!parent)
        return error_no_memory(err);
    return fs_make_dirs(f->fd, parent, 0755, err);
}

static int folder_dir(void *ctx, const char *path, uint32_t mode, struct error *err)
{
    const struct folder *f = ctx;

    if (fs_make_dirs(f->fd, path, 0755, err) < 0)
        return -1;
    if (fchmodat(f->fd, path, mode, 0) < 0 || fchownat(f->fd, path, f->uid, f->gid, 0) < 0)
        return error_errno(err, "setting mode of '%s'", path);
    return 0;
}

static int folder_file(void *ctx, const char *path, uint32_t mode, struct str bytes,
                       struct error *err)
{
    const struct folder *f = ctx;
    CLEANUP(fd) int fd = -1;

    if (folder_parent(f, path, err) < 0 ||
        fs_open_beneath(f->fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &fd, err) < 0 ||
        io_write(fd, bytes.ptr, bytes.len, err) < 0)
        return -1;
    if (fchmod(fd, mode) < 0 || fchown(fd, f->uid, f->gid) < 0)
        return error_errno(err, "setting mode of '%s'", path);
    return 0;
}

static int folder_symlink(void *ctx, const char *path, const char *target, struct error *err)
{
    const struct folder *f = ctx;

    if (folder_parent(f, path, err) < 0 || fs_remove(f->fd, path, err) < 0)
        return -1;
    if (symlinkat(target, f->fd, path) < 0)
        return error_errno(err, "linking '%s'", path);
    return 0;
}

static void folder_owner(void *ctx, uint32_t uid, uint32_t gid)
{
    struct folder *f = ctx;

    f->uid = uid;
    f->gid = gid;
}

static const struct sink_ops folder_ops = {folder_dir, folder_file, folder_symlink, folder_owner};

/* --- what is kept, and where --- */

static bool is_dropped(struct str path)
{
    static const char *const trees[] = {
        "usr/share/man/",
        "usr/share/info/",
        "usr/share/locale/",
        "usr/share/lintian/",
        "usr/share/bug/",
        "usr/share/menu/",
        "usr/share/zoneinfo/right/",
        "usr/share/zoneinfo/posix/",
        "usr/share/bash-completion/",
        "usr/share/doc-base/",
        "usr/share/groff/",
        "usr/share/debianutils/",
        "usr/share/pixmaps/",
        "usr/share/applications/",
        "usr/share/ca-certificates/",
        "etc/update-motd.d/",
        "etc/skel/",
        "var/backups/",
        "usr/share/gdb/",
        "usr/share/gcc/",
        "usr/lib/x86_64-linux-gnu/gconv/",
        "usr/lib/aarch64-linux-gnu/gconv/",
    };

    for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
        struct str tree = str_of(trees[i]);
        if (str_starts(path, tree) || str_equal(path, str_first(tree, tree.len - 1)))
            return true;
    }
    if (str_starts(path, STR("usr/share/doc/")))
        return !str_ends(path, STR("/copyright"));
    return str_is(path, "usr/share/doc");
}

/* "./lib/x" → "usr/lib/x": the folders that usrmerge joined. NULL without memory. */
static char *merged_path(struct str path)
{
    static const char *const joined[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};

    if (str_starts(path, STR("./")))
        path = str_skip(path, 2);
    path = str_trim_end(path, '/');
    for (size_t i = 0; i < ARRAY_LEN(joined); i++) {
        struct str name = str_of(joined[i]);
        if (str_starts(path, name) && (path.len == name.len || path.ptr[name.len] == '/'))
            return str_format("usr/%.*s", STR_ARG(path));
    }
    return str_dup(path);
}

struct merge {
    const struct merge_options *options;
    const struct sink *sink;
    struct buf certificates; /* of usr/share/ca-certificates, in the archive's order */
};

static int read_entry(struct archive *archive, struct buf *out, struct error *err)
{
    for (;;) {
        char *room = buf_room(out, 64 << 10);
        if (!room)
            return buf_ok(out, err);
        ssize_t got = archive_read_data(archive, room, 64 << 10);
        if (got < 0)
            return error_set(err, ERR_INVALID, "%s", archive_error_string(archive));
        if (got == 0)
            return 0;
        buf_grew(out, (size_t)got);
    }
}

static int add_file(struct merge *m, struct archive *archive, struct archive_entry *entry,
                    const char *path, struct error *err)
{
    CLEANUP(buf) struct buf bytes = BUF_INIT(FILE_MAX);
    uint32_t mode =
        (uint32_t)archive_entry_perm(entry) & 0777; /* no setuid: nothing here needs it */

    if (read_entry(archive, &bytes, err) < 0)
        return -1;
    return m->sink->ops->file(m->sink->ctx, path, mode, buf_str(&bytes), err);
}

static int add_entry(struct merge *m, struct archive *archive, struct archive_entry *entry,
                     struct error *err)
{
    CLEANUP(text) char *path = merged_path(str_of(archive_entry_pathname(entry)));
    const char *hard = archive_entry_hardlink(entry);

    if (!path)
        return error_no_memory(err);
    if (strstr(path, "usr/share/ca-certificates/") == path && str_ends(str_of(path), STR(".crt"))) {
        if (read_entry(archive, &m->certificates, err) < 0)
            return -1;
        buf_add_char(&m->certificates, '\n');
        return buf_ok(&m->certificates, err);
    }
    if (!path[0] || str_is(str_of(path), ".") || is_dropped(str_of(path)))
        return 0;
    if (hard) { /* a link says the same in a read-only tree, and needs no second copy */
        CLEANUP(text) char *target = merged_path(str_of(hard));
        CLEANUP(text) char *absolute = target ? str_format("/%s", target) : NULL;
        if (!absolute)
            return error_no_memory(err);
        return m->sink->ops->symlink(m->sink->ctx, path, absolute, err);
    }
    switch (archive_entry_filetype(entry)) {
    case AE_IFDIR:
        return m->sink->ops->dir(m->sink->ctx, path, (uint32_t)archive_entry_perm(entry) & 01777,
                                 err);
    case AE_IFLNK:
        return m->sink->ops->symlink(m->sink->ctx, path, archive_entry_symlink(entry), err);
    case AE_IFREG:
        return add_file(m, archive, entry, path, err);
    default:
        return 0; /* device nodes: the runtime makes its own */
    }
}

static int read_tar(struct merge *m, int fd, struct error *err)
{
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    int result = 0, code;

    if (!archive)
        return error_no_memory(err);
    archive_read_support_format_tar(archive);
    if (archive_read_open_fd(archive, fd, 256 << 10) != ARCHIVE_OK)
        result = error_set(err, ERR_INVALID, "%s", archive_error_string(archive));
    while (result == 0 && (code = archive_read_next_header(archive, &entry)) != ARCHIVE_EOF) {
        if (code < ARCHIVE_WARN)
            result = error_set(err, ERR_INVALID, "%s", archive_error_string(archive));
        else
            result = add_entry(m, archive, entry, err);
    }
    archive_read_free(archive);
    return result;
}

static int merge_package(struct merge *m, const struct deb *deb, struct error *err)
{
    const char *const argv[] = {"dpkg-deb", "--fsys-tarfile", deb->file, NULL};
    struct proc_options options = PROC_OPTIONS_INIT;
    CLEANUP(fd) int out = -1;
    CLEANUP(fd) int in = -1;
    int ends[2], status = 0;
    pid_t pid;
    char text[64];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(err, "making a pipe");
    in = ends[0];
    out = ends[1];
    (void)fcntl(in, F_SETPIPE_SZ, 1 << 20); /* only speed */
    options.argv = argv;
    options.stdout_fd = out;
    options.stderr_fd = STDERR_FILENO;
    options.die_with_parent = true;
    if (proc_start(&options, &pid, err) < 0)
        return -1;
    io_close(&out);
    int result = read_tar(m, in, err);
    io_close(&in);
    if (result < 0) {
        proc_stop(pid, 0);
        return error_wrap(err, "unpacking package '%s'", deb->name);
    }
    if (proc_wait(pid, 60000, &status, err) < 0)
        return -1;
    if (status != 0)
        return error_set(err, ERR_SYSTEM, "dpkg-deb %s on '%s'",
                         proc_status_text(status, text, sizeof(text)), deb->file);
    CLEANUP(text) char *record = str_format("var/lib/dpkg/status.d/%s", deb->name);
    if (!record)
        return error_no_memory(err);
    return m->sink->ops->file(m->sink->ctx, record, 0644, str_of(deb->control), err);
}

/* --- what maintainer scripts would have made --- */

static int add_text(const struct sink *sink, const char *path, const char *take_text,
                    struct error *err)
{
    if (!take_text)
        return error_no_memory(err);
    int result = sink->ops->file(sink->ctx, path, 0644, str_of(take_text), err);
    free((char *)take_text);
    return result;
}

static int add_users(const struct merge_options *o, const struct sink *sink, struct error *err)
{
    if (add_text(sink, "etc/passwd",
                 str_format("root:x:0:0:root:/root:/sbin/nologin\n"
                            "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
                            "%s:x:%u:%u:%s:/home/%s:/sbin/nologin\n",
                            o->user_name, o->uid, o->gid, o->user_name, o->user_name),
                 err) < 0)
        return -1;
    if (add_text(
            sink, "etc/group",
            str_format("root:x:0:\ntty:x:5:\nnogroup:x:65534:\n%s:x:%u:\n", o->user_name, o->gid),
            err) < 0)
        return -1;
    /* without it the C library asks DNS before /etc/hosts */
    if (add_text(sink, "etc/nsswitch.conf",
                 str_format("passwd: files\ngroup: files\nhosts: files dns\nservices: files\n"),
                 err) < 0)
        return -1;

    CLEANUP(text) char *home = str_format("home/%s", o->user_name);
    if (!home)
        return error_no_memory(err);
    sink->ops->owner(sink->ctx, o->uid, o->gid);
    if (sink->ops->dir(sink->ctx, home, 0755, err) < 0)
        return -1;
    sink->ops->owner(sink->ctx, 0, 0);
    return 0;
}

static int add_folders(const struct sink *sink, struct error *err)
{
    static const struct {
        const char *path;
        uint32_t mode;
    } folders[] = {{"usr/bin", 0755},   {"usr/sbin", 0755}, {"usr/lib", 0755}, {"usr/lib64", 0755},
                   {"tmp", 01777},      {"var/tmp", 01777}, {"run", 0755},     {"proc", 0755},
                   {"sys", 0755},       {"dev", 0755},      {"etc", 0755},     {"root", 0700},
                   {"workspace", 0755}, {"layers", 0755},   {"platform", 0755}};
    static const char *const links[][2] = {
        {"bin", "usr/bin"}, {"sbin", "usr/sbin"}, {"lib", "usr/lib"}, {"lib64", "usr/lib64"}};

    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        if (sink->ops->dir(sink->ctx, folders[i].path, folders[i].mode, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        if (sink->ops->symlink(sink->ctx, links[i][0], links[i][1], err) < 0)
            return -1;
    }
    return 0;
}

static int add_links(const struct strv *links, const struct sink *sink, struct error *err)
{
    for (size_t i = 0; links && i < links->count; i++) {
        const char *equal = strchr(links->items[i], '=');
        CLEANUP(text)
        char *path =
            merged_path(str_slice(links->items[i], equal ? (size_t)(equal - links->items[i]) : 0));
        if (!path)
            return error_no_memory(err);
        if (equal && sink->ops->symlink(sink->ctx, path, equal + 1, err) < 0)
            return -1;
    }
    return 0;
}

static int merge(const struct merge_options *options, const struct sink *sink, struct error *err)
{
    struct merge m = {options, sink, BUF_INIT(TRUST_MAX)};
    CLEANUP(buf) struct buf certificates = BUF_INIT(TRUST_MAX);
    int result = add_folders(sink, err);

    for (size_t i = 0; result == 0 && i < options->debs->count; i++)
        result = merge_package(&m, &options->debs->items[i], err);
    certificates = m.certificates;
    if (result < 0 || add_users(options, sink, err) < 0 || add_links(options->links, sink, err) < 0)
        return -1;
    buf_add_str(&certificates, options->trust);
    if (buf_ok(&certificates, err) < 0)
        return -1;
    if (certificates.len == 0)
        return 0;
    return sink->ops->file(sink->ctx, "etc/ssl/certs/ca-certificates.crt", 0644,
                           buf_str(&certificates), err);
}

int merge_into_layer(const struct merge_options *options, struct layout *layout, struct layer *ret,
                     struct error *err)
{
    const struct layer_options layer = {.flags = LAYER_DROP_SETUID,
                                        .mtime_s = LAYER_CNB_MTIME,
                                        .level = 6}; /* made once, pulled often */
    CLEANUP(layer_writer) struct layer_writer *writer = NULL;

    if (layer_writer_new(layout, &layer, &writer, err) < 0)
        return -1;
    const struct sink sink = {&layer_ops, writer};
    if (merge(options, &sink, err) < 0)
        return error_wrap(err, "making the base layer");
    return layer_finish(writer, ret, err);
}

int merge_into_dir(const struct merge_options *options, const char *dir, struct error *err)
{
    struct folder folder = {.fd = -1};

    if (fs_make_dirs(AT_FDCWD, dir, 0755, err) < 0)
        return -1;
    CLEANUP(fd) int fd = -1;
    if (fs_open_dir(AT_FDCWD, dir, &fd, err) < 0)
        return -1;
    folder.fd = fd;
    const struct sink sink = {&folder_ops, &folder};
    if (merge(options, &sink, err) < 0)
        return error_wrap(err, "unpacking the build image");
    return 0;
}
