/* oci/runtime_process.c - the container's first process becomes our child.
 *
 * `crun run --detach` starts it from a helper process that it does not wait for: when crun has
 * ended, the helper may still be the parent, so that waitpid() would fail. Later the helper is our
 * zombie, and nobody knows its number. Seen with crun 1.8.1, in every tenth start of a program that
 * ends at once. */
#include "oci/runtime_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"

enum { STAT_MAX = 4096, CHILDREN_MAX = 1 << 20, HELPER_TIMEOUT_MS = 5000 };

struct stat_line { /* of /proc/PID/stat (proc(5)) */
    char name[32];
    char state;
    pid_t parent, session;
    uint64_t start;
};

static bool read_stat(pid_t pid, struct stat_line *ret)
{
    CLEANUP(buf) struct buf text = BUF_INIT(STAT_MAX);
    struct error ignored = ERROR_INIT; /* no such process is an answer */
    char path[64];
    uint64_t numbers[23] = {0};

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    if (fs_read_at(AT_FDCWD, path, &text, &ignored) < 0)
        return false;
    struct str line = buf_str(&text);
    ptrdiff_t open = str_find(line, '('),
              close = str_find_last(line, ')'); /* the name may hold both */
    if (open < 0 || close < open)
        return false;
    struct str name = str_first(str_skip(line, (size_t)open + 1), (size_t)(close - open - 1));
    snprintf(ret->name, sizeof(ret->name), "%.*s", STR_ARG(name));
    struct str rest = str_skip(line, (size_t)close + 1);
    struct str state = str_word(&rest);
    ret->state = state.len == 1 ? state.ptr[0] : '?';
    for (size_t field = 4; field <= 22; field++)
        if (!str_to_u64(str_word(&rest), &numbers[field]))
            numbers[field] = 0; /* signed ones that we do not use */
    ret->parent = (pid_t)numbers[4];
    ret->session = (pid_t)numbers[6];
    ret->start = numbers[22];
    return true;
}

uint64_t runtime_start_time(pid_t pid)
{
    struct stat_line line;
    return read_stat(pid, &line) ? line.start : 0;
}

static void wait_for_end(pid_t pid)
{
    CLEANUP(fd) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    if (fd >= 0)
        (void)poll(&wait, 1, HELPER_TIMEOUT_MS); /* the caller looks again at what is */
}

/* A zombie of the runtime's in a session that is neither ours nor its own: a helper. What the
 * caller started itself (exec) is in our session. */
static void reap_if_helper(pid_t pid)
{
    struct stat_line line;

    if (read_stat(pid, &line) && line.state == 'Z' && line.parent == getpid() &&
        strncmp(line.name, "crun", 4) == 0 && line.session != getsid(0) && line.session != pid)
        (void)waitpid(pid, NULL, WNOHANG); /* reaped, or not ours */
}

/* Which of our children it was is not known: look at all. */
static void reap_helpers(void)
{
    CLEANUP(strv) struct strv tasks = STRV_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT(CHILDREN_MAX);
    struct error ignored =
        ERROR_INIT; /* without the list a zombie stays: no harm done but an entry in a table */
    uint64_t pid;

    if (fs_list(AT_FDCWD, "/proc/self/task", &tasks, &ignored) < 0)
        return;
    for (size_t i = 0; i < tasks.count; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/self/task/%.20s/children", tasks.items[i]);
        buf_clear(&text);
        if (fs_read_at(AT_FDCWD, path, &text, &ignored) < 0)
            continue;
        struct str rest = buf_str(&text);
        for (struct str word = str_word(&rest); word.len > 0; word = str_word(&rest))
            if (str_to_u64(word, &pid) && pid <= INT32_MAX)
                reap_if_helper((pid_t)pid);
    }
}

void runtime_adopt(pid_t pid)
{
    struct stat_line line;

    if (!read_stat(pid, &line))
        return;
    if (line.parent == getpid()) { /* the helper was faster than we */
        reap_helpers();
        return;
    }
    if (line.parent <= 1)
        return;
    pid_t helper = line.parent;
    wait_for_end(helper);
    (void)waitpid(helper, NULL, WNOHANG); /* ECHILD if we are no subreaper: then init has it */
}
