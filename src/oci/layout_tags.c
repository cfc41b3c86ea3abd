/* oci/layout_tags.c - tags: index.json, and refs/ that is made from it; see layout.h.
 *
 * index.json is the one truth, so that other tools may read and write it. With many tags it is
 * large, so we never parse it in normal work: we write an entry a line, and change it by lines.
 * refs/ answers look-ups. refs/.index holds the identity of the index.json that refs/ agrees with;
 * if it differs, another tool wrote (or we were killed in between), and refs/ is made anew from
 * index.json. */
#include "oci/layout_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "oci/reference.h"

#define INDEX_HEAD "{\"schemaVersion\":2,\"mediaType\":\"" OCI_INDEX "\",\"manifests\":[\n"
#define INDEX_TAIL "\n]}\n"
#define REF_NAME   "org.opencontainers.image.ref.name"
#define REFS_STAMP "refs/.index"

enum {
    INDEX_MAX = 256 << 20, /* bytes: about a million tags */
    REF_MAX = 64 << 10,    /* bytes: one descriptor */
    REF_NAME_MAX = REFERENCE_REPOSITORY_MAX + 1 + REFERENCE_TAG_MAX + 1,
    REF_PATH_SIZE = 512,
    REFS_DEPTH_MAX = 130, /* folders: a name of 255 bytes has 128 components at most */
};

/* --- identity of index.json --- */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void stamp_text(const struct stat *info, char *out, size_t out_size)
{
    snprintf(out, out_size, "%llu %lld %lld.%09ld\n", (unsigned long long)info->st_ino,
             (long long)info->st_size, (long long)info->st_mtim.tv_sec, info->st_mtim.tv_nsec);
}

static int stat_index(const struct layout *layout, struct stat *ret, struct error *err)
{
    if (fstatat(layout->dir_fd, "index.json", ret, 0) < 0)
        return error_errno(err, "cannot stat 'index.json'");
    return 0;
}

static bool stamp_agrees(const struct layout *layout, const struct stat *info)
{
    CLEANUP(buf) struct buf text = BUF_INIT(256);
    struct error ignored = ERROR_INIT; /* an unreadable stamp agrees with nothing */
    char expected[128];

    stamp_text(info, expected, sizeof(expected));
    return fs_read_at(layout->dir_fd, REFS_STAMP, &text, &ignored) == 0 &&
           str_is(buf_str(&text), expected);
}

static int write_stamp(struct layout *layout, struct error *err)
{
    char text[128];
    struct stat info;

    if (stat_index(layout, &info, err) < 0)
        return -1;
    stamp_text(&info, text, sizeof(text));
    if (layout_write_file(layout, REFS_STAMP, str_of(text), false, err) < 0)
        return -1;
    layout->seen = info;
    return 0;
}

/* --- names and paths --- */

static void ref_name(const char *repository, const char *tag, char out[REF_NAME_MAX])
{
    snprintf(out, REF_NAME_MAX, "%s%s%s", repository, repository[0] ? ":" : "", tag);
}

static const char *ref_path(const char *repository, const char *tag, char out[REF_PATH_SIZE])
{
    snprintf(out, REF_PATH_SIZE, "refs/%s%s_tags%s%s", repository, repository[0] ? "/" : "",
             tag ? "/" : "", tag ? tag : "");
    return out;
}

static int check_names(const char *repository, const char *tag, struct error *err)
{
    if (repository[0] && !reference_is_repository(str_of(repository)))
        return error_set(err, ERR_INVALID, "'%.300s' is no repository name", repository);
    if (tag && !reference_is_tag(str_of(tag)))
        return error_set(err, ERR_INVALID, "'%.200s' is no tag", tag);
    return 0;
}

/* "repo:tag" or "tag" → parts. False: a name that only other tools understand. */
static bool split_ref_name(const char *name, struct reference *ret)
{
    struct str text = str_of(name);
    ptrdiff_t colon = str_find_last(text, ':');
    struct str repository = colon < 0 ? STR("") : str_first(text, (size_t)colon);
    struct str tag = str_skip(text, (size_t)(colon + 1));

    if ((colon >= 0 && !reference_is_repository(repository)) || !reference_is_tag(tag))
        return false;
    *ret = (struct reference){0};
    memcpy(ret->repository, repository.ptr, repository.len);
    memcpy(ret->tag, tag.ptr, tag.len);
    return true;
}

/* --- refs/ --- */

static int write_ref(struct layout *layout, const char *repository, const char *tag,
                     const struct descriptor *d, struct error *err)
{
    CLEANUP(json) json_t *entry = descriptor_to_json(d);
    CLEANUP(buf) struct buf text = BUF_INIT(REF_MAX);
    char path[REF_PATH_SIZE];

    if (!entry)
        return error_no_memory(err);
    if (json_write(entry, false, &text, err) < 0 ||
        fs_make_dirs(layout->dir_fd, ref_path(repository, NULL, path), 0755, err) < 0)
        return -1;
    return layout_write_file(layout, ref_path(repository, tag, path), buf_str(&text), false, err);
}

static int read_ref(const struct layout *layout, const char *path, struct descriptor *ret,
                    struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(REF_MAX);
    CLEANUP(json) json_t *entry = NULL;

    if (fs_read_at(layout->dir_fd, path, &text, err) < 0 ||
        json_parse(path, buf_str(&text), &entry, err) < 0)
        return -1;
    return descriptor_from_json(entry, ret, err);
}

static int remove_ref(struct layout *layout, const char *repository, const char *tag,
                      struct error *err)
{
    char path[REF_PATH_SIZE];
    return fs_remove(layout->dir_fd, ref_path(repository, tag, path), err);
}

typedef int ref_fn(struct layout *layout, const char *repository, const char *tag, void *ctx,
                   struct error *err);

/* Calls fn for every tag (tag NULL: once for every repository that has had one). */
static int each_ref(struct layout *layout, const char *repository, unsigned depth, bool tags,
                    ref_fn *fn, void *ctx, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;
    char folder[REF_PATH_SIZE];

    if (depth > REFS_DEPTH_MAX || strlen(repository) > REFERENCE_REPOSITORY_MAX)
        return 0;
    snprintf(folder, sizeof(folder), "refs/%s", repository);
    if (fs_list(layout->dir_fd, folder, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.items[i];
        if (strcmp(name, "_tags") == 0) {
            CLEANUP(strv) struct strv found = STRV_INIT;
            char path[REF_PATH_SIZE];
            if (!tags) {
                if (fn(layout, repository, NULL, ctx, err) < 0)
                    return -1;
                continue;
            }
            if (fs_list(layout->dir_fd, ref_path(repository, NULL, path), &found, err) < 0)
                return -1;
            for (size_t j = 0; j < found.count; j++)
                if (reference_is_tag(str_of(found.items[j])) &&
                    fn(layout, repository, found.items[j], ctx, err) < 0)
                    return -1;
        } else if (name[0] != '.') {
            CLEANUP(text)
            char *below = str_format("%s%s%s", repository, repository[0] ? "/" : "", name);
            if (!below)
                return error_no_memory(err);
            if (reference_is_repository(str_of(below)) &&
                each_ref(layout, below, depth + 1, tags, fn, ctx, err) < 0)
                return -1;
        }
    }
    return 0;
}

/* --- refs/ from an index.json that another tool wrote --- */

static int drop_unless_named(struct layout *layout, const char *repository, const char *tag,
                             void *ctx, struct error *err)
{
    const json_t *names = ctx;
    char name[REF_NAME_MAX];

    ref_name(repository, tag, name);
    return json_object_get(names, name) ? 0 : remove_ref(layout, repository, tag, err);
}

static int import_entry(struct layout *layout, const json_t *entry, json_t *names,
                        struct buf *lines, struct error *err)
{
    const char *name =
        json_string_value(json_object_get(json_object_get(entry, "annotations"), REF_NAME));
    struct reference ref;
    struct descriptor d;

    if (descriptor_from_json(entry, &d, err) < 0)
        return -1;
    if (name && split_ref_name(name, &ref)) {
        if (write_ref(layout, ref.repository, ref.tag, &d, err) < 0)
            return -1;
        if (json_object_set_new(names, name, json_true()) < 0)
            return error_no_memory(err);
    }
    if (lines->len > 0)
        buf_add_text(lines, ",\n");
    return json_write(entry, false, lines, err);
}

static int write_index(struct layout *layout, const struct buf *lines, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(INDEX_MAX);

    buf_add_text(&text, INDEX_HEAD);
    buf_add_str(&text, buf_str(lines));
    buf_add_text(&text, INDEX_TAIL);
    if (buf_ok(lines, err) < 0 || buf_ok(&text, err) < 0)
        return -1;
    return layout_write_file(layout, "index.json", buf_str(&text), true, err);
}

static int import(struct layout *layout, struct error *err)
{
    CLEANUP(json) json_t *root = NULL, *names = json_object();
    CLEANUP(buf) struct buf lines = BUF_INIT(INDEX_MAX);
    json_t *entry;
    size_t i;

    if (!names)
        return error_no_memory(err);
    if (json_read_file(layout->dir_fd, "index.json", &root, err) < 0)
        return -1;
    if (fs_make_dirs(layout->dir_fd, "refs", 0755, err) < 0)
        return -1;
    json_array_foreach(json_object_get(root, "manifests"), i, entry)
    {
        if (import_entry(layout, entry, names, &lines, err) < 0)
            return error_wrap(err, "index.json: manifests[%zu]", i);
    }
    if (each_ref(layout, "", 0, true, drop_unless_named, names, err) < 0 ||
        write_index(layout, &lines, err) < 0)
        return -1;
    return write_stamp(layout, err);
}

/* With the lock held. */
static int sync_locked(struct layout *layout, struct error *err)
{
    struct stat info;

    if (stat_index(layout, &info, err) < 0)
        return -1;
    if (!stamp_agrees(layout, &info))
        return import(layout, err);
    layout->seen = info;
    return 0;
}

/* refs/ agrees with index.json once this returns. */
static int sync_refs(struct layout *layout, struct error *err)
{
    CLEANUP(fd) int lock = -1;
    struct stat info;

    if (stat_index(layout, &info, err) < 0)
        return -1;
    if (same_file(&info, &layout->seen))
        return 0;
    if (stamp_agrees(layout, &info)) {
        layout->seen = info;
        return 0;
    }
    if (fs_lock(layout->dir_fd, "lock", true, &lock, err) < 0)
        return -1;
    return sync_locked(layout, err);
}

int layout_tags_create(struct layout *layout, struct error *err)
{
    CLEANUP(buf) struct buf none = BUF_INIT(16);
    CLEANUP(fd) int lock = -1;

    if (fs_exists(layout->dir_fd, "index.json"))
        return 0;
    if (fs_lock(layout->dir_fd, "lock", true, &lock, err) < 0)
        return -1;
    if (fs_exists(layout->dir_fd, "index.json"))
        return 0;
    return write_index(layout, &none, err) < 0 ? -1 : write_stamp(layout, err);
}

/* --- changes --- */

/* One line of index.json, in which names to be replaced are found by text: json_write() is ours and
 * has one form. */
static int index_line(const struct layout_tag_set *set, struct buf *line, struct error *err)
{
    CLEANUP(json) json_t *entry = descriptor_to_json(&set->descriptor);
    char name[REF_NAME_MAX];

    ref_name(set->repository, set->tag, name);
    if (!entry || json_object_set_new(entry, "annotations", json_pack("{s:s}", REF_NAME, name)) < 0)
        return error_no_memory(err);
    return json_write(entry, false, line, err);
}

typedef bool drop_fn(struct str line, const void *ctx);

/* Reads index.json (ours, checked by the stamp) and gives its lines without those that `drop` wants
 * gone. */
static int remaining_lines(struct layout *layout, drop_fn *drop, const void *ctx, struct buf *out,
                           struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(INDEX_MAX);

    if (fs_read_at(layout->dir_fd, "index.json", &text, err) < 0)
        return -1;
    struct str rest = buf_str(&text);
    if (!str_starts(rest, STR(INDEX_HEAD)) || !str_ends(rest, STR(INDEX_TAIL)) ||
        rest.len < strlen(INDEX_HEAD) + strlen(INDEX_TAIL))
        return error_set(err, ERR_CONFLICT, "index.json changed under our lock");
    rest = str_skip(rest, strlen(INDEX_HEAD));
    rest = str_first(rest, rest.len - strlen(INDEX_TAIL));
    while (rest.ptr) {
        struct str line = str_trim_end(str_cut(&rest, '\n'), ',');
        if (line.len == 0 || drop(line, ctx))
            continue;
        if (out->len > 0)
            buf_add_text(out, ",\n");
        buf_add_str(out, line);
    }
    return buf_ok(out, err);
}

struct tag_batch {
    const struct layout_tag_set *sets;
    size_t count;
};

static bool is_replaced(struct str line, const void *ctx)
{
    const struct tag_batch *batch = ctx;
    char name[REF_NAME_MAX], needle[REF_NAME_MAX + sizeof(REF_NAME) + 8];

    for (size_t i = 0; i < batch->count; i++) {
        ref_name(batch->sets[i].repository, batch->sets[i].tag, name);
        snprintf(needle, sizeof(needle), "\"" REF_NAME "\":\"%s\"", name);
        if (str_find_text(line, str_of(needle)) >= 0)
            return true;
    }
    return false;
}

static int apply_batch(struct layout *layout, const struct tag_batch *batch, struct error *err)
{
    CLEANUP(buf) struct buf lines = BUF_INIT(INDEX_MAX);

    if (sync_locked(layout, err) < 0 ||
        remaining_lines(layout, is_replaced, batch, &lines, err) < 0)
        return -1;
    for (size_t i = 0; i < batch->count; i++) {
        if (lines.len > 0)
            buf_add_text(&lines, ",\n");
        if (index_line(&batch->sets[i], &lines, err) < 0)
            return -1;
    }
    if (write_index(layout, &lines, err) < 0)
        return -1;
    for (size_t i = 0; i < batch->count; i++) {
        const struct layout_tag_set *set = &batch->sets[i];
        if (write_ref(layout, set->repository, set->tag, &set->descriptor, err) < 0)
            return -1;
    }
    return write_stamp(layout, err);
}

int layout_tag_all(struct layout *layout, const struct layout_tag_set *sets, size_t count,
                   struct error *err)
{
    CLEANUP(fd) int lock = -1;
    struct tag_batch batch = {sets, count};

    for (size_t i = 0; i < count; i++)
        if (check_names(sets[i].repository, sets[i].tag, err) < 0)
            return -1;
    if (fs_lock(layout->dir_fd, "lock", true, &lock, err) < 0 ||
        apply_batch(layout, &batch, err) < 0)
        return layout_failed(layout, err);
    return 0;
}

int layout_tag(struct layout *layout, const char *repository, const char *tag,
               const struct descriptor *descriptor, struct error *err)
{
    struct layout_tag_set set = {repository, tag, *descriptor};
    return layout_tag_all(layout, &set, 1, err);
}

/* With the lock held: lines go, then the refs in `names` ("repo:tag"). */
static int drop_lines(struct layout *layout, drop_fn *drop, const void *ctx,
                      const struct strv *names, struct error *err)
{
    CLEANUP(buf) struct buf lines = BUF_INIT(INDEX_MAX);
    struct reference ref;

    if (remaining_lines(layout, drop, ctx, &lines, err) < 0 || write_index(layout, &lines, err) < 0)
        return -1;
    for (size_t i = 0; i < names->count; i++)
        if (split_ref_name(names->items[i], &ref) &&
            remove_ref(layout, ref.repository, ref.tag, err) < 0)
            return -1;
    return write_stamp(layout, err);
}

int layout_untag(struct layout *layout, const char *repository, const char *tag, struct error *err)
{
    CLEANUP(fd) int lock = -1;
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct layout_tag_set set = {.repository = repository, .tag = tag};
    struct tag_batch batch = {&set, 1};
    struct descriptor d;
    char name[REF_NAME_MAX];

    if (layout_resolve(layout, repository, tag, &d, err) < 0)
        return -1;
    ref_name(repository, tag, name);
    strv_add(&names, name);
    if (strv_ok(&names, err) < 0 || fs_lock(layout->dir_fd, "lock", true, &lock, err) < 0 ||
        sync_locked(layout, err) < 0 || drop_lines(layout, is_replaced, &batch, &names, err) < 0)
        return layout_failed(layout, err);
    return 0;
}

static bool names_digest(struct str line, const void *ctx)
{
    return str_find_text(line, str_of(ctx)) >= 0;
}

struct digest_tags {
    const struct digest *digest;
    struct strv names;
};

static int collect_if_names(struct layout *layout, const char *repository, const char *tag,
                            void *ctx, struct error *err)
{
    struct digest_tags *found = ctx;
    char path[REF_PATH_SIZE], name[REF_NAME_MAX];
    struct descriptor d;

    if (read_ref(layout, ref_path(repository, tag, path), &d, err) < 0)
        return -1;
    if (digest_equal(&d.digest, found->digest)) {
        ref_name(repository, tag, name);
        strv_add(&found->names, name);
    }
    return strv_ok(&found->names, err);
}

int layout_untag_digest(struct layout *layout, const struct digest *digest, struct error *err)
{
    CLEANUP(fd) int lock = -1;
    struct digest_tags found = {.digest = digest};
    char needle[DIGEST_TEXT_SIZE + 16];
    int result;

    snprintf(needle, sizeof(needle), "\"digest\":\"%s\"", digest->text);
    if (fs_lock(layout->dir_fd, "lock", true, &lock, err) < 0 || sync_locked(layout, err) < 0)
        return layout_failed(layout, err);
    result = each_ref(layout, "", 0, true, collect_if_names, &found, err);
    if (result == 0 && found.names.count > 0)
        result = drop_lines(layout, names_digest, needle, &found.names, err);
    strv_done(&found.names);
    return result < 0 ? layout_failed(layout, err) : 0;
}

/* --- look-ups --- */

int layout_resolve(struct layout *layout, const char *repository, const char *tag,
                   struct descriptor *ret, struct error *err)
{
    char path[REF_PATH_SIZE];

    if (check_names(repository, tag, err) < 0)
        return -1;
    if (sync_refs(layout, err) < 0)
        return layout_failed(layout, err);
    int got = read_ref(layout, ref_path(repository, tag, path), ret, err);
    if (got < 0 && err->kind == ERR_INVALID) {
        /* refs/ is written without fsync: after a power cut it is made anew. */
        error_clear(err);
        layout->seen = (struct stat){0};
        if (fs_remove(layout->dir_fd, REFS_STAMP, err) < 0 || sync_refs(layout, err) < 0)
            return layout_failed(layout, err);
        got = read_ref(layout, path, ret, err);
    }
    if (got == 0)
        return 0;
    if (err->kind != ERR_NOT_FOUND)
        return layout_failed(layout, err);
    error_clear(err);
    return error_set(err, ERR_NOT_FOUND, "no tag '%s' in repository '%s'", tag, repository);
}

int layout_tags(struct layout *layout, const char *repository, struct strv *out, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;
    char folder[REF_PATH_SIZE];

    if (check_names(repository, NULL, err) < 0)
        return -1;
    if (sync_refs(layout, err) < 0)
        return layout_failed(layout, err);
    if (fs_list(layout->dir_fd, ref_path(repository, NULL, folder), &names, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return layout_failed(layout, err);
        error_clear(err);
        return error_set(err, ERR_NOT_FOUND, "no repository '%s'", repository);
    }
    for (size_t i = 0; i < names.count; i++)
        if (reference_is_tag(str_of(names.items[i])))
            strv_add(out, names.items[i]);
    return strv_ok(out, err);
}

static int add_repository(struct layout *layout, const char *repository, const char *tag, void *ctx,
                          struct error *err)
{
    struct strv *out = ctx;
    if (repository[0])
        strv_add(out, repository);
    return strv_ok(out, err);
}

int layout_repositories(struct layout *layout, struct strv *out, struct error *err)
{
    if (sync_refs(layout, err) < 0 || each_ref(layout, "", 0, false, add_repository, out, err) < 0)
        return layout_failed(layout, err);
    strv_sort(out);
    return 0;
}

int layout_watch(const struct layout *layout, int *ret_fd, struct error *err)
{
    CLEANUP(fd) int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    /* index.json is replaced by rename, ours and other tools' alike; some write it in place. */
    if (fd < 0 || inotify_add_watch(fd, layout->path, IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
        return error_errno(err, "cannot watch image store '%s'", layout->path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

void layout_watch_drain(int fd)
{
    char events[4096];

    while (read(fd, events, sizeof(events)) > 0)
        ; /* what changed is looked up; until it is empty, or an error that ends it too */
}
