/* build/export.c - the image: layers in the order base, runtime and dependencies (launch layers),
 * app, launcher, config, process types; labels and config (buildpacks spec, platform.md "exporter";
 * docs/design.md "Images"). */
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "build/lifecycle.h"
#include "oci/image.h"

enum { IMAGE_LAYERS = LAYERS_MAX + 8, APP_PORT = 8080 };

struct image_layers {
    struct layer layers[IMAGE_LAYERS];
    struct image_history history[IMAGE_LAYERS];
    char *texts[IMAGE_LAYERS]; /* owned: what history points to */
    size_t count;
    json_t *owners; /* owned: the label dev.monban.layers */
    struct digest app, launcher, config, process_types;
};

static void image_layers_done(struct image_layers *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->texts[i]);
    json_decref(l->owners);
}
DEFINE_CLEANUP_VALUE(image_layers, struct image_layers, image_layers_done)

static const char *app_team(const struct build *b)
{
    return b->options->team ? b->options->team : "app";
}

/* `take_history` is owned by the list from here on. */
static int add(const struct build *b, struct image_layers *l, const struct layer *layer,
               const char *owner, const char *name, char *take_history, struct error *err)
{
    bool is_app = strcmp(owner, "app") == 0 || strcmp(owner, "dependency") == 0;

    if (l->count == IMAGE_LAYERS || !take_history) {
        free(take_history);
        return error_no_memory(err);
    }
    l->texts[l->count] = take_history;
    l->history[l->count].created_by = take_history;
    l->layers[l->count++] = *layer;
    if (json_array_append_new(
            l->owners, json_pack("{s:s,s:s,s:s,s:s}", "diffID", layer->diff_id.text, "owner", owner,
                                 "team", is_app ? app_team(b) : b->stack->owner, "name", name)) < 0)
        return error_no_memory(err);
    return 0;
}

/* A blob of the shared layout in ours. A copy, verified on the way: with a hard link damage in one
 * layout would be damage in all. */
static int borrow_blob(const struct build *b, const struct digest *digest, struct error *err)
{
    CLEANUP(text)
    char *from = str_format("%s/blobs/sha256/%s", layout_path(b->shared), digest_hex(digest));
    CLEANUP(layout_writer) struct layout_writer *writer = NULL;
    CLEANUP(text) char *room = malloc(1 << 20);
    CLEANUP(fd) int fd = -1;
    struct digest written;
    size_t got;

    if (!from || !room)
        return error_no_memory(err);
    if (layout_has(b->layout, digest))
        return 0;
    if (fs_open_read(AT_FDCWD, from, &fd, err) < 0 ||
        layout_writer_new(b->layout, &writer, err) < 0)
        return -1;
    do {
        if (io_read(fd, room, 1 << 20, &got, err) < 0 ||
            layout_writer_add(writer, str_slice(room, got), err) < 0)
            return -1;
    } while (got == 1 << 20);
    return layout_writer_commit(writer, digest, &written, err);
}

static int add_base(struct build *b, struct image_layers *l, struct error *err)
{
    struct layer base = {.diff_id = b->stack->base_diff_id};
    CLEANUP(text)
    char *name = str_format("stack %s (%s %s)", b->stack->name, b->stack->distro_id,
                            b->stack->distro_version);

    base.descriptor.digest = b->stack->base_digest;
    base.descriptor.size = b->stack->base_size;
    snprintf(base.descriptor.media_type, sizeof(base.descriptor.media_type), "%s", OCI_LAYER_GZIP);
    if (!name)
        return error_no_memory(err);
    if (borrow_blob(b, &b->stack->base_digest, err) < 0)
        return error_wrap(err, "base layer");
    return add(b, l, &base, "base", name, str_format("Stack: '%s'", b->stack->name), err);
}

/* What is in the folder `fd`, as `prefix` of the image. */
static int folder_layer(struct build *b, int fd, const char *prefix, struct layer *ret,
                        struct error *err)
{
    const struct layer_options options = {
        .mtime_s = LAYER_CNB_MTIME, .uid = b->stack->uid, .gid = b->stack->gid};
    const struct layer_tree tree = {.prefix = prefix};
    CLEANUP(layer_writer) struct layer_writer *writer = NULL;
    CLEANUP(text) char *dir = str_format("/proc/self/fd/%d/.", fd);

    if (!dir)
        return error_no_memory(err);
    if (layer_writer_new(b->layout, &options, &writer, err) < 0 ||
        layer_add_tree(writer, dir, &tree, err) < 0)
        return -1;
    return layer_finish(writer, ret, err);
}

static int launch_layer(struct build *b, struct build_layer *layer, struct error *err)
{
    CLEANUP(text) char *below = str_format("%s/%s", layer->buildpack->escaped, layer->name);
    CLEANUP(text) char *prefix = below ? str_format("/layers/%s", below) : NULL;
    CLEANUP(fd) int fd = -1;

    if (!prefix)
        return error_no_memory(err);
    if (!layer->buildpack->dir)
        return borrow_blob(b, &layer->layer.descriptor.digest, err);
    if ((!layer->has_dir || !layer->changed) && store_last_layer(b, layer, &layer->layer))
        return 0;
    if (!layer->has_dir)
        return error_set(err, ERR_INVALID,
                         "%s: launch layer '%s' has no folder, and no image has it from before",
                         layer->buildpack->id, layer->name);
    /* beneath, and no link at its end: a buildpack may have put one there that leads to our /etc */
    if (fs_open_beneath(sandbox_layers_fd(b->sandbox), below, O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
                        0, &fd, err) < 0)
        return -1;
    return folder_layer(b, fd, prefix, &layer->layer, err);
}

static int add_launch_layers(struct build *b, struct image_layers *l, struct error *err)
{
    for (size_t i = 0; i < b->layer_count; i++) {
        struct build_layer *layer = &b->layers[i];
        const struct buildpack *pack = layer->buildpack;
        const char *owner = json_str_at(pack->owners, layer->name);
        CLEANUP(text)
        char *name = pack->dir ? str_format("%s:%s", pack->id, layer->name)
                               : str_format("node@%s", b->node.version);
        if (!layer->launch)
            continue;
        if (!name)
            return error_no_memory(err);
        if (launch_layer(b, layer, err) < 0)
            return error_wrap(err, "layer '%s' of %s", layer->name, pack->id);
        if (!pack->dir)
            owner = "runtime";
        if (add(b, l, &layer->layer, owner ? owner : "dependency", name,
                str_format("Layer: '%s', Created by buildpack: %s@%s", layer->name, pack->id,
                           pack->version),
                err) < 0)
            return -1;
    }
    return 0;
}

static int add_app(struct build *b, struct image_layers *l, struct error *err)
{
    struct layer layer;

    if (folder_layer(b, sandbox_workspace_fd(b->sandbox), "/workspace", &layer, err) < 0)
        return error_wrap(err, "app layer");
    l->app = layer.diff_id;
    return add(b, l, &layer, "app", "app", str_format("Application Layer"), err);
}

static int make_launcher(struct build *b, struct layer *ret, struct error *err)
{
    const struct layer_options options = {.mtime_s = LAYER_CNB_MTIME};
    CLEANUP(layer_writer) struct layer_writer *writer = NULL;
    CLEANUP(buf) struct buf program = BUF_INIT(4 << 20);
    struct error none = ERROR_INIT;

    if (fs_read_at(AT_FDCWD, b->launcher, &program, err) < 0)
        return error_wrap(err, "reading the launcher");
    struct digest digest = digest_of(buf_str(&program));
    CLEANUP(text) char *key = str_format("launcher-layer-1-%s", digest_hex(&digest));
    if (!key)
        return error_no_memory(err);
    if (layer_cached(b->layout, key, ret, &none) == 0)
        return 0;
    if (layer_writer_new(b->layout, &options, &writer, err) < 0 ||
        layer_add_dir(writer, "/cnb", 0755, err) < 0 ||
        layer_add_dir(writer, "/cnb/lifecycle", 0755, err) < 0 ||
        layer_add_file(writer, "/cnb/lifecycle/launcher", 0755, buf_str(&program), err) < 0 ||
        layer_finish(writer, ret, err) < 0)
        return -1;
    return layer_remember(b->layout, key, ret, err);
}

/* metadata.toml: what the launcher reads. */
static json_t *launch_metadata(const struct build *b)
{
    json_t *root = json_object(), *packs = json_array(), *processes = json_array(), *process;
    const char *type;

    if (b->default_process)
        json_object_set_new(root, "buildpack-default-process-type",
                            json_string(b->default_process));
    for (size_t i = 0; i < b->group_count; i++)
        json_array_append_new(packs, json_pack("{s:s,s:s,s:s}", "id", b->group[i]->id, "version",
                                               b->group[i]->version, "api", b->group[i]->api));
    json_object_foreach(b->processes, type, process) json_array_append(processes, process);
    if (json_object_set_new(root, "buildpacks", packs) < 0 ||
        json_object_set_new(root, "processes", processes) < 0) {
        json_decref(root);
        return NULL;
    }
    return root;
}

static int make_config(struct build *b, struct layer *ret, struct error *err)
{
    const struct layer_options options = {.mtime_s = LAYER_CNB_MTIME};
    CLEANUP(layer_writer) struct layer_writer *writer = NULL;
    CLEANUP(json) json_t *metadata = launch_metadata(b);
    CLEANUP(buf) struct buf text = BUF_INIT(TOML_MAX);

    if (!metadata)
        return error_no_memory(err);
    if (toml_write(metadata, &text, err) < 0 ||
        layer_writer_new(b->layout, &options, &writer, err) < 0 ||
        layer_add_dir(writer, "/layers/config", 0755, err) < 0 ||
        layer_add_file(writer, "/layers/config/metadata.toml", 0644, buf_str(&text), err) < 0)
        return -1;
    return layer_finish(writer, ret, err);
}

static int make_process_types(struct build *b, struct layer *ret, struct error *err)
{
    const struct layer_options options = {.mtime_s = LAYER_CNB_MTIME};
    CLEANUP(layer_writer) struct layer_writer *writer = NULL;
    const char *type;
    json_t *process;

    if (layer_writer_new(b->layout, &options, &writer, err) < 0 ||
        layer_add_dir(writer, "/cnb", 0755, err) < 0 ||
        layer_add_dir(writer, "/cnb/process", 0755, err) < 0)
        return -1;
    json_object_foreach(b->processes, type, process)
    {
        CLEANUP(text) char *path = str_format("/cnb/process/%s", type);
        if (!path)
            return error_no_memory(err);
        if (layer_add_symlink(writer, path, "/cnb/lifecycle/launcher", err) < 0)
            return -1;
    }
    return layer_finish(writer, ret, err);
}

static int add_platform_layers(struct build *b, struct image_layers *l, struct error *err)
{
    struct layer launcher, config, types;

    if (make_launcher(b, &launcher, err) < 0 || make_config(b, &config, err) < 0 ||
        make_process_types(b, &types, err) < 0)
        return error_wrap(err, "launcher and config layers");
    l->launcher = launcher.diff_id;
    l->config = config.diff_id;
    l->process_types = types.diff_id;
    if (add(b, l, &launcher, "platform", "launcher", str_format("Buildpacks Application Launcher"),
            err) < 0 ||
        add(b, l, &config, "platform", "config", str_format("Buildpacks Launcher Config"), err) < 0)
        return -1;
    return add(b, l, &types, "platform", "process-types", str_format("Buildpacks Process Types"),
               err);
}

/* --- labels --- */

static json_t *lifecycle_buildpack(const struct build *b, const struct buildpack *pack)
{
    json_t *layers = json_object();
    json_t *item =
        json_pack("{s:s,s:s,s:o}", "key", pack->id, "version", pack->version, "layers", layers);

    for (size_t i = 0; item && i < b->layer_count; i++) {
        const struct build_layer *layer = &b->layers[i];
        if (layer->buildpack == pack && layer->launch)
            json_object_set_new(
                layers, layer->name,
                json_pack("{s:s,s:o,s:b,s:b,s:b}", "sha", layer->layer.diff_id.text, "data",
                          layer->data ? json_incref(layer->data) : json_null(), "build",
                          (int)layer->build, "launch", 1, "cache", (int)layer->cache));
    }
    const json_t *store = json_object_get(b->stores, pack->id);
    if (item && store)
        json_object_set_new(item, "store", json_pack("{s:O}", "metadata", store));
    return item;
}

static json_t *lifecycle_metadata(const struct build *b, const struct image_layers *l)
{
    CLEANUP(text)
    char *reference = str_format("monban.stack/%s@%s", b->stack->name, b->stack->key.text);
    CLEANUP(text) char *image = str_format("monban.stack/%s", b->stack->name);
    json_t *packs = json_array();

    for (size_t i = 0; packs && i < b->group_count; i++)
        json_array_append_new(packs, lifecycle_buildpack(b, b->group[i]));
    if (!reference || !image)
        return NULL;
    return json_pack("{s:[{s:s}],s:o,s:{s:s},s:{s:s},s:{s:s},s:{s:s,s:s,s:s},s:{s:{s:s}}}", "app",
                     "sha", l->app.text, "buildpacks", packs, "config", "sha", l->config.text,
                     "launcher", "sha", l->launcher.text, "process-types", "sha",
                     l->process_types.text, "runImage", "topLayer", b->stack->base_diff_id.text,
                     "reference", reference, "image", image, "stack", "runImage", "image", image);
}

static json_t *build_metadata(const struct build *b)
{
    json_t *packs = json_array(), *processes = json_array(), *process;
    const char *type;

    for (size_t i = 0; i < b->group_count; i++)
        json_array_append_new(packs,
                              json_pack("{s:s,s:s,s:s}", "id", b->group[i]->id, "version",
                                        b->group[i]->version, "homepage", b->group[i]->homepage));
    json_object_foreach(b->processes, type, process)
    {
        json_t *dir = json_object_get(process, "working-dir");
        json_array_append_new(processes,
                              json_pack("{s:s,s:O,s:O,s:O,s:O,s:s}", "type", type, "command",
                                        json_object_get(process, "command"), "args",
                                        json_object_get(process, "args"), "direct",
                                        json_object_get(process, "direct"), "buildpackID",
                                        json_object_get(process, "buildpack-id"), "working-dir",
                                        dir ? json_string_value(dir) : "/workspace"));
    }
    return json_pack("{s:o,s:{s:s,s:{s:{s:s,s:s}}},s:o,s:s}", "buildpacks", packs, "launcher",
                     "version", "0.1.0", "source", "git", "repository", "monban", "commit", "",
                     "processes", processes, "buildpack-default-process-type",
                     b->default_process ? b->default_process : "");
}

static json_t *project_metadata(const struct build *b)
{
    const char *url = b->options->source_url;

    if (!b->options->commit)
        return json_object();
    return json_pack("{s:{s:s,s:{s:s},s:{s:s}}}", "source", "type", "git", "version", "commit",
                     b->options->commit, "metadata", "repository", url ? url : "");
}

/* Labels are texts: JSON within JSON. */
static int set_json(json_t *labels, const char *name, json_t *take_value, struct error *err)
{
    CLEANUP(json) json_t *value = take_value;
    CLEANUP(buf) struct buf text = BUF_INIT(4 << 20);

    if (!value)
        return error_no_memory(err);
    if (json_write(value, false, &text, err) < 0)
        return -1;
    return json_object_set_new(labels, name, json_string(buf_text(&text))) < 0
               ? error_no_memory(err)
               : 0;
}

static int set_text(json_t *labels, const char *name, const char *value, struct error *err)
{
    return json_object_set_new(labels, name, json_string(value)) < 0 ? error_no_memory(err) : 0;
}

static int make_labels(const struct build *b, const struct image_layers *l, json_t *labels,
                       struct error *err)
{
    const struct build_options *o = b->options;
    CLEANUP(text) char *stack_id = str_format("monban.%s", b->stack->name);

    if (!stack_id)
        return error_no_memory(err);
    if (set_json(labels, "io.buildpacks.lifecycle.metadata", lifecycle_metadata(b, l), err) < 0 ||
        set_json(labels, "io.buildpacks.build.metadata", build_metadata(b), err) < 0 ||
        set_json(labels, "io.buildpacks.project.metadata", project_metadata(b), err) < 0 ||
        set_json(labels, "dev.monban.layers", json_incref(l->owners), err) < 0 ||
        set_text(labels, "io.buildpacks.rebasable", "true", err) < 0 ||
        set_text(labels, "io.buildpacks.base.id", stack_id, err) < 0 ||
        set_text(labels, "io.buildpacks.base.maintainer", b->stack->owner, err) < 0 ||
        set_text(labels, "io.buildpacks.base.distro.name", b->stack->distro_id, err) < 0 ||
        set_text(labels, "io.buildpacks.base.distro.version", b->stack->distro_version, err) < 0 ||
        set_text(labels, "dev.monban.stack", b->stack->key.text, err) < 0 ||
        set_text(labels, "org.opencontainers.image.title", o->name, err) < 0)
        return -1;
    if (o->commit && set_text(labels, "org.opencontainers.image.revision", o->commit, err) < 0)
        return -1;
    if (o->source_url &&
        set_text(labels, "org.opencontainers.image.source", o->source_url, err) < 0)
        return -1;
    return json_object_update(labels, b->labels) < 0 ? error_no_memory(err) : 0;
}

static json_t *image_config(const struct build *b, json_t *labels)
{
    CLEANUP(text) char *user = str_format("%u:%u", b->stack->uid, b->stack->gid);
    CLEANUP(text) char *port = str_format("%d/tcp", APP_PORT);
    CLEANUP(text) char *port_env = str_format("PORT=%d", APP_PORT);
    CLEANUP(text) char *home = str_format("HOME=/home/%s", b->stack->user_name);
    CLEANUP(text)
    char *entry = b->default_process ? str_format("/cnb/process/%s", b->default_process)
                                     : strdup("/cnb/lifecycle/launcher");

    if (!user || !port || !port_env || !home || !entry)
        return NULL;
    return json_pack("{s:s,s:{s:{}},s:[s,s,s,s,s,s,s],s:[s],s:s,s:O}", "User", user, "ExposedPorts",
                     port, "Env", "PATH=/cnb/process:/cnb/lifecycle:/usr/local/bin:/usr/bin:/bin",
                     "CNB_LAYERS_DIR=/layers", "CNB_APP_DIR=/workspace",
                     "CNB_PLATFORM_API=" PLATFORM_API, "CNB_DEPRECATION_MODE=quiet", port_env, home,
                     "Entrypoint", entry, "WorkingDir", "/workspace", "Labels", labels);
}

/* Without a default the process `web` is what a platform starts. */
static int settle_default(struct build *b, struct error *err)
{
    if (json_object_size(b->processes) == 0)
        return error_set(
            err, ERR_INVALID,
            "the buildpacks found nothing to start; say what in a Procfile, as 'web: COMMAND'");
    if (b->default_process || !json_object_get(b->processes, "web"))
        return 0;
    b->default_process = strdup("web");
    return b->default_process ? 0 : error_no_memory(err);
}

static int fill_result(const struct build *b, const struct image_layers *l,
                       const struct descriptor *image, struct build_result *ret, struct error *err)
{
    CLEANUP(json) json_t *manifest = NULL;
    json_t *process;
    const char *type;

    if (layout_read_manifest(b->layout, &image->digest, &manifest, NULL, NULL, err) < 0)
        return -1;
    if (!digest_parse(str_of(json_str_at(manifest, "config.digest")), &ret->config))
        return error_set(err, ERR_INTERNAL, "the manifest has no config");
    ret->manifest = image->digest;
    ret->manifest_size = image->size;
    ret->stack_name = strdup(b->stack->name);
    ret->layers = json_incref(l->owners);
    ret->processes = json_array();
    json_object_foreach(b->processes, type, process) json_array_append_new(
        ret->processes,
        json_pack("{s:s,s:O,s:O,s:b}", "type", type, "command", json_object_get(process, "command"),
                  "args", json_object_get(process, "args"), "default",
                  b->default_process && strcmp(type, b->default_process) == 0));
    ret->buildpacks = json_array();
    for (size_t i = 0; i < b->group_count; i++)
        json_array_append_new(ret->buildpacks, json_pack("{s:s,s:s}", "id", b->group[i]->id,
                                                         "version", b->group[i]->version));
    return ret->stack_name && ret->processes && ret->buildpacks ? 0 : error_no_memory(err);
}

int export_image(struct build *b, struct build_result *ret, struct error *err)
{
    CLEANUP(image_layers) struct image_layers l = {.owners = json_array()};
    CLEANUP(json) json_t *labels = json_object();
    struct descriptor image;
    int64_t start = clock_monotonic_ms();

    if (!l.owners || !labels)
        return error_no_memory(err);
    if (settle_default(b, err) < 0 || add_base(b, &l, err) < 0 ||
        add_launch_layers(b, &l, err) < 0 || add_app(b, &l, err) < 0 ||
        add_platform_layers(b, &l, err) < 0 || make_labels(b, &l, labels, err) < 0)
        return error_wrap(err, "exporting the image");
    CLEANUP(json) json_t *config = image_config(b, labels);
    if (!config)
        return error_no_memory(err);
    const struct image_options options = {.layers = l.layers,
                                          .layer_count = l.count,
                                          .config = config,
                                          .history = l.history,
                                          .history_count = l.count,
                                          .created_s = LAYER_CNB_MTIME};
    if (image_write(b->layout, &options, &image, err) < 0)
        return error_wrap(err, "exporting the image");
    build_say(b, BUILD_PHASE, "export: %zu layers (%lld ms)", l.count,
              (long long)(clock_monotonic_ms() - start));
    return fill_result(b, &l, &image, ret, err);
}
