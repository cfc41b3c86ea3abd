/* deliver/upstream.c - what the followed registry offers: its catalog, and two long-polled tags a
 * workload.
 *
 * A registry of ours answers a poll when the tag changes. Any other answers at once: then the pause
 * between two polls is UPSTREAM_POLL_MS. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "deliver/agent_internal.h"
#include "oci/registry_client.h"
#include "release/release.h"

enum {
    UPSTREAM_WAIT_S = 60,
    UPSTREAM_GRACE_MS = 15000,
    UPSTREAM_POLL_MS = 5000,    /* where a registry does not hold polls */
    UPSTREAM_ABSENT_MS = 1000,  /* a tag that is not there yet */
    UPSTREAM_CATALOG_MS = 1000, /* a first release is seen so soon */
    UPSTREAM_BODY_MAX = 4 << 20,
};

static void poll_again(struct poll *poll, int64_t after_ms);

void poll_init(struct poll *poll, struct follow *follow, const char *tag,
               void (*changed)(struct follow *, const struct digest *))
{
    *poll = (struct poll){.follow = follow,
                          .tag = tag,
                          .changed = changed,
                          .body = BUF_INIT(UPSTREAM_BODY_MAX),
                          .retry_ms = AGENT_RETRY_MS};
}

static void poll_failed(struct poll *poll, const struct error *err)
{
    struct agent *agent = poll->follow->agent;
    int64_t pause = poll->retry_ms;

    if (!agent->upstream_told)
        log_warn("the followed registry does not answer; what runs goes on running",
                 log_str("registry", agent->upstream_url), log_err(err));
    agent->upstream_told = true;
    poll->retry_ms = pause * 2 > UPSTREAM_POLL_MS ? UPSTREAM_POLL_MS : pause * 2;
    poll_again(poll, pause);
}

static void poll_tell(struct poll *poll, const struct digest *digest)
{
    bool is_news = !poll->was_told || !digest_equal(&poll->digest, digest);

    poll->was_told = true;
    poll->digest = *digest;
    if (is_news)
        poll->changed(poll->follow, &poll->digest);
}

static void on_poll_body(struct http_flow *flow, struct str bytes, void *ctx)
{
    struct poll *poll = ctx;
    buf_add_str(&poll->body, bytes);
}

static void poll_answered(struct poll *poll, int status)
{
    struct error err = ERROR_INIT;
    int64_t took_ms = clock_monotonic_ms() - poll->started_ms;
    struct digest none = {""};

    if (status == 200 && buf_ok(&poll->body, &err) == 0) {
        struct digest digest = digest_of(buf_str(&poll->body));
        bool is_same = digest_equal(&digest, &poll->digest);
        poll_again(poll, is_same && took_ms < 1000 ? UPSTREAM_POLL_MS : 0);
        poll_tell(poll, &digest);
    } else if (status == 304) {
        poll_again(poll, took_ms < 1000 ? UPSTREAM_POLL_MS : 0);
    } else if (status == 404) {
        poll_again(poll, UPSTREAM_ABSENT_MS);
        poll_tell(poll, &none);
    } else {
        (void)error_set(&err, status == 401 || status == 403 ? ERR_DENIED : ERR_UNAVAILABLE,
                        "asking for tag '%s' of 'apps/%s': the registry answered %d", poll->tag,
                        poll->follow->name, status); /* always -1 */
        poll_failed(poll, &err);
        return;
    }
    poll->retry_ms = AGENT_RETRY_MS;
    poll->follow->agent->upstream_told = false;
}

static void on_poll_end(struct http_flow *flow, const struct error *err, void *ctx)
{
    struct poll *poll = ctx;
    int status = http_flow_status(flow);

    poll->flow = NULL;
    if (err)
        poll_failed(poll, err);
    else
        poll_answered(poll, status);
}

static int poll_send(struct poll *poll, struct error *err)
{
    struct agent *agent = poll->follow->agent;
    CLEANUP(text) char *repository = str_format("apps/%s", poll->follow->name);
    CLEANUP(text) char *url = NULL;
    CLEANUP(strv) struct strv headers = STRV_INIT;
    struct registry_ask ask = {
        .repository = repository,
        .reference = poll->tag,
        .if_none_match = poll->digest.text[0] ? poll->digest.text : NULL,
        .wait_s = UPSTREAM_WAIT_S,
    };

    if (!repository)
        return error_no_memory(err);
    if (registry_manifest_request(agent->upstream, &ask, &url, &headers, err) < 0 ||
        strv_ok(&headers, err) < 0)
        return -1;
    struct http_call call = {.url = url,
                             .headers = (const char *const *)headers.items,
                             .timeout_ms = UPSTREAM_WAIT_S * 1000 + UPSTREAM_GRACE_MS,
                             .answer_max = UPSTREAM_BODY_MAX};
    buf_clear(&poll->body);
    poll->started_ms = clock_monotonic_ms();
    return http_client_flow(agent->upstream_http, agent->loop, &call, on_poll_body, on_poll_end,
                            poll, &poll->flow, err);
}

static void on_poll_timer(struct loop *loop, void *ctx)
{
    struct poll *poll = ctx;
    struct error err = ERROR_INIT;

    poll->timer = NULL;
    if (poll_send(poll, &err) < 0)
        poll_failed(poll, &err);
}

static void poll_again(struct poll *poll, int64_t after_ms)
{
    struct error err = ERROR_INIT;

    if (poll->timer)
        return;
    if (loop_add_timer(poll->follow->agent->loop, after_ms, on_poll_timer, poll, &poll->timer,
                       &err) < 0)
        agent_log(poll->follow, "cannot poll any more: restart the agent", &err);
}

void poll_start(struct poll *poll)
{
    if (!poll->flow)
        poll_again(poll, 0);
}

void poll_stop(struct poll *poll)
{
    http_flow_remove(poll->flow);
    poll->flow = NULL;
    loop_timer_remove(poll->timer);
    poll->timer = NULL;
    buf_done(&poll->body);
}

/* --- the catalog */

static void catalog_again(struct agent *agent, int64_t after_ms);

/* A workload's name is a DNS label: it becomes names of objects and folders. */
static bool name_is_good(struct str name)
{
    if (name.len == 0 || name.len > 63)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!is_letter && !(c == '-' && i > 0 && i + 1 < name.len))
            return false;
    }
    return true;
}

static void see_repository(struct agent *agent, const char *repository)
{
    struct str name = str_of(repository);
    struct error err = ERROR_INIT;

    if (!str_starts(name, STR("apps/")))
        return;
    name = str_skip(name, 5);
    for (size_t i = 0; i < agent->follow_count; i++) {
        if (str_is(name, agent->follows[i]->name))
            return;
    }
    if (!name_is_good(name) || agent->follow_count >= AGENT_WORKLOADS_MAX)
        return;
    struct follow *follow = agent_follow(agent, name.ptr, &err);
    if (!follow) {
        log_error("cannot follow a workload", log_text("workload", name), log_err(&err));
        return;
    }
    log_info("following a workload", log_str("workload", follow->name));
    follow_start(follow);
}

static void on_catalog_body(struct http_flow *flow, struct str bytes, void *ctx)
{
    struct agent *agent = ctx;
    buf_add_str(&agent->catalog_body, bytes);
}

static void on_catalog_end(struct http_flow *flow, const struct error *http_err, void *ctx)
{
    struct agent *agent = ctx;
    int status = http_flow_status(flow);
    struct error err = ERROR_INIT;
    CLEANUP(json) json_t *catalog = NULL;
    size_t i;
    json_t *item;

    agent->catalog = NULL;
    catalog_again(agent, UPSTREAM_CATALOG_MS);
    if (!http_err && status == 200 &&
        json_parse("catalog", buf_str(&agent->catalog_body), &catalog, &err) == 0) {
        json_array_foreach(json_object_get(catalog, "repositories"), i, item)
        {
            if (json_is_string(item))
                see_repository(agent, json_string_value(item));
        }
        return;
    }
    if (http_err)
        err = *http_err;
    else if (err.kind == ERR_NONE)
        (void)error_set(&err, ERR_UNAVAILABLE, "the registry answered %d", status); /* always -1 */
    if (!agent->upstream_told)
        log_warn("cannot list the followed registry; we try again",
                 log_str("registry", agent->upstream_url), log_err(&err));
    agent->upstream_told = true;
}

static int catalog_send(struct agent *agent, struct error *err)
{
    CLEANUP(text)
    char *url = str_format("%s/v2/_catalog?n=%d", agent->upstream_url, AGENT_WORKLOADS_MAX);
    struct http_call call = {.url = url, .timeout_ms = 10000, .answer_max = UPSTREAM_BODY_MAX};

    if (!url)
        return error_no_memory(err);
    buf_clear(&agent->catalog_body);
    return http_client_flow(agent->upstream_http, agent->loop, &call, on_catalog_body,
                            on_catalog_end, agent, &agent->catalog, err);
}

static void on_catalog_timer(struct loop *loop, void *ctx)
{
    struct agent *agent = ctx;
    struct error err = ERROR_INIT;

    agent->catalog_timer = NULL;
    if (catalog_send(agent, &err) < 0) {
        log_warn("cannot list the followed registry; we try again", log_err(&err));
        catalog_again(agent, UPSTREAM_POLL_MS);
    }
}

static void catalog_again(struct agent *agent, int64_t after_ms)
{
    struct error err = ERROR_INIT;

    if (loop_add_timer(agent->loop, after_ms, on_catalog_timer, agent, &agent->catalog_timer,
                       &err) < 0)
        log_error("cannot list the followed registry any more: restart the agent", log_err(&err));
}

int upstream_start(struct agent *agent, struct error *err)
{
    CLEANUP(buf) struct buf url = BUF_INIT(4096);
    CLEANUP(buf) struct buf ca = BUF_INIT(1 << 20);
    CLEANUP(buf) struct buf token = BUF_INIT(4096);

    agent->catalog_body = (struct buf)BUF_INIT(UPSTREAM_BODY_MAX);
    if (site_read(&agent->site, "upstream/url", &url, err) < 0 ||
        site_read(&agent->site, "upstream/ca.pem", &ca, err) < 0 ||
        site_read(&agent->site, "upstream/token", &token, err) < 0 ||
        site_upstream(&agent->site, &agent->upstream, err) < 0)
        return error_wrap(err, "reading whom the agent of '%s' follows", agent->site.cluster);
    struct http_client_options options = {.ca_pem = buf_text(&ca),
                                          .bearer_token = buf_text(&token)};
    if (http_client_new(&options, &agent->upstream_http, err) < 0)
        return -1;
    agent->upstream_url = buf_take(&url);
    if (!agent->upstream_url)
        return error_no_memory(err);
    catalog_again(agent, 0);
    return 0;
}

void upstream_stop(struct agent *agent)
{
    http_flow_remove(agent->catalog);
    loop_timer_remove(agent->catalog_timer);
    buf_done(&agent->catalog_body);
    registry_client_free(agent->upstream);
    http_client_free(agent->upstream_http);
    free(agent->upstream_url);
}
