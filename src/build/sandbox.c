/* build/sandbox.c - the builder's side of a sandbox: starts the holder, and talks to the agent
 * inside. */
#include "build/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/proc.h"
#include "base/random.h"
#include "build/sandbox_internal.h"

enum {
    REQUEST_MAX = 4 << 20, /* bytes: the agent's limit */
    RUN_TIMEOUT_MS = 10 * 60 * 1000,
    REFUSED_MAX = 64 << 10,
};

struct sandbox {
    char *dir; /* owned: where the holder mounts, empty outside */
    char id[32];
    pid_t holder;
    int control_fd, output_fd, refused_fd;
    int fds[HOLDER_FDS];
    uint16_t proxy_port;
    uint64_t memory_bytes;
    bool dead;
};

static int make_channels(struct sandbox *s, int ret_holder[3], struct error *err)
{
    int control[2], output[2], refused[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0)
        return error_errno(err, "making a socket pair");
    s->control_fd = control[0];
    ret_holder[0] = control[1];
    if (pipe2(output, O_CLOEXEC) < 0)
        return error_errno(err, "making a pipe");
    s->output_fd = output[0];
    ret_holder[1] = output[1];
    if (pipe2(refused, O_CLOEXEC | O_NONBLOCK) < 0)
        return error_errno(err, "making a pipe");
    s->refused_fd = refused[0];
    ret_holder[2] = refused[1];
    if (fcntl(s->output_fd, F_SETFL, O_NONBLOCK) < 0)
        return error_errno(err, "setting up a pipe");
    return 0;
}

static int receive_fds(struct sandbox *s, struct error *err)
{
    struct holder_message m;
    size_t len;

    for (size_t i = 0; i < HOLDER_FDS; i++) {
        if (io_recv_fd(s->control_fd, &m, sizeof(m), &len, &s->fds[i], err) < 0)
            return error_wrap(err, "starting the sandbox");
        if (len != sizeof(m) || (m.type == 'D' && s->fds[i] < 0))
            return error_set(err, ERR_SYSTEM, "the sandbox's supervisor ended");
        if (m.type == 'E') {
            m.text[sizeof(m.text) - 1] = 0;
            return error_set(err, (enum error_kind)m.kind, "starting the sandbox: %s", m.text);
        }
        s->proxy_port = m.port;
    }
    return 0;
}

static int start_holder(struct sandbox *s, const struct sandbox_options *options, struct error *err)
{
    int theirs[3] = {-1, -1, -1};
    int result = make_channels(s, theirs, err);

    if (result == 0) {
        const struct holder holder = {options, s->dir, s->id, theirs[0], theirs[1], theirs[2]};
        s->holder = fork();
        if (s->holder == 0)
            holder_run(&holder);
        if (s->holder < 0)
            result = error_errno(err, "starting the sandbox's supervisor");
    }
    for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
        io_close(&theirs[i]);
    return result < 0 ? -1 : receive_fds(s, err);
}

int sandbox_new(const struct sandbox_options *options, struct sandbox **ret, struct error *err)
{
    CLEANUP(sandbox) struct sandbox *s = calloc(1, sizeof(*s));
    char name[9];

    if (!s)
        return error_no_memory(err);
    s->control_fd = s->output_fd = s->refused_fd = -1;
    for (size_t i = 0; i < HOLDER_FDS; i++)
        s->fds[i] = -1;
    s->memory_bytes = options->memory_bytes ? options->memory_bytes : SANDBOX_MEMORY;
    random_name(name, 8);
    name[8] = 0;
    snprintf(s->id, sizeof(s->id), "build-%s", name);
    if (fs_make_temp_dir("/tmp/monban-build-", &s->dir, err) < 0 ||
        start_holder(s, options, err) < 0)
        return -1;
    *ret = TAKE(s);
    return 0;
}

void sandbox_free(struct sandbox *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < HOLDER_FDS; i++)
        io_close(&s->fds[i]);
    io_close(&s->output_fd);
    io_close(&s->refused_fd);
    io_close(&s->control_fd); /* the holder sees it, and clears up */
    while (s->holder > 0 && waitpid(s->holder, NULL, 0) < 0 && errno == EINTR)
        ;
    if (s->dir)
        (void)rmdir(s->dir); /* the holder has removed it, unless it was killed */
    free(s->dir);
    free(s);
}

int sandbox_workspace_fd(const struct sandbox *sandbox)
{
    return sandbox->fds[HOLDER_WORKSPACE];
}

int sandbox_layers_fd(const struct sandbox *sandbox)
{
    return sandbox->fds[HOLDER_LAYERS];
}

int sandbox_layers_upper_fd(const struct sandbox *sandbox)
{
    return sandbox->fds[HOLDER_LAYERS_UPPER];
}

int sandbox_platform_fd(const struct sandbox *sandbox)
{
    return sandbox->fds[HOLDER_PLATFORM];
}

uint16_t sandbox_proxy_port(const struct sandbox *sandbox)
{
    return sandbox->proxy_port;
}

static void add_text(struct buf *out, const char *text)
{
    buf_add(out, text, strlen(text) + 1);
}

static int send_request(const struct sandbox *s, const struct sandbox_command *c, struct error *err)
{
    CLEANUP(buf) struct buf body = BUF_INIT(REQUEST_MAX);
    char count[24];
    size_t arguments = 0;

    while (c->argv[arguments])
        arguments++;
    snprintf(count, sizeof(count), "%zu", arguments);
    add_text(&body, c->cwd);
    add_text(&body, count);
    for (size_t i = 0; i < arguments; i++)
        add_text(&body, c->argv[i]);
    for (size_t i = 0; c->envp && c->envp[i]; i++)
        add_text(&body, c->envp[i]);
    if (buf_ok(&body, err) < 0)
        return -1;
    uint32_t len = (uint32_t)body.len;
    if (io_write(s->fds[HOLDER_AGENT], &len, sizeof(len), err) < 0)
        return -1;
    return io_write(s->fds[HOLDER_AGENT], body.ptr, body.len, err);
}

/* What lies in the output pipe now. */
static void drain_output(const struct sandbox *s, const struct sandbox_command *c)
{
    char room[16 << 10];
    ssize_t got;

    while ((got = read(s->output_fd, room, sizeof(room))) > 0) {
        if (c->on_output)
            c->on_output(str_slice(room, (size_t)got), c->ctx);
    }
}

/* Until the agent answers (1), hangs up (-1), or the time is over (0). */
static int wait_answer(const struct sandbox *s, const struct sandbox_command *c)
{
    int64_t deadline = clock_monotonic_ms() + (c->timeout_ms ? c->timeout_ms : RUN_TIMEOUT_MS);
    struct pollfd polls[] = {{s->fds[HOLDER_AGENT], POLLIN, 0}, {s->output_fd, POLLIN, 0}};
    int64_t left;

    while ((left = deadline - clock_monotonic_ms()) > 0) {
        int got = poll(polls, 2, (int)left);
        if (got < 0 && errno != EINTR)
            return -1;
        if (got > 0 && polls[1].revents) {
            drain_output(s, c);
            if (polls[1].revents & POLLHUP)
                polls[1].fd = -1;
        }
        if (got > 0 && polls[0].revents)
            return polls[0].revents & POLLIN ? 1 : -1;
    }
    return 0;
}

int sandbox_run(struct sandbox *s, const struct sandbox_command *command, int *ret_exit,
                struct error *err)
{
    uint32_t answer[2];

    if (s->dead)
        return error_set(err, ERR_SYSTEM, "the sandbox has ended");
    if (send_request(s, command, err) < 0) {
        s->dead = true;
        return error_wrap(err, "sandbox");
    }
    int answered = wait_answer(s, command);
    drain_output(s, command);
    if (answered == 0) {
        s->dead = true;
        return error_set(err, ERR_LIMIT, "'%s' took longer than %d s and was ended",
                         command->argv[0],
                         (command->timeout_ms ? command->timeout_ms : RUN_TIMEOUT_MS) / 1000);
    }
    if (answered < 0 || io_read_exact(s->fds[HOLDER_AGENT], answer, sizeof(answer), err) < 0) {
        s->dead = true;
        return error_set(
            err, ERR_LIMIT,
            "the sandbox was ended while '%s' ran: most likely it used more than %llu MiB of memory",
            command->argv[0], (unsigned long long)(s->memory_bytes >> 20));
    }
    drain_output(s, command);
    int status = (int)answer[0];
    *ret_exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return 0;
}

void sandbox_refused(struct sandbox *s, struct strv *out)
{
    char room[4096];
    ssize_t got;

    while ((got = read(s->refused_fd, room, sizeof(room))) > 0) {
        struct str rest = str_slice(room, (size_t)got);
        while (rest.len) {
            struct str line = str_cut(&rest, '\n');
            CLEANUP(text) char *text = str_dup(line);
            if (text && line.len && !strv_has(out, text))
                strv_add(out, text);
        }
    }
}
