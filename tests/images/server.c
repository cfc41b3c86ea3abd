/* tests/images/server.c - a static HTTP server for tests: answers $MESSAGE and its host name; ends
 * at once on TERM.
 *
 * GET /            "MESSAGE HOSTNAME\n"          GET /env/NAME    the variable
 * GET /file/PATH   the file                      GET /crash       exits 3
 * GET /fail        from now on GET /health is 500; GET /health before that is 200
 * GET /connect/A.B.C.D/PORT   "yes\n" if a TCP connection is made within 300 ms, else "no\n"
 * GET /resolve/NAME           its address by the name server of /etc/resolv.conf, or "none\n" */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void on_term(int number)
{
    _exit(0);
}

static int can_connect(const char *address, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), code = 0;
    socklen_t size = sizeof(code);

    inet_pton(AF_INET, address, &to.sin_addr);
    connect(fd, (struct sockaddr *)&to, sizeof(to));
    struct pollfd waiting = {.fd = fd, .events = POLLOUT};
    int done = poll(&waiting, 1, 300) == 1 &&
               getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) == 0 && code == 0;
    close(fd);
    return done;
}

/* One A question by hand: a static program has no use for the C library's resolver. */
static void resolve(const char *name, char *out, size_t size)
{
    unsigned char packet[600] = {0x12, 0x34, 1, 0, 0, 1};
    size_t len = 12;
    char resolv[1000] = "", server[64] = "";
    int fd = open("/etc/resolv.conf", O_RDONLY);

    if (read(fd, resolv, sizeof(resolv) - 1) > 0 && strstr(resolv, "nameserver "))
        sscanf(strstr(resolv, "nameserver "), "nameserver %60s", server);
    close(fd);
    while (*name) {
        size_t label = strcspn(name, ".");
        packet[len++] = (unsigned char)label;
        memcpy(packet + len, name, label);
        len += label;
        name += label + (name[label] == '.');
    }
    len++;
    packet[len + 1] = 1;
    packet[len + 3] = 1;
    len += 4;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
    inet_pton(AF_INET, server, &to.sin_addr);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct timeval wait = {.tv_sec = 1};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    sendto(fd, packet, len, 0, (struct sockaddr *)&to, sizeof(to));
    ssize_t n = recv(fd, packet, sizeof(packet), 0);
    close(fd);
    if (n > (ssize_t)len + 15 && packet[7] > 0)
        snprintf(out, size, "%u.%u.%u.%u\n", packet[n - 4], packet[n - 3], packet[n - 2],
                 packet[n - 1]);
    else
        snprintf(out, size, n > 0 ? "none %d\n" : "silence\n", n > 0 ? packet[3] & 15 : 0);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "once") == 0)
        return 0; /* a job */

    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(8080)};
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, is_failing = 0;
    char request[4096], body[4096], host[256] = "", answer[5000];

    signal(SIGTERM, on_term);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 256) < 0)
        return 1;
    gethostname(host, sizeof(host) - 1);
    printf("listening as %s\n", host);
    fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL), status = 200, port;
        char path[2000] = "", address[64];
        ssize_t n = read(fd, request, sizeof(request) - 1);
        request[n > 0 ? n : 0] = '\0';
        sscanf(request, "GET %1999s", path);
        snprintf(body, sizeof(body), "%s %s\n", getenv("MESSAGE") ? getenv("MESSAGE") : "hello",
                 host);
        if (strcmp(path, "/crash") == 0)
            return 3;
        if (strcmp(path, "/fail") == 0)
            is_failing = 1;
        if (strcmp(path, "/health") == 0 && is_failing)
            status = 500;
        if (strncmp(path, "/env/", 5) == 0)
            snprintf(body, sizeof(body), "%s\n", getenv(path + 5) ? getenv(path + 5) : "");
        if (strncmp(path, "/resolve/", 9) == 0)
            resolve(path + 9, body, sizeof(body));
        if (sscanf(path, "/connect/%60[0-9.]/%d", address, &port) == 2)
            snprintf(body, sizeof(body), "%s\n", can_connect(address, port) ? "yes" : "no");
        if (strncmp(path, "/file/", 6) == 0) {
            int file = open(path + 5, O_RDONLY);
            ssize_t len = file < 0 ? -1 : read(file, body, sizeof(body) - 1);
            body[len > 0 ? len : 0] = '\0';
            status = len < 0 ? 404 : 200;
            if (file >= 0)
                close(file);
        }
        int len = snprintf(answer, sizeof(answer),
                           "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                           status, strlen(body), body);
        if (write(fd, answer, (size_t)len) < 0)
            close(fd);
        else
            close(fd);
    }
}
