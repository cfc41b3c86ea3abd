/* cluster/node/volume.c - volumes as folders below FOLDER/volumes, bind-mounted into containers.
 *
 * What comes from ConfigMaps, Secrets and the pod itself lies in a folder of its own that the link
 * "..data" names; an update makes a new folder and swings the link, so readers see the old or the
 * new, whole (as Kubernetes' AtomicWriter does). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "cluster/node/node_internal.h"

enum { VOLUME_FILE_MAX = 2 << 20, VOLUME_FILES_MAX = 1000 };

struct files {            /* of one volume: path → content, gathered before anything is written */
    json_t *modes;        /* owned: path → mode, in order */
    struct buf *contents; /* owned */
    size_t count;
};

static void files_done(struct files *files)
{
    for (size_t i = 0; i < files->count; i++)
        buf_done(&files->contents[i]);
    free(files->contents);
    json_decref(files->modes);
}
DEFINE_CLEANUP_VALUE(files, struct files, files_done)

/* Relative, without "..": the server checks so, too. */
static bool is_good_path(const char *path)
{
    struct str rest = str_of(path);

    if (!path || path[0] == '/' || path[0] == '\0' || strlen(path) > 4000)
        return false;
    while (rest.ptr) {
        struct str part = str_cut(&rest, '/');
        if (part.len == 0 || str_is(part, ".") || str_starts(part, STR("..")))
            return false;
    }
    return true;
}

static int add_file(struct files *files, const char *path, struct str bytes, bool is_base64,
                    int64_t mode, struct error *err)
{
    if (!is_good_path(path))
        return error_set(err, ERR_INVALID, "'%s' is no path for a file of a volume",
                         path ? path : "");
    if (files->count == VOLUME_FILES_MAX)
        return error_set(err, ERR_LIMIT, "more than %d files in a volume", VOLUME_FILES_MAX);
    if (!files->contents) {
        files->contents = calloc(VOLUME_FILES_MAX, sizeof(*files->contents));
        files->modes = json_object();
        if (!files->contents || !files->modes)
            return error_no_memory(err);
    }
    if (json_object_get(files->modes, path))
        return 0; /* the first source of a projected volume keeps it */
    struct buf *content = &files->contents[files->count++];
    *content = (struct buf)BUF_INIT(VOLUME_FILE_MAX);
    if (is_base64 && !base64_decode(bytes, content))
        return error_set(err, ERR_INVALID, "key '%s' of a Secret is not base64", path);
    if (!is_base64)
        buf_add_str(content, bytes);
    if (json_object_set_new(files->modes, path, json_integer(mode)) < 0)
        return error_no_memory(err);
    return buf_ok(content, err);
}

/* All keys, or those of `items` under their paths. */
static int add_keys(struct files *files, const json_t *object, const json_t *source, bool is_secret,
                    int64_t mode, struct error *err)
{
    const json_t *items = json_object_get(source, "items");
    const char *fields[] = {"data", "binaryData"}, *key;
    size_t i;
    json_t *item, *value;

    for (size_t f = 0; f < ARRAY_LEN(fields); f++) {
        bool is_base64 = is_secret || f == 1;
        const json_t *data = json_object_get(object, fields[f]);
        json_array_foreach((json_t *)items, i, item)
        {
            const char *name = json_str_at(item, "key"), *path = json_str_at(item, "path");
            const char *text = json_string_value(json_object_get(data, name ? name : ""));
            if (text && add_file(files, path, str_of(text), is_base64,
                                 json_int_at(item, "mode", mode), err) < 0)
                return -1;
        }
        if (items)
            continue;
        json_object_foreach((json_t *)data, key, value)
        {
            const char *text = json_string_value(value);
            if (text && add_file(files, key, str_of(text), is_base64, mode, err) < 0)
                return -1;
        }
    }
    return 0;
}

static int add_object(const struct pod *pod, struct files *files, const json_t *source,
                      bool is_secret, int64_t mode, struct error *err)
{
    const char *name = json_str_at(source, "name");
    if (!name)
        name = json_str_at(source, "secretName");
    const json_t *object = node_find(pod->node, is_secret ? MIRROR_SECRETS : MIRROR_CONFIGMAPS,
                                     pod->ns, name ? name : "");
    if (!object) {
        if (json_bool_at(source, "optional", false))
            return 0;
        return error_set(err, ERR_NOT_FOUND, "%s \"%s\" not found",
                         is_secret ? "secret" : "configmap", name ? name : "");
    }
    return add_keys(files, object, source, is_secret, mode, err);
}

/* key="value" lines, as the downward API writes labels and annotations. */
static char *map_text(const json_t *map)
{
    struct buf out = BUF_INIT(VOLUME_FILE_MAX);
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)map, key, value)
    {
        buf_add_text(&out, key);
        buf_add_char(&out, '=');
        json_add_quoted(&out, str_of(json_string_value(value)));
        buf_add_char(&out, '\n');
    }
    return out.len ? buf_take(&out) : str_dup(STR(""));
}

static int add_downward(const struct pod *pod, struct files *files, const json_t *source,
                        int64_t mode, struct error *err)
{
    size_t i;
    json_t *item;

    json_array_foreach(json_object_get(source, "items"), i, item)
    {
        const char *field = json_str_at(item, "fieldRef.fieldPath");
        CLEANUP(text) char *text = NULL;
        if (field &&
            (strcmp(field, "metadata.labels") == 0 || strcmp(field, "metadata.annotations") == 0))
            text = map_text(json_at(pod->object, field));
        else
            text = env_field(pod, field);
        if (!text)
            return error_set(err, ERR_UNSUPPORTED, "downwardAPI field '%s' is not offered",
                             field ? field : "");
        if (add_file(files, json_str_at(item, "path"), str_of(text), false,
                     json_int_at(item, "mode", mode), err) < 0)
            return -1;
    }
    return 0;
}

static int add_projected(const struct pod *pod, struct files *files, const json_t *volume,
                         int64_t mode, struct error *err)
{
    size_t i;
    json_t *source, *part;

    json_array_foreach(json_at(volume, "projected.sources"), i, source)
    {
        int failed = 0;
        if ((part = json_object_get(source, "configMap")))
            failed = add_object(pod, files, part, false, mode, err);
        else if ((part = json_object_get(source, "secret")))
            failed = add_object(pod, files, part, true, mode, err);
        else if ((part = json_object_get(source, "downwardAPI")))
            failed = add_downward(pod, files, part, mode, err);
        else /* serviceAccountToken */
            failed = error_set(err, ERR_UNSUPPORTED,
                               "this projected source is not offered by an embedded cluster");
        if (failed < 0)
            return -1;
    }
    return 0;
}

/* 1: a volume of files, now in `files`; 0: an empty folder; -1. */
static int gather(const struct pod *pod, const json_t *volume, struct files *files,
                  struct error *err)
{
    const json_t *source;

    if ((source = json_object_get(volume, "configMap")))
        return add_object(pod, files, source, false, json_int_at(source, "defaultMode", 0644),
                          err) < 0
                   ? -1
                   : 1;
    if ((source = json_object_get(volume, "secret")))
        return add_object(pod, files, source, true, json_int_at(source, "defaultMode", 0644), err) <
                       0
                   ? -1
                   : 1;
    if ((source = json_object_get(volume, "projected")))
        return add_projected(pod, files, volume, json_int_at(source, "defaultMode", 0644), err) < 0
                   ? -1
                   : 1;
    if ((source = json_object_get(volume, "downwardAPI")))
        return add_downward(pod, files, source, json_int_at(source, "defaultMode", 0644), err) < 0
                   ? -1
                   : 1;
    return 0;
}

static int64_t fs_group(const struct pod *pod)
{
    return json_int_at(pod->object, "spec.securityContext.fsGroup", -1);
}

/* The group may read what the mode lets the owner read, as Kubernetes with an fsGroup. */
static int give_to_group(const struct pod *pod, const char *path, mode_t mode, struct error *err)
{
    int64_t gid = fs_group(pod);

    if (gid < 0)
        return 0;
    if (chown(path, 0, (gid_t)gid) < 0 || chmod(path, mode | ((mode & 0400) ? 0040 : 0)) < 0)
        return error_errno(err, "giving '%s' to group %lld", path, (long long)gid);
    return 0;
}

static int write_one(const struct pod *pod, const char *folder, const char *path,
                     const struct buf *content, mode_t mode, struct error *err)
{
    CLEANUP(text) char *full = fs_join(folder, path);
    ptrdiff_t slash = str_find_last(str_of(path), '/');

    if (!full)
        return error_no_memory(err);
    if (slash > 0) {
        CLEANUP(text)
        char *parent = str_dup(str_first(str_of(full), strlen(folder) + 1 + (size_t)slash));
        if (!parent)
            return error_no_memory(err);
        if (fs_make_dirs(AT_FDCWD, parent, 0755, err) < 0)
            return -1;
    }
    if (fs_write_quick(AT_FDCWD, full, buf_str(content), mode, err) < 0)
        return -1;
    return give_to_group(pod, full, mode, err);
}

/* NAME → ..data/NAME for the first part of each path. */
static int link_names(const char *volume, const json_t *modes, struct error *err)
{
    const char *path;
    json_t *mode;

    json_object_foreach((json_t *)modes, path, mode)
    {
        struct str rest = str_of(path);
        struct str first = str_cut(&rest, '/');
        CLEANUP(text) char *link = str_format("%s/%.*s", volume, STR_ARG(first));
        CLEANUP(text) char *target = str_format("..data/%.*s", STR_ARG(first));
        if (!link || !target)
            return error_no_memory(err);
        if (symlink(target, link) < 0 && errno != EEXIST)
            return error_errno(err, "making '%s'", link);
    }
    return 0;
}

static int write_files(const struct pod *pod, const char *volume, const struct files *files,
                       struct error *err)
{
    CLEANUP(text) char *stamp = str_format("..%lld", (long long)clock_monotonic_us());
    CLEANUP(text) char *folder = stamp ? fs_join(volume, stamp) : NULL;
    CLEANUP(text) char *data = fs_join(volume, "..data");
    CLEANUP(text) char *fresh = fs_join(volume, "..data_tmp");
    CLEANUP(buf) struct buf old = BUF_INIT(4096);
    struct error ignored = ERROR_INIT;
    const char *path;
    json_t *mode;
    size_t i = 0;

    if (!folder || !data || !fresh)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, folder, 0755, err) < 0)
        return -1;
    json_object_foreach(files->modes, path, mode)
    {
        if (write_one(pod, folder, path, &files->contents[i++],
                      (mode_t)json_integer_value(mode) & 0777, err) < 0)
            return -1;
    }
    bool had_old = fs_read_link(AT_FDCWD, data, &old, &ignored) == 0; /* none: the first time */
    (void)unlink(fresh);                                              /* of a crash, or absent */
    if (symlink(stamp, fresh) < 0 || rename(fresh, data) < 0)
        return error_errno(err, "changing '%s'", data);
    if (link_names(volume, files->modes, err) < 0)
        return -1;
    if (had_old) {
        CLEANUP(text) char *gone = fs_join(volume, buf_text(&old));
        if (gone)
            return fs_remove_tree(AT_FDCWD, gone, err);
    }
    return 0;
}

/* hostPath is the machine's own tree: only where there is no governance, and only if it exists. */
static int check_host_path(const struct pod *pod, const json_t *source, struct error *err)
{
    const char *path = json_str_at(source, "path");

    if (!pod->node->is_inner)
        return error_set(err, ERR_DENIED, "hostPath volumes are not offered by an outer cluster");
    if (!path || path[0] != '/' || !fs_exists(AT_FDCWD, path))
        return error_set(err, ERR_NOT_FOUND, "hostPath '%s' does not exist", path ? path : "");
    return 0;
}

static int make_volume(const struct pod *pod, const json_t *volume, struct error *err)
{
    const char *name = json_str_at(volume, "name");
    CLEANUP(text) char *folder = str_format("%s/volumes/%s", pod->folder, name ? name : "");
    CLEANUP(files) struct files files = {0};

    if (!folder)
        return error_no_memory(err);
    if (!is_good_path(name))
        return error_set(err, ERR_INVALID, "a volume without a good name");
    if (json_object_get(volume, "hostPath"))
        return check_host_path(pod, json_object_get(volume, "hostPath"), err);
    int is_files = gather(pod, volume, &files, err);
    if (is_files < 0)
        return -1;
    if (!is_files && !json_object_get(volume, "emptyDir"))
        return error_set(err, ERR_UNSUPPORTED,
                         "volume '%s': this type is not offered by an embedded cluster", name);
    bool is_new = !fs_exists(AT_FDCWD, folder);
    if (fs_make_dirs(AT_FDCWD, folder, 0755, err) < 0)
        return -1;
    if (is_files)
        return write_files(pod, folder, &files, err);
    if (!is_new)
        return 0; /* what containers wrote into it stays */
    if (chmod(folder, 0777) < 0 ||
        (fs_group(pod) >= 0 &&
         (chown(folder, 0, (gid_t)fs_group(pod)) < 0 || chmod(folder, 02777) < 0)))
        return error_errno(err, "opening '%s'", folder);
    return 0;
}

int volume_make_all(struct pod *pod, struct error *err)
{
    size_t i;
    json_t *volume;

    json_array_foreach(json_at(pod->object, "spec.volumes"), i, volume)
    {
        if (make_volume(pod, volume, err) < 0)
            return error_wrap(err, "volume \"%s\"", json_str_at(volume, "name"));
    }
    return 0;
}

static bool volume_uses(const json_t *volume, enum mirror kind, const char *name)
{
    const char *keys[2] = {kind == MIRROR_SECRETS ? "secret.secretName" : "configMap.name",
                           kind == MIRROR_SECRETS ? "secret.name" : "configMap.name"};
    const char *own = json_str_at(volume, keys[0]);
    size_t i;
    json_t *source;

    if (own && strcmp(own, name) == 0)
        return true;
    json_array_foreach(json_at(volume, "projected.sources"), i, source)
    {
        const char *have = json_str_at(source, keys[1]);
        if (have && strcmp(have, name) == 0)
            return true;
    }
    return false;
}

void volume_refresh(struct pod *pod, enum mirror kind, const char *name)
{
    size_t i;
    json_t *volume;

    if (pod->phase != POD_RUNNING)
        return;
    json_array_foreach(json_at(pod->object, "spec.volumes"), i, volume)
    {
        struct error err = ERROR_INIT;
        if (volume_uses(volume, kind, name) && make_volume(pod, volume, &err) < 0)
            pod_event(pod, "Warning", "FailedMount", "%s", err.text);
    }
}

static const json_t *find_volume(const struct pod *pod, const char *name)
{
    size_t i;
    json_t *volume;

    json_array_foreach(json_at(pod->object, "spec.volumes"), i, volume)
    {
        const char *have = json_str_at(volume, "name");
        if (have && name && strcmp(have, name) == 0)
            return volume;
    }
    return NULL;
}

/* A part of a volume that a container may have filled with links: resolved beneath it, and named by
 * an open descriptor, which nobody can move any more. The descriptor lives as long as this worker.
 */
static int sub_path(const char *root, const char *path, struct strv *keep, struct error *err)
{
    CLEANUP(fd) int dir = -1;
    CLEANUP(text) char *full = fs_join(root, path);
    int fd = -1;

    if (!full)
        return error_no_memory(err);
    if (!is_good_path(path))
        return error_set(err, ERR_INVALID, "subPath '%s' is no relative path", path);
    if (fs_open_dir(AT_FDCWD, root, &dir, err) < 0)
        return -1;
    if (fs_open_beneath(dir, path, O_PATH, 0, &fd, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        if (mkdirat(dir, path, 0777) < 0)
            return error_errno(err, "making subPath '%s'", path);
        if (fs_open_beneath(dir, path, O_PATH, 0, &fd, err) < 0)
            return -1;
    }
    strv_addf(keep, "/proc/%d/fd/%d", (int)getpid(), fd);
    return 0;
}

int volume_add_mounts(const struct container *container, struct container_mount *mounts, size_t max,
                      size_t *count, struct strv *keep, struct error *err)
{
    const struct pod *pod = container->pod;
    size_t i, first = keep->count, at = *count;
    json_t *item;

    json_array_foreach(json_object_get(container_spec(container), "volumeMounts"), i, item)
    {
        const char *name = json_str_at(item, "name"), *part = json_str_at(item, "subPath");
        const char *target = json_str_at(item, "mountPath");
        const json_t *volume = find_volume(pod, name);
        const char *host = json_str_at(volume, "hostPath.path");
        CLEANUP(text)
        char *root = host ? str_dup(str_of(host))
                          : str_format("%s/volumes/%s", pod->folder, name ? name : "");
        if (!root)
            return error_no_memory(err);
        if (!volume || !target || target[0] != '/')
            return error_set(err, ERR_INVALID,
                             "volumeMount '%s' names no volume or no absolute path",
                             name ? name : "");
        if (at == max)
            return error_set(err, ERR_LIMIT, "more than %zu mounts", max);
        if (part && part[0]) {
            if (sub_path(root, part, keep, err) < 0)
                return -1;
        } else {
            strv_add(keep, root);
        }
        bool is_files = !json_object_get(volume, "emptyDir") && !host;
        mounts[at++] = (struct container_mount){
            .kind = is_files || json_bool_at(item, "readOnly", false) ? CONTAINER_BIND_RO
                                                                      : CONTAINER_BIND_RW,
            .target = target,
        };
    }
    if (strv_ok(keep, err) < 0)
        return -1;
    for (size_t m = *count; m < at; m++) /* only now: the list may have moved its items' array */
        mounts[m].source = keep->items[first + m - *count];
    *count = at;
    return 0;
}
