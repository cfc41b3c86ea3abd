/* gate/publish.c - the last stages of a walk: render, release. */
#include <fcntl.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/random.h"
#include "gate/walk_internal.h"
#include "oci/image.h"
#include "release/release.h"
#include "render/render.h"

static int render(struct walk *w, const struct image *image, struct buf *ret_yaml,
                  struct error *err)
{
    walk_begin(w, "render", WALK_OWNER_APP, "correct the place named above, then push again");
    struct render_input input = {.workload = w->workload,
                                 .image = &image->descriptor.digest,
                                 .image_config = image->config,
                                 .commit = w->commit.id};
    if (render_yaml(&input, ret_yaml, err) < 0)
        return -1;
    walk_done(w, "%s, %zu bytes", RENDER_FILE, ret_yaml->len);
    return 0;
}

/* One item a thing that went into the image beside the source: SLSA's ResourceDescriptor. */
static json_t *dependencies_of(const struct walk *w)
{
    json_t *list = json_array();
    size_t i;
    json_t *buildpack;

    json_array_foreach(w->build.buildpacks, i, buildpack)
    {
        CLEANUP(text)
        char *uri = str_format("urn:cnb:builder:%s@%s", json_str_at(buildpack, "id"),
                               json_str_at(buildpack, "version"));
        (void)json_array_append_new(list,
                                    json_pack("{s:s}", "uri", uri)); /* checked by the caller */
    }
    return list;
}

static int make_provenance(const struct walk *w, json_t **ret, struct error *err)
{
    char id[UUID_SIZE];
    CLEANUP(text) char *local = str_format("git+file://%s", w->options->repository);
    CLEANUP(json) json_t *dependencies = dependencies_of(w);
    CLEANUP(json)
    json_t *internal = json_pack("{s:s?, s:s?}", "stack", w->build.stack_name, "inputs",
                                 w->build.provenance_inputs);

    random_uuid(id);
    if (!local || !dependencies || !internal)
        return error_no_memory(err);
    struct provenance_input input = {
        .builder_version = NULL,
        .source_uri = w->options->source_uri ? w->options->source_uri : local,
        .commit = w->commit.id,
        .ref = w->options->ref,
        .sub_path = workload_sub_path(w->workload),
        .build_env = workload_build_env(w->workload),
        .internal = internal,
        .dependencies = dependencies,
        .invocation_id = id,
        .started_s = w->started_s,
        .finished_s = clock_now_s(),
    };
    return provenance_new(&input, ret, err);
}

static int make_verdict(const struct walk *w, json_t **ret, struct error *err)
{
    CLEANUP(buf) struct buf reference = BUF_INIT(1024);

    if (render_image_reference(w->options->app, &w->build.manifest, &reference, err) < 0)
        return -1;
    CLEANUP(text) char *uri = str_format("oci://%s", buf_text(&reference));
    if (!uri)
        return error_no_memory(err);
    struct vsa_input input = {
        .resource_uri = uri,
        .policy_uri = "https://monban.dev/platform",
        .policy = platform_digest(w->options->platform),
        .passed = w->passed,
        .extension = w->verdict,
        .verified_s = clock_now_s(),
    };
    return vsa_new(&input, ret, err);
}

/* What a release is a function of, apart from the time: image, YAML, findings. A database that has
 * learned something since makes a new release, because its findings are another document. */
static int release_inputs(const struct walk *w, const struct image *image, struct str yaml,
                          struct buf *out, struct error *err)
{
    CLEANUP(buf) struct buf findings = BUF_INIT(64 << 20);

    if (json_write(json_object_get(w->findings, "findings"), true, &findings, err) < 0)
        return -1;
    struct digest of_findings = digest_of(buf_str(&findings));
    struct digest of_yaml = digest_of(yaml);
    buf_addf(out, "%s %s %s", image->descriptor.digest.text, of_yaml.text, of_findings.text);
    return buf_ok(out, err);
}

/* True if the newest release says the same already: nothing to sign, nothing to deliver. */
static bool is_released(struct walk *w, const char *path, struct str inputs)
{
    struct error lost = ERROR_INIT; /* nothing noted, or not readable: release again */
    CLEANUP(buf) struct buf before = BUF_INIT(4096);
    CLEANUP(json) json_t *list = NULL;

    if (fs_read_at(AT_FDCWD, path, &before, &lost) < 0 || !str_equal(buf_str(&before), inputs) ||
        release_list(w->layout, w->options->app, &list, &lost) < 0 || json_array_size(list) == 0)
        return false;
    w->sequence = (uint64_t)json_int_at(json_array_get(list, 0), "sequence", 0);
    return w->sequence > 0;
}

/* git moves the ref only after the hook, and only from where the pusher saw it. Of two pushes that
 * saw the same, the second must not be released: git would refuse it afterwards. */
static int check_ref(const struct walk *w, struct error *err)
{
    const struct walk_options *o = w->options;
    struct error lost = ERROR_INIT; /* a ref that is not there yet */
    char now[SOURCE_COMMIT_SIZE] = "";

    if (!o->old)
        return 0;
    if (source_resolve(o->repository, o->ref, now, &lost) < 0 && lost.kind != ERR_NOT_FOUND)
        return error_set(err, lost.kind, "%s", lost.text);
    bool was_there = strspn(o->old, "0") != strlen(o->old);
    if (was_there ? strcmp(now, o->old) == 0 : !now[0])
        return 0;
    return error_set(err, ERR_CONFLICT, "'%s' stands at %.12s by now: another push was faster",
                     o->ref, now[0] ? now : "nothing");
}

int walk_publish(struct walk *w, struct error *err)
{
    CLEANUP(image) struct image *image = NULL;
    CLEANUP(buf) struct buf yaml = BUF_INIT(RELEASE_YAML_MAX);
    CLEANUP(json) json_t *provenance = NULL;
    CLEANUP(json) json_t *vsa = NULL;
    CLEANUP(fd) int lock = -1;
    CLEANUP(text) char *lock_path = fs_join(w->options->home, "gate/release.lock");
    CLEANUP(text)
    char *noted = str_format("%s/gate/state/%s.inputs", w->options->home, w->options->app);
    CLEANUP(buf) struct buf inputs = BUF_INIT(4096);
    struct error lost = ERROR_INIT;
    struct release release;

    if (!lock_path || !noted)
        return error_no_memory(err);
    if (image_read(w->layout, &w->build.manifest, NULL, &image, err) < 0 ||
        render(w, image, &yaml, err) < 0 ||
        release_inputs(w, image, buf_str(&yaml), &inputs, err) < 0)
        return -1;

    walk_begin(w, "release", WALK_OWNER_PLATFORM, "df -h HOME/gate; monban release list");
    if (is_released(w, noted, buf_str(&inputs))) {
        w->unchanged = true;
        walk_done(w, "%llu (unchanged)", (unsigned long long)w->sequence);
        return 0;
    }
    if (check_ref(w, err) < 0) {
        w->owner = WALK_OWNER_APP;
        w->next = "git pull, then push again";
        return -1;
    }
    if (make_provenance(w, &provenance, err) < 0 || make_verdict(w, &vsa, err) < 0)
        return -1;
    /* The signer's socket and the sequence serve one walk at a time. */
    if (fs_lock(AT_FDCWD, lock_path, true, &lock, err) < 0)
        return -1;
    struct release_input input = {
        .workload = w->workload,
        .commit = w->commit.id,
        .source_uri = w->options->source_uri,
        .image = image->descriptor,
        .yaml = buf_str(&yaml),
        .sbom = w->sbom,
        .findings = w->findings,
        .provenance = provenance,
        .verdict = vsa,
        .created_s = clock_now_s(),
    };
    if (release_write(w->layout, &input, w->options->signer, &release, err) < 0)
        return -1;
    w->sequence = release.sequence;
    /* Lost, it costs one release with the same content. */
    (void)!fs_write_quick(AT_FDCWD, noted, buf_str(&inputs), 0644, &lost);
    walk_done(w, "%llu, signed by %.19s…", (unsigned long long)w->sequence, release.key_id.text);
    return 0;
}
