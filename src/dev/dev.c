/* dev/dev.c - the session: build, deploy, watch, sync, print. See dev/dev.h. */
#include "dev/dev.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/random.h"
#include "deliver/deliver.h"
#include "deliver/worker.h"
#include "dev/deploy.h"
#include "dev/make.h"
#include "dev/sync.h"
#include "dev/tree.h"
#include "kube/rollout.h"
#include "platform/platform.h"

enum {
    DEV_TOKEN_LEN = 32,
    DEV_LOG_RETRY_MS = 200,
    DEV_CONNECT_MS = 10000, /* a container that takes no saves for so long is built anew */
};
#define DEV_MANAGER "monban-dev"

struct session {
    struct loop *loop;
    const struct dev_options *options;
    char *cluster, *kubeconfig, *source; /* owned */
    char token[DEV_TOKEN_LEN + 1];
    struct kube_client *kube;
    struct make_job job;
    struct worker *maker, *ghost;
    bool make_again;
    int64_t since_ms; /* of the save (or the start) that the build is for */
    json_t *made;     /* owned: make_image()'s result */
    size_t next_object;
    struct kube_flow *flow;
    int64_t generation; /* of the applied Deployment */
    struct kube_watch *deployment_watch, *pod_watch;
    bool waits_for_rollout;
    char said[KUBE_ROLLOUT_TEXT];
    char trouble[512];
    char pod[256]; /* whose log is followed */
    struct kube_log_flow *log;
    struct loop_timer *log_timer;
    struct tree *tree;
    struct sync *sync;
    struct strv pending; /* saved before the container was there */
    int64_t pending_ms;  /* when the first of them was */
    struct loop_timer *pending_timer;
    uint16_t live_port;
};

static void say(const char *format, ...) PRINTF_LIKE(1, 2);

static void say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vprintf(format, args); /* a closed terminal ends us by SIGPIPE */
    va_end(args);
    (void)printf("\n");
    (void)fflush(stdout);
}

static void say_error(const char *what, const struct error *err)
{
    char text[ERROR_TEXT_MAX + ERROR_PLACE_MAX];

    error_format(err, text, sizeof text);
    say("%s: %s", what, text);
}

static const char *name_of(const struct session *s)
{
    return json_str_at(s->made, "name");
}

static const char *ns_of(const struct session *s)
{
    return json_str_at(s->made, "namespace");
}

/* --- build and deploy */

static void make(struct session *s);
static void apply_next(struct session *s);

static void on_applied(const json_t *answer, const struct error *err, void *ctx)
{
    struct session *s = ctx;
    const char *kind = json_str_at(answer, "kind");

    s->flow = NULL;
    if (err) {
        say_error("cannot deploy", err);
        return;
    }
    if (kind && strcmp(kind, "Deployment") == 0)
        s->generation = json_int_at(answer, "metadata.generation", 0);
    if (kind && strcmp(kind, "Service") == 0) {
        const json_t *ports = json_at(answer, "spec.ports");
        size_t i;
        const json_t *port;
        json_array_foreach(ports, i, port)
        {
            int64_t node_port = json_int_at(port, "nodePort", 0);
            const char *name = json_str_at(port, "name");
            if (name && strcmp(name, "monban-live") == 0)
                s->live_port = (uint16_t)node_port;
            else if (node_port)
                say("address: http://127.0.0.1:%lld", (long long)node_port);
        }
    }
    s->next_object++;
    apply_next(s);
}

static void send_changes(struct session *s, const struct tree_change *changes, size_t count,
                         int64_t since_ms)
{
    struct error err = ERROR_INIT;

    if (sync_send(s->sync, changes, count, since_ms, &err) < 0) {
        say("%s: building instead", err.text);
        s->since_ms = since_ms;
        make(s);
    }
}

static void drop_pending(struct session *s)
{
    strv_done(&s->pending);
    s->pending = (struct strv)STRV_INIT;
    loop_timer_remove(s->pending_timer);
    s->pending_timer = NULL;
}

static void send_pending(struct session *s)
{
    struct tree_change *changes = calloc(s->pending.count + 1, sizeof *changes);

    for (size_t i = 0; changes && i < s->pending.count; i++)
        changes[i] = (struct tree_change){s->pending.items[i], false}; /* sync looks itself */
    if (changes)
        send_changes(s, changes, s->pending.count, s->pending_ms);
    free(changes);
    drop_pending(s);
}

static void on_connected(bool connected, const char *why, void *ctx)
{
    struct session *s = ctx;

    if (!connected)
        say("live update: cut off (%s); connecting again", why);
    else if (s->pending.count > 0)
        send_pending(s);
}

static void on_pending_timer(struct loop *loop, void *ctx)
{
    struct session *s = ctx;

    s->pending_timer = NULL;
    say("the container takes no saves: building instead");
    s->since_ms = s->pending_ms;
    drop_pending(s);
    make(s);
}

/* The container is on its way: the files are sent once it is there. */
static void keep_pending(struct session *s, const struct tree_change *changes, size_t count,
                         int64_t since_ms)
{
    struct error lost = ERROR_INIT;

    if (s->pending.count == 0)
        s->pending_ms = since_ms;
    for (size_t i = 0; i < count; i++) {
        if (!strv_has(&s->pending, changes[i].path))
            strv_add(&s->pending, changes[i].path);
    }
    if (!s->pending_timer &&
        loop_add_timer(s->loop, DEV_CONNECT_MS, on_pending_timer, s, &s->pending_timer, &lost) < 0)
        say_error("a save is lost", &lost);
}

static void on_commit(const json_t *report, int64_t took_ms, void *ctx)
{
    const struct session *s = ctx;
    const char *state = json_str_at(report, "state");
    const char *tail = s->options->quiet ? json_str_at(report, "tail") : NULL; /* else in the log */
    const char *exit_text = json_str_at(report, "exit");
    const char *fault = json_str_at(report, "error");

    if (fault)
        say("live update: %s", fault);
    if (state && strcmp(state, "ready") == 0) {
        say("ready %lld ms after the save (files %lld, stop %lld, start %lld ms)",
            (long long)took_ms, (long long)json_int_at(report, "write_ms", 0),
            (long long)json_int_at(report, "stop_ms", 0),
            (long long)json_int_at(report, "start_ms", 0));
        return;
    }
    say("the app %s; correct it and save again%s%s", exit_text ? exit_text : "is not ready",
        tail && *tail ? "\n" : "", tail ? tail : "");
}

static int start_sync(struct session *s, struct error *err)
{
    struct sync_options options = {
        .root = s->source,
        .host = "127.0.0.1",
        .port = s->live_port,
        .token = s->token,
        .on_connected = on_connected,
        .on_commit = on_commit,
        .ctx = s,
    };

    sync_free(TAKE(s->sync));
    if (!json_is_true(json_object_get(s->made, "isLive")) || s->live_port == 0)
        return 0;
    return sync_start(s->loop, &options, &s->sync, err);
}

static void start_log(struct session *s);

static void on_log_timer(struct loop *loop, void *ctx)
{
    struct session *s = ctx;

    s->log_timer = NULL;
    start_log(s);
}

static void on_log_bytes(struct str bytes, void *ctx)
{
    (void)fwrite(bytes.ptr, 1, bytes.len, stdout); /* as say() */
    (void)fflush(stdout);
}

/* The container was restarted, or is not there yet. */
static void on_log_end(const struct error *err, void *ctx)
{
    struct session *s = ctx;
    struct error lost = ERROR_INIT;

    s->log = NULL;
    if (s->pod[0] && !s->log_timer &&
        loop_add_timer(s->loop, DEV_LOG_RETRY_MS, on_log_timer, s, &s->log_timer, &lost) < 0)
        say_error("logs end here", &lost);
}

static void start_log(struct session *s)
{
    struct error err = ERROR_INIT;
    struct kube_log_options options = {.follow = true, .tail_lines = -1};

    if (s->log || s->options->quiet || !s->pod[0])
        return;
    if (kube_log_start(s->kube, s->loop, ns_of(s), s->pod, &options, on_log_bytes, on_log_end, s,
                       &s->log, &err) < 0)
        say_error("no logs", &err);
}

static void on_rollout(struct kube_watch *watch, enum kube_event event, const json_t *object,
                       void *ctx)
{
    struct session *s = ctx;
    char text[KUBE_ROLLOUT_TEXT];

    if (event == KUBE_SYNCED || !s->waits_for_rollout || event == KUBE_DELETED ||
        json_int_at(object, "metadata.generation", 0) < s->generation)
        return;
    enum kube_rollout state = kube_rollout_of(object, text);
    if (state == KUBE_ROLLOUT_GOING)
        return;
    s->waits_for_rollout = false;
    if (state == KUBE_ROLLOUT_FAILED) {
        say("not ready: %s", text);
        return;
    }
    say("ready after %lld ms", (long long)(clock_monotonic_ms() - s->since_ms));
}

/* Its log is followed, and what is wrong with it is said once. */
static void on_pod(struct kube_watch *watch, enum kube_event event, const json_t *object, void *ctx)
{
    struct session *s = ctx;
    const char *name = json_str_at(object, "metadata.name");
    const char *phase = json_str_at(object, "status.phase");
    char trouble[sizeof s->trouble];

    if (event == KUBE_SYNCED || !name)
        return;
    if (event == KUBE_DELETED || json_at(object, "metadata.deletionTimestamp")) {
        if (strcmp(s->pod, name) == 0) {
            kube_log_remove(TAKE(s->log));
            s->pod[0] = '\0';
        }
        return;
    }
    CLEANUP(json) json_t *list = json_pack("{s:[O]}", "items", object);
    kube_pods_trouble(list, trouble, sizeof trouble);
    if (strncmp(trouble, "container", 9) == 0 && strcmp(trouble, s->trouble) != 0) {
        say("%s", trouble);
        memcpy(s->trouble, trouble, sizeof trouble);
    }
    if (phase && strcmp(phase, "Running") == 0 && strcmp(s->pod, name) != 0) {
        kube_log_remove(TAKE(s->log));
        (void)snprintf(s->pod, sizeof s->pod, "%s", name);
        start_log(s);
    }
}

static int start_watches(struct session *s, struct error *err)
{
    CLEANUP(text) char *selector = str_format("app.kubernetes.io/name=%s", name_of(s));
    struct kube_watch_options deployment = {
        .ref = {"apps/v1", "Deployment", ns_of(s), name_of(s)}, .on_event = on_rollout, .ctx = s};
    struct kube_watch_options pod = {.ref = {"v1", "Pod", ns_of(s), NULL},
                                     .list = {.label_selector = selector},
                                     .on_event = on_pod,
                                     .ctx = s};

    if (!selector)
        return error_no_memory(err);
    if (s->deployment_watch)
        return 0;
    if (kube_watch_start(s->kube, s->loop, &deployment, &s->deployment_watch, err) < 0)
        return -1;
    return kube_watch_start(s->kube, s->loop, &pod, &s->pod_watch, err);
}

static void apply_next(struct session *s)
{
    struct error err = ERROR_INIT;
    const json_t *object = json_array_get(json_object_get(s->made, "objects"), s->next_object);
    struct kube_request request = {
        .verb = KUBE_APPLY, .object = object, .manager = DEV_MANAGER, .force = true};

    if (!object) {
        s->waits_for_rollout = true;
        if (start_watches(s, &err) < 0)
            say_error("cannot watch the app", &err);
        if (start_sync(s, &err) < 0) /* the container takes saves before the app is ready */
            say_error("no live update", &err);
        return;
    }
    if (kube_flow_start(s->kube, s->loop, &request, on_applied, s, &s->flow, &err) < 0)
        say_error("cannot deploy", &err);
}

static void on_made(const json_t *result, const struct error *err, void *ctx)
{
    struct session *s = ctx;
    size_t i;
    const json_t *note;

    s->maker = NULL;
    if (s->make_again) {
        s->make_again = false;
        make(s);
        return;
    }
    if (err) {
        say_error("the build failed", err);
        return;
    }
    json_decref(s->made);
    s->made = json_incref((json_t *)result);
    json_array_foreach(json_object_get(result, "notes"), i, note)
        say("note: %s", json_string_value(note));
    s->next_object = 0;
    kube_flow_remove(TAKE(s->flow));
    sync_free(TAKE(s->sync)); /* of the pod that goes away */
    drop_pending(s);          /* the image has them */
    apply_next(s);
}

static void make(struct session *s)
{
    struct error err = ERROR_INIT;

    if (s->maker) {
        s->make_again = true;
        return;
    }
    if (worker_start(s->loop, make_image, &s->job, -1, on_made, s, &s->maker, &err) < 0)
        say_error("cannot build", &err);
}

/* --- the ghost of the gate */

static void on_ghost(const json_t *result, const struct error *err, void *ctx)
{
    struct session *s = ctx;
    const char *text = json_str_at(result, "text");

    s->ghost = NULL;
    if (!err && text && *text) /* an error here is nobody's business yet: the gate will tell */
        say("%s", text);
}

static void call_ghost(struct session *s)
{
    struct error lost = ERROR_INIT;

    if (!s->ghost)
        (void)!worker_start(s->loop, make_verdict, &s->job, -1, on_ghost, s, &s->ghost, &lost);
}

/* --- saves */

static bool is_build_input(const char *path)
{
    static const char *const names[] = {"package.json",  "package-lock.json", "npm-shrinkwrap.json",
                                        "workload.yaml", "requirements.txt",  "project.toml",
                                        "composer.json", "composer.lock",     ".npmrc",
                                        "Procfile"};
    const char *base = strrchr(path, '/');

    base = base ? base + 1 : path;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(base, names[i]) == 0)
            return true;
    }
    return false;
}

static void on_saved(const struct tree_change *changes, size_t count, int64_t since_ms, void *ctx)
{
    struct session *s = ctx;
    bool rebuild = !json_is_true(json_object_get(s->made, "isLive"));
    bool dependencies = false;

    for (size_t i = 0; i < count; i++)
        dependencies = dependencies || is_build_input(changes[i].path);
    say("saved: %s%s", changes[0].path, count > 1 ? " and others" : "");
    if (dependencies)
        call_ghost(s);
    if (rebuild || dependencies || s->maker) {
        s->since_ms = since_ms;
        make(s);
    } else if (sync_is_connected(s->sync)) {
        send_changes(s, changes, count, since_ms);
    } else {
        keep_pending(s, changes, count, since_ms);
    }
}

/* --- start and end */

static void on_stop(struct loop *loop, int signal, void *ctx)
{
    loop_stop(loop);
}

static int choose_cluster(struct session *s, struct error *err)
{
    CLEANUP(text) char *path = fs_join(s->options->home, "platform");
    CLEANUP(platform) struct platform *platform = NULL;
    size_t count = 0;
    const char *name = s->options->cluster;

    if (!path)
        return error_no_memory(err);
    if (platform_read(path, &platform, err) < 0)
        return error_wrap(err, "there is no road on this machine yet");
    const struct platform_cluster *clusters = platform_clusters(platform, &count);
    for (size_t i = 0; i < count && !name; i++) {
        if (clusters[i].loop == PLATFORM_INNER && !clusters[i].is_gate)
            name = clusters[i].name;
    }
    if (!name)
        return error_set(err, ERR_NOT_FOUND, "the platform has no dev cluster");
    const struct platform_cluster *found = platform_cluster(platform, name);
    if (found && found->loop == PLATFORM_OUTER)
        return error_set(err, ERR_DENIED,
                         "cluster '%s' is of the outer loop: releases get there by the gate only",
                         name);
    s->cluster = str_dup(str_of(name));
    if (!s->cluster)
        return error_no_memory(err);
    return deliver_kubeconfig(s->options->home, name, &s->kubeconfig, err);
}

static int start(struct session *s, struct error *err)
{
    s->source = realpath(s->options->source, NULL);
    if (!s->source)
        return error_errno(err, "cannot open '%s'", s->options->source);
    if (choose_cluster(s, err) < 0 || loop_new(&s->loop, err) < 0 ||
        loop_add_signal(s->loop, SIGINT, on_stop, s, err) < 0 ||
        loop_add_signal(s->loop, SIGTERM, on_stop, s, err) < 0 ||
        kube_client_open(s->kubeconfig, NULL, &s->kube, err) < 0 ||
        tree_watch(s->loop, s->source, on_saved, s, &s->tree, err) < 0)
        return -1;
    random_name(s->token, DEV_TOKEN_LEN);
    s->job = (struct make_job){s->options->home, s->source, s->cluster, s->kubeconfig, s->token};
    s->since_ms = clock_monotonic_ms();
    say("building '%s' for cluster '%s'", s->source, s->cluster);
    make(s);
    call_ghost(s);
    return 0;
}

/* Everything that was applied, in the opposite order. */
static void remove_objects(struct session *s)
{
    const json_t *objects = json_object_get(s->made, "objects");

    for (size_t i = json_array_size(objects); i > 0; i--) {
        struct kube_ref ref;
        struct error err = ERROR_INIT;
        if (kube_ref_of(json_array_get(objects, i - 1), &ref, &err) < 0)
            continue;
        if (kube_delete(s->kube, &ref, false, &err) < 0 && err.kind != ERR_NOT_FOUND)
            say_error("cannot remove an object", &err);
    }
}

static void stop(struct session *s)
{
    worker_remove(s->maker);
    worker_remove(s->ghost);
    tree_free(s->tree);
    sync_free(s->sync);
    drop_pending(s);
    kube_flow_remove(s->flow);
    kube_log_remove(s->log);
    loop_timer_remove(s->log_timer);
    kube_watch_remove(s->deployment_watch);
    kube_watch_remove(s->pod_watch);
    if (s->made && !s->options->keep) {
        say("removing '%s' from cluster '%s'", name_of(s), s->cluster);
        remove_objects(s);
    }
    kube_client_free(s->kube);
    loop_free(s->loop);
    json_decref(s->made);
    free(s->cluster);
    free(s->kubeconfig);
    free(s->source);
}

int dev_run(const struct dev_options *options, struct error *err)
{
    struct session s = {.options = options};
    int result = start(&s, err);

    if (result == 0)
        result = loop_run(s.loop, err);
    stop(&s);
    return result;
}
