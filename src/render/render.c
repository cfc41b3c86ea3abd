/* render/render.c - see render/render.h: the stream; the objects stand in deployment.c and
 * network.c. */
#include "render/render_internal.h"

enum { YAML_MAX = 4 << 20 };

/* The app's own labels, then the standard ones, which an app cannot change. */
json_t *render_labels(const struct render *r)
{
    CLEANUP(text) char *version = r->input->commit ? str_format("%.12s", r->input->commit) : NULL;
    const char *name = workload_name(r->input->workload);
    json_t *labels = json_copy(workload_labels(r->input->workload));
    CLEANUP(json)
    json_t *standard =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s*}", "app.kubernetes.io/name", name,
                  "app.kubernetes.io/instance", name, "app.kubernetes.io/component", "run",
                  "app.kubernetes.io/managed-by", "monban", "carto.run/workload-name", name,
                  RENDER_WORKLOAD_TYPE, workload_type_name(workload_type(r->input->workload)),
                  "app.kubernetes.io/version", version);

    if (!labels || !standard || json_object_update(labels, standard) < 0) {
        json_decref(labels);
        return NULL;
    }
    return labels;
}

json_t *render_selector(const struct render *r)
{
    return json_pack("{s:s}", "carto.run/workload-name", workload_name(r->input->workload));
}

/* Name and labels, no namespace: that is the outer cluster's. */
json_t *render_metadata(const struct render *r)
{
    return json_pack("{s:s, s:o}", "name", workload_name(r->input->workload), "labels",
                     render_labels(r));
}

/* The ports that the Workload names; else what the image exposes; else 8080, as buildpacks agree.
 */
static void find_ports(struct render *r)
{
    size_t count;
    const struct workload_port *named = workload_ports(r->input->workload, &count);
    const char *key;
    json_t *unused;

    if (workload_type(r->input->workload) == WORKLOAD_WORKER)
        return;
    for (size_t i = 0; i < count && workload_param(r->input->workload, "ports"); i++)
        r->ports[r->port_count++] = named[i];
    json_object_foreach(json_at(r->input->image_config, "config.ExposedPorts"), key, unused)
    {
        struct str rest = str_of(key);
        uint64_t port;
        if (r->port_count > 0)
            break;
        if (str_to_u64(str_cut(&rest, '/'), &port) && port > 0 && port < 65536)
            r->ports[r->port_count++] = (struct workload_port){"http", 80, (uint16_t)port};
    }
    for (size_t i = 0; i < count && r->port_count == 0; i++)
        r->ports[r->port_count++] = named[i]; /* the default of the type */
}

static json_t *service_account(const struct render *r)
{
    return json_pack("{s:s, s:s, s:o, s:b}", "apiVersion", "v1", "kind", "ServiceAccount",
                     "metadata", render_metadata(r), "automountServiceAccountToken", 0);
}

static int add_object(json_t *list, json_t *take_object, struct error *err)
{
    if (!take_object || json_array_append_new(list, take_object) < 0)
        return error_no_memory(err);
    return 0;
}

int render_objects(const struct render_input *input, json_t **ret, struct error *err)
{
    struct render r = {.input = input};
    CLEANUP(json) json_t *list = json_array();
    json_t *deployment = NULL;

    if (!list)
        return error_no_memory(err);
    find_ports(&r);
    if (render_deployment(&r, &deployment, err) < 0)
        return -1;
    if (add_object(list, service_account(&r), err) < 0) {
        json_decref(deployment);
        return -1;
    }
    if (add_object(list, deployment, err) < 0)
        return -1;
    if (r.port_count > 0 && add_object(list, render_service(&r), err) < 0)
        return -1;
    if (add_object(list, render_network_policy(&r), err) < 0 ||
        add_object(list, render_disruption_budget(&r), err) < 0)
        return -1;
    *ret = TAKE(list);
    return 0;
}

int render_yaml(const struct render_input *input, struct buf *out, struct error *err)
{
    CLEANUP(json) json_t *list = NULL;
    size_t i;
    json_t *object;

    if (render_objects(input, &list, err) < 0)
        return -1;
    json_array_foreach(list, i, object)
    {
        buf_add_text(out, "---\n");
        if (yaml_write(object, out, err) < 0)
            return -1;
    }
    return buf_ok(out, err);
}

int render_image_reference(const char *workload_name_, const struct digest *image, struct buf *out,
                           struct error *err)
{
    buf_addf(out, "%s/apps/%s@%s", RENDER_REGISTRY, workload_name_, image->text);
    return buf_ok(out, err);
}
