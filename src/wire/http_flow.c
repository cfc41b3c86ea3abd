/* wire/http_flow.c - libcurl's multi interface on the event loop; see wire/http_client.h.
 *
 * Within libcurl's callbacks its handles must not be added or removed. So what a user starts or
 * removes there is only noted, and done by settle() once libcurl has returned. */
#include <stdlib.h>

#include "base/log.h"
#include "wire/http_client_internal.h"

enum { IDLE_MS = 60 * 60 * 1000, CONNECTIONS_KEPT = 32 };

enum flow_state {
    FLOW_NEW,     /* to be handed to libcurl */
    FLOW_RUNNING, /* libcurl has it */
    FLOW_ENDED,   /* on_end is being called */
    FLOW_REMOVED, /* to be freed, without a word */
};

struct http_flow {
    struct http_client *client; /* borrowed: its owner */
    struct http_flow *next, *previous;
    enum flow_state state;
    struct transfer transfer; /* its easy handle is owned here */
    http_flow_body_fn *on_body;
    http_flow_end_fn *on_end;
    void *ctx;
    bool in_multi;
};

static void settle(struct http_client *client);

/* Every entry from the loop is between these two. */
static void enter(struct http_client *client)
{
    client->busy++;
}

static void leave(struct http_client *client)
{
    if (client->busy == 1)
        settle(client);
    client->busy--;
    if (client->busy == 0 && client->is_doomed)
        http_client_really_free(client);
}

static void flow_free(struct http_flow *flow)
{
    struct http_client *client = flow->client;

    if (flow->previous)
        flow->previous->next = flow->next;
    else
        client->flows = flow->next;
    if (flow->next)
        flow->next->previous = flow->previous;
    if (flow->in_multi)
        (void)curl_multi_remove_handle(client->multi, flow->transfer.easy); /* it is in there */
    if (flow->transfer.easy)
        curl_easy_cleanup(flow->transfer.easy);
    transfer_done(&flow->transfer);
    free(flow);
}

/* on_end may start, remove and free anything, this client included (then that waits for leave()).
 */
static void flow_end(struct http_flow *flow, const struct error *err)
{
    flow->state = FLOW_ENDED;
    flow->on_end(flow, err, flow->ctx);
    flow_free(flow);
}

static struct http_flow *find(struct http_client *client, enum flow_state state)
{
    struct http_flow *flow = client->flows;

    while (flow && flow->state != state)
        flow = flow->next;
    return flow;
}

static void hand_over(struct http_flow *flow)
{
    struct error err = ERROR_INIT;

    flow->state = FLOW_RUNNING;
    if (curl_multi_add_handle(flow->client->multi, flow->transfer.easy) == CURLM_OK) {
        flow->in_multi = true;
        return;
    }
    (void)error_no_memory(&err);
    flow_end(flow, &err);
}

static void end_finished(struct http_client *client)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(client->multi, &left))) {
        struct http_flow *flow = NULL;
        struct error err = ERROR_INIT;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&flow);
        if (!flow || flow->state != FLOW_RUNNING)
            continue;
        (void)curl_multi_remove_handle(client->multi, flow->transfer.easy); /* it is in there */
        flow->in_multi = false;
        bool failed = transfer_result(&flow->transfer, code, &err) < 0;
        flow_end(flow, failed ? &err : NULL);
    }
}

static void settle(struct http_client *client)
{
    struct http_flow *flow;

    if (!client->multi)
        return;
    end_finished(client);
    while ((flow = find(client, FLOW_REMOVED)))
        flow_free(flow);
    while (!client->is_doomed && (flow = find(client, FLOW_NEW)))
        hand_over(flow);
}

static void on_ready(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct http_client *client = ctx;
    int running;
    int what = (events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? CURL_CSELECT_IN : 0) |
               (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (events & EPOLLERR ? CURL_CSELECT_ERR : 0);

    enter(client);
    (void)curl_multi_socket_action(client->multi, fd, what, &running); /* ends come as messages */
    leave(client);
}

static void on_timer(struct loop *loop, void *ctx)
{
    struct http_client *client = ctx;
    int running;

    loop_timer_set(client->timer, IDLE_MS); /* libcurl may set it sooner */
    enter(client);
    (void)curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    leave(client);
}

static int on_timer_wish(CURLM *multi, long timeout_ms, void *ctx)
{
    struct http_client *client = ctx;

    if (client->timer)
        loop_timer_set(client->timer, timeout_ms < 0 ? IDLE_MS : timeout_ms);
    return 0;
}

static int on_socket_wish(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct http_client *client = ctx;
    struct loop_io *io = socket_ctx;
    struct error err = ERROR_INIT;
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);

    if (what == CURL_POLL_REMOVE) {
        loop_io_remove(io);
        (void)curl_multi_assign(client->multi, fd, NULL); /* forgotten anyway */
        return 0;
    }
    int result = io ? loop_io_set(io, events, &err)
                    : loop_add_io(client->loop, fd, events, on_ready, client, &io, &err);
    if (result < 0) {
        log_error("a connection cannot be watched", log_err(&err));
        return -1;
    }
    (void)curl_multi_assign(client->multi, fd, io); /* fails only for a socket it does not know */
    return 0;
}

static int start_multi(struct http_client *client, struct loop *loop, struct error *err)
{
    if (client->multi && client->loop != loop)
        return error_set(err, ERR_INTERNAL, "one http client on two loops");
    if (client->multi)
        return 0;
    client->loop = loop;
    if (loop_add_timer(loop, IDLE_MS, on_timer, client, &client->timer, err) < 0)
        return -1;
    client->multi = curl_multi_init();
    if (!client->multi ||
        curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer_wish) != CURLM_OK ||
        curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client) != CURLM_OK ||
        curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wish) != CURLM_OK ||
        curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client) != CURLM_OK ||
        curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT) !=
            CURLM_OK) {
        loop_timer_remove(TAKE(client->timer));
        curl_multi_cleanup(TAKE(client->multi));
        return error_no_memory(err);
    }
    return 0;
}

static int on_bytes(struct str bytes, void *ctx, struct error *err)
{
    struct http_flow *flow = ctx;

    if (flow->state == FLOW_RUNNING)
        flow->on_body(flow, bytes, flow->ctx);
    if (flow->state != FLOW_RUNNING || flow->client->is_doomed)
        return error_set(err, ERR_CANCELLED, "the stream was removed");
    return 0;
}

static struct http_flow *flow_new(struct http_client *client, struct error *err)
{
    struct http_flow *flow = calloc(1, sizeof *flow);
    CURL *easy = flow ? curl_easy_init() : NULL;

    if (!easy || curl_easy_setopt(easy, CURLOPT_PRIVATE, flow) != CURLE_OK) {
        free(flow);
        curl_easy_cleanup(easy);
        (void)error_no_memory(err);
        return NULL;
    }
    flow->client = client;
    flow->transfer =
        (struct transfer){.client = client, .easy = easy, .is_flow = true, .body_fd = -1};
    flow->next = client->flows;
    if (flow->next)
        flow->next->previous = flow;
    client->flows = flow;
    return flow;
}

int http_client_flow(struct http_client *client, struct loop *loop, const struct http_call *call,
                     http_flow_body_fn *on_body, http_flow_end_fn *on_end, void *ctx,
                     struct http_flow **ret_flow, struct error *err)
{
    struct http_call own = *call;

    if (start_multi(client, loop, err) < 0)
        return -1;
    struct http_flow *flow = flow_new(client, err);
    if (!flow)
        return -1;
    flow->on_body = on_body;
    flow->on_end = on_end;
    flow->ctx = ctx;
    own.on_body = on_bytes;
    own.ctx = flow;
    own.answer_max = call->answer_max ? call->answer_max : SIZE_MAX; /* nothing is kept here */
    if (transfer_setup(&flow->transfer, &own, true, err) < 0) {
        flow_free(flow);
        return -1;
    }
    if (client->busy == 0) { /* else settle() does it */
        if (curl_multi_add_handle(client->multi, flow->transfer.easy) != CURLM_OK) {
            flow_free(flow);
            return error_no_memory(err);
        }
        flow->state = FLOW_RUNNING;
        flow->in_multi = true;
    }
    *ret_flow = flow;
    return 0;
}

int http_flow_status(const struct http_flow *flow)
{
    return flow->transfer.answer_is_final ? flow->transfer.answer.status : 0;
}

const char *http_flow_header(const struct http_flow *flow, const char *lower_name)
{
    return http_answer_header(&flow->transfer.answer, lower_name);
}

void http_flow_remove(struct http_flow *flow)
{
    if (!flow || flow->state == FLOW_ENDED) /* freed once on_end has returned */
        return;
    flow->state = FLOW_REMOVED;
    if (flow->client->busy == 0)
        flow_free(flow);
}

void http_flows_drop(struct http_client *client)
{
    while (client->flows)
        flow_free(client->flows);
    if (client->multi)
        (void)curl_multi_cleanup(client->multi); /* gives its sockets back by on_socket_wish */
    client->multi = NULL;
    loop_timer_remove(TAKE(client->timer));
}
