/* base/error.c - see base/error.h. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void set_text(struct error *err, enum error_kind kind,
                                                           const char *format, va_list args)
{
    err->kind = kind;
    err->sys_errno = 0;
    err->place[0] = 0;
    (void)vsnprintf(err->text, sizeof err->text, format, args); /* cut to fit by design */
}

static void set_place(struct error *err, struct place place)
{
    if (!place.file)
        return;
    /* Cut to fit by design. */
    if (place.line == 0)
        (void)snprintf(err->place, sizeof err->place, "%s", place.file);
    else
        (void)snprintf(err->place, sizeof err->place, "%s:%u:%u", place.file, place.line,
                       place.column);
}

int error_set(struct error *err, enum error_kind kind, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_text(err, kind, format, args);
    va_end(args);
    return -1;
}

int error_at(struct error *err, enum error_kind kind, struct place place, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_text(err, kind, format, args);
    va_end(args);
    set_place(err, place);
    return -1;
}

static enum error_kind kind_of_errno(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
        return ERR_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return ERR_CONFLICT;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_LIMIT;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPIPE:
        return ERR_UNAVAILABLE;
    case ENOSYS:
    case EOPNOTSUPP:
        return ERR_UNSUPPORTED;
    default:
        return ERR_SYSTEM;
    }
}

int error_errno(struct error *err, const char *format, ...)
{
    int number = errno;
    va_list args;

    va_start(args, format);
    set_text(err, kind_of_errno(number), format, args);
    va_end(args);
    err->sys_errno = number;

    char reason[128];
    const char *text = strerror_r(number, reason, sizeof reason);
    size_t used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", text); /* cut to fit */
    return -1;
}

int error_wrap(struct error *err, const char *format, ...)
{
    char inner[ERROR_TEXT_MAX];
    va_list args;

    memcpy(inner, err->text, sizeof inner);
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args); /* cut to fit by design */
    va_end(args);
    size_t used = strlen(err->text);
    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", inner); /* cut to fit */
    return -1;
}

int error_no_memory(struct error *err)
{
    return error_set(err, ERR_NO_MEMORY, "out of memory");
}

void error_clear(struct error *err)
{
    err->kind = ERR_NONE;
    err->sys_errno = 0;
    err->place[0] = 0;
    err->text[0] = 0;
}

const char *error_kind_name(enum error_kind kind)
{
    static const char *const names[] = {
        "none",    "invalid",     "not found",   "conflict",  "denied",    "untrusted", "limit",
        "timeout", "unavailable", "unsupported", "cancelled", "no memory", "system",    "internal",
    };

    return (size_t)kind < ARRAY_LEN(names) ? names[kind] : "unknown";
}

void error_format(const struct error *err, char *out, size_t out_size)
{
    if (out_size == 0)
        return;
    /* Cut to fit by design. */
    if (err->place[0])
        (void)snprintf(out, out_size, "%s: %s", err->place, err->text);
    else
        (void)snprintf(out, out_size, "%s", err->text);
}

void error_list_add(struct error_list *list, enum error_kind kind, struct place place,
                    const char *format, ...)
{
    va_list args;

    if (!list->items)
        list->items = calloc(ERROR_LIST_MAX, sizeof *list->items);
    if (!list->items || list->count == ERROR_LIST_MAX) {
        list->dropped++;
        return;
    }
    struct error *err = &list->items[list->count++];
    va_start(args, format);
    set_text(err, kind, format, args);
    va_end(args);
    set_place(err, place);
}

/* Cuts ":NUMBER" off the end of a place; 0 if there is none. */
static unsigned long cut_number(char *place)
{
    char *colon = strrchr(place, ':');
    unsigned long number = 0;

    if (!colon || colon[1] == '\0' || colon[1 + strspn(colon + 1, "0123456789")] != '\0')
        return 0;
    for (const char *at = colon + 1; *at; at++)
        number = number * 10 + (unsigned long)(*at - '0');
    *colon = '\0';
    return number;
}

static int compare_places(const void *a, const void *b)
{
    char left[ERROR_PLACE_MAX], right[ERROR_PLACE_MAX];

    memcpy(left, ((const struct error *)a)->place, sizeof left);
    memcpy(right, ((const struct error *)b)->place, sizeof right);
    unsigned long left_column = cut_number(left), right_column = cut_number(right);
    unsigned long left_line = cut_number(left), right_line = cut_number(right);
    int order = strcmp(left, right);
    if (order == 0)
        order = (left_line > right_line) - (left_line < right_line);
    return order ? order : (left_column > right_column) - (left_column < right_column);
}

void error_list_sort(struct error_list *list)
{
    if (list->count > 1)
        qsort(list->items, list->count, sizeof *list->items, compare_places);
}

int error_list_check(const struct error_list *list, struct error *err)
{
    size_t used = 0;

    if (list->count == 0 && list->dropped == 0)
        return 0;
    if (list->count == 0)
        return error_no_memory(err);
    error_clear(err);
    err->kind = list->items[0].kind;
    if (list->count == 1) {
        *err = list->items[0];
        return -1;
    }
    for (size_t i = 0; i < list->count && used + 1 < sizeof err->text; i++) {
        if (i > 0)
            err->text[used++] = '\n';
        error_format(&list->items[i], err->text + used, sizeof err->text - used);
        used += strlen(err->text + used);
    }
    return -1;
}

void error_list_done(struct error_list *list)
{
    free(list->items);
    *list = (struct error_list)ERROR_LIST_INIT;
}
