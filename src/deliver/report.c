/* deliver/report.c - what is shown: ConfigMap `release-WORKLOAD` in monban-system (docs/design.md,
 * "Outer cluster state"). Writes of one turn of the loop are one write; one is under way at most.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "deliver/agent_internal.h"

static const char *state_of(const struct follow *follow)
{
    bool has_running = memory_running(follow) != NULL;

    if (!follow->is_refresh || follow->is_rollback) {
        switch (follow->phase) {
        case PHASE_FETCHING:
            return follow->retry ? "Waiting" : "Verifying";
        case PHASE_WAITING:
            return "Waiting";
        case PHASE_PUSHING:
            return follow->retry ? "Waiting" : "Applying";
        case PHASE_APPLYING:
        case PHASE_PROBING:
            return "Applying";
        case PHASE_REFUSED:
            return "Refused";
        case PHASE_IDLE:
        case PHASE_COUNT:
            break;
        }
    } else if (follow->phase == PHASE_WAITING) {
        return "Waiting"; /* what runs could not be applied again as it is */
    }
    if (follow->health == HEALTH_BAD)
        return "Degraded";
    if (!has_running)
        return "Waiting";
    if (follow->health == HEALTH_UNKNOWN)
        return "Applying"; /* after a start: what ran is applied again */
    const char *refused = json_str_at(follow->memory, "refused.digest");
    int64_t refused_sequence = json_int_at(follow->memory, "refused.sequence", 0);
    int64_t sequence = json_int_at(memory_running(follow), "sequence", 0);
    return refused && refused_sequence > sequence ? "RolledBack" : "Healthy";
}

static const char *reason_of(const struct follow *follow, const char *state)
{
    const char *refused = json_str_at(follow->memory, "refused.reason");

    if (follow->reason[0])
        return follow->reason;
    if (strcmp(state, "RolledBack") == 0 && refused)
        return refused;
    if (strcmp(state, "Waiting") == 0)
        return "no release has come yet";
    return "";
}

static int set(json_t *data, const char *key, const char *value)
{
    return json_object_set_new(data, key, json_string(value ? value : ""));
}

static int set_number(json_t *data, const char *key, int64_t value)
{
    return json_object_set_new(data, key, json_sprintf("%" PRId64, value));
}

/* The releases that an order may go back to: "4 2". */
static int set_good(json_t *data, const struct follow *follow)
{
    CLEANUP(buf) struct buf list = BUF_INIT(1024);
    size_t i;
    const json_t *item;

    json_array_foreach(json_object_get(follow->memory, "good"), i, item)
    {
        buf_addf(&list, "%s%" PRId64, i ? " " : "", json_int_at(item, "sequence", 0));
    }
    return set(data, "good", buf_text(&list));
}

/* `sequence`, `commit`, `image` are of what runs; `candidate` is the one that comes in or was
 * refused. */
static json_t *data_of(struct follow *follow, struct error *err)
{
    CLEANUP(json) json_t *data = json_object();
    CLEANUP(buf) struct buf findings = BUF_INIT(900 << 10); /* a ConfigMap holds 1 MiB */
    const json_t *running = memory_running(follow);
    const char *state = state_of(follow);
    char since[CLOCK_TEXT_SIZE];
    struct error cut = ERROR_INIT;

    if (strcmp(state, follow->shown_state) != 0) {
        (void)snprintf(follow->shown_state, sizeof follow->shown_state, "%s", state);
        follow->since_s = clock_now_s();
        log_info("state", log_str("workload", follow->name), log_str("state", state),
                 log_str("reason", reason_of(follow, state)));
    }
    if (!follow->findings || json_write(follow->findings, false, &findings, &cut) < 0) {
        buf_clear(&findings);
        buf_add_text(&findings, "[]");
    }
    int failed = set(data, "state", state) | set(data, "reason", reason_of(follow, state)) |
                 set(data, "since", clock_rfc3339(follow->since_s, since)) |
                 set(data, "findings", buf_text(&findings));
    if (running)
        failed |= set_number(data, "sequence", json_int_at(running, "sequence", 0)) |
                  set(data, "commit", json_str_at(running, "commit")) |
                  set(data, "image", json_str_at(running, "image")) |
                  set(data, "release", json_str_at(running, "digest")) |
                  set(data, "inventory", json_str_at(running, "inventory"));
    if (!failed)
        failed = set_good(data, follow);
    int64_t candidate = json_int_at(follow->attempt, "release.sequence", 0);
    if (candidate && candidate != json_int_at(running, "sequence", 0))
        failed |= set_number(data, "candidate", candidate) |
                  set(data, "candidateDigest", json_str_at(follow->attempt, "release.digest"));
    if (failed) {
        (void)error_no_memory(err); /* always -1 */
        return NULL;
    }
    return TAKE(data);
}

static void send_report(struct follow *follow);

static void report_later(struct follow *follow, int64_t after_ms);

static void on_reported(const json_t *answer, const struct error *err, void *ctx)
{
    struct follow *follow = ctx;

    follow->report_flow = NULL;
    if (err) {
        log_debug("cannot write the state; we try again", log_err(err));
        report_later(follow, 500);
        return;
    }
    if (follow->report_again)
        report_later(follow, 0);
    follow->report_again = false;
}

static void send_report(struct follow *follow)
{
    struct error err = ERROR_INIT;
    CLEANUP(json) json_t *data = data_of(follow, &err);
    CLEANUP(json) json_t *object = NULL;

    if (data)
        object = json_pack("{s:s, s:s, s:{s:s+, s:s, s:{s:s, s:s}}, s:O}", "apiVersion", "v1",
                           "kind", "ConfigMap", "metadata", "name", "release-", follow->name,
                           "namespace", DELIVER_NAMESPACE, "labels", DELIVER_LABEL, follow->name,
                           "app.kubernetes.io/managed-by", "monban", "data", data);
    struct kube_request request = {
        .verb = KUBE_APPLY, .object = object, .manager = DELIVER_MANAGER, .force = true};
    if (!object || kube_flow_start(follow->agent->kube, follow->agent->loop, &request, on_reported,
                                   follow, &follow->report_flow, &err) < 0) {
        follow->report_flow = NULL;
        agent_log(follow, "cannot write the state", &err);
    }
}

static void on_report_timer(struct loop *loop, void *ctx)
{
    struct follow *follow = ctx;

    follow->report_timer = NULL;
    if (follow->report_flow)
        follow->report_again = true;
    else
        send_report(follow);
}

static void report_later(struct follow *follow, int64_t after_ms)
{
    struct error err = ERROR_INIT;

    if (follow->report_timer)
        return;
    if (loop_add_timer(follow->agent->loop, after_ms, on_report_timer, follow,
                       &follow->report_timer, &err) < 0)
        agent_log(follow, "cannot write the state", &err);
}

void report(struct follow *follow)
{
    report_later(follow, 0);
}

void report_stop(struct follow *follow)
{
    kube_flow_remove(follow->report_flow);
    follow->report_flow = NULL;
    loop_timer_remove(follow->report_timer);
    follow->report_timer = NULL;
}
