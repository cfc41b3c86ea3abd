/* kube/kube_internal.h - what the files of this folder share. */
#pragma once
#include "kube/config.h"
#include "kube/kube.h"

struct kube_client {
    struct http_client *http;         /* owned; its flows are of one loop */
    struct kube_config config;        /* owned: for a second connection */
    char *server;                     /* owned */
    char *ns;                         /* owned */
    struct kube_resource **resources; /* owned; each stays where it is, callers borrow them */
    size_t resource_count;
};

enum { KUBE_RESOURCES_MAX = 4096, KUBE_ERROR_BODY_MAX = 64 << 10 };

/* A request that is ready but for the path of its kind. */
struct kube_wire {
    struct kube_ref ref; /* owned strings */
    char *ref_texts[4];  /* owned: behind `ref` */
    struct buf query;    /* with the leading '?' if not empty */
    struct buf body;
    const char *method;
    const char *content_type; /* NULL without a body */
    const char *subresource;  /* static or borrowed for the life of the wire */
    char *subresource_text;   /* owned */
    bool is_collection;
};
#define KUBE_WIRE_INIT                                                                             \
    {                                                                                              \
        .query = BUF_INIT(8192), .body = BUF_INIT(KUBE_ANSWER_MAX)                                 \
    }
NODISCARD int kube_wire_make(const struct kube_request *request, struct kube_wire *ret,
                             struct error *err);
/* The whole URL; `extra` is a further query ("watch=true&…") or NULL. */
NODISCARD int kube_wire_url(const struct kube_client *client, const struct kube_wire *wire,
                            const struct kube_resource *resource, const char *extra,
                            struct buf *ret_url, struct error *err);
void kube_wire_done(struct kube_wire *wire);
DEFINE_CLEANUP_VALUE(kube_wire, struct kube_wire, kube_wire_done)

/* NULL if it was not discovered yet. */
const struct kube_resource *kube_resource_cached(const struct kube_client *client,
                                                 const char *api_version, const char *kind);
/* "https://…/apis/apps/v1" */
NODISCARD int kube_discovery_url(const struct kube_client *client, const char *api_version,
                                 struct buf *ret_url, struct error *err);
/* From an APIResourceList. `status` 404: nothing is learnt, and nothing remembered. */
NODISCARD int kube_discovery_learn(struct kube_client *client, const char *api_version, int status,
                                   struct str body, struct error *err);
int kube_resource_missing(const char *api_version, const char *kind, struct error *err);

/* From an answer of 400 or more: the Status object's message and kind. Always -1. */
int kube_status_error(int http_status, struct str body, struct error *err);
/* The body of a good answer; adds apiVersion and kind to the items of a List. */
NODISCARD int kube_answer_parse(struct str body, json_t **ret, struct error *err);
void kube_name_items(json_t *list);

/* Query writing: "&name=value" or "?name=value", percent-encoded. */
void kube_query_add(struct buf *query, const char *name, const char *value);
/* DELETE without waiting for the object to be gone. */
NODISCARD int kube_delete_start(struct kube_client *client, const struct kube_ref *ref,
                                struct error *err);
