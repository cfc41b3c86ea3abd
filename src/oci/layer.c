/* oci/layer.c - making a layer; see layer.h. */
#include "oci/layer_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum {
    HEADER_MAX = 128 << 10, /* bytes: header, pax records with two long paths */
    MODE_MAX = 07777,
};

int layer_writer_new(struct layout *layout, const struct layer_options *options,
                     struct layer_writer **ret, struct error *err)
{
    struct layer_writer *w;

    if (options->mtime_s < 0 || options->level < 0 || options->level > 12)
        return error_set(err, ERR_INVALID, "layer: time before 1970 or level above 12");
    w = calloc(1, sizeof(*w));
    if (!w)
        return error_no_memory(err);
    w->layout = layout;
    w->options = *options;
    *ret = w;
    return 0;
}

void layer_writer_free(struct layer_writer *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->count; i++)
        layer_entry_done(&w->entries[i]);
    for (size_t i = 0; i < w->tree_count; i++)
        io_close(&w->tree_fds[i]);
    free(w->entries);
    free(w->tree_fds);
    free(w);
}

void layer_set_owner(struct layer_writer *w, uint32_t uid, uint32_t gid)
{
    w->options.uid = uid;
    w->options.gid = gid;
}

static int add(struct layer_writer *w, const char *path, enum layer_kind kind, uint32_t mode,
               struct str bytes, const char *target, struct error *err)
{
    struct layer_entry entry = {.kind = kind,
                                .mode = mode & MODE_MAX,
                                .uid = w->options.uid,
                                .gid = w->options.gid,
                                .size = bytes.len};

    if (kind == LAYER_FILE && (mode & (S_ISUID | S_ISGID))) {
        if (w->options.flags & LAYER_DROP_SETUID)
            entry.mode &= ~(uint32_t)(S_ISUID | S_ISGID);
        else if (!(w->options.flags & LAYER_ALLOW_SETUID))
            return error_set(err, ERR_DENIED, "'%s' has a setuid or setgid bit", path);
    }
    if (layer_clean_path(path, &entry.path, err) < 0)
        return -1;
    if (entry.path[0] == '\0') {
        layer_entry_done(&entry);
        return kind == LAYER_DIR ? 0 : error_set(err, ERR_INVALID, "layer: the root is a folder");
    }
    entry.bytes = kind == LAYER_FILE ? str_dup(bytes) : NULL;
    entry.link = target ? str_dup(str_of(target)) : NULL;
    if ((kind == LAYER_FILE && !entry.bytes) || (target && !entry.link)) {
        layer_entry_done(&entry);
        return error_no_memory(err);
    }
    return layer_push(w, &entry, err);
}

int layer_add_dir(struct layer_writer *w, const char *path, uint32_t mode, struct error *err)
{
    return add(w, path, LAYER_DIR, mode, STR(""), NULL, err);
}

int layer_add_file(struct layer_writer *w, const char *path, uint32_t mode, struct str bytes,
                   struct error *err)
{
    return add(w, path, LAYER_FILE, mode, bytes, NULL, err);
}

int layer_add_symlink(struct layer_writer *w, const char *path, const char *target,
                      struct error *err)
{
    return add(w, path, LAYER_SYMLINK, 0777, STR(""), target, err);
}

int layer_add_whiteout(struct layer_writer *w, const char *path, struct error *err)
{
    CLEANUP(text) char *clean = NULL;

    if (layer_clean_path(path, &clean, err) < 0)
        return -1;
    if (clean[0] == '\0')
        return error_set(err, ERR_INVALID, "layer: the root cannot be removed");
    char *slash = strrchr(clean, '/');
    int folder_len = slash ? (int)(slash + 1 - clean) : 0;
    CLEANUP(text) char *name = str_format("%.*s.wh.%s", folder_len, clean, clean + folder_len);
    if (!name)
        return error_no_memory(err);
    return add(w, name, LAYER_FILE, 0, STR(""), NULL, err);
}

/* `left` bytes of the file, straight into the packer's pieces. */
static int pack_fd(struct layer_packer *packer, int fd, uint64_t left, const char *path,
                   struct error *err)
{
    while (left > 0) {
        size_t room;
        char *to = layer_packer_room(packer, &room, err);
        if (!to)
            return -1;
        ssize_t got = read(fd, to, left < room ? (size_t)left : room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(err, "cannot read '%s'", path);
        if (got == 0)
            return error_set(err, ERR_CONFLICT, "'%s' became shorter while it was read", path);
        layer_packer_grew(packer, (size_t)got);
        left -= (uint64_t)got;
    }
    return 0;
}

static int pack_source(const struct layer_writer *w, const struct layer_entry *entry,
                       struct layer_packer *packer, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    struct stat info;

    if (fs_open_beneath(w->tree_fds[entry->tree], entry->source, O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
                        0, &fd, err) < 0)
        return -1;
    if (fstat(fd, &info) < 0)
        return error_errno(err, "cannot stat '%s'", entry->source);
    if (!S_ISREG(info.st_mode) || (uint64_t)info.st_size != entry->size)
        return error_set(err, ERR_CONFLICT, "'%s' changed while its layer was made", entry->source);
    return pack_fd(packer, fd, entry->size, entry->source, err);
}

static int pack_entry(const struct layer_writer *w, const struct layer_entry *entry,
                      struct layer_packer *packer, struct buf *header, struct error *err)
{
    static const char zeros[TAR_BLOCK];

    buf_clear(header);
    layer_tar_header(entry, w->options.mtime_s, header);
    if (buf_ok(header, err) < 0 || layer_packer_add(packer, buf_str(header), err) < 0)
        return -1;
    if (entry->kind != LAYER_FILE)
        return 0;
    if (entry->source && entry->size > 0 && pack_source(w, entry, packer, err) < 0)
        return -1;
    if (!entry->source &&
        layer_packer_add(packer, str_slice(entry->bytes, (size_t)entry->size), err) < 0)
        return -1;
    size_t over = entry->size % TAR_BLOCK;
    return over ? layer_packer_add(packer, str_slice(zeros, TAR_BLOCK - over), err) : 0;
}

int layer_finish(struct layer_writer *w, struct layer *ret, struct error *err)
{
    static const char end[2 * TAR_BLOCK];
    CLEANUP(layer_packer) struct layer_packer *packer = NULL;
    CLEANUP(buf) struct buf header = BUF_INIT(HEADER_MAX);

    if (layer_arrange(w, err) < 0 || layer_packer_new(w->layout, &w->options, &packer, err) < 0)
        return -1;
    for (size_t i = 0; i < w->count; i++)
        if (pack_entry(w, &w->entries[i], packer, &header, err) < 0)
            return error_wrap(err, "making a layer");
    if (layer_packer_add(packer, str_slice(end, sizeof(end)), err) < 0)
        return -1;
    return layer_packer_finish(packer, ret, err);
}

int layer_cached(const struct layout *layout, const char *key, struct layer *ret, struct error *err)
{
    CLEANUP(json) json_t *value = NULL;
    struct layer layer = {0};
    uint64_t size;

    if (layout_cache_get(layout, key, &value, err) < 0)
        return -1;
    const char *diff_id = json_str_at(value, "diffID");
    if (descriptor_from_json(json_object_get(value, "descriptor"), &layer.descriptor, err) < 0)
        return error_wrap(err, "cache entry '%s'", key);
    if (!diff_id || !digest_parse(str_of(diff_id), &layer.diff_id))
        return error_set(err, ERR_INVALID, "cache entry '%s' has no 'diffID'", key);
    if (layout_open_blob(layout, &layer.descriptor.digest, NULL, &size, err) < 0)
        return -1;
    if (size != layer.descriptor.size)
        return error_set(err, ERR_NOT_FOUND, "the blob of cache entry '%s' is damaged", key);
    *ret = layer;
    return 0;
}

int layer_remember(struct layout *layout, const char *key, const struct layer *layer,
                   struct error *err)
{
    json_t *descriptor = descriptor_to_json(&layer->descriptor);
    CLEANUP(json)
    json_t *value =
        json_pack("{s:o, s:s}", "descriptor", descriptor, "diffID", layer->diff_id.text);

    if (!value)
        return error_no_memory(err);
    return layout_cache_put(layout, key, value, err);
}
