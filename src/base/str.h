/* base/str.h - borrowed text: pointer and length, maybe not terminated. Print with "%.*s",
 * STR_ARG(s). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

struct str {
    const char *ptr; /* borrowed */
    size_t len;      /* bytes */
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_ARG(s)   (int)(s).len, (s).ptr
#define STR_NONE     ((struct str){NULL, 0})

static inline struct str str_of(const char *text) /* NULL gives STR_NONE */
{
    return (struct str){text, text ? strlen(text) : 0};
}
static inline struct str str_slice(const char *ptr, size_t len)
{
    return (struct str){ptr, len};
}

bool str_equal(struct str a, struct str b);
bool str_is(struct str a, const char *text);
int str_compare(struct str a, struct str b); /* bytes, as memcmp; a prefix comes first */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Index of the first (last) `c`, or -1. */
ptrdiff_t str_find(struct str s, char c);
ptrdiff_t str_find_last(struct str s, char c);
ptrdiff_t str_find_text(struct str s, struct str needle);
struct str str_skip(struct str s, size_t count);  /* without the first `count` bytes */
struct str str_first(struct str s, size_t count); /* the first `count` bytes at most */
struct str str_trim(struct str s);                /* without white space at both ends */
struct str str_trim_end(struct str s, char c);    /* without trailing `c` */
/* Cut at the first `c`: gives what is before it, and leaves in *rest what is after. Without `c`
 * gives all and leaves *rest empty (ptr NULL). */
struct str str_cut(struct str *rest, char c);
/* The next word of *rest (white space between), or an empty str at the end. */
struct str str_word(struct str *rest);
char *str_dup(struct str s); /* terminated copy, free() it; NULL without memory */
char *str_format(const char *format, ...) PRINTF_LIKE(1, 2); /* free() it; NULL without memory */
/* `CLEANUP(text) char *path = …;` for any terminated text from malloc(). */
DEFINE_CLEANUP(text, char *, free)

/* Strict decimal numbers: the whole text, no sign for u64, no blanks, no overflow. */
bool str_to_u64(struct str s, uint64_t *ret);
bool str_to_i64(struct str s, int64_t *ret);

/* The lines of a text, and where each word of them stands. */
struct lines {
    const char *file; /* borrowed: for places */
    struct str text;
    struct str rest;
    const char *line_start;
    uint32_t line; /* of the line that lines_next() gave last */
};
struct lines lines_over(const char *file, struct str text);
bool lines_next(struct lines *in, struct str *ret_line); /* without its end of line */
struct place lines_place(const struct lines *in, const char *at);

/* A list of owned terminated strings; .items is NULL-terminated, so it serves as argv or envp. */
struct strv {
    char **items; /* owned, NULL-terminated once something was added */
    size_t count;
    bool failed; /* sticky: an add found no memory */
};
#define STRV_INIT                                                                                  \
    {                                                                                              \
        0                                                                                          \
    }
void strv_add(struct strv *v, const char *text);
void strv_add_str(struct strv *v, struct str text);
void strv_addf(struct strv *v, const char *format, ...) PRINTF_LIKE(2, 3);
void strv_sort(struct strv *v); /* by bytes */
bool strv_has(const struct strv *v, const char *text);
struct error;
NODISCARD int strv_ok(const struct strv *v, struct error *err); /* NO_MEMORY if an add failed */
void strv_done(struct strv *v);
DEFINE_CLEANUP_VALUE(strv, struct strv, strv_done)
