/* oci/registry_auth.c - see registry_auth.h, and registry_docker_credentials() of
 * registry_client.h. */
#include "oci/registry_auth.h"

#include <ctype.h>
#include <strings.h>

#include "base/encode.h"
#include "oci/registry_client.h"

enum { VALUE_MAX = 8 << 10, CREDENTIALS_MAX = 64 << 10 };

void registry_challenge_done(struct registry_challenge *c)
{
    free(c->realm);
    free(c->service);
    free(c->scope);
    *c = (struct registry_challenge){0};
}

static void skip_blanks(struct str *rest)
{
    while (rest->len > 0 && (rest->ptr[0] == ' ' || rest->ptr[0] == '\t' || rest->ptr[0] == ','))
        *rest = str_skip(*rest, 1);
}

/* RFC 9110 5.6.2. */
static struct str take_token(struct str *rest)
{
    size_t n = 0;

    while (n < rest->len &&
           (isalnum((unsigned char)rest->ptr[n]) || strchr("!#$%&'*+-.^_`|~", rest->ptr[n])) &&
           rest->ptr[n])
        n++;
    struct str token = str_first(*rest, n);
    *rest = str_skip(*rest, n);
    return token;
}

/* A token or "a quoted string" (5.6.4), unescaped into `out`. */
static void take_value(struct str *rest, struct buf *out)
{
    if (rest->len == 0 || rest->ptr[0] != '"') {
        buf_add_str(out, take_token(rest));
        return;
    }
    *rest = str_skip(*rest, 1);
    while (rest->len > 0 && rest->ptr[0] != '"') {
        if (rest->ptr[0] == '\\' && rest->len > 1)
            *rest = str_skip(*rest, 1);
        buf_add_char(out, rest->ptr[0]);
        *rest = str_skip(*rest, 1);
    }
    *rest = str_skip(*rest, rest->len > 0 ? 1 : 0);
}

static bool is_word(struct str s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.ptr, word, s.len) == 0;
}

static int keep(struct registry_challenge *c, struct str name, struct str value, struct error *err)
{
    char **field = is_word(name, "realm")     ? &c->realm
                   : is_word(name, "service") ? &c->service
                   : is_word(name, "scope")   ? &c->scope
                                              : NULL;
    if (!field || *field)
        return 0;
    *field = str_dup(value);
    return *field ? 0 : error_no_memory(err);
}

/* "name=value" after a scheme. False: it was no parameter but the next scheme, given in
 * *ret_scheme. */
static int take_parameter(struct str *rest, struct registry_challenge *c, struct str *ret_scheme,
                          struct error *err)
{
    CLEANUP(buf) struct buf value = BUF_INIT(VALUE_MAX);
    struct str name = take_token(rest);

    *ret_scheme = STR_NONE;
    if (rest->len == 0 || rest->ptr[0] != '=') {
        *ret_scheme = name;
        return 0;
    }
    *rest = str_skip(*rest, 1);
    take_value(rest, &value);
    if (buf_ok(&value, err) < 0)
        return error_wrap(err, "WWW-Authenticate");
    return c ? keep(c, name, buf_str(&value), err) : 0;
}

static int fill_empty(struct registry_challenge *c, struct error *err)
{
    char **fields[] = {&c->realm, &c->service, &c->scope};

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (!*fields[i] && !(*fields[i] = str_dup(STR(""))))
            return error_no_memory(err);
    return 0;
}

int registry_challenge_parse(struct str header, struct registry_challenge *ret, struct error *err)
{
    CLEANUP(registry_challenge) struct registry_challenge c = {0};
    bool in_bearer = false;

    for (skip_blanks(&header); header.len > 0; skip_blanks(&header)) {
        struct str scheme;
        size_t before = header.len;
        if (take_parameter(&header, in_bearer ? &c : NULL, &scheme, err) < 0)
            return -1;
        if (header.len == before) /* neither token nor '=': not ours to understand */
            header = str_skip(header, 1);
        if (!scheme.ptr || scheme.len == 0)
            continue;
        in_bearer = is_word(scheme, "Bearer") && c.scheme != CHALLENGE_BEARER;
        if (in_bearer)
            c.scheme = CHALLENGE_BEARER;
        else if (is_word(scheme, "Basic") && c.scheme == CHALLENGE_NONE)
            c.scheme = CHALLENGE_BASIC;
    }
    if (fill_empty(&c, err) < 0)
        return -1;
    *ret = c;
    c = (struct registry_challenge){0};
    return 0;
}

int registry_challenge_url(const struct registry_challenge *c, char **ret_url, struct error *err)
{
    CLEANUP(buf) struct buf url = BUF_INIT(VALUE_MAX);
    struct str scopes = str_of(c->scope);

    if (!str_starts(str_of(c->realm), STR("https://")) &&
        !str_starts(str_of(c->realm), STR("http://")))
        return error_set(err, ERR_INVALID, "the registry names no URL for tokens: realm '%.200s'",
                         c->realm);
    buf_addf(&url, "%s%cservice=", c->realm, strchr(c->realm, '?') ? '&' : '?');
    percent_encode(str_of(c->service), "", &url);
    for (struct str scope = str_word(&scopes); scope.len > 0; scope = str_word(&scopes)) {
        buf_add_text(&url, "&scope=");
        percent_encode(scope, "", &url);
    }
    if (buf_ok(&url, err) < 0)
        return -1;
    *ret_url = buf_take(&url);
    return *ret_url ? 0 : error_no_memory(err);
}

/* "https://index.example/v1/" → "index.example" */
static struct str host_of(struct str key)
{
    ptrdiff_t scheme = str_find_text(key, STR("://"));

    if (scheme >= 0)
        key = str_skip(key, (size_t)scheme + 3);
    return str_cut(&key, '/');
}

static int take_auth(const json_t *entry, char **ret_user, char **ret_password, struct error *err)
{
    CLEANUP(buf) struct buf plain = BUF_INIT(CREDENTIALS_MAX);
    const char *auth = json_string_value(json_object_get(entry, "auth"));
    const char *user = json_string_value(json_object_get(entry, "username"));
    const char *password = json_string_value(json_object_get(entry, "password"));
    struct str name = str_of(user), rest = str_of(password);

    if (auth && auth[0]) {
        if (!base64_decode(str_of(auth), &plain))
            return error_set(err, ERR_INVALID, "'auth' is not base64");
        rest = buf_str(&plain);
        name = str_cut(&rest, ':');
    }
    if (!name.ptr || !rest.ptr)
        return error_set(err, ERR_INVALID, "no user and password");
    CLEANUP(text) char *user_copy = str_dup(name);
    CLEANUP(text) char *password_copy = str_dup(rest);
    if (!user_copy || !password_copy)
        return error_no_memory(err);
    *ret_user = TAKE(user_copy);
    *ret_password = TAKE(password_copy);
    return 0;
}

int registry_docker_credentials(const json_t *docker_config, const char *host, char **ret_user,
                                char **ret_password, struct error *err)
{
    const char *key;
    json_t *entry;

    json_object_foreach(json_object_get(docker_config, "auths"), key, entry)
    {
        if (!str_is(host_of(str_of(key)), host))
            continue;
        if (take_auth(entry, ret_user, ret_password, err) < 0)
            return error_wrap(err, "credentials for '%s'", host);
        return 0;
    }
    return error_set(err, ERR_NOT_FOUND, "no credentials for '%s'", host);
}
