/* cluster/node/node_internal.h - the node process: what it mirrors, the pods it runs, their
 * containers.
 *
 *   node.c      messages from the server, start and stop      pod.c        a pod from begin to end
 *   container.c one container: start, end, back-off           launch.c     (in a worker) spec →
 * running image.c     (in a worker) reference → folders             env.c        (in a worker)
 * environment volume.c    volumes as folders                            probe.c      startup,
 * readiness, liveness pod_state.c the state file; adoption after a crash        pod_status.c status
 * as kubectl reads it firewall.c, policy.c  Services and NetworkPolicies        dns.c, relay.c
 * names, NodePorts */
#pragma once
#include <sys/types.h>

#include "base/fs.h"
#include "base/loop.h"
#include "cluster/cluster.h"
#include "cluster/net/conntrack.h"
#include "cluster/net/nft.h"
#include "cluster/net/pod_net.h"
#include "cluster/node/peer.h"
#include "cluster/node/reaper.h"
#include "cluster/node/worker.h"
#include "oci/runtime.h"

enum mirror {
    MIRROR_PODS,
    MIRROR_SERVICES,
    MIRROR_ENDPOINTS,
    MIRROR_CONFIGMAPS,
    MIRROR_SECRETS,
    MIRROR_NETWORKPOLICIES,
    MIRROR_NAMESPACES,
    MIRROR_SERVICEACCOUNTS,
    MIRROR_COUNT,
};
extern const char *const mirror_names[MIRROR_COUNT]; /* the plurals; node.c */

enum { NODE_HOST_FIRST = 2, NODE_HOST_LAST = 254 /* of 10.90.i.x */ };

struct pod;
struct dns;
struct relays;

struct node {
    struct loop *loop;     /* owned */
    struct reaper *reaper; /* owned */
    struct peer *peer;     /* owned */
    char *name;            /* owned: of the cluster */
    char *folder;          /* owned: HOME/clusters/NAME */
    char *state_dir;       /* owned: the runtime's */
    unsigned index;
    bool is_inner;                /* no governance: hostPath is allowed */
    int lock;                     /* of the cluster's node */
    int netns;                    /* the cluster's */
    struct nl *nl;                /* owned */
    struct nft *nft;              /* owned */
    struct conntrack *ct;         /* owned */
    json_t *mirror[MIRROR_COUNT]; /* owned: "<namespace>/<name>" → object */
    struct pod *pods;             /* owned */
    struct pod *by_host[256];     /* borrowed from pods */
    bool is_synced;
    bool is_stopping; /* pods end, then we */
    struct loop_timer
        *firewall_timer;   /* owned by the loop; NULL: the firewall is as it should be */
    char *firewall_text;   /* owned: what was applied last */
    struct dns *dns;       /* owned */
    struct relays *relays; /* owned */
};

/* An object of the mirror; NULL. Borrowed until the next message. */
const json_t *node_find(const struct node *node, enum mirror kind, const char *ns,
                        const char *name);

/* With is_stopping: ends the process once the last pod is gone. */
void node_check_stopped(struct node *node);

/* --- pods and containers --- */

enum container_phase {
    CONTAINER_WAITING,  /* for its turn, or `reason` says for what */
    CONTAINER_STARTING, /* a worker is at it */
    CONTAINER_RUNNING,
    CONTAINER_EXITED, /* and stays so */
};

enum probe_kind { PROBE_STARTUP, PROBE_READINESS, PROBE_LIVENESS, PROBE_COUNT };
struct probe;

struct container {
    struct pod *pod; /* borrowed */
    char *name;      /* owned */
    size_t number;   /* among the pod's containers, init first */
    bool is_init;
    bool is_sidecar; /* an init container that stays */
    enum container_phase phase;
    char reason[48]; /* why it waits */
    char message[600];
    unsigned attempt; /* starts so far: part of its id */
    unsigned restarts;
    pid_t pid;          /* 0: none */
    uint64_t pid_start; /* clock ticks since boot: with the pid it names one process for ever */
    int64_t started_s;
    int64_t started_ms; /* monotonic */
    int64_t finished_s;
    int exit_code;
    char exit_reason[32];
    char *exit_message; /* owned; or NULL */
    json_t *last_state; /* owned: {"terminated":{…}} of the run before; or NULL */
    char *image_id;     /* owned; or NULL */
    int stop_signal;
    int64_t backoff_ms; /* of the next restart */
    int64_t pull_backoff_ms;
    bool is_ready;
    bool is_started;     /* startup probe passed, or none */
    bool restart_wanted; /* by a probe: ends with any exit code, starts again */
    bool is_pulling;
    bool is_stopping;                  /* container_stop() was called */
    pid_t hook_pid;                    /* of a preStop program; 0: none */
    struct worker *worker;             /* owned; NULL: none */
    struct loop_timer *timer;          /* owned by the loop: back-off, or the end of grace */
    struct probe *probes[PROBE_COUNT]; /* owned */
};

enum pod_phase {
    POD_NEW,      /* network and volumes are to be made */
    POD_RUNNING,  /* containers start, run, restart */
    POD_DONE,     /* all containers ended for good */
    POD_DRAINING, /* to be removed: out of the Services, not told yet */
    POD_STOPPING, /* told to end */
    POD_REMOVING, /* a worker takes its things away */
};

struct pod {
    struct pod *next;
    struct node *node;     /* borrowed */
    json_t *object;        /* owned: as the server has it now */
    char *uid, *ns, *name; /* owned */
    char *folder;          /* owned: HOME/clusters/NAME/pods/UID */
    enum pod_phase phase;
    unsigned host; /* 10.90.i.HOST; 0: none */
    int64_t started_s;
    struct container *containers; /* owned; init first */
    size_t container_count;
    json_t *conditions_since; /* owned: type → [status, RFC 3339] */
    char *sent_status;        /* owned: JSON text of the status that the server has from us */
    bool is_gone_there;       /* the server has forgotten it already */
    int64_t grace_s;          /* of its end */
    struct loop_timer *timer; /* owned by the loop: retry, drain or grace */
    int64_t retry_ms;
    struct worker *worker; /* owned: removal */
};

/* pod.c */
NODISCARD int pod_new(struct node *node, const json_t *object, struct pod **ret, struct error *err);
void pod_free(struct pod *pod); /* forgets it; nothing of it may run */
struct pod *pod_find(struct node *node, const char *uid);
/* The server's object is new or changed. */
void pod_update(struct pod *pod, const json_t *object);
/* Ends and removes it; within grace_s (-1: the pod's own). May be called again with less. */
void pod_end(struct pod *pod, int64_t grace_s);
/* Starts whatever may start now. */
void pod_step(struct pod *pod);
/* Something it may have waited for has changed. */
void pod_retry(struct pod *pod);
const char *pod_address(const struct pod *pod, char out[NET_ADDRESS_SIZE]); /* "" if none */
const char *pod_restart_policy(const struct pod *pod);
void pod_event(struct pod *pod, const char *type, const char *reason, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* A container ended for good or restarts: decides about the pod. */
void pod_container_ended(struct pod *pod);
char *pod_log_folder(const struct pod *pod); /* free() it */

/* pod_state.c */
void pod_save(struct pod *pod);
/* Every pod folder: pods that the mirror has are adopted, the rest is ended. */
void pod_load_all(struct node *node);
bool process_start(pid_t pid,
                   uint64_t *ret_ticks); /* field 22 of /proc/PID/stat; false: no such process */

/* pod_status.c */
void pod_report(struct pod *pod); /* sends the status if it differs from what was sent */
bool pod_is_all_ready(const struct pod *pod);

/* container.c */
const json_t *container_spec(const struct container *container);
void container_begin(struct container *container); /* in a worker; then it runs or waits */
void container_adopt(struct container *container); /* phase, pid… are from the state file */
/* Its preStop hook, then its stop signal; ends at once if it does not run. pod_container_ended()
 * follows. */
void container_stop(struct container *container);
void container_kill_now(struct container *container); /* KILL; a start in progress is waited for */
void container_release(struct container *container);  /* timers, probes, worker, memory */
void container_restart(struct container *container, const char *why); /* a probe wants it */
struct container_paths {
    char id[96];
    char *dir;      /* owned */
    char *log;      /* owned */
    char *end_file; /* owned: /dev/termination-log */
    char cgroup[256];
};
NODISCARD int container_paths_of(const struct container *container, struct container_paths *ret,
                                 struct error *err);
void container_paths_done(struct container_paths *paths);
DEFINE_CLEANUP_VALUE(container_paths, struct container_paths, container_paths_done)
void container_cut_logs(struct node *node); /* keeps log files below their limit */

/* launch.c: a worker_job_fn whose ctx is the container. Result: {"pid","imageID","stopSignal"}, or
 * {"reason","message"}. */
int launch_job(struct worker *worker, void *ctx, json_t **ret, struct error *err);

/* image.c */
struct node_image {
    json_t *config;        /* owned: the "config" member of the image's config */
    struct strv lowerdirs; /* topmost first */
    char id[400];          /* "host/repo@sha256:…" */
};
void node_image_done(struct node_image *image);
DEFINE_CLEANUP_VALUE(node_image, struct node_image, node_image_done)
/* *ret_reason on failure: ErrImagePull, InvalidImageName, ErrImageNeverPull. */
NODISCARD int node_image_obtain(struct container *container, struct worker *worker,
                                struct node_image *ret, const char **ret_reason, struct error *err);

/* env.c: variables of the image, of Services, envFrom, env; later ones win; $(NAME) expanded. */
NODISCARD int env_build(const struct container *container, const json_t *image_env,
                        struct strv *ret, struct error *err);
/* $(NAME) by `env` ("K=V"); $$ is $; unknown names stay. Pure. */
NODISCARD int env_expand(const char *text, const struct strv *env, struct buf *out,
                         struct error *err);
/* The value of a fieldRef path; NULL if it is not offered. free() it. */
char *env_field(const struct pod *pod, const char *path);

/* volume.c: all volumes of a pod under FOLDER/volumes. NOT_FOUND: something it names is not there
 * yet. */
NODISCARD int volume_make_all(struct pod *pod, struct error *err);
/* Writes the volumes again that come from this object. */
void volume_refresh(struct pod *pod, enum mirror kind, const char *name);
NODISCARD int volume_add_mounts(const struct container *container, struct container_mount *mounts,
                                size_t max, size_t *count, struct strv *keep, struct error *err);

/* probe.c */
void probe_start_all(struct container *container);
void probe_stop_all(struct container *container);

/* firewall.c */
void firewall_touch(struct node *node); /* applied in this turn of the loop */
bool firewall_has_endpoint(const struct node *node,
                           const char *address); /* some Service leads to it */

/* dns.c, relay.c */
NODISCARD int dns_new(struct node *node, struct dns **ret, struct error *err);
void dns_free(struct dns *dns);
NODISCARD int relays_new(struct node *node, struct relays **ret, struct error *err);
void relays_free(struct relays *relays);
void relays_update(struct relays *relays); /* the Services changed */

/* quantity.c: Kubernetes quantities ("100m", "64Mi", "1.5"). In thousandths; rounded up. */
bool quantity_parse_milli(const char *text, int64_t *ret_milli);
