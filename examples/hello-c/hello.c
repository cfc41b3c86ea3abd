/* hello.c - a web server small enough to read: GET / greets, GET /healthz and /readyz say that it
 * is alive. Listens on $PORT (default 8080); a TERM signal ends it after the request at hand. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

static volatile sig_atomic_t is_over;

static void on_term(int signal)
{
    (void)signal;
    is_over = 1;
}

static void answer(int fd, const char *status, const char *body)
{
    char text[512];
    int len = snprintf(text, sizeof(text),
                       "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                       "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                       status, strlen(body), body);

    if (write(fd, text, (size_t)len) < 0)
        perror("hello: write");
}

static void serve(int fd)
{
    const struct timeval patience = {5, 0};
    char request[2048];
    ssize_t len;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    len = read(fd, request, sizeof(request) - 1);
    if (len <= 0)
        return;
    request[len] = 0;
    if (strncmp(request, "GET / ", 6) == 0)
        answer(fd, "200 OK", "Hello from C.\n");
    else if (strncmp(request, "GET /healthz ", 13) == 0 ||
             strncmp(request, "GET /readyz ", 12) == 0)
        answer(fd, "200 OK", "ok\n");
    else if (strncmp(request, "GET ", 4) == 0)
        answer(fd, "404 Not Found", "There is nothing here.\n");
    else
        answer(fd, "405 Method Not Allowed", "Only GET.\n");
}

static int listen_on(unsigned short port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0)
        return -1;
    return fd;
}

int main(void)
{
    const struct sigaction term = {.sa_handler = on_term}; /* no SA_RESTART: accept() must end */
    const char *text = getenv("PORT");
    unsigned long port = text ? strtoul(text, NULL, 10) : 8080;
    int listener = port > 0 && port < 65536 ? listen_on((unsigned short)port) : -1;

    if (listener < 0) {
        fprintf(stderr, "hello: cannot listen on port '%s': %s\n", text ? text : "8080",
                strerror(errno));
        return 1;
    }
    sigaction(SIGTERM, &term, NULL);
    sigaction(SIGINT, &term, NULL);
    printf("hello: listening on port %lu\n", port);
    fflush(stdout);
    while (!is_over) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        serve(fd);
        close(fd);
    }
    return 0;
}
