/* render/render.h - a Workload and an image → Kubernetes YAML, environment-neutral.
 *
 * Gives ServiceAccount, Deployment, Service (not for workers), NetworkPolicy and
 * PodDisruptionBudget, in this order, one YAML stream. The same input gives the same bytes. No
 * secret, address, namespace of an environment or production's replica count stands in it: the
 * agent of an outer cluster adds what its platform folder says (deliver/). Service claims are noted
 * in the Deployment's annotation RENDER_CLAIMS as a JSON array of
 * {"name","service","kind"}. Source: Kubernetes API 1.20 to 1.32; Pod Security Standard
 * "restricted". */
#pragma once
#include "base/digest.h"
#include "workload/workload.h"

#define RENDER_REGISTRY      "registry.monban.local"
#define RENDER_CLAIMS        "monban.dev/service-claims"
#define RENDER_WORKLOAD_TYPE "monban.dev/workload-type"
#define RENDER_COMMIT        "monban.dev/commit"
#define RENDER_CONTAINER     "workload" /* name of the app's container */
#define RENDER_FILE          "delivery.yaml"

struct render_input {
    const struct workload *workload;
    const struct digest *image; /* of the manifest */
    const json_t *image_config; /* the OCI config: ExposedPorts give ports where the Workload names
                                   none; may be NULL */
    const char *commit;         /* annotation; NULL: none */
};

/* The objects as an array of json_t. INVALID for a param that means nothing (at its place). */
NODISCARD int render_objects(const struct render_input *input, json_t **ret, struct error *err);
/* The same as a YAML stream. */
NODISCARD int render_yaml(const struct render_input *input, struct buf *out, struct error *err);
/* "registry.monban.local/apps/NAME@sha256:…" */
NODISCARD int render_image_reference(const char *workload_name, const struct digest *image,
                                     struct buf *out, struct error *err);
