/* gate/build.c - the first stages of a walk: source, and build. */
#include <fcntl.h>

#include "base/fs.h"
#include "gate/walk_internal.h"

/* A claim of a service that no cluster of the road offers can never be bound: said now, at its
 * place. */
static int check_claims(const struct walk *w, struct error *err)
{
    CLEANUP(error_list) struct error_list faults = ERROR_LIST_INIT;
    size_t count;
    const struct workload_claim *claims = workload_claims(w->workload, &count);

    for (size_t i = 0; i < count; i++) {
        if (!platform_has_service(w->options->platform, claims[i].service))
            error_list_add(&faults, ERR_INVALID, claims[i].place,
                           "no service or service class '%s' on this platform; the platform team "
                           "adds it in platform/services/*.yaml",
                           claims[i].service);
    }
    return error_list_check(&faults, err);
}

int walk_source(struct walk *w, struct error *err)
{
    CLEANUP(fd) int tree_fd = -1;

    walk_begin(w, "source", WALK_OWNER_APP, "push the commit to the gate first, on any branch");
    if (source_describe(w->repository, w->options->commit, &w->commit, err) < 0)
        return -1;
    w->next = "push again, after correcting the place named above";
    if (source_export(w->repository, w->options->commit, w->tree_dir, err) < 0)
        return -1;
    if (fs_open_dir(AT_FDCWD, w->tree_dir, &tree_fd, err) < 0)
        return -1;
    if (workload_read(tree_fd, w->options->repository, &w->workload, err) < 0)
        return -1;
    if (strcmp(workload_name(w->workload), w->options->app) != 0)
        return error_set(err, ERR_INVALID,
                         "workload.yaml names '%s', but this is the repository of '%s'",
                         workload_name(w->workload), w->options->app);
    if (check_claims(w, err) < 0)
        return -1;
    walk_done(w, "%.12s %.48s", w->commit.id, w->commit.subject);
    return 0;
}

static void build_progress(enum build_event event, struct str line, void *ctx)
{
    struct walk *w = ctx;

    walk_say(w, event == BUILD_OUTPUT ? "    | %.*s" : "    %.*s", STR_ARG(line));
}

static int sub_folder(const struct walk *w, char **ret_path, struct error *err)
{
    CLEANUP(fd) int tree_fd = -1;
    CLEANUP(fd) int folder_fd = -1;
    const char *sub = workload_sub_path(w->workload);

    if (fs_open_dir(AT_FDCWD, w->tree_dir, &tree_fd, err) < 0 ||
        workload_open_sub_path(w->workload, tree_fd, &folder_fd, err) < 0)
        return -1; /* opened beneath the tree: so the joined path below stays in it */
    *ret_path = sub[0] ? fs_join(w->tree_dir, sub) : str_dup(str_of(w->tree_dir));
    return *ret_path ? 0 : error_no_memory(err);
}

int walk_build(struct walk *w, struct error *err)
{
    const struct platform *p = w->options->platform;
    const char *stack = platform_default_stack(p);
    const struct strv *hosts = platform_build_hosts(p);
    CLEANUP(text) char *stack_file = str_format("%s/stacks/%s.yaml", platform_dir(p), stack);
    CLEANUP(text) char *source_dir = NULL;

    walk_begin(w, "build", WALK_OWNER_APP, "monban build . (the same build, on your machine)");
    if (!stack_file)
        return error_no_memory(err);
    if (sub_folder(w, &source_dir, err) < 0)
        return -1;
    struct build_options options = {
        .home = w->options->home,
        .source_dir = source_dir,
        .commit = w->commit.id,
        .source_url = w->options->source_uri,
        .workload = workload_document(w->workload),
        .name = w->options->app,
        .stack_file = stack_file,
        .layout_dir = layout_path(w->layout),
        .trust_bundle = platform_trust_bundle(p),
        .allow_hosts = (const char *const *)hosts->items,
        .progress = build_progress,
        .progress_ctx = w,
    };
    if (build_image(&options, &w->build, err) < 0)
        return -1;
    walk_done(w, "%.19s… %s", w->build.manifest.text, w->build.cached ? "(unchanged)" : "");
    return 0;
}
