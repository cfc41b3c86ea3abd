/* gate/watch.c - see gate/watch.h. */
#include "gate/watch.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "source/source.h"

enum { STATE_MAX = 64 << 10, STOP_GRACE_MS = 1000 };

/* How a look ends: the exit code of its worker. */
enum { LOOK_NOTHING_NEW = 0, LOOK_FAILED = 1, LOOK_NEW_COMMIT = 2 };

struct watch {
    struct watch *next;
    struct watches *all; /* borrowed: its owner; NULL once nobody wants it any more */
    char app[64], url[1024], branch[240];
    int64_t poll_ms;
    struct loop_timer *timer; /* owned by the loop; NULL while a look goes on */
    pid_t pid;                /* of the look that goes on, or 0 */
};

struct watches {
    struct loop *loop; /* borrowed, as the next two */
    const char *home;
    struct queue *queue;
    struct watch *first; /* owned */
};

/* --- what is kept */

static char *state_path(const char *home, const char *app)
{
    return str_format("%s/gate/state/%s.watch", home, app);
}

/* An empty object if there is none yet, or none that can be read: it is made again. */
static json_t *read_state(const char *path)
{
    struct error lost = ERROR_INIT;
    json_t *state = NULL;

    if (json_read_file(AT_FDCWD, path, &state, &lost) < 0 || !json_is_object(state)) {
        json_decref(state);
        return json_object();
    }
    return state;
}

static int write_state(const char *path, const json_t *state, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(STATE_MAX);

    if (json_write_pretty(state, &text, err) < 0)
        return -1;
    return fs_write_quick(AT_FDCWD, path, buf_str(&text), 0644, err);
}

int watch_note_walked(const char *home, const char *app, const char *commit, struct error *err)
{
    CLEANUP(text) char *path = state_path(home, app);
    CLEANUP(json) json_t *state = path ? read_state(path) : NULL;

    if (!state || json_object_set_new(state, "walked", json_string(commit)) < 0)
        return error_no_memory(err);
    return write_state(path, state, err);
}

/* --- a look, in its worker */

static bool has_text(const json_t *state, const char *key, const char *text)
{
    const char *known = json_str_at(state, key);

    return known ? text && strcmp(known, text) == 0 : !text;
}

/* git's text as one line, without the advice that follows after an empty one. */
static void make_one_line(char *text)
{
    char *advice = strstr(text, "\n\n");

    if (advice)
        *advice = '\0';
    for (char *at = text; *at; at++) {
        if (*at == '\n')
            *at = ' ';
    }
}

/* Logged and written down only if it is news. */
static void note_look(const struct watch *watch, const char *path, json_t *state, const char *error)
{
    struct error lost = ERROR_INIT;
    char now[CLOCK_TEXT_SIZE];

    if (has_text(state, "url", watch->url) && has_text(state, "branch", watch->branch) &&
        has_text(state, "error", error))
        return;
    if (error)
        log_warn("a watched repository cannot be fetched; it is tried again at each poll",
                 log_str("app", watch->app), log_str("url", watch->url), log_str("error", error),
                 log_str("owner", "the platform team"),
                 log_str("next", "correct spec.sources of platform.yaml, then monban up --platform "
                                 "DIR"));
    else
        log_info("a watched repository is fetched", log_str("app", watch->app),
                 log_str("url", watch->url), log_str("branch", watch->branch));
    int failed =
        json_object_set_new(state, "app", json_string(watch->app)) |
        json_object_set_new(state, "url", json_string(watch->url)) |
        json_object_set_new(state, "branch", json_string(watch->branch)) |
        json_object_set_new(state, "since", json_string(clock_rfc3339(clock_now_s(), now)));
    if (error)
        failed |= json_object_set_new(state, "error", json_string(error));
    else
        (void)json_object_del(state, "error"); /* absent already is as good */
    if (failed || write_state(path, state, &lost) < 0)
        log_warn("what is known of a watched repository could not be kept",
                 log_str("app", watch->app), log_err(&lost));
}

static int look(const struct watch *watch)
{
    const char *home = watch->all->home;
    struct error err = ERROR_INIT;
    CLEANUP(text) char *path = state_path(home, watch->app);
    CLEANUP(text) char *repository = str_format("%s/gate/git/%s.git", home, watch->app);
    CLEANUP(json) json_t *state = path ? read_state(path) : NULL;
    char commit[SOURCE_COMMIT_SIZE];
    bool changed;

    if (!state || !repository)
        return LOOK_FAILED;
    if (source_fetch(repository, watch->url, watch->branch, commit, &changed, &err) < 0) {
        make_one_line(err.text);
        note_look(watch, path, state, err.text);
        return LOOK_FAILED;
    }
    note_look(watch, path, state, NULL);
    return has_text(state, "walked", commit) ? LOOK_NOTHING_NEW : LOOK_NEW_COMMIT;
}

/* --- in the daemon */

static void hand_over(struct watch *watch)
{
    struct error err = ERROR_INIT;
    struct queue_item item = {0};

    /* Their sizes are the same or larger. */
    (void)snprintf(item.app, sizeof item.app, "%s", watch->app);
    (void)snprintf(item.ref, sizeof item.ref, "refs/heads/%s", watch->branch);
    (void)snprintf(item.source_uri, sizeof item.source_uri, "%s", watch->url);
    log_info("a watched repository has a new commit", log_str("app", watch->app),
             log_str("branch", watch->branch));
    if (queue_add(watch->all->queue, &item, -1, &err) < 0)
        log_warn("a watched repository is walked later", log_str("app", watch->app), log_err(&err));
}

static void look_due(struct loop *loop, void *ctx);

static void look_later(struct watch *watch)
{
    struct error err = ERROR_INIT;

    if (loop_add_timer(watch->all->loop, watch->poll_ms, look_due, watch, &watch->timer, &err) < 0)
        log_error("a repository is not watched any more", log_str("app", watch->app),
                  log_err(&err));
}

static void look_ended(struct loop *loop, pid_t pid, int status, void *ctx)
{
    struct watch *watch = ctx;

    (void)loop;
    (void)pid;
    watch->pid = 0;
    if (!watch->all) {
        free(watch);
        return;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == LOOK_NEW_COMMIT)
        hand_over(watch);
    look_later(watch);
}

static void look_due(struct loop *loop, void *ctx)
{
    struct watch *watch = ctx;
    struct error err = ERROR_INIT;

    watch->timer = NULL;                            /* it has fired: the loop frees it */
    if (queue_has(watch->all->queue, watch->app)) { /* of one app, one thing at a time */
        look_later(watch);
        return;
    }
    pid_t pid = queue_fork(watch->all->queue);
    if (pid == 0)
        _exit(look(watch));
    if (pid > 0 && loop_add_child(loop, pid, look_ended, watch, &err) == 0) {
        watch->pid = pid;
        return;
    }
    if (pid > 0)
        proc_stop(pid, STOP_GRACE_MS);
    log_warn("a watched repository is looked at later", log_str("app", watch->app));
    look_later(watch);
}

int watches_new(struct loop *loop, const char *home, struct queue *queue, struct watches **ret,
                struct error *err)
{
    struct watches *watches = calloc(1, sizeof *watches);

    if (!watches)
        return error_no_memory(err);
    watches->loop = loop;
    watches->home = home;
    watches->queue = queue;
    *ret = watches;
    return 0;
}

static int add_watch(struct watches *watches, const struct platform_source *source,
                     struct error *err)
{
    struct watch *watch = calloc(1, sizeof *watch);

    if (!watch)
        return error_no_memory(err);
    watch->all = watches;
    watch->poll_ms = source->poll_ms;
    if ((size_t)snprintf(watch->app, sizeof watch->app, "%s", source->app) >= sizeof watch->app ||
        (size_t)snprintf(watch->url, sizeof watch->url, "%s", source->url) >= sizeof watch->url ||
        (size_t)snprintf(watch->branch, sizeof watch->branch, "%s", source->branch) >=
            sizeof watch->branch) {
        free(watch);
        return error_set(err, ERR_LIMIT, "the watched source of '%s' has too long a name",
                         source->app);
    }
    if (loop_add_timer(watches->loop, 0, look_due, watch, &watch->timer, err) < 0) {
        free(watch);
        return -1;
    }
    watch->next = watches->first;
    watches->first = watch;
    return 0;
}

/* A look that goes on outlives its watch until it is reaped. */
static void drop_all(struct watches *watches)
{
    while (watches->first) {
        struct watch *watch = watches->first;
        watches->first = watch->next;
        loop_timer_remove(watch->timer);
        if (watch->pid > 0) {
            (void)kill(-watch->pid, SIGTERM); /* gone already is what we want */
            watch->all = NULL;
            continue;
        }
        free(watch);
    }
}

int watches_set(struct watches *watches, const struct platform *platform, struct error *err)
{
    size_t count;
    const struct platform_source *sources = platform_sources(platform, &count);

    drop_all(watches);
    for (size_t i = 0; i < count; i++) {
        if (add_watch(watches, &sources[i], err) < 0)
            return -1;
    }
    return 0;
}

void watches_free(struct watches *watches)
{
    if (!watches)
        return;
    for (struct watch *watch = watches->first; watch; watch = watch->next) {
        if (watch->pid > 0)
            proc_stop(watch->pid, STOP_GRACE_MS);
        watch->pid = 0; /* reaped: nothing calls back any more */
    }
    drop_all(watches);
    free(watches);
}
