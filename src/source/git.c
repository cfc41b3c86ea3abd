/* source/git.c - calling git with nothing of the machine's configuration in it. */
#include <unistd.h>

#include "base/proc.h"
#include "source/source_internal.h"

extern char **environ;

/* What a fetch needs of our surroundings, where a site has a proxy or a private CA. */
static const char *const passed_on[] = {
    "PATH=",     "http_proxy=",    "https_proxy=",  "HTTPS_PROXY=",  "no_proxy=",
    "NO_PROXY=", "SSL_CERT_FILE=", "SSL_CERT_DIR=", "SSH_AUTH_SOCK="};

static void add_environment(struct strv *envp)
{
    for (char **item = environ; *item; item++)
        for (size_t i = 0; i < ARRAY_LEN(passed_on); i++)
            if (str_starts(str_of(*item), str_of(passed_on[i])))
                strv_add(envp, *item);
    strv_add(envp, "HOME=/nonexistent");
    strv_add(envp, "LC_ALL=C");
    strv_add(envp, "GIT_CONFIG_NOSYSTEM=1");
    strv_add(envp, "GIT_CONFIG_GLOBAL=/dev/null");
    strv_add(envp, "GIT_ATTR_NOSYSTEM=1");
    strv_add(envp, "GIT_NO_REPLACE_OBJECTS=1");
    strv_add(envp, "GIT_TERMINAL_PROMPT=0");
    strv_add(envp, "GIT_ASKPASS=/bin/false");
    strv_add(envp, "GIT_SSH_COMMAND=ssh -o BatchMode=yes");
}

void git_command_init(struct git_command *git, const char *repository, const char *protocols)
{
    *git = (struct git_command){0};
    add_environment(&git->envp);
    strv_addf(&git->envp, "GIT_ALLOW_PROTOCOL=%s", protocols);
    GIT_ARGS(git, "git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c",
             "safe.directory=*", "-c", "gc.auto=0", "-c", "maintenance.auto=false");
    strv_addf(&git->argv, "--git-dir=%s", repository);
}

void git_add_args(struct git_command *git, const char *const *args)
{
    for (; *args; args++)
        strv_add(&git->argv, *args);
}

void git_command_done(struct git_command *git)
{
    strv_done(&git->argv);
    strv_done(&git->envp);
}

int git_run(struct git_command *git, struct buf *out, int timeout_ms, int *ret_exit,
            struct error *err)
{
    struct proc_options options = PROC_OPTIONS_INIT;

    if (strv_ok(&git->argv, err) < 0 || strv_ok(&git->envp, err) < 0)
        return -1;
    options.argv = (const char *const *)git->argv.items;
    options.envp = (const char *const *)git->envp.items;
    options.die_with_parent = true;
    return proc_run(&options, STR_NONE, out, timeout_ms, ret_exit, err);
}

bool git_is_object_id(struct str text)
{
    if (text.len != 40 && text.len != 64)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!strchr("0123456789abcdef", text.ptr[i]) || !text.ptr[i])
            return false;
    return true;
}
