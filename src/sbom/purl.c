/* sbom/purl.c - package URLs. Source: package-url/purl-spec, PURL-SPECIFICATION "How to parse",
 * "How to build", and the type definitions for what each type asks for. */
#include "sbom/purl.h"

#include <ctype.h>

#include "base/encode.h"

enum rule {
    NS_REQUIRED = 1 << 0,
    NS_PROHIBITED = 1 << 1,
    LOWER_NS = 1 << 2,
    LOWER_NAME = 1 << 3,
    LOWER_VERSION = 1 << 4,
    DASHES = 1 << 5,      /* pypi: '_' → '-' */
    UNDERSCORES = 1 << 6, /* pub: all but letters and digits → '_' */
    NO_COLONS = 1 << 7,   /* cpan: a distribution, not a module */
    NEEDS_UUID = 1 << 8,  /* julia */
    CHROME = 1 << 9,
    MLFLOW = 1 << 10, /* the name's case depends on the server */
};

static const struct {
    const char *type;
    int rules;
} types[] = {
    {"alpm", NS_REQUIRED | LOWER_NS | LOWER_NAME},
    {"apk", NS_REQUIRED | LOWER_NS | LOWER_NAME},
    {"bazel", NS_PROHIBITED},
    {"bitbucket", NS_REQUIRED | LOWER_NS | LOWER_NAME},
    {"bitnami", NS_PROHIBITED | LOWER_NAME},
    {"brew", LOWER_NS | LOWER_NAME},
    {"cargo", NS_PROHIBITED},
    {"chrome-extension", NS_PROHIBITED | LOWER_NAME | CHROME},
    {"cocoapods", NS_PROHIBITED},
    {"composer", NS_REQUIRED | LOWER_NS | LOWER_NAME},
    {"conda", NS_PROHIBITED},
    {"cpan", NO_COLONS},
    {"cran", NS_PROHIBITED},
    {"deb", NS_REQUIRED | LOWER_NS | LOWER_NAME},
    {"gem", NS_PROHIBITED},
    {"git", NS_REQUIRED},
    {"github", NS_REQUIRED | LOWER_NS | LOWER_NAME},
    {"golang", NS_REQUIRED},
    {"hackage", NS_PROHIBITED},
    {"hex", LOWER_NS | LOWER_NAME},
    {"huggingface", LOWER_VERSION},
    {"julia", NS_PROHIBITED | NEEDS_UUID},
    {"luarocks", LOWER_NS | LOWER_NAME},
    {"maven", NS_REQUIRED},
    {"mlflow", NS_PROHIBITED | MLFLOW},
    {"npm", LOWER_NS | LOWER_NAME},
    {"nuget", NS_PROHIBITED},
    {"oci", NS_PROHIBITED | LOWER_NAME},
    {"opam", NS_PROHIBITED},
    {"otp", NS_PROHIBITED | LOWER_NAME},
    {"pub", NS_PROHIBITED | LOWER_NAME | UNDERSCORES},
    {"pypi", NS_PROHIBITED | LOWER_NAME | LOWER_VERSION | DASHES},
    {"qpkg", NS_REQUIRED | LOWER_NS},
    {"rpm", LOWER_NS},
    {"swift", NS_REQUIRED},
    {"vcpkg", NS_PROHIBITED},
    {"vscode-extension", NS_REQUIRED | LOWER_NS | LOWER_NAME | LOWER_VERSION},
    {"yocto", LOWER_NS},
};

static int rules_of(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (strcmp(types[i].type, type) == 0)
            return types[i].rules;
    }
    return 0;
}

static void lower(char *text)
{
    for (; text && *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

static int decode(struct str text, char **ret, struct error *err)
{
    CLEANUP(buf) struct buf out = BUF_INIT(PURL_BYTES_MAX);

    if (!percent_decode(text, &out))
        return error_set(err, ERR_INVALID, "'%.*s' is not percent-encoded right",
                         STR_ARG(str_first(text, 80)));
    if (out.len && memchr(out.ptr, '\0', out.len))
        return error_set(err, ERR_INVALID, "a NUL byte in a package URL");
    *ret = str_dup(buf_str(&out));
    return *ret ? 0 : error_no_memory(err);
}

/* Segments of a path: each decoded, empty ones left out, and for a subpath "." and ".." too. */
static int decode_path(struct str path, bool is_subpath, char **ret, struct error *err)
{
    CLEANUP(buf) struct buf out = BUF_INIT(PURL_BYTES_MAX);

    while (path.ptr && path.len) {
        CLEANUP(text) char *part = NULL;
        if (decode(str_cut(&path, '/'), &part, err) < 0)
            return -1;
        if (part[0] == '\0' || (is_subpath && (strcmp(part, ".") == 0 || strcmp(part, "..") == 0)))
            continue;
        /* A slash that was encoded inside a segment cannot be told from a separator any more. */
        if (strchr(part, '/') && is_subpath)
            return error_set(err, ERR_INVALID, "an encoded '/' in a subpath");
        if (out.len)
            buf_add_char(&out, '/');
        buf_add_text(&out, part);
    }
    if (buf_ok(&out, err) < 0)
        return -1;
    if (out.len == 0)
        return 0;
    *ret = str_dup(buf_str(&out));
    return *ret ? 0 : error_no_memory(err);
}

static bool is_key(const char *key)
{
    if (!(key[0] >= 'a' && key[0] <= 'z'))
        return false;
    for (; *key; key++) {
        if (!(*key >= 'a' && *key <= 'z') && !(*key >= '0' && *key <= '9') && !strchr(".-_", *key))
            return false;
    }
    return true;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct purl_qualifier *)a)->key, ((const struct purl_qualifier *)b)->key);
}

static int parse_qualifiers(struct str text, struct purl *p, struct error *err)
{
    while (text.ptr && text.len) {
        struct str value = str_cut(&text, '&');
        struct str key = str_cut(&value, '=');
        struct purl_qualifier *q;
        if (key.len == 0 && !value.ptr)
            continue;
        if (p->qualifier_count == PURL_QUALIFIERS_MAX)
            return error_set(err, ERR_LIMIT, "more than %d qualifiers", PURL_QUALIFIERS_MAX);
        q = reallocarray(p->qualifiers, p->qualifier_count + 1, sizeof *q);
        if (!q)
            return error_no_memory(err);
        p->qualifiers = q;
        q += p->qualifier_count++;
        *q = (struct purl_qualifier){.key = str_dup(key)};
        if (!q->key)
            return error_no_memory(err);
        lower(q->key);
        if (!is_key(q->key))
            return error_set(err, ERR_INVALID,
                             "qualifier '%.80s': expected letters, digits, '.', '-', '_'", q->key);
        if (decode(value, &q->value, err) < 0)
            return -1;
        if (q->value[0] == '\0') { /* an empty value is the same as none */
            free(q->key);
            free(q->value);
            p->qualifier_count--;
        }
    }
    if (p->qualifier_count)
        qsort(p->qualifiers, p->qualifier_count, sizeof *p->qualifiers, by_key);
    for (size_t i = 1; i < p->qualifier_count; i++) {
        if (strcmp(p->qualifiers[i - 1].key, p->qualifiers[i].key) == 0)
            return error_set(err, ERR_INVALID, "qualifier '%.80s' twice", p->qualifiers[i].key);
    }
    return 0;
}

static int check_type(const char *type, struct error *err)
{
    bool ok = isalpha((unsigned char)type[0]);

    for (const char *c = type; *c; c++)
        ok &= isalnum((unsigned char)*c) || *c == '.' || *c == '-';
    return ok ? 0 : error_set(err, ERR_INVALID, "expected a type, found '%.80s'", type);
}

static int check_chrome(const struct purl *p, struct error *err)
{
    size_t parts = 1;

    if (strlen(p->name) != 32 || strspn(p->name, "abcdefghijklmnop") != 32)
        return error_set(err, ERR_INVALID, "expected a name of 32 letters a to p");
    for (const char *c = p->version ? p->version : ""; *c; c++) {
        parts += *c == '.';
        if (*c != '.' && !isdigit((unsigned char)*c))
            return error_set(err, ERR_INVALID, "expected a version of numbers");
    }
    return parts > 4 ? error_set(err, ERR_INVALID, "expected a version of at most 4 numbers") : 0;
}

static int apply_rules(struct purl *p, struct error *err)
{
    int rules = rules_of(p->type);
    const char *repository = purl_qualifier(p, "repository_url");

    if (!p->name || !p->name[0])
        return error_set(err, ERR_INVALID, "a name is required");
    if ((rules & NS_REQUIRED) && !p->namespace_)
        return error_set(err, ERR_INVALID, "type '%s' requires a namespace", p->type);
    if ((rules & NS_PROHIBITED) && p->namespace_)
        return error_set(err, ERR_INVALID, "type '%s' has no namespace", p->type);
    if (rules & LOWER_NS)
        lower(p->namespace_);
    if ((rules & LOWER_NAME) ||
        ((rules & MLFLOW) && repository && strstr(repository, "databricks")))
        lower(p->name);
    if (rules & LOWER_VERSION)
        lower(p->version);
    for (char *c = p->name; *c; c++) {
        if ((rules & DASHES) && *c == '_')
            *c = '-';
        if ((rules & UNDERSCORES) && !isalnum((unsigned char)*c))
            *c = '_';
    }
    if ((rules & NO_COLONS) && strstr(p->name, "::"))
        return error_set(err, ERR_INVALID, "expected a distribution, found the module '%s'",
                         p->name);
    if ((rules & NEEDS_UUID) && !purl_qualifier(p, "uuid"))
        return error_set(err, ERR_INVALID, "type '%s' requires the qualifier 'uuid'", p->type);
    return rules & CHROME ? check_chrome(p, err) : 0;
}

/* Right to left, as the specification has it. */
static int parse_parts(struct str text, struct purl *p, struct error *err)
{
    struct str rest = text, name;
    ptrdiff_t at;

    if ((at = str_find(rest, '#')) >= 0) {
        if (decode_path(str_skip(rest, (size_t)at + 1), true, &p->subpath, err) < 0)
            return -1;
        rest = str_first(rest, (size_t)at);
    }
    if ((at = str_find(rest, '?')) >= 0) {
        if (parse_qualifiers(str_skip(rest, (size_t)at + 1), p, err) < 0)
            return -1;
        rest = str_first(rest, (size_t)at);
    }
    if (rest.len < 4 || strncasecmp(rest.ptr, "pkg:", 4) != 0)
        return error_set(err, ERR_INVALID, "expected 'pkg:' at the start");
    rest = str_skip(rest, 4);
    while (rest.len && rest.ptr[0] == '/')
        rest = str_skip(rest, 1);
    at = str_find(rest, '/');
    p->type = str_dup(at < 0 ? rest : str_first(rest, (size_t)at));
    if (!p->type)
        return error_no_memory(err);
    if (check_type(p->type, err) < 0)
        return -1;
    lower(p->type);
    rest = at < 0 ? STR("") : str_skip(rest, (size_t)at + 1);
    /* An '@' before the last '/' belongs to a namespace that was not encoded: pkg:npm/@scope/name.
     */
    at = str_find_last(rest, '@');
    if (at > str_find_last(rest, '/')) {
        if (decode(str_skip(rest, (size_t)at + 1), &p->version, err) < 0)
            return -1;
        rest = str_first(rest, (size_t)at);
    }
    if (!p->version) /* "pkg:swift/github.com/x/@1" has no name, "pkg:npm/x/" has */
        rest = str_trim_end(rest, '/');
    at = str_find_last(rest, '/');
    name = str_skip(rest, (size_t)(at + 1));
    if (decode(name, &p->name, err) < 0)
        return -1;
    if (p->version && !p->version[0]) {
        free(p->version);
        p->version = NULL;
    }
    return at > 0 ? decode_path(str_first(rest, (size_t)at), false, &p->namespace_, err) : 0;
}

int purl_parse(struct str text, struct purl *ret, struct error *err)
{
    if (text.len > PURL_BYTES_MAX)
        return error_set(err, ERR_LIMIT, "a package URL of more than %d bytes", PURL_BYTES_MAX);
    if (parse_parts(text, ret, err) < 0)
        return -1;
    return apply_rules(ret, err);
}

const char *purl_qualifier(const struct purl *p, const char *key)
{
    for (size_t i = 0; i < p->qualifier_count; i++) {
        if (strcmp(p->qualifiers[i].key, key) == 0)
            return p->qualifiers[i].value;
    }
    return NULL;
}

static void add_path(struct buf *out, const char *path)
{
    struct str rest = str_of(path);

    while (rest.ptr) {
        percent_encode(str_cut(&rest, '/'), ":", out);
        if (rest.ptr)
            buf_add_char(out, '/');
    }
}

static void add_head(struct buf *out, const char *type, const char *namespace_, const char *name,
                     const char *version)
{
    buf_add_text(out, "pkg:");
    buf_add_text(out, type);
    buf_add_char(out, '/');
    if (namespace_ && namespace_[0]) {
        add_path(out, namespace_);
        buf_add_char(out, '/');
    }
    percent_encode(str_of(name), ":", out);
    if (version && version[0]) {
        buf_add_char(out, '@');
        percent_encode(str_of(version), ":", out);
    }
}

void purl_write(const struct purl *p, struct buf *out)
{
    add_head(out, p->type, p->namespace_, p->name, p->version);
    for (size_t i = 0; i < p->qualifier_count; i++) {
        buf_add_char(out, i ? '&' : '?');
        buf_add_text(out, p->qualifiers[i].key);
        buf_add_char(out, '=');
        percent_encode(str_of(p->qualifiers[i].value), ":", out);
    }
    if (p->subpath) {
        buf_add_char(out, '#');
        add_path(out, p->subpath);
    }
}

void purl_build(struct buf *out, const char *type, const char *namespace_, const char *name,
                const char *version, const char *const *qualifiers)
{
    char separator = '?';

    add_head(out, type, namespace_, name, version);
    for (size_t i = 0; qualifiers && qualifiers[i]; i += 2) {
        if (!qualifiers[i + 1] || !qualifiers[i + 1][0])
            continue;
        buf_add_char(out, separator);
        buf_add_text(out, qualifiers[i]);
        buf_add_char(out, '=');
        percent_encode(str_of(qualifiers[i + 1]), ":", out);
        separator = '&';
    }
}

void purl_done(struct purl *p)
{
    for (size_t i = 0; i < p->qualifier_count; i++) {
        free(p->qualifiers[i].key);
        free(p->qualifiers[i].value);
    }
    free(p->qualifiers);
    free(p->type);
    free(p->namespace_);
    free(p->name);
    free(p->version);
    free(p->subpath);
    *p = (struct purl)PURL_INIT;
}

json_t *purl_to_json(const struct purl *p)
{
    CLEANUP(buf) struct buf text = BUF_INIT(PURL_BYTES_MAX * 4);
    json_t *qualifiers = p->qualifier_count ? json_object() : json_null();

    for (size_t i = 0; i < p->qualifier_count; i++) {
        if (json_object_set_new(qualifiers, p->qualifiers[i].key,
                                json_string(p->qualifiers[i].value)) < 0) {
            json_decref(qualifiers);
            return NULL;
        }
    }
    purl_write(p, &text);
    return json_pack("{ss,ss?,ss,ss?,so,ss?,ss}", "type", p->type, "namespace", p->namespace_,
                     "name", p->name, "version", p->version, "qualifiers", qualifiers, "subpath",
                     p->subpath, "canonical", buf_text(&text));
}
