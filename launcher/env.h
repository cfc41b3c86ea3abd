/* launcher/env.h - the environment that layers give a process (buildpacks spec, "Environment"):
 * folders of the layer, then files of env/, env.launch/ and env.launch/TYPE/, and what exec.d
 * programs say. */
#pragma once
#include "sys.h"

struct env {
    struct list items; /* "NAME=value" */
};
void env_init(struct env *env,
              char *const *envp); /* without the names that are the launcher's own */
const char *env_get(const struct env *env, const char *name); /* NULL if absent */
void env_set(struct env *env, const char *name, const char *value);
/* LAYER/bin before PATH, LAYER/lib before LD_LIBRARY_PATH. */
void env_add_layer_root(struct env *env, const char *layer);
/* The files of one folder: NAME, NAME.override, .default, .append, .prepend, .delim. */
void env_add_dir(struct env *env, const char *dir);
/* `KEY = "value"` lines, as an exec.d program writes on descriptor 3. False if they are not such.
 */
bool env_add_toml(struct env *env, char *text);
/* The program's path by PATH of `env`; itself if it holds a slash; NULL if there is none. */
const char *env_find_program(const struct env *env, const char *name);
