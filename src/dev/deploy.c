/* dev/deploy.c - see dev/deploy.h. */
#include "dev/deploy.h"

#include "deliver/bind.h"
#include "platform/platform.h"
#include "render/render.h"

static bool is_kind(const json_t *object, const char *kind)
{
    const char *found = json_str_at(object, "kind");
    return found && strcmp(found, kind) == 0;
}

static int bind_claims_here(json_t *objects, const struct deploy_input *input, struct strv *notes,
                            struct error *err)
{
    CLEANUP(json) json_t *claims = NULL;
    size_t i;
    const json_t *claim;

    if (bind_claims(objects, &claims, err) < 0)
        return -1;
    json_array_foreach(claims, i, claim)
    {
        CLEANUP(json) json_t *entries = NULL;
        const char *wanted = json_str_at(claim, "service");
        const struct platform_service *service =
            input->platform ? platform_find_service(input->platform, input->cluster, wanted) : NULL;
        if (!service || service->secret_name ||
            platform_service_binding(service, input->secrets_dir, &entries, err) < 0) {
            error_clear(err); /* the inner loop goes on without it, and says so */
            strv_addf(notes, "claim '%s': cluster '%s' has no service '%s'; the app starts without",
                      json_str_at(claim, "name"), input->cluster, wanted);
            continue;
        }
        struct bind_service bound = {
            .claim = json_str_at(claim, "name"), .type = service->type, .entries = entries};
        if (bind_service(objects, workload_name(input->workload), &bound, err) < 0)
            return -1;
    }
    return strv_ok(notes, err);
}

static int set_env(json_t *container, const char *name, const char *value, struct error *err)
{
    json_t *env = json_object_get(container, "env");

    if (!json_is_array(env)) {
        env = json_array();
        if (json_object_set_new(container, "env", env) < 0)
            return error_no_memory(err);
    }
    return json_array_append_new(env, json_pack("{s:s, s:s}", "name", name, "value", value)) < 0
               ? error_no_memory(err)
               : 0;
}

/* Probes that find a restarted process soon; a process that has ended waits for the next save. */
static int loosen_container(json_t *container, const struct deploy_input *input, struct error *err)
{
    char port[8];

    (void)json_object_del(container, "livenessProbe"); /* absent is fine */
    (void)json_object_del(container, "resources");
    if (json_set_at(container, "securityContext.readOnlyRootFilesystem", json_false(), err) < 0)
        return -1;
    if (json_object_get(container, "readinessProbe") &&
        (json_set_at(container, "readinessProbe.periodSeconds", json_integer(1), err) < 0 ||
         json_set_at(container, "readinessProbe.initialDelaySeconds", json_integer(0), err) < 0))
        return -1;
    if (!input->token)
        return 0;
    (void)snprintf(port, sizeof port, "%d", DEPLOY_LIVE_PORT); /* 5 digits at most */
    if (set_env(container, "MONBAN_LIVE_UPDATE", port, err) < 0)
        return -1;
    return set_env(container, "MONBAN_LIVE_TOKEN", input->token, err);
}

static int loosen_deployment(json_t *object, const struct deploy_input *input, struct error *err)
{
    json_t *container = json_at(object, "spec.template.spec.containers[0]");

    if (!container)
        return error_set(err, ERR_INVALID, "the rendered Deployment has no container");
    if (json_set_at(object, "spec.replicas", json_integer(1), err) < 0 ||
        json_set_at(object, "spec.strategy", json_pack("{s:s}", "type", "Recreate"), err) < 0 ||
        json_set_at(object, "spec.template.spec.terminationGracePeriodSeconds", json_integer(1),
                    err) < 0)
        return -1;
    json_t *metadata = json_at(object, "spec.template.metadata");
    json_t *annotations = json_object_get(metadata, "annotations");
    if (!annotations) {
        annotations = json_object();
        if (json_object_set_new(metadata, "annotations", annotations) < 0)
            return error_no_memory(err);
    }
    if (json_object_set_new(annotations, "monban.dev/build", json_string(input->build)) < 0)
        return error_no_memory(err);
    return loosen_container(container, input, err);
}

static int open_service(json_t *object, const struct deploy_input *input, struct error *err)
{
    json_t *ports = json_at(object, "spec.ports");

    if (json_set_at(object, "spec.type", json_string("NodePort"), err) < 0)
        return -1;
    if (!input->token)
        return 0;
    return json_array_append_new(ports, json_pack("{s:s, s:i, s:i, s:s}", "name", "monban-live",
                                                  "port", DEPLOY_LIVE_PORT, "targetPort",
                                                  DEPLOY_LIVE_PORT, "protocol", "TCP")) < 0
               ? error_no_memory(err)
               : 0;
}

/* A worker has no Service of its own; live update needs one. */
static int add_service(json_t *objects, const struct deploy_input *input, struct error *err)
{
    const json_t *deployment = NULL;
    size_t i;
    const json_t *object;

    json_array_foreach(objects, i, object)
    {
        if (is_kind(object, "Service"))
            return 0;
        if (is_kind(object, "Deployment"))
            deployment = object;
    }
    if (!deployment || !input->token)
        return 0;
    json_t *service =
        json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:O, s:[]}}", "apiVersion", "v1", "kind", "Service",
                  "metadata", "name", workload_name(input->workload), "namespace",
                  workload_namespace(input->workload), "spec", "selector",
                  json_at(deployment, "spec.selector.matchLabels"), "ports");
    return json_array_append_new(objects, service) < 0 ? error_no_memory(err) : 0;
}

static int loosen(json_t *objects, const struct deploy_input *input, struct error *err)
{
    const char *name = workload_name(input->workload);

    for (size_t i = json_array_size(objects); i > 0; i--) {
        json_t *object = json_array_get(objects, i - 1);
        if (is_kind(object, "NetworkPolicy") || is_kind(object, "PodDisruptionBudget")) {
            (void)json_array_remove(objects, i - 1);
            continue;
        }
        json_t *metadata = json_object_get(object, "metadata");
        json_t *labels = json_object_get(metadata, "labels");
        if (!labels) {
            labels = json_object();
            if (json_object_set_new(metadata, "labels", labels) < 0)
                return error_no_memory(err);
        }
        if (json_object_set_new(labels, DEPLOY_LABEL, json_string(name)) < 0 ||
            json_object_set_new(metadata, "namespace",
                                json_string(workload_namespace(input->workload))) < 0)
            return error_no_memory(err);
        if (is_kind(object, "Deployment") && loosen_deployment(object, input, err) < 0)
            return -1;
        if (is_kind(object, "Service") && open_service(object, input, err) < 0)
            return -1;
    }
    return 0;
}

int deploy_objects(const struct deploy_input *input, json_t **ret, struct strv *notes,
                   struct error *err)
{
    CLEANUP(json) json_t *objects = NULL;
    struct render_input render = {
        .workload = input->workload, .image = input->image, .image_config = input->image_config};

    if (render_objects(&render, &objects, err) < 0 ||
        bind_claims_here(objects, input, notes, err) < 0 || add_service(objects, input, err) < 0 ||
        loosen(objects, input, err) < 0)
        return -1;
    *ret = TAKE(objects);
    return 0;
}
