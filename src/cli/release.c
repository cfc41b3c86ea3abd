/* cli/release.c - monban release list, show, export, import; monban verify. */
#include <fcntl.h>

#include "base/clock.h"
#include "base/fs.h"
#include "cli/commands.h"
#include "oci/layout.h"
#include "release/release.h"

enum { SHORT_COMMIT = 12 };

/* What these commands have in common: where the releases lie, and whose keys are trusted. */
struct release_place {
    const char *layout;
    struct strv keys;
};

static void release_place_done(struct release_place *place)
{
    strv_done(&place->keys);
}
DEFINE_CLEANUP_VALUE(release_place, struct release_place, release_place_done)

#define LAYOUT_OPTION(place)                                                                       \
    {                                                                                              \
        .name = "layout", .value = "DIR",                                                          \
        .help = "OCI layout of the releases; default: the gate's", .text = &(place).layout         \
    }
#define KEY_OPTION(place)                                                                          \
    {                                                                                              \
        .name = "key", .letter = 'k', .value = "FILE",                                             \
        .help = "a trusted public key, repeatable; default: the gate's", .list = &(place).keys     \
    }

static int open_layout(const struct cli *cli, const struct release_place *place, int flags,
                       struct layout **ret, struct error *err)
{
    CLEANUP(text)
    char *path =
        place->layout ? str_dup(str_of(place->layout)) : fs_join(cli->home, "gate/registry");

    return path ? layout_open(path, flags, ret, err) : error_no_memory(err);
}

static int read_trust(const struct cli *cli, const struct release_place *place, struct trust **ret,
                      struct error *err)
{
    CLEANUP(trust) struct trust *trust = NULL;
    CLEANUP(text) char *own = fs_join(cli->home, "gate/keys/release.pub");

    if (!own)
        return error_no_memory(err);
    if (trust_new(&trust, err) < 0)
        return -1;
    if (place->keys.count == 0 && trust_add_file(trust, own, err) < 0)
        return -1;
    for (size_t i = 0; i < place->keys.count; i++)
        if (trust_add_file(trust, place->keys.items[i], err) < 0)
            return -1;
    *ret = TAKE(trust);
    return 0;
}

/* "3" and "release-3" are release 3; nothing is the newest; the rest is a digest or a tag. free()
 * it. */
static char *reference_of(const char *word)
{
    uint64_t sequence;

    if (!word)
        return str_dup(STR(RELEASE_TAG));
    if (str_to_u64(str_of(word), &sequence))
        return str_format("release-%llu", (unsigned long long)sequence);
    return str_dup(str_of(word));
}

/* --- list */

static void print_list(const char *workload, const json_t *list)
{
    size_t i;
    const json_t *item;

    json_array_foreach(list, i, item)
    {
        printf("%-20s %-8lld %-12.*s %-21s %s\n", workload,
               (long long)json_int_at(item, "sequence", 0), SHORT_COMMIT,
               json_str_at(item, "commit"), json_str_at(item, "createdAt"),
               json_str_at(item, "digest"));
    }
}

static int list_all(const struct cli *cli, struct layout *layout, const struct strv *words,
                    struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;
    CLEANUP(json) json_t *root = json_object();

    if (!root)
        return error_no_memory(err);
    if (words->count > 0)
        strv_add(&names, words->items[0]);
    else if (release_workloads(layout, &names, err) < 0)
        return -1;
    if (strv_ok(&names, err) < 0)
        return -1;
    if (!cli->json)
        printf("%-20s %-8s %-12s %-21s %s\n", "WORKLOAD", "RELEASE", "COMMIT", "CREATED", "DIGEST");
    for (size_t i = 0; i < names.count; i++) {
        json_t *list = NULL;
        if (release_list(layout, names.items[i], &list, err) < 0)
            return -1;
        if (!cli->json)
            print_list(names.items[i], list);
        if (json_object_set_new(root, names.items[i], list) < 0)
            return error_no_memory(err);
    }
    if (cli->json)
        cli_print_json(root);
    return 0;
}

static int run_list(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(release_place) struct release_place place = {0};
    CLEANUP(layout) struct layout *layout = NULL;
    const struct cli_option options[] = {LAYOUT_OPTION(place), {.name = NULL}};
    bool done;

    if (cli_options(cli, &cli_release_list, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count > 1)
        return cli_usage(&cli_release_list, "at most one workload, please");
    if (open_layout(cli, &place, 0, &layout, &err) < 0 || list_all(cli, layout, &words, &err) < 0)
        return cli_fail(cli, &err, NULL);
    return CLI_DONE;
}

const struct cli_command cli_release_list = {
    "release list", "[WORKLOAD]", "the releases that the gate has made, newest first",
    "What their statements say; 'monban verify' checks who signed them.", run_list};

/* --- show and verify */

static json_t *release_json(const struct release *r)
{
    char created[CLOCK_TEXT_SIZE];
    CLEANUP(json) json_t *attestations = json_array();

    for (size_t i = 0; attestations && i < r->attestation_count; i++)
        if (json_array_append_new(attestations,
                                  json_pack("{s:s, s:s}", "predicateType",
                                            r->attestations[i].predicate_type, "digest",
                                            r->attestations[i].digest.text)) < 0)
            return NULL;
    return attestations
               ? json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:O}", "workload",
                           r->workload, "namespace", r->namespace_, "sequence",
                           (json_int_t)r->sequence, "commit", r->commit, "createdAt",
                           clock_rfc3339(r->created_s, created), "image", r->image.digest.text,
                           "yaml", r->yaml.text, "digest", r->digest.text, "key", r->key_id.text,
                           "attestations", attestations)
               : NULL;
}

static void print_release(const struct release *r)
{
    char created[CLOCK_TEXT_SIZE];

    printf("workload     %s (namespace %s)\nrelease      %llu of %s\ncommit       %s\n"
           "image        %s\nYAML         %s\nstatement    %s\nsigned by    %s\n",
           r->workload, r->namespace_, (unsigned long long)r->sequence,
           clock_rfc3339(r->created_s, created), r->commit, r->image.digest.text, r->yaml.text,
           r->digest.text, r->key_id.text);
    for (size_t i = 0; i < r->attestation_count; i++)
        printf("attested     %s %s\n", r->attestations[i].digest.text,
               r->attestations[i].predicate_type);
}

/* Prints the part that --part names; false if it names none. */
static bool print_part(const struct release_content *content, const char *part)
{
    const struct {
        const char *name;
        json_t *tree;
    } parts[] = {{"sbom", content->sbom},
                 {"findings", content->findings},
                 {"provenance", content->provenance},
                 {"verdict", content->verdict},
                 {"image", content->image_manifest}};

    if (strcmp(part, "yaml") == 0) {
        (void)fwrite(buf_text(&content->yaml), 1, content->yaml.len, stdout); /* as above */
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (strcmp(parts[i].name, part) == 0 && parts[i].tree) {
            cli_print_json(parts[i].tree);
            return true;
        }
    }
    return false;
}

struct verify_call {
    const struct cli_command *command;
    const char *part; /* NULL: the statement */
    bool say_verified;
};

static int verify_one(const struct cli *cli, const struct release_place *place,
                      const struct strv *words, struct release_content *ret, struct error *err)
{
    CLEANUP(layout) struct layout *layout = NULL;
    CLEANUP(trust) struct trust *trust = NULL;
    CLEANUP(text) char *reference = reference_of(words->count > 1 ? words->items[1] : NULL);
    const struct release_rules rules = {.workload = words->items[0], .want_provenance = true};

    if (!reference)
        return error_no_memory(err);
    if (open_layout(cli, place, 0, &layout, err) < 0 || read_trust(cli, place, &trust, err) < 0)
        return -1;
    return release_verify(layout, reference, trust, &rules, ret, err);
}

static int run_verified(struct cli *cli, const struct verify_call *call,
                        const struct release_place *place, const struct strv *words)
{
    struct error err = ERROR_INIT;
    CLEANUP(release_content) struct release_content content = RELEASE_CONTENT_INIT;

    if (words->count < 1 || words->count > 2)
        return cli_usage(call->command, "a workload, and a release if not the newest");
    if (verify_one(cli, place, words, &content, &err) < 0)
        return cli_fail(cli, &err, NULL);
    if (call->part && !print_part(&content, call->part))
        return cli_usage(call->command,
                         "expected --part sbom, findings, provenance, verdict, image "
                         "or yaml");
    if (call->part)
        return CLI_DONE;
    if (cli->json) {
        CLEANUP(json) json_t *root = release_json(&content.release);
        if (!root)
            return cli_fail(cli, (error_no_memory(&err), &err), NULL);
        cli_print_json(root);
        return CLI_DONE;
    }
    print_release(&content.release);
    if (call->say_verified)
        printf("verified     statement, YAML, image manifest, config and layers, %zu attestations, "
               "verdict PASSED\n",
               content.release.attestation_count);
    return CLI_DONE;
}

static int run_show(struct cli *cli, int argc, char **argv)
{
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(release_place) struct release_place place = {0};
    struct verify_call call = {.command = &cli_release_show};
    bool done;
    const struct cli_option options[] = {
        LAYOUT_OPTION(place),
        KEY_OPTION(place),
        {.name = "part",
         .value = "PART",
         .help = "sbom, findings, provenance, verdict, image or yaml",
         .text = &call.part},
        {.name = NULL},
    };

    if (cli_options(cli, &cli_release_show, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    return done ? CLI_DONE : run_verified(cli, &call, &place, &words);
}

const struct cli_command cli_release_show = {
    "release show", "WORKLOAD [N|DIGEST] [--part PART]", "what a release is made of",
    "The release is verified first; nothing is printed of one that fails.", run_show};

static int run_verify(struct cli *cli, int argc, char **argv)
{
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(release_place) struct release_place place = {0};
    const struct verify_call call = {.command = &cli_verify, .say_verified = true};
    const struct cli_option options[] = {LAYOUT_OPTION(place), KEY_OPTION(place), {.name = NULL}};
    bool done;

    if (cli_options(cli, &cli_verify, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    return done ? CLI_DONE : run_verified(cli, &call, &place, &words);
}

const struct cli_command cli_verify = {"verify", "WORKLOAD [N|DIGEST] [--key FILE]…",
                                       "check a release: every digest, signature and rule",
                                       "Ends with 3 and names the digest or rule that fails.",
                                       run_verify};

/* --- export and import */

static int run_export(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(release_place) struct release_place place = {0};
    CLEANUP(layout) struct layout *layout = NULL;
    const char *which = NULL;
    bool done;
    const struct cli_option options[] = {
        LAYOUT_OPTION(place),
        {.name = "release",
         .value = "N",
         .help = "a sequence number or digest; default: the newest",
         .text = &which},
        {.name = NULL},
    };

    if (cli_options(cli, &cli_release_export, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 2)
        return cli_usage(&cli_release_export, "a workload and a file, please");
    CLEANUP(text) char *reference = reference_of(which);
    if (!reference)
        return cli_fail(cli, (error_no_memory(&err), &err), NULL);
    if (open_layout(cli, &place, 0, &layout, &err) < 0 ||
        release_export(layout, words.items[0], reference, words.items[1], &err) < 0)
        return cli_fail(cli, &err, NULL);
    if (!cli->json)
        printf("%s: %s of %s\nnext: monban release import %s\n", words.items[1], reference,
               words.items[0], words.items[1]);
    return CLI_DONE;
}

const struct cli_command cli_release_export = {
    "release export", "WORKLOAD FILE [--release N]", "write a release as one file, an OCI layout",
    "A tar that any OCI tool reads, for a cluster that no network reaches.", run_export};

static int run_import(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(release_place) struct release_place place = {0};
    CLEANUP(layout) struct layout *layout = NULL;
    CLEANUP(trust) struct trust *trust = NULL;
    const struct cli_option options[] = {LAYOUT_OPTION(place), KEY_OPTION(place), {.name = NULL}};
    struct release release;
    bool done;

    if (cli_options(cli, &cli_release_import, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 1)
        return cli_usage(&cli_release_import, "one file, please");
    if (open_layout(cli, &place, LAYOUT_CREATE, &layout, &err) < 0 ||
        read_trust(cli, &place, &trust, &err) < 0 ||
        release_import(layout, words.items[0], trust, &release, &err) < 0)
        return cli_fail(cli, &err, NULL);
    if (cli->json) {
        CLEANUP(json) json_t *root = release_json(&release);
        if (root)
            cli_print_json(root);
        return CLI_DONE;
    }
    print_release(&release);
    return CLI_DONE;
}

const struct cli_command cli_release_import = {
    "release import", "FILE [--layout DIR] [--key FILE]…", "take a release out of one file",
    "Verified as 'monban verify' does before any tag moves; an older release never becomes the "
    "newest.",
    run_import};
