/* build/step.c - bin/build of each buildpack of the group, and the files it leaves: layers,
 * launch.toml, build.toml, store.toml (buildpacks spec, buildpack.md "Phase #3: Build"). */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "build/lifecycle.h"
#include "build/tree.h"

enum { BUILD_TIMEOUT_MS = 20 * 60 * 1000, KILLED_EXIT = 137 };

/* --- the plan that a buildpack is given --- */

static bool provides(const struct build *b, const json_t *entry, const struct buildpack *pack)
{
    const json_t *provider;
    size_t i;

    json_array_foreach(json_object_get(entry, "providers"), i, provider)
    {
        const json_t *element = json_array_get(b->elements, (size_t)json_integer_value(provider));
        if (&b->packs.items[json_int_at(element, "buildpack", 0)] == pack)
            return true;
    }
    return false;
}

static int write_plan(struct build *b, const struct buildpack *pack, const char *path,
                      struct error *err)
{
    CLEANUP(json) json_t *file = json_pack("{s:[]}", "entries");
    CLEANUP(buf) struct buf text = BUF_INIT(TOML_MAX);
    const json_t *entry, *require;
    size_t i, k;

    if (!file)
        return error_no_memory(err);
    json_array_foreach(json_object_get(b->plan, "entries"), i, entry)
    {
        if (!provides(b, entry, pack) || json_object_get(entry, "met"))
            continue;
        json_array_foreach(json_object_get(entry, "requires"), k, require)
        {
            if (json_array_append(json_object_get(file, "entries"), (json_t *)require) < 0)
                return error_no_memory(err);
        }
    }
    if (toml_write(file, &text, err) < 0)
        return -1;
    return build_put_file(b, path, buf_str(&text), err);
}

/* What build.toml does not call unmet is met: later providers do not see it. */
static int read_unmet(struct build *b, const struct buildpack *pack, struct error *err)
{
    CLEANUP(text) char *path = str_format("%s/build.toml", pack->escaped);
    CLEANUP(doc) struct doc *doc = NULL;
    const json_t *unmet, *item;
    json_t *entry;
    size_t i, k;

    if (!path)
        return error_no_memory(err);
    if (build_read_toml(b, path, &doc, err) < 0)
        return -1;
    unmet = doc ? json_object_get(doc_root(doc), "unmet") : NULL;
    json_array_foreach(json_object_get(b->plan, "entries"), i, entry)
    {
        const char *name = json_str_at(entry, "requires[0].name");
        bool is_unmet = false;
        json_array_foreach(unmet, k, item)
        {
            const char *other = json_str_at(item, "name");
            is_unmet = is_unmet || (name && other && strcmp(name, other) == 0);
        }
        if (provides(b, entry, pack) && !is_unmet &&
            json_object_set_new(entry, "met", json_true()) < 0)
            return error_no_memory(err);
    }
    return 0;
}

/* --- layers --- */

static bool is_reserved(struct str name)
{
    return str_is(name, "launch") || str_is(name, "build") || str_is(name, "store");
}

static bool name_is_fit(const char *name)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    return name[0] && name[0] != '.' && strspn(name, letters) == strlen(name) && strlen(name) < 128;
}

/* Without following a link at its end or out of the folder. */
static bool is_there(int fd, const char *dir, const char *name)
{
    CLEANUP(text) char *path = fs_join(dir, name);
    CLEANUP(fd) int found = -1;
    struct error none = ERROR_INIT;

    return path && fs_open_beneath(fd, path, O_PATH | O_NOFOLLOW, 0, &found, &none) == 0;
}

static int read_layer(struct build *b, const struct buildpack *pack, const char *file,
                      struct error *err)
{
    CLEANUP(text) char *path = str_format("%s/%s", pack->escaped, file);
    CLEANUP(doc) struct doc *doc = NULL;
    struct build_layer *layer = &b->layers[b->layer_count];

    if (!path)
        return error_no_memory(err);
    if (build_read_toml(b, path, &doc, err) < 0)
        return -1;
    if (!doc)
        return 0;
    const json_t *root = doc_root(doc), *types = json_object_get(root, "types");
    if (json_object_get(root, "launch") || json_object_get(root, "build") ||
        json_object_get(root, "cache"))
        return error_set(err, ERR_INVALID, "%s: '%s': launch, build and cache belong in [types]",
                         pack->id, file);
    layer->name = str_dup(str_first(str_of(file), strlen(file) - strlen(".toml")));
    if (!layer->name)
        return error_no_memory(err);
    b->layer_count++;
    layer->buildpack = pack;
    layer->launch = json_bool_at(types, "launch", false);
    layer->build = json_bool_at(types, "build", false);
    layer->cache = json_bool_at(types, "cache", false);
    layer->data = json_incref(json_object_get(root, "metadata"));
    layer->has_dir = is_there(sandbox_layers_fd(b->sandbox), pack->escaped, layer->name);
    layer->changed = is_there(sandbox_layers_upper_fd(b->sandbox), pack->escaped, layer->name);
    if (!name_is_fit(layer->name))
        return error_set(err, ERR_INVALID, "%s: '%s' is no fit name for a layer", pack->id,
                         layer->name);
    return layer->build ? buildenv_add_layer(b, layer, err) : 0;
}

static int read_layers(struct build *b, const struct buildpack *pack, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;
    CLEANUP(fd) int fd = -1;

    if (fs_open_beneath(sandbox_layers_fd(b->sandbox), pack->escaped,
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, err) < 0 ||
        fs_list(fd, ".", &names, err) < 0)
        return error_wrap(err, "layers of %s", pack->id);
    for (size_t i = 0; i < names.count; i++) {
        struct str name = str_of(names.items[i]);
        if (!str_ends(name, STR(".toml")) || is_reserved(str_first(name, name.len - 5)))
            continue;
        if (b->layer_count == LAYERS_MAX)
            return error_set(err, ERR_LIMIT, "more than %d layers", LAYERS_MAX);
        if (read_layer(b, pack, names.items[i], err) < 0)
            return -1;
    }
    return 0;
}

/* --- launch.toml --- */

static bool type_is_fit(const char *type)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    return type && type[0] && strspn(type, letters) == strlen(type) && strlen(type) < 64;
}

/* `command` is a list from API 0.9 on, a text before; here it becomes a list. */
static json_t *command_of(const json_t *process)
{
    const json_t *command = json_object_get(process, "command");

    if (json_is_string(command))
        return json_pack("[O]", command);
    return json_is_array(command) ? json_incref((json_t *)command) : json_array();
}

static int add_process(struct build *b, const struct buildpack *pack, const json_t *process,
                       struct error *err)
{
    const char *type = json_str_at(process, "type"), *dir = json_str_at(process, "working-dir");
    const json_t *args = json_object_get(process, "args");
    bool direct = pack->api_minor >= 9 || json_bool_at(process, "direct", false);
    bool is_default = json_bool_at(process, "default", false);
    CLEANUP(json) json_t *command = command_of(process);

    if (!type_is_fit(type))
        return error_set(err, ERR_INVALID, "%s: launch.toml: '%s' is no fit process type", pack->id,
                         type ? type : "");
    if (json_array_size(command) == 0)
        return error_set(err, ERR_INVALID, "%s: launch.toml: process '%s' has no command", pack->id,
                         type);
    json_t *item = json_pack("{s:s,s:O,s:o,s:b,s:s}", "type", type, "command", command, "args",
                             json_is_array(args) ? json_incref((json_t *)args) : json_array(),
                             "direct", (int)direct, "buildpack-id", pack->id);
    if (item && dir && json_object_set_new(item, "working-dir", json_string(dir)) < 0)
        return error_no_memory(err);
    if (json_object_set_new(b->processes, type, item) < 0)
        return error_no_memory(err);
    bool was_default = b->default_process && strcmp(b->default_process, type) == 0;
    if (is_default || was_default) {
        free(b->default_process);
        b->default_process = is_default ? strdup(type) : NULL;
    }
    return 0;
}

static int read_launch(struct build *b, const struct buildpack *pack, struct error *err)
{
    CLEANUP(text) char *path = str_format("%s/launch.toml", pack->escaped);
    CLEANUP(doc) struct doc *doc = NULL;
    const json_t *item;
    size_t i;

    if (!path)
        return error_no_memory(err);
    if (build_read_toml(b, path, &doc, err) < 0)
        return -1;
    if (!doc)
        return 0;
    json_array_foreach(json_object_get(doc_root(doc), "processes"), i, item)
    {
        if (add_process(b, pack, item, err) < 0)
            return -1;
    }
    json_array_foreach(json_object_get(doc_root(doc), "labels"), i, item)
    {
        const char *key = json_str_at(item, "key"), *value = json_str_at(item, "value");
        if (key && value && json_object_set_new(b->labels, key, json_string(value)) < 0)
            return error_no_memory(err);
    }
    return 0;
}

static int read_store(struct build *b, const struct buildpack *pack, struct error *err)
{
    CLEANUP(text) char *path = str_format("%s/store.toml", pack->escaped);
    CLEANUP(doc) struct doc *doc = NULL;

    if (!path)
        return error_no_memory(err);
    if (build_read_toml(b, path, &doc, err) < 0)
        return -1;
    const json_t *metadata = doc ? json_object_get(doc_root(doc), "metadata") : NULL;
    if (metadata && json_object_set(b->stores, pack->id, (json_t *)metadata) < 0)
        return error_no_memory(err);
    return 0;
}

/* --- one buildpack --- */

static int run_build(struct build *b, const struct buildpack *pack, struct error *err)
{
    CLEANUP(text) char *plan = str_format("plan-%s.toml", pack->escaped);
    CLEANUP(strv) struct strv arguments = STRV_INIT;
    CLEANUP(strv) struct strv more = STRV_INIT;
    struct build_program program = {pack,         "bin/build", &arguments,      &more,
                                    build_output, b,           BUILD_TIMEOUT_MS};
    int code;

    if (!plan)
        return error_no_memory(err);
    strv_addf(&arguments, "/layers/%s", pack->escaped);
    strv_add(&arguments, "/platform");
    strv_addf(&arguments, "/layers/%s", plan);
    strv_addf(&more, "CNB_LAYERS_DIR=/layers/%s", pack->escaped);
    strv_addf(&more, "CNB_BP_PLAN_PATH=/layers/%s", plan);
    if (write_plan(b, pack, plan, err) < 0)
        return -1;
    b->tail.len = 0;
    if (build_run_program(b, &program, &code, err) < 0)
        return error_wrap(err, "%s", pack->id);
    build_output(STR("\n"), b);
    if (code == KILLED_EXIT)
        return error_set(err, ERR_LIMIT,
                         "%s: bin/build was killed: most likely it used more memory than a build "
                         "may:\n%.*s",
                         pack->id, (int)b->tail.len, b->tail.text);
    if (code != 0)
        return error_set(err, ERR_SYSTEM, "%s: bin/build exited %d:\n%.*s", pack->id, code,
                         (int)b->tail.len, b->tail.text);
    return 0;
}

static int step(struct build *b, const struct buildpack *pack, struct error *err)
{
    int64_t start = clock_monotonic_ms();
    int layers_fd = sandbox_layers_fd(b->sandbox);

    if (mkdirat(layers_fd, pack->escaped, 0755) == 0 &&
        fchownat(layers_fd, pack->escaped, b->stack->uid, b->stack->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "making the folder of %s", pack->id);
    if (run_build(b, pack, err) < 0 || read_layers(b, pack, err) < 0 ||
        read_unmet(b, pack, err) < 0 || read_launch(b, pack, err) < 0 ||
        read_store(b, pack, err) < 0)
        return -1;
    build_say(b, BUILD_PHASE, "build: %s %s (%lld ms)", pack->id, pack->version,
              (long long)(clock_monotonic_ms() - start));
    return 0;
}

int step_run_all(struct build *b, struct error *err)
{
    int result = 0;

    b->processes = json_object();
    b->labels = json_object();
    b->stores = json_object();
    if (!b->processes || !b->labels || !b->stores)
        return error_no_memory(err);
    for (size_t i = 0; result == 0 && i < b->group_count; i++) {
        if (b->group[i]->dir)
            result = step(b, b->group[i], err);
    }
    CLEANUP(strv) struct strv refused = STRV_INIT;
    sandbox_refused(b->sandbox, &refused);
    for (size_t i = 0; i < refused.count; i++)
        build_say(b, BUILD_WARNING,
                  "the sandbox may not reach %s (spec.registries of the stack allows more hosts)",
                  refused.items[i]);
    return result;
}
