/* cli/render.c - monban render: the YAML that a release of a source folder would hold. */
#include <fcntl.h>

#include "base/fs.h"
#include "cli/commands.h"
#include "render/render.h"

enum { YAML_MAX = 4 << 20 };

static int read_workload(const char *dir, struct workload **ret, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    CLEANUP(text) char *path = realpath(dir, NULL);

    if (!path)
        return error_errno(err, "source folder '%s'", dir);
    if (fs_open_dir(AT_FDCWD, path, &fd, err) < 0)
        return -1;
    return workload_read(fd, path, ret, err);
}

static int render(const struct cli *cli, const char *dir, const struct render_input *wanted,
                  struct error *err)
{
    CLEANUP(workload) struct workload *w = NULL;
    CLEANUP(buf) struct buf yaml = BUF_INIT(YAML_MAX);
    CLEANUP(json) json_t *objects = NULL;
    struct render_input input = *wanted;

    if (read_workload(dir, &w, err) < 0)
        return -1;
    input.workload = w;
    if (cli->json) {
        if (render_objects(&input, &objects, err) < 0)
            return -1;
        cli_print_json(objects);
        return 0;
    }
    if (render_yaml(&input, &yaml, err) < 0)
        return -1;
    (void)fwrite(buf_text(&yaml), 1, yaml.len, stdout); /* a closed pipe ends us by SIGPIPE */
    return 0;
}

static int run_render(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(strv) struct strv words = STRV_INIT;
    const char *image = NULL, *commit = NULL;
    struct digest digest;
    bool done;
    const struct cli_option options[] = {
        {.name = "image", .value = "DIGEST", .help = "of the image: sha256:…", .text = &image},
        {.name = "commit", .value = "ID", .help = "noted as an annotation", .text = &commit},
        {.name = NULL},
    };

    if (cli_options(cli, &cli_render, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count > 1)
        return cli_usage(&cli_render, "one source folder, please");
    if (!image || !digest_parse(str_of(image), &digest))
        return cli_usage(&cli_render, "expected --image sha256:<64 hex digits>");
    const struct render_input input = {.image = &digest, .commit = commit};
    if (render(cli, words.count ? words.items[0] : ".", &input, &err) < 0)
        return cli_fail(cli, &err, NULL);
    return CLI_DONE;
}

const struct cli_command cli_render = {
    "render", "[DIR] --image DIGEST", "print the Kubernetes YAML of a workload",
    "Environment-neutral: what a cluster's platform adds (replicas, agents, bindings) is added by "
    "that cluster's agent. -o json prints the objects.",
    run_render};
