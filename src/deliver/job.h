/* deliver/job.h - what the agent's workers do: each job blocks, and may parse what came from
 * outside.
 *
 * All are worker_job_fn (worker.h): `arg` is the struct of the same name. */
#pragma once
#include "base/buf.h"
#include "base/digest.h"
#include "wire/json.h"

/* Where an agent stands. All strings are owned by the agent and never change. */
struct site {
    const char *home;
    const char *cluster;
    const char *dir;      /* HOME/agents/CLUSTER */
    const char *registry; /* its OCI layout */
    const char *kubeconfig;
    int signer_fd; /* of the signer process; -1 in commands */
};

/* Pull (or take from our own registry), verify, judge by this cluster's checks, prepare the
 * objects. Result: {"release":{"digest","sequence","commit","image","namespace","inventory"},
 * "objects":[…], "level":"hold", "failures":[…], "text" (the failures in words), "wait" (a missing
 * service, or absent), "soakMs","approvals","waitsFor" (a cluster whose promotion must come first,
 * or absent),"findings":[…]}. Errors: those of release_fetch(); DENIED where a check refuses, with
 * one paragraph a failure. */
struct job_fetch {
    const struct site *site;
    const char *workload;
    struct digest local;     /* from our own registry; "": the newest of the followed one */
    uint64_t least_sequence; /* what is older is refused */
    struct digest known; /* the release of least_sequence: another of the same number is refused */
    bool is_refresh;     /* it runs or ran here: checks do not refuse it any more */
};
NODISCARD int job_fetch(const void *arg, json_t **ret, struct error *err);

/* The image of a fetched release → the cluster's registry. Result: {}. */
struct job_push {
    const struct site *site;
    const char *workload;
    struct digest image;
};
NODISCARD int job_push(const void *arg, json_t **ret, struct error *err);

/* Write our promotion statement, or take it back (is_healthy false). Result: {}. */
struct job_promote {
    const struct site *site;
    const char *workload;
    uint64_t sequence;
    int64_t healthy_since_s;
    struct digest release;
    bool is_healthy;
};
NODISCARD int job_promote(const void *arg, json_t **ret, struct error *err);

/* The followed cluster's promotion. Result: {"sequence","healthySince" (s),"release","cluster"}. */
struct job_promotion {
    const struct site *site;
    const char *workload;
};
NODISCARD int job_promotion(const void *arg, json_t **ret, struct error *err);

/* The stored inventory of what runs, against the advisory database of now; nothing is pulled.
 * Result: {"findings":[…], "database": version}. */
struct job_recheck {
    const struct site *site;
    const char *workload;
    struct digest release;
};
NODISCARD int job_recheck(const void *arg, json_t **ret, struct error *err);

/* --- shared by the jobs */
struct registry_client;
struct trust;
struct layout;
/* To the followed registry. NOT_FOUND without upstream/url. */
NODISCARD int site_upstream(const struct site *site, struct registry_client **ret,
                            struct error *err);
/* upstream/NAME.pub; NOT_FOUND says what to do. */
NODISCARD int site_trust(const struct site *site, const char *name, struct trust **ret,
                         struct error *err);
NODISCARD int site_layout(const struct site *site, struct layout **ret, struct error *err);
NODISCARD int site_read(const struct site *site, const char *name, struct buf *out,
                        struct error *err); /* a file of its folder, without the last end of line */
