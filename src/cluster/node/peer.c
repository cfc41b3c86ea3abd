/* cluster/node/peer.c - see peer.h. */
#include "cluster/node/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"

enum { PEER_READ_SIZE = 64 << 10, PEER_HEADER_SIZE = 4 };

struct peer {
    struct loop *loop;  /* borrowed */
    struct loop_io *io; /* owned by the loop */
    int fd;
    struct buf in;
    struct buf out;
    size_t sent; /* bytes of `out` that are gone */
    bool failed; /* sticky */
    bool in_callback, freed;
    peer_message_fn *on_message;
    peer_end_fn *on_end;
    void *ctx;
};

int peer_take_frame(struct buf *in, json_t **ret_message, struct error *err)
{
    const uint8_t *h = (const uint8_t *)in->ptr;

    if (in->len < PEER_HEADER_SIZE)
        return 0;
    size_t len = (size_t)h[0] | (size_t)h[1] << 8 | (size_t)h[2] << 16 | (size_t)h[3] << 24;
    if (len > PEER_FRAME_MAX)
        return error_set(err, ERR_LIMIT, "a message of %zu bytes: at most %d", len, PEER_FRAME_MAX);
    if (in->len < PEER_HEADER_SIZE + len)
        return 0;
    CLEANUP(json) json_t *message = NULL;
    if (json_parse("message", str_slice(in->ptr + PEER_HEADER_SIZE, len), &message, err) < 0)
        return -1;
    if (!json_is_object(message) || !json_str_at(message, "type"))
        return error_set(err, ERR_INVALID, "a message without a type");
    buf_drop(in, PEER_HEADER_SIZE + len);
    *ret_message = TAKE(message);
    return 1;
}

static void end(struct peer *peer, const struct error *err)
{
    if (peer->failed && !peer->io)
        return;
    peer->failed = true;
    loop_io_remove(TAKE(peer->io));
    peer->on_end(peer, err, peer->ctx);
}

static void flush(struct peer *peer)
{
    struct error err = ERROR_INIT;

    while (peer->sent < peer->out.len) {
        ssize_t n = send(peer->fd, peer->out.ptr + peer->sent, peer->out.len - peer->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break; /* full: the loop calls again; broken: reading tells */
        peer->sent += (size_t)n;
    }
    if (peer->sent == peer->out.len) {
        peer->sent = 0;
        buf_clear(&peer->out);
        if (peer->out.capacity > PEER_FRAME_MAX)
            buf_done(&peer->out);
        peer->out.limit = PEER_PENDING_MAX;
    }
    if (peer->io && loop_io_set(peer->io, EPOLLIN | (peer->out.len ? EPOLLOUT : 0U), &err) < 0)
        peer->failed = true;
}

static void deliver(struct peer *peer)
{
    struct error err = ERROR_INIT;
    int got;

    peer->in_callback = true;
    do {
        CLEANUP(json) json_t *message = NULL;
        got = peer_take_frame(&peer->in, &message, &err);
        if (got > 0)
            peer->on_message(peer, message, peer->ctx);
    } while (got > 0 && !peer->freed);
    peer->in_callback = false;
    if (peer->freed)
        peer_free(peer);
    else if (got < 0)
        end(peer, &err);
}

static void on_io(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct peer *peer = ctx;
    struct error err = ERROR_INIT;

    if (events & EPOLLOUT)
        flush(peer);
    if (peer->failed) {
        error_set(&err, ERR_LIMIT, "the other process does not keep up");
        end(peer, &err);
        return;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    char *room = buf_room(&peer->in, PEER_READ_SIZE);
    if (!room) {
        error_no_memory(&err);
        end(peer, &err);
        return;
    }
    ssize_t n = recv(fd, room, PEER_READ_SIZE, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        error_set(&err, ERR_UNAVAILABLE, "the other process is gone");
        end(peer, &err);
        return;
    }
    buf_grew(&peer->in, (size_t)n);
    deliver(peer);
}

int peer_new(struct loop *loop, int take_fd, peer_message_fn *on_message, peer_end_fn *on_end,
             void *ctx, struct peer **ret, struct error *err)
{
    CLEANUP(fd) int fd = take_fd;
    CLEANUP(peer) struct peer *peer = calloc(1, sizeof(*peer));

    if (!peer)
        return error_no_memory(err);
    *peer = (struct peer){.loop = loop,
                          .fd = TAKE_FD(fd),
                          .in = BUF_INIT(PEER_FRAME_MAX + PEER_READ_SIZE + PEER_HEADER_SIZE),
                          .out = BUF_INIT(PEER_PENDING_MAX),
                          .on_message = on_message,
                          .on_end = on_end,
                          .ctx = ctx};
    if (loop_add_io(loop, peer->fd, EPOLLIN, on_io, peer, &peer->io, err) < 0)
        return error_wrap(err, "listening to the other process");
    *ret = TAKE(peer);
    return 0;
}

void peer_free(struct peer *peer)
{
    if (!peer)
        return;
    loop_io_remove(TAKE(peer->io));
    if (peer->in_callback) { /* deliver() frees once its callback is back */
        peer->freed = true;
        return;
    }
    io_close(&peer->fd);
    buf_done(&peer->in);
    buf_done(&peer->out);
    free(peer);
}

void peer_send(struct peer *peer, json_t *take_message)
{
    CLEANUP(json) json_t *message = take_message;
    CLEANUP(buf) struct buf text = BUF_INIT(PEER_FRAME_MAX);
    struct error err = ERROR_INIT;

    if (peer->failed || peer->freed)
        return;
    if (!message || json_write(message, false, &text, &err) < 0) {
        peer->failed = true; /* a lost message would leave the two sides apart */
        return;
    }
    const uint8_t header[PEER_HEADER_SIZE] = {(uint8_t)text.len, (uint8_t)(text.len >> 8),
                                              (uint8_t)(text.len >> 16), (uint8_t)(text.len >> 24)};
    buf_add(&peer->out, header, sizeof(header));
    buf_add_str(&peer->out, buf_str(&text));
    if (peer->out.failed)
        peer->failed = true;
    flush(peer);
}
