/* base/loop.h - the event loop of a daemon process: descriptors, timers, children, signals.
 *
 * One thread, one loop. A callback never blocks. Handles may be removed inside any callback, their
 * own included. A loop owns its handles: loop_free() frees those that are left. */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "base/error.h"

struct loop;
struct loop_io;
struct loop_timer;

NODISCARD int loop_new(struct loop **ret_loop, struct error *err);
void loop_free(struct loop *loop);
DEFINE_CLEANUP(loop, struct loop *, loop_free)

/* Until loop_stop(), or until a failed epoll (SYSTEM). */
NODISCARD int loop_run(struct loop *loop, struct error *err);
/* One turn: waits at most timeout_ms (-1: until something happens). */
NODISCARD int loop_turn(struct loop *loop, int timeout_ms, struct error *err);
void loop_stop(struct loop *loop);
bool loop_is_stopped(const struct loop *loop);

/* `events` as of epoll (EPOLLIN…, level-triggered). The descriptor stays the caller's; remove the
 * handle before closing it. */
typedef void loop_io_fn(struct loop *loop, int fd, uint32_t events, void *ctx);
NODISCARD int loop_add_io(struct loop *loop, int fd, uint32_t events, loop_io_fn *fn, void *ctx,
                          struct loop_io **ret_io, struct error *err);
NODISCARD int loop_io_set(struct loop_io *io, uint32_t events, struct error *err);
void loop_io_remove(struct loop_io *io); /* NULL is allowed */

/* Fires once after `after_ms` (0: in the next turn), then is free; set again with loop_timer_set()
 * inside the callback to repeat. ret_timer may be NULL if it never needs to be touched. */
typedef void loop_timer_fn(struct loop *loop, void *ctx);
NODISCARD int loop_add_timer(struct loop *loop, int64_t after_ms, loop_timer_fn *fn, void *ctx,
                             struct loop_timer **ret_timer, struct error *err);
void loop_timer_set(struct loop_timer *timer,
                    int64_t after_ms);            /* move, or arm again in its callback */
void loop_timer_remove(struct loop_timer *timer); /* NULL is allowed */

/* Once, when the child ends; it is reaped, and `status` is as of waitpid. */
typedef void loop_child_fn(struct loop *loop, pid_t pid, int status, void *ctx);
NODISCARD int loop_add_child(struct loop *loop, pid_t pid, loop_child_fn *fn, void *ctx,
                             struct error *err);
/* Once, when the process ends, child or not (status unknown). */
NODISCARD int loop_add_process(struct loop *loop, pid_t pid, loop_child_fn *fn, void *ctx,
                               struct error *err);
/* The signal is blocked and arrives here instead. */
typedef void loop_signal_fn(struct loop *loop, int signal, void *ctx);
NODISCARD int loop_add_signal(struct loop *loop, int signal, loop_signal_fn *fn, void *ctx,
                              struct error *err);
