/* deliver/status.c - where each release of the road stands: read from the Kubernetes API of each
 * cluster. */
#include <fcntl.h>

#include "base/fs.h"
#include "deliver/deliver.h"
#include "kube/kube.h"
#include "platform/platform.h"

static int kubeconfig_of(const char *home, const struct platform_cluster *cluster, char **ret,
                         struct error *err)
{
    *ret = cluster->kubeconfig ? str_dup(str_of(cluster->kubeconfig))
                               : str_format("%s/clusters/%s/admin.kubeconfig", home, cluster->name);
    return *ret ? 0 : error_no_memory(err);
}

static int read_platform(const char *home, struct platform **ret, struct error *err)
{
    CLEANUP(text) char *path = fs_join(home, "platform");

    if (!path)
        return error_no_memory(err);
    return platform_read(path, ret, err);
}

int deliver_kubeconfig(const char *home, const char *cluster, char **ret_path, struct error *err)
{
    CLEANUP(platform) struct platform *platform = NULL;

    if (read_platform(home, &platform, err) < 0)
        return -1;
    const struct platform_cluster *found = platform_cluster(platform, cluster);
    if (!found)
        return error_set(err, ERR_NOT_FOUND, "the platform has no cluster '%s'", cluster);
    return kubeconfig_of(home, found, ret_path, err);
}

/* A ConfigMap release-WORKLOAD as one object of the status. */
static json_t *release_of(const json_t *config_map)
{
    static const char *const texts[] = {"state", "commit", "image", "reason", "since", "inventory"};
    static const char *const numbers[] = {"sequence", "candidate"};
    const json_t *data = json_object_get(config_map, "data");
    const json_t *labels = json_at(config_map, "metadata.labels");
    const char *workload = json_string_value(json_object_get(labels, DELIVER_LABEL));
    const char *findings = json_str_at(data, "findings");
    json_t *out = json_pack("{s:s}", "workload", workload ? workload : "");
    struct error lost = ERROR_INIT;
    json_t *list = NULL;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const char *text = json_str_at(data, texts[i]);
        (void)json_object_set_new(out, texts[i], json_string(text ? text : ""));
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        uint64_t number = 0;
        const char *text = json_str_at(data, numbers[i]);
        if (text && str_to_u64(str_of(text), &number))
            (void)json_object_set_new(out, numbers[i], json_integer((json_int_t)number));
    }
    /* Somebody's edit may have broken it: then there are none to show. */
    if (!findings || json_parse("findings", str_of(findings), &list, &lost) < 0)
        list = json_array();
    (void)json_object_set_new(out, "findings", list);
    return out;
}

static int add_releases(const char *home, const struct platform_cluster *cluster, json_t *out,
                        struct error *err)
{
    CLEANUP(text) char *kubeconfig = NULL;
    CLEANUP(kube_client) struct kube_client *kube = NULL;
    CLEANUP(json) json_t *list = NULL;
    struct kube_ref ref = {"v1", "ConfigMap", DELIVER_NAMESPACE, NULL};
    struct kube_list_options options = {.label_selector = DELIVER_LABEL};
    size_t i;
    const json_t *item;

    if (kubeconfig_of(home, cluster, &kubeconfig, err) < 0 ||
        kube_client_open(kubeconfig, cluster->context, &kube, err) < 0 ||
        kube_list(kube, &ref, &options, &list, err) < 0)
        return -1;
    json_array_foreach(json_object_get(list, "items"), i, item)
    {
        if (json_array_append_new(out, release_of(item)) < 0)
            return error_no_memory(err);
    }
    return 0;
}

static json_t *status_of(const char *home, const struct platform_cluster *cluster)
{
    struct error err = ERROR_INIT;
    json_t *releases = json_array();
    bool is_reachable = add_releases(home, cluster, releases, &err) == 0;

    return json_pack("{s:s, s:s, s:s, s:s?, s:b, s:s, s:o}", "cluster", cluster->name, "engine",
                     cluster->kubeconfig ? "kubernetes" : "embedded", "loop",
                     cluster->loop == PLATFORM_OUTER ? "outer" : "inner", "follows",
                     cluster->follows, "reachable", is_reachable, "error", err.text, "releases",
                     releases);
}

int deliver_status(const char *home, json_t **ret, struct error *err)
{
    CLEANUP(platform) struct platform *platform = NULL;
    CLEANUP(json) json_t *out = json_array();
    size_t count = 0;

    if (read_platform(home, &platform, err) < 0)
        return -1;
    const struct platform_cluster *clusters = platform_clusters(platform, &count);
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(out, status_of(home, &clusters[i])) < 0)
            return error_no_memory(err);
    }
    *ret = TAKE(out);
    return 0;
}
