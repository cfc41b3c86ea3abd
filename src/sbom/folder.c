/* sbom/folder.c - the inventory of a folder of source: what its lock files say will be installed.
 *
 * The tree is walked without following links; node_modules is only entered where no lock file was
 * found. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "base/fs.h"
#include "sbom/sbom_internal.h"

enum { FOLDER_DEPTH_MAX = 48, FOLDER_ENTRIES_MAX = 2000000 };

struct walk {
    struct layer_facts *facts;
    struct buf path; /* of the folder, relative to the root: "a/b" */
    uint64_t entries;
    bool enters_modules;
};

static int walk_folder(struct walk *w, int take_fd, int depth, struct error *err);

static int take_file(struct walk *w, int dir_fd, const char *name, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    struct str path = buf_str(&w->path);
    enum evidence_kind kind;
    struct stat st;
    size_t limit;

    kind = evidence_kind_of(path, 0, &limit);
    if (kind == EVIDENCE_NONE || kind == EVIDENCE_NODE)
        return 0;
    fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return layer_facts_add_fault(w->facts, kind, path, "cannot be read", err);
    if ((uint64_t)st.st_size > limit)
        return layer_facts_add_fault(w->facts, kind, path, "larger than it may be", err);
    CLEANUP(buf) struct buf text = BUF_INIT(limit + 1);
    if (io_read_all(fd, &text, err) < 0)
        return error_wrap(err, "reading '%.*s'", STR_ARG(path));
    return layer_facts_add(w->facts, kind, path, buf_str(&text), err);
}

static int enter(struct walk *w, int dir_fd, const char *name, int depth, struct error *err)
{
    int fd;

    if (strcmp(name, ".git") == 0 || (strcmp(name, "node_modules") == 0 && !w->enters_modules))
        return 0;
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return 0; /* a link, or gone, or not ours to read: no evidence of what is installed */
    return walk_folder(w, fd, depth + 1, err);
}

static int take_entry(struct walk *w, int dir_fd, const struct dirent *entry, int depth,
                      struct error *err)
{
    size_t before = w->path.len;
    int rc = 0;

    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return 0;
    if (++w->entries > FOLDER_ENTRIES_MAX)
        return error_set(err, ERR_LIMIT, "more than %d files", FOLDER_ENTRIES_MAX);
    if (before)
        buf_add_char(&w->path, '/');
    buf_add_text(&w->path, entry->d_name);
    if (buf_ok(&w->path, err) < 0)
        return -1;
    if (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN)
        rc = enter(w, dir_fd, entry->d_name, depth, err);
    if (rc == 0 && (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN))
        rc = take_file(w, dir_fd, entry->d_name, err);
    buf_truncate(&w->path, before);
    return rc;
}

static int walk_folder(struct walk *w, int take_fd, int depth, struct error *err)
{
    DIR *dir = fdopendir(take_fd);
    struct dirent *entry;
    int rc = 0;

    if (!dir) {
        io_close(&take_fd);
        return error_errno(err, "reading the folder '%s'", buf_text(&w->path));
    }
    if (depth > FOLDER_DEPTH_MAX)
        rc = error_set(err, ERR_LIMIT, "folders nested deeper than %d", FOLDER_DEPTH_MAX);
    while (rc == 0 && (errno = 0, entry = readdir(dir)))
        rc = take_entry(w, dirfd(dir), entry, depth, err);
    if (rc == 0 && errno)
        rc = error_errno(err, "reading the folder '%s'", buf_text(&w->path));
    (void)closedir(dir); /* reading only */
    return rc;
}

static bool has_lock(const struct layer_facts *facts)
{
    for (size_t i = 0; i < facts->count; i++) {
        if (facts->items[i].kind == EVIDENCE_NPM_LOCK && !facts->items[i].fault)
            return true;
    }
    return false;
}

static int read_folder(const char *path, bool enters_modules, struct layer_facts *facts,
                       struct error *err)
{
    struct walk w = {
        .facts = facts, .path = BUF_INIT(LAYER_PATH_LIMIT), .enters_modules = enters_modules};
    int fd = -1;
    int rc;

    if (fs_open_dir(AT_FDCWD, path, &fd, err) < 0)
        return -1;
    rc = walk_folder(&w, fd, 0, err);
    buf_done(&w.path);
    layer_facts_sort(facts);
    return rc < 0 ? error_wrap(err, "taking the inventory of '%s'", path) : 0;
}

int inventory_of_folder(const char *path, const struct inventory_options *options,
                        struct inventory **ret, struct error *err)
{
    CLEANUP(layer_facts) struct layer_facts facts = LAYER_FACTS_INIT;
    CLEANUP(inventory) struct inventory *inv = inventory_new();

    if (!inv)
        return error_no_memory(err);
    inv->name = options->name ? texts_add(&inv->texts, str_of(options->name)) : "";
    if (read_folder(path, false, &facts, err) < 0)
        return -1;
    if (!has_lock(&facts)) {
        layer_facts_done(&facts);
        if (read_folder(path, true, &facts, err) < 0)
            return -1;
    }
    if (merge_facts(inv, &facts, 1, options, err) < 0)
        return -1;
    *ret = TAKE(inv);
    return 0;
}
