/* deliver/jobs.c - the small jobs: push an image, write and read promotions, re-check what runs. */
#include "base/fs.h"
#include "deliver/deliver.h"
#include "deliver/job.h"
#include "deliver/matrix.h"
#include "kube/config.h"
#include "oci/registry_client.h"
#include "render/render.h"
#include <fcntl.h>
#include <unistd.h>

/* An embedded cluster has its registry at its API server, behind the same client certificate. */
int deliver_embedded_registry(const char *kubeconfig, struct registry_client **ret,
                              struct error *err)
{
    CLEANUP(kube_config) struct kube_config config = KUBE_CONFIG_INIT;

    if (kube_config_load(kubeconfig, NULL, &config, err) < 0)
        return -1;
    struct registry_client_options options = {
        .host = RENDER_REGISTRY,
        .base_url = config.server,
        .ca_pem = config.ca_pem,
        .client_cert_pem = config.client_cert_pem,
        .client_key_pem = config.client_key_pem.ptr,
        .bearer_token = config.token.ptr,
        .attempts = 3,
    };
    return registry_client_new(&options, ret, err);
}

/* "registry.example/prod" → host "registry.example", prefix "prod/". Credentials:
 * secrets/registry.json. */
static int real_registry(const struct site *site, struct str place, struct registry_client **ret,
                         struct error *err)
{
    CLEANUP(text) char *host = str_dup(str_cut(&place, '/'));
    CLEANUP(text) char *config_path = fs_join(site->dir, "secrets/registry.json");
    CLEANUP(json) json_t *docker_config = NULL;
    CLEANUP(text) char *user = NULL;
    CLEANUP(text) char *password = NULL;

    if (!host || !config_path)
        return error_no_memory(err);
    if (json_read_file(AT_FDCWD, config_path, &docker_config, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err); /* an open registry needs none */
    } else if (registry_docker_credentials(docker_config, host, &user, &password, err) < 0) {
        return -1;
    }
    struct registry_client_options options = {.host = host, .user = user, .password = password};
    return registry_client_new(&options, ret, err);
}

static int cluster_registry(const struct site *site, char **ret_prefix,
                            struct registry_client **ret, struct error *err)
{
    CLEANUP(platform) struct platform *platform = NULL;
    CLEANUP(text) char *path = fs_join(site->home, "platform");

    if (!path)
        return error_no_memory(err);
    if (platform_read(path, &platform, err) < 0)
        return -1;
    const struct platform_cluster *cluster = platform_cluster(platform, site->cluster);
    const char *place = cluster && cluster->kubeconfig ? cluster->registry : NULL;
    if (cluster && cluster->kubeconfig && !place)
        return error_set(err, ERR_INVALID,
                         "cluster '%s' names no registry for images (owner: platform team; next: "
                         "add `registry: HOST/PATH` to it in platform.yaml)",
                         site->cluster);
    struct str rest = str_of(place ? place : "");
    (void)str_cut(&rest, '/');
    *ret_prefix = rest.len ? str_format("%.*s/", STR_ARG(rest)) : str_dup(STR(""));
    if (!*ret_prefix)
        return error_no_memory(err);
    return place ? real_registry(site, str_of(place), ret, err)
                 : deliver_embedded_registry(site->kubeconfig, ret, err);
}

int job_push(const void *arg, json_t **ret, struct error *err)
{
    const struct job_push *job = arg;
    CLEANUP(layout) struct layout *layout = NULL;
    CLEANUP(registry_client) struct registry_client *client = NULL;
    CLEANUP(text) char *prefix = NULL;
    CLEANUP(text) char *local = str_format("apps/%s", job->workload);
    struct descriptor pushed;

    if (!local)
        return error_no_memory(err);
    if (site_layout(job->site, &layout, err) < 0 ||
        cluster_registry(job->site, &prefix, &client, err) < 0)
        return -1;
    CLEANUP(text) char *repository = str_format("%s%s", prefix, local);
    if (!repository)
        return error_no_memory(err);
    struct registry_copy copy = {
        .repository = repository, .reference = job->image.text, .local_repository = local};
    if (registry_push(client, &copy, layout, &pushed, err) < 0)
        return error_wrap(err, "bringing the image of '%s' to cluster '%s'", job->workload,
                          job->site->cluster);
    *ret = json_object();
    return *ret ? 0 : error_no_memory(err);
}

int job_promote(const void *arg, json_t **ret, struct error *err)
{
    const struct job_promote *job = arg;
    CLEANUP(layout) struct layout *layout = NULL;
    CLEANUP(signer) struct signer *signer = NULL;
    CLEANUP(text) char *repository = str_format("apps/%s", job->workload);
    struct promotion promotion = {.sequence = job->sequence,
                                  .healthy_since_s = job->healthy_since_s,
                                  .release = job->release};

    if (!repository)
        return error_no_memory(err);
    if (site_layout(job->site, &layout, err) < 0)
        return -1;
    if (!job->is_healthy) {
        if (layout_untag(layout, repository, PROMOTION_TAG, err) < 0 && err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
    } else {
        (void)snprintf(promotion.cluster, sizeof promotion.cluster, "%s", job->site->cluster);
        (void)snprintf(promotion.workload, sizeof promotion.workload, "%s", job->workload);
        int fd = dup(job->site->signer_fd);
        if (fd < 0)
            return error_errno(err, "cannot use the signer");
        if (signer_new_from_fd(fd, &signer, err) < 0 ||
            promotion_write(layout, &promotion, signer, err) < 0)
            return error_wrap(err, "signing the promotion of '%s'", job->workload);
    }
    *ret = json_object();
    return *ret ? 0 : error_no_memory(err);
}

int job_promotion(const void *arg, json_t **ret, struct error *err)
{
    const struct job_promotion *job = arg;
    CLEANUP(layout) struct layout *layout = NULL;
    CLEANUP(trust) struct trust *trust = NULL;
    CLEANUP(registry_client) struct registry_client *client = NULL;
    struct promotion promotion = {0};

    if (site_layout(job->site, &layout, err) < 0 ||
        site_trust(job->site, "promotion", &trust, err) < 0 ||
        site_upstream(job->site, &client, err) < 0 ||
        promotion_fetch(client, job->workload, layout, trust, &promotion, err) < 0)
        return -1;
    *ret = json_pack("{s:I, s:I, s:s, s:s}", "sequence", (json_int_t)promotion.sequence,
                     "healthySince", (json_int_t)promotion.healthy_since_s, "release",
                     promotion.release.text, "cluster", promotion.cluster);
    return *ret ? 0 : error_no_memory(err);
}

int job_recheck(const void *arg, json_t **ret, struct error *err)
{
    const struct job_recheck *job = arg;
    CLEANUP(layout) struct layout *layout = NULL;
    CLEANUP(trust) struct trust *trust = NULL;
    CLEANUP(release_content) struct release_content content = RELEASE_CONTENT_INIT;
    CLEANUP(json) json_t *findings = NULL;
    CLEANUP(text) char *db_path = fs_join(job->site->home, "db/advisories.db");
    struct release_rules rules = {
        .workload = job->workload, .allow_rollback = true, .skip_layers = true};
    char version[80] = "";

    if (!db_path)
        return error_no_memory(err);
    if (site_layout(job->site, &layout, err) < 0 ||
        site_trust(job->site, "release", &trust, err) < 0 ||
        release_verify(layout, job->release.text, trust, &rules, &content, err) < 0 ||
        matrix_recheck(content.sbom, db_path, &findings, version, err) < 0)
        return -1;
    *ret = json_pack("{s:O, s:s}", "findings", findings, "database", version);
    return *ret ? 0 : error_no_memory(err);
}
