/* build/engine.c - what Monban provides itself: Node and npm for whoever requires "node" in the
 * build plan. The version range is of requires.metadata: `version`, or what package.json says
 * (version-source). */
#include <fcntl.h>

#include "base/clock.h"
#include "base/fs.h"
#include "build/lifecycle.h"
#include "build/tree.h"

enum { PACKAGE_JSON_MAX = 4 << 20 };

struct wanted {
    bool node;
    char *range; /* owned */
    struct place place;
};

/* engines.node of package.json; absent: any. */
static int range_of_package(const struct build *b, struct wanted *w, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(PACKAGE_JSON_MAX);
    CLEANUP(json) json_t *root = NULL;
    CLEANUP(fd) int dir = -1;

    if (fs_open_dir(AT_FDCWD, b->options->source_dir, &dir, err) < 0 ||
        tree_read_file(dir, "package.json", &text, err) < 0 ||
        json_parse("package.json", buf_str(&text), &root, err) < 0)
        return -1;
    const char *range = json_str_at(root, "engines.node");
    if (range) {
        w->range = strdup(range);
        w->place = (struct place){"package.json", 0, 0};
        if (!w->range)
            return error_no_memory(err);
    }
    return 0;
}

static int read_require(const struct build *b, const json_t *require, struct wanted *w,
                        struct error *err)
{
    const char *name = json_str_at(require, "name");
    const json_t *metadata = json_object_get(require, "metadata");
    const char *version = json_str_at(metadata, "version");
    const char *source = json_str_at(metadata, "version-source");

    if (!name || (strcmp(name, "node") != 0 && strcmp(name, "npm") != 0))
        return 0;
    w->node = true;
    if (strcmp(name, "node") != 0 || w->range)
        return 0;
    if (version && version[0]) {
        w->range = strdup(version);
        return w->range ? 0 : error_no_memory(err);
    }
    return source && strcmp(source, "package.json") == 0 ? range_of_package(b, w, err) : 0;
}

static int read_plan(const struct build *b, struct wanted *w, struct error *err)
{
    const json_t *entry, *require;
    size_t i, k;

    json_array_foreach(json_object_get(b->plan, "entries"), i, entry)
    {
        json_array_foreach(json_object_get(entry, "requires"), k, require)
        {
            if (read_require(b, require, w, err) < 0)
                return -1;
        }
    }
    return 0;
}

static bool provides_itself(const struct build *b)
{
    for (size_t i = 0; i < b->group_count; i++) {
        if (!b->group[i]->dir)
            return true;
    }
    return false;
}

static void on_progress(struct str line, void *ctx)
{
    build_say(ctx, BUILD_PHASE, "runtime: fetching %.*s", STR_ARG(line));
}

static int provide_node(struct build *b, const struct wanted *w, struct error *err)
{
    CLEANUP(text) char *cache = str_format("%s/gate/cache/npm", b->options->home);
    CLEANUP(text) char *engines = str_format("%s/gate/cache/engines", b->options->home);
    const struct npm_registry registry = {b->options->registry, cache, b->trust_file};
    const struct node_options options = {&registry, engines,     b->shared, w->range,
                                         w->place,  on_progress, b};

    if (!cache || !engines)
        return error_no_memory(err);
    if (node_provide(&options, &b->node, err) < 0)
        return -1;
    b->has_node = true;
    return 0;
}

static bool same_lowers(const struct strv *a, const struct strv *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    }
    return true;
}

/* The runtimes lie below /layers. Mostly they are those of the last build, and the sandbox has them
 * already. */
static int settle_lowers(struct build *b, struct error *err)
{
    struct strv lowers = STRV_INIT;

    if (b->has_node) {
        strv_add(&lowers, b->node.npm_lower);
        strv_add(&lowers, b->node.node_lower);
    }
    if (strv_ok(&lowers, err) < 0) {
        strv_done(&lowers);
        return -1;
    }
    if (same_lowers(&lowers, &b->lowers)) {
        strv_done(&lowers);
        return 0;
    }
    strv_done(&b->lowers);
    b->lowers = lowers;
    return build_open_sandbox(b, err);
}

static struct build_layer *add_layer(struct build *b, const char *name, struct error *err)
{
    struct build_layer *layer = &b->layers[b->layer_count];

    layer->name = strdup(name);
    if (!layer->name) {
        error_no_memory(err);
        return NULL;
    }
    b->layer_count++;
    for (size_t i = 0; i < b->group_count; i++) {
        if (!b->group[i]->dir)
            layer->buildpack = b->group[i];
    }
    layer->build = true;
    layer->has_dir = true;
    return buildenv_add_layer(b, layer, err) < 0 ? NULL : layer;
}

static int add_layers(struct build *b, struct error *err)
{
    struct build_layer *node = add_layer(b, "node", err);
    struct build_layer *npm = node ? add_layer(b, "npm", err) : NULL;

    if (!npm)
        return -1;
    node->launch = true;
    node->layer = b->node.layer;
    node->data = json_pack("{s:s}", "version", b->node.version);
    strv_add(&b->env,
             "npm_config_nodedir=/layers/monban_node-engine/headers"); /* for native addons */
    return node->data ? strv_ok(&b->env, err) : error_no_memory(err);
}

int engine_run(struct build *b, struct error *err)
{
    struct wanted w = {0};
    int64_t start = clock_monotonic_ms();
    int result = provides_itself(b) ? read_plan(b, &w, err) : 0;

    if (result == 0 && w.node)
        result = provide_node(b, &w, err);
    free(w.range);
    if (result < 0 || settle_lowers(b, err) < 0 || buildenv_init(b, err) < 0)
        return -1;
    if (!b->has_node)
        return 0;
    build_say(b, BUILD_PHASE, "runtime: node %s, npm %s (%lld ms)", b->node.version,
              b->node.npm_version, (long long)(clock_monotonic_ms() - start));
    return add_layers(b, err);
}
