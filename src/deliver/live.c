/* deliver/live.c - what is in the cluster against what was applied: drift is put right at once, and
 * the health of Deployments is told.
 *
 * One watch for each kind and namespace serves all workloads. A changed or deleted object is
 * applied again in the same turn of the loop; if somebody fights for it, each further correction
 * waits twice as long. */
#include "kube/rollout.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "deliver/agent_internal.h"
#include "deliver/drift.h"

enum {
    LIVE_FIGHT_MS = 10,         /* the first pause of a fight, doubled each time */
    LIVE_FIGHT_MAX_MS = 30000,  /* and not longer */
    LIVE_QUIET_MS = 60000,      /* without a correction: the fight is over */
    LIVE_PROBE_GRACE_MS = 5000, /* beyond progressDeadlineSeconds */
    LIVE_RELAPSE_MS = 3000, /* a pod may be replaced, or the Deployment scaled, before it counts */
    LIVE_RESTARTS_MAX = 2,  /* of a container that never got ready: it will not come */
};

static bool is_kind(const json_t *object, const char *kind)
{
    const char *found = json_str_at(object, "kind");
    return found && strcmp(found, kind) == 0;
}

static void live_free(struct live *live)
{
    if (!live)
        return;
    kube_flow_remove(live->flow);
    loop_timer_remove(live->timer);
    json_decref(live->applied);
    json_decref(live->seen);
    free(live);
}

void live_clear(struct follow *follow)
{
    for (size_t i = 0; i < follow->live_count; i++)
        live_free(follow->lives[i]);
    free(follow->lives);
    follow->lives = NULL;
    follow->live_count = 0;
    follow->is_applied = false;
}

static bool same_text(const json_t *a, const json_t *b, const char *path)
{
    const char *x = json_str_at(a, path);
    const char *y = json_str_at(b, path);

    return strcmp(x ? x : "", y ? y : "") == 0;
}

static bool is_same_object(const json_t *a, const json_t *b)
{
    return same_text(a, b, "kind") && same_text(a, b, "apiVersion") &&
           same_text(a, b, "metadata.name") && same_text(a, b, "metadata.namespace");
}

int live_set(struct follow *follow, const json_t *objects, struct error *err)
{
    size_t count = json_array_size(objects);
    size_t i;
    json_t *object;

    live_clear(follow);
    follow->lives = calloc(count ? count : 1, sizeof(struct live *));
    if (!follow->lives)
        return error_no_memory(err);
    json_array_foreach(objects, i, object)
    {
        struct live *live = calloc(1, sizeof *live);
        if (!live)
            return error_no_memory(err);
        live->follow = follow;
        live->applied = json_incref(object);
        follow->lives[follow->live_count++] = live;
        const char *ns = json_str_at(object, "metadata.namespace");
        if (is_kind(object, "Namespace"))
            ns = "";
        if (live_watch(follow->agent, json_str_at(object, "apiVersion"),
                       json_str_at(object, "kind"), ns, err) < 0)
            return -1;
        if (is_kind(object, "Deployment") && live_watch(follow->agent, "v1", "Pod", ns, err) < 0)
            return -1;
    }
    return 0;
}

/* --- drift */

/* resourceVersion is opaque by the letter, a rising number in fact (KEP-5504); 0 where it is none.
 */
static int64_t version_of(const json_t *object)
{
    int64_t version = 0;
    const char *text = json_str_at(object, "metadata.resourceVersion");

    return text && str_to_i64(str_of(text), &version) ? version : 0;
}

void live_note_version(struct live *live, const json_t *answer)
{
    live->version = version_of(answer);
}

static void correct(struct live *live);

static void on_correction_timer(struct loop *loop, void *ctx)
{
    struct live *live = ctx;

    live->timer = NULL;
    correct(live);
}

static void on_corrected(const json_t *answer, const struct error *err, void *ctx)
{
    struct live *live = ctx;

    live->flow = NULL;
    if (err) {
        agent_log(live->follow, "cannot put an object right; we try again", err);
        live_seen(live, live->seen);
        return;
    }
    live->generation = json_int_at(answer, "metadata.generation", 0);
    live_note_version(live, answer);
    live_seen(live, answer);
}

static int send_correction(struct live *live, struct error *err)
{
    struct agent *agent = live->follow->agent;
    /* Server-side apply leaves what others added to a list; then the list is replaced. */
    CLEANUP(json)
    json_t *patch = live->was_patched && live->seen ? drift_patch(live->applied, live->seen) : NULL;
    struct kube_request request = {
        .verb = KUBE_APPLY, .object = live->applied, .manager = DELIVER_MANAGER, .force = true};

    if (patch) {
        request =
            (struct kube_request){.verb = KUBE_PATCH, .object = patch, .manager = DELIVER_MANAGER};
        if (kube_ref_of(live->applied, &request.ref, err) < 0)
            return -1;
    }
    live->was_patched = live->seen != NULL;
    return kube_flow_start(agent->kube, agent->loop, &request, on_corrected, live, &live->flow,
                           err);
}

static void correct(struct live *live)
{
    struct error err = ERROR_INIT;

    if (!live->follow->is_applied || live->flow)
        return;
    if (send_correction(live, &err) < 0)
        agent_log(live->follow, "cannot put an object right", &err);
}

static void plan_correction(struct live *live, const char *why)
{
    struct error err = ERROR_INIT;
    int64_t now = clock_monotonic_ms();
    int64_t pause = 0;

    if (live->flow || live->timer)
        return;
    if (now - live->corrected_ms > LIVE_QUIET_MS) {
        live->fights = 0;
        live->was_patched = false;
    }
    if (live->fights > 1) /* the second may follow the first at once: apply, then patch */
        pause = LIVE_FIGHT_MS << (live->fights > 12 ? 12 : live->fights);
    if (pause > LIVE_FIGHT_MAX_MS)
        pause = LIVE_FIGHT_MAX_MS;
    live->fights++;
    live->corrected_ms = now;
    log_warn("drift; putting it right", log_str("workload", live->follow->name),
             log_str("kind", json_str_at(live->applied, "kind")),
             log_str("name", json_str_at(live->applied, "metadata.name")), log_str("what", why),
             log_i64("pause_ms", pause));
    if (pause == 0)
        correct(live);
    else if (loop_add_timer(live->follow->agent->loop, pause, on_correction_timer, live,
                            &live->timer, &err) < 0)
        agent_log(live->follow, "cannot put an object right", &err);
}

void live_seen(struct live *live, const json_t *object)
{
    CLEANUP(buf) struct buf why = BUF_INIT(2048);
    json_t *before = live->seen;

    live->seen = json_incref((json_t *)object);
    json_decref(before);
    if (!live->follow->is_applied)
        return;
    if (!object) {
        plan_correction(live, "it was deleted");
    } else if (drift_found(live->applied, object, is_kind(object, "Secret") ? NULL : &why)) {
        plan_correction(live, buf_text(&why)); /* a Secret's values are told to nobody */
    }
    if (is_kind(live->applied, "Deployment"))
        live_check_health(live->follow);
}

/* --- health */

static void pod_seen(struct follow *follow, enum kube_event event, const json_t *pod)
{
    const char *name = json_str_at(pod, "metadata.name");

    if (!name)
        return;
    if (event == KUBE_DELETED)
        (void)json_object_del(follow->pods, name); /* not known is fine */
    else
        (void)json_object_set(follow->pods, name, (json_t *)pod);
    if (follow->phase == PHASE_PROBING)
        live_check_health(follow);
}

/* The pods of the running release that are not going away. */
static json_t *pods_of_release(const struct follow *follow)
{
    json_t *items = json_array();
    char sequence[24];
    const char *name;
    json_t *pod;

    (void)snprintf(sequence, sizeof sequence, "%" PRId64,
                   json_int_at(memory_running(follow), "sequence", 0));
    json_object_foreach(follow->pods, name, pod)
    {
        const char *of = json_string_value(
            json_object_get(json_at(pod, "metadata.annotations"), "monban.dev/release"));
        if (of && strcmp(of, sequence) == 0)
            (void)json_array_append(items, pod);
    }
    return json_pack("{s:o}", "items", items);
}

/* A container that was started again and again and is not ready, or an image that cannot be had. */
static bool is_hopeless(const json_t *pods)
{
    size_t i, j;
    const json_t *pod, *status;

    json_array_foreach(json_object_get(pods, "items"), i, pod)
    {
        json_array_foreach(json_at(pod, "status.containerStatuses"), j, status)
        {
            const char *waiting = json_str_at(status, "state.waiting.reason");
            if (json_bool_at(status, "ready", false))
                continue;
            if (json_int_at(status, "restartCount", 0) >= LIVE_RESTARTS_MAX)
                return true;
            if (waiting && (strcmp(waiting, "InvalidImageName") == 0 ||
                            strcmp(waiting, "CreateContainerConfigError") == 0))
                return true;
        }
    }
    return false;
}

static void say_unhealthy(struct follow *follow, const char *text, const json_t *pods)
{
    char trouble[1024];

    kube_pods_trouble(pods, trouble, sizeof trouble);
    follow_say(follow, "it did not become healthy: %s%s%s", text, *trouble ? "; " : "", trouble);
}

static void on_deadline(struct loop *loop, void *ctx)
{
    struct follow *follow = ctx;
    CLEANUP(json) json_t *pods = pods_of_release(follow);

    follow->deadline = NULL;
    if (follow->phase != PHASE_PROBING)
        return;
    say_unhealthy(follow, "its time is over", pods);
    follow_event(follow, EVENT_UNHEALTHY);
}

void live_start_probe(struct follow *follow)
{
    struct error err = ERROR_INIT;
    int64_t longest_s = 0;

    for (size_t i = 0; i < follow->live_count; i++) {
        int64_t s = json_int_at(follow->lives[i]->applied, "spec.progressDeadlineSeconds", 0);
        longest_s = s > longest_s ? s : longest_s;
    }
    live_stop_probe(follow);
    if (loop_add_timer(follow->agent->loop, longest_s * 1000 + LIVE_PROBE_GRACE_MS, on_deadline,
                       follow, &follow->deadline, &err) < 0)
        agent_log(follow, "cannot set the deadline of a rollout", &err);
    live_check_health(follow);
}

void live_stop_probe(struct follow *follow)
{
    loop_timer_remove(follow->deadline);
    follow->deadline = NULL;
}

static void set_health(struct follow *follow, enum health health, const char *text)
{
    CLEANUP(json) json_t *pods = pods_of_release(follow);
    char trouble[1024];

    follow->health = health;
    if (health == HEALTH_BAD) {
        kube_pods_trouble(pods, trouble, sizeof trouble);
        follow_say(follow, "%s%s%s", text, *trouble ? "; " : "", trouble);
        log_warn("what runs is not healthy", log_str("workload", follow->name),
                 log_str("reason", follow->reason));
    } else {
        follow->reason[0] = '\0';
        log_info("what runs is healthy again", log_str("workload", follow->name));
        memory_settle(follow, clock_now_s(), NULL);
    }
    follow->promote_pending =
        true; /* taken back (followers must not take it now), or given again */
    follow_side_jobs(follow);
    report(follow);
}

static enum kube_rollout rollout_of_all(const struct follow *follow, char text[KUBE_ROLLOUT_TEXT]);

static void on_relapse(struct loop *loop, void *ctx)
{
    struct follow *follow = ctx;
    char text[KUBE_ROLLOUT_TEXT];

    follow->relapse = NULL;
    if (follow->is_applied && follow->health == HEALTH_GOOD &&
        rollout_of_all(follow, text) != KUBE_ROLLOUT_DONE)
        set_health(follow, HEALTH_BAD, text);
}

/* All Deployments together: the worst one counts. */
static enum kube_rollout rollout_of_all(const struct follow *follow, char text[KUBE_ROLLOUT_TEXT])
{
    enum kube_rollout worst = KUBE_ROLLOUT_DONE;

    text[0] = '\0';
    for (size_t i = 0; i < follow->live_count; i++) {
        const struct live *live = follow->lives[i];
        char here[KUBE_ROLLOUT_TEXT];
        if (!is_kind(live->applied, "Deployment"))
            continue;
        enum kube_rollout state = KUBE_ROLLOUT_GOING;
        (void)snprintf(here, sizeof here, "the Deployment is not there");
        /* An event from before our apply says nothing about this release. */
        if (live->seen && json_int_at(live->seen, "metadata.generation", 0) >= live->generation)
            state = kube_rollout_of(live->seen, here);
        if (state == KUBE_ROLLOUT_DONE || (worst == KUBE_ROLLOUT_FAILED))
            continue;
        worst = state;
        memcpy(text, here, sizeof here);
    }
    return worst;
}

void live_check_health(struct follow *follow)
{
    char text[KUBE_ROLLOUT_TEXT];
    enum kube_rollout state = rollout_of_all(follow, text);
    struct error err = ERROR_INIT;

    if (follow->phase == PHASE_PROBING) {
        CLEANUP(json) json_t *pods = pods_of_release(follow);
        if (state == KUBE_ROLLOUT_DONE) {
            live_stop_probe(follow);
            follow_event(follow, EVENT_HEALTHY);
        } else if (state == KUBE_ROLLOUT_FAILED || is_hopeless(pods)) {
            live_stop_probe(follow);
            say_unhealthy(follow, text, pods);
            follow_event(follow, EVENT_UNHEALTHY);
        }
        return;
    }
    if (!follow->is_applied || follow->health == HEALTH_UNKNOWN)
        return;
    if (state == KUBE_ROLLOUT_DONE) {
        loop_timer_remove(follow->relapse);
        follow->relapse = NULL;
        if (follow->health == HEALTH_BAD)
            set_health(follow, HEALTH_GOOD, "");
    } else if (follow->health == HEALTH_GOOD && !follow->relapse &&
               loop_add_timer(follow->agent->loop, LIVE_RELAPSE_MS, on_relapse, follow,
                              &follow->relapse, &err) < 0) {
        agent_log(follow, "cannot watch the health of what runs", &err);
    }
}

/* --- watches */

static void on_event(struct kube_watch *kube_watch, enum kube_event event, const json_t *object,
                     void *ctx)
{
    const struct kind_watch *watch = ctx;
    struct agent *agent = watch->agent;
    const char *workload = json_string_value(
        json_object_get(json_at(object, "metadata.labels"), "monban.dev/workload"));
    bool is_pod = strcmp(watch->kind, "Pod") == 0;

    if (event == KUBE_SYNCED)
        return;
    for (size_t i = 0; i < agent->follow_count; i++) {
        struct follow *follow = agent->follows[i];
        if (is_pod && workload && strcmp(workload, follow->name) == 0)
            pod_seen(follow, event, object);
        for (size_t k = 0; k < follow->live_count; k++) {
            struct live *live = follow->lives[k];
            if (!is_same_object(live->applied, object))
                continue;
            int64_t version = version_of(object);
            if (version == 0 || version >= live->version)
                live_seen(live, event == KUBE_DELETED ? NULL : object);
            break;
        }
    }
}

static void on_watch_state(struct kube_watch *kube_watch, const struct error *err, void *ctx)
{
    const struct kind_watch *watch = ctx;

    if (err)
        log_debug("a watch was cut off; we go on trying", log_str("kind", watch->kind),
                  log_err(err));
}

static void kind_watch_free(struct kind_watch *watch)
{
    kube_watch_remove(watch->watch);
    free(watch->api_version);
    free(watch->kind);
    free(watch->ns);
    free(watch);
}

static int start_kind_watch(struct agent *agent, struct kind_watch *watch, struct error *err)
{
    struct kube_watch_options options = {
        .ref = {watch->api_version, watch->kind, watch->ns, NULL},
        .on_event = on_event,
        .on_state = on_watch_state,
        .ctx = watch,
    };

    /* Of Pods only ours: a cluster may have many. Of the rest all, for a label may be what was
     * changed. */
    if (strcmp(watch->kind, "Pod") == 0)
        options.list.label_selector = "monban.dev/workload";
    struct kind_watch **grown = reallocarray(agent->watches, agent->watch_count + 1, sizeof *grown);
    if (!grown)
        return error_no_memory(err);
    agent->watches = grown;
    if (kube_watch_start(agent->kube, agent->loop, &options, &watch->watch, err) < 0)
        return -1;
    agent->watches[agent->watch_count++] = watch;
    return 0;
}

int live_watch(struct agent *agent, const char *api_version, const char *kind, const char *ns,
               struct error *err)
{
    for (size_t i = 0; i < agent->watch_count; i++) {
        const struct kind_watch *w = agent->watches[i];
        if (strcmp(w->api_version, api_version) == 0 && strcmp(w->kind, kind) == 0 &&
            strcmp(w->ns, ns ? ns : "") == 0)
            return 0;
    }
    struct kind_watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return error_no_memory(err);
    watch->agent = agent;
    watch->api_version = str_dup(str_of(api_version));
    watch->kind = str_dup(str_of(kind));
    watch->ns = str_dup(str_of(ns ? ns : ""));
    if (!watch->api_version || !watch->kind || !watch->ns) {
        kind_watch_free(watch);
        return error_no_memory(err);
    }
    if (start_kind_watch(agent, watch, err) < 0) {
        kind_watch_free(watch);
        return -1;
    }
    return 0;
}

void live_unwatch_all(struct agent *agent)
{
    for (size_t i = 0; i < agent->watch_count; i++)
        kind_watch_free(agent->watches[i]);
    free(agent->watches);
    agent->watches = NULL;
    agent->watch_count = 0;
}
