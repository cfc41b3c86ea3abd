/* cluster/control/control.h - the controllers of an embedded cluster, in the API process.
 *
 * They watch the store and act in the next turn of the loop; nothing polls. What they write goes
 * through api.h like everybody's writes. Each is one file:
 *
 *   scheduler.c    pods → spec.nodeName          replicaset.c  ReplicaSets → pods
 *   deployment.c   Deployments → ReplicaSets (rollout.h: the arithmetic)
 *   endpoints.c    Services and pods → Endpoints, EndpointSlices
 *   namespace.c    empties Terminating namespaces; what every namespace has
 *   garbage.c      owner references              disruption.c  PodDisruptionBudget status
 *   node_object.c  the Node
 *
 * Source: standards of Kubernetes 1.20 and later, as kubectl sees them. */
#pragma once
#include "cluster/api/api.h"

struct control;

struct control_options {
    struct loop *loop;
    struct api *api;
    unsigned cluster_index;
    const char *node_name; /* of the one node; copied */
    const char *ca_pem;    /* for the ConfigMap kube-root-ca.crt; copied */
};

/* Makes what is missing (namespace monban-system, the Node, Endpoints of default/kubernetes), and
 * looks at everything once. */
NODISCARD int control_new(const struct control_options *options, struct control **ret,
                          struct error *err);
void control_free(struct control *control);
DEFINE_CLEANUP(control, struct control *, control_free)

/* The node process came or went: its Node is Ready, or not. */
void control_set_node_ready(struct control *control, bool is_ready);
