/* base/io.c - see base/io.h. */
#include "base/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { COPY_CHUNK = 1 << 20, LISTEN_BACKLOG = 512 };

void io_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* nothing can be done about a late write error of a file not synced */
    *fd = -1;
}

int io_read(int fd, void *bytes, size_t len, size_t *ret_got, struct error *err)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = read(fd, (char *)bytes + got, len - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "cannot read");
        if (n == 0)
            break;
        got += (size_t)n;
    }
    *ret_got = got;
    return 0;
}

int io_read_exact(int fd, void *bytes, size_t len, struct error *err)
{
    size_t got;

    if (io_read(fd, bytes, len, &got, err) < 0)
        return -1;
    if (got != len)
        return error_set(err, ERR_INVALID, "unexpected end: %zu of %zu bytes", got, len);
    return 0;
}

int io_read_all(int fd, struct buf *out, struct error *err)
{
    size_t chunk = 16384;

    for (;;) {
        size_t room = out->limit > out->len ? out->limit - out->len : 0;
        char *at = buf_room(out, room < chunk ? room : chunk);
        if (!at)
            return buf_ok(out, err);
        if (room == 0) { /* full: only an end of file is fine now */
            char extra;
            size_t got;
            if (io_read(fd, &extra, 1, &got, err) < 0)
                return -1;
            if (got == 0)
                return 0;
            return error_set(err, ERR_LIMIT, "more than %zu bytes", out->limit);
        }
        ssize_t n = read(fd, at, room < chunk ? room : chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "cannot read");
        if (n == 0)
            return 0;
        buf_grew(out, (size_t)n);
        if (chunk < COPY_CHUNK)
            chunk *= 2;
    }
}

int io_write(int fd, const void *bytes, size_t len, struct error *err)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = write(fd, (const char *)bytes + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            if (poll(&wait, 1, -1) < 0 && errno != EINTR)
                return error_errno(err, "cannot wait to write");
            continue;
        }
        if (n < 0)
            return error_errno(err, "cannot write");
        done += (size_t)n;
    }
    return 0;
}

int io_copy(int from_fd, int to_fd, uint64_t *ret_bytes, struct error *err)
{
    CLEANUP(text) char *chunk = malloc(COPY_CHUNK);
    uint64_t total = 0;

    if (!chunk)
        return error_no_memory(err);
    for (;;) {
        size_t got;
        if (io_read(from_fd, chunk, COPY_CHUNK, &got, err) < 0)
            return -1;
        if (io_write(to_fd, chunk, got, err) < 0)
            return -1;
        total += got;
        if (got < COPY_CHUNK)
            break;
    }
    if (ret_bytes)
        *ret_bytes = total;
    return 0;
}

int io_send_fd(int socket_fd, struct str bytes, int fd, struct error *err)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes.ptr, .iov_len = bytes.len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd >= 0) {
        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
        struct cmsghdr *item = CMSG_FIRSTHDR(&message);
        item->cmsg_level = SOL_SOCKET;
        item->cmsg_type = SCM_RIGHTS;
        item->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(item), &fd, sizeof fd);
    }
    for (;;) {
        ssize_t n = sendmsg(socket_fd, &message, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, "cannot send");
        if ((size_t)n < bytes.len) /* a stream socket: the descriptor went with the first part */
            return io_write(socket_fd, bytes.ptr + n, bytes.len - (size_t)n, err);
        return 0;
    }
}

int io_recv_fd(int socket_fd, void *bytes, size_t size, size_t *ret_len, int *ret_fd,
               struct error *err)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    ssize_t n;

    do
        n = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_errno(err, "cannot receive");

    int fd = -1;
    struct cmsghdr *item = CMSG_FIRSTHDR(&message);
    if (item && item->cmsg_level == SOL_SOCKET && item->cmsg_type == SCM_RIGHTS &&
        item->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(item), sizeof fd);
    if (ret_fd)
        *ret_fd = fd;
    else
        io_close(&fd);
    *ret_len = (size_t)n;
    return 0;
}

/* sun_path holds 108 bytes; a longer path goes through a descriptor of its folder. */
static int unix_address(const char *path, struct sockaddr_un *address, int *ret_dir_fd,
                        struct error *err)
{
    const char *slash = strrchr(path, '/');

    *ret_dir_fd = -1;
    address->sun_family = AF_UNIX;
    if (strlen(path) < sizeof address->sun_path) {
        memcpy(address->sun_path, path, strlen(path) + 1);
        return 0;
    }
    CLEANUP(text) char *dir = str_dup(str_slice(path, slash ? (size_t)(slash - path) : 0));
    if (!dir)
        return error_no_memory(err);
    int fd = open(slash ? dir : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "cannot open the folder of '%s'", path);
    int need = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", fd,
                        slash ? slash + 1 : path);
    if (need < 0 || (size_t)need >= sizeof address->sun_path) {
        io_close(&fd);
        return error_set(err, ERR_LIMIT, "the name of socket '%s' is too long", path);
    }
    *ret_dir_fd = fd;
    return 0;
}

int io_listen_unix(const char *path, mode_t mode, int *ret_fd, struct error *err)
{
    struct sockaddr_un address = {0};
    CLEANUP(fd) int dir_fd = -1;
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return error_errno(err, "cannot make a socket");
    if (unix_address(path, &address, &dir_fd, err) < 0)
        return -1;
    if (unlink(path) < 0 && errno != ENOENT)
        return error_errno(err, "cannot remove the old socket '%s'", path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(path, mode) < 0 ||
        listen(fd, LISTEN_BACKLOG) < 0)
        return error_errno(err, "cannot listen on '%s'", path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int io_connect_unix(const char *path, int *ret_fd, struct error *err)
{
    struct sockaddr_un address = {0};
    CLEANUP(fd) int dir_fd = -1;
    CLEANUP(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return error_errno(err, "cannot make a socket");
    if (unix_address(path, &address, &dir_fd, err) < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return error_errno(err, "cannot connect to '%s'", path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int io_socket_in_netns(int netns_fd, int domain, int type, int protocol, int *ret_fd,
                       struct error *err)
{
    CLEANUP(fd) int here = -1;

    if (netns_fd >= 0) {
        here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (here < 0)
            return error_errno(err, "cannot open our network namespace");
        if (setns(netns_fd, CLONE_NEWNET) < 0)
            return error_errno(err, "cannot enter the network namespace");
    }
    int fd = socket(domain, type | SOCK_CLOEXEC, protocol);
    int saved = errno;
    if (netns_fd >= 0 && setns(here, CLONE_NEWNET) < 0) {
        /* Going on in a foreign namespace would break every promise of separation. */
        abort();
    }
    errno = saved;
    if (fd < 0)
        return error_errno(err, "cannot make a socket");
    *ret_fd = fd;
    return 0;
}

static int ip4_address(const char *address, uint16_t port, struct sockaddr_in *ret,
                       struct error *err)
{
    ret->sin_family = AF_INET;
    ret->sin_port = htons(port);
    if (inet_pton(AF_INET, address, &ret->sin_addr) != 1)
        return error_set(err, ERR_INVALID, "'%s' is not an IPv4 address", address);
    return 0;
}

int io_listen_tcp(const char *address, uint16_t port, int netns_fd, int *ret_fd, uint16_t *ret_port,
                  struct error *err)
{
    struct sockaddr_in at = {0};
    socklen_t size = sizeof at;
    CLEANUP(fd) int fd = -1;
    int on = 1;

    if (ip4_address(address, port, &at, err) < 0)
        return -1;
    if (io_socket_in_netns(netns_fd, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, &fd, err) < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, LISTEN_BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) < 0)
        return error_errno(err, "cannot listen on %s:%u", address, port);
    if (ret_port)
        *ret_port = ntohs(at.sin_port);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int wait_connected(int fd, int timeout_ms, struct error *err)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int reason = 0;
    socklen_t size = sizeof reason;
    int ready;

    do
        ready = poll(&wait, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        return error_set(err, ERR_TIMEOUT, "no answer within %d ms", timeout_ms);
    if (ready < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size) < 0)
        return error_errno(err, "cannot wait for the connection");
    errno = reason;
    return reason ? error_errno(err, "cannot connect") : 0;
}

int io_connect_tcp(const char *address, uint16_t port, int timeout_ms, int netns_fd, int *ret_fd,
                   struct error *err)
{
    struct sockaddr_in to = {0};
    CLEANUP(fd) int fd = -1;
    int on = 1;

    if (ip4_address(address, port, &to, err) < 0)
        return -1;
    if (io_socket_in_netns(netns_fd, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, &fd, err) < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        if (errno != EINPROGRESS)
            return error_errno(err, "cannot connect to %s:%u", address, port);
        if (wait_connected(fd, timeout_ms, err) < 0)
            return error_wrap(err, "connecting to %s:%u", address, port);
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        return error_errno(err, "cannot set up the connection to %s:%u", address, port);
    *ret_fd = TAKE_FD(fd);
    return 0;
}
