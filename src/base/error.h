/* base/error.h - how every function that can fail says so.
 *
 * A function that can fail returns 0 or -1, is NODISCARD, and takes `struct error *err` last, never
 * NULL. The outermost frame (a command, a request, a job) owns the one struct error. */
#pragma once
#include <stdint.h>
#include <stdio.h>

#include "base/macros.h"

/* The kind decides what happens next; texts are for people and code never looks at them. */
enum error_kind {
    ERR_NONE,
    ERR_INVALID,     /* input does not mean what it should */
    ERR_NOT_FOUND,   /* the thing named does not exist */
    ERR_CONFLICT,    /* exists already, or changed under us */
    ERR_DENIED,      /* we may not, or a check refused */
    ERR_UNTRUSTED,   /* a digest, signature, sequence or certificate is wrong */
    ERR_LIMIT,       /* a stated maximum would be passed */
    ERR_TIMEOUT,     /* a deadline passed */
    ERR_UNAVAILABLE, /* a peer cannot be reached now; trying later may help */
    ERR_UNSUPPORTED, /* understood, but not done here */
    ERR_CANCELLED,   /* somebody asked us to stop */
    ERR_NO_MEMORY,
    ERR_SYSTEM,   /* a system call failed in a way that none of the above names */
    ERR_INTERNAL, /* a mistake of ours */
};

/* Where in a text that a person wrote. line and column count from 1; 0 means "not known". */
struct place {
    const char *file; /* borrowed; NULL: no place */
    uint32_t line;
    uint32_t column;
};

enum {
    ERROR_PLACE_MAX = 256,
    ERROR_TEXT_MAX = 2048
}; /* bytes with the terminator; longer is cut */

struct error {
    enum error_kind kind;
    int sys_errno; /* the errno behind ERR_SYSTEM and its relatives, or 0 */
    char place[ERROR_PLACE_MAX];
    char text[ERROR_TEXT_MAX];
};

#define ERROR_INIT                                                                                 \
    {                                                                                              \
        .kind = ERR_NONE                                                                           \
    }

/* Each returns -1, so that `return error_set(…)` reads well. None of them can fail. */
int error_set(struct error *err, enum error_kind kind, const char *format, ...) PRINTF_LIKE(3, 4);
int error_at(struct error *err, enum error_kind kind, struct place place, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* From errno: ENOENT is NOT_FOUND, EEXIST CONFLICT, EACCES/EPERM DENIED, ENOMEM NO_MEMORY,
 * ENOSPC/EDQUOT LIMIT, ETIMEDOUT TIMEOUT, ECONNREFUSED and its relatives UNAVAILABLE, else SYSTEM.
 * The text becomes "<format>: <strerror>". */
int error_errno(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);
/* Put "<format>: " before the text that is there. */
int error_wrap(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);
int error_no_memory(struct error *err);
void error_clear(struct error *err);

const char *error_kind_name(enum error_kind kind); /* "invalid", "not found", … */

/* "file:1:2: text" or "text", as one line, into `out` (cut to fit, always terminated). */
void error_format(const struct error *err, char *out, size_t out_size);

/* All faults of one document, in the order found, up to a cap. */
enum { ERROR_LIST_MAX = 64 };
struct error_list {
    struct error *items; /* owned */
    size_t count;
    size_t dropped; /* faults beyond the cap or without memory */
};
#define ERROR_LIST_INIT                                                                            \
    {                                                                                              \
        0                                                                                          \
    }
void error_list_add(struct error_list *list, enum error_kind kind, struct place place,
                    const char *format, ...) PRINTF_LIKE(4, 5);
/* Into the order in which a reader meets them: by file (bytes), line, column. Without a place:
 * first. */
void error_list_sort(struct error_list *list);
/* 0 if the list is empty; else fills err with all texts, one a line (each with its place; kind of
 * the first), and returns -1. */
NODISCARD int error_list_check(const struct error_list *list, struct error *err);
void error_list_done(struct error_list *list);
DEFINE_CLEANUP_VALUE(error_list, struct error_list, error_list_done)
