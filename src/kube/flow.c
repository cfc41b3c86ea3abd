/* kube/flow.c - one request on the loop: discovery of the kind if need be, then the call. */
#include "kube/kube_internal.h"

struct kube_flow {
    struct kube_client *client; /* borrowed */
    struct loop *loop;          /* borrowed */
    struct kube_wire wire;
    struct buf answer;
    struct http_flow *http; /* owned while it runs */
    kube_done_fn *done;
    void *ctx;
    int timeout_ms;
    bool discovering;
};

static void flow_free(struct kube_flow *flow)
{
    http_flow_remove(flow->http);
    kube_wire_done(&flow->wire);
    buf_done(&flow->answer);
    free(flow);
}

void kube_flow_remove(struct kube_flow *flow)
{
    if (flow)
        flow_free(flow);
}

/* The flow is gone before `done` runs, so that `done` may start the next. */
static void flow_finish(struct kube_flow *flow, const json_t *answer, const struct error *err)
{
    kube_done_fn *done = flow->done;
    void *ctx = flow->ctx;

    flow_free(flow);
    done(answer, err, ctx);
}

static void on_body(struct http_flow *http, struct str bytes, void *ctx)
{
    struct kube_flow *flow = ctx;
    buf_add_str(&flow->answer, bytes);
}

static int start_call(struct kube_flow *flow, struct error *err);

static void finish_discovery(struct kube_flow *flow, int status)
{
    struct error err = ERROR_INIT;

    if (kube_discovery_learn(flow->client, flow->wire.ref.api_version, status,
                             buf_str(&flow->answer), &err) < 0 ||
        start_call(flow, &err) < 0)
        flow_finish(flow, NULL, &err);
}

static void finish_call(struct kube_flow *flow, int status)
{
    struct error err = ERROR_INIT;
    CLEANUP(json) json_t *answer = NULL;

    if (buf_ok(&flow->answer, &err) < 0) {
        flow_finish(flow, NULL, &err);
    } else if (status >= 300) {
        (void)kube_status_error(status, buf_str(&flow->answer), &err); /* always -1 */
        flow_finish(flow, NULL, &err);
    } else if (kube_answer_parse(buf_str(&flow->answer), &answer, &err) < 0) {
        flow_finish(flow, NULL, &err);
    } else {
        flow_finish(flow, answer, NULL);
    }
}

static void on_end(struct http_flow *http, const struct error *http_err, void *ctx)
{
    struct kube_flow *flow = ctx;
    int status = http_flow_status(http);

    flow->http = NULL;
    if (http_err) {
        struct error err = *http_err;
        (void)error_wrap(&err, "asking '%s'", flow->client->server); /* always -1 */
        flow_finish(flow, NULL, &err);
    } else if (flow->discovering) {
        finish_discovery(flow, status);
    } else {
        finish_call(flow, status);
    }
}

static int start_http(struct kube_flow *flow, const char *method, const char *url,
                      const char *content_type, struct str body, struct error *err)
{
    CLEANUP(buf) struct buf type_header = BUF_INIT(256);

    buf_addf(&type_header, "Content-Type: %s", content_type ? content_type : "");
    if (buf_ok(&type_header, err) < 0)
        return -1;
    const char *headers[] = {"Accept: application/json",
                             content_type ? buf_text(&type_header) : NULL, NULL};
    struct http_call call = {
        .method = method,
        .url = url,
        .headers = headers,
        .body = body,
        .timeout_ms = flow->timeout_ms,
        .answer_max = KUBE_ANSWER_MAX,
        .no_redirects = true,
    };
    buf_clear(&flow->answer);
    return http_client_flow(flow->client->http, flow->loop, &call, on_body, on_end, flow,
                            &flow->http, err);
}

/* The call itself if the kind is known, else its discovery (once). */
static int start_call(struct kube_flow *flow, struct error *err)
{
    CLEANUP(buf) struct buf url = BUF_INIT(16384);
    const struct kube_ref *ref = &flow->wire.ref;
    const struct kube_resource *resource =
        kube_resource_cached(flow->client, ref->api_version, ref->kind);

    if (!resource && flow->discovering)
        return kube_resource_missing(ref->api_version, ref->kind, err);
    flow->discovering = !resource;
    if (!resource) {
        if (kube_discovery_url(flow->client, ref->api_version, &url, err) < 0)
            return -1;
        return start_http(flow, "GET", buf_text(&url), NULL, STR_NONE, err);
    }
    if (kube_wire_url(flow->client, &flow->wire, resource, NULL, &url, err) < 0)
        return -1;
    return start_http(flow, flow->wire.method, buf_text(&url), flow->wire.content_type,
                      flow->wire.content_type ? buf_str(&flow->wire.body) : STR_NONE, err);
}

int kube_flow_start(struct kube_client *client, struct loop *loop,
                    const struct kube_request *request, kube_done_fn *done, void *ctx,
                    struct kube_flow **ret, struct error *err)
{
    struct kube_flow *flow = calloc(1, sizeof *flow);

    if (!flow)
        return error_no_memory(err);
    *flow = (struct kube_flow){.client = client,
                               .loop = loop,
                               .wire = KUBE_WIRE_INIT,
                               .answer = BUF_INIT(KUBE_ANSWER_MAX),
                               .done = done,
                               .ctx = ctx};
    flow->timeout_ms = request->timeout_ms ? request->timeout_ms : KUBE_TIMEOUT_MS;
    if (kube_wire_make(request, &flow->wire, err) < 0 || start_call(flow, err) < 0) {
        flow_free(flow);
        return -1;
    }
    *ret = flow;
    return 0;
}
