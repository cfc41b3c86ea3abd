/* advisory/skim.c - leaves out the members of a record that nobody matches by; see record_skim() in
 * record.h.
 *
 * A JSON text is walked, not parsed: strings, nesting, nothing else (RFC 8259). Only members of the
 * outermost object are left out, and the rest is copied as it stands, so the parser behind still
 * judges every byte that is used. */
#include "advisory/record.h"

struct cursor {
    const char *at, *end;
};

static char peek(struct cursor *c) /* after white space; 0 at the end */
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
        c->at++;
    return c->at < c->end ? *c->at : 0;
}

static bool skip_string(struct cursor *c) /* `at` is on the opening quote */
{
    for (c->at++; c->at < c->end;) {
        const char *quote = memchr(c->at, '"', (size_t)(c->end - c->at));
        const char *slash = quote;
        if (!quote)
            return false;
        while (slash > c->at && slash[-1] == '\\')
            slash--;
        c->at = quote + 1;
        if ((quote - slash) % 2 == 0)
            return true;
    }
    return false;
}

static bool skip_nested(struct cursor *c) /* `at` is on the opening bracket */
{
    size_t depth = 0;

    while (c->at < c->end) {
        char now = *c->at;
        if (now == '"') {
            if (!skip_string(c))
                return false;
            continue;
        }
        depth += now == '{' || now == '[';
        depth -= now == '}' || now == ']';
        c->at++;
        if (depth == 0)
            return true;
    }
    return false;
}

static bool skip_value(struct cursor *c)
{
    char first = peek(c);

    if (first == '"')
        return skip_string(c);
    if (first == '{' || first == '[')
        return skip_nested(c);
    while (c->at < c->end && !strchr(",}] \t\r\n", *c->at))
        c->at++;
    return c->at < c->end;
}

static bool is_unused(struct str key) /* with its quotes */
{
    return str_is(key, "\"details\"") || str_is(key, "\"references\"") ||
           str_is(key, "\"credits\"");
}

bool record_skim(struct str json, struct buf *out)
{
    struct cursor c = {json.ptr, json.ptr + json.len};
    bool is_first = true;

    if (!json.ptr || peek(&c) != '{')
        return false;
    c.at++;
    buf_add_char(out, '{');
    if (peek(&c) == '}')
        return false;
    for (;;) {
        const char *start = c.at;
        struct str key;
        if (peek(&c) != '"')
            return false;
        start = c.at;
        if (!skip_string(&c))
            return false;
        key = str_slice(start, (size_t)(c.at - start));
        if (peek(&c) != ':')
            return false;
        c.at++;
        if (!skip_value(&c))
            return false;
        if (!is_unused(key)) {
            if (!is_first)
                buf_add_char(out, ',');
            buf_add(out, start, (size_t)(c.at - start));
            is_first = false;
        }
        if (peek(&c) == '}')
            break;
        if (peek(&c) != ',')
            return false;
        c.at++;
        if (!peek(&c))
            return false;
    }
    buf_add_char(out, '}');
    c.at++;
    return peek(&c) == 0 && !out->failed;
}
