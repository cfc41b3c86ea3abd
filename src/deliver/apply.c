/* deliver/apply.c - the objects of an attempt → API server, by server-side apply, all of a stage at
 * once.
 *
 * Stage 0: the namespace. Stage 1: what pods need (accounts, secrets, policies, services). Stage 2:
 * what makes pods. After the attempt is healthy, what no release needs any more is deleted. */
#include "base/log.h"
#include "deliver/agent_internal.h"

enum { APPLY_STAGES = 3 };

static unsigned stage_of(const json_t *object)
{
    static const char *const last[] = {"Deployment", "StatefulSet", "DaemonSet",
                                       "Job",        "CronJob",     "Pod"};
    const char *kind = json_str_at(object, "kind");

    if (strcmp(kind, "Namespace") == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(last); i++) {
        if (strcmp(kind, last[i]) == 0)
            return 2;
    }
    return 1;
}

static void next_stage(struct follow *follow);

static void stage_failed(struct follow *follow, const struct live *live, const struct error *err)
{
    struct error wrapped = *err;
    /* What the API server will never take; all else may be better later. */
    bool is_final =
        err->kind == ERR_INVALID || err->kind == ERR_UNSUPPORTED || err->kind == ERR_LIMIT;

    (void)error_wrap(&wrapped, "applying %s '%s'", json_str_at(live->applied, "kind"),
                     json_str_at(live->applied, "metadata.name")); /* always -1 */
    follow_fail(follow, "applying", &wrapped);
    apply_stop(follow);
    follow->apply_failed = true;
    follow_event(follow, is_final ? EVENT_REFUSED : EVENT_FAILED);
}

static void on_applied(const json_t *answer, const struct error *err, void *ctx)
{
    struct live *live = ctx;
    struct follow *follow = live->follow;

    live->flow = NULL;
    follow->apply_open--;
    if (err) {
        stage_failed(follow, live, err);
        return;
    }
    live->is_applied = true;
    live->generation = json_int_at(answer, "metadata.generation", 0);
    live_note_version(live, answer);
    json_decref(live->seen);
    live->seen = json_incref((json_t *)answer);
    if (follow->apply_open == 0) {
        follow->apply_stage++;
        next_stage(follow);
    }
}

static void apply_one(struct follow *follow, struct live *live)
{
    struct error err = ERROR_INIT;
    struct kube_request request = {
        .verb = KUBE_APPLY, .object = live->applied, .manager = DELIVER_MANAGER, .force = true};

    if (kube_flow_start(follow->agent->kube, follow->agent->loop, &request, on_applied, live,
                        &live->flow, &err) < 0) {
        live->flow = NULL;
        stage_failed(follow, live, &err);
        return;
    }
    follow->apply_open++;
}

static void next_stage(struct follow *follow)
{
    for (; follow->apply_stage < APPLY_STAGES; follow->apply_stage++) {
        for (size_t i = 0; i < follow->live_count && !follow->apply_failed; i++) {
            if (stage_of(follow->lives[i]->applied) == follow->apply_stage)
                apply_one(follow, follow->lives[i]);
        }
        if (follow->apply_open > 0 || follow->apply_failed)
            return;
    }
    follow->is_applied = true;
    follow_event(follow, EVENT_APPLIED);
}

void apply_start(struct follow *follow)
{
    struct error err = ERROR_INIT;
    const json_t *objects = json_object_get(follow->attempt, "objects");
    const json_t *release = json_object_get(follow->attempt, "release");

    apply_stop(follow);
    follow->apply_failed = false;
    follow->is_applied = false;
    /* Before the first object: a kill from here on resumes with this release, and knows what to
     * prune. */
    memory_run(follow, release, objects);
    if (live_set(follow, objects, &err) < 0) {
        follow_fail(follow, "applying", &err);
        follow_event(follow, EVENT_FAILED);
        return;
    }
    follow->apply_stage = 0;
    log_info("applying", log_str("workload", follow->name),
             log_i64("sequence", json_int_at(release, "sequence", 0)),
             log_u64("objects", follow->live_count));
    next_stage(follow);
}

/* Only our applies: a correction of what runs goes on while another attempt is dropped. */
void apply_stop(struct follow *follow)
{
    if (follow->apply_open == 0)
        return;
    for (size_t i = 0; i < follow->live_count; i++) {
        kube_flow_remove(follow->lives[i]->flow);
        follow->lives[i]->flow = NULL;
    }
    follow->apply_open = 0;
}

/* --- pruning */

struct prune {
    struct agent *agent;
    struct prune *next;
    struct kube_flow *flow; /* owned while it runs */
    char text[512];
};

static void prune_free(struct prune *prune)
{
    struct prune **at = &prune->agent->prunes;

    while (*at && *at != prune)
        at = &(*at)->next;
    if (*at)
        *at = prune->next;
    kube_flow_remove(prune->flow);
    free(prune);
}

void apply_stop_prunes(struct agent *agent)
{
    while (agent->prunes)
        prune_free(agent->prunes);
}

static void on_pruned(const json_t *answer, const struct error *err, void *ctx)
{
    struct prune *prune = ctx;

    prune->flow = NULL;
    if (err && err->kind != ERR_NOT_FOUND)
        log_warn("cannot remove an object that no release needs; delete it by hand",
                 log_str("object", prune->text), log_err(err));
    else
        log_info("removed what no release needs", log_str("object", prune->text));
    prune_free(prune);
}

static bool is_wanted(const struct follow *follow, const json_t *ref)
{
    for (size_t i = 0; i < follow->live_count; i++) {
        const json_t *object = follow->lives[i]->applied;
        const char *ns = json_str_at(object, "metadata.namespace");
        if (strcmp(json_str_at(object, "kind"), json_str_at(ref, "kind")) == 0 &&
            strcmp(json_str_at(object, "apiVersion"), json_str_at(ref, "apiVersion")) == 0 &&
            strcmp(json_str_at(object, "metadata.name"), json_str_at(ref, "name")) == 0 &&
            strcmp(ns ? ns : "", json_str_at(ref, "namespace")) == 0)
            return true;
    }
    return strcmp(json_str_at(ref, "kind"), "Namespace") == 0; /* it may hold others' things */
}

static void prune_one(struct follow *follow, const json_t *ref)
{
    struct error err = ERROR_INIT;
    struct prune *prune = calloc(1, sizeof *prune);
    const char *ns = json_str_at(ref, "namespace");
    struct kube_request request = {.verb = KUBE_DELETE,
                                   .ref = {json_str_at(ref, "apiVersion"), json_str_at(ref, "kind"),
                                           ns, json_str_at(ref, "name")}};

    if (!prune)
        return; /* it is still in the memory of the next run */
    prune->agent = follow->agent;
    (void)snprintf(prune->text, sizeof prune->text, "%s %s/%s", json_str_at(ref, "kind"), ns,
                   json_str_at(ref, "name"));
    if (kube_flow_start(follow->agent->kube, follow->agent->loop, &request, on_pruned, prune,
                        &prune->flow, &err) < 0) {
        agent_log(follow, "cannot remove an object", &err);
        free(prune);
        return;
    }
    prune->next = follow->agent->prunes;
    follow->agent->prunes = prune;
}

void apply_prune(struct follow *follow)
{
    json_t *before = json_object_get(follow->memory, "pruning");
    size_t i;
    const json_t *ref;

    json_array_foreach(before, i, ref)
    {
        if (!is_wanted(follow, ref))
            prune_one(follow, ref);
    }
    (void)json_object_del(follow->memory, "pruning"); /* absent is fine */
}
