/* base/log.c - see base/log.h. Logfmt: time level process: message key=value. */
#include "base/log.h"

#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

enum { LINE_MAX_BYTES = 8192, VALUE_MAX_BYTES = 2048 };

static struct {
    int fd;
    enum log_level least;
    char process[64];
} sink = {.fd = STDERR_FILENO, .least = LOG_INFO};

void log_setup(int fd, enum log_level least, const char *process)
{
    sink.fd = fd;
    sink.least = least;
    (void)snprintf(sink.process, sizeof sink.process, "%s", process); /* cut to fit */
}

static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 127)
            return false;
    }
    return text.len > 0;
}

static void add_escaped(struct buf *line, struct str text)
{
    text = str_first(text, VALUE_MAX_BYTES);
    if (is_plain(text)) {
        buf_add_str(line, text);
        return;
    }
    buf_add_char(line, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\')
            buf_addf(line, "\\%c", c);
        else if (c == '\n')
            buf_add_text(line, "\\n");
        else if (c < ' ' || c == 127)
            buf_addf(line, "\\x%02x", c);
        else
            buf_add_char(line, (char)c);
    }
    buf_add_char(line, '"');
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char now[CLOCK_TEXT_SIZE];

    if (level < sink.least)
        return;
    int64_t now_ms = clock_now_ms();
    CLEANUP(buf) struct buf line = BUF_INIT(LINE_MAX_BYTES * 4);
    clock_rfc3339(now_ms / 1000, now);
    buf_addf(&line, "%.19s.%03dZ %-5s ", now, (int)(now_ms % 1000), names[level]);
    if (sink.process[0])
        buf_addf(&line, "%s: ", sink.process);
    buf_add_text(&line, message);
    for (const struct log_field *field = fields; field->key; field++) {
        buf_addf(&line, " %s=", field->key);
        if (field->type == LOG_FIELD_STR)
            add_escaped(&line, field->text);
        else if (field->type == LOG_FIELD_I64)
            buf_addf(&line, "%lld", (long long)field->number);
        else
            buf_addf(&line, "%llu", (unsigned long long)field->number);
    }
    if (line.failed)
        return; /* without memory there is no log line */
    buf_add_char(&line, '\n');
    (void)!write(sink.fd, buf_text(&line), line.len); /* a log that cannot be written is lost */
}
