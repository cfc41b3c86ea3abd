/* base/log.h - one event a line: fixed message, then typed fields.
 *
 * log_info("layer pushed", log_str("digest", d), log_u64("bytes", n));
 * `error`: a person must act. `warn`: we go on, and the text says how. `info`: a state changed.
 * Text from outside is escaped. Never secrets. A function reports an error or logs, never both. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
    const char *key; /* NULL ends a list */
    enum { LOG_FIELD_STR, LOG_FIELD_I64, LOG_FIELD_U64 } type;
    struct str text;
    int64_t number;
};

static inline struct log_field log_str(const char *key, const char *value)
{
    return (struct log_field){key, LOG_FIELD_STR, str_of(value ? value : ""), 0};
}
static inline struct log_field log_text(const char *key, struct str value)
{
    return (struct log_field){key, LOG_FIELD_STR, value, 0};
}
static inline struct log_field log_i64(const char *key, int64_t value)
{
    return (struct log_field){key, LOG_FIELD_I64, STR_NONE, value};
}
static inline struct log_field log_u64(const char *key, uint64_t value)
{
    return (struct log_field){key, LOG_FIELD_U64, STR_NONE, (int64_t)value};
}
static inline struct log_field
log_err(const struct error *err) /* its text (place cut off if long) */
{
    return (struct log_field){"error", LOG_FIELD_STR, str_of(err->text), 0};
}

/* Set in main() before anything else runs: where lines go, the least level, and the process's name
 * ("gate", "cluster dev"), copied. Default: standard error, LOG_INFO. */
void log_setup(int fd, enum log_level least, const char *process);
void log_write(enum log_level level, const char *message, const struct log_field *fields);

#define LOG_FIELDS(...)         ((const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.key = NULL}})
#define log_debug(message, ...) log_write(LOG_DEBUG, message, LOG_FIELDS(__VA_ARGS__))
#define log_info(message, ...)  log_write(LOG_INFO, message, LOG_FIELDS(__VA_ARGS__))
#define log_warn(message, ...)  log_write(LOG_WARN, message, LOG_FIELDS(__VA_ARGS__))
#define log_error(message, ...) log_write(LOG_ERROR, message, LOG_FIELDS(__VA_ARGS__))
