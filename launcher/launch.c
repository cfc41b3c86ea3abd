/* launcher/launch.c - see launch.h. */
#include "launch.h"

#include <fcntl.h>

struct context {
    const char *layers, *app;
    struct metadata metadata;
    struct launch *out;
};

static const char *env_or(char **envp, const char *name, const char *otherwise)
{
    size_t len = text_len(name);

    for (size_t i = 0; envp[i]; i++) {
        if (text_starts(envp[i], name) && envp[i][len] == '=')
            return envp[i] + len + 1;
    }
    return otherwise;
}

/* "a/b" is folder "a_b". */
static const char *escaped(const char *id)
{
    char *copy = text_copy(id, text_len(id));

    for (char *c = copy; *c; c++) {
        if (*c == '/')
            *c = '_';
    }
    return copy;
}

static bool run_exec_d(struct env *env, const char *program, const char *cwd)
{
    int ends[2], status = 0;
    size_t len = 0;
    enum { OUTPUT_MAX = 64 << 10 };
    char *text = mem_new(OUTPUT_MAX);
    long got;

    if (sys_pipe(ends, 0) < 0)
        return false;
    int pid = sys_fork();
    if (pid == 0) {
        char *argv[] = {(char *)program, NULL};
        if (sys_chdir(cwd) == 0 && sys_dup_to(ends[1], 3) >= 0)
            (void)sys_exec(program, argv, env->items.items);
        sys_exit(LAUNCH_FAILED_EXIT);
    }
    sys_close(ends[1]);
    while (pid > 0 && len + 1 < OUTPUT_MAX &&
           (got = sys_read(ends[0], text + len, OUTPUT_MAX - 1 - len)) > 0)
        len += (size_t)got;
    sys_close(ends[0]);
    if (pid < 0 || sys_wait(pid, &status, 0) != pid || status != 0 || !env_add_toml(env, text)) {
        SAY("exec.d program ", program, " failed");
        return false;
    }
    return true;
}

static bool run_exec_dir(struct env *env, const char *dir, const char *cwd)
{
    struct list files = {0};

    dir_list(dir, &files);
    for (size_t i = 0; i < files.count; i++) {
        const char *program = TEXT(dir, "/", files.items[i]);
        if (sys_is_file(program) && !run_exec_d(env, program, cwd))
            return false;
    }
    return true;
}

/* Calls `fn` for every layer folder, in group order, then by name. */
static bool each_layer(const struct context *c, bool (*fn)(const struct context *, const char *),
                       size_t buildpack)
{
    const char *dir = TEXT(c->layers, "/", escaped(c->metadata.buildpacks.items[buildpack]));
    struct list names = {0};

    dir_list(dir, &names);
    for (size_t i = 0; i < names.count; i++) {
        const char *layer = TEXT(dir, "/", names.items[i]);
        if (sys_is_dir(layer) && !fn(c, layer))
            return false;
    }
    return true;
}

static bool add_root(const struct context *c, const char *layer)
{
    env_add_layer_root(&c->out->env, layer);
    return true;
}

static bool add_files(const struct context *c, const char *layer)
{
    env_add_dir(&c->out->env, TEXT(layer, "/env"));
    env_add_dir(&c->out->env, TEXT(layer, "/env.launch"));
    if (*c->out->type)
        env_add_dir(&c->out->env, TEXT(layer, "/env.launch/", c->out->type));
    return true;
}

static bool add_exec_d(const struct context *c, const char *layer)
{
    if (!run_exec_dir(&c->out->env, TEXT(layer, "/exec.d"), c->app))
        return false;
    return !*c->out->type ||
           run_exec_dir(&c->out->env, TEXT(layer, "/exec.d/", c->out->type), c->app);
}

static bool add_layers(const struct context *c)
{
    for (size_t i = 0; i < c->metadata.buildpacks.count; i++) {
        if (!each_layer(c, add_root, i) || !each_layer(c, add_files, i))
            return false;
    }
    for (size_t i = 0; i < c->metadata.buildpacks.count; i++) {
        if (!each_layer(c, add_exec_d, i))
            return false;
    }
    return true;
}

/* --- a shell process (direct = false): profile scripts, then the command, evaluated once --- */

static struct list profile_files; /* filled by add_profile, which each_layer() calls */

static bool add_profile_dir(const char *dir)
{
    struct list files = {0};

    dir_list(dir, &files);
    for (size_t i = 0; i < files.count; i++) {
        const char *path = TEXT(dir, "/", files.items[i]);
        if (sys_is_file(path))
            list_add(&profile_files, path);
    }
    return true;
}

static bool add_profile(const struct context *c, const char *layer)
{
    add_profile_dir(TEXT(layer, "/profile.d"));
    return !*c->out->type || add_profile_dir(TEXT(layer, "/profile.d/", c->out->type));
}

static void make_shell(const struct context *c, const struct list *words)
{
    const char *script = "";
    struct list argv = {0};

    for (size_t i = 0; i < c->metadata.buildpacks.count; i++)
        (void)each_layer(c, add_profile, i);
    if (sys_is_file(TEXT(c->app, "/.profile")))
        list_add(&profile_files, TEXT(c->app, "/.profile"));
    for (size_t i = 0; i < profile_files.count; i++)
        script = TEXT(script, "source \"", profile_files.items[i], "\"\n");
    script = TEXT(script, "cd \"", c->out->cwd, "\"\n");
    if (words->count == 1) {
        script = TEXT(script, "exec bash -c \"$@\"");
    } else {
        script = TEXT(script, "exec bash -c '\"$(eval echo \\\"$0\\\")\"");
        for (size_t i = 1; i < words->count; i++)
            script = TEXT(script, " \"$(eval echo \\\"${", text_number((long)i), "}\\\")\"");
        script = TEXT(script, "' \"${@:1}\"");
    }
    list_add(&argv, "bash");
    list_add(&argv, "-c");
    list_add(&argv, script);
    list_add(&argv, "launcher");
    for (size_t i = 0; i < words->count; i++)
        list_add(&argv, words->items[i]);
    c->out->argv = argv;
    c->out->program = "/bin/bash";
}

/* --- which process --- */

static void add_words(struct list *to, const struct list *from, size_t first)
{
    for (size_t i = first; i < from->count; i++)
        list_add(to, from->items[i]);
}

/* Command and arguments of a process type with the user's arguments (platform API 0.10 and later).
 */
static void process_words(const struct process *p, const struct list *user, struct list *words)
{
    list_add(words, p->command.count ? p->command.items[0] : "");
    add_words(words, &p->command, 1);
    if (p->command.count > 1)
        add_words(words, user->count ? user : &p->args, 0);
    else if (user->count == 0)
        add_words(words, &p->args, 0);
    else
        add_words(words, user, 0);
}

static bool choose(struct context *c, int argc, char **argv, struct list *words, bool *direct)
{
    const char *name = text_base(argv[0]);
    const struct process *p = metadata_process(&c->metadata, name);
    struct list user = {0};

    for (int i = 1; i < argc; i++)
        list_add(&user, argv[i]);
    c->out->cwd = c->app;
    c->out->type = p ? p->type : "";
    *direct = true;
    if (p) {
        process_words(p, &user, words);
        *direct = p->direct;
        c->out->cwd = p->working_dir ? p->working_dir : c->app;
    } else if (user.count > 1 && text_equal(user.items[0], "--")) {
        add_words(words, &user, 1);
    } else if (user.count && !text_equal(user.items[0], "--")) {
        add_words(words, &user, 0);
        *direct = false;
    } else {
        SAY("a command is required: there is no process type '", name, "'");
        return false;
    }
    return true;
}

bool launch_prepare(int argc, char **argv, char **envp, struct launch *ret)
{
    struct context c = {.out = ret};
    struct list words = {0};
    bool direct;

    c.layers = env_or(envp, "CNB_LAYERS_DIR", "/layers");
    c.app = env_or(envp, "CNB_APP_DIR", "/workspace");
    char *text = file_read(TEXT(c.layers, "/config/metadata.toml"), NULL);
    if (!text || !metadata_parse(text, &c.metadata)) {
        SAY(c.layers, "/config/metadata.toml cannot be read");
        return false;
    }
    if (!choose(&c, argc, argv, &words, &direct))
        return false;
    env_init(&ret->env, envp);
    if (sys_chdir(c.app) < 0) {
        SAY("no folder ", c.app);
        return false;
    }
    if (!add_layers(&c))
        return false;
    if (!direct) {
        make_shell(&c, &words);
        return true;
    }
    ret->program = env_find_program(&ret->env, words.items[0]);
    ret->argv = words;
    if (!ret->program) {
        SAY("program '", words.items[0], "' is not in PATH");
        return false;
    }
    return true;
}

int launch_exec(const struct launch *launch)
{
    int result = sys_chdir(launch->cwd);

    if (result < 0) {
        SAY("no folder ", launch->cwd);
        return result;
    }
    result = sys_exec(launch->program, launch->argv.items, launch->env.items.items);
    SAY("cannot execute ", launch->program, ": error ", text_number(-result));
    return result;
}
