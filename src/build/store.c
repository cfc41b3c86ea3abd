/* build/store.c - what an app's builds leave for the next one.
 *
 *   HOME/gate/cache/apps/NAME/lock          held during a build: one at a time
 *   HOME/gate/cache/apps/NAME/layers/       overlay lowerdir of /layers: cached layers, metadata of
 * the others HOME/gate/cache/apps/NAME/record.json   {"lowers","layers":{"BP/NAME":{…}},"stores"}
 * of the last build HOME/gate/cache/apps/NAME/results/KEY   what was built from inputs with that
 * digest (build.c)
 *
 * What is restored (buildpacks spec, "Layer types"): cache=true: folder and metadata; launch=true
 * alone: metadata; else nothing. A layer that no build wrote to keeps its folder and its blob. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "build/lifecycle.h"
#include "build/tree.h"

static char *layer_key(const struct build_layer *layer)
{
    return str_format("%s/%s", layer->buildpack->escaped, layer->name);
}

static char *app_path(const struct build *b, const char *name)
{
    return fs_join(b->app_dir, name);
}

/* A launch layer that is not kept comes from the last image; if the target layout does not hold it,
 * the buildpack must not be told that it is there. */
static int forget_missing(struct build *b, struct error *err)
{
    const char *key;
    json_t *item;
    void *next;

    json_object_foreach_safe(json_object_get(b->record, "layers"), next, key, item)
    {
        CLEANUP(text) char *toml = str_format("%s/layers/%s.toml", b->app_dir, key);
        struct descriptor blob;
        struct error none = ERROR_INIT;
        if (!toml)
            return error_no_memory(err);
        if (!json_bool_at(item, "launch", false) || json_bool_at(item, "cache", false) ||
            (descriptor_from_json(item, &blob, &none) == 0 && layout_has(b->layout, &blob.digest)))
            continue;
        if (fs_remove(AT_FDCWD, toml, err) < 0)
            return -1;
        if (json_object_del(json_object_get(b->record, "layers"), key) < 0)
            return error_no_memory(err);
    }
    return 0;
}

int store_open(struct build *b, struct error *err)
{
    CLEANUP(text) char *lock = app_path(b, "lock");
    CLEANUP(text) char *layers = app_path(b, "layers");
    CLEANUP(text) char *results = app_path(b, "results");
    CLEANUP(text) char *path = app_path(b, "record.json");
    struct error none = ERROR_INIT;
    const json_t *item;
    size_t i;

    if (!lock || !layers || !results || !path)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, layers, 0755, err) < 0 ||
        fs_make_dirs(AT_FDCWD, results, 0755, err) < 0 ||
        fs_lock(AT_FDCWD, lock, true, &b->lock_fd, err) < 0)
        return -1;
    if (json_read_file(AT_FDCWD, path, &b->record, &none) < 0)
        b->record =
            json_object(); /* the first build, or a record that was cut off: all is built anew */
    if (!b->record)
        return error_no_memory(err);
    json_array_foreach(json_object_get(b->record, "lowers"), i, item)
    {
        const char *lower = json_string_value(item);
        if (lower && fs_exists(AT_FDCWD, lower))
            strv_add(&b->lowers, lower);
    }
    return forget_missing(b, err) < 0 ? -1 : strv_ok(&b->lowers, err);
}

static const json_t *recorded(const struct build *b, const struct build_layer *layer)
{
    CLEANUP(text) char *key = layer_key(layer);

    return key ? json_object_get(json_object_get(b->record, "layers"), key) : NULL;
}

bool store_last_layer(const struct build *b, const struct build_layer *layer, struct layer *ret)
{
    const json_t *item = recorded(b, layer);
    struct error none = ERROR_INIT;

    return item && descriptor_from_json(item, &ret->descriptor, &none) == 0 &&
           digest_parse(str_of(json_str_at(item, "diffID")), &ret->diff_id) &&
           layout_has(b->layout, &ret->descriptor.digest);
}

/* --- saving --- */

static bool is_kept(const struct build_layer *layer)
{
    return layer->buildpack->dir && (layer->cache || layer->launch);
}

static json_t *layer_record(const struct build_layer *layer)
{
    json_t *item = layer->launch ? descriptor_to_json(&layer->layer.descriptor) : json_object();

    if (!item ||
        json_object_set_new(item, "diffID",
                            json_string(layer->launch ? layer->layer.diff_id.text : "")) < 0 ||
        json_object_set_new(item, "launch", json_boolean(layer->launch)) < 0 ||
        json_object_set_new(item, "cache", json_boolean(layer->cache)) < 0 ||
        json_object_set_new(item, "data", layer->data ? json_incref(layer->data) : json_null()) <
            0) {
        json_decref(item);
        return NULL;
    }
    return item;
}

static json_t *make_record(const struct build *b)
{
    json_t *record = json_pack("{s:[],s:{},s:O}", "lowers", "layers", "stores", b->stores);

    for (size_t i = 0; record && i < b->lowers.count; i++)
        json_array_append_new(json_object_get(record, "lowers"), json_string(b->lowers.items[i]));
    for (size_t i = 0; record && i < b->layer_count; i++) {
        CLEANUP(text) char *key = layer_key(&b->layers[i]);
        if (!is_kept(&b->layers[i]))
            continue;
        if (!key || json_object_set_new(json_object_get(record, "layers"), key,
                                        layer_record(&b->layers[i])) < 0) {
            json_decref(record);
            return NULL;
        }
    }
    return record;
}

static int write_owned(const struct build *b, int dir_fd, const char *name, const json_t *tree,
                       struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(TOML_MAX);

    if (toml_write(tree, &text, err) < 0 ||
        fs_write_quick(dir_fd, name, buf_str(&text), 0644, err) < 0)
        return -1;
    if (fchownat(dir_fd, name, b->stack->uid, b->stack->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "giving '%s' its owner", name);
    return 0;
}

static int make_owned_dir(const struct build *b, int dir_fd, const char *name, int *ret_fd,
                          struct error *err)
{
    if (mkdirat(dir_fd, name, 0755) < 0 && errno != EEXIST)
        return error_errno(err, "making '%s'", name);
    if (fchownat(dir_fd, name, b->stack->uid, b->stack->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "giving '%s' its owner", name);
    return fs_open_dir(dir_fd, name, ret_fd, err);
}

/* Metadata, and the folder if it was written to: copied out of the sandbox. */
static int save_layer(const struct build *b, const struct build_layer *layer, int next_fd,
                      struct error *err)
{
    CLEANUP(fd) int pack = -1;
    CLEANUP(fd) int to = -1;
    CLEANUP(fd) int from = -1;
    CLEANUP(text) char *toml = str_format("%s.toml", layer->name);
    CLEANUP(text) char *path = layer_key(layer);
    CLEANUP(json) json_t *file = json_pack("{s:O*}", "metadata", layer->data);

    if (!toml || !path || !file)
        return error_no_memory(err);
    if (make_owned_dir(b, next_fd, layer->buildpack->escaped, &pack, err) < 0 ||
        write_owned(b, pack, toml, file, err) < 0)
        return -1;
    if (!layer->cache || !layer->has_dir || !layer->changed)
        return 0;
    if (make_owned_dir(b, pack, layer->name, &to, err) < 0 ||
        fs_open_beneath(sandbox_layers_fd(b->sandbox), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                        &from, err) < 0)
        return -1;
    return tree_copy(from, to, b->stack->uid, b->stack->gid, NULL, err);
}

/* Folders that nothing was written to move over as they are. Only after the sandbox is gone: it had
 * them mounted. */
static int move_unchanged(const struct build *b, const char *layers, const char *next,
                          struct error *err)
{
    for (size_t i = 0; i < b->layer_count; i++) {
        const struct build_layer *layer = &b->layers[i];
        CLEANUP(text) char *key = layer_key(layer);
        CLEANUP(text) char *from = key ? fs_join(layers, key) : NULL;
        CLEANUP(text) char *to = key ? fs_join(next, key) : NULL;
        if (!from || !to)
            return error_no_memory(err);
        if (is_kept(layer) && layer->cache && layer->has_dir && !layer->changed &&
            fs_exists(AT_FDCWD, from) && fs_rename(AT_FDCWD, from, to, err) < 0)
            return -1;
    }
    return 0;
}

static bool any_changed(const struct build *b, const json_t *record)
{
    for (size_t i = 0; i < b->layer_count; i++) {
        if (is_kept(&b->layers[i]) && b->layers[i].cache && b->layers[i].changed)
            return true;
    }
    return !json_equal(json_object_get(record, "layers"), json_object_get(b->record, "layers"));
}

static int save_layers(struct build *b, struct error *err)
{
    CLEANUP(text) char *layers = app_path(b, "layers");
    CLEANUP(text) char *next = app_path(b, "layers.next");
    CLEANUP(text) char *old = app_path(b, "layers.old");
    CLEANUP(fd) int next_fd = -1;

    if (!layers || !next || !old)
        return error_no_memory(err);
    if (fs_remove_tree(AT_FDCWD, next, err) < 0 || fs_remove_tree(AT_FDCWD, old, err) < 0 ||
        fs_make_dirs(AT_FDCWD, next, 0755, err) < 0 ||
        fs_open_dir(AT_FDCWD, next, &next_fd, err) < 0)
        return -1;
    for (size_t i = 0; i < b->layer_count; i++) {
        if (is_kept(&b->layers[i]) && save_layer(b, &b->layers[i], next_fd, err) < 0)
            return error_wrap(err, "keeping layer '%s'", b->layers[i].name);
    }
    sandbox_free(TAKE(b->sandbox));
    if (move_unchanged(b, layers, next, err) < 0 || fs_rename(AT_FDCWD, layers, old, err) < 0 ||
        fs_rename(AT_FDCWD, next, layers, err) < 0)
        return -1;
    return fs_remove_tree(AT_FDCWD, old, err);
}

int store_save(struct build *b, struct error *err)
{
    CLEANUP(json) json_t *record = make_record(b);
    CLEANUP(text) char *path = app_path(b, "record.json");
    CLEANUP(buf) struct buf text = BUF_INIT(16 << 20);
    int64_t start = clock_monotonic_ms();

    if (!record || !path)
        return error_no_memory(err);
    if (json_equal(record, b->record) && !any_changed(b, record))
        return 0;
    if (any_changed(b, record) && save_layers(b, err) < 0)
        return error_wrap(err, "keeping what the next build can use");
    if (json_write(record, false, &text, err) < 0 ||
        fs_write_quick(AT_FDCWD, path, buf_str(&text), 0644, err) < 0)
        return -1;
    build_say(b, BUILD_PHASE, "cache: kept for the next build (%lld ms)",
              (long long)(clock_monotonic_ms() - start));
    return 0;
}
