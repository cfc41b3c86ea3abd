/* launcher/env.c - see env.h. */
#include "env.h"

static const char *const own_names[] = {
    "CNB_LAYERS_DIR",       "CNB_APP_DIR",        "CNB_PROCESS_TYPE", "CNB_PLATFORM_API",
    "CNB_DEPRECATION_MODE", "MONBAN_LIVE_UPDATE", "MONBAN_LIVE_TOKEN"};

static bool is_named(const char *item, const char *name)
{
    size_t len = text_len(name);

    return text_starts(item, name) && item[len] == '=';
}

/* PATH without the folders of the launcher itself. */
static const char *clean_path(const char *path)
{
    const char *clean = "";

    while (*path) {
        const char *colon = text_find(path, ':');
        const char *item = text_copy(path, colon ? (size_t)(colon - path) : text_len(path));
        if (!text_equal(item, "/cnb/process") && !text_equal(item, "/cnb/lifecycle"))
            clean = *clean ? TEXT(clean, ":", item) : item;
        path = colon ? colon + 1 : "";
    }
    return clean;
}

void env_init(struct env *env, char *const *envp)
{
    for (size_t i = 0; envp[i]; i++) {
        bool own = false;
        for (size_t k = 0; k < sizeof(own_names) / sizeof(own_names[0]); k++)
            own = own || is_named(envp[i], own_names[k]);
        if (!own)
            list_add(&env->items, envp[i]);
    }
    const char *path = env_get(env, "PATH");
    if (path)
        env_set(env, "PATH", clean_path(path));
    if (!env->items.items)
        list_add(&env->items, "MONBAN=1"); /* so that it is a list in any case */
}

const char *env_get(const struct env *env, const char *name)
{
    for (size_t i = 0; i < env->items.count; i++) {
        if (is_named(env->items.items[i], name))
            return env->items.items[i] + text_len(name) + 1;
    }
    return NULL;
}

void env_set(struct env *env, const char *name, const char *value)
{
    const char *item = TEXT(name, "=", value);

    for (size_t i = 0; i < env->items.count; i++) {
        if (is_named(env->items.items[i], name)) {
            env->items.items[i] = (char *)item;
            return;
        }
    }
    list_add(&env->items, item);
}

static void prepend(struct env *env, const char *name, const char *value, const char *delimiter)
{
    const char *old = env_get(env, name);

    env_set(env, name, old && *old ? TEXT(value, delimiter, old) : value);
}

static void append(struct env *env, const char *name, const char *value, const char *delimiter)
{
    const char *old = env_get(env, name);

    env_set(env, name, old && *old ? TEXT(old, delimiter, value) : value);
}

void env_add_layer_root(struct env *env, const char *layer)
{
    const char *bin = TEXT(layer, "/bin"), *lib = TEXT(layer, "/lib");

    if (sys_is_dir(bin))
        prepend(env, "PATH", bin, ":");
    if (sys_is_dir(lib))
        prepend(env, "LD_LIBRARY_PATH", lib, ":");
}

static void add_file(struct env *env, const char *dir, const char *file)
{
    const char *dot = text_find(file, '.');
    const char *name = dot ? text_copy(file, (size_t)(dot - file)) : file;
    const char *suffix = dot ? dot + 1 : "override";
    const char *path = TEXT(dir, "/", file), *value, *delimiter;

    if (!sys_is_file(path) || text_equal(suffix, "delim") || !*name)
        return;
    value = file_read(path, NULL);
    delimiter = file_read(TEXT(dir, "/", name, ".delim"), NULL);
    if (!value)
        return;
    if (!delimiter)
        delimiter = "";
    if (text_equal(suffix, "override"))
        env_set(env, name, value);
    else if (text_equal(suffix, "append"))
        append(env, name, value, delimiter);
    else if (text_equal(suffix, "prepend"))
        prepend(env, name, value, delimiter);
    else if (text_equal(suffix, "default") && !(env_get(env, name) && *env_get(env, name)))
        env_set(env, name, value);
}

void env_add_dir(struct env *env, const char *dir)
{
    struct list files = {0};

    dir_list(dir, &files);
    for (size_t i = 0; i < files.count; i++)
        add_file(env, dir, files.items[i]);
}

static char *skip_blank(char *at)
{
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

bool env_add_toml(struct env *env, char *text)
{
    while (*text) {
        char *at = skip_blank(text), *name = at, *value, *to;
        while (*at && *at != '=' && *at != ' ' && *at != '\t' && *at != '\n')
            at++;
        const char *key = text_copy(name, (size_t)(at - name));
        at = skip_blank(at);
        if (!*key || *key == '#') {
            while (*at && *at != '\n')
                at++;
            text = *at ? at + 1 : at;
            continue;
        }
        if (*at++ != '=')
            return false;
        at = skip_blank(at);
        char quote = *at++;
        if (quote != '"' && quote != '\'')
            return false;
        value = to = at;
        for (; *at && *at != quote && *at != '\n'; at++) {
            if (quote == '"' && *at == '\\' && at[1]) {
                at++;
                *to++ = *at == 'n' ? '\n' : *at == 't' ? '\t' : *at;
            } else {
                *to++ = *at;
            }
        }
        if (*at++ != quote)
            return false;
        env_set(env, key, text_copy(value, (size_t)(to - value)));
        while (*at && *at != '\n')
            at++;
        text = *at ? at + 1 : at;
    }
    return true;
}

const char *env_find_program(const struct env *env, const char *name)
{
    const char *path = env_get(env, "PATH");

    if (text_find(name, '/'))
        return name;
    while (path && *path) {
        const char *colon = text_find(path, ':');
        const char *dir = text_copy(path, colon ? (size_t)(colon - path) : text_len(path));
        const char *program = TEXT(*dir ? dir : ".", "/", name);
        if (sys_is_executable(program))
            return program;
        path = colon ? colon + 1 : NULL;
    }
    return NULL;
}
