/* base/macros.h - the compiler extensions that this code base uses, and nothing else. */
#pragma once
#include <stddef.h>

#define NODISCARD                        __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first) __attribute__((format(printf, format_index, first)))
#define UNUSED                           __attribute__((unused))
#define ARRAY_LEN(a)                     (sizeof(a) / sizeof((a)[0]))

/* `CLEANUP(image) struct image *img = NULL;` frees img when it goes out of scope. Every owning
 * local has one and a value from its first line. */
#define CLEANUP(noun) __attribute__((cleanup(cleanup_##noun)))

/* For a type handled by pointer: `DEFINE_CLEANUP(image, struct image *, image_free)`. */
#define DEFINE_CLEANUP(noun, pointer_type, free_function)                                          \
    static inline void UNUSED cleanup_##noun(pointer_type *p)                                      \
    {                                                                                              \
        if (*p)                                                                                    \
            free_function(*p);                                                                     \
    }

/* For a type that the caller places by value: `DEFINE_CLEANUP_VALUE(buf, struct buf, buf_done)`. */
#define DEFINE_CLEANUP_VALUE(noun, value_type, done_function)                                      \
    static inline void UNUSED cleanup_##noun(value_type *p)                                        \
    {                                                                                              \
        done_function(p);                                                                          \
    }

/* Hand an owned pointer over: gives its value and sets the variable to NULL. */
#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) take_ = (p);                                                                 \
        (p) = NULL;                                                                                \
        take_;                                                                                     \
    })

/* The same for a file descriptor, where -1 is "none". */
#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int take_ = (fd);                                                                          \
        (fd) = -1;                                                                                 \
        take_;                                                                                     \
    })

#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
