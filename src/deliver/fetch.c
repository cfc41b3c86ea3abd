/* deliver/fetch.c - the job that makes a release ready: pull, verify, judge, bind, dress. */
#include "base/encode.h"
#include "base/fs.h"
#include "deliver/bind.h"
#include "deliver/dress.h"
#include "deliver/job.h"
#include "deliver/matrix.h"
#include "kube/kube.h"
#include "oci/registry_client.h"
#include "render/render.h"

struct fetching {
    const struct job_fetch *job;
    const struct platform *platform;
    const struct platform_cluster *cluster;
    const struct release_content *content;
    const char *ns;
    json_t *objects; /* owned */
    struct buf wait; /* why it must wait for the platform team; "" if not */
};

static int get_content(const struct job_fetch *job, struct release_content *content,
                       struct error *err)
{
    CLEANUP(layout) struct layout *layout = NULL;
    CLEANUP(trust) struct trust *trust = NULL;
    CLEANUP(registry_client) struct registry_client *client = NULL;
    struct release_rules rules = {.workload = job->workload,
                                  .least_sequence = job->least_sequence,
                                  .allow_rollback = job->is_refresh};

    if (site_layout(job->site, &layout, err) < 0 ||
        site_trust(job->site, "release", &trust, err) < 0)
        return -1;
    if (job->local.text[0]) {
        rules.skip_layers =
            true; /* checked when they were pulled, and again when they are pushed */
        return release_verify(layout, job->local.text, trust, &rules, content, err);
    }
    if (site_upstream(job->site, &client, err) < 0)
        return -1;
    return release_fetch(client, RELEASE_TAG, layout, trust, &rules, content, err);
}

/* A sequence number belongs to one release for ever. */
static int check_sequence(const struct job_fetch *job, const struct release *release,
                          struct error *err)
{
    if (job->is_refresh || !job->known.text[0] || release->sequence != job->least_sequence ||
        digest_equal(&release->digest, &job->known))
        return 0;
    return error_set(err, ERR_UNTRUSTED,
                     "rule 'sequence': release %llu of '%s' is now %s, was %s (owner: platform "
                     "team of the gate)",
                     (unsigned long long)release->sequence, job->workload, release->digest.text,
                     job->known.text);
}

static int parse_objects(struct fetching *f, struct error *err)
{
    CLEANUP(docs) struct docs docs = {0};

    f->objects = json_array();
    if (!f->objects)
        return error_no_memory(err);
    if (yaml_parse("delivery.yaml", buf_str(&f->content->yaml), &docs, err) < 0)
        return -1;
    for (size_t i = 0; i < docs.count; i++) {
        json_t *root = doc_root(docs.items[i]);
        struct kube_ref ref;
        if (kube_ref_of(root, &ref, err) < 0)
            return error_wrap(err, "delivery.yaml, object %zu", i + 1);
        if (json_array_append(f->objects, root) < 0)
            return error_no_memory(err);
    }
    return 0;
}

/* The entries of a Secret that the platform file names, decoded. */
static int entries_of_secret(const struct fetching *f, const struct platform_service *service,
                             json_t **ret, struct error *err)
{
    CLEANUP(kube_client) struct kube_client *kube = NULL;
    CLEANUP(json) json_t *secret = NULL;
    CLEANUP(json) json_t *entries = json_object();
    struct kube_ref ref = {"v1", "Secret",
                           service->secret_namespace ? service->secret_namespace : f->ns,
                           service->secret_name};
    const char *key;
    json_t *value;

    if (kube_client_open(f->job->site->kubeconfig, NULL, &kube, err) < 0 ||
        kube_get(kube, &ref, &secret, err) < 0)
        return -1;
    json_object_foreach(json_object_get(secret, "data"), key, value)
    {
        CLEANUP(buf) struct buf bytes = BUF_INIT(1 << 20);
        if (!base64_decode(str_of(json_string_value(value)), &bytes))
            return error_set(err, ERR_INVALID, "entry '%s' of Secret '%s' is not base64", key,
                             service->secret_name);
        if (buf_ok(&bytes, err) < 0)
            return -1;
        if (json_object_set_new(entries, key, json_stringn(buf_text(&bytes), bytes.len)) < 0)
            return error_set(err, ERR_INVALID, "entry '%s' of Secret '%s' is not text", key,
                             service->secret_name);
    }
    if (!json_object_get(entries, "type"))
        (void)json_object_set_new(entries, "type", json_string(service->type));
    *ret = TAKE(entries);
    return 0;
}

static int bind_one(struct fetching *f, const char *claim, const struct platform_service *service,
                    struct error *err)
{
    CLEANUP(json) json_t *entries = NULL;
    CLEANUP(text) char *secrets_dir = fs_join(f->job->site->dir, "secrets");

    if (!secrets_dir)
        return error_no_memory(err);
    int result = service->secret_name
                     ? entries_of_secret(f, service, &entries, err)
                     : platform_service_binding(service, secrets_dir, &entries, err);
    if (result < 0 && (err->kind == ERR_NOT_FOUND || err->kind == ERR_UNAVAILABLE)) {
        buf_addf(&f->wait,
                 "claim '%s': the credentials of service '%s' are missing: %s (owner: platform "
                 "team; next: put them there)",
                 claim, service->name, err->text);
        error_clear(err);
        return 0;
    }
    if (result < 0)
        return error_wrap(err, "binding service '%s'", service->name);
    struct bind_service bound = {
        .claim = claim,
        .type = service->type,
        .entries = entries,
        .host = service->host && *service->host ? service->host : json_str_at(entries, "host"),
        .port = service->port,
    };
    return bind_service(f->objects, f->job->workload, &bound, err);
}

static int bind_all(struct fetching *f, struct error *err)
{
    CLEANUP(json) json_t *claims = NULL;
    size_t i;
    const json_t *claim;

    if (bind_claims(f->objects, &claims, err) < 0)
        return -1;
    json_array_foreach(claims, i, claim)
    {
        const char *name = json_str_at(claim, "name");
        const char *wanted = json_str_at(claim, "service");
        const struct platform_service *service =
            platform_find_service(f->platform, f->cluster->name, wanted);
        if (service) {
            if (bind_one(f, name, service, err) < 0)
                return -1;
            continue;
        }
        buf_addf(&f->wait,
                 "%sclaim '%s' asks for service '%s', and '%s' has none (owner: platform team; "
                 "next: add a Service of that name or class with cluster '%s' to %s/services/)",
                 f->wait.len ? "\n" : "", name, wanted, f->cluster->name, f->cluster->name,
                 platform_dir(f->platform));
    }
    return buf_ok(&f->wait, err);
}

static const char *workload_type_of(const json_t *objects)
{
    size_t i;
    const json_t *object;

    json_array_foreach(objects, i, object)
    {
        const char *type = json_string_value(
            json_object_get(json_at(object, "metadata.annotations"), RENDER_WORKLOAD_TYPE));
        if (!type)
            type = json_string_value(
                json_object_get(json_at(object, "metadata.labels"), RENDER_WORKLOAD_TYPE));
        if (type)
            return type;
    }
    return "web";
}

static int dress_all(struct fetching *f, struct error *err)
{
    CLEANUP(json) json_t *convention = NULL;
    size_t agent_count = 0;
    const struct platform_agent *agents = platform_agents(f->platform, &agent_count);

    if (platform_convention(f->platform, f->cluster->name, workload_type_of(f->objects),
                            &convention, err) < 0)
        return -1;
    struct dress_input input = {
        .workload = f->job->workload,
        .sequence = f->content->release.sequence,
        .ns = f->ns,
        .convention = convention,
        .registry = f->cluster->kubeconfig ? f->cluster->registry : NULL,
    };
    for (size_t i = 0; i < agent_count; i++) {
        struct dress_agent agent = {
            .name = agents[i].name,
            .image_from_workload =
                agents[i].image_from && strcmp(agents[i].image_from, "workload") == 0,
            .container = agents[i].container,
            .volumes = agents[i].volumes,
        };
        if (platform_agent_is_in(&agents[i], f->cluster->name) &&
            dress_add_agent(f->objects, &agent, err) < 0)
            return -1;
    }
    return dress_objects(f->objects, &input, err);
}

static const char *inventory_digest(const struct release *release)
{
    for (size_t i = 0; i < release->attestation_count; i++) {
        if (strcmp(release->attestations[i].predicate_type, PREDICATE_CYCLONEDX) == 0)
            return release->attestations[i].digest.text;
    }
    return "";
}

static const char *waits_for(const struct fetching *f)
{
    const struct platform_cluster *before =
        f->cluster->follows ? platform_cluster(f->platform, f->cluster->follows) : NULL;

    return before && !before->is_gate && before->loop == PLATFORM_OUTER ? before->name : NULL;
}

static int write_result(const struct fetching *f, const struct matrix *matrix, json_t **ret,
                        struct error *err)
{
    const struct release *release = &f->content->release;
    json_t *result = json_pack(
        "{s:{s:s, s:I, s:s, s:s, s:s, s:s}, s:O, s:s, s:O, s:s%, s:O, s:I, s:i}", "release",
        "digest", release->digest.text, "sequence", (json_int_t)release->sequence, "commit",
        release->commit, "image", release->image.digest.text, "namespace", f->ns, "inventory",
        inventory_digest(release), "objects", f->objects, "level",
        platform_level_name(matrix->level), "failures", matrix->failures, "text",
        buf_text(&matrix->text), matrix->text.len, "findings", matrix->findings, "soakMs",
        (json_int_t)f->cluster->soak_ms, "approvals", (int)f->cluster->approvals);

    if (!result)
        return error_no_memory(err);
    if (f->wait.len)
        (void)json_object_set_new(result, "wait", json_string(buf_text(&f->wait)));
    if (waits_for(f))
        (void)json_object_set_new(result, "waitsFor", json_string(waits_for(f)));
    *ret = result;
    return 0;
}

static int prepare(struct fetching *f, json_t **ret, struct error *err)
{
    CLEANUP(matrix) struct matrix matrix = MATRIX_INIT;
    CLEANUP(text) char *db_path = fs_join(f->job->site->home, "db/advisories.db");

    if (!db_path)
        return error_no_memory(err);
    if (parse_objects(f, err) < 0 || bind_all(f, err) < 0 || dress_all(f, err) < 0)
        return -1;
    struct matrix_input input = {
        .platform = f->platform,
        .cluster = f->cluster->name,
        .workload = f->job->workload,
        .db_path = db_path,
        .content = f->content,
        .objects = f->objects,
    };
    if (matrix_judge(&input, &matrix, err) < 0)
        return -1;
    if (matrix.level >= LEVEL_REFUSE && !f->job->is_refresh)
        return error_set(err, ERR_DENIED, "the checks of '%s' refuse release %llu:\n%s",
                         f->cluster->name, (unsigned long long)f->content->release.sequence,
                         buf_text(&matrix.text));
    return write_result(f, &matrix, ret, err);
}

int job_fetch(const void *arg, json_t **ret, struct error *err)
{
    const struct job_fetch *job = arg;
    CLEANUP(platform) struct platform *platform = NULL;
    CLEANUP(release_content) struct release_content content = RELEASE_CONTENT_INIT;
    CLEANUP(text) char *platform_path = fs_join(job->site->home, "platform");
    struct fetching f = {.job = job, .content = &content, .wait = BUF_INIT(16384)};

    if (!platform_path)
        return error_no_memory(err);
    if (get_content(job, &content, err) < 0 || check_sequence(job, &content.release, err) < 0)
        return -1;
    if (platform_read(platform_path, &platform, err) < 0) {
        err->kind = ERR_UNAVAILABLE; /* the platform team's slip refuses no release: it waits */
        return error_wrap(err, "the platform folder is wrong (owner: platform team)");
    }
    f.platform = platform;
    f.cluster = platform_cluster(platform, job->site->cluster);
    if (!f.cluster)
        return error_set(err, ERR_UNAVAILABLE, "the platform folder has no cluster '%s' any more",
                         job->site->cluster);
    f.ns = f.cluster->namespace_ ? f.cluster->namespace_ : content.release.namespace_;
    int result = prepare(&f, ret, err);
    json_decref(f.objects);
    buf_done(&f.wait);
    return result;
}
