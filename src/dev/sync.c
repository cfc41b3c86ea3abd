/* dev/sync.c - see dev/sync.h. Frames: launcher/live.h. */
#include "dev/sync.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../launcher/live.h"
#include "base/clock.h"
#include "base/fs.h"

enum {
    SYNC_RETRY_MS = 100,
    SYNC_ANSWER_MAX = 1 << 20,
    SYNC_OUT_MAX = 1 << 30,
    SYNC_COMMITS_MAX = 64, /* commits whose answers are still to come */
    SYNC_READ = 65536,
};

struct sync {
    struct loop *loop; /* borrowed */
    struct sync_options options;
    char *root, *host, *token; /* owned: behind options */
    struct loop_io *io;
    struct loop_timer *timer;
    struct buf in, out;
    size_t sent; /* of out */
    int64_t since_ms[SYNC_COMMITS_MAX];
    size_t open_commits;
    int fd;
    bool is_connected; /* the agent has answered to the token */
};

static void reconnect(struct sync *sync, const char *why);

static void add_frame(struct buf *out, char type, struct str payload)
{
    uint32_t len = htonl((uint32_t)payload.len);
    char header[LIVE_HEADER_SIZE] = {type};

    memcpy(header + 4, &len, sizeof len);
    buf_add(out, header, sizeof header);
    buf_add_str(out, payload);
}

static void add_number(struct buf *out, uint32_t number)
{
    uint32_t big = htonl(number);
    buf_add(out, &big, sizeof big);
}

/* Does nothing if there is nothing to write, or it cannot be written now. */
static void flush(struct sync *sync)
{
    struct error lost = ERROR_INIT;

    while (sync->sent < sync->out.len) {
        ssize_t n = send(sync->fd, sync->out.ptr + sync->sent, sync->out.len - sync->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN) {
            reconnect(sync, strerror(errno));
            return;
        }
        if (n < 0)
            break;
        sync->sent += (size_t)n;
    }
    if (sync->sent == sync->out.len) {
        buf_clear(&sync->out);
        sync->sent = 0;
    }
    uint32_t events = EPOLLIN | (sync->out.len ? EPOLLOUT : 0U);
    if (loop_io_set(sync->io, events, &lost) < 0)
        reconnect(sync, lost.text);
}

static void on_frame(struct sync *sync, char type, struct str payload)
{
    struct error lost = ERROR_INIT;
    CLEANUP(json) json_t *message = NULL;

    if (json_parse("live update", payload, &message, &lost) < 0)
        return; /* a strange agent: its next frame may be better */
    if (type == 'S' && !sync->is_connected) {
        sync->is_connected = true;
        sync->options.on_connected(true, "", sync->options.ctx);
    } else if (type == 'R' && sync->open_commits > 0) {
        int64_t since = sync->since_ms[0];
        sync->open_commits--;
        memmove(sync->since_ms, sync->since_ms + 1, sync->open_commits * sizeof(int64_t));
        sync->options.on_commit(message, clock_monotonic_ms() - since, sync->options.ctx);
    }
}

static void read_frames(struct sync *sync)
{
    while (sync->in.len >= LIVE_HEADER_SIZE) {
        uint32_t big;
        memcpy(&big, sync->in.ptr + 4, sizeof big);
        size_t len = ntohl(big);
        if (len > SYNC_ANSWER_MAX - LIVE_HEADER_SIZE) {
            reconnect(sync, "the live-update agent speaks something else");
            return;
        }
        if (sync->in.len < LIVE_HEADER_SIZE + len)
            return;
        on_frame(sync, sync->in.ptr[0], str_slice(sync->in.ptr + LIVE_HEADER_SIZE, len));
        buf_drop(&sync->in, LIVE_HEADER_SIZE + len);
    }
}

static void on_ready(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct sync *sync = ctx;

    if (events & EPOLLOUT)
        flush(sync);
    if (sync->fd != fd || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    char *room = buf_room(&sync->in, SYNC_READ);
    ssize_t got = room ? recv(fd, room, SYNC_READ, MSG_DONTWAIT) : 0;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        reconnect(sync, got < 0 ? strerror(errno) : "the container ended");
        return;
    }
    buf_grew(&sync->in, (size_t)got);
    read_frames(sync);
}

static void close_connection(struct sync *sync)
{
    loop_io_remove(sync->io);
    sync->io = NULL;
    io_close(&sync->fd);
    buf_clear(&sync->in);
    buf_clear(&sync->out);
    sync->sent = 0;
    sync->open_commits = 0;
}

static int connect_now(struct sync *sync, struct error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(sync->options.port)};
    int one = 1;

    if (inet_pton(AF_INET, sync->host, &address.sin_addr) != 1)
        return error_set(err, ERR_INVALID, "'%s' is no address", sync->host);
    sync->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sync->fd < 0)
        return error_errno(err, "cannot make a socket");
    (void)setsockopt(sync->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* only slower */
    if (connect(sync->fd, (const void *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        return error_errno(err, "connecting to the live-update agent");
    add_frame(&sync->out, 'A', str_of(sync->token));
    return loop_add_io(sync->loop, sync->fd, EPOLLIN | EPOLLOUT, on_ready, sync, &sync->io, err);
}

static void on_retry(struct loop *loop, void *ctx)
{
    struct sync *sync = ctx;
    struct error err = ERROR_INIT;

    sync->timer = NULL;
    if (connect_now(sync, &err) < 0)
        reconnect(sync, err.text);
}

static void reconnect(struct sync *sync, const char *why)
{
    struct error lost = ERROR_INIT;
    bool was_connected = sync->is_connected;

    close_connection(sync);
    sync->is_connected = false;
    /* Without memory for a timer the next save says that nobody is there. */
    if (!sync->timer)
        (void)!loop_add_timer(sync->loop, SYNC_RETRY_MS, on_retry, sync, &sync->timer, &lost);
    if (was_connected)
        sync->options.on_connected(false, why, sync->options.ctx);
}

int sync_start(struct loop *loop, const struct sync_options *options, struct sync **ret,
               struct error *err)
{
    CLEANUP(sync) struct sync *sync = calloc(1, sizeof *sync);

    if (!sync)
        return error_no_memory(err);
    *sync = (struct sync){.loop = loop,
                          .options = *options,
                          .root = str_dup(str_of(options->root)),
                          .host = str_dup(str_of(options->host)),
                          .token = str_dup(str_of(options->token)),
                          .in = BUF_INIT(SYNC_ANSWER_MAX + SYNC_READ),
                          .out = BUF_INIT(SYNC_OUT_MAX),
                          .fd = -1};
    if (!sync->root || !sync->host || !sync->token)
        return error_no_memory(err);
    if (loop_add_timer(loop, 0, on_retry, sync, &sync->timer, err) < 0)
        return -1;
    *ret = TAKE(sync);
    return 0;
}

bool sync_is_connected(const struct sync *sync)
{
    return sync && sync->is_connected;
}

/* F, and P for what does not fit into one frame. */
static int add_file(struct sync *sync, const char *full, const char *path, mode_t mode,
                    struct error *err)
{
    CLEANUP(buf) struct buf contents = BUF_INIT(SYNC_FILE_MAX);
    CLEANUP(buf) struct buf first = BUF_INIT(LIVE_FRAME_MAX);

    if (fs_read_at(AT_FDCWD, full, &contents, err) < 0)
        return -1;
    struct str rest = buf_str(&contents);
    add_number(&first, mode & 0777);
    add_number(&first, (uint32_t)strlen(path));
    buf_add_text(&first, path);
    struct str part = str_first(rest, LIVE_FRAME_MAX - first.len);
    buf_add_str(&first, part);
    if (buf_ok(&first, err) < 0)
        return -1;
    add_frame(&sync->out, 'F', buf_str(&first));
    for (rest = str_skip(rest, part.len); rest.len > 0; rest = str_skip(rest, part.len)) {
        part = str_first(rest, LIVE_FRAME_MAX);
        add_frame(&sync->out, 'P', part);
    }
    return 0;
}

static int add_link(struct sync *sync, const char *full, const char *path, struct error *err)
{
    CLEANUP(buf) struct buf target = BUF_INIT(4096);
    CLEANUP(buf) struct buf payload = BUF_INIT(16384);

    if (fs_read_link(AT_FDCWD, full, &target, err) < 0)
        return -1;
    add_number(&payload, (uint32_t)strlen(path));
    buf_add_text(&payload, path);
    buf_add_str(&payload, buf_str(&target));
    if (buf_ok(&payload, err) < 0)
        return -1;
    add_frame(&sync->out, 'L', buf_str(&payload));
    return 0;
}

static int add_change(struct sync *sync, const struct tree_change *change, struct error *err)
{
    CLEANUP(text) char *full = fs_join(sync->root, change->path);
    struct stat info;

    if (!full)
        return error_no_memory(err);
    if (change->is_gone || lstat(full, &info) < 0) {
        add_frame(&sync->out, 'D', str_of(change->path));
        return 0;
    }
    if (S_ISLNK(info.st_mode))
        return add_link(sync, full, change->path, err);
    return S_ISREG(info.st_mode) ? add_file(sync, full, change->path, info.st_mode, err) : 0;
}

int sync_send(struct sync *sync, const struct tree_change *changes, size_t count, int64_t since_ms,
              struct error *err)
{
    if (!sync->is_connected)
        return error_set(err, ERR_UNAVAILABLE, "the container is not there yet");
    if (sync->open_commits >= SYNC_COMMITS_MAX)
        return error_set(err, ERR_LIMIT, "too many saves at once");
    for (size_t i = 0; i < count; i++) {
        if (add_change(sync, &changes[i], err) < 0)
            error_clear(err); /* gone or unreadable in between: the next event tells */
    }
    add_frame(&sync->out, 'C', STR("r"));
    if (buf_ok(&sync->out, err) < 0) {
        reconnect(sync, err->text);
        return -1;
    }
    sync->since_ms[sync->open_commits++] = since_ms;
    flush(sync);
    return 0;
}

void sync_free(struct sync *sync)
{
    if (!sync)
        return;
    close_connection(sync);
    loop_timer_remove(sync->timer);
    buf_done(&sync->in);
    buf_done(&sync->out);
    free(sync->root);
    free(sync->host);
    free(sync->token);
    free(sync);
}
