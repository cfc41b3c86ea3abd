/* render/render_internal.h - what the objects share; only this folder includes it. */
#pragma once
#include "render/render.h"

struct render {
    const struct render_input *input; /* borrowed */
    struct workload_port ports[WORKLOAD_PORTS_MAX];
    size_t port_count; /* 0 for a worker */
};

/* New references; NULL without memory. */
json_t *render_labels(const struct render *r);
json_t *render_selector(const struct render *r);
json_t *render_metadata(const struct render *r);
json_t *render_service(const struct render *r);
json_t *render_network_policy(const struct render *r);
json_t *render_disruption_budget(const struct render *r);

NODISCARD int render_deployment(const struct render *r, json_t **ret, struct error *err);
