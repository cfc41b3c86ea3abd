/* launcher/sys.c - see sys.h. */
#include "sys.h"

#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/mman.h>
#include <time.h>

enum {
    ARENA_CHUNK = 256 << 10,
    FILE_MAX = 4 << 20, /* bytes: env files, metadata.toml */
    ERRNO_MAX = 4095,
};

#if defined(__x86_64__)
long sys_call(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
long sys_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;

    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}
#else
#error "the launcher knows x86-64 and arm64"
#endif

int sys_open(int dir_fd, const char *path, int flags, unsigned mode)
{
    return (int)SYS_CALL(__NR_openat, dir_fd, path, flags | O_CLOEXEC, mode, 0, 0);
}

int sys_open_beneath(int dir_fd, const char *path, int flags, unsigned mode)
{
    struct open_how how = {.flags = (uint64_t)(flags | O_CLOEXEC),
                           .mode = mode,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

    return (int)SYS_CALL(__NR_openat2, dir_fd, path, &how, sizeof(how), 0, 0);
}

long sys_read(int fd, void *bytes, size_t len)
{
    long got;

    do
        got = SYS_CALL(__NR_read, fd, bytes, len, 0, 0, 0);
    while (got == -4); /* EINTR */
    return got;
}

long sys_write(int fd, const void *bytes, size_t len)
{
    long put;

    do
        put = SYS_CALL(__NR_write, fd, bytes, len, 0, 0, 0);
    while (put == -4);
    return put;
}

bool sys_write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len) {
        long put = sys_write(fd, at, len);
        if (put <= 0)
            return false;
        at += put;
        len -= (size_t)put;
    }
    return true;
}

void sys_close(int fd)
{
    if (fd >= 0)
        (void)SYS_CALL(__NR_close, fd, 0, 0, 0, 0, 0);
}

int sys_fork(void)
{
    return (int)SYS_CALL(__NR_clone, 17 /* SIGCHLD */, 0, 0, 0, 0, 0);
}

int sys_exec(const char *path, char *const *argv, char *const *envp)
{
    return (int)SYS_CALL(__NR_execve, path, argv, envp, 0, 0, 0);
}

int sys_wait(int pid, int *ret_status, int flags)
{
    long got;

    do
        got = SYS_CALL(__NR_wait4, pid, ret_status, flags, 0, 0, 0);
    while (got == -4);
    return (int)got;
}

int sys_kill(int pid, int signal)
{
    return (int)SYS_CALL(__NR_kill, pid, signal, 0, 0, 0, 0);
}

int sys_chdir(const char *path)
{
    return (int)SYS_CALL(__NR_chdir, path, 0, 0, 0, 0, 0);
}

int sys_pipe(int ends[2], int flags)
{
    return (int)SYS_CALL(__NR_pipe2, ends, flags | O_CLOEXEC, 0, 0, 0, 0);
}

int sys_dup_to(int from, int to)
{
    if (from == to) /* dup3 refuses it; all that is wanted is that it stays open over exec */
        return (int)SYS_CALL(__NR_fcntl, from, F_SETFD, 0, 0, 0, 0);
    return (int)SYS_CALL(__NR_dup3, from, to, 0, 0, 0, 0);
}

int64_t sys_now_us(void)
{
    struct timespec now = {0};

    (void)SYS_CALL(__NR_clock_gettime, CLOCK_MONOTONIC, &now, 0, 0, 0, 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static unsigned file_mode(const char *path)
{
    struct statx st = {0};

    if (SYS_CALL(__NR_statx, AT_FDCWD, path, 0, STATX_TYPE | STATX_MODE, &st, 0) < 0)
        return 0;
    return st.stx_mode;
}

bool sys_is_dir(const char *path)
{
    return (file_mode(path) & S_IFMT) == S_IFDIR;
}

bool sys_is_file(const char *path)
{
    return (file_mode(path) & S_IFMT) == S_IFREG;
}

bool sys_is_executable(const char *path)
{
    return sys_is_file(path) && SYS_CALL(__NR_faccessat, AT_FDCWD, path, 1, 0, 0, 0) == 0;
}

void sys_exit(int code)
{
    for (;;)
        (void)SYS_CALL(__NR_exit_group, code, 0, 0, 0, 0, 0);
}

void *mem_pages(size_t size)
{
    long at =
        SYS_CALL(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return at < 0 && at >= -ERRNO_MAX ? NULL : (void *)at;
}

void mem_pages_free(void *pages, size_t size)
{
    if (pages)
        (void)SYS_CALL(__NR_munmap, pages, size, 0, 0, 0, 0);
}

void *mem_new(size_t size)
{
    static struct {
        char *at;
        size_t left;
    } arena; /* the one piece of global state: the programs have one thread and live briefly */
    size_t whole = (size + 15) & ~(size_t)15;

    if (whole > arena.left) {
        size_t chunk = whole > ARENA_CHUNK ? whole : ARENA_CHUNK;
        arena.at = mem_pages(chunk);
        arena.left = chunk;
        if (!arena.at) {
            SAY("out of memory");
            sys_exit(82);
        }
    }
    void *result = arena.at;
    arena.at += whole;
    arena.left -= whole;
    return result;
}

size_t text_len(const char *text)
{
    size_t n = 0;

    while (text[n])
        n++;
    return n;
}

int text_compare(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}

bool text_equal(const char *a, const char *b)
{
    return text_compare(a, b) == 0;
}

bool text_starts(const char *text, const char *prefix)
{
    while (*prefix) {
        if (*text++ != *prefix++)
            return false;
    }
    return true;
}

const char *text_find(const char *text, char c)
{
    for (; *text; text++) {
        if (*text == c)
            return text;
    }
    return NULL;
}

static void copy_bytes(char *to, const char *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = from[i];
}

char *text_copy(const char *text, size_t len)
{
    char *copy = mem_new(len + 1);

    copy_bytes(copy, text, len);
    return copy;
}

char *text_join(const char *const *parts)
{
    size_t len = 0;

    for (size_t i = 0; parts[i]; i++)
        len += text_len(parts[i]);
    char *joined = mem_new(len + 1), *at = joined;
    for (size_t i = 0; parts[i]; i++) {
        size_t n = text_len(parts[i]);
        copy_bytes(at, parts[i], n);
        at += n;
    }
    return joined;
}

const char *text_number(long value)
{
    char *text = mem_new(24), *at = text + 23;
    unsigned long rest = value < 0 ? (unsigned long)-value : (unsigned long)value;

    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    return at;
}

long text_to_number(const char *text)
{
    long value = 0;

    if (!*text)
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > 100000000)
            return -1;
        value = value * 10 + (*text - '0');
    }
    return value;
}

const char *text_base(const char *path)
{
    const char *base = path;

    for (; *path; path++) {
        if (*path == '/')
            base = path + 1;
    }
    return base;
}

void list_add(struct list *list, const char *text)
{
    if (list->count + 2 > list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        char **items = mem_new(capacity * sizeof(*items));
        for (size_t i = 0; i < list->count; i++)
            items[i] = list->items[i];
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = (char *)text;
    list->items[list->count] = NULL;
}

void list_sort(struct list *list)
{
    for (size_t i = 1; i < list->count; i++) { /* a handful of names */
        char *item = list->items[i];
        size_t k = i;
        for (; k > 0 && text_compare(list->items[k - 1], item) > 0; k--)
            list->items[k] = list->items[k - 1];
        list->items[k] = item;
    }
}

char *file_read(const char *path, size_t *ret_len)
{
    int fd = sys_open(AT_FDCWD, path, O_RDONLY, 0);
    size_t capacity = 16 << 10, len = 0;
    char *bytes = mem_new(capacity);
    long got = -1;

    while (fd >= 0 && (got = sys_read(fd, bytes + len, capacity - 1 - len)) > 0) {
        len += (size_t)got;
        if (len + 1 < capacity)
            continue;
        if (capacity >= FILE_MAX) {
            got = -1;
            break;
        }
        char *larger = mem_new(capacity * 2);
        copy_bytes(larger, bytes, len);
        bytes = larger;
        capacity *= 2;
    }
    sys_close(fd);
    if (got < 0)
        return NULL;
    bytes[len] = 0;
    if (ret_len)
        *ret_len = len;
    return bytes;
}

void dir_list(const char *path, struct list *names)
{
    struct entry { /* struct linux_dirent64 of getdents64(2) */
        uint64_t inode;
        int64_t offset;
        unsigned short size;
        unsigned char type;
        char name[];
    };
    _Alignas(8) char room[8192];
    int fd = sys_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    long got;

    while (fd >= 0 && (got = SYS_CALL(__NR_getdents64, fd, room, sizeof(room), 0, 0, 0)) > 0) {
        for (long at = 0; at < got;) {
            const struct entry *e = (const struct entry *)(room + at);
            if (!text_equal(e->name, ".") && !text_equal(e->name, ".."))
                list_add(names, text_copy(e->name, text_len(e->name)));
            at += e->size;
        }
    }
    sys_close(fd);
    list_sort(names);
}

void say(const char *const *parts)
{
    char *text = text_join(parts);

    text = TEXT("monban-launcher: ", text, "\n");
    (void)sys_write_all(2, text, text_len(text)); /* nowhere else to say it */
}
