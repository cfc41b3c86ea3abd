/* platform/platform.h - the platform folder → clusters in road order, checks, services, agents,
 * conventions, stacks and waivers, all cross-checked.
 *
 * Takes a folder:  platform.yaml  stacks/ *.yaml  conventions/ *.yaml  services/ *.yaml  agents/
 * *.yaml waivers/ *.yaml. Gives a struct platform that never changes. Every fault of every file is
 * reported at once, in the order of the files, each at file:line:column. The kinds and their fields
 * stand in docs/platform.md.
 *
 * Read platform.c first; road.c has clusters and ways, check.c the governance gradient, parts.c the
 * rest. */
#pragma once
#include "base/digest.h"
#include "wire/doc.h"

enum {
    PLATFORM_CLUSTERS_MAX = 32, /* each has an address 10.90.i.0/24 of its own */
    PLATFORM_FILES_MAX = 256,   /* files of a sub-folder */
    PLATFORM_ITEMS_MAX = 4096,  /* services, agents, … of one kind */
};

#define PLATFORM_API_VERSION "monban.dev/v1alpha1"

struct platform;

/* All strings and trees below are borrowed from the platform. */

enum platform_loop { PLATFORM_INNER, PLATFORM_OUTER };

struct platform_cluster {
    const char *name;
    unsigned index; /* from 1, in road order: the i of its addresses */
    enum platform_loop loop;
    bool is_gate;
    const char *follows;    /* the cluster whose releases it takes, or NULL */
    const char *kubeconfig; /* absolute path of a real cluster's file; NULL: embedded */
    const char *context;    /* of the kubeconfig; NULL: its current one */
    const char
        *registry; /* where a real cluster pulls images from ("registry.example/prod"), or NULL */
    const char *namespace_; /* namespace that the platform forces on workloads, or NULL */
    int64_t soak_ms;    /* promotion.soak: how long the followed cluster must have been healthy */
    unsigned approvals; /* promotion.approvals */
    struct place place; /* of its name */
};

/* The governance gradient. Their order is their strictness. */
enum platform_level { LEVEL_OFF, LEVEL_NOTE, LEVEL_WARN, LEVEL_HOLD, LEVEL_REFUSE };
const char *platform_level_name(enum platform_level level); /* "off", "note", … */

struct platform_service { /* services/: one instance, of one cluster */
    const char *name;
    const char *class_name; /* a claim may name the class instead; default: the type */
    const char *cluster;
    const char *type;     /* "postgresql"; servicebinding.io's type entry */
    const char *provider; /* "aws-rds"; may be "" */
    const char *host;     /* a name or an IPv4 address */
    uint16_t port;
    const char *database;
    const char *username;
    const char *password_file; /* relative: to the agent's secrets folder; NULL: secret is used */
    const char *secret_name;   /* a Secret of the cluster that has all entries, or NULL */
    const char *secret_namespace;
    const json_t *entries; /* further entries of the binding: {"sslmode": "require"}; may be NULL */
    struct place place;
};

struct platform_agent { /* agents/: what the outer loop injects beside every workload */
    const char *name;
    const char *owner;
    const char *image_from; /* "workload": the container runs the workload's own image; else NULL */
    const json_t *container; /* a container of the pod spec */
    const json_t *volumes;   /* array for the pod spec, or NULL */
    const json_t *clusters;  /* array of names */
    struct place place;
};

struct platform_stack { /* stacks/: the schema beyond these three is src/build's */
    const char *name;
    const char *owner; /* the team that answers for its packages */
    const struct doc *doc;
};

struct platform_waiver {
    const char *advisory; /* "GHSA-…", "CVE-…"; aliases are the matcher's business */
    const char *purl;     /* without version: all versions; or NULL: any package */
    const char *workload; /* or NULL: all */
    const char *owner;
    const char *reason;
    const char *until; /* YYYY-MM-DD */
    int64_t until_day; /* days since 1970-01-01; the last day on which it holds */
    struct place place;
};

struct platform_source { /* spec.sources: remote repositories that the gate watches */
    const char *app;
    const char *url;
    const char *branch;
    int64_t poll_ms;
};

/* `dir` is also what relative paths in it are relative to. NOT_FOUND without platform.yaml. */
NODISCARD int platform_read(const char *dir, struct platform **ret, struct error *err);
void platform_free(struct platform *p);
DEFINE_CLEANUP(platform, struct platform *, platform_free)
/* The digest of all its files: changes when anything of the platform does. */
const struct digest *platform_digest(const struct platform *p);
const char *platform_name(const struct platform *p);
const char *platform_dir(const struct platform *p); /* absolute */

const struct platform_cluster *platform_clusters(const struct platform *p, size_t *ret_count);
const struct platform_cluster *platform_cluster(const struct platform *p,
                                                const char *name);      /* or NULL */
const struct platform_cluster *platform_gate(const struct platform *p); /* or NULL */
/* What comes before it on the road: the followed one, else its left neighbour; NULL for the first.
 */
const struct platform_cluster *platform_cluster_before(const struct platform *p,
                                                       const struct platform_cluster *c);

/* The level of `check` in `cluster`: as raised there or left of it; LEVEL_OFF if it was never
 * named. */
enum platform_level platform_check_level(const struct platform *p, const char *cluster,
                                         const char *check);
/* Names of all checks that the code knows, NULL-ended; "advisory-age-" stands for
 * advisory-age-DURATION. */
extern const char *const platform_check_names[];
/* The checks that platform.yaml names, in its order. */
const struct strv *platform_checks(const struct platform *p);

const struct platform_service *platform_services(const struct platform *p, size_t *ret_count);
/* The instance in `cluster` that a claim of `name` means: by name, else the only one of that class.
 * NULL if none. */
const struct platform_service *platform_find_service(const struct platform *p, const char *cluster,
                                                     const char *name);
/* True if any cluster has a service of that name or class: a claim of anything else is the
 * developer's slip. */
bool platform_has_service(const struct platform *p, const char *name);
/* The entries of the binding (type, provider, host, port, database, username, password, uri and
 * further ones), all strings. Reads the password beneath `secrets_dir`. UNSUPPORTED where a Secret
 * is named instead. */
NODISCARD int platform_service_binding(const struct platform_service *service,
                                       const char *secrets_dir, json_t **ret, struct error *err);

const struct platform_agent *platform_agents(const struct platform *p, size_t *ret_count);
bool platform_agent_is_in(const struct platform_agent *agent, const char *cluster);
/* All conventions that select this cluster and workload type, merged in order (later ones win,
 * objects are merged): {"replicas", "resources", "labels", "annotations", "env", "readinessProbe",
 * "livenessProbe", "terminationGracePeriodSeconds", "minAvailable", "nodeSelector", "tolerations",
 * "affinity", …}; maybe {}. */
NODISCARD int platform_convention(const struct platform *p, const char *cluster,
                                  const char *workload_type, json_t **ret, struct error *err);
const struct platform_stack *platform_stacks(const struct platform *p, size_t *ret_count);
const struct platform_stack *platform_stack(const struct platform *p,
                                            const char *name); /* or NULL */
const struct platform_waiver *platform_waivers(const struct platform *p, size_t *ret_count);
const struct platform_source *platform_sources(const struct platform *p, size_t *ret_count);

/* spec.build: hosts that a build sandbox may reach ("registry.npmjs.org"), and further CA roots
 * (the path of a PEM file; the default is the machine's bundle). */
const struct strv *platform_build_hosts(const struct platform *p);
const char *platform_trust_bundle(const struct platform *p);  /* absolute path */
const char *platform_default_stack(const struct platform *p); /* spec.build.stack; default "base" */
int64_t platform_build_timeout_ms(const struct platform *p);  /* spec.build.timeout; default 15m */

/* The ways of the fabric (docs/design.md, Networks): all else is dropped. */
struct platform_way {
    char from[64];  /* cluster */
    bool from_pods; /* its pods too, else only its uplink */
    char to[64];    /* IPv4 address */
    uint16_t port;  /* TCP */
    char why[128];  /* "staging follows build", "service db" */
};
struct platform_ways {
    struct platform_way *items; /* owned */
    size_t count;
};
enum { PLATFORM_REGISTRY_PORT = 5000 };
void platform_ways_done(struct platform_ways *ways);
DEFINE_CLEANUP_VALUE(platform_ways, struct platform_ways, platform_ways_done)
NODISCARD int platform_ways(const struct platform *p, struct platform_ways *ret, struct error *err);

/* A new folder with an example of every kind. CONFLICT if it has a platform.yaml. */
NODISCARD int platform_init(const char *dir, const char *name, struct error *err);
/* What the cluster `b` demands beyond (or unlike) `a`: [{"what","name","a","b"}], in a fixed order.
 */
NODISCARD int platform_diff(const struct platform *p, const char *a, const char *b, json_t **ret,
                            struct error *err);
/* The whole as JSON: clusters, checks by cluster, services (without passwords), agents, ways. */
NODISCARD int platform_describe(const struct platform *p, json_t **ret, struct error *err);
