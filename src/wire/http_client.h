/* wire/http_client.h - HTTP over libcurl: blocking calls with a deadline, and streams on the event
 * loop.
 *
 * A client keeps its connections, certificates and trust; it is used from one thread. */
#pragma once
#include <stdint.h>

#include "base/buf.h"
#include "base/loop.h"

struct http_client;

struct http_client_options {
    const char *ca_pem;            /* NULL: the system's trust, plus trust_bundle_path */
    const char *trust_bundle_path; /* further roots (a PEM file), or NULL */
    const char *client_cert_pem;   /* NULL: none */
    const char *client_key_pem;
    const char *bearer_token; /* NULL: none; sent as Authorization */
    const char *resolve_to;   /* NULL, or "host:port:address": where that name really is */
    bool insecure;            /* do not verify: only where the user asked */
    bool use_environment_proxy;
};

NODISCARD int http_client_new(const struct http_client_options *options, struct http_client **ret,
                              struct error *err);
void http_client_free(struct http_client *client);
DEFINE_CLEANUP(http_client, struct http_client *, http_client_free)

struct http_call {
    const char *method; /* NULL: GET, or POST with a body */
    const char *url;
    const char *const *headers; /* "Name: value", NULL-ended; may be NULL */
    struct str body;            /* ptr NULL: none */
    int body_fd;                /* 0 or -1: none; else streamed from here, body_fd_size bytes */
    uint64_t body_fd_size;
    int timeout_ms;    /* whole call; 0: 30 s; -1: none, for a stream */
    size_t answer_max; /* bytes of the answer; 0: 64 MiB (a flow: no limit); LIMIT beyond */
    /* If set, the body of an answer below 300 goes here, not into http_answer.body. -1 stops the
     * call. */
    int (*on_body)(struct str bytes, void *ctx, struct error *err);
    void *ctx;
    bool no_redirects;
};

struct http_answer {
    int status;
    struct buf body;
    struct strv headers; /* "name: value", names in lower case */
};
#define HTTP_ANSWER_INIT                                                                           \
    {                                                                                              \
        .body = BUF_INIT(0)                                                                        \
    }
void http_answer_done(struct http_answer *answer);
DEFINE_CLEANUP_VALUE(http_answer, struct http_answer, http_answer_done)
const char *http_answer_header(const struct http_answer *answer,
                               const char *lower_name); /* or NULL */

/* Any status is an answer, not an error. UNAVAILABLE: no connection. TIMEOUT. UNTRUSTED:
 * certificate. */
NODISCARD int http_client_call(struct http_client *client, const struct http_call *call,
                               struct http_answer *ret_answer, struct error *err);

/* On the loop: body bytes as they come, then on_end once (err NULL at a clean end), after which the
 * flow is gone: forget the pointer in on_end. A status of 400 or more still streams its body;
 * http_flow_status() tells. Removing the flow cancels without on_end; within any callback that is
 * allowed, and so are starting flows and freeing the client. The call's texts and body are copied;
 * http_call.on_body is not used. */
struct http_flow;
typedef void http_flow_body_fn(struct http_flow *flow, struct str bytes, void *ctx);
typedef void http_flow_end_fn(struct http_flow *flow, const struct error *err, void *ctx);
NODISCARD int http_client_flow(struct http_client *client, struct loop *loop,
                               const struct http_call *call, http_flow_body_fn *on_body,
                               http_flow_end_fn *on_end, void *ctx, struct http_flow **ret_flow,
                               struct error *err);
int http_flow_status(const struct http_flow *flow); /* 0 until the header has arrived */
const char *http_flow_header(const struct http_flow *flow, const char *lower_name);
void http_flow_remove(struct http_flow *flow);
