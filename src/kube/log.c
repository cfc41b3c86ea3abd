/* kube/log.c - logs of a container, blocking or on the loop. */
#include "base/encode.h"
#include "kube/kube_internal.h"

enum { LOG_FOLLOW_MS = 1000000000 }; /* eleven days: a followed log has no deadline of its own */

static int log_url(struct kube_client *client, const char *ns, const char *pod,
                   const struct kube_log_options *options, struct buf *url, struct error *err)
{
    CLEANUP(buf) struct buf query = BUF_INIT(2048);

    if (options->container)
        kube_query_add(&query, "container", options->container);
    if (options->follow)
        kube_query_add(&query, "follow", "true");
    if (options->previous)
        kube_query_add(&query, "previous", "true");
    if (options->timestamps)
        kube_query_add(&query, "timestamps", "true");
    if (options->tail_lines >= 0) {
        char number[24];
        (void)snprintf(number, sizeof number, "%lld", (long long)options->tail_lines);
        kube_query_add(&query, "tailLines", number);
    }
    buf_addf(url, "%s/api/v1/namespaces/", client->server);
    percent_encode(str_of(ns ? ns : client->ns), "", url);
    buf_add_text(url, "/pods/");
    percent_encode(str_of(pod), "", url);
    buf_add_text(url, "/log");
    buf_add_str(url, buf_str(&query));
    return buf_ok(&query, err) < 0 ? -1 : buf_ok(url, err);
}

int kube_log(struct kube_client *client, const char *ns, const char *pod,
             const struct kube_log_options *options, kube_log_fn *on_bytes, void *ctx,
             struct error *err)
{
    CLEANUP(buf) struct buf url = BUF_INIT(8192);
    CLEANUP(http_answer) struct http_answer answer = HTTP_ANSWER_INIT;

    if (log_url(client, ns, pod, options, &url, err) < 0)
        return -1;
    struct http_call call = {
        .url = buf_text(&url),
        .timeout_ms = options->follow ? LOG_FOLLOW_MS : KUBE_TIMEOUT_MS,
        .answer_max = SIZE_MAX / 2,
        .on_body = on_bytes,
        .ctx = ctx,
    };
    if (http_client_call(client->http, &call, &answer, err) < 0)
        return error_wrap(err, "reading the log of pod '%s'", pod);
    if (answer.status >= 300)
        return kube_status_error(answer.status, buf_str(&answer.body), err);
    return 0;
}

struct kube_log_flow {
    struct http_flow *http; /* owned while it runs */
    struct buf refusal;     /* the body of an answer of 300 or more */
    kube_log_bytes_fn *on_bytes;
    kube_log_end_fn *on_end;
    void *ctx;
};

void kube_log_remove(struct kube_log_flow *flow)
{
    if (!flow)
        return;
    http_flow_remove(flow->http);
    buf_done(&flow->refusal);
    free(flow);
}

static void on_log_body(struct http_flow *http, struct str bytes, void *ctx)
{
    struct kube_log_flow *flow = ctx;

    if (http_flow_status(http) >= 300)
        buf_add_str(&flow->refusal, bytes);
    else
        flow->on_bytes(bytes, flow->ctx);
}

static void on_log_end(struct http_flow *http, const struct error *http_err, void *ctx)
{
    struct kube_log_flow *flow = ctx;
    struct error err = ERROR_INIT;
    bool is_good = !http_err && http_flow_status(http) < 300;
    kube_log_end_fn *on_end = flow->on_end;
    void *end_ctx = flow->ctx;

    if (http_err)
        err = *http_err;
    else if (!is_good) /* always -1 */
        (void)kube_status_error(http_flow_status(http), buf_str(&flow->refusal), &err);
    flow->http = NULL;
    kube_log_remove(flow);
    on_end(is_good ? NULL : &err, end_ctx);
}

int kube_log_start(struct kube_client *client, struct loop *loop, const char *ns, const char *pod,
                   const struct kube_log_options *options, kube_log_bytes_fn *on_bytes,
                   kube_log_end_fn *on_end, void *ctx, struct kube_log_flow **ret,
                   struct error *err)
{
    CLEANUP(buf) struct buf url = BUF_INIT(8192);

    if (log_url(client, ns, pod, options, &url, err) < 0)
        return -1;
    struct kube_log_flow *flow = calloc(1, sizeof *flow);
    if (!flow)
        return error_no_memory(err);
    *flow = (struct kube_log_flow){.refusal = BUF_INIT(KUBE_ERROR_BODY_MAX),
                                   .on_bytes = on_bytes,
                                   .on_end = on_end,
                                   .ctx = ctx};
    struct http_call call = {
        .url = buf_text(&url), .timeout_ms = LOG_FOLLOW_MS, .answer_max = SIZE_MAX / 2};
    if (http_client_flow(client->http, loop, &call, on_log_body, on_log_end, flow, &flow->http,
                         err) < 0) {
        kube_log_remove(flow);
        return error_wrap(err, "reading the log of pod '%s'", pod);
    }
    *ret = flow;
    return 0;
}
