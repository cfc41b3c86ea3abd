/* sbom/dpkg.c - Debian's record of installed packages. Source: deb-control(5), dpkg(1) "status". */
#include <strings.h>

#include "sbom/evidence.h"

int fact_list_add(struct fact_list *list, const struct fact *fact, struct error *err)
{
    if (list->count == FACTS_PER_FILE_LIMIT)
        return error_set(err, ERR_LIMIT, "more than %d packages in one file", FACTS_PER_FILE_LIMIT);
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        struct fact *items = reallocarray(list->items, capacity, sizeof *items);
        if (!items)
            return error_no_memory(err);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = *fact;
    return 0;
}

void fact_list_done(struct fact_list *list)
{
    free(list->items);
    *list = (struct fact_list){0};
}

struct stanza {
    struct str package, version, architecture, source, status;
};

static void take_field(struct stanza *s, struct str line)
{
    struct str value = line;
    struct str key = str_cut(&value, ':');
    static const struct {
        const char *name;
        size_t offset;
    } fields[] = {
        {"Package", offsetof(struct stanza, package)},
        {"Version", offsetof(struct stanza, version)},
        {"Architecture", offsetof(struct stanza, architecture)},
        {"Source", offsetof(struct stanza, source)},
        {"Status", offsetof(struct stanza, status)},
    };

    if (!value.ptr)
        return;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        /* Field names are not case-sensitive (Debian policy 5.1). */
        if (key.len == strlen(fields[i].name) && strncasecmp(key.ptr, fields[i].name, key.len) == 0)
            *(struct str *)((char *)s + fields[i].offset) = str_trim(value);
    }
}

/* "Source: name (version)"; without it the source has the name and version of the package. */
static void split_source(const struct stanza *s, struct str *name, struct str *version)
{
    struct str rest = s->source;

    *name = str_word(&rest);
    *version = str_trim(rest);
    if (version->len >= 2 && version->ptr[0] == '(' && version->ptr[version->len - 1] == ')')
        *version = str_trim(str_slice(version->ptr + 1, version->len - 2));
    else
        *version = s->version;
    if (name->len == 0)
        *name = s->package;
    if (version->len == 0)
        *version = s->version;
}

static bool is_installed(struct str status)
{
    struct str word = STR_NONE;

    for (int i = 0; i < 3; i++) /* want, flag, state */
        word = str_word(&status);
    return str_is(word, "installed");
}

static int add_stanza(const struct stanza *s, bool needs_status, struct texts *texts,
                      struct fact_list *out, struct error *err)
{
    struct str source_name, source_version;
    struct fact fact;

    if (s->package.len == 0 || s->version.len == 0)
        return 0;
    if (needs_status && !is_installed(s->status))
        return 0;
    split_source(s, &source_name, &source_version);
    fact = (struct fact){
        .name = texts_add(texts, s->package),
        .version = texts_add(texts, s->version),
        .source_name = texts_add(texts, source_name),
        .source_version = texts_add(texts, source_version),
        .architecture = texts_add(texts, s->architecture),
        .location = "",
    };
    if (fact_list_add(out, &fact, err) < 0)
        return -1;
    return texts_ok(texts, err);
}

int dpkg_parse(struct str text, bool needs_status, struct texts *texts, struct fact_list *out,
               struct error *err)
{
    struct lines in = lines_over("status", text);
    struct stanza s = {0};
    struct str line;

    if (memchr(text.ptr ? text.ptr : "", '\0', text.len))
        return error_set(err, ERR_INVALID, "expected text, found a NUL byte");
    while (lines_next(&in, &line)) {
        if (str_trim(line).len == 0) {
            if (add_stanza(&s, needs_status, texts, out, err) < 0)
                return -1;
            s = (struct stanza){0};
        } else if (line.ptr[0] != ' ' && line.ptr[0] != '\t') {
            take_field(&s, line);
        }
    }
    return add_stanza(&s, needs_status, texts, out, err);
}
