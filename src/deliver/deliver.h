/* deliver/deliver.h - the agent of an outer cluster: it pulls releases, and nothing is ever pushed
 * to it.
 *
 * For each workload that the followed registry has: pull the release into the agent's own registry,
 * verify (release/verify), wait for what must be waited for (the followed cluster's promotion
 * statement, soak time, approvals), bind services, add conventions and agents, push the image into
 * the cluster's registry, apply by server-side apply as `monban-agent`, watch health, roll back by
 * itself if that fails, keep what is applied as it was applied, and re-check what runs whenever the
 * advisory database changes. Whatever is refused, what ran goes on running. Blocking work happens
 * in worker processes; a kill at any moment loses nothing.
 *
 * HOME/agents/CLUSTER/
 *   registry/                    OCI layout: mirrored releases and our promotion statements
 *   keys/agent.key, .pub         signs promotion statements
 *   keys/operator.key, .pub      signs orders (approve, promote, rollback): the commands use it
 *   upstream/url, ca.pem, token  the registry that is followed
 *   upstream/release.pub         whose releases are taken (the gate's key)
 *   upstream/promotion.pub       whose promotions are waited for; absent where the gate is followed
 *   tokens/CLUSTER               read tokens that our registry accepts, one file a follower
 *   pki/ca.pem, ca.key, server.pem, server.key
 *   secrets/                     credentials of services (platform/services names the files)
 *   state.json                   what was accepted, applied, refused: see memory.c
 *   agent.pid, agent.log
 *
 * Files: agent.c (the daemon), machine.h (the table state × event → action), bind.h (service
 * bindings), dress.h (conventions, agents, egress), drift.h, worker.h and job.h (what
 * workers do), order.c (approve, rollback); agent_internal.h lists the rest. Source:
 * docs/design.md, "Outer cluster state"; servicebinding.io/v1. */
#pragma once
#include "base/error.h"
#include "wire/json.h"

enum { DELIVER_REGISTRY_PORT = 5000 };
#define DELIVER_MANAGER   "monban-agent"
#define DELIVER_NAMESPACE "monban-system"
#define DELIVER_LABEL     "monban.dev/release"

/* Makes what is missing in HOME/agents/CLUSTER: keys, certificates, a read token for each follower,
 * and, where the followed gate or agent lives in the same home, its address, certificate, token and
 * public keys. Can be repeated. Reads HOME/platform. NOT_FOUND names the file that another machine
 * must hand over. */
NODISCARD int deliver_prepare(const char *home, const char *cluster, struct error *err);

struct deliver_options {
    const char *home;
    const char *cluster;
    const char *kubeconfig; /* NULL: as the platform says; embedded: inside.kubeconfig */
    int ready_fd; /* 0 or -1: none; else gets one byte when the agent follows, and is closed */
};
/* The daemon: until SIGTERM or SIGINT. Enters the cluster's network namespace if it is embedded.
 * CONFLICT if another agent of this cluster runs. */
NODISCARD int deliver_run(const struct deliver_options *options, struct error *err);

/* An order of a person, signed by the cluster's operator key and left in the cluster as ConfigMap
 * `order-WORKLOAD` of monban-system, where the agent finds it at once. */
enum deliver_order {
    DELIVER_APPROVE, /* a held release may go on, although findings or the platform ask for a person
                      */
    DELIVER_PROMOTE, /* no more waiting for soak time */
    DELIVER_ROLLBACK, /* go back to `sequence` (0: the last good one before the running one) */
};
struct deliver_order_options {
    const char *home;
    const char *cluster;
    const char *workload;
    enum deliver_order order;
    uint64_t sequence;  /* APPROVE, PROMOTE: 0: the one that waits */
    const char *by;     /* who says so: "alice" */
    const char *reason; /* or NULL */
};
/* Returns once the order is stored. NOT_FOUND: the cluster knows no such workload, or nothing
 * waits. */
NODISCARD int deliver_order_send(const struct deliver_order_options *options, struct error *err);

/* What `monban status` shows: an array, one object a cluster in road order:
 * {"cluster","engine","reachable","error","releases":[{"workload","state","sequence","commit","image","reason",
 * "since","findings":[…]}]}. Reads the Kubernetes API of each cluster and nothing else. */
NODISCARD int deliver_status(const char *home, json_t **ret, struct error *err);
struct registry_client;
/* The registry of the embedded cluster behind a kubeconfig: its API server's /v2/. */
NODISCARD int deliver_embedded_registry(const char *kubeconfig, struct registry_client **ret,
                                        struct error *err);
/* The kubeconfig by which a command on this machine reaches the cluster, free() it: the embedded
 * cluster's admin.kubeconfig, or the platform's. */
NODISCARD int deliver_kubeconfig(const char *home, const char *cluster, char **ret_path,
                                 struct error *err);
