/* launcher/sys.h - the little that these programs need of a C library: they are linked without one,
 * so that they are small (some 30 kB), start in a fraction of a millisecond, and run in an image
 * that holds nothing else.
 *
 * System calls return a value or -errno. Memory comes from one arena and is never given back, but
 * for sys_pages(). The programs end on lack of memory: nothing they could say would help. Only what
 * x86-64 and arm64 both have is used. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- system calls --- */
long sys_call(long number, long a, long b, long c, long d, long e, long f);
#define SYS_CALL(n, a, b, c, d, e, f)                                                              \
    sys_call((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
int sys_open(int dir_fd, const char *path, int flags, unsigned mode);
/* Beneath dir_fd, whatever links say (openat2, RESOLVE_BENEATH). */
int sys_open_beneath(int dir_fd, const char *path, int flags, unsigned mode);
long sys_read(int fd, void *bytes, size_t len);
long sys_write(int fd, const void *bytes, size_t len);
bool sys_write_all(int fd, const void *bytes, size_t len);
void sys_close(int fd);
int sys_fork(void);
int sys_exec(const char *path, char *const *argv, char *const *envp);
int sys_wait(int pid, int *ret_status, int flags);
int sys_kill(int pid, int signal);
int sys_chdir(const char *path);
int sys_pipe(int ends[2], int flags);
int sys_dup_to(int from, int to);
int64_t sys_now_us(void);
bool sys_is_dir(const char *path);
bool sys_is_file(const char *path);       /* a regular file */
bool sys_is_executable(const char *path); /* a regular file that we may execute */
void sys_exit(int code) __attribute__((noreturn));

/* --- memory and text --- */
void *mem_new(size_t size);   /* zeroed */
void *mem_pages(size_t size); /* of its own; NULL if there are none */
void mem_pages_free(void *pages, size_t size);
size_t text_len(const char *text);
bool text_equal(const char *a, const char *b);
int text_compare(const char *a, const char *b);
bool text_starts(const char *text, const char *prefix);
const char *text_find(const char *text, char c); /* NULL if absent */
char *text_copy(const char *text, size_t len);
char *text_join(const char *const *parts); /* NULL-ended */
#define TEXT(...) text_join((const char *const[]){__VA_ARGS__, NULL})
const char *text_number(long value);
long text_to_number(const char *text);   /* -1 if it is none */
const char *text_base(const char *path); /* after the last slash */

struct list { /* of texts; NULL-ended, so it serves as argv or envp */
    char **items;
    size_t count, capacity;
};
void list_add(struct list *list, const char *text);
void list_sort(struct list *list);

char *file_read(const char *path,
                size_t *ret_len); /* terminated; NULL if it cannot be read or > 4 MiB */
void dir_list(const char *path,
              struct list *names); /* sorted; nothing if there is no such folder */

/* "monban-launcher: a b c\n" on standard error. */
void say(const char *const *parts);
#define SAY(...) say((const char *const[]){__VA_ARGS__, NULL})
