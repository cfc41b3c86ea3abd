/* render/deployment.c - the Deployment: the app's container, restricted, with probes. */
#include "render/render_internal.h"

enum { RUN_AS = 1000 }; /* the buildpacks' user; the image says the same by number */

/* By the param `probes`, which workload/ has checked: {"readiness": "/path", "liveness": "/path"}:
 * HTTP GET of the first port. Where it says nothing the port must accept a connection. NULL without
 * memory. */
static json_t *probe(const struct render *r, const char *which, int period_s, int failures)
{
    const char *path = json_str_at(workload_param(r->input->workload, "probes"), which);
    const char *port = r->ports[0].name;
    json_t *how = path ? json_pack("{s:{s:s, s:s}}", "httpGet", "path", path, "port", port)
                       : json_pack("{s:{s:s}}", "tcpSocket", "port", port);
    CLEANUP(json)
    json_t *timing = json_pack("{s:i, s:i, s:i}", "periodSeconds", period_s, "timeoutSeconds", 2,
                               "failureThreshold", failures);

    if (!how || !timing || json_object_update(how, timing) < 0) {
        json_decref(how);
        return NULL;
    }
    return how;
}

static json_t *container_ports(const struct render *r)
{
    json_t *ports = json_array();

    for (size_t i = 0; i < r->port_count; i++) {
        if (json_array_append_new(ports, json_pack("{s:s, s:i, s:s}", "name", r->ports[i].name,
                                                   "containerPort", r->ports[i].container_port,
                                                   "protocol", "TCP")) < 0) {
            json_decref(ports);
            return NULL;
        }
    }
    return ports;
}

/* The app's own, and PORT unless it says so itself: what buildpacks' processes listen on. */
static json_t *environment(const struct render *r)
{
    json_t *env = json_deep_copy(workload_env(r->input->workload));
    size_t i;
    json_t *item;
    char port[8];

    json_array_foreach(env, i, item)
    {
        const char *name = json_str_at(item, "name");
        if (name && strcmp(name, "PORT") == 0)
            return env;
    }
    (void)snprintf(port, sizeof port, "%u", r->ports[0].container_port); /* 5 digits */
    if (r->port_count > 0 &&
        json_array_append_new(env, json_pack("{s:s, s:s}", "name", "PORT", "value", port)) < 0) {
        json_decref(env);
        return NULL;
    }
    return env;
}

static json_t *resources(const struct render *r)
{
    json_t *own = workload_resources(r->input->workload);

    if (own)
        return json_deep_copy(own);
    return json_pack("{s:{s:s, s:s}, s:{s:s}}", "requests", "cpu", "50m", "memory", "64Mi",
                     "limits", "memory", "256Mi");
}

static int add_probes(const struct render *r, json_t *app, struct error *err)
{
    static const struct {
        const char *which, *field;
        int period_s, failures;
    } probes[] = {{"readiness", "readinessProbe", 5, 3}, {"liveness", "livenessProbe", 10, 6}};

    for (size_t i = 0; i < ARRAY_LEN(probes) && r->port_count > 0; i++) {
        json_t *made = probe(r, probes[i].which, probes[i].period_s, probes[i].failures);
        if (json_object_set_new(app, probes[i].field, made) < 0)
            return error_no_memory(err);
    }
    return 0;
}

static json_t *container(const struct render *r, struct error *err)
{
    CLEANUP(buf) struct buf image = BUF_INIT(512);

    if (render_image_reference(workload_name(r->input->workload), r->input->image, &image, err) < 0)
        return NULL;
    json_t *app = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:{s:b, s:b, s:b, s:{s:[s]}}, s:[{s:s, s:s}]}", "name",
        RENDER_CONTAINER, "image", buf_text(&image), "imagePullPolicy", "IfNotPresent", "env",
        environment(r), "ports", container_ports(r), "resources", resources(r), "securityContext",
        "allowPrivilegeEscalation", 0, "readOnlyRootFilesystem", 1, "runAsNonRoot", 1,
        "capabilities", "drop", "ALL", "volumeMounts", "name", "tmp", "mountPath", "/tmp");
    if (!app) {
        (void)error_no_memory(err);
        return NULL;
    }
    if (add_probes(r, app, err) < 0) {
        json_decref(app);
        return NULL;
    }
    return app;
}

/* The claims, for the agent: what they are bound to is the outer cluster's business. */
static int annotations(const struct render *r, json_t **ret, struct error *err)
{
    CLEANUP(json) json_t *notes = json_object();
    CLEANUP(json) json_t *claims = json_array();
    CLEANUP(buf) struct buf text = BUF_INIT(1 << 16);
    size_t count;
    const struct workload_claim *all = workload_claims(r->input->workload, &count);

    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(claims,
                                  json_pack("{s:s, s:s, s:s?}", "name", all[i].name, "service",
                                            all[i].service, "kind", all[i].kind)) < 0)
            return error_no_memory(err);
    }
    if (count > 0 && (json_write(claims, false, &text, err) < 0 ||
                      json_object_set_new(notes, RENDER_CLAIMS, json_string(buf_text(&text))) < 0))
        return -1;
    if (r->input->commit &&
        json_object_set_new(notes, RENDER_COMMIT, json_string(r->input->commit)) < 0)
        return error_no_memory(err);
    *ret = TAKE(notes);
    return *ret ? 0 : error_no_memory(err);
}

static json_t *pod_spec(const struct render *r, json_t *take_container)
{
    return json_pack("{s:s, s:b, s:b, s:{s:b, s:i, s:i, s:{s:s}}, s:[o], s:[{s:s, s:{s:s}}]}",
                     "serviceAccountName", workload_name(r->input->workload),
                     "automountServiceAccountToken", 0, "enableServiceLinks", 0, "securityContext",
                     "runAsNonRoot", 1, "runAsUser", RUN_AS, "runAsGroup", RUN_AS, "seccompProfile",
                     "type", "RuntimeDefault", "containers", take_container, "volumes", "name",
                     "tmp", "emptyDir", "sizeLimit", "64Mi");
}

int render_deployment(const struct render *r, json_t **ret, struct error *err)
{
    json_t *notes = NULL;
    json_t *app = container(r, err);

    if (!app)
        return -1;
    if (annotations(r, &notes, err) < 0) {
        json_decref(app);
        return -1;
    }
    json_t *deployment =
        json_pack("{s:s, s:s, s:o, s:{s:i, s:i, s:{s:o}, s:{s:s, s:{s:i, s:i}}, s:{s:{s:o}, s:o}}}",
                  "apiVersion", "apps/v1", "kind", "Deployment", "metadata", render_metadata(r),
                  "spec", "revisionHistoryLimit", 3, "progressDeadlineSeconds", 120, "selector",
                  "matchLabels", render_selector(r), "strategy", "type", "RollingUpdate",
                  "rollingUpdate", "maxSurge", 1, "maxUnavailable", 0, "template", "metadata",
                  "labels", render_labels(r), "spec", pod_spec(r, app));
    if (!deployment ||
        json_object_set_new(json_object_get(deployment, "metadata"), "annotations", notes) < 0) {
        json_decref(deployment);
        return error_no_memory(err);
    }
    *ret = deployment;
    return 0;
}
