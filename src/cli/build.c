/* cli/build.c - monban build: a folder becomes an image, as at the gate. */
#include "build/build.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>

#include "base/fs.h"
#include "cli/commands.h"
#include "workload/workload.h"

struct arguments {
    const char *tag, *stack, *buildpacks, *layout, *name, *commit, *registry;
    bool no_cache, quiet;
};

static void print_progress(enum build_event event, struct str line, void *ctx)
{
    const struct arguments *a = ctx;

    if (a->quiet && event == BUILD_OUTPUT)
        return;
    fprintf(stderr, "%s%.*s\n",
            event == BUILD_OUTPUT    ? "    | "
            : event == BUILD_WARNING ? "warning: "
                                     : "",
            STR_ARG(line));
}

/* npm's own variable, so that what works for the developer's npm works here. */
static const char *registry_of(const struct cli *cli, const struct arguments *a)
{
    static const char *const names[] = {"NPM_CONFIG_REGISTRY=", "npm_config_registry="};

    if (a->registry)
        return a->registry;
    for (size_t i = 0; cli->envp && cli->envp[i]; i++) {
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            if (str_starts(str_of(cli->envp[i]), str_of(names[k])))
                return cli->envp[i] + strlen(names[k]);
        }
    }
    return NULL;
}

/* --stack: a file, or the name of one in the platform folder; without it the platform's "base", if
 * there is one. *ret stays NULL for the stack beside the buildpacks. */
static int find_stack(const struct cli *cli, const char *wanted, char **ret, struct error *err)
{
    CLEANUP(text)
    char *path = str_format("%s/platform/stacks/%s.yaml", cli->home, wanted ? wanted : "base");

    if (!path)
        return error_no_memory(err);
    if (wanted && (strchr(wanted, '/') || str_ends(str_of(wanted), STR(".yaml")))) {
        *ret = strdup(wanted);
        return *ret ? 0 : error_no_memory(err);
    }
    if (fs_exists(AT_FDCWD, path))
        *ret = TAKE(path);
    else if (wanted)
        return error_set(err, ERR_NOT_FOUND, "no stack '%s': there is no '%s'", wanted, path);
    return 0;
}

static void print_result(const struct cli *cli, const struct build_options *o,
                         const struct build_result *r)
{
    if (!cli->json) {
        printf("%s@%s (%lld ms%s)\n", o->repository, r->manifest.text, (long long)r->total_ms,
               r->cached ? ", unchanged" : "");
        return;
    }
    CLEANUP(json)
    json_t *root =
        json_pack("{s:s,s:s,s:s,s:s,s:b,s:I,s:s,s:O,s:O,s:O}", "image", o->repository, "digest",
                  r->manifest.text, "config", r->config.text, "layout", o->layout_dir, "cached",
                  (int)r->cached, "milliseconds", (json_int_t)r->total_ms, "stack", r->stack_name,
                  "layers", r->layers, "processes", r->processes, "buildpacks", r->buildpacks);
    cli_print_json(root);
}

static int build_dir(struct cli *cli, const char *dir, struct arguments *a, struct error *err)
{
    CLEANUP(text) char *source = realpath(dir, NULL);
    CLEANUP(workload) struct workload *workload = NULL;
    CLEANUP(build_result) struct build_result result = {0};
    CLEANUP(text) char *stack = NULL;
    CLEANUP(text) char *layout = str_format("%s/gate/registry", cli->home);
    CLEANUP(text) char *repository = NULL;
    CLEANUP(fd) int fd = -1;
    struct str tag = str_of(a->tag);

    if (!source)
        return error_errno(err, "'%s'", dir);
    if (fs_open_dir(AT_FDCWD, source, &fd, err) < 0 ||
        workload_read(fd, source, &workload, err) < 0 || find_stack(cli, a->stack, &stack, err) < 0)
        return -1;
    const char *name = a->name ? a->name : workload_name(workload);
    struct str image = tag.ptr ? str_cut(&tag, ':') : STR_NONE;
    repository = image.len ? str_dup(image) : str_format("apps/%s", name);
    if (!repository || !layout)
        return error_no_memory(err);
    const struct build_options options = {
        .home = cli->home,
        .source_dir = source,
        .commit = a->commit,
        .workload = workload_document(workload),
        .name = name,
        .stack_file = stack,
        .buildpacks_dir = a->buildpacks,
        .layout_dir = a->layout ? a->layout : layout,
        .repository = repository,
        .tag = tag.ptr && tag.len ? tag.ptr : "latest",
        .registry = registry_of(cli, a),
        .no_cache = a->no_cache,
        .progress = print_progress,
        .progress_ctx = a,
    };
    if (build_image(&options, &result, err) < 0)
        return -1;
    print_result(cli, &options, &result);
    return 0;
}

static int run_build(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    struct arguments a = {0};
    const struct cli_option options[] = {
        {.name = "tag",
         .letter = 't',
         .value = "NAME[:TAG]",
         .help = "what the image is called (default apps/NAME:latest)",
         .text = &a.tag},
        {.name = "stack",
         .value = "NAME|FILE",
         .help = "a stack of the platform folder, or a stack file",
         .text = &a.stack},
        {.name = "buildpacks",
         .value = "DIR",
         .help = "a folder of buildpacks, with order.toml",
         .text = &a.buildpacks},
        {.name = "layout",
         .value = "DIR",
         .help = "OCI layout to write into (default HOME/gate/registry)",
         .text = &a.layout},
        {.name = "name",
         .value = "NAME",
         .help = "the app's name (default: workload.yaml's, or the folder's)",
         .text = &a.name},
        {.name = "commit",
         .value = "ID",
         .help = "commit id for the image's labels",
         .text = &a.commit},
        {.name = "registry",
         .value = "URL",
         .help = "npm registry (default $NPM_CONFIG_REGISTRY, or registry.npmjs.org)",
         .text = &a.registry},
        {.name = "no-cache",
         .help = "look for no earlier result of the same inputs",
         .flag = &a.no_cache},
        {.name = "quiet",
         .letter = 'q',
         .help = "phases only, not what buildpacks print",
         .flag = &a.quiet},
        {.name = NULL},
    };
    CLEANUP(strv) struct strv words = STRV_INIT;
    bool done;

    if (cli_options(cli, &cli_build, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 1)
        return cli_usage(&cli_build, "one folder, please");
    if (build_dir(cli, words.items[0], &a, &err) < 0)
        return cli_fail(cli, &err, NULL);
    return CLI_DONE;
}

const struct cli_command cli_build = {
    "build", "DIR [--tag NAME]", "build the source in DIR into an image, as the gate does",
    "Buildpacks run in a sandbox: no host files, no network but the registries that are allowed. Phases go to\n"
    "standard error; the image's name and digest to standard output. Unchanged source is no work.",
    run_build};
