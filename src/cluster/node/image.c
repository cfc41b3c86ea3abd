/* cluster/node/image.c - runs in a worker: an image reference → unpacked layers and the image's
 * config. */
#include <stdio.h>

#include "base/encode.h"
#include "cluster/node/node_internal.h"
#include "oci/registry_client.h"
#include "oci/unpack.h"

#define OWN_REGISTRY "registry.monban.local"

void node_image_done(struct node_image *image)
{
    json_decref(image->config);
    strv_done(&image->lowerdirs);
}

static const char *pull_policy(const struct container *container, const struct reference *ref)
{
    const char *policy = json_str_at(container_spec(container), "imagePullPolicy");
    if (policy)
        return policy;
    return !ref->digest.text[0] && (!ref->tag[0] || strcmp(ref->tag, "latest") == 0)
               ? "Always"
               : "IfNotPresent";
}

/* The digest that the layout has for it; NOT_FOUND. `repository`: under which it is kept here. */
static int find_here(struct layout *layout, const char *repository, const struct reference *ref,
                     struct digest *ret, struct error *err)
{
    struct descriptor found;

    if (ref->digest.text[0]) {
        if (!layout_has(layout, &ref->digest))
            return error_set(err, ERR_NOT_FOUND, "image %s is not in the cluster's registry",
                             ref->digest.text);
        *ret = ref->digest;
        return 0;
    }
    if (layout_resolve(layout, repository, ref->tag[0] ? ref->tag : "latest", &found, err) < 0)
        return -1;
    *ret = found.digest;
    return 0;
}

/* Credentials for the host: imagePullSecrets of the pod, then of its ServiceAccount. */
static void find_credentials(const struct container *container, const char *host, char **ret_user,
                             char **ret_password)
{
    const struct pod *pod = container->pod;
    const char *account = json_str_at(pod->object, "spec.serviceAccountName");
    const json_t *lists[] = {
        json_at(pod->object, "spec.imagePullSecrets"),
        json_at(
            node_find(pod->node, MIRROR_SERVICEACCOUNTS, pod->ns, account ? account : "default"),
            "imagePullSecrets"),
    };

    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        size_t i;
        json_t *item;
        json_array_foreach((json_t *)lists[l], i, item)
        {
            const char *name = json_str_at(item, "name");
            const json_t *secret = node_find(pod->node, MIRROR_SECRETS, pod->ns, name ? name : "");
            const char *data = json_string_value(
                json_object_get(json_object_get(secret, "data"), ".dockerconfigjson"));
            CLEANUP(buf) struct buf text = BUF_INIT(1 << 20);
            CLEANUP(json) json_t *config = NULL;
            struct error ignored =
                ERROR_INIT; /* a bad one is skipped: the pull then says what it lacks */
            if (data && base64_decode(str_of(data), &text) &&
                json_parse("dockerconfigjson", buf_str(&text), &config, &ignored) == 0 &&
                registry_docker_credentials(config, host, ret_user, ret_password, &ignored) == 0)
                return;
        }
    }
}

static int pull(const struct container *container, struct layout *layout,
                const struct reference *ref, const char *repository, struct digest *ret,
                struct error *err)
{
    CLEANUP(registry_client) struct registry_client *client = NULL;
    CLEANUP(text) char *user = NULL;
    CLEANUP(text) char *password = NULL;
    struct descriptor found;
    struct registry_client_options options = {.host = ref->host, .attempts = 2};
    struct registry_copy copy = {
        .repository = ref->repository,
        .reference = ref->digest.text[0] ? ref->digest.text
                     : ref->tag[0]       ? ref->tag
                                         : "latest",
        .local_repository = repository,
        .flags = REGISTRY_ONE_PLATFORM,
    };

    find_credentials(container, ref->host, &user, &password);
    options.user = user;
    options.password = password;
    if (registry_client_new(&options, &client, err) < 0 ||
        registry_pull(client, &copy, layout, &found, err) < 0)
        return -1;
    *ret = found.digest;
    return 0;
}

static int obtain_digest(struct container *container, struct worker *worker, struct layout *layout,
                         struct reference *ref, const char **ret_reason, struct digest *ret,
                         struct error *err)
{
    CLEANUP(text) char *repository = NULL;
    const char *policy = pull_policy(container, ref);

    if (strcmp(ref->host, OWN_REGISTRY) == 0)
        return find_here(layout, ref->repository, ref, ret, err);
    if (!ref->host[0]) {
        CLEANUP(text) char *path = str_dup(str_of(ref->repository));
        if (!path)
            return error_no_memory(err);
        (void)snprintf(ref->host, sizeof(ref->host), "registry-1.docker.io");
        (void)snprintf(ref->repository, sizeof(ref->repository), "%s%.200s",
                       strchr(path, '/') ? "" : "library/", path);
    }
    repository = str_format("%s/%s", ref->host, ref->repository);
    if (!repository)
        return error_no_memory(err);
    for (char *c = repository; *c && *c != '/';
         c++) /* a port's colon cannot stand in a repository */
        if (*c == ':')
            *c = '_';
    bool is_fixed = ref->digest.text[0] != '\0';
    if (is_fixed || strcmp(policy, "Always") != 0) {
        if (find_here(layout, repository, ref, ret, err) == 0)
            return 0;
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        if (strcmp(policy, "Never") == 0) {
            *ret_reason = "ErrImageNeverPull";
            return error_set(err, ERR_NOT_FOUND,
                             "Container image is not present with pull policy of Never");
        }
    }
    node_worker_tell(worker, "pulling");
    return pull(container, layout, ref, repository, ret, err);
}

int node_image_obtain(struct container *container, struct worker *worker, struct node_image *ret,
                      const char **ret_reason, struct error *err)
{
    struct node *node = container->pod->node;
    const char *text = json_str_at(container_spec(container), "image");
    CLEANUP(text) char *path = fs_join(node->folder, "images");
    CLEANUP(layout) struct layout *layout = NULL;
    CLEANUP(image) struct image *image = NULL;
    CLEANUP(node_image) struct node_image result = {0};
    struct reference ref;
    struct digest digest;

    if (!path)
        return error_no_memory(err);
    *ret_reason = "InvalidImageName";
    if (reference_parse(str_of(text ? text : ""), &ref, err) < 0)
        return -1;
    *ret_reason = "ErrImagePull";
    if (layout_open(path, LAYOUT_CREATE, &layout, err) < 0 ||
        obtain_digest(container, worker, layout, &ref, ret_reason, &digest, err) < 0 ||
        image_read(layout, &digest, NULL, &image, err) < 0 ||
        unpack_image(layout, image, node->folder, NULL, &result.lowerdirs, err) < 0)
        return -1;
    result.config = json_incref(json_object_get(image->config, "config"));
    (void)snprintf(result.id, sizeof(result.id), "%.200s/%.100s@%s",
                   ref.host[0] ? ref.host : "docker.io", ref.repository,
                   image->descriptor.digest.text);
    *ret = result;
    result = (struct node_image){0};
    return 0;
}
