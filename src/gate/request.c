/* gate/request.c - see gate/request.h. The hook runs as us, but what it says came with a push:
 * every part is checked, and no path is taken as it is. */
#include "gate/request.h"

#include <fcntl.h>

#include "base/fs.h"
#include "source/source.h"

static bool is_commit(const char *text)
{
    size_t len = strlen(text);

    return (len == 40 || len == 64) && strspn(text, "0123456789abcdef") == len;
}

static bool is_branch(const char *ref)
{
    return str_starts(str_of(ref), STR("refs/heads/")) && !strpbrk(ref, "\n\r\t ");
}

/* git's name for the folder of a push that is not accepted yet: tmp_objdir-incoming-XXXXXX. */
static bool is_quarantine(const char *name)
{
    return str_starts(str_of(name), STR("tmp_objdir-")) && !strpbrk(name, "/.\n");
}

/* All that is copied fits: checked by the callers' sizes, or said so here. */
static int copy(char *to, size_t size, const char *text, const char *what, struct error *err)
{
    if ((size_t)snprintf(to, size, "%s", text) >= size)
        return error_set(err, ERR_LIMIT, "%s is longer than %zu bytes", what, size - 1);
    return 0;
}

static int find_repository(const char *home, const char *app, const char *objects,
                           struct queue_item *item, struct error *err)
{
    CLEANUP(text) char *repository = str_format("%s/gate/git/%s.git", home, app);
    CLEANUP(text)
    char *inside = objects ? str_format("%s/objects/%s", repository, objects) : str_dup(STR(""));

    if (!repository || !inside)
        return error_no_memory(err);
    if (!fs_exists(AT_FDCWD, repository))
        return error_set(err, ERR_NOT_FOUND, "the gate has no repository of '%s'", app);
    return copy(item->objects_dir, sizeof item->objects_dir, inside, "the path of the push", err);
}

int request_parse(const char *home, struct str line, struct queue_item *ret, struct error *err)
{
    CLEANUP(json) json_t *request = NULL;
    struct queue_item item = {0};

    if (json_parse("gate.sock", line, &request, err) < 0)
        return -1;
    const char *app = json_str_at(request, "app");
    const char *ref = json_str_at(request, "ref");
    const char *commit = json_str_at(request, "commit");
    const char *old = json_str_at(request, "old");
    const char *objects = json_str_at(request, "objects");
    if (!app || !source_name_is_fit(app))
        return error_set(err, ERR_INVALID, "expected the name of an app");
    if (!ref || !is_branch(ref))
        return error_set(err, ERR_INVALID, "expected a branch (refs/heads/NAME)");
    if (!commit || !is_commit(commit) || (old && !is_commit(old)))
        return error_set(err, ERR_INVALID, "expected a commit id of 40 or 64 hex digits");
    if (objects && !is_quarantine(objects))
        return error_set(err, ERR_INVALID, "expected git's folder of a push, got '%.64s'", objects);
    if (copy(item.app, sizeof item.app, app, "the app's name", err) < 0 ||
        copy(item.ref, sizeof item.ref, ref, "the branch", err) < 0 ||
        copy(item.commit, sizeof item.commit, commit, "the commit id", err) < 0 ||
        copy(item.old, sizeof item.old, old ? old : "", "the commit id", err) < 0 ||
        find_repository(home, app, objects, &item, err) < 0)
        return -1;
    *ret = item;
    return 0;
}
