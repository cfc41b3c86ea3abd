/* sign/signer.c - the process that holds a private key. It answers two questions over a socket
 * pair: "sign this sha256 value" and "what is your public key". A request is 40 bytes and brings
 * the descriptor that the answer goes to, so any number of processes may share the asking end. It
 * reads the key file, then gives up opening files, new processes and core dumps; it ends when the
 * last asking end is closed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/proc.h"
#include "sign/sign_internal.h"

enum {
    REQUEST_MAGIC = 0x4d534731, /* "MSG1" */
    REQUEST_SIGN = 1,
    REQUEST_PUBLIC = 2,
    ANSWER_MAX = 4096, /* bytes: a PEM public key has 178, an error text at most ERROR_TEXT_MAX */
    ANSWER_TIMEOUT_MS = 10000,
    STOP_GRACE_MS = 200,
    SIGNER_FDS_MAX = 16, /* of the signer process: its socket, standard streams, one answer */
};

struct request {
    uint32_t magic;
    uint32_t what;
    uint8_t sha256[SHA256_SIZE];
};

struct answer {
    uint32_t magic;
    uint32_t error_kind; /* 0: bytes hold the result; else the text of an error */
    uint32_t len;
    char bytes[ANSWER_MAX];
};
#define ANSWER_HEAD offsetof(struct answer, bytes)

struct signer {
    struct sign_key *key; /* owned; NULL: the key is at the other end of fd */
    int fd;               /* owned, or -1 */
    pid_t pid;            /* of the process that we started, or 0 */
    pid_t starter;        /* who may end it */
    char *public_pem;     /* owned */
    struct digest key_id;
};

/* --- the signer process */

static void answer_error(struct answer *a, const struct error *err)
{
    a->error_kind = (uint32_t)err->kind;
    error_format(err, a->bytes, sizeof(a->bytes));
    a->len = (uint32_t)strlen(a->bytes);
}

static void answer_bytes(struct answer *a, const void *bytes, size_t len)
{
    a->error_kind = ERR_NONE;
    memcpy(a->bytes, bytes, len);
    a->len = (uint32_t)len;
}

static void make_answer(const struct sign_key *key, const struct request *request, struct answer *a)
{
    struct error err = ERROR_INIT;

    a->magic = REQUEST_MAGIC;
    if (request->what == REQUEST_SIGN) {
        struct signature made;
        if (sign_key_sign(key, request->sha256, &made, &err) < 0)
            answer_error(a, &err);
        else
            answer_bytes(a, made.bytes, made.len);
        return;
    }
    CLEANUP(buf) struct buf pem = BUF_INIT(ANSWER_MAX);
    if (sign_key_public_pem(key, &pem, &err) < 0)
        answer_error(a, &err);
    else
        answer_bytes(a, pem.ptr, pem.len);
}

/* Answers until the last asker is gone. A malformed request is dropped with its descriptor: its
 * sender sees the end of the stream. `failure`: why there is no key; then that is the only answer.
 */
static void serve(int fd, const struct sign_key *key, const struct error *failure)
{
    for (;;) {
        struct request request = {0};
        struct answer answer = {.magic = REQUEST_MAGIC};
        struct error err = ERROR_INIT;
        CLEANUP(fd) int reply_fd = -1;
        size_t len = 0;

        if (io_recv_fd(fd, &request, sizeof(request), &len, &reply_fd, &err) < 0)
            return;
        if (len == 0 && reply_fd < 0)
            return;
        if (len != sizeof(request) || request.magic != REQUEST_MAGIC || reply_fd < 0 ||
            (request.what != REQUEST_SIGN && request.what != REQUEST_PUBLIC))
            continue;
        if (key)
            make_answer(key, &request, &answer);
        else
            answer_error(&answer, failure);
        /* An asker that went away needs no answer. */
        (void)send(reply_fd, &answer, ANSWER_HEAD + answer.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

/* Nothing but its socket: no other descriptor, no new ones beyond an answer's, no core file, no
 * debugger. */
static int shut_in(int fd, struct error *err)
{
    struct rlimit none = {0, 0};

    if (dup2(fd, 3) < 0)
        return error_errno(err, "moving the signer's socket");
    if (close_range(4, ~0U, 0) < 0)
        return error_errno(err, "closing descriptors");
    if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_errno(err, "confining the signer");
    (void)prctl(PR_SET_NAME, "monban-signer", 0, 0, 0); /* only a name for ps */
    return 0;
}

static int give_up_files(struct error *err)
{
    struct rlimit few = {SIGNER_FDS_MAX, SIGNER_FDS_MAX}, zero = {0, 0};

    if (setrlimit(RLIMIT_NOFILE, &few) < 0 || setrlimit(RLIMIT_FSIZE, &zero) < 0)
        return error_errno(err, "confining the signer");
    return 0;
}

/* Answering takes these system calls; all others fail. Whoever takes over this process, by whatever
 * mistake of ours, can sign and nothing else. */
static int forbid_the_rest(struct error *err)
{
    static const int allowed[] = {
        SCMP_SYS(read),     SCMP_SYS(write),     SCMP_SYS(recvmsg),       SCMP_SYS(sendmsg),
        SCMP_SYS(sendto),   SCMP_SYS(recvfrom),  SCMP_SYS(close),         SCMP_SYS(exit_group),
        SCMP_SYS(exit),     SCMP_SYS(mmap),      SCMP_SYS(munmap),        SCMP_SYS(mremap),
        SCMP_SYS(mprotect), SCMP_SYS(madvise),   SCMP_SYS(brk),           SCMP_SYS(futex),
        SCMP_SYS(getpid),   SCMP_SYS(getrandom), SCMP_SYS(rt_sigreturn),  SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(munlock),  SCMP_SYS(mlock),     SCMP_SYS(clock_gettime), SCMP_SYS(sigaltstack),
    };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int failed = filter ? 0 : -ENOMEM;

    for (size_t i = 0; i < ARRAY_LEN(allowed) && failed == 0; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    if (failed == 0)
        failed = seccomp_load(filter);
    if (filter)
        seccomp_release(filter);
    if (failed != 0)
        return error_set(err, ERR_SYSTEM, "confining the signer: seccomp: %s", strerror(-failed));
    return 0;
}

static void signer_main(int fd, const char *key_path, struct str password)
{
    CLEANUP(sign_key) struct sign_key *key = NULL;
    struct error err = ERROR_INIT;
    sigset_t all;

    /* A terminal's Ctrl-C reaches the whole group: the owner decides when the signer ends, by
     * closing. */
    sigemptyset(&all);
    sigaddset(&all, SIGINT);
    sigaddset(&all, SIGHUP);
    sigaddset(&all, SIGPIPE);
    (void)sigprocmask(SIG_SETMASK, &all, NULL); /* cannot fail with a valid set */
    (void)signal(SIGTERM, SIG_DFL);             /* nor this */

    if (shut_in(fd, &err) < 0 || sign_key_read(key_path, password, &key, &err) < 0 ||
        give_up_files(&err) < 0 || forbid_the_rest(&err) < 0) {
        serve(3, NULL, &err);
        return;
    }
    serve(3, key, NULL);
}

/* --- the asking side */

/* Waits for the answer, which the other end may never send: it could have been killed. */
static int receive(int fd, struct answer *ret, struct error *err)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int ready;

    do
        ready = poll(&poll_fd, 1, ANSWER_TIMEOUT_MS);
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        return error_set(err, ERR_TIMEOUT, "the signer did not answer in %d s",
                         ANSWER_TIMEOUT_MS / 1000);
    ssize_t got = ready < 0 ? -1 : recv(fd, ret, sizeof(*ret), 0);
    if (got < 0)
        return error_errno(err, "asking the signer");
    if (got == 0)
        return error_set(err, ERR_UNAVAILABLE, "the signer is gone");
    if ((size_t)got < ANSWER_HEAD || ret->magic != REQUEST_MAGIC ||
        ret->len != (size_t)got - ANSWER_HEAD)
        return error_set(err, ERR_INTERNAL, "the signer's answer is malformed");
    return 0;
}

static int ask(int signer_socket, const struct request *request, struct answer *ret,
               struct error *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_errno(err, "asking the signer");
    CLEANUP(fd) int ours = pair[0];
    CLEANUP(fd) int theirs = pair[1];
    struct str bytes = str_slice((const char *)request, sizeof(*request));
    if (io_send_fd(signer_socket, bytes, theirs, err) < 0)
        return error_wrap(err, "asking the signer");
    io_close(&theirs);
    if (receive(ours, ret, err) < 0)
        return -1;
    if (ret->error_kind != ERR_NONE)
        return error_set(err, (enum error_kind)ret->error_kind, "%.*s", (int)ret->len, ret->bytes);
    return 0;
}

static int set_public(struct signer *signer, struct str pem, struct error *err)
{
    signer->public_pem = str_dup(pem);
    if (!signer->public_pem)
        return error_no_memory(err);
    return sign_public_id("signer", pem, &signer->key_id, err);
}

static int ask_public(struct signer *signer, struct error *err)
{
    struct request request = {.magic = REQUEST_MAGIC, .what = REQUEST_PUBLIC};
    struct answer answer;

    if (ask(signer->fd, &request, &answer, err) < 0)
        return -1;
    return set_public(signer, str_slice(answer.bytes, answer.len), err);
}

int signer_start(const char *key_path, struct str password, struct signer **ret, struct error *err)
{
    CLEANUP(signer) struct signer *signer = calloc(1, sizeof(*signer));
    int pair[2];

    if (!signer)
        return error_no_memory(err);
    signer->fd = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return error_errno(err, "starting the signer");
    signer->fd = pair[0];
    CLEANUP(fd) int theirs = pair[1];
    signer->starter = getpid();
    (void)fflush(NULL); /* what is buffered must not be written twice */
    signer->pid = fork();
    if (signer->pid < 0) {
        signer->pid = 0;
        return error_errno(err, "starting the signer");
    }
    if (signer->pid == 0) {
        signer_main(theirs, key_path, password);
        _exit(0);
    }
    io_close(&theirs);
    if (ask_public(signer, err) < 0)
        return error_wrap(err, "starting the signer");
    *ret = TAKE(signer);
    return 0;
}

int signer_new_local(struct sign_key *take_key, struct signer **ret, struct error *err)
{
    CLEANUP(signer) struct signer *signer = calloc(1, sizeof(*signer));
    CLEANUP(buf) struct buf pem = BUF_INIT(ANSWER_MAX);

    if (!signer) {
        sign_key_free(take_key);
        return error_no_memory(err);
    }
    signer->fd = -1;
    signer->key = take_key;
    if (sign_key_public_pem(take_key, &pem, err) < 0 || set_public(signer, buf_str(&pem), err) < 0)
        return -1;
    *ret = TAKE(signer);
    return 0;
}

int signer_new_from_fd(int take_fd, struct signer **ret, struct error *err)
{
    CLEANUP(signer) struct signer *signer = calloc(1, sizeof(*signer));

    if (!signer) {
        io_close(&take_fd);
        return error_no_memory(err);
    }
    signer->fd = take_fd;
    if (ask_public(signer, err) < 0)
        return -1;
    *ret = TAKE(signer);
    return 0;
}

int signer_fd(const struct signer *signer)
{
    return signer->fd;
}

const char *signer_public_pem(const struct signer *signer)
{
    return signer->public_pem;
}

const struct digest *signer_key_id(const struct signer *signer)
{
    return &signer->key_id;
}

int signer_sign(struct signer *signer, const uint8_t sha256[SHA256_SIZE], struct signature *ret,
                struct error *err)
{
    struct request request = {.magic = REQUEST_MAGIC, .what = REQUEST_SIGN};
    struct answer answer;

    if (signer->key)
        return sign_key_sign(signer->key, sha256, ret, err);
    memcpy(request.sha256, sha256, SHA256_SIZE);
    if (ask(signer->fd, &request, &answer, err) < 0)
        return -1;
    if (answer.len > sizeof(ret->bytes))
        return error_set(err, ERR_INTERNAL, "the signer's answer is malformed");
    memcpy(ret->bytes, answer.bytes, answer.len);
    ret->len = answer.len;
    return 0;
}

void signer_free(struct signer *signer)
{
    if (!signer)
        return;
    io_close(&signer->fd);
    if (signer->pid > 0 && signer->starter == getpid())
        proc_stop(signer->pid, STOP_GRACE_MS);
    sign_key_free(signer->key);
    free(signer->public_pem);
    free(signer);
}
