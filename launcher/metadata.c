/* launcher/metadata.c - see metadata.h. One pass; strings are copied into the arena. */
#include "metadata.h"

struct reader {
    const char *at;
    bool failed;
};

enum table { TABLE_OTHER, TABLE_PROCESSES, TABLE_BUILDPACKS };

struct state {
    struct metadata *out;
    enum table table;
};

static void skip_blank(struct reader *r, bool lines)
{
    for (;; r->at++) {
        if (*r->at == '#') {
            while (*r->at && *r->at != '\n')
                r->at++;
        }
        if (*r->at != ' ' && *r->at != '\t' && !(lines && (*r->at == '\n' || *r->at == '\r')))
            return;
    }
}

static bool take(struct reader *r, char c)
{
    if (*r->at != c)
        return false;
    r->at++;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static size_t put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* After the backslash of a basic string. Writes at most 4 bytes, never more than it reads. */
static size_t take_escape(struct reader *r, char *out)
{
    static const char from[] = "btnfr\"\\e", to[] = "\b\t\n\f\r\"\\\033";
    char c = *r->at;
    int digits = c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t code = 0;

    if (c)
        r->at++;
    for (size_t i = 0; !digits && from[i]; i++) {
        if (from[i] == c) {
            *out = to[i];
            return 1;
        }
    }
    for (int i = 0; i < digits; i++, r->at++) {
        int digit = hex_digit(*r->at);
        if (digit < 0) {
            digits = 0;
            break;
        }
        code = code << 4 | (uint32_t)digit;
    }
    if (!digits || code > 0x10ffff || code == 0)
        r->failed = true;
    return digits ? put_utf8(out, code) : 0;
}

static bool at_end(const struct reader *r, const char *quote)
{
    return text_starts(r->at, quote);
}

/* A string of any of TOML's four kinds; NULL and failed if there is none. */
static const char *take_string(struct reader *r)
{
    char mark = *r->at;
    const char *quote = mark == '"' ? "\"" : "'";

    if (mark != '"' && mark != '\'') {
        r->failed = true;
        return NULL;
    }
    if (text_starts(r->at, mark == '"' ? "\"\"\"" : "'''")) {
        quote = mark == '"' ? "\"\"\"" : "'''";
        r->at += 3;
        if (*r->at == '\n')
            r->at++;
    } else {
        r->at++;
    }
    const char *start = r->at;
    size_t len = 0;
    char *out = mem_new(text_len(start) + 1);
    while (*r->at && !at_end(r, quote) && !r->failed) {
        if (mark == '"' && take(r, '\\'))
            len += take_escape(r, out + len);
        else
            out[len++] = *r->at++;
    }
    if (!at_end(r, quote))
        r->failed = true;
    else
        r->at += text_len(quote);
    return text_copy(out, len);
}

static bool is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '+' || c == ':';
}

static const char *take_bare(struct reader *r)
{
    const char *start = r->at;

    if (*start == '"' || *start == '\'')
        return take_string(r);
    while (is_bare(*r->at))
        r->at++;
    if (r->at == start)
        r->failed = true;
    return text_copy(start, (size_t)(r->at - start));
}

static void take_table_inline(struct reader *r, struct state *s, enum table table);

/* A list of strings, or of inline tables (then each opens an item of `table`). */
static void take_array(struct reader *r, struct state *s, struct list *out, enum table table)
{
    r->at++;
    for (;;) {
        skip_blank(r, true);
        if (take(r, ']') || r->failed)
            return;
        if (*r->at == '{')
            take_table_inline(r, s, table);
        else if (*r->at == '[') {
            struct list ignored = {0};
            take_array(r, s, &ignored, TABLE_OTHER);
        } else if (*r->at == '"' || *r->at == '\'')
            list_add(out, take_string(r));
        else
            (void)take_bare(r);
        skip_blank(r, true);
        if (!take(r, ',') && *r->at != ']')
            r->failed = true;
    }
}

static void set_process(struct process *p, const char *key, const char *text, struct list *list)
{
    if (text_equal(key, "type"))
        p->type = text;
    else if (text_equal(key, "command")) {
        if (text) /* a string before platform API 0.10 */
            list_add(list, text);
        p->command = *list;
    } else if (text_equal(key, "args"))
        p->args = *list;
    else if (text_equal(key, "working-dir"))
        p->working_dir = text && *text ? text : NULL;
    else if (text_equal(key, "buildpack-id"))
        p->buildpack_id = text;
    else if (text_equal(key, "direct"))
        p->direct = text && text_equal(text, "true");
}

static void set_value(struct state *s, const char *key, const char *text, struct list *list)
{
    struct metadata *m = s->out;

    if (s->table == TABLE_PROCESSES && m->process_count)
        set_process(&m->processes[m->process_count - 1], key, text, list);
    if (s->table == TABLE_BUILDPACKS && m->buildpacks.count && text) {
        if (text_equal(key, "id"))
            m->buildpacks.items[m->buildpacks.count - 1] = (char *)text;
        if (text_equal(key, "api"))
            m->apis.items[m->apis.count - 1] = (char *)text;
    }
}

static void open_item(struct reader *r, struct state *s, enum table table)
{
    s->table = table;
    if (table == TABLE_PROCESSES) {
        if (s->out->process_count == PROCESSES_MAX)
            r->failed = true;
        else
            s->out->processes[s->out->process_count++].direct = true;
    }
    if (table == TABLE_BUILDPACKS) {
        list_add(&s->out->buildpacks, "");
        list_add(&s->out->apis, "");
    }
}

static enum table table_named(const char *name)
{
    if (text_equal(name, "processes"))
        return TABLE_PROCESSES;
    return text_equal(name, "buildpacks") ? TABLE_BUILDPACKS : TABLE_OTHER;
}

static void take_pair(struct reader *r, struct state *s, bool at_top)
{
    const char *key = take_bare(r);
    struct list list = {0};

    skip_blank(r, false);
    if (!take(r, '='))
        r->failed = true;
    skip_blank(r, false);
    if (r->failed)
        return;
    if (*r->at == '[') {
        take_array(r, s, &list, at_top ? table_named(key) : TABLE_OTHER);
        set_value(s, key, NULL, &list);
    } else if (*r->at == '{') {
        take_table_inline(r, s, TABLE_OTHER);
    } else {
        set_value(s, key, take_bare(r), &list);
    }
}

static void take_table_inline(struct reader *r, struct state *s, enum table table)
{
    struct state inner = {s->out, table};

    r->at++;
    open_item(r, &inner, table);
    for (;;) {
        skip_blank(r, false);
        if (take(r, '}') || r->failed)
            return;
        take_pair(r, &inner, false);
        skip_blank(r, false);
        if (!take(r, ',') && *r->at != '}')
            r->failed = true;
    }
}

static void take_header(struct reader *r, struct state *s)
{
    bool array = false;

    r->at++;
    array = take(r, '[');
    skip_blank(r, false);
    const char *name = take_bare(r);
    skip_blank(r, false);
    if (!take(r, ']') || (array && !take(r, ']')))
        r->failed = true;
    s->table = TABLE_OTHER;
    if (array && !r->failed)
        open_item(r, s, table_named(name));
}

bool metadata_parse(char *text, struct metadata *ret)
{
    struct reader r = {text, false};
    struct state s = {ret, TABLE_OTHER};
    bool at_top = true;

    ret->processes = mem_new(PROCESSES_MAX * sizeof(*ret->processes));
    for (;;) {
        skip_blank(&r, true);
        if (!*r.at || r.failed)
            break;
        if (*r.at == '[') {
            take_header(&r, &s);
            at_top = false;
        } else {
            take_pair(&r, &s, at_top);
        }
        skip_blank(&r, false);
        if (*r.at && *r.at != '\n' && *r.at != '\r')
            r.failed = true;
    }
    for (size_t i = 0; i < ret->process_count; i++) {
        if (!ret->processes[i].type)
            return false;
    }
    return !r.failed;
}

const struct process *metadata_process(const struct metadata *m, const char *type)
{
    for (size_t i = 0; i < m->process_count; i++) {
        if (text_equal(m->processes[i].type, type))
            return &m->processes[i];
    }
    return NULL;
}
