/* sbom/osrelease.c - which operating system, and which Node. Source: os-release(5); Node's
 * src/node_version.h. */
#include "sbom/evidence.h"

/* The value of a shell-like assignment: quotes and backslashes taken off. */
static const char *unquote(struct str value, struct texts *texts)
{
    char text[256];
    size_t len = 0;
    char quote = 0;

    for (size_t i = 0; i < value.len && len + 1 < sizeof text; i++) {
        char c = value.ptr[i];
        if (quote ? c == quote : (c == '"' || c == '\'')) {
            quote = quote ? 0 : c;
            continue;
        }
        if (c == '\\' && quote != '\'' && i + 1 < value.len)
            c = value.ptr[++i];
        text[len++] = c;
    }
    return texts_add(texts, str_slice(text, len));
}

int osrelease_parse(struct str text, struct texts *texts, struct fact_list *out, struct error *err)
{
    struct lines in = lines_over("os-release", text);
    struct fact fact = {.name = "",
                        .version = "",
                        .source_name = "",
                        .source_version = "",
                        .architecture = "",
                        .location = ""};
    struct str line;

    while (lines_next(&in, &line)) {
        struct str value = str_trim(line);
        struct str key = str_cut(&value, '=');
        if (!value.ptr)
            continue;
        if (str_is(key, "ID"))
            fact.name = unquote(value, texts);
        else if (str_is(key, "VERSION_ID"))
            fact.version = unquote(value, texts);
        else if (str_is(key, "VERSION_CODENAME"))
            fact.source_name = unquote(value, texts);
    }
    if (!fact.name[0])
        return error_set(err, ERR_INVALID, "expected a line ID=, found none");
    if (fact_list_add(out, &fact, err) < 0)
        return -1;
    return texts_ok(texts, err);
}

/* "#define NODE_MAJOR_VERSION 22" → 22. */
static bool defined_number(struct str text, const char *name, uint64_t *ret)
{
    struct lines in = lines_over("node_version.h", text);
    struct str line;

    while (lines_next(&in, &line)) {
        struct str word = str_word(&line);
        if (str_is(word, "#define") && str_is(str_word(&line), name))
            return str_to_u64(str_word(&line), ret);
    }
    return false;
}

int node_parse_version(struct str text, struct texts *texts, struct fact_list *out,
                       struct error *err)
{
    static const struct str prefix = {"https://nodejs.org/download/release/v", 37};
    struct fact fact = {.name = "node",
                        .version = "",
                        .source_name = "",
                        .source_version = "",
                        .architecture = "",
                        .location = ""};
    uint64_t major, minor, patch;

    if (str_starts(text, prefix)) {
        struct str rest = str_skip(text, prefix.len);
        size_t len = 0;
        while (len < rest.len && len < 32 &&
               (rest.ptr[len] == '.' || (rest.ptr[len] >= '0' && rest.ptr[len] <= '9')))
            len++;
        fact.version = texts_add(texts, str_first(rest, len));
    } else if (defined_number(text, "NODE_MAJOR_VERSION", &major) &&
               defined_number(text, "NODE_MINOR_VERSION", &minor) &&
               defined_number(text, "NODE_PATCH_VERSION", &patch)) {
        fact.version = texts_addf(texts, "%llu.%llu.%llu", (unsigned long long)major,
                                  (unsigned long long)minor, (unsigned long long)patch);
    }
    if (!fact.version[0])
        return error_set(err, ERR_INVALID, "expected a version of Node, found none");
    if (fact_list_add(out, &fact, err) < 0)
        return -1;
    return texts_ok(texts, err);
}
