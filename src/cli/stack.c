/* cli/stack.c - monban stack build, monban stack list. */
#include "build/stack.h"

#include <fcntl.h>

#include "base/fs.h"
#include "build/build.h"
#include "cli/commands.h"

static void print_progress(struct str line, void *ctx)
{
    (void)ctx;
    fprintf(stderr, "%.*s\n", STR_ARG(line));
}

/* A file, or the name of a stack of the platform folder; without either the stack beside the
 * buildpacks. */
static char *stack_path(const struct cli *cli, const char *word)
{
    if (word && (strchr(word, '/') || str_ends(str_of(word), STR(".yaml"))))
        return strdup(word);
    if (word)
        return str_format("%s/platform/stacks/%s.yaml", cli->home, word);
    CLEANUP(text) char *buildpacks = build_find_share("buildpacks");
    return buildpacks ? fs_join(buildpacks, "stack.yaml") : NULL;
}

static void print_stack(const struct cli *cli, const struct stack *s, bool built)
{
    if (cli->json) {
        CLEANUP(json)
        json_t *root =
            json_pack("{s:s,s:s,s:s,s:b,s:s,s:I,s:s,s:O,s:O}", "name", s->name, "owner", s->owner,
                      "key", s->key.text, "built", (int)built, "baseDigest", s->base_digest.text,
                      "size", (json_int_t)s->base_size, "buildRootfs", s->build_rootfs, "run",
                      s->run_packages, "build", s->build_packages);
        cli_print_json(root);
        return;
    }
    printf("stack %s %s: base layer %s, %.1f MB, %zu packages\n", s->name,
           built ? "built" : "is up to date", s->base_digest.text, (double)s->base_size / 1e6,
           json_array_size(s->run_packages));
}

static int run_build(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    bool refresh = false, done, built;
    const struct cli_option options[] = {
        {.name = "refresh", .help = "look for newer packages, too", .flag = &refresh},
        {.name = NULL},
    };
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(stack) struct stack *stack = NULL;

    if (cli_options(cli, &cli_stack_build, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count > 1)
        return cli_usage(&cli_stack_build, "one stack at a time, please");
    CLEANUP(text) char *file = stack_path(cli, words.count ? words.items[0] : NULL);
    if (!file) {
        error_set(&err, ERR_NOT_FOUND,
                  "no stack is named, and there is none beside the buildpacks");
        return cli_fail(cli, &err, NULL);
    }
    const struct stack_options stack_options = {
        .home = cli->home, .file = file, .refresh = refresh, .progress = print_progress};
    if (stack_build(&stack_options, &stack, &built, &err) < 0)
        return cli_fail(cli, &err, err.kind == ERR_SYSTEM ? "apt-get update" : NULL);
    print_stack(cli, stack, built);
    return CLI_DONE;
}

static int run_list(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(json) json_t *list = NULL;
    const json_t *item;
    bool done;
    size_t i;

    if (cli_options(cli, &cli_stack_list, argc, argv, NULL, NULL, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (stack_list(cli->home, &list, &err) < 0)
        return cli_fail(cli, &err, NULL);
    if (cli->json) {
        cli_print_json(list);
        return CLI_DONE;
    }
    printf("%-20s %-12s %9s %10s  %s\n", "NAME", "OWNER", "SIZE", "PACKAGES", "BUILT");
    json_array_foreach(list, i, item)
        printf("%-20s %-12s %6.1f MB %10lld  %s\n", json_str_at(item, "name"),
               json_str_at(item, "owner"), (double)json_int_at(item, "size", 0) / 1e6,
               (long long)json_int_at(item, "packages", 0), json_str_at(item, "builtAt"));
    return CLI_DONE;
}

const struct cli_command cli_stack_build = {
    "stack build", "[NAME|FILE] [--refresh]",
    "make a stack's base layer and build image from Debian packages",
    "NAME is a file of HOME/platform/stacks; without a name the stack beside the buildpacks. Nothing is done while\n"
    "the file is as it was; --refresh resolves again and builds if a package has a newer version.",
    run_build};

const struct cli_command cli_stack_list = {
    "stack list", "", "the stacks that were built: owner, size, packages, age", NULL, run_list};
