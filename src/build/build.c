/* build/build.c - the walk through the phases, and the results kept under the digest of their
 * inputs. */
#include "build/build.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "build/lifecycle.h"
#include "build/tree.h"
#include "oci/layout.h"

enum {
    BUILD_FORMAT = 1, /* raise it when the same inputs would give another image */
    LINE_MAX_LEN = 2000,
    PARENTS_MAX = 6, /* from the program's folder up to where the source tree begins */
};

#define DEFAULT_REGISTRY "https://registry.npmjs.org"
#define MACHINE_TRUST    "/etc/ssl/certs/ca-certificates.crt"

void build_result_done(struct build_result *result)
{
    free(result->stack_name);
    json_decref(result->layers);
    json_decref(result->processes);
    json_decref(result->buildpacks);
    free(result->provenance_inputs);
    *result = (struct build_result){0};
}

static void build_done(struct build *b)
{
    sandbox_free(b->sandbox);
    buildpacks_done(&b->packs);
    stack_free(b->stack);
    layout_free(b->layout);
    layout_free(b->shared);
    free(b->app_dir);
    free(b->trust_file);
    free(b->launcher);
    free(b->agent);
    json_decref(b->record);
    strv_done(&b->lowers);
    node_done(&b->node);
    json_decref(b->elements);
    json_decref(b->plan);
    strv_done(&b->env);
    for (size_t i = 0; i < b->layer_count; i++) {
        free(b->layers[i].name);
        json_decref(b->layers[i].data);
    }
    json_decref(b->processes);
    free(b->default_process);
    json_decref(b->labels);
    json_decref(b->stores);
    io_close(&b->lock_fd);
    free(b);
}
DEFINE_CLEANUP(build, struct build *, build_done)

/* --- what is said on the way --- */

void build_say(const struct build *b, enum build_event event, const char *format, ...)
{
    char line[LINE_MAX_LEN];
    va_list args;

    if (!b->options->progress)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    b->options->progress(event, str_of(line), b->options->progress_ctx);
}

/* The last bytes stay; what no person's terminal should get is replaced. */
static void keep_tail(struct build *b, char c)
{
    struct str_tail *tail = &b->tail;

    if (tail->len == sizeof(tail->text)) {
        memmove(tail->text, tail->text + sizeof(tail->text) / 2, sizeof(tail->text) / 2);
        tail->len = sizeof(tail->text) / 2;
    }
    tail->text[tail->len++] = c;
}

void build_output(struct str bytes, void *ctx)
{
    struct build *b = ctx;

    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.ptr[i];
        if (c != '\n') {
            if (b->line_len < sizeof(b->line) && ((unsigned char)c >= 0x20 || c == '\t'))
                b->line[b->line_len++] = c;
            continue;
        }
        if (b->line_len && b->options->progress)
            b->options->progress(BUILD_OUTPUT, str_slice(b->line, b->line_len),
                                 b->options->progress_ctx);
        for (size_t k = 0; k < b->line_len; k++)
            keep_tail(b, b->line[k]);
        if (b->line_len)
            keep_tail(b, '\n');
        b->line_len = 0;
    }
}

/* --- where things stand --- */

char *build_find_share(const char *name)
{
    static const struct {
        const char *name, *in_tree, *installed;
    } places[] = {
        {"buildpacks", "buildpacks/order.toml", "/usr/share/monban/buildpacks/order.toml"},
        {"launcher", "launcher/monban-launcher", "/usr/lib/monban/monban-launcher"},
        {"sandbox-agent", "launcher/monban-sandbox-agent", "/usr/lib/monban/monban-sandbox-agent"},
    };
    char self[4096];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *found = NULL;

    for (size_t i = 0; i < ARRAY_LEN(places) && len > 0; i++) {
        if (strcmp(places[i].name, name) != 0)
            continue;
        self[len] = 0;
        for (int up = 0; up < PARENTS_MAX && !found && strrchr(self, '/'); up++) {
            *strrchr(self, '/') = 0;
            char *path = fs_join(self[0] ? self : "/", places[i].in_tree);
            if (path && fs_exists(AT_FDCWD, path))
                found = path;
            else
                free(path);
        }
        if (!found && fs_exists(AT_FDCWD, places[i].installed))
            found = strdup(places[i].installed);
    }
    if (found && strcmp(name, "buildpacks") == 0)
        *strrchr(found, '/') = 0; /* the folder, not its order.toml */
    return found;
}

static int find_programs(struct build *b, struct error *err)
{
    b->launcher =
        b->options->launcher ? strdup(b->options->launcher) : build_find_share("launcher");
    b->agent = build_find_share("sandbox-agent");
    if (!b->launcher || !b->agent)
        return error_set(
            err, ERR_NOT_FOUND,
            "the launcher is not built: neither beside this program nor in /usr/lib/monban");
    return 0;
}

static void on_stack(struct str line, void *ctx)
{
    build_say(ctx, BUILD_PHASE, "%.*s", STR_ARG(line));
}

static int load(struct build *b, struct error *err)
{
    const struct build_options *o = b->options;
    CLEANUP(text)
    char *packs = o->buildpacks_dir ? strdup(o->buildpacks_dir) : build_find_share("buildpacks");
    CLEANUP(text) char *file = NULL;
    bool built;

    if (!packs)
        return error_set(err, ERR_NOT_FOUND,
                         "no buildpacks: neither beside this program nor in /usr/share/monban");
    file = o->stack_file ? strdup(o->stack_file) : fs_join(packs, "stack.yaml");
    if (!file)
        return error_no_memory(err);
    const struct stack_options stack = {
        .home = o->home, .file = file, .progress = on_stack, .ctx = b};
    if (find_programs(b, err) < 0 || buildpacks_load(packs, &b->packs, err) < 0 ||
        stack_build(&stack, &b->stack, &built, err) < 0)
        return -1;
    b->app_dir = str_format("%s/gate/cache/apps/%s", o->home, o->name);
    if (!b->app_dir)
        return error_no_memory(err);
    if (layout_open(b->stack->blob_dir, LAYOUT_CREATE, &b->shared, err) < 0)
        return -1;
    return layout_open(o->layout_dir, LAYOUT_CREATE, &b->layout, err);
}

/* What the sandbox trusts: the machine's roots, the platform's, and the stack's own, as one file.
 */
static int find_trust(struct build *b, struct error *err)
{
    const char *const more[] = {b->options->trust_bundle, b->stack->trust_bundle};
    CLEANUP(buf) struct buf text = BUF_INIT(16 << 20);
    CLEANUP(text) char *dir = str_format("%s/gate/cache/trust", b->options->home);

    if (!dir)
        return error_no_memory(err);
    if (fs_read_at(AT_FDCWD, MACHINE_TRUST, &text, err) < 0)
        return error_wrap(err, "reading the machine's trusted certificates");
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        if (!more[i] || strcmp(more[i], MACHINE_TRUST) == 0)
            continue;
        buf_add_char(&text, '\n');
        if (fs_read_at(AT_FDCWD, more[i], &text, err) < 0)
            return error_wrap(err, "reading the trust bundle");
    }
    if (buf_ok(&text, err) < 0)
        return -1;
    struct digest digest = digest_of(buf_str(&text));
    b->trust_file = str_format("%s/%.32s.pem", dir, digest_hex(&digest));
    if (!b->trust_file)
        return error_no_memory(err);
    if (fs_exists(AT_FDCWD, b->trust_file))
        return 0;
    if (fs_make_dirs(AT_FDCWD, dir, 0755, err) < 0)
        return -1;
    return fs_write_atomic(AT_FDCWD, b->trust_file, buf_str(&text), 0644, err);
}

/* --- the sandbox --- */

/* "https://host:8443/path" → "host:8443", or "host". */
static char *host_of(const char *url)
{
    struct str rest = str_of(url);
    ptrdiff_t scheme = str_find_text(rest, STR("://"));

    if (scheme >= 0)
        rest = str_skip(rest, (size_t)scheme + 3);
    return str_dup(str_cut(&rest, '/'));
}

static int allow_list(const struct build *b, struct strv *out, struct error *err)
{
    CLEANUP(text) char *host = host_of(b->options->registry);

    if (!host)
        return error_no_memory(err);
    strv_add(out, host);
    for (size_t i = 0; i < b->stack->registries.count; i++)
        strv_add(out, b->stack->registries.items[i]);
    for (size_t i = 0; b->options->allow_hosts && b->options->allow_hosts[i]; i++)
        strv_add(out, b->options->allow_hosts[i]);
    return strv_ok(out, err);
}

static int binds(const struct build *b, struct strv *out, struct error *err)
{
    strv_addf(out, "%s:/etc/ssl/certs/ca-certificates.crt", b->trust_file);
    for (size_t i = 0; i < b->packs.count; i++) {
        const struct buildpack *p = &b->packs.items[i];
        if (p->dir)
            strv_addf(out, "%s:/cnb/buildpacks/%s/%s", p->dir, p->escaped, p->version);
    }
    return strv_ok(out, err);
}

/* spec.build.env as files of <platform>/env. */
static int write_platform(const struct build *b, struct error *err)
{
    const json_t *list = json_at(b->options->workload, "spec.build.env"), *item;
    int platform = sandbox_platform_fd(b->sandbox);
    size_t i;

    if (fs_make_dirs(platform, "env", 0755, err) < 0)
        return -1;
    json_array_foreach(list, i, item)
    {
        const char *name = json_str_at(item, "name"), *value = json_str_at(item, "value");
        CLEANUP(text) char *path = name ? fs_join("env", name) : NULL;
        if (!name || !value || strchr(name, '/') || name[0] == '.' || !path)
            return error_set(err, ERR_INVALID, "spec.build.env[%zu]: expected a name and a value",
                             i);
        if (fs_write_quick(platform, path, str_of(value), 0644, err) < 0)
            return -1;
    }
    return 0;
}

int build_open_sandbox(struct build *b, struct error *err)
{
    CLEANUP(strv) struct strv hosts = STRV_INIT;
    CLEANUP(strv) struct strv mounts = STRV_INIT;
    CLEANUP(strv) struct strv lowers = STRV_INIT;
    CLEANUP(fd) int source = -1;
    const char *const root[] = {b->stack->build_rootfs, NULL};

    sandbox_free(TAKE(b->sandbox));
    if (allow_list(b, &hosts, err) < 0 || binds(b, &mounts, err) < 0)
        return -1;
    strv_addf(&lowers, "%s/layers", b->app_dir);
    for (size_t i = 0; i < b->lowers.count; i++)
        strv_add(&lowers, b->lowers.items[i]);
    if (strv_ok(&lowers, err) < 0)
        return -1;
    const struct sandbox_options options = {
        .root_lowers = root,
        .layer_lowers = (const char *const *)lowers.items,
        .binds = (const char *const *)mounts.items,
        .agent = b->agent,
        .uid = b->stack->uid,
        .gid = b->stack->gid,
        .allow_hosts = (const char *const *)hosts.items,
    };
    if (sandbox_new(&options, &b->sandbox, err) < 0 ||
        fs_open_dir(AT_FDCWD, b->options->source_dir, &source, err) < 0)
        return -1;
    if (tree_copy(source, sandbox_workspace_fd(b->sandbox), b->stack->uid, b->stack->gid,
                  tree_skip_source, err) < 0)
        return error_wrap(err, "copying the source");
    return write_platform(b, err);
}

int build_run_program(struct build *b, const struct build_program *p, int *ret_exit,
                      struct error *err)
{
    CLEANUP(strv) struct strv argv = STRV_INIT;
    CLEANUP(strv) struct strv env = STRV_INIT;

    strv_addf(&argv, "/cnb/buildpacks/%s/%s/%s", p->pack->escaped, p->pack->version, p->program);
    for (size_t i = 0; i < p->arguments->count; i++)
        strv_add(&argv, p->arguments->items[i]);
    if (strv_ok(&argv, err) < 0 || buildenv_for(b, p->pack, p->more, &env, err) < 0)
        return -1;
    const struct sandbox_command command = {
        .argv = (const char *const *)argv.items,
        .envp = (const char *const *)env.items,
        .cwd = "/workspace",
        .timeout_ms = p->timeout_ms,
        .on_output = p->on_output,
        .ctx = p->ctx,
    };
    return sandbox_run(b->sandbox, &command, ret_exit, err);
}

int build_put_file(struct build *b, const char *path, struct str bytes, struct error *err)
{
    int fd = sandbox_layers_fd(b->sandbox);

    if (fs_write_quick(fd, path, bytes, 0644, err) < 0)
        return -1;
    if (fchownat(fd, path, b->stack->uid, b->stack->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_errno(err, "giving '%s' its owner", path);
    return 0;
}

int build_read_toml(struct build *b, const char *path, struct doc **ret_doc, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(TOML_MAX);
    struct error found = ERROR_INIT;

    if (tree_read_file(sandbox_layers_fd(b->sandbox), path, &text, &found) < 0) {
        if (found.kind == ERR_NOT_FOUND)
            return 0;
        *err = found;
        return -1;
    }
    return toml_parse(path, buf_str(&text), ret_doc, err);
}

/* --- results --- */

static int input_key(const struct build *b, struct digest *ret, struct error *err)
{
    const struct build_options *o = b->options;
    CLEANUP(buf) struct buf text = BUF_INIT(4 << 20);
    struct digest source, launcher;
    uint64_t size;

    if (tree_digest(o->source_dir, tree_skip_source, &source, err) < 0 ||
        digest_of_file(AT_FDCWD, b->launcher, &launcher, &size, err) < 0)
        return -1;
    buf_addf(
        &text,
        "build %d\nsource %s\nstack %s\nbuildpacks %s\nlauncher %s\ncommit %s\nurl %s\nname %s\nteam %s\nenv ",
        BUILD_FORMAT, source.text, b->stack->key.text, b->packs.digest.text, launcher.text,
        o->commit ? o->commit : "", o->source_url ? o->source_url : "", o->name,
        o->team ? o->team : "");
    const json_t *env = json_at(o->workload, "spec.build.env");
    if (env && json_write(env, true, &text, err) < 0)
        return -1;
    if (buf_ok(&text, err) < 0)
        return -1;
    *ret = digest_of(buf_str(&text));
    return 0;
}

static bool layers_are_there(const struct build *b, const struct digest *manifest)
{
    CLEANUP(json) json_t *root = NULL;
    struct error none = ERROR_INIT;
    struct digest digest;
    const json_t *layer;
    size_t i;

    if (layout_read_manifest(b->layout, manifest, &root, NULL, NULL, &none) < 0 ||
        !digest_parse(str_of(json_str_at(root, "config.digest")), &digest) ||
        !layout_has(b->layout, &digest))
        return false;
    json_array_foreach(json_object_get(root, "layers"), i, layer)
    {
        if (!digest_parse(str_of(json_str_at(layer, "digest")), &digest) ||
            !layout_has(b->layout, &digest))
            return false;
    }
    return true;
}

static bool find_result(struct build *b, const char *path, struct build_result *ret)
{
    CLEANUP(json) json_t *record = NULL;
    struct error none = ERROR_INIT;

    if (b->options->no_cache || json_read_file(AT_FDCWD, path, &record, &none) < 0)
        return false;
    if (!digest_parse(str_of(json_str_at(record, "manifest")), &ret->manifest) ||
        !digest_parse(str_of(json_str_at(record, "config")), &ret->config) ||
        !layers_are_there(b, &ret->manifest))
        return false;
    ret->manifest_size = (uint64_t)json_int_at(record, "size", 0);
    ret->stack_name = strdup(b->stack->name);
    ret->layers = json_incref(json_object_get(record, "layers"));
    ret->processes = json_incref(json_object_get(record, "processes"));
    ret->buildpacks = json_incref(json_object_get(record, "buildpacks"));
    ret->cached = true;
    return ret->stack_name != NULL;
}

static int keep_result(const char *path, const struct build_result *r, struct error *err)
{
    CLEANUP(json)
    json_t *record = json_pack("{s:s,s:s,s:I,s:O,s:O,s:O}", "manifest", r->manifest.text, "config",
                               r->config.text, "size", (json_int_t)r->manifest_size, "layers",
                               r->layers, "processes", r->processes, "buildpacks", r->buildpacks);
    CLEANUP(buf) struct buf text = BUF_INIT(4 << 20);

    if (!record)
        return error_no_memory(err);
    if (json_write(record, false, &text, err) < 0)
        return -1;
    return fs_write_quick(AT_FDCWD, path, buf_str(&text), 0644, err);
}

static int tag(const struct build *b, const struct build_result *r, struct error *err)
{
    const struct build_options *o = b->options;
    struct descriptor now, want = {.digest = r->manifest, .size = r->manifest_size};
    struct error none = ERROR_INIT;

    if (!o->repository || !o->tag)
        return 0;
    snprintf(want.media_type, sizeof(want.media_type), "%s", OCI_MANIFEST);
    if (layout_resolve(b->layout, o->repository, o->tag, &now, &none) == 0 &&
        digest_equal(&now.digest, &want.digest))
        return 0;
    return layout_tag(b->layout, o->repository, o->tag, &want, err);
}

/* --- the walk --- */

static int walk(struct build *b, struct build_result *ret, struct error *err)
{
    if (find_trust(b, err) < 0 || build_open_sandbox(b, err) < 0 || buildenv_init(b, err) < 0 ||
        detect_run(b, err) < 0 || engine_run(b, err) < 0 || step_run_all(b, err) < 0 ||
        export_image(b, ret, err) < 0)
        return -1;
    return store_save(b, err);
}

static int build(struct build *b, struct build_result *ret, struct error *err)
{
    struct digest key;

    if (load(b, err) < 0 || input_key(b, &key, err) < 0)
        return -1;
    CLEANUP(text) char *path = str_format("%s/results/%s.json", b->app_dir, digest_hex(&key));
    ret->provenance_inputs = strdup(key.text);
    if (!path || !ret->provenance_inputs)
        return error_no_memory(err);
    if (find_result(b, path, ret)) {
        build_say(b, BUILD_PHASE, "build: unchanged, nothing to do");
        return tag(b, ret, err);
    }
    if (store_open(b, err) < 0 || walk(b, ret, err) < 0 || keep_result(path, ret, err) < 0)
        return -1;
    return tag(b, ret, err);
}

static bool name_is_fit(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

    return name && name[0] && name[0] != '-' && strspn(name, letters) == strlen(name) &&
           strlen(name) <= 63;
}

int build_image(const struct build_options *options, struct build_result *ret, struct error *err)
{
    struct build_options effective = *options;
    CLEANUP(build) struct build *b = calloc(1, sizeof(*b));
    CLEANUP(build_result) struct build_result result = {0};
    int64_t start = clock_monotonic_ms();

    if (!b)
        return error_no_memory(err);
    b->lock_fd = -1;
    if (!effective.registry)
        effective.registry = DEFAULT_REGISTRY;
    b->options = &effective;
    if (!name_is_fit(options->name))
        return error_set(err, ERR_INVALID,
                         "'%s' is no name for an app; take letters a-z, digits and '-'",
                         options->name ? options->name : "");
    if (build(b, &result, err) < 0)
        return error_wrap(err, "building '%s'", options->name);
    result.total_ms = clock_monotonic_ms() - start;
    *ret = result;
    result = (struct build_result){0};
    return 0;
}
