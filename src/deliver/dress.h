/* deliver/dress.h - what the platform adds to the objects of a release: conventions, agents,
 * namespace, labels, the cluster's registry. The objects are an array of json_t and are changed in
 * place. Pure. */
#pragma once
#include "wire/json.h"

struct dress_input {
    const char *workload;
    uint64_t sequence;
    const char *ns;           /* where all goes */
    const json_t *convention; /* as platform_convention() gives it; may be NULL */
    const char *registry;     /* NULL, or what replaces RENDER_REGISTRY in images of the workload */
};
/* Namespace, labels (managed-by, monban.dev/workload), annotation monban.dev/release on the pod
 * template, conventions, image host. The Namespace object comes first unless it is "default". */
NODISCARD int dress_objects(json_t *objects, const struct dress_input *input, struct error *err);

struct dress_agent {
    const char *name;
    bool image_from_workload;
    const json_t *container;
    const json_t *volumes; /* or NULL */
};
/* A container beside the workload's in every Deployment. CONFLICT if a container of that name is
 * there. */
NODISCARD int dress_add_agent(json_t *objects, const struct dress_agent *agent, struct error *err);

/* What of the Pod Security Standard "restricted" the pods of these objects break, a text; "" if
 * nothing. */
void dress_restricted_faults(const json_t *objects, char *out, size_t out_size);
/* The least number of replicas of the Deployments (0 if there are none). */
int64_t dress_least_replicas(const json_t *objects);

#define DRESS_WORKLOAD_LABEL "monban.dev/workload"
#define DRESS_RELEASE        "monban.dev/release"
