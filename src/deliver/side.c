/* deliver/side.c - jobs beside the attempt, one at a time for each workload: our promotion
 * statement, the followed cluster's, and the findings of what runs. */
#include "base/log.h"
#include "deliver/agent_internal.h"

static void on_promotion(const json_t *result, const struct error *err, void *ctx)
{
    struct follow *follow = ctx;

    follow->side_worker = NULL;
    json_decref(follow->promotion_of);
    follow->promotion_of = err ? NULL : json_incref((json_t *)result);
    if (err && err->kind != ERR_NOT_FOUND) {
        agent_log(follow, "the promotion of the followed cluster does not count", err);
        if (follow->phase == PHASE_WAITING)
            follow_say(follow, "the promotion of the followed cluster does not count: %s",
                       err->text);
    }
    decide(follow);
    follow_side_jobs(follow);
}

void follow_promotion_changed(struct follow *follow, const struct digest *digest)
{
    if (!digest->text[0]) {
        json_decref(follow->promotion_of);
        follow->promotion_of = NULL;
        return;
    }
    follow->promotion_pending = true;
    follow_side_jobs(follow);
}

static void on_promoted(const json_t *result, const struct error *err, void *ctx)
{
    struct follow *follow = ctx;

    follow->side_worker = NULL;
    follow->agent->promoting = NULL;
    if (err)
        agent_log(follow, "cannot write the promotion statement", err);
    for (size_t i = 0; i < follow->agent->follow_count; i++) /* the signer is free for the next */
        follow_side_jobs(follow->agent->follows[i]);
}

static void start_promote(struct follow *follow)
{
    const json_t *running = memory_running(follow);
    struct error err = ERROR_INIT;

    follow->promote_pending = false;
    follow->promote =
        (struct job_promote){.site = &follow->agent->site,
                             .workload = follow->name,
                             .sequence = (uint64_t)json_int_at(running, "sequence", 0),
                             .healthy_since_s = json_int_at(running, "healthySince", 0),
                             .is_healthy = follow->health == HEALTH_GOOD};
    if (!digest_parse(str_of(json_str_at(running, "digest")), &follow->promote.release))
        return;
    if (worker_start(follow->agent->loop, job_promote, &follow->promote,
                     follow->agent->site.signer_fd, on_promoted, follow, &follow->side_worker,
                     &err) < 0)
        agent_log(follow, "cannot write the promotion statement", &err);
    else
        follow->agent->promoting = follow;
}

static void on_rechecked(const json_t *result, const struct error *err, void *ctx)
{
    struct follow *follow = ctx;

    follow->side_worker = NULL;
    if (err) {
        agent_log(follow, "cannot re-check what runs", err);
    } else if (!follow->attempt || follow->is_refresh) {
        json_t *findings = json_object_get(result, "findings");
        if (!json_equal(findings, follow->findings))
            log_info("findings of what runs have changed", log_str("workload", follow->name),
                     log_u64("findings", json_array_size(findings)));
        json_decref(follow->findings);
        follow->findings = json_incref(findings);
        report(follow);
    }
    follow_side_jobs(follow);
}

static void start_recheck(struct follow *follow)
{
    struct error err = ERROR_INIT;
    const char *digest = json_str_at(memory_running(follow), "digest");

    follow->recheck_findings_pending = false;
    follow->recheck = (struct job_recheck){.site = &follow->agent->site, .workload = follow->name};
    if (!digest || !digest_parse(str_of(digest), &follow->recheck.release))
        return;
    if (worker_start(follow->agent->loop, job_recheck, &follow->recheck, -1, on_rechecked, follow,
                     &follow->side_worker, &err) < 0)
        agent_log(follow, "cannot re-check what runs", &err);
}

void follow_side_jobs(struct follow *follow)
{
    struct error err = ERROR_INIT;

    if (follow->side_worker)
        return;
    if (follow->promote_pending && !follow->agent->promoting) {
        start_promote(follow);
    } else if (follow->promotion_pending) {
        follow->promotion_pending = false;
        follow->promotion_job =
            (struct job_promotion){.site = &follow->agent->site, .workload = follow->name};
        if (worker_start(follow->agent->loop, job_promotion, &follow->promotion_job, -1,
                         on_promotion, follow, &follow->side_worker, &err) < 0)
            agent_log(follow, "cannot read the followed cluster's promotion", &err);
    } else if (follow->recheck_findings_pending) {
        start_recheck(follow);
    }
}

void follow_recheck_findings(struct follow *follow)
{
    follow->recheck_findings_pending = true;
    follow_side_jobs(follow);
}
