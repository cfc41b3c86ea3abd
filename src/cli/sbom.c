/* cli/sbom.c - monban sbom. */
#include "sbom/sbom.h"

#include "base/fs.h"
#include "cli/commands.h"

static int run_sbom(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    struct inventory_options inventory = {0};
    const char *cache = NULL;
    const struct cli_option options[] = {
        {.name = "name", .value = "NAME", .help = "of the image or app", .text = &inventory.name},
        {.name = "cache", .value = "DIR", .help = "keep what layers hold there", .text = &cache},
        {.name = "with-dev", .help = "packages for development, too", .flag = &inventory.with_dev},
        {.name = NULL},
    };
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(text) char *registry = NULL;
    CLEANUP(inventory) struct inventory *inv = NULL;
    CLEANUP(json) json_t *bom = NULL;
    const struct inventory_fault *faults;
    size_t fault_count;
    bool done;

    if (cli_options(cli, &cli_sbom, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 1)
        return cli_usage(&cli_sbom, "one image or folder, please");
    inventory.cache_dir = cache;
    registry = fs_join(cli->home, "gate/registry"); /* NULL without memory: not looked at */
    if (inventory_of_target(words.items[0], registry, &inventory, &inv, &err) < 0 ||
        inventory_to_cyclonedx(inv, &bom, &err) < 0)
        return cli_fail(cli, &err, NULL);
    cli_print_json(bom);
    faults = inventory_faults(inv, &fault_count);
    for (size_t i = 0; i < fault_count; i++)
        fprintf(stderr, "monban: %s: %s\n", faults[i].path, faults[i].text);
    return CLI_DONE;
}

const struct cli_command cli_sbom = {
    "sbom", "IMAGE-OR-DIR [--name NAME]", "the inventory of an image or a folder, as CycloneDX 1.6",
    "IMAGE is an OCI layout (PATH, PATH:TAG, PATH@sha256:HEX) or REPOSITORY:TAG of the gate's registry;\n"
    "DIR is a folder of source with a lock file. Evidence that cannot be used is named on standard error.",
    run_sbom};
