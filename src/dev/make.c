/* dev/make.c - see dev/make.h. */
#include "dev/make.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "build/build.h"
#include "deliver/deliver.h"
#include "dev/deploy.h"
#include "oci/image.h"
#include "oci/registry_client.h"
#include "platform/platform.h"
#include "verdict/verdict.h"
#include "workload/workload.h"

static void on_progress(enum build_event event, struct str line, void *ctx)
{
    if (event == BUILD_OUTPUT)
        return; /* shown only if it fails, in the error's text */
    printf("%s%.*s\n", event == BUILD_WARNING ? "warning: " : "  ", STR_ARG(line));
    (void)fflush(stdout); /* progress only */
}

/* Languages whose files the app reads at its start; all else must be built again. */
static bool is_live(const json_t *buildpacks)
{
    static const char *const live[] = {"node", "python", "static", "php", "ruby"};
    size_t i;
    const json_t *pack;

    json_array_foreach(buildpacks, i, pack)
    {
        const char *id = json_str_at(pack, "id");
        for (size_t k = 0; id && k < ARRAY_LEN(live); k++) {
            if (str_ends(str_of(id), str_of(live[k])))
                return true;
        }
    }
    return false;
}

/* The platform folder, or nothing: the inner loop needs none. */
static struct platform *platform_maybe(const char *home)
{
    CLEANUP(text) char *path = fs_join(home, "platform");
    struct platform *platform = NULL;
    struct error lost = ERROR_INIT;

    return path && platform_read(path, &platform, &lost) == 0 ? platform : NULL;
}

static int push(const struct make_job *job, struct layout *layout, const char *repository,
                const struct digest *image, struct error *err)
{
    CLEANUP(registry_client) struct registry_client *client = NULL;
    struct descriptor pushed;
    struct registry_copy copy = {
        .repository = repository, .reference = image->text, .local_repository = repository};

    if (deliver_embedded_registry(job->kubeconfig, &client, err) < 0 ||
        registry_push(client, &copy, layout, &pushed, err) < 0)
        return error_wrap(err, "bringing the image to cluster '%s'", job->cluster);
    return 0;
}

static int make_result(const struct make_job *job, const struct workload *workload,
                       struct layout *layout, const struct build_result *built, json_t **ret,
                       struct error *err)
{
    CLEANUP(platform) struct platform *platform = platform_maybe(job->home);
    CLEANUP(image) struct image *image = NULL;
    CLEANUP(strv) struct strv notes = STRV_INIT;
    CLEANUP(json) json_t *objects = NULL;
    CLEANUP(json) json_t *note_list = json_array();
    CLEANUP(text) char *secrets = str_format("%s/dev/secrets", job->home);
    CLEANUP(text)
    char *build = str_format("%s-%lld", digest_hex(&built->manifest), (long long)clock_now_ms());
    bool live = is_live(built->buildpacks);

    if (!secrets || !build)
        return error_no_memory(err);
    if (image_read(layout, &built->manifest, NULL, &image, err) < 0)
        return -1;
    struct deploy_input input = {
        .workload = workload,
        .platform = platform,
        .cluster = job->cluster,
        .secrets_dir = secrets,
        .image = &built->manifest,
        .image_config = image->config,
        .token = live ? job->token : NULL,
        .build = build,
    };
    if (deploy_objects(&input, &objects, &notes, err) < 0)
        return -1;
    for (size_t i = 0; i < notes.count; i++)
        (void)json_array_append_new(note_list, json_string(notes.items[i]));
    *ret = json_pack("{s:O, s:s, s:s, s:s, s:O, s:b, s:b}", "objects", objects, "name",
                     workload_name(workload), "namespace", workload_namespace(workload), "image",
                     built->manifest.text, "notes", note_list, "isLive", live, "cached",
                     built->cached);
    return *ret ? 0 : error_no_memory(err);
}

static int open_source(const char *source, struct workload **ret, char **ret_dir, struct error *err)
{
    CLEANUP(fd) int fd = -1;
    CLEANUP(workload) struct workload *workload = NULL;

    if (fs_open_dir(AT_FDCWD, source, &fd, err) < 0)
        return -1;
    struct str base = str_trim_end(str_of(source), '/');
    ptrdiff_t slash = str_find_last(base, '/');
    CLEANUP(text) char *name = str_dup(slash < 0 ? base : str_skip(base, (size_t)slash + 1));
    if (!name)
        return error_no_memory(err);
    if (workload_read(fd, name, &workload, err) < 0)
        return -1;
    *ret_dir = fs_join(source, workload_sub_path(workload));
    if (!*ret_dir)
        return error_no_memory(err);
    *ret = TAKE(workload);
    return 0;
}

int make_image(const void *arg, json_t **ret, struct error *err)
{
    const struct make_job *job = arg;
    CLEANUP(workload) struct workload *workload = NULL;
    CLEANUP(layout) struct layout *layout = NULL;
    CLEANUP(build_result) struct build_result built = {0};
    CLEANUP(text) char *layout_dir = str_format("%s/dev/registry", job->home);
    CLEANUP(text) char *dev_dir = fs_join(job->home, "dev");
    CLEANUP(text) char *source = NULL;

    if (!layout_dir || !dev_dir)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, dev_dir, 0700, err) < 0 ||
        open_source(job->source, &workload, &source, err) < 0)
        return -1;
    CLEANUP(text) char *repository = str_format("apps/%s", workload_name(workload));
    if (!repository)
        return error_no_memory(err);
    CLEANUP(platform) struct platform *platform = platform_maybe(job->home);
    CLEANUP(text)
    char *stack = platform ? str_format("%s/stacks/%s.yaml", platform_dir(platform),
                                        platform_default_stack(platform))
                           : NULL;
    const struct strv *hosts = platform ? platform_build_hosts(platform) : NULL;
    struct build_options options = {
        .home = job->home,
        .stack_file = stack && fs_exists(AT_FDCWD, stack) ? stack : NULL,
        .trust_bundle = platform ? platform_trust_bundle(platform) : NULL,
        .allow_hosts = hosts ? (const char *const *)hosts->items : NULL,
        .source_dir = source,
        .workload = workload_document(workload),
        .name = workload_name(workload),
        .layout_dir = layout_dir,
        .repository = repository,
        .tag = "dev",
        .progress = on_progress,
    };
    if (build_image(&options, &built, err) < 0 || layout_open(layout_dir, 0, &layout, err) < 0 ||
        push(job, layout, repository, &built.manifest, err) < 0)
        return -1;
    return make_result(job, workload, layout, &built, ret, err);
}

/* --- the ghost of the gate */

static size_t rules_of(const struct platform *platform, const char *cluster,
                       struct check_rule *rules, size_t max)
{
    const struct strv *names = platform_checks(platform);
    size_t count = 0;

    for (size_t i = 0; i < names->count && count < max; i++)
        rules[count++] = (struct check_rule){
            names->items[i],
            (enum check_level)platform_check_level(platform, cluster, names->items[i])};
    return count;
}

static int say_verdict(const struct platform *platform, const struct findings *findings,
                       const struct advisory_db *db, struct buf *out, struct error *err)
{
    struct check_rule rules[64];
    CLEANUP(verdict) struct verdict *verdict = NULL;
    const struct platform_cluster *gate = platform_gate(platform);
    size_t count = 0;
    struct verdict_input input = {
        .findings = findings,
        .rules = rules,
        .db = db,
        .now_s = clock_now_s(),
        .cluster = gate->name,
        .is_developer_gate = true,
    };

    input.rule_count = rules_of(platform, gate->name, rules, ARRAY_LEN(rules));
    if (verdict_judge(&input, &verdict, err) < 0)
        return -1;
    const struct failure *failures = verdict_failures(verdict, &count);
    for (size_t i = 0; i < count; i++) {
        if (failures[i].level >= CHECK_HOLD) {
            buf_addf(out, "the gate would refuse this: %s%s%s", failures[i].evidence,
                     *failures[i].command ? "; next: " : "", failures[i].command);
            return buf_ok(out, err);
        }
    }
    buf_addf(out, "the gate would let this pass%s", count ? " (with notes)" : "");
    return buf_ok(out, err);
}

int make_verdict(const void *arg, json_t **ret, struct error *err)
{
    const struct make_job *job = arg;
    CLEANUP(platform) struct platform *platform = platform_maybe(job->home);
    CLEANUP(advisory_db) struct advisory_db *db = NULL;
    CLEANUP(inventory) struct inventory *inventory = NULL;
    CLEANUP(findings) struct findings *findings = NULL;
    CLEANUP(text) char *db_path = fs_join(job->home, "db/advisories.db");
    CLEANUP(buf) struct buf text = BUF_INIT(4096);
    struct inventory_options options = {.name = "dev"};

    if (!db_path)
        return error_no_memory(err);
    if (platform && platform_gate(platform) && fs_exists(AT_FDCWD, db_path)) {
        if (advisory_db_open(db_path, &db, err) < 0 ||
            inventory_of_folder(job->source, &options, &inventory, err) < 0 ||
            findings_of(inventory, db, &findings, err) < 0 ||
            say_verdict(platform, findings, db, &text, err) < 0)
            return -1;
    }
    *ret = json_pack("{s:s%}", "text", buf_text(&text), text.len);
    return *ret ? 0 : error_no_memory(err);
}
