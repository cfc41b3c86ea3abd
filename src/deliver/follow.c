/* deliver/follow.c - one workload: events go through the table of machine.h, and the actions are
 * done here. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "deliver/agent_internal.h"
#include "release/release.h"

void follow_say(struct follow *follow, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(follow->reason, sizeof follow->reason, format, args); /* cut to fit */
    va_end(args);
}

static void stop_timer(struct loop_timer **timer)
{
    loop_timer_remove(*timer);
    *timer = NULL;
}

/* Everything of an attempt that is under way. */
static void stop_attempt(struct follow *follow)
{
    worker_remove(follow->worker);
    follow->worker = NULL;
    stop_timer(&follow->retry);
    stop_timer(&follow->soak);
    live_stop_probe(follow);
    apply_stop(follow);
}

static void clear_attempt(struct follow *follow)
{
    stop_attempt(follow);
    json_decref(follow->attempt);
    follow->attempt = NULL;
    follow->target = (struct digest){""};
    follow->is_refresh = false;
    follow->is_rollback = false;
    follow->reason[0] = '\0';
    follow->retry_ms = AGENT_RETRY_MS;
}

/* What failed before is over. Of a rollback the reason stays. */
static void attempt_goes_on(struct follow *follow)
{
    if (!follow->is_rollback)
        follow->reason[0] = '\0';
    follow->retry_ms = AGENT_RETRY_MS;
}

/* --- the worker that fetches */

/* Who must look at a release that is not what it should be, or at a disk that is full, and how. */
static void say_whose(struct follow *follow, const struct error *err)
{
    size_t len = strlen(follow->reason);
    char *end = follow->reason + len;
    size_t room = sizeof follow->reason - len; /* what follows is cut to fit */

    if (err->kind == ERR_UNTRUSTED)
        (void)snprintf(end, room,
                       "\nowner: who runs the registry and the gate\nnext: monban verify %s",
                       follow->name);
    if (err->sys_errno == ENOSPC || err->sys_errno == EDQUOT)
        (void)snprintf(
            end, room,
            "\nowner: the platform team\nnext: make room (df -h %s); it is tried again by "
            "itself",
            follow->agent->site.registry);
}

static void on_fetched(const json_t *result, const struct error *err, void *ctx)
{
    struct follow *follow = ctx;

    follow->worker = NULL;
    if (!err) {
        const json_t *release = json_object_get(result, "release");
        json_decref(follow->attempt);
        follow->attempt = json_incref((json_t *)result);
        (void)digest_parse(str_of(json_str_at(release, "digest")), &follow->target);
        if (!follow->is_refresh)
            memory_accept(follow, release);
        attempt_goes_on(follow);
        follow_event(follow, EVENT_VERIFIED);
        return;
    }
    bool is_final = err->kind == ERR_UNTRUSTED || err->kind == ERR_DENIED ||
                    err->kind == ERR_INVALID || err->kind == ERR_CONFLICT;
    follow_fail(follow, "verifying", err);
    say_whose(follow, err);
    follow_event(follow, is_final ? EVENT_REFUSED : EVENT_FAILED);
}

static void start_fetch(struct follow *follow)
{
    struct error err = ERROR_INIT;

    follow->fetch = (struct job_fetch){
        .site = &follow->agent->site, .workload = follow->name, .is_refresh = follow->is_refresh};
    if (follow->is_refresh)
        follow->fetch.local = follow->target;
    follow->fetch.least_sequence = memory_highest(follow);
    const char *known = json_str_at(follow->memory, "highestDigest");
    if (known)
        (void)digest_parse(str_of(known), &follow->fetch.known); /* ours: absent is fine */
    if (worker_start(follow->agent->loop, job_fetch, &follow->fetch, -1, on_fetched, follow,
                     &follow->worker, &err) < 0) {
        follow_fail(follow, "starting a worker", &err);
        follow_event(follow, EVENT_FAILED);
    }
}

/* What is offered now: the poll's digest; the worker says which one it really was. */
static void act_fetch(struct follow *follow)
{
    clear_attempt(follow);
    follow->target = follow->release.digest;
    follow->offer_pending = false;
    start_fetch(follow);
}

/* The attempt again if it waits, else what runs: from our own registry, without the network. */
static void act_refresh(struct follow *follow)
{
    const char *running = json_str_at(memory_running(follow), "digest");
    struct digest digest = {""};
    bool was_new = follow->target.text[0] && !follow->is_refresh;

    follow->recheck_pending = false;
    if (was_new) { /* a candidate: judged again by today's rules, as it was offered */
        act_fetch(follow);
        return;
    }
    if (follow->is_refresh && follow->target.text[0]) {
        digest = follow->target;
    } else if (!running || !digest_parse(str_of(running), &digest)) {
        follow->phase = PHASE_IDLE;
        return;
    }
    bool is_rollback = follow->is_rollback;
    clear_attempt(follow);
    follow->target = digest;
    follow->is_refresh = true;
    follow->is_rollback = is_rollback;
    start_fetch(follow);
}

/* --- the worker that pushes the image */

static void on_pushed(const json_t *result, const struct error *err, void *ctx)
{
    struct follow *follow = ctx;

    follow->worker = NULL;
    if (err)
        follow_fail(follow, "bringing the image", err);
    else
        attempt_goes_on(follow);
    bool is_final = err && (err->kind == ERR_UNTRUSTED || err->kind == ERR_INVALID);
    follow_event(follow, is_final ? EVENT_REFUSED : err ? EVENT_FAILED : EVENT_PUSHED);
}

static void act_push(struct follow *follow)
{
    struct error err = ERROR_INIT;
    const char *image = json_str_at(follow->attempt, "release.image");

    follow->push = (struct job_push){.site = &follow->agent->site, .workload = follow->name};
    if (!image || !digest_parse(str_of(image), &follow->push.image) ||
        worker_start(follow->agent->loop, job_push, &follow->push, -1, on_pushed, follow,
                     &follow->worker, &err) < 0) {
        follow_fail(follow, "starting a worker", &err);
        follow_event(follow, EVENT_FAILED);
    }
}

/* --- after the attempt */

static void on_retry(struct loop *loop, void *ctx)
{
    struct follow *follow = ctx;

    follow->retry = NULL;
    if (follow->phase == PHASE_FETCHING)
        start_fetch(follow);
    else if (follow->phase == PHASE_PUSHING)
        act_push(follow);
    else if (follow->phase == PHASE_APPLYING)
        apply_start(follow);
}

static void act_retry(struct follow *follow)
{
    struct error err = ERROR_INIT;
    int64_t pause = follow->retry_ms;

    follow->retry_ms = pause * 2 > AGENT_RETRY_MAX_MS ? AGENT_RETRY_MAX_MS : pause * 2;
    stop_timer(&follow->retry);
    if (loop_add_timer(follow->agent->loop, pause, on_retry, follow, &follow->retry, &err) < 0)
        agent_log(follow, "cannot try again: restart the agent", &err);
}

/* A newer offer, or changed rules, that came while an attempt was being applied. */
static void look_again(struct follow *follow)
{
    bool offer = follow->offer_pending;
    bool recheck = follow->recheck_pending;

    follow->offer_pending = false;
    follow->recheck_pending = false;
    if (offer)
        follow_offered(follow, &follow->release.digest);
    if (recheck && follow->phase == PHASE_IDLE)
        follow_event(follow, EVENT_RECHECK);
}

static void act_settle(struct follow *follow)
{
    const json_t *running = memory_running(follow);
    int64_t since = json_int_at(running, "healthySince", 0);
    bool was_good = since > 0 && follow->health != HEALTH_BAD;

    memory_settle(follow, was_good ? since : clock_now_s(),
                  json_object_get(follow->attempt, "objects"));
    log_info("release is healthy", log_str("workload", follow->name),
             log_i64("sequence", json_int_at(running, "sequence", 0)),
             log_str("commit", json_str_at(running, "commit")));
    follow->health = HEALTH_GOOD;
    json_decref(follow->findings);
    follow->findings = json_incref(json_object_get(follow->attempt, "findings"));
    apply_prune(follow);
    bool keep_reason = follow->is_rollback;
    char reason[AGENT_REASON_MAX];
    memcpy(reason, follow->reason, sizeof reason);
    clear_attempt(follow);
    if (keep_reason)
        memcpy(follow->reason, reason, sizeof reason);
    follow->promote_pending = true;
    follow_side_jobs(follow);
    look_again(follow);
}

static void act_refuse(struct follow *follow)
{
    log_warn("release refused; what runs goes on running", log_str("workload", follow->name),
             log_str("digest", follow->target.text), log_str("reason", follow->reason));
    if (follow->is_refresh) { /* what runs here already is not touched by a refusal */
        follow->phase = PHASE_IDLE;
        follow->target = (struct digest){""};
        follow->is_refresh = false;
        look_again(follow);
        return;
    }
    if (follow->offer_pending)
        look_again(follow);
}

/* Start on an older release. `why` is shown until a newer one comes. */
static void start_rollback(struct follow *follow, const json_t *good, const char *why)
{
    struct digest digest = {""};
    char reason[AGENT_REASON_MAX];

    (void)snprintf(reason, sizeof reason, "%s", why);
    (void)digest_parse(str_of(json_str_at(good, "digest")),
                       &digest); /* ours: it was stored by us */
    log_warn("rolling back", log_str("workload", follow->name),
             log_i64("to", json_int_at(good, "sequence", 0)), log_str("reason", reason));
    clear_attempt(follow);
    follow->phase = PHASE_FETCHING;
    follow->target = digest;
    follow->is_refresh = true;
    follow->is_rollback = true;
    memcpy(follow->reason, reason, sizeof reason);
    start_fetch(follow);
}

static void act_roll_back(struct follow *follow)
{
    const char *digest = json_str_at(follow->attempt, "release.digest");
    int64_t sequence = json_int_at(follow->attempt, "release.sequence", 0);
    bool was_good = digest && memory_is_good(follow, digest);
    const json_t *good = digest ? memory_good(follow, digest, 0) : NULL;
    char why[AGENT_REASON_MAX];

    (void)snprintf(why, sizeof why, "release %" PRId64 ": %.3800s", sequence, follow->reason);
    if (!was_good && digest)
        memory_refuse(follow, digest, (uint64_t)sequence, why);
    if (was_good || !good) {
        /* It was good before, so what broke is not the release; or there is nothing to go back to.
         */
        follow->health = HEALTH_BAD;
        log_error("release is not healthy", log_str("workload", follow->name),
                  log_i64("sequence", sequence), log_str("reason", why));
        clear_attempt(follow);
        follow->phase = PHASE_IDLE;
        follow_say(follow, "%s%s", why,
                   was_good ? "" : " (there is no good release to go back to)");
        look_again(follow);
        return;
    }
    start_rollback(follow, good, why);
}

void follow_go_back(struct follow *follow, uint64_t sequence, const char *why)
{
    const json_t *running = memory_running(follow);
    const char *digest = json_str_at(running, "digest");
    const json_t *good = memory_good(follow, sequence ? NULL : digest, sequence);

    if (!good || !running) {
        follow_say(follow,
                   "an order to roll back to %" PRIu64 " names no release that was healthy here",
                   sequence);
        return;
    }
    follow_event(follow, EVENT_ROLLBACK);
    if (digest && strcmp(digest, json_str_at(good, "digest")) != 0)
        memory_refuse(follow, digest, (uint64_t)json_int_at(running, "sequence", 0), why);
    start_rollback(follow, good, why);
}

static void act_drop(struct follow *follow)
{
    clear_attempt(follow);
    json_decref(follow->findings);
    follow->findings = NULL;
    follow_recheck_findings(follow); /* those of what runs are shown again */
}

/* A newer one may have come while this one was fetched. */
static void act_decide(struct follow *follow)
{
    bool is_newer = follow->offer_pending && follow->release.digest.text[0] &&
                    !digest_equal(&follow->release.digest, &follow->target) &&
                    !memory_is_refused(follow, follow->release.digest.text);

    follow->offer_pending = false;
    if (is_newer && !follow->is_refresh)
        follow_event(follow, EVENT_OFFER);
    else
        decide(follow);
    if (is_newer && follow->is_refresh && follow->phase != PHASE_WAITING)
        follow->offer_pending = true; /* what runs comes first, then the newer one */
}

static void act(struct follow *follow, enum machine_action action, enum machine_event event)
{
    switch (action) {
    case ACT_FETCH:
        act_fetch(follow);
        break;
    case ACT_REFRESH:
        act_refresh(follow);
        break;
    case ACT_REMEMBER:
        follow->offer_pending = follow->offer_pending || event == EVENT_OFFER;
        follow->recheck_pending = follow->recheck_pending || event == EVENT_RECHECK;
        break;
    case ACT_DECIDE:
        act_decide(follow);
        break;
    case ACT_PUSH:
        act_push(follow);
        break;
    case ACT_APPLY:
        apply_start(follow);
        break;
    case ACT_WATCH:
        live_start_probe(follow);
        break;
    case ACT_SETTLE:
        act_settle(follow);
        break;
    case ACT_REFUSE:
        act_refuse(follow);
        break;
    case ACT_RETRY:
        act_retry(follow);
        break;
    case ACT_ROLL_BACK:
        act_roll_back(follow);
        break;
    case ACT_DROP:
        act_drop(follow);
        break;
    case ACT_GO_BACK: /* done by who sent the event, who knows where to */
    case ACT_NONE:
    case ACT_COUNT:
        break;
    }
}

void follow_event(struct follow *follow, enum machine_event event)
{
    struct machine_step step = machine_step(follow->phase, event);

    log_debug("step", log_str("workload", follow->name),
              log_str("phase", machine_phase_name(follow->phase)),
              log_str("event", machine_event_name(event)),
              log_str("action", machine_action_name(step.action)));
    follow->phase = step.next;
    act(follow, step.action, event);
    report(follow);
}

void follow_fail(struct follow *follow, const char *what, const struct error *err)
{
    char text[AGENT_REASON_MAX];

    error_format(err, text, sizeof text);
    if (strcmp(text, follow->reason) == 0)
        return; /* told already: it was tried again */
    follow_say(follow, "%s", text);
    log_warn("attempt failed", log_str("workload", follow->name), log_str("doing", what),
             log_str("reason", text));
}

/* --- what the followed registry says */

void follow_offered(struct follow *follow, const struct digest *digest)
{
    const char *running = json_str_at(memory_running(follow), "digest");

    if (!digest->text[0])
        return;
    bool runs = running && strcmp(running, digest->text) == 0;
    bool tried = follow->target.text[0] && strcmp(follow->target.text, digest->text) == 0;
    if (memory_is_refused(follow, digest->text) ||
        (runs && follow->phase != PHASE_APPLYING && follow->phase != PHASE_PROBING))
        follow_event(follow, EVENT_WITHDRAWN);
    else if (!tried)
        follow_event(follow, EVENT_OFFER);
}

/* --- life */

int follow_new(struct agent *agent, const char *name, struct follow **ret, struct error *err)
{
    struct follow *follow = calloc(1, sizeof *follow);

    if (!follow)
        return error_no_memory(err);
    follow->agent = agent;
    follow->name = str_dup(str_of(name));
    follow->memory = memory_new();
    follow->pods = json_object();
    follow->retry_ms = AGENT_RETRY_MS;
    follow->since_s = clock_now_s();
    poll_init(&follow->release, follow, RELEASE_TAG, follow_offered);
    poll_init(&follow->promotion, follow, PROMOTION_TAG, follow_promotion_changed);
    if (!follow->name || !follow->memory || !follow->pods) {
        follow_free(follow);
        return error_no_memory(err);
    }
    *ret = follow;
    return 0;
}

void follow_start(struct follow *follow)
{
    if (memory_running(follow))
        follow_event(follow, EVENT_RECHECK);
    else
        report(follow);
    poll_start(&follow->release);
    CLEANUP(text) char *pub = str_format("%s/upstream/promotion.pub", follow->agent->dir);
    if (pub && access(pub, R_OK) == 0)
        poll_start(&follow->promotion);
}

void follow_free(struct follow *follow)
{
    if (!follow)
        return;
    stop_attempt(follow);
    worker_remove(follow->side_worker);
    stop_timer(&follow->relapse);
    poll_stop(&follow->release);
    poll_stop(&follow->promotion);
    report_stop(follow);
    live_clear(follow);
    json_decref(follow->attempt);
    json_decref(follow->memory);
    json_decref(follow->promotion_of);
    json_decref(follow->pods);
    json_decref(follow->findings);
    free(follow->name);
    free(follow);
}
