/* render/network.c - Service, NetworkPolicy, PodDisruptionBudget. */
#include "render/render_internal.h"

json_t *render_service(const struct render *r)
{
    json_t *ports = json_array();

    for (size_t i = 0; i < r->port_count; i++) {
        /* A failed append leaves a short list, which the caller's json_pack() turns into NULL only
         * without memory for itself; so check here. */
        if (json_array_append_new(ports, json_pack("{s:s, s:i, s:s, s:s}", "name", r->ports[i].name,
                                                   "port", r->ports[i].port, "targetPort",
                                                   r->ports[i].name, "protocol", "TCP")) < 0) {
            json_decref(ports);
            return NULL;
        }
    }
    return json_pack("{s:s, s:s, s:o, s:{s:s, s:o, s:o}}", "apiVersion", "v1", "kind", "Service",
                     "metadata", render_metadata(r), "spec", "type", "ClusterIP", "selector",
                     render_selector(r), "ports", ports);
}

/* In: pods of the same namespace, to the app's ports. Out: names only; the agent adds each bound
 * service. */
json_t *render_network_policy(const struct render *r)
{
    json_t *ports = json_array();
    json_t *ingress = json_array();

    for (size_t i = 0; i < r->port_count; i++) {
        if (json_array_append_new(ports, json_pack("{s:s, s:i}", "protocol", "TCP", "port",
                                                   r->ports[i].container_port)) < 0)
            ports = NULL;
    }
    if (r->port_count > 0 &&
        json_array_append_new(
            ingress, json_pack("{s:[{s:{}}], s:O}", "from", "podSelector", "ports", ports)) < 0) {
        json_decref(ports);
        json_decref(ingress);
        return NULL;
    }
    json_decref(ports);
    return json_pack(
        "{s:s, s:s, s:o, s:{s:{s:o}, s:[s, s], s:o, s:[{s:[{s:s, s:i}, {s:s, s:i}]}]}}",
        "apiVersion", "networking.k8s.io/v1", "kind", "NetworkPolicy", "metadata",
        render_metadata(r), "spec", "podSelector", "matchLabels", render_selector(r), "policyTypes",
        "Ingress", "Egress", "ingress", ingress, "egress", "ports", "protocol", "UDP", "port", 53,
        "protocol", "TCP", "port", 53);
}

json_t *render_disruption_budget(const struct render *r)
{
    return json_pack("{s:s, s:s, s:o, s:{s:i, s:{s:o}}}", "apiVersion", "policy/v1", "kind",
                     "PodDisruptionBudget", "metadata", render_metadata(r), "spec",
                     "maxUnavailable", 1, "selector", "matchLabels", render_selector(r));
}
