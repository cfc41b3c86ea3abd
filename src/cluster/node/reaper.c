/* cluster/node/reaper.c - SIGCHLD and waitpid(-1): containers are not our own children but come to
 * us when their runtime ends, so a wait for one pid would miss those we do not know yet. */
#include "cluster/node/reaper.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"

enum {
    REAPER_UNCLAIMED_MAX = 256,  /* ends that nobody asked for yet; the oldest is dropped */
    REAPER_UNCLAIMED_MS = 30000, /* then its number may be another process's */
};

struct watch {
    struct watch *next;
    pid_t pid;
    reaper_fn *fn;
    void *ctx;
};

struct reaper {
    struct loop *loop;     /* borrowed */
    struct watch *watches; /* owned */
    struct {
        pid_t pid;
        int status;
        int64_t at_ms;
    } unclaimed[REAPER_UNCLAIMED_MAX];
    size_t unclaimed_next;
};

static struct watch *take_watch(struct reaper *reaper, pid_t pid)
{
    for (struct watch **at = &reaper->watches; *at; at = &(*at)->next) {
        if ((*at)->pid == pid) {
            struct watch *found = *at;
            *at = found->next;
            return found;
        }
    }
    return NULL;
}

static void on_end(struct reaper *reaper, pid_t pid, int status)
{
    struct watch *watch = take_watch(reaper, pid);

    if (watch) {
        watch->fn(pid, status, watch->ctx);
        free(watch);
        return;
    }
    size_t at = reaper->unclaimed_next++ % REAPER_UNCLAIMED_MAX;
    reaper->unclaimed[at].pid = pid;
    reaper->unclaimed[at].status = status;
    reaper->unclaimed[at].at_ms = clock_monotonic_ms();
}

static void on_sigchld(struct loop *loop, int signal_number, void *ctx)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0 || (pid < 0 && errno == EINTR))
        if (pid > 0)
            on_end(ctx, pid, status);
}

static void claim(struct loop *loop, void *ctx)
{
    struct reaper *reaper = ctx;

    for (size_t i = 0; i < REAPER_UNCLAIMED_MAX; i++) {
        pid_t pid = reaper->unclaimed[i].pid;
        bool is_fresh = clock_monotonic_ms() - reaper->unclaimed[i].at_ms < REAPER_UNCLAIMED_MS;
        struct watch *watch = pid && is_fresh ? take_watch(reaper, pid) : NULL;
        if (!watch)
            continue;
        reaper->unclaimed[i].pid = 0;
        watch->fn(pid, reaper->unclaimed[i].status, watch->ctx);
        free(watch);
    }
}

int reaper_new(struct loop *loop, struct reaper **ret, struct error *err)
{
    CLEANUP(reaper) struct reaper *reaper = calloc(1, sizeof(*reaper));

    if (!reaper)
        return error_no_memory(err);
    reaper->loop = loop;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return error_errno(err, "becoming the subreaper");
    if (loop_add_signal(loop, SIGCHLD, on_sigchld, reaper, err) < 0)
        return -1;
    *ret = TAKE(reaper);
    return 0;
}

void reaper_free(struct reaper *reaper)
{
    if (!reaper)
        return;
    while (reaper->watches)
        free(take_watch(reaper, reaper->watches->pid));
    free(reaper);
}

int reaper_watch(struct reaper *reaper, pid_t pid, reaper_fn *fn, void *ctx, struct error *err)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return error_no_memory(err);
    *watch = (struct watch){reaper->watches, pid, fn, ctx};
    reaper->watches = watch;
    for (size_t i = 0; i < REAPER_UNCLAIMED_MAX; i++)
        if (reaper->unclaimed[i].pid == pid)
            return loop_add_timer(reaper->loop, 0, claim, reaper, NULL, err);
    return 0;
}

void reaper_forget(struct reaper *reaper, pid_t pid)
{
    free(take_watch(reaper, pid));
}
