/* wire/http_client_internal.h - what http_client.c (one transfer, blocking) and http_flow.c (on the
 * loop) share. */
#pragma once
#include <curl/curl.h>

#include "wire/http_client.h"

enum { HTTP_TIMEOUT_MS = 30 * 1000, HTTP_ANSWER_MAX = 64 << 20 /* bytes */ };

struct http_client {
    /* owned: copies of the options */
    char *ca_pem, *trust_bundle_path, *client_cert_pem, *client_key_pem, *bearer_token;
    struct curl_slist *resolve; /* owned */
    bool insecure;
    bool use_environment_proxy;
    CURL *easy; /* owned: of blocking calls; keeps their connections */

    CURLM *multi;             /* owned: of flows; NULL before the first */
    struct loop *loop;        /* borrowed */
    struct loop_timer *timer; /* owned */
    struct http_flow *flows;  /* owned */
    unsigned busy;            /* within a callback of ours: what is freed now must wait */
    bool is_doomed;           /* http_client_free() was called meanwhile */
};

/* One request and its answer, as libcurl's callbacks see it. */
struct transfer {
    const struct http_client *client; /* borrowed */
    CURL *easy;                       /* borrowed or owned, see its user */
    struct curl_slist *headers;       /* owned */
    int (*on_body)(struct str bytes, void *ctx, struct error *err);
    void *ctx;
    bool is_flow; /* on_body takes every body, not only a good answer's */
    int body_fd;
    uint64_t body_size, body_sent;
    size_t answer_max, received; /* bytes */
    struct http_answer answer;
    bool answer_is_final; /* the header block that is being read is not of a redirect */
    struct error err;     /* of a callback */
    char reason[CURL_ERROR_SIZE];
};

/* Sets everything on `easy`. The call's texts and body are copied if `copy_body`. */
NODISCARD int transfer_setup(struct transfer *t, const struct http_call *call, bool copy_body,
                             struct error *err);
/* What libcurl's result means. */
NODISCARD int transfer_result(const struct transfer *t, CURLcode code, struct error *err);
void transfer_done(struct transfer *t);
/* Ends all flows without a word. */
void http_flows_drop(struct http_client *client);
/* What http_client_free() could not do within a callback. */
void http_client_really_free(struct http_client *client);
