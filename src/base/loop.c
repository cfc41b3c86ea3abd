/* base/loop.c - see base/loop.h.
 *
 * Removed handles are freed at the end of the turn, so that an event of the same turn which still
 * points to one finds it marked and not gone. Timers are a sorted list: a daemon has tens of them,
 * and most are set to fire soonest first. */
#include "base/loop.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"

enum { TURN_EVENTS = 64 };

enum watch_kind { WATCH_IO, WATCH_PROCESS, WATCH_SIGNAL };

struct loop_io {
    struct loop *loop; /* borrowed: its owner */
    struct loop_io *next, *previous;
    enum watch_kind kind;
    int fd;
    bool removed;
    bool reap; /* WATCH_PROCESS: our child */
    pid_t pid;
    union {
        loop_io_fn *io;
        loop_child_fn *child;
        loop_signal_fn *signal;
    } fn;
    void *ctx;
};

struct loop_timer {
    struct loop *loop; /* borrowed: its owner */
    struct loop_timer *next;
    int64_t due_ms; /* monotonic */
    bool armed;
    bool firing;
    loop_timer_fn *fn;
    void *ctx;
};

struct loop {
    int epoll_fd;
    bool stopped;
    struct loop_io *watches;   /* owned */
    struct loop_io *dead;      /* owned, freed at the end of the turn */
    struct loop_timer *timers; /* owned, soonest first */
};

int loop_new(struct loop **ret_loop, struct error *err)
{
    CLEANUP(loop) struct loop *loop = calloc(1, sizeof *loop);

    if (!loop)
        return error_no_memory(err);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0)
        return error_errno(err, "cannot make an event loop");
    *ret_loop = TAKE(loop);
    return 0;
}

static void free_dead(struct loop *loop)
{
    while (loop->dead) {
        struct loop_io *io = loop->dead;
        loop->dead = io->next;
        free(io);
    }
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    while (loop->watches)
        loop_io_remove(loop->watches);
    free_dead(loop);
    while (loop->timers)
        loop_timer_remove(loop->timers);
    io_close(&loop->epoll_fd);
    free(loop);
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

bool loop_is_stopped(const struct loop *loop)
{
    return loop->stopped;
}

static int add_watch(struct loop *loop, int fd, uint32_t events, struct loop_io *take_io,
                     struct error *err)
{
    struct epoll_event event = {.events = events, .data.ptr = take_io};

    take_io->loop = loop;
    take_io->fd = fd;
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
        (void)error_errno(err, "cannot watch descriptor %d", fd);
        free(take_io);
        return -1;
    }
    take_io->next = loop->watches;
    if (loop->watches)
        loop->watches->previous = take_io;
    loop->watches = take_io;
    return 0;
}

int loop_add_io(struct loop *loop, int fd, uint32_t events, loop_io_fn *fn, void *ctx,
                struct loop_io **ret_io, struct error *err)
{
    struct loop_io *io = calloc(1, sizeof *io);

    if (!io)
        return error_no_memory(err);
    io->kind = WATCH_IO;
    io->fn.io = fn;
    io->ctx = ctx;
    if (add_watch(loop, fd, events, io, err) < 0)
        return -1;
    if (ret_io)
        *ret_io = io;
    return 0;
}

int loop_io_set(struct loop_io *io, uint32_t events, struct error *err)
{
    struct epoll_event event = {.events = events, .data.ptr = io};

    if (epoll_ctl(io->loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &event) < 0)
        return error_errno(err, "cannot watch descriptor %d", io->fd);
    return 0;
}

void loop_io_remove(struct loop_io *io)
{
    if (!io || io->removed)
        return;
    io->removed = true;
    /* The descriptor may be closed already, which has removed it from the set. */
    (void)epoll_ctl(io->loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    if (io->kind != WATCH_IO)
        io_close(&io->fd);
    if (io->previous)
        io->previous->next = io->next;
    else
        io->loop->watches = io->next;
    if (io->next)
        io->next->previous = io->previous;
    io->next = io->loop->dead;
    io->loop->dead = io;
}

static void insert_timer(struct loop_timer *timer)
{
    struct loop_timer **at = &timer->loop->timers;

    while (*at && (*at)->due_ms <= timer->due_ms)
        at = &(*at)->next;
    timer->next = *at;
    *at = timer;
    timer->armed = true;
}

static void unlink_timer(struct loop_timer *timer)
{
    struct loop_timer **at = &timer->loop->timers;

    while (*at && *at != timer)
        at = &(*at)->next;
    if (*at)
        *at = timer->next;
    timer->armed = false;
}

int loop_add_timer(struct loop *loop, int64_t after_ms, loop_timer_fn *fn, void *ctx,
                   struct loop_timer **ret_timer, struct error *err)
{
    struct loop_timer *timer = calloc(1, sizeof *timer);

    if (!timer)
        return error_no_memory(err);
    timer->loop = loop;
    timer->fn = fn;
    timer->ctx = ctx;
    timer->due_ms = clock_monotonic_ms() + after_ms;
    insert_timer(timer);
    if (ret_timer)
        *ret_timer = timer;
    return 0;
}

void loop_timer_set(struct loop_timer *timer, int64_t after_ms)
{
    if (timer->armed)
        unlink_timer(timer);
    timer->due_ms = clock_monotonic_ms() + after_ms;
    insert_timer(timer);
}

void loop_timer_remove(struct loop_timer *timer)
{
    if (!timer)
        return;
    if (timer->armed)
        unlink_timer(timer);
    if (timer->firing)
        timer->loop = NULL; /* freed by fire_timers() once its callback is back */
    else
        free(timer);
}

static void fire_timers(struct loop *loop)
{
    int64_t now = clock_monotonic_ms();

    while (loop->timers && loop->timers->due_ms <= now && !loop->stopped) {
        struct loop_timer *timer = loop->timers;
        unlink_timer(timer);
        timer->firing = true;
        timer->fn(loop, timer->ctx);
        timer->firing = false;
        if (!timer->armed)
            free(timer);
    }
}

static int add_process(struct loop *loop, pid_t pid, bool reap, loop_child_fn *fn, void *ctx,
                       struct error *err)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd < 0)
        return error_errno(err, "cannot watch process %d", (int)pid);
    struct loop_io *io = calloc(1, sizeof *io);
    if (!io) {
        io_close(&fd);
        return error_no_memory(err);
    }
    io->kind = WATCH_PROCESS;
    io->pid = pid;
    io->reap = reap;
    io->fn.child = fn;
    io->ctx = ctx;
    if (add_watch(loop, fd, EPOLLIN, io, err) < 0) {
        io_close(&fd);
        return -1;
    }
    return 0;
}

int loop_add_child(struct loop *loop, pid_t pid, loop_child_fn *fn, void *ctx, struct error *err)
{
    return add_process(loop, pid, true, fn, ctx, err);
}

int loop_add_process(struct loop *loop, pid_t pid, loop_child_fn *fn, void *ctx, struct error *err)
{
    return add_process(loop, pid, false, fn, ctx, err);
}

int loop_add_signal(struct loop *loop, int signal, loop_signal_fn *fn, void *ctx, struct error *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, signal);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return error_errno(err, "cannot block signal %d", signal);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return error_errno(err, "cannot watch signal %d", signal);
    struct loop_io *io = calloc(1, sizeof *io);
    if (!io) {
        io_close(&fd);
        return error_no_memory(err);
    }
    io->kind = WATCH_SIGNAL;
    io->fn.signal = fn;
    io->ctx = ctx;
    if (add_watch(loop, fd, EPOLLIN, io, err) < 0) {
        io_close(&fd);
        return -1;
    }
    return 0;
}

static void process_ended(struct loop_io *io)
{
    struct loop *loop = io->loop;
    loop_child_fn *fn = io->fn.child;
    void *ctx = io->ctx;
    pid_t pid = io->pid;
    int status = 0;

    if (io->reap) {
        pid_t got;
        do
            got = waitpid(pid, &status, 0);
        while (got < 0 && errno == EINTR);
    }
    loop_io_remove(io);
    fn(loop, pid, status, ctx);
}

static void dispatch(struct loop_io *io, uint32_t events)
{
    struct signalfd_siginfo info;

    switch (io->kind) {
    case WATCH_IO:
        io->fn.io(io->loop, io->fd, events, io->ctx);
        break;
    case WATCH_PROCESS:
        process_ended(io);
        break;
    case WATCH_SIGNAL:
        if (read(io->fd, &info, sizeof info) == (ssize_t)sizeof info)
            io->fn.signal(io->loop, (int)info.ssi_signo, io->ctx);
        break;
    }
}

static int wait_ms(const struct loop *loop, int timeout_ms)
{
    if (!loop->timers)
        return timeout_ms;
    int64_t left = loop->timers->due_ms - clock_monotonic_ms();
    if (left < 0)
        left = 0;
    if (left > INT_MAX)
        left = INT_MAX;
    return timeout_ms >= 0 && timeout_ms < left ? timeout_ms : (int)left;
}

int loop_turn(struct loop *loop, int timeout_ms, struct error *err)
{
    struct epoll_event events[TURN_EVENTS];
    int count = epoll_wait(loop->epoll_fd, events, TURN_EVENTS, wait_ms(loop, timeout_ms));

    if (count < 0 && errno != EINTR)
        return error_errno(err, "cannot wait for events");
    for (int i = 0; i < count && !loop->stopped; i++) {
        struct loop_io *io = events[i].data.ptr;
        if (!io->removed)
            dispatch(io, events[i].events);
    }
    fire_timers(loop);
    free_dead(loop);
    return 0;
}

int loop_run(struct loop *loop, struct error *err)
{
    while (!loop->stopped) {
        if (loop_turn(loop, -1, err) < 0)
            return -1;
    }
    return 0;
}
