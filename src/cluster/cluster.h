/* cluster/cluster.h - the embedded cluster: one server process that speaks the Kubernetes API and
 * runs its controllers, and one node process that runs the pods.
 *
 *   api/      objects in SQLite, the HTTP API, the cluster's own image registry at /v2/
 *   control/  Deployments, ReplicaSets, Endpoints, namespaces, garbage, scheduling: in the API
 * process node/     pods as real containers, probes, DNS, NodePorts: a child process, over a socket
 * pair net/      namespaces, bridges, nftables, the fabric between clusters
 *
 * Folder HOME/clusters/NAME: see docs/design.md, "Home". A cluster's pods live on when its
 * processes end; the next start adopts them. This header is for commands: every call blocks, with a
 * deadline. */
#pragma once
#include <sys/types.h>

#include "cluster/net/net.h"
#include "wire/json.h"

enum cluster_loop { CLUSTER_INNER, CLUSTER_OUTER };

struct cluster_info {
    char name[64];
    unsigned index; /* of its addresses */
    enum cluster_loop loop;
    uint16_t port;    /* of the API on 127.0.0.1 */
    pid_t pid;        /* of `cluster serve`; 0: not running */
    char *folder;     /* owned: HOME/clusters/NAME */
    char *kubeconfig; /* owned: admin.kubeconfig in it (machine's loopback) */
    char *netns;      /* owned: its network namespace's file */
};
#define CLUSTER_INFO_INIT                                                                          \
    {                                                                                              \
        0                                                                                          \
    }
void cluster_info_done(struct cluster_info *info);
DEFINE_CLEANUP_VALUE(cluster_info, struct cluster_info, cluster_info_done)

struct cluster_create_options {
    const char *home;
    const char *name;    /* DNS label */
    const char *program; /* this binary: started as `PROGRAM --home HOME cluster serve NAME` */
    unsigned index;      /* 0: the next free one */
    enum cluster_loop loop;
};
/* Makes folder, keys, namespace and kubeconfigs, starts the server in the background and waits
 * until its /readyz answers. Also joins the fabric. CONFLICT if the cluster exists. */
NODISCARD int cluster_create(const struct cluster_create_options *options, struct cluster_info *ret,
                             struct error *err);
/* Starts the server of a cluster that exists (after a stop, a crash, or a reboot), and waits until
 * it answers. Running already is fine. */
NODISCARD int cluster_start(const char *home, const char *name, const char *program,
                            struct cluster_info *ret, struct error *err);
/* Stops its processes; pods go on unless `stop_pods`. Stopped already is fine. */
NODISCARD int cluster_stop(const char *home, const char *name, bool stop_pods, struct error *err);
/* Removes everything: processes, pods, mounts, cgroups, namespace, folder. Works on what a killed
 * create or delete has left, too. NOT_FOUND if there is nothing. */
NODISCARD int cluster_delete(const char *home, const char *name, struct error *err);

NODISCARD int cluster_find(const char *home, const char *name, struct cluster_info *ret,
                           struct error *err); /* NOT_FOUND */
/* Array, in index order:
 * [{"name","index","loop","port","pid","running","kubeconfig","netns","address","uplink"}] */
NODISCARD int cluster_list(const char *home, json_t **ret, struct error *err);

/* The server itself, in the foreground, until SIGTERM or SIGINT (pods go on, unless stop_pods). */
struct cluster_serve_options {
    const char *home;
    const char *name;
    const char *program;
    bool stop_pods;
    int ready_fd; /* -1, or a descriptor that is told (one byte) once the API answers */
};
NODISCARD int cluster_serve(const struct cluster_serve_options *options, struct error *err);
/* The node process, started by cluster_serve() with descriptor 3 as its socket to the server. */
NODISCARD int cluster_node(const char *home, const char *name, struct error *err);
