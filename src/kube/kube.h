/* kube/kube.h - a client of the Kubernetes API: any cluster that a kubeconfig names.
 *
 * Takes a kubeconfig (config.h) and objects as json_t in their standard shape; the REST path of a
 * kind comes from discovery, cached for the life of a client. Two ways to call, with the same
 * requests:
 *   - blocking, with a deadline, for commands: kube_get(), kube_apply(), kube_wait_rollout(), …
 *   - on the event loop, for daemons: kube_flow_start(), kube_watch_start(), kube_log_start().
 * A failed call fills struct error from the server's Status object: 404 NOT_FOUND, 409 CONFLICT,
 * 401 and 403 DENIED, 400 and 422 INVALID, 405, 406 and 415 UNSUPPORTED, 413 and 507 LIMIT, 408 and
 * 504 TIMEOUT, 410, 429 and 5xx UNAVAILABLE. Read next: config.h, watch.h, rollout.h. Source:
 * Kubernetes API conventions (api-conventions.md, "Response Status Kind"); API concepts. */
#pragma once
#include "base/loop.h"
#include "wire/http_client.h"
#include "wire/json.h"

struct kube_config;
struct kube_client; /* one thread; keeps its connections */

enum { KUBE_TIMEOUT_MS = 30000, KUBE_ANSWER_MAX = 64 << 20 };

/* Connects nowhere yet. `config` is only read during the call. */
NODISCARD int kube_client_new(const struct kube_config *config, struct kube_client **ret,
                              struct error *err);
/* Both steps in one: the kubeconfig file `path`, and its context (NULL: the current one). */
NODISCARD int kube_client_open(const char *path, const char *context, struct kube_client **ret,
                               struct error *err);
void kube_client_free(struct kube_client *client);
DEFINE_CLEANUP(kube_client, struct kube_client *, kube_client_free)

const char *kube_client_server(const struct kube_client *client); /* "https://10.90.1.1:6443" */
const char *
kube_client_namespace(const struct kube_client *client); /* of the context, or "default" */
/* The connection itself, with its certificates: for `/v2/` on an embedded cluster. Borrowed. */
struct http_client *kube_client_http(struct kube_client *client);

/* Names an object, or with name NULL a collection. Borrowed strings. */
struct kube_ref {
    const char *api_version; /* "apps/v1", "v1" */
    const char *kind;        /* "Deployment" */
    const char *ns; /* NULL: the client's for namespaced kinds; "" in a list: all namespaces */
    const char *name;
};
/* Of an object; its strings live as long as `object` does. INVALID without apiVersion, kind or
 * name. */
NODISCARD int kube_ref_of(const json_t *object, struct kube_ref *ret, struct error *err);

/* What discovery says about a kind. Borrowed from the client, for its life. */
struct kube_resource {
    char *group;   /* "" for core */
    char *version; /* "v1" */
    char *kind;
    char *plural;   /* "deployments" */
    char *singular; /* "deployment" or "" */
    bool namespaced;
    struct strv short_names;
    struct strv verbs;
};
/* NOT_FOUND if the server does not serve the kind. Asks the server once for each group version. */
NODISCARD int kube_resource_find(struct kube_client *client, const char *api_version,
                                 const char *kind, const struct kube_resource **ret,
                                 struct error *err);

/* Blocking calls. `ret` may be NULL where the answer is not wanted; else owned by the caller. */
struct kube_list_options {
    const char *label_selector; /* NULL: all */
    const char *field_selector;
};
NODISCARD int kube_get(struct kube_client *client, const struct kube_ref *ref, json_t **ret,
                       struct error *err);
/* The List object; its "items" carry apiVersion and kind each. `options` may be NULL. */
NODISCARD int kube_list(struct kube_client *client, const struct kube_ref *ref,
                        const struct kube_list_options *options, json_t **ret, struct error *err);
NODISCARD int kube_create(struct kube_client *client, const json_t *object, json_t **ret,
                          struct error *err);
NODISCARD int kube_update(struct kube_client *client, const json_t *object, json_t **ret,
                          struct error *err);
/* JSON merge patch (RFC 7386). `subresource`: "status", "scale" or NULL. */
NODISCARD int kube_patch(struct kube_client *client, const struct kube_ref *ref,
                         const char *subresource, const json_t *patch, json_t **ret,
                         struct error *err);
/* Server-side apply: creates what is missing. CONFLICT (without `force`) names the other manager.
 */
struct kube_apply_options {
    const char *manager; /* field manager; required */
    bool force;
    bool dry_run;
};
NODISCARD int kube_apply(struct kube_client *client, const json_t *object,
                         const struct kube_apply_options *options, json_t **ret, struct error *err);
/* Propagation "Background"; with `wait` returns once the object is gone. NOT_FOUND if it is not
 * there. */
NODISCARD int kube_delete(struct kube_client *client, const struct kube_ref *ref, bool wait,
                          struct error *err);

/* One request on the loop. `done` is called once: answer (borrowed) and err NULL, or err. Removing
 * the flow cancels without `done`; after `done` the flow is gone. Discovery of an unknown kind is
 * part of the flow. */
enum kube_verb {
    KUBE_GET,
    KUBE_LIST,
    KUBE_CREATE,
    KUBE_UPDATE,
    KUBE_PATCH,
    KUBE_APPLY,
    KUBE_DELETE
};
struct kube_request {
    enum kube_verb verb;
    struct kube_ref ref;  /* copied; for CREATE, UPDATE and APPLY taken from the object if empty */
    const json_t *object; /* body of CREATE, UPDATE, PATCH, APPLY; dumped during the call */
    const char *subresource; /* or NULL */
    const char *manager;     /* APPLY: required; else optional fieldManager */
    bool force;              /* APPLY */
    bool dry_run;
    struct kube_list_options list;
    int timeout_ms; /* 0: KUBE_TIMEOUT_MS */
};
struct kube_flow;
typedef void kube_done_fn(const json_t *answer, const struct error *err, void *ctx);
NODISCARD int kube_flow_start(struct kube_client *client, struct loop *loop,
                              const struct kube_request *request, kube_done_fn *done, void *ctx,
                              struct kube_flow **ret, struct error *err);
void kube_flow_remove(struct kube_flow *flow); /* NULL is allowed */

/* Logs of a container. */
struct kube_log_options {
    const char *container; /* NULL: the server's default */
    bool follow;
    bool previous;
    bool timestamps;
    int64_t tail_lines; /* -1: all */
};
/* Blocking: bytes go to on_bytes (-1 stops) until the end; with `follow` there is no deadline. */
typedef int kube_log_fn(struct str bytes, void *ctx, struct error *err);
NODISCARD int kube_log(struct kube_client *client, const char *ns, const char *pod,
                       const struct kube_log_options *options, kube_log_fn *on_bytes, void *ctx,
                       struct error *err);
/* On the loop: `done` with err NULL when the log ended (the container did, or follow was off). */
struct kube_log_flow;
typedef void kube_log_bytes_fn(struct str bytes, void *ctx);
typedef void kube_log_end_fn(const struct error *err, void *ctx);
NODISCARD int kube_log_start(struct kube_client *client, struct loop *loop, const char *ns,
                             const char *pod, const struct kube_log_options *options,
                             kube_log_bytes_fn *on_bytes, kube_log_end_fn *on_end, void *ctx,
                             struct kube_log_flow **ret, struct error *err);
void kube_log_remove(struct kube_log_flow *flow); /* NULL is allowed */

/* Where a Service can be reached. */
struct kube_address {
    char host[256]; /* its cluster IP */
    uint16_t port;
    uint16_t node_port; /* 0: it has none */
};
/* `port`: name or number, NULL: the first. */
NODISCARD int kube_service_address(struct kube_client *client, const char *ns, const char *name,
                                   const char *port, struct kube_address *ret, struct error *err);
