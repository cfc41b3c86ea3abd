/* build/buildenv.c - the environment of buildpacks (buildpacks spec, buildpack.md "Environment").
 * What lies in layers was written by buildpacks: read beneath the folder, regular files only. */
#include <fcntl.h>

#include "base/fs.h"
#include "build/lifecycle.h"
#include "build/tree.h"

enum { ENV_FILE_MAX = 128 << 10 };

static const char *const path_names[] = {"PATH", "LD_LIBRARY_PATH", "LIBRARY_PATH", "CPATH",
                                         "PKG_CONFIG_PATH"};

static ptrdiff_t find(const struct strv *env, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->items[i], name, len) == 0 && env->items[i][len] == '=')
            return (ptrdiff_t)i;
    }
    return -1;
}

static const char *get(const struct strv *env, const char *name)
{
    ptrdiff_t at = find(env, name);

    return at < 0 ? "" : env->items[at] + strlen(name) + 1;
}

static void set(struct strv *env, const char *name, const char *value)
{
    ptrdiff_t at = find(env, name);
    char *item;

    if (at < 0) {
        strv_addf(env, "%s=%s", name, value);
        return;
    }
    item = str_format("%s=%s", name, value);
    if (!item) {
        env->failed = true;
        return;
    }
    free(env->items[at]);
    env->items[at] = item;
}

/* new = first + (both are there ? delimiter : "") + second */
static void set_joined(struct strv *env, const char *name, const char *first, const char *delimiter,
                       const char *second)
{
    CLEANUP(text)
    char *value = str_format("%s%s%s", first, *first && *second ? delimiter : "", second);

    if (!value)
        env->failed = true;
    else
        set(env, name, value);
}

static bool is_path_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(path_names); i++) {
        if (strcmp(name, path_names[i]) == 0)
            return true;
    }
    return false;
}

int buildenv_init(struct build *b, struct error *err)
{
    const char *registry = b->options->registry;
    uint16_t port = sandbox_proxy_port(b->sandbox);

    strv_done(&b->env);
    strv_add(&b->env, "PATH=/usr/local/bin:/usr/bin:/bin");
    strv_addf(&b->env, "HOME=/home/%s", b->stack->user_name);
    strv_addf(&b->env, "CNB_STACK_ID=monban.%s", b->stack->name);
    strv_add(&b->env, "CNB_TARGET_OS=linux");
#if defined(__aarch64__)
    strv_add(&b->env, "CNB_TARGET_ARCH=arm64");
#else
    strv_add(&b->env, "CNB_TARGET_ARCH=amd64");
#endif
    strv_addf(&b->env, "CNB_TARGET_DISTRO_NAME=%s", b->stack->distro_id);
    strv_addf(&b->env, "CNB_TARGET_DISTRO_VERSION=%s", b->stack->distro_version);
    strv_add(&b->env, "CNB_EXEC_ENV=production");
    strv_add(&b->env, "CNB_PLATFORM_DIR=/platform");
    strv_add(&b->env, "LC_ALL=C");
    strv_add(&b->env, "SOURCE_DATE_EPOCH=315532801"); /* what is built twice is the same twice */
    strv_addf(&b->env, "HTTPS_PROXY=http://127.0.0.1:%u", port);
    strv_addf(&b->env, "https_proxy=http://127.0.0.1:%u", port);
    strv_add(&b->env, "NO_PROXY=localhost,127.0.0.1");
    strv_add(&b->env, "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt");
    strv_add(&b->env, "NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt");
    strv_add(&b->env, "GIT_SSL_CAINFO=/etc/ssl/certs/ca-certificates.crt");
    strv_add(&b->env, "npm_config_cafile=/etc/ssl/certs/ca-certificates.crt");
    strv_addf(&b->env, "npm_config_registry=%s", registry);
    return strv_ok(&b->env, err);
}

struct env_file {
    struct strv *env;
    int dir_fd;
};

/* One file of an env folder: NAME, or NAME.SUFFIX. */
static int apply_file(const struct env_file *f, const char *file, struct error *err)
{
    CLEANUP(buf) struct buf value = BUF_INIT(ENV_FILE_MAX);
    CLEANUP(buf) struct buf delimiter = BUF_INIT(1024);
    struct str rest = str_of(file);
    CLEANUP(text) char *name = str_dup(str_cut(&rest, '.'));
    CLEANUP(text) char *delimiter_file = name ? str_format("%s.delim", name) : NULL;
    struct error none = ERROR_INIT;

    if (!delimiter_file)
        return error_no_memory(err);
    if (str_is(rest, "delim") || !name[0] || strchr(name, '='))
        return 0;
    if (tree_read_file(f->dir_fd, file, &value, err) < 0)
        return -1;
    if (tree_read_file(f->dir_fd, delimiter_file, &delimiter, &none) < 0)
        buf_clear(&delimiter);
    const char *text = buf_text(&value);
    if (!rest.ptr || str_is(rest, "override"))
        set(f->env, name, text);
    else if (str_is(rest, "default") && !*get(f->env, name))
        set(f->env, name, text);
    else if (str_is(rest, "append"))
        set_joined(f->env, name, get(f->env, name), buf_text(&delimiter), text);
    else if (str_is(rest, "prepend"))
        set_joined(f->env, name, text, buf_text(&delimiter), get(f->env, name));
    return strv_ok(f->env, err);
}

static int apply_dir(struct strv *env, int layers_fd, const char *path, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;
    CLEANUP(fd) int fd = -1;
    struct error none = ERROR_INIT;

    if (fs_open_beneath(layers_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, &none) < 0)
        return 0; /* most layers have none */
    const struct env_file file = {env, fd};
    if (fs_list(fd, ".", &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        if (apply_file(&file, names.items[i], err) < 0)
            return error_wrap(err, "reading '%s'", path);
    }
    return 0;
}

static bool has_dir(int layers_fd, const char *layer, const char *name)
{
    CLEANUP(text) char *path = fs_join(layer, name);
    CLEANUP(fd) int fd = -1;
    struct error none = ERROR_INIT;

    return path && fs_open_beneath(layers_fd, path, O_RDONLY | O_DIRECTORY, 0, &fd, &none) == 0;
}

int buildenv_add_layer(struct build *b, const struct build_layer *layer, struct error *err)
{
    static const char *const roots[][2] = {{"bin", "PATH"},
                                           {"lib", "LD_LIBRARY_PATH"},
                                           {"lib", "LIBRARY_PATH"},
                                           {"include", "CPATH"},
                                           {"pkgconfig", "PKG_CONFIG_PATH"}};
    static const char *const dirs[] = {"env", "env.build"};
    int layers_fd = sandbox_layers_fd(b->sandbox);
    CLEANUP(text) char *path = str_format("%s/%s", layer->buildpack->escaped, layer->name);

    if (!path)
        return error_no_memory(err);
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
        CLEANUP(text) char *inside = str_format("/layers/%s/%s", path, roots[i][0]);
        if (!inside)
            return error_no_memory(err);
        if (has_dir(layers_fd, path, roots[i][0]))
            set_joined(&b->env, roots[i][1], inside, ":", get(&b->env, roots[i][1]));
    }
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        CLEANUP(text) char *dir = fs_join(path, dirs[i]);
        if (!dir)
            return error_no_memory(err);
        if (apply_dir(&b->env, layers_fd, dir, err) < 0)
            return -1;
    }
    return strv_ok(&b->env, err);
}

/* The platform's variables: spec.build.env of the Workload. */
static void add_platform(const struct build *b, struct strv *env)
{
    const json_t *list = json_at(b->options->workload, "spec.build.env"), *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        const char *name = json_str_at(item, "name"), *value = json_str_at(item, "value");
        if (!name || !value)
            continue;
        if (is_path_name(name))
            set_joined(env, name, value, ":", get(env, name));
        else
            set(env, name, value);
    }
}

int buildenv_for(const struct build *b, const struct buildpack *pack, const struct strv *more,
                 struct strv *out, struct error *err)
{
    for (size_t i = 0; i < b->env.count; i++)
        strv_add(out, b->env.items[i]);
    if (!pack->clear_env)
        add_platform(b, out);
    if (strv_ok(out, err) < 0)
        return -1;
    strv_addf(out, "CNB_BUILDPACK_DIR=/cnb/buildpacks/%s/%s", pack->escaped, pack->version);
    for (size_t i = 0; i < more->count; i++)
        strv_add(out, more->items[i]);
    return strv_ok(out, err);
}
