/* wire/http_stream.c - answers that grow.
 *
 * libmicrohttpd asks for bytes whenever the socket takes some. With none at hand the connection is
 * suspended; the next write resumes it. A suspended connection is not watched by libmicrohttpd, so
 * the client's end is watched for here. */
#include "wire/http_internal.h"

#include <sys/socket.h>

#include "base/log.h"

enum { BLOCK_SIZE = 32 << 10, COMPACT_AT = 256 << 10 };

static void resume(struct http_stream *stream)
{
    if (!stream->is_suspended)
        return;
    stream->is_suspended = false;
    http_server_resume(stream->req->server, stream->req->connection);
}

static ssize_t on_read(void *ctx, uint64_t position, char *bytes, size_t max)
{
    struct http_stream *stream = ctx;
    size_t left = stream->pending.len - stream->sent;

    if (stream->is_cut)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (left == 0 && !stream->is_open)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (left == 0) {
        stream->is_suspended = true;
        MHD_suspend_connection(stream->req->connection);
        return 0;
    }
    size_t count = left < max ? left : max;
    memcpy(bytes, stream->pending.ptr + stream->sent, count);
    stream->sent += count;
    if (stream->sent == stream->pending.len) {
        buf_clear(&stream->pending);
        stream->sent = 0;
    } else if (stream->sent >= COMPACT_AT && stream->sent >= left) { /* each byte moves once */
        buf_drop(&stream->pending, stream->sent);
        stream->sent = 0;
    }
    return (ssize_t)count;
}

static int client_fd(const struct http_stream *stream)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(stream->req->connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    return info ? info->connect_fd : -1;
}

/* No further byte: the socket is shut, which libmicrohttpd sees even while it waits to write. */
static void cut(struct http_stream *stream)
{
    stream->is_cut = true;
    (void)shutdown(client_fd(stream), SHUT_RDWR); /* it may be closed by the client already */
    resume(stream);
}

void http_stream_over(struct http_stream *stream)
{
    if (stream->gone_io) {
        loop_io_remove(stream->gone_io);
        stream->gone_io = NULL;
    }
    if (stream->is_open) {
        stream->is_open = false;
        if (stream->on_gone)
            stream->on_gone(stream, stream->ctx);
    }
    if (stream->is_suspended)
        cut(stream);
}

void http_stream_done(struct http_stream *stream)
{
    loop_io_remove(stream->gone_io);
    stream->gone_io = NULL;
    buf_done(&stream->pending);
}

static void on_client_end(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct http_stream *stream = ctx;

    stream->is_cut = true;
    http_stream_over(stream);
    cut(stream);
}

struct http_stream *http_respond_stream(struct http_request *req, int status,
                                        const struct http_header *headers, size_t pending_max,
                                        http_gone_fn *on_gone, void *ctx)
{
    struct http_stream *stream = &req->stream;
    struct error err = ERROR_INIT;

    stream->req = req;
    stream->pending_max = pending_max;
    stream->pending = (struct buf)BUF_INIT(2 * pending_max + 2 * COMPACT_AT);
    stream->on_gone = on_gone;
    stream->ctx = ctx;
    stream->is_open = true;
    if (loop_add_io(req->server->loop, client_fd(stream), EPOLLRDHUP, on_client_end, stream,
                    &stream->gone_io, &err) < 0)
        log_warn("a client's end will be seen late", log_err(&err));
    http_request_answer(
        req, status, headers,
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, on_read, stream, NULL));
    return stream;
}

size_t http_stream_pending(const struct http_stream *stream)
{
    return stream->pending.len - stream->sent;
}

void http_stream_write(struct http_stream *stream, struct str bytes)
{
    if (!stream->is_open || stream->is_cut || bytes.len == 0)
        return;
    if (bytes.len > stream->pending_max ||
        http_stream_pending(stream) > stream->pending_max - bytes.len) {
        cut(stream); /* on_gone follows from the loop, never from within a write */
        return;
    }
    buf_add_str(&stream->pending, bytes);
    if (stream->pending.failed)
        cut(stream);
    else
        resume(stream);
}

void http_stream_end(struct http_stream *stream)
{
    if (!stream->is_open)
        return;
    stream->is_open = false;
    resume(stream);
}
