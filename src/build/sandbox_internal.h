/* build/sandbox_internal.h - between sandbox.c (the builder's side) and sandbox_holder.c (the
 * supervisor).
 *
 * The two share a control socket (SOCK_SEQPACKET). The holder sends one message for each descriptor
 * of enum holder_fd, in that order, or one that begins with 'E' and holds the error text. Then the
 * builder keeps the socket open for as long as it wants the sandbox. */
#pragma once
#include "build/sandbox.h"

#define SANDBOX_MEMORY ((uint64_t)3 << 30) /* bytes: a large webpack build takes 2 GiB */
#define SANDBOX_DISK                                                                               \
    ((uint64_t)2 << 30) /* below it, so that a full disk is ENOSPC and no killed process */

enum holder_fd { /* folders, and the agent's connection */
                 HOLDER_WORKSPACE,
                 HOLDER_LAYERS,
                 HOLDER_LAYERS_UPPER,
                 HOLDER_PLATFORM,
                 HOLDER_AGENT,
                 HOLDER_FDS,
};
struct holder_message {
    char type;     /* 'D': a descriptor is with it; 'E': an error */
    uint8_t kind;  /* of the error: enum error_kind */
    uint16_t port; /* of the proxy */
    char text[1024];
};

struct holder {
    const struct sandbox_options *options;
    const char
        *dir; /* an empty folder of the host: the tmpfs is mounted there, in a private namespace */
    const char *id;
    int control_fd, output_fd, refused_fd;
};
/* In a fresh process: makes everything, serves until the builder is gone, removes everything. */
void holder_run(const struct holder *holder) __attribute__((noreturn));
