/* wire/toml.c - the limits of TOML, and its reading; see wire/doc.h. The parser is toml++, in
 * toml.cc. */
#include "base/fs.h"
#include "wire/toml_internal.h"

/* toml++ frees tables by recursion, and "a.a.a…" nests without a bracket. With its own limit of 256
 * nested values, 16 parts a key keep that below some four thousand frames. */
enum { KEY_PARTS_MAX = 16 };

struct scan {
    struct str text;
    size_t at;
    struct place place; /* of text[at] */
    size_t values;      /* so far: '=' and ',' outside of strings */
    unsigned dots;      /* in the key or value that `at` is in */
};

static bool is_at(const struct scan *s, const char *text)
{
    return str_starts(str_skip(s->text, s->at), str_of(text));
}

static void skip(struct scan *s, size_t count)
{
    for (; count > 0 && s->at < s->text.len; count--, s->at++) {
        if (s->text.ptr[s->at] == '\n') {
            s->place.line++;
            s->place.column = 1;
        } else if (((unsigned char)s->text.ptr[s->at] & 0xC0) != 0x80) {
            s->place.column++;
        }
    }
}

/* Behind the string that starts here; where it is unterminated, toml++ will say so. */
static void skip_string(struct scan *s)
{
    char quote = s->text.ptr[s->at];
    const char *end = quote == '"' ? "\"\"\"" : "'''";
    bool is_long = is_at(s, end);

    skip(s, is_long ? 3 : 1);
    while (s->at < s->text.len) {
        char c = s->text.ptr[s->at];
        if (c == '\\' && quote == '"') {
            skip(s, 2);
        } else if (is_long && is_at(s, end)) {
            skip(s, 3);
            while (s->at < s->text.len && s->text.ptr[s->at] == quote) /* """"" ends with a quote */
                skip(s, 1);
            return;
        } else if (!is_long && (c == quote || c == '\n')) {
            skip(s, 1);
            return;
        } else {
            skip(s, 1);
        }
    }
}

static void skip_token(struct scan *s)
{
    char c = s->text.ptr[s->at];

    if (c == '"' || c == '\'') {
        skip_string(s);
        return;
    }
    if (c == '#') {
        ptrdiff_t end = str_find(str_skip(s->text, s->at), '\n');
        skip(s, end < 0 ? s->text.len - s->at : (size_t)end);
        return;
    }
    if (c == '.')
        s->dots++;
    else if (memchr("=,{}[]\n", c, 7))
        s->dots = 0;
    if (c == '=' || c == ',')
        s->values++;
    skip(s, 1);
}

static int check_limits(const char *file, struct str text, struct error *err)
{
    struct scan s = {.text = text, .place = {file, 1, 1}};

    if (text.len > DOC_BYTES_MAX) {
        return error_at(err, ERR_LIMIT, (struct place){file, 0, 0},
                        "%zu bytes of TOML are more than %d", text.len, (int)DOC_BYTES_MAX);
    }
    while (s.at < text.len) {
        struct place place = s.place;
        skip_token(&s);
        if (s.dots >= KEY_PARTS_MAX)
            return error_at(err, ERR_LIMIT, place, "key of more than %d parts", (int)KEY_PARTS_MAX);
        if (s.values > DOC_NODES_MAX)
            return error_at(err, ERR_LIMIT, place, "more than %d values", (int)DOC_NODES_MAX);
    }
    return 0;
}

int toml_parse_with(const char *file, struct str text, unsigned flags, struct doc **ret,
                    struct error *err)
{
    if (check_limits(file, text, err) < 0)
        return -1;
    return toml_load(file, text, flags, ret, err);
}

int toml_parse(const char *file, struct str text, struct doc **ret, struct error *err)
{
    return toml_parse_with(file, text, 0, ret, err);
}

int toml_read_file(int dir_fd, const char *path, struct doc **ret, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(DOC_BYTES_MAX);

    if (fs_read_at(dir_fd, path, &text, err) < 0)
        return -1;
    return toml_parse(path, buf_str(&text), ret, err);
}
