/* launcher/start.c - what a C library does before main(), and the four functions that the compiler
 * calls by itself. Not part of the tests, which have a C library. */
#include "sys.h"

int main(int argc, char **argv, char **envp);
void start_c(long *stack) __attribute__((noreturn, used));
void *memcpy(void *to, const void *from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *to, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);

#if defined(__x86_64__)
__asm__(
    ".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start_c\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tb start_c\n");
#endif

void start_c(long *stack)
{
    int argc = (int)stack[0];
    char **argv = (char **)(stack + 1);

    sys_exit(main(argc, argv, argv + argc + 1));
}

void *memcpy(void *to, const void *from, size_t len)
{
    char *t = to;
    const char *f = from;

    for (size_t i = 0; i < len; i++)
        t[i] = f[i];
    return to;
}

void *memmove(void *to, const void *from, size_t len)
{
    char *t = to;
    const char *f = from;

    if (t < f)
        return memcpy(to, from, len);
    while (len--)
        t[len] = f[len];
    return to;
}

void *memset(void *to, int byte, size_t len)
{
    char *t = to;

    for (size_t i = 0; i < len; i++)
        t[i] = (char)byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
    const unsigned char *x = a, *y = b;

    for (size_t i = 0; i < len; i++) {
        if (x[i] != y[i])
            return x[i] - y[i];
    }
    return 0;
}
