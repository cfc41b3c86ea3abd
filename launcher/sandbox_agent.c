/* launcher/sandbox_agent.c - the first process of a build sandbox: runs one program after the other
 * as the builder says, and ends when the builder does. It has the sandbox's user and nothing more,
 * so the builder takes what it says as coming from the sandbox.
 *
 * argv: the program, and the path of the builder's Unix socket. The first byte that it sends says
 * it is there. Request: length (32 bits, this machine's order), then cwd, count of arguments as
 * text, arguments, environment, each ended by a zero byte. Answer: wait status and the number of
 * processes that were left over, 32 bits each. Output goes to the sandbox's standard output and
 * error. */
#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "sys.h"

enum {
    REQUEST_MAX = 4 << 20,
    SIG_KILL = 9,
    NOT_FOUND_EXIT = 127,
};

struct request {
    const char *cwd;
    struct list argv, envp;
};

int main(int argc, char **argv, char **envp);

static int connect_builder(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = (int)SYS_CALL(__NR_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0, 0, 0);

    if (fd < 0 || text_len(path) >= sizeof(address.sun_path))
        return -1;
    for (size_t i = 0; path[i]; i++)
        address.sun_path[i] = path[i];
    if (SYS_CALL(__NR_connect, fd, &address, sizeof(address), 0, 0, 0) < 0)
        return -1;
    return fd;
}

static bool read_exact(int fd, void *bytes, size_t len)
{
    char *at = bytes;

    while (len) {
        long got = sys_read(fd, at, len);
        if (got <= 0)
            return false;
        at += got;
        len -= (size_t)got;
    }
    return true;
}

static bool read_request(int fd, struct request *r)
{
    uint32_t len;

    if (!read_exact(fd, &len, sizeof(len)) || len == 0 || len > REQUEST_MAX)
        return false;
    char *bytes = mem_new(len + 1);
    if (!read_exact(fd, bytes, len))
        return false;
    const char *at = bytes, *end = bytes + len;
    r->cwd = at;
    at += text_len(at) + 1;
    long count = at < end ? text_to_number(at) : -1;
    at += text_len(at) + 1;
    for (long i = 0; at < end; i++) {
        list_add(i < count ? &r->argv : &r->envp, at);
        at += text_len(at) + 1;
    }
    list_add(&r->envp, NULL);
    return r->argv.count > 0;
}

static void run_child(const struct request *r) __attribute__((noreturn));
static void run_child(const struct request *r)
{
    (void)SYS_CALL(__NR_setsid, 0, 0, 0, 0, 0, 0);
    if (sys_chdir(r->cwd) < 0) {
        SAY("no folder ", r->cwd);
        sys_exit(NOT_FOUND_EXIT);
    }
    long error = sys_exec(r->argv.items[0], r->argv.items, r->envp.items);
    SAY("cannot execute ", r->argv.items[0], ": error ", text_number(-error));
    sys_exit(NOT_FOUND_EXIT);
}

/* Everything that the program left behind; we are the first process, so "all" is the sandbox. */
static uint32_t kill_rest(void)
{
    uint32_t count = 0;
    int status;

    while (sys_kill(-1, SIG_KILL) == 0) {
        while (sys_wait(-1, &status, 0) > 0)
            count++;
    }
    while (sys_wait(-1, &status, 0) > 0) /* those that had ended already are not counted */
        ;
    return count;
}

/* Until the program has ended; false if the builder has gone, and with us the sandbox. */
static bool wait_child(int fd, int pid)
{
    int pidfd = (int)SYS_CALL(__NR_pidfd_open, pid, 0, 0, 0, 0, 0);
    struct pollfd polls[] = {{pidfd, POLLIN, 0}, {fd, POLLRDHUP, 0}};

    if (pidfd < 0)
        return false;
    do
        (void)SYS_CALL(__NR_ppoll, polls, 2, NULL, NULL, 0, 0);
    while (!polls[0].revents && !polls[1].revents);
    sys_close(pidfd);
    return polls[0].revents != 0;
}

static bool serve(int fd)
{
    struct request request = {0};
    int status = 0, pid;

    if (!read_request(fd, &request))
        return false;
    pid = sys_fork();
    if (pid == 0)
        run_child(&request);
    if (pid < 0)
        return false;
    if (!wait_child(fd, pid))
        return false;
    (void)sys_wait(pid, &status, 0);
    uint32_t answer[2] = {(uint32_t)status, kill_rest()};
    return sys_write_all(fd, answer, sizeof(answer));
}

int main(int argc, char **argv, char **envp)
{
    (void)envp;
    (void)SYS_CALL(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0, 0); /* no tracing by what runs inside */
    int fd = argc == 2 ? connect_builder(argv[1]) : -1;
    if (fd < 0 || !sys_write_all(fd, "r", 1)) {
        SAY("the builder cannot be reached");
        return 1;
    }
    int null = sys_open(AT_FDCWD, "/dev/null", O_RDONLY, 0);
    if (null > 0)
        (void)sys_dup_to(null, 0);
    while (serve(fd))
        ;
    return 0;
}
