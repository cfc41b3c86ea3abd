/* deliver/decide.c - what a verified release still waits for, in this order: a service, a person
 * for what the checks hold, the promotion of the followed cluster and its soak time, the platform's
 * number of approvals. */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "deliver/agent_internal.h"

static size_t approvals_of(const struct follow *follow)
{
    return json_array_size(
        json_object_get(json_object_get(follow->memory, "approvals"), follow->target.text));
}

static bool is_promoted_by_hand(const struct follow *follow)
{
    return json_is_true(
        json_object_get(json_object_get(follow->memory, "promoted"), follow->target.text));
}

static void on_soak(struct loop *loop, void *ctx)
{
    struct follow *follow = ctx;

    follow->soak = NULL;
    decide(follow);
}

static void wait_for(struct follow *follow, int64_t ms)
{
    struct error err = ERROR_INIT;

    loop_timer_remove(follow->soak);
    follow->soak = NULL;
    if (loop_add_timer(follow->agent->loop, ms, on_soak, follow, &follow->soak, &err) < 0)
        agent_log(follow, "cannot wait for the soak time: restart the agent", &err);
}

/* True if it waits for the followed cluster (and says so). */
static bool waits_for_promotion(struct follow *follow)
{
    const char *cluster = json_str_at(follow->attempt, "waitsFor");
    const char *release = json_str_at(follow->promotion_of, "release");
    int64_t soak_ms = json_int_at(follow->attempt, "soakMs", 0);
    int64_t sequence = json_int_at(follow->attempt, "release.sequence", 0);

    if (!cluster)
        return false;
    if (!release || strcmp(release, follow->target.text) != 0) {
        follow_say(follow, "release %" PRId64 " waits until it is healthy in '%s'", sequence,
                   cluster);
        return true;
    }
    int64_t since = json_int_at(follow->promotion_of, "healthySince", 0);
    int64_t left_ms = since * 1000 + soak_ms - clock_now_ms();
    if (soak_ms == 0 || left_ms <= 0 || is_promoted_by_hand(follow))
        return false;
    char until[CLOCK_TEXT_SIZE];
    follow_say(follow,
               "release %" PRId64
               " soaks in '%s' until %s (next, to wait no longer: monban promote "
               "%s --cluster %s)",
               sequence, cluster, clock_rfc3339(since + (soak_ms + 999) / 1000, until),
               follow->name, follow->agent->site.cluster);
    wait_for(follow, left_ms);
    return true;
}

static bool waits_for_people(struct follow *follow)
{
    const char *level = json_str_at(follow->attempt, "level");
    const char *text = json_str_at(follow->attempt, "text");
    size_t have = approvals_of(follow);
    int64_t want = json_int_at(follow->attempt, "approvals", 0);
    int64_t sequence = json_int_at(follow->attempt, "release.sequence", 0);
    bool is_held = level && strcmp(level, "hold") == 0;

    if (is_held && have == 0) {
        follow_say(follow,
                   "release %" PRId64
                   " is held for a person (next: monban approve %s --cluster %s)\n%s",
                   sequence, follow->name, follow->agent->site.cluster, text ? text : "");
        return true;
    }
    if ((int64_t)have < want) {
        follow_say(follow,
                   "release %" PRId64 " has %zu of %" PRId64
                   " approvals (next: monban approve %s --cluster %s)",
                   sequence, have, want, follow->name, follow->agent->site.cluster);
        return true;
    }
    return false;
}

void decide(struct follow *follow)
{
    if (follow->phase != PHASE_WAITING || !follow->attempt)
        return;
    const char *wait = json_str_at(follow->attempt, "wait");
    bool must_wait = wait != NULL;

    if (wait)
        follow_say(follow, "%s", wait);
    else if (!follow->is_refresh)
        must_wait = waits_for_promotion(follow) || waits_for_people(follow);
    if (must_wait) {
        json_decref(follow->findings);
        follow->findings = json_incref(json_object_get(follow->attempt, "findings"));
        log_info("release waits", log_str("workload", follow->name),
                 log_str("reason", follow->reason));
        report(follow);
        return;
    }
    if (!follow->is_rollback)
        follow->reason[0] = '\0';
    follow_event(follow, EVENT_GO);
}

void decide_order(struct follow *follow, enum deliver_order order, const char *digest,
                  const char *by)
{
    json_t *promoted = json_object_get(follow->memory, "promoted");
    json_t *approvals = json_object_get(follow->memory, "approvals");

    if (order == DELIVER_PROMOTE) {
        json_object_clear(promoted); /* only the newest counts, so it does not grow */
        (void)json_object_set_new(promoted, digest, json_true());
    } else {
        json_t *list = json_object_get(approvals, digest);
        size_t i;
        json_t *item;
        if (!list) {
            json_object_clear(approvals);
            list = json_array();
            (void)json_object_set_new(approvals, digest, list);
        }
        json_array_foreach(list, i, item)
        {
            if (strcmp(json_string_value(item), by) == 0)
                return; /* one person, one approval */
        }
        (void)json_array_append_new(list, json_string(by));
    }
    memory_save(follow->agent);
    decide(follow);
}
