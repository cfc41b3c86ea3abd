/* launcher/agent.c - live update: see agent.h and live.h. One poll loop over the listener, the
 * clients, the app's output and the signals. A commit walks through phases: written → stopping →
 * starting → answered. */
#include "agent.h"

#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "files.h"
#include "launch.h"
#include "live.h"

enum {
    CLIENTS_MAX = 8,
    CHANGES_MAX = 256 << 20, /* bytes of one commit */
    PROBE_MS = 3,            /* between two looks whether the app listens */
    SIG_HUP = 1,
    SIG_INT = 2,
    SIG_KILL = 9,
    SIG_TERM = 15,
    SIG_CHLD = 17,
};

enum phase { PHASE_IDLE, PHASE_STOPPING, PHASE_STARTING };

struct client {
    int fd; /* 0: free */
    bool known;
    unsigned char header[LIVE_HEADER_SIZE];
    size_t header_got, payload_got;
    struct change *frame;        /* being read */
    struct change *first, *last; /* of the commit to come */
    size_t bytes;
};

struct agent {
    const struct agent_options *options;
    int argc;
    char **argv, **envp;
    int listener, signals, output;
    struct client clients[CLIENTS_MAX];
    int child; /* 0: none runs */
    const char *state, *exit_text;
    long restarts;
    char tail[LIVE_TAIL_MAX];
    size_t tail_len;
    /* the commit in hand */
    enum phase phase;
    struct client *committer; /* NULL: nobody waits for an answer */
    int64_t deadline_us, begin_us, mark_us;
    long files, write_ms, stop_ms;
    const char *fault;
    bool ending;
};

bool agent_wanted(char **envp, struct agent_options *ret)
{
    long port = -1, app_port = 8080;
    const char *token = NULL;

    for (size_t i = 0; envp[i]; i++) {
        if (text_starts(envp[i], "MONBAN_LIVE_UPDATE="))
            port = text_to_number(envp[i] + 19);
        if (text_starts(envp[i], "MONBAN_LIVE_TOKEN="))
            token = envp[i] + 18;
        if (text_starts(envp[i], "PORT=") && text_to_number(envp[i] + 5) > 0)
            app_port = text_to_number(envp[i] + 5);
    }
    if (port <= 0 || port > 65535 || !token || text_len(token) < LIVE_TOKEN_MIN)
        return false;
    ret->port = (uint16_t)port;
    ret->app_port = (uint16_t)app_port;
    ret->token = token;
    ret->app = "/workspace";
    return true;
}

/* --- what is told --- */

static const char *quoted(const char *text, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    char *out = mem_new(len * 6 + 3), *at = out;

    *at++ = '"';
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') {
            *at++ = '\\';
            *at++ = (char)c;
        } else if (c < 0x20 ||
                   c >= 0x7f) { /* bytes above ASCII may be cut in the middle: no JSON then */
            *at++ = '\\';
            *at++ = 'u';
            *at++ = '0';
            *at++ = '0';
            *at++ = hex[c >> 4];
            *at++ = hex[c & 15];
        } else {
            *at++ = (char)c;
        }
    }
    *at = '"';
    return out;
}

static const char *quoted_or_null(const char *text)
{
    return text ? quoted(text, text_len(text)) : "null";
}

static void client_drop(struct client *c)
{
    sys_close(c->fd);
    struct change *lists[] = {c->first, c->frame};
    for (size_t i = 0; i < 2; i++) {
        for (struct change *x = lists[i]; x; x = x->next)
            mem_pages_free(x->payload, x->size + 1);
    }
    *c = (struct client){0};
}

static void client_send(struct client *c, char type, const char *text)
{
    size_t len = text_len(text);
    char header[LIVE_HEADER_SIZE] = {
        type, 0, 0, 0, (char)(len >> 24), (char)(len >> 16), (char)(len >> 8), (char)len};
    struct {
        const void *bytes;
        size_t len;
    } parts[] = {{header, sizeof(header)}, {text, len}};

    for (size_t i = 0; i < 2; i++) {
        long sent = SYS_CALL(__NR_sendto, c->fd, parts[i].bytes, parts[i].len,
                             MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0);
        if (sent != (long)parts[i].len) { /* gone, or does not read: it may come back */
            client_drop(c);
            return;
        }
    }
}

static const char *state_json(const struct agent *a)
{
    return TEXT("{\"state\":\"", a->state, "\",\"pid\":", text_number(a->child),
                ",\"exit\":", quoted_or_null(a->exit_text),
                ",\"port\":", text_number(a->options->app_port),
                ",\"restarts\":", text_number(a->restarts), "}");
}

static void set_state(struct agent *a, const char *state)
{
    a->state = state;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (a->clients[i].fd && a->clients[i].known)
            client_send(&a->clients[i], 'S', state_json(a));
    }
}

static long ms_since(int64_t since_us)
{
    return (long)((sys_now_us() - since_us) / 1000);
}

/* The end of the commit in hand, good or bad. */
static void answer(struct agent *a)
{
    long start_ms = a->mark_us ? ms_since(a->mark_us) : 0;
    bool ready = text_equal(a->state, "ready");

    a->phase = PHASE_IDLE;
    if (a->committer && a->committer->fd)
        client_send(
            a->committer, 'R',
            TEXT("{\"ok\":", ready && !a->fault ? "true" : "false", ",\"state\":\"", a->state,
                 "\",\"files\":", text_number(a->files), ",\"write_ms\":", text_number(a->write_ms),
                 ",\"stop_ms\":", text_number(a->stop_ms), ",\"start_ms\":", text_number(start_ms),
                 ",\"total_ms\":", text_number(ms_since(a->begin_us)), ",\"exit\":",
                 quoted_or_null(a->exit_text), ",\"tail\":", quoted(a->tail, a->tail_len),
                 ",\"error\":", quoted_or_null(a->fault), "}"));
    a->committer = NULL;
}

/* --- the app --- */

static void start_app(struct agent *a)
{
    int ends[2];

    a->tail_len = 0;
    a->exit_text = NULL;
    a->mark_us = sys_now_us();
    a->deadline_us = a->mark_us + (int64_t)LIVE_READY_MS * 1000;
    sys_close(a->output);
    a->output = -1;
    if (sys_pipe(ends, 0) < 0)
        sys_exit(LAUNCH_FAILED_EXIT);
    int pid = sys_fork();
    if (pid == 0) {
        struct launch launch = {0};
        uint64_t none = 0;
        (void)SYS_CALL(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &none, 0, 8, 0, 0);
        (void)SYS_CALL(__NR_setsid, 0, 0, 0, 0, 0, 0);
        (void)sys_dup_to(ends[1], 1);
        (void)sys_dup_to(ends[1], 2);
        if (launch_prepare(a->argc, a->argv, a->envp, &launch))
            (void)launch_exec(&launch);
        sys_exit(LAUNCH_FAILED_EXIT);
    }
    sys_close(ends[1]);
    a->output = ends[0];
    a->child = pid > 0 ? pid : 0;
    a->phase = PHASE_STARTING;
    a->restarts++;
    set_state(a, pid > 0 ? "starting" : "exited");
    if (pid < 0)
        answer(a);
}

static void stop_app(struct agent *a)
{
    a->phase = PHASE_STOPPING;
    a->mark_us = sys_now_us();
    a->deadline_us = a->mark_us + (int64_t)LIVE_GRACE_MS * 1000;
    (void)sys_kill(-a->child, SIG_TERM); /* gone already is fine */
}

static bool connects(int family, const void *address, unsigned size)
{
    int fd = (int)SYS_CALL(__NR_socket, family, SOCK_STREAM | SOCK_CLOEXEC, 0, 0, 0, 0);
    bool good = fd >= 0 && SYS_CALL(__NR_connect, fd, address, size, 0, 0, 0) == 0;

    sys_close(fd);
    return good;
}

static bool app_listens(const struct agent *a)
{
    uint16_t port = (uint16_t)(a->options->app_port << 8 | a->options->app_port >> 8);
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = port};

    ((unsigned char *)&four.sin_addr)[0] = 127;
    ((unsigned char *)&four.sin_addr)[3] = 1;
    six.sin6_addr.s6_addr[15] = 1;
    return connects(AF_INET, &four, sizeof(four)) || connects(AF_INET6, &six, sizeof(six));
}

static void add_output(struct agent *a, const char *bytes, size_t len)
{
    (void)sys_write_all(1, bytes, len); /* the container's log; without a reader it is lost */
    if (len >= LIVE_TAIL_MAX) {
        bytes += len - LIVE_TAIL_MAX;
        len = LIVE_TAIL_MAX;
        a->tail_len = 0;
    }
    size_t over = a->tail_len + len > LIVE_TAIL_MAX ? a->tail_len + len - LIVE_TAIL_MAX : 0;
    for (size_t i = over; i < a->tail_len; i++)
        a->tail[i - over] = a->tail[i];
    a->tail_len -= over;
    for (size_t i = 0; i < len; i++)
        a->tail[a->tail_len++] = bytes[i];
}

/* False at the end of the output. */
static bool read_output(struct agent *a)
{
    char room[8192];
    long got = sys_read(a->output, room, sizeof(room));

    if (got > 0) {
        add_output(a, room, (size_t)got);
        return true;
    }
    sys_close(a->output);
    a->output = -1;
    return false;
}

static void app_ended(struct agent *a, int status)
{
    int pid = a->child;

    (void)sys_kill(-pid, SIG_KILL); /* what it left in its session */
    a->child = 0;
    a->exit_text = WIFSIGNALED(status)
                       ? TEXT("was killed by signal ", text_number(WTERMSIG(status)))
                       : TEXT("exited ", text_number(WEXITSTATUS(status)));
    if (a->ending)
        sys_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
    if (a->phase == PHASE_STOPPING) {
        a->stop_ms = ms_since(a->mark_us);
        start_app(a);
        return;
    }
    while (a->output >= 0 && read_output(a)) /* its last words: all writers are dead */
        ;
    SAY("the app ", a->exit_text);
    set_state(a, "exited");
    if (a->phase == PHASE_STARTING)
        answer(a);
}

static void reap(struct agent *a)
{
    int status, pid;

    while ((pid = sys_wait(-1, &status, WNOHANG)) > 0) {
        if (pid == a->child)
            app_ended(a, status);
    }
}

/* --- frames --- */

static void commit(struct agent *a, struct client *c, bool restart)
{
    a->begin_us = sys_now_us();
    a->committer = c;
    a->stop_ms = 0;
    a->mark_us = 0;
    a->fault = files_apply(a->options->app, c->first, &a->files);
    a->write_ms = ms_since(a->begin_us);
    for (struct change *x = c->first; x; x = x->next)
        mem_pages_free(x->payload, x->size + 1);
    c->first = c->last = NULL;
    c->bytes = 0;
    if (!restart)
        answer(a);
    else if (a->child)
        stop_app(a);
    else
        start_app(a);
}

static bool token_is_right(const struct agent *a, const struct change *frame)
{
    const char *token = a->options->token;
    size_t len = text_len(token);
    unsigned char differs = frame->size != len;

    for (size_t i = 0; i < len && i < frame->size; i++)
        differs |= (unsigned char)(token[i] ^ frame->payload[i]);
    return !differs;
}

/* A whole frame. False: the client is cut off. */
static bool take_frame(struct agent *a, struct client *c, struct change *frame)
{
    bool keep = false;

    if (!c->known) {
        c->known = frame->type == 'A' && token_is_right(a, frame);
        mem_pages_free(frame->payload, frame->size + 1);
        if (c->known)
            client_send(c, 'S', state_json(a));
        return c->known;
    }
    switch (frame->type) {
    case 'F':
    case 'P':
    case 'L':
    case 'D':
        c->bytes += frame->size;
        keep = true;
        if (c->last)
            c->last->next = frame;
        else
            c->first = frame;
        c->last = frame;
        break;
    case 'C':
        commit(a, c, frame->size == 0 || frame->payload[0] != 'n');
        break;
    case 'Q':
        client_send(c, 'S', state_json(a));
        break;
    default:
        mem_pages_free(frame->payload, frame->size + 1);
        return false;
    }
    if (!keep)
        mem_pages_free(frame->payload, frame->size + 1);
    return true;
}

static struct change *frame_begin(struct client *c)
{
    const unsigned char *h = c->header;
    size_t size = (size_t)h[4] << 24 | (size_t)h[5] << 16 | (size_t)h[6] << 8 | h[7];

    if (size > LIVE_FRAME_MAX || c->bytes + size > CHANGES_MAX || (!c->known && size > 4096))
        return NULL;
    struct change *frame = mem_new(sizeof(*frame));
    frame->type = (char)h[0];
    frame->size = size;
    frame->payload = mem_pages(size + 1);
    return frame->payload ? frame : NULL;
}

static bool receive(struct client *c, void *into, size_t len, size_t *got_all)
{
    long got = SYS_CALL(__NR_recvfrom, c->fd, into, len, MSG_DONTWAIT, 0, 0);

    if (got == -11 || got == -4) /* EAGAIN, EINTR */
        return true;
    if (got <= 0)
        return false;
    *got_all += (size_t)got;
    return true;
}

static void client_read(struct agent *a, struct client *c)
{
    bool good;

    if (!c->frame) {
        good =
            receive(c, c->header + c->header_got, LIVE_HEADER_SIZE - c->header_got, &c->header_got);
        if (good && c->header_got == LIVE_HEADER_SIZE)
            good = (c->frame = frame_begin(c)) != NULL;
    } else {
        good = receive(c, c->frame->payload + c->payload_got, c->frame->size - c->payload_got,
                       &c->payload_got);
    }
    if (good && c->frame && c->payload_got == c->frame->size) {
        struct change *frame = c->frame;
        c->frame = NULL;
        c->header_got = c->payload_got = 0;
        good = take_frame(a, c, frame);
    }
    if (!good)
        client_drop(c);
}

static void accept_client(struct agent *a)
{
    int fd = (int)SYS_CALL(__NR_accept4, a->listener, 0, 0, SOCK_CLOEXEC, 0, 0), one = 1;

    /* a frame goes out in two parts; an answer must not wait for the other side's acknowledgement
     */
    (void)SYS_CALL(__NR_setsockopt, fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one), 0);
    for (size_t i = 0; fd >= 0 && i < CLIENTS_MAX; i++) {
        if (!a->clients[i].fd) {
            a->clients[i].fd = fd;
            return;
        }
    }
    sys_close(fd);
}

/* --- the loop --- */

static bool setup(struct agent *a)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    uint64_t mask = 1ull << (SIG_CHLD - 1) | 1ull << (SIG_TERM - 1) | 1ull << (SIG_INT - 1) |
                    1ull << (SIG_HUP - 1);
    int one = 1;

    (void)SYS_CALL(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0,
                   0); /* if we are not the first process */
    address.sin_port = (uint16_t)(a->options->port << 8 | a->options->port >> 8);
    a->listener = (int)SYS_CALL(__NR_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, 0, 0, 0);
    (void)SYS_CALL(__NR_setsockopt, a->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one), 0);
    if (a->listener < 0 ||
        SYS_CALL(__NR_bind, a->listener, &address, sizeof(address), 0, 0, 0) < 0 ||
        SYS_CALL(__NR_listen, a->listener, CLIENTS_MAX, 0, 0, 0, 0) < 0) {
        SAY("cannot listen for live updates on port ", text_number(a->options->port));
        return false;
    }
    (void)SYS_CALL(__NR_rt_sigprocmask, 0 /* SIG_BLOCK */, &mask, 0, 8, 0, 0);
    a->signals = (int)SYS_CALL(__NR_signalfd4, -1, &mask, 8, O_CLOEXEC, 0, 0);
    return a->signals >= 0;
}

static void take_signal(struct agent *a)
{
    char info[128]; /* struct signalfd_siginfo: the number comes first */

    if (sys_read(a->signals, info, sizeof(info)) != sizeof(info))
        return;
    uint32_t number = *(const uint32_t *)(const void *)info;
    if (number == SIG_CHLD) {
        reap(a);
        return;
    }
    if (!a->child)
        sys_exit(0);
    a->ending = true;
    (void)sys_kill(-a->child, (int)number);
}

/* What the passing of time brings. */
static void tick(struct agent *a)
{
    if (a->phase == PHASE_STOPPING && a->child && sys_now_us() >= a->deadline_us) {
        (void)sys_kill(-a->child, SIG_KILL);
        a->deadline_us += (int64_t)LIVE_GRACE_MS * 1000;
    }
    if (a->phase != PHASE_STARTING || !a->child)
        return;
    if (app_listens(a)) {
        set_state(a, "ready");
        answer(a);
    } else if (sys_now_us() >= a->deadline_us) {
        answer(a);
        a->phase = PHASE_STARTING; /* it may still come, and then the state changes */
        a->deadline_us = INT64_MAX;
    }
}

static void turn(struct agent *a)
{
    struct pollfd polls[CLIENTS_MAX + 3] = {
        {a->listener, POLLIN, 0}, {a->signals, POLLIN, 0}, {a->output, POLLIN, 0}};
    struct timespec wait = {0, PROBE_MS * 1000000};

    for (size_t i = 0; i < CLIENTS_MAX;
         i++) { /* a commit in hand is finished before more is read */
        bool read = a->clients[i].fd && a->phase != PHASE_STOPPING && !a->committer;
        polls[3 + i] = (struct pollfd){read ? a->clients[i].fd : -1, POLLIN, 0};
    }
    (void)SYS_CALL(__NR_ppoll, polls, CLIENTS_MAX + 3, a->phase == PHASE_IDLE ? NULL : &wait, 0, 8,
                   0);
    if (polls[2].revents && a->output >= 0)
        (void)read_output(a);
    if (polls[1].revents)
        take_signal(a);
    if (polls[0].revents)
        accept_client(a);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (polls[3 + i].revents && a->clients[i].fd)
            client_read(a, &a->clients[i]);
    }
    tick(a);
}

int agent_run(const struct agent_options *options, int argc, char **argv, char **envp)
{
    struct agent *a = mem_new(sizeof(*a));

    a->options = options;
    a->argc = argc;
    a->argv = argv;
    a->envp = envp;
    a->output = -1;
    a->state = "starting";
    if (!setup(a))
        return LAUNCH_FAILED_EXIT;
    a->begin_us = sys_now_us();
    start_app(a);
    for (;;)
        turn(a);
}
