/* cluster/cluster_internal.h - shared by the parts of the cluster's own process: cluster.c,
 * files.c, serve.c, node_link.c. */
#pragma once
#include "cluster/api/api.h"
#include "cluster/cluster.h"
#include "cluster/control/control.h"
#include "cluster/files.h"

/* node_link.c: the server's side of the node process */
struct node_link;
struct node_link_options {
    struct loop *loop;
    struct api *api;
    struct control *control;
    const char *home, *name, *program;
};
NODISCARD int node_link_new(const struct node_link_options *options, struct node_link **ret,
                            struct error *err);
/* Ends the node process; on_stopped once it has ended. */
typedef void node_link_stopped_fn(void *ctx);
void node_link_stop(struct node_link *link, bool with_pods, node_link_stopped_fn *on_stopped,
                    void *ctx);
void node_link_free(struct node_link *link);
DEFINE_CLEANUP(node_link, struct node_link *, node_link_free)
