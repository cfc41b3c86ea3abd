/* base/home.c - see base/home.h. */
#include "base/home.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"

static char *choose(const char *option)
{
    const char *set = getenv("MONBAN_HOME");
    const char *state = getenv("XDG_STATE_HOME");
    const char *user = getenv("HOME");

    if (option)
        return str_dup(str_of(option));
    if (set && set[0])
        return str_dup(str_of(set));
    if (geteuid() == 0)
        return str_dup(STR("/var/lib/monban"));
    if (state && state[0] == '/')
        return fs_join(state, "monban");
    return fs_join(user && user[0] == '/' ? user : "/tmp", ".local/state/monban");
}

int home_path(const char *option, char **ret_path, struct error *err)
{
    CLEANUP(text) char *path = choose(option);

    if (!path)
        return error_no_memory(err);
    if (path[0] == '/') {
        *ret_path = TAKE(path);
        return 0;
    }
    CLEANUP(text) char *cwd = getcwd(NULL, 0);
    if (!cwd)
        return error_errno(err, "cannot tell the current folder");
    *ret_path = fs_join(cwd, path);
    return *ret_path ? 0 : error_no_memory(err);
}
