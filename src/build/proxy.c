/* build/proxy.c - see proxy.h. */
#include "build/proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"

enum { NOBODY = 65534, COPY_SIZE = 64 << 10 };

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

int proxy_parse_connect(struct str head, char ret_host[PROXY_HOST_MAX], uint16_t *ret_port)
{
    static const struct str method = {"CONNECT ", 8};
    ptrdiff_t end = str_find_text(head, STR("\r\n\r\n"));
    uint64_t port;

    if (!str_starts(head, str_first(method, head.len)))
        return -1;
    if (end < 0)
        return head.len >= PROXY_HEAD_MAX ? -1 : 0;

    struct str rest = str_skip(head, method.len);
    struct str line = str_cut(&rest, '\r');
    struct str target = str_cut(&line, ' ');
    if (!str_is(line, "HTTP/1.1") && !str_is(line, "HTTP/1.0"))
        return -1;
    struct str host = str_cut(&target, ':');
    if (!str_to_u64(target, &port) || port == 0 || port > 65535)
        return -1;
    if (host.len == 0 || host.len >= PROXY_HOST_MAX)
        return -1;
    for (size_t i = 0; i < host.len; i++) {
        if (!is_host_char(host.ptr[i]))
            return -1;
    }
    for (size_t i = 0; i < host.len; i++)
        ret_host[i] = lower(host.ptr[i]);
    ret_host[host.len] = 0;
    *ret_port = (uint16_t)port;
    return 1;
}

bool proxy_allows(const char *const *allow_hosts, const char *host, uint16_t port)
{
    struct str wanted = str_of(host);

    for (size_t i = 0; allow_hosts[i]; i++) {
        struct str rest = str_of(allow_hosts[i]);
        struct str name = str_cut(&rest, ':');
        uint64_t allowed_port = 443;

        if (rest.ptr && !str_to_u64(rest, &allowed_port))
            continue;
        if (allowed_port != port || name.len == 0)
            continue;
        if (name.ptr[0] == '.' ? wanted.len > name.len && str_ends(wanted, name)
                               : str_equal(wanted, name))
            return true;
    }
    return false;
}

/* Everything here is read from a hostile peer, so it is done without any privilege. */
static void drop_privileges(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(1);
    if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
        _exit(1);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* after setuid(), which clears it */
}

static void answer(int fd, const char *status)
{
    char text[128];
    struct error ignored = ERROR_INIT;
    int len = snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status);

    if (io_write(fd, text, (size_t)len, &ignored) < 0)
        _exit(1); /* the client is gone */
}

static bool readable(int fd, int64_t deadline_ms)
{
    struct pollfd p = {fd, POLLIN, 0};
    int64_t left;

    while ((left = deadline_ms - clock_monotonic_ms()) > 0) {
        int got = poll(&p, 1, (int)left);
        if (got > 0)
            return true;
        if (got < 0 && errno != EINTR)
            return false;
    }
    return false;
}

/* The request's head; what the client may have sent beyond it is refused: no client speaks before
 * the answer. */
static int read_head(int fd, char host[PROXY_HOST_MAX], uint16_t *port)
{
    char head[PROXY_HEAD_MAX];
    size_t len = 0;
    int64_t deadline = clock_monotonic_ms() + PROXY_HEAD_TIMEOUT_MS;

    while (len < sizeof(head) && readable(fd, deadline)) {
        ssize_t got = read(fd, head + len, sizeof(head) - len);
        if (got <= 0)
            return -1;
        len += (size_t)got;
        int parsed = proxy_parse_connect(str_slice(head, len), host, port);
        if (parsed != 0)
            return parsed;
    }
    return -1;
}

static int connect_out(const char *host, uint16_t port)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const struct timeval patience = {PROXY_CONNECT_TIMEOUT_MS / 1000, 0};
    char service[8];
    int fd = -1;

    snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return -1;
    for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd < 0)
            continue;
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        if (connect(fd, a->ai_addr, a->ai_addrlen) < 0)
            io_close(&fd);
    }
    freeaddrinfo(found);
    return fd;
}

/* Bytes that are there, from one to the other. False at the end. */
static bool copy_some(int from, int to)
{
    char room[COPY_SIZE];
    struct error ignored = ERROR_INIT;
    ssize_t got = read(from, room, sizeof(room));

    if (got > 0 && io_write(to, room, (size_t)got, &ignored) == 0)
        return true;
    (void)shutdown(to, SHUT_WR);
    return false;
}

static void relay(int a, int b)
{
    struct pollfd polls[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};

    while (polls[0].fd >= 0 || polls[1].fd >= 0) {
        if (poll(polls, 2, PROXY_IDLE_TIMEOUT_MS) <= 0)
            return;
        if (polls[0].fd >= 0 && polls[0].revents && !copy_some(a, b))
            polls[0].fd = -1;
        if (polls[1].fd >= 0 && polls[1].revents && !copy_some(b, a))
            polls[1].fd = -1;
    }
}

static void serve_client(int fd, const char *const *allow_hosts, int refused_fd)
{
    char host[PROXY_HOST_MAX], line[PROXY_HOST_MAX + 16];
    uint16_t port;

    if (read_head(fd, host, &port) < 0) {
        answer(fd, "400 Only CONNECT is served");
        return;
    }
    if (!proxy_allows(allow_hosts, host, port)) {
        int len = snprintf(line, sizeof(line), "%s:%u\n", host, port);
        if (write(refused_fd, line, (size_t)len) < 0)
            _exit(1); /* nobody listens any more */
        answer(fd, "403 This host is not allowed");
        return;
    }
    int out = connect_out(host, port);
    if (out < 0) {
        answer(fd, "502 The host cannot be reached");
        return;
    }
    answer(fd, "200 Connected");
    relay(fd, out);
}

void proxy_serve(int listen_fd, const char *const *allow_hosts, int refused_fd)
{
    unsigned running = 0;

    drop_privileges();
    if (fcntl(listen_fd, F_SETFL, 0) < 0) /* one thing is done here: waiting for clients */
        _exit(1);
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
            _exit(1);
        while (running > 0 && waitpid(-1, NULL, running >= PROXY_CONNECTIONS_MAX ? 0 : WNOHANG) > 0)
            running--;
        if (fd < 0)
            continue;
        pid_t pid = fork();
        if (pid == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve_client(fd, allow_hosts, refused_fd);
            _exit(0);
        }
        if (pid > 0)
            running++;
        close(fd);
    }
}
