/* oci/reference.c - see reference.h. */
#include "oci/reference.h"

#include <ctype.h>

enum { PORT_DIGITS_MAX = 5 };

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

/* Length of a separator of the name grammar at the start of `s`: ".", "_", "__" or "-"+; 0 for
 * none. */
static size_t separator_length(struct str s)
{
    size_t n = 0;
    if (s.len == 0)
        return 0;
    if (s.ptr[0] == '.')
        return 1;
    if (s.ptr[0] == '_')
        return s.len > 1 && s.ptr[1] == '_' ? 2 : 1;
    while (n < s.len && s.ptr[n] == '-')
        n++;
    return n;
}

static bool is_component(struct str s)
{
    bool need = true; /* an alphanumeric character must come next */

    if (s.len == 0)
        return false;
    while (s.len > 0) {
        if (is_lower_alnum(s.ptr[0])) {
            s = str_skip(s, 1);
            need = false;
            continue;
        }
        size_t n = need ? 0 : separator_length(s);
        if (n == 0)
            return false;
        s = str_skip(s, n);
        need = true;
    }
    return !need;
}

bool reference_is_repository(struct str text)
{
    struct str rest = text;

    if (text.len == 0 || text.len > REFERENCE_REPOSITORY_MAX)
        return false;
    while (rest.ptr) {
        if (!is_component(str_cut(&rest, '/')))
            return false;
    }
    return true;
}

bool reference_is_tag(struct str text)
{
    if (text.len == 0 || text.len > REFERENCE_TAG_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!is_alnum(c) && c != '_' && (i == 0 || (c != '.' && c != '-')))
            return false;
    }
    return true;
}

static bool is_port(struct str s)
{
    uint64_t port;
    return s.len <= PORT_DIGITS_MAX && str_to_u64(s, &port) && port > 0 && port < 65536;
}

/* "[…]" with hex digits, colons and dots inside: good enough to be no path; the resolver has the
 * last word. */
static bool is_bracketed(struct str s)
{
    if (s.len < 4 || s.ptr[0] != '[' || s.ptr[s.len - 1] != ']')
        return false;
    for (size_t i = 1; i + 1 < s.len; i++)
        if (!isxdigit((unsigned char)s.ptr[i]) && s.ptr[i] != ':' && s.ptr[i] != '.')
            return false;
    return true;
}

static bool is_dns_name(struct str s)
{
    while (s.ptr) {
        struct str label = str_cut(&s, '.');
        if (label.len == 0 || !is_alnum(label.ptr[0]) || !is_alnum(label.ptr[label.len - 1]))
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!is_alnum(label.ptr[i]) && label.ptr[i] != '-')
                return false;
    }
    return true;
}

bool reference_is_host(struct str text)
{
    struct str name = text;
    ptrdiff_t bracket = str_find_last(text, ']');
    ptrdiff_t colon = str_find_last(text, ':');

    if (text.len == 0 || text.len > REFERENCE_HOST_MAX)
        return false;
    if (colon > bracket) {
        if (!is_port(str_skip(text, (size_t)colon + 1)))
            return false;
        name = str_first(text, (size_t)colon);
    }
    return is_bracketed(name) || is_dns_name(name);
}

/* What is before the last '@' stays in *text. */
static int take_digest(struct str *text, struct reference *ref, struct error *err)
{
    ptrdiff_t at = str_find_last(*text, '@');

    if (at < 0)
        return 0;
    struct str digest = str_skip(*text, (size_t)at + 1);
    if (!digest_parse(digest, &ref->digest)) {
        return error_set(err, ERR_INVALID,
                         "expected a digest 'sha256:' and 64 hex digits after '@', got '%.*s'",
                         STR_ARG(str_first(digest, 100)));
    }
    *text = str_first(*text, (size_t)at);
    return 0;
}

static int take_tag(struct str *text, struct reference *ref, struct error *err)
{
    ptrdiff_t colon = str_find_last(*text, ':');

    if (colon < 0 || colon < str_find_last(*text, '/'))
        return 0;
    struct str tag = str_skip(*text, (size_t)colon + 1);
    if (!reference_is_tag(tag)) {
        return error_set(err, ERR_INVALID,
                         "'%.*s' is no tag: expected up to 128 letters, digits, '_', '.', '-'",
                         STR_ARG(str_first(tag, 140)));
    }
    memcpy(ref->tag, tag.ptr, tag.len);
    *text = str_first(*text, (size_t)colon);
    return 0;
}

static int take_host(struct str *text, struct reference *ref, struct error *err)
{
    ptrdiff_t slash = str_find(*text, '/');

    if (slash < 0)
        return 0;
    struct str host = str_first(*text, (size_t)slash);
    if (str_find(host, '.') < 0 && str_find(host, ':') < 0 && !str_is(host, "localhost"))
        return 0;
    if (!reference_is_host(host)) {
        return error_set(err, ERR_INVALID, "'%.*s' is no registry host",
                         STR_ARG(str_first(host, 300)));
    }
    memcpy(ref->host, host.ptr, host.len);
    *text = str_skip(*text, (size_t)slash + 1);
    return 0;
}

int reference_parse(struct str text, struct reference *ret, struct error *err)
{
    struct reference ref = {0};

    if (text.len == 0)
        return error_set(err, ERR_INVALID, "empty image reference");
    if (text.len > REFERENCE_TEXT_MAX)
        return error_set(err, ERR_LIMIT, "image reference is longer than %d bytes",
                         REFERENCE_TEXT_MAX);
    if (take_digest(&text, &ref, err) < 0 || take_tag(&text, &ref, err) < 0 ||
        take_host(&text, &ref, err) < 0)
        return -1;
    if (!reference_is_repository(text)) {
        return error_set(err, ERR_INVALID,
                         "'%.*s' is no repository name: expected lower-case words of letters and "
                         "digits, joined by '.', '_', '__' or '-', separated by '/'",
                         STR_ARG(str_first(text, 300)));
    }
    memcpy(ref.repository, text.ptr, text.len);
    *ret = ref;
    return 0;
}

const char *reference_format(const struct reference *ref, char *out, size_t out_size)
{
    snprintf(out, out_size, "%s%s%s%s%s%s%s", ref->host, ref->host[0] ? "/" : "", ref->repository,
             ref->tag[0] ? ":" : "", ref->tag, ref->digest.text[0] ? "@" : "", ref->digest.text);
    return out;
}
