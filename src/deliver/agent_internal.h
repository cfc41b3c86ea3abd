/* deliver/agent_internal.h - the running agent: what its files share. One loop, one thread.
 *
 *   agent.c     the daemon: start, folders that are watched, the end
 *   upstream.c  what is offered: the catalog, long polls
 *   follow.c    one workload: events → machine.h → actions
 *   decide.c    what a verified release still waits for
 *   side.c      promotions and re-checks, beside the attempt
 *   apply.c     objects → API server, pruning
 *   live.c      drift and health
 *   report.c    the state ConfigMaps
 *   orders.c    orders of people
 *   memory.c    state.json
 *   serve.c     its own registry */
#pragma once
#include "base/loop.h"
#include "deliver/deliver.h"
#include "deliver/job.h"
#include "deliver/machine.h"
#include "deliver/worker.h"
#include "kube/watch.h"
#include "sign/sign.h"

struct agent;
struct follow;
struct registry_client;
struct prune;

enum {
    AGENT_WORKLOADS_MAX = 1000,
    AGENT_RETRY_MS = 200,       /* first pause after a failure, doubled each time */
    AGENT_RETRY_MAX_MS = 30000, /* and not longer */
    AGENT_GOOD_MAX = 10,        /* releases that we can roll back to */
    AGENT_RECHECK_MS = 3600000, /* re-check at least so often */
    AGENT_REASON_MAX = 4096,    /* bytes of a reason in a ConfigMap */
};

/* A tag of the followed registry, long-polled. */
struct poll {
    struct follow *follow;                                               /* borrowed: the owner */
    const char *tag;                                                     /* static */
    void (*changed)(struct follow *follow, const struct digest *digest); /* "" if the tag is gone */
    struct http_flow *flow;                                              /* owned while it runs */
    struct loop_timer *timer;                                            /* owned */
    struct buf body;
    struct digest digest; /* the last seen */
    int64_t started_ms;
    int64_t retry_ms;
    bool was_told; /* whether there is a tag has been told once */
};

/* One applied object, and how it is kept. */
struct live {
    struct follow *follow;    /* borrowed */
    json_t *applied;          /* owned */
    json_t *seen;             /* owned: the last state from the server; NULL: it is not there */
    int64_t generation;       /* of our last apply's answer */
    int64_t version;          /* its resourceVersion; older events say nothing */
    struct kube_flow *flow;   /* owned while a correction or an apply runs */
    struct loop_timer *timer; /* owned: the pause before the next correction */
    int64_t corrected_ms;     /* when last */
    unsigned fights;          /* corrections in a row */
    bool was_patched;         /* server-side apply did not help: a merge patch was sent */
    bool is_applied;          /* by this attempt */
};

enum health { HEALTH_UNKNOWN, HEALTH_GOOD, HEALTH_BAD };

struct follow {          /* one workload */
    struct agent *agent; /* borrowed */
    char *name;          /* owned */
    enum machine_phase phase;
    struct poll release;
    struct poll promotion;
    json_t *memory; /* owned: what state.json keeps, see memory.c */

    /* the attempt */
    json_t *attempt;      /* owned: job_fetch()'s result; NULL before it */
    struct digest target; /* the release that the attempt is about; "" until known */
    bool is_refresh;      /* what ran here already comes again: no waiting */
    bool is_rollback;     /* and it is an older one */
    bool offer_pending;
    bool recheck_pending;
    char reason[AGENT_REASON_MAX];
    struct worker *worker;      /* owned: fetch or push */
    struct worker *side_worker; /* owned: promotion, re-check */
    struct job_fetch fetch;
    struct job_push push;
    struct job_promote promote;
    struct job_promotion promotion_job;
    struct job_recheck recheck;
    bool promote_pending, promotion_pending, recheck_findings_pending;
    struct loop_timer *retry;    /* owned */
    struct loop_timer *deadline; /* owned: health */
    struct loop_timer *soak;     /* owned */
    struct loop_timer *relapse;  /* owned: before a promotion is taken back */
    int64_t retry_ms;
    int64_t since_s;      /* of the state that is shown */
    json_t *promotion_of; /* owned: the followed cluster's last promotion, or NULL */

    /* what is in the cluster */
    struct live **lives; /* owned */
    size_t live_count;
    unsigned apply_stage;
    size_t apply_open; /* flows of this stage */
    bool apply_failed;
    bool is_applied; /* `lives` are what should be there: drift is corrected */
    json_t *pods;    /* owned: name → pod */
    enum health health;
    json_t *findings; /* owned: of what runs, or of the attempt that waits */

    struct kube_flow *report_flow; /* owned while it runs */
    struct loop_timer *report_timer;
    bool report_again;
    char shown_state[16];
};

struct kind_watch {
    struct agent *agent;
    char *api_version, *kind, *ns; /* owned */
    struct kube_watch *watch;      /* owned */
};

struct agent {
    struct loop *loop;
    const struct deliver_options *options;
    struct site site;
    char *dir, *registry_dir, *kubeconfig; /* owned: behind `site` */
    struct kube_client *kube;
    struct registry_client *upstream; /* for URLs and headers of polls */
    struct http_client *upstream_http;
    struct signer *signer;
    struct trust *operators; /* whose orders are taken */
    struct follow **follows;
    size_t follow_count;
    struct kind_watch **watches;
    size_t watch_count;
    struct prune *prunes; /* owned; deletions that run */
    struct kube_watch *order_watch;
    struct http_flow *catalog;
    struct loop_timer *catalog_timer;
    struct buf catalog_body;
    struct loop_timer *recheck_timer;
    int inotify_fd;
    struct loop_io *inotify;
    int db_wd, secrets_wd;
    struct serve *serve;
    struct worker *sync_worker; /* owned: of state.json */
    bool must_sync;
    struct follow *promoting; /* the one whose worker talks with the signer */
    bool platform_changed, db_changed;
    struct loop_timer *changed_timer;
    char *upstream_url; /* owned */
    bool upstream_told; /* its last trouble was logged */
};

/* agent.c */
struct follow *agent_follow(struct agent *agent, const char *name, struct error *err);
/* An error that ends no one: logged. */
void agent_log(const struct follow *follow, const char *message, const struct error *err);

/* upstream.c */
NODISCARD int upstream_start(struct agent *agent, struct error *err);
void upstream_stop(struct agent *agent);
void poll_init(struct poll *poll, struct follow *follow, const char *tag,
               void (*changed)(struct follow *, const struct digest *));
void poll_start(struct poll *poll);
void poll_stop(struct poll *poll);

/* follow.c */
NODISCARD int follow_new(struct agent *agent, const char *name, struct follow **ret,
                         struct error *err);
void follow_free(struct follow *follow);
void follow_start(struct follow *follow); /* resumes what memory says, then listens */
void follow_event(struct follow *follow, enum machine_event event);
void follow_fail(struct follow *follow, const char *what, const struct error *err);
void follow_offered(struct follow *follow, const struct digest *digest);
void follow_promotion_changed(struct follow *follow, const struct digest *digest);
void follow_recheck_findings(struct follow *follow);
void follow_go_back(struct follow *follow, uint64_t sequence, const char *why);
/* The next side job, if one waits and none runs. */
void follow_side_jobs(struct follow *follow);
void follow_say(struct follow *follow, const char *format, ...) PRINTF_LIKE(2, 3);

/* decide.c */
void decide(struct follow *follow);
/* An approval or a promotion order for the release `digest` was given by `by`. */
void decide_order(struct follow *follow, enum deliver_order order, const char *digest,
                  const char *by);

/* apply.c */
void apply_start(struct follow *follow);
void apply_stop(struct follow *follow);
void apply_prune(struct follow *follow);
void apply_stop_prunes(struct agent *agent);

/* live.c */
NODISCARD int live_set(struct follow *follow, const json_t *objects, struct error *err);
void live_clear(struct follow *follow);
void live_check_health(struct follow *follow);
void live_start_probe(struct follow *follow); /* the deadline */
void live_stop_probe(struct follow *follow);
NODISCARD int live_watch(struct agent *agent, const char *api_version, const char *kind,
                         const char *ns, struct error *err);
void live_unwatch_all(struct agent *agent);
/* Events older than this answer are no news. */
void live_note_version(struct live *live, const json_t *answer);
void live_seen(struct live *live, const json_t *object); /* NULL: gone */

/* report.c */
void report(struct follow *follow); /* writes what is to be shown, soon */
void report_stop(struct follow *follow);

/* orders.c */
NODISCARD int orders_start(struct agent *agent, struct error *err);
struct order {
    enum deliver_order order;
    char id[64], workload[64], by[128], reason[512], release[80];
    uint64_t sequence;
};
NODISCARD int order_open(const struct trust *operators, const char *cluster, struct str envelope,
                         struct order *ret, struct error *err);

/* memory.c */
NODISCARD int memory_load(struct agent *agent, json_t **ret, struct error *err);
void memory_save(struct agent *agent); /* whole, before it returns */
json_t *memory_new(void);
uint64_t memory_highest(const struct follow *follow);
void memory_accept(struct follow *follow, const json_t *release);
/* The release of the attempt becomes the running one (not yet known to be good). */
void memory_run(struct follow *follow, const json_t *release, const json_t *objects);
void memory_settle(struct follow *follow, int64_t healthy_since_s, const json_t *objects);
void memory_refuse(struct follow *follow, const char *digest, uint64_t sequence,
                   const char *reason);
const json_t *memory_running(const struct follow *follow); /* or NULL */
bool memory_is_good(const struct follow *follow, const char *digest);
/* The newest good release that is not `digest`, or that has `sequence` (not 0). NULL if none. */
const json_t *memory_good(const struct follow *follow, const char *not_digest, uint64_t sequence);
bool memory_is_refused(const struct follow *follow, const char *digest);

/* serve.c */
struct serve;
NODISCARD int serve_start(struct agent *agent, const char *address, struct serve **ret,
                          struct error *err);
void serve_stop(struct serve *serve);
