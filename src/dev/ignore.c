/* dev/ignore.c - see dev/ignore.h. */
#include "dev/ignore.h"

#include <fnmatch.h>
#include <stdio.h>

struct pattern {
    char *dir;  /* owned: of the .gitignore; "" or with a trailing slash */
    char *text; /* owned */
    bool is_negated, is_dir_only, is_anchored;
};

struct ignore {
    struct pattern *patterns; /* owned */
    size_t count;
};

struct ignore *ignore_new(void)
{
    return calloc(1, sizeof(struct ignore));
}

void ignore_free(struct ignore *ignore)
{
    if (!ignore)
        return;
    for (size_t i = 0; i < ignore->count; i++) {
        free(ignore->patterns[i].dir);
        free(ignore->patterns[i].text);
    }
    free(ignore->patterns);
    free(ignore);
}

static void add_pattern(struct ignore *ignore, const char *dir, struct str line)
{
    struct pattern p = {0};

    if (line.len == 0 || line.ptr[0] == '#' || ignore->count >= IGNORE_PATTERNS_MAX)
        return;
    if (line.ptr[0] == '!') {
        p.is_negated = true;
        line = str_skip(line, 1);
    }
    if (str_ends(line, STR("/"))) {
        p.is_dir_only = true;
        line = str_first(line, line.len - 1);
    }
    p.is_anchored = str_find(line, '/') >= 0;
    if (line.len > 0 && line.ptr[0] == '/')
        line = str_skip(line, 1);
    struct pattern *grown =
        reallocarray(ignore->patterns, ignore->count + 1, sizeof *ignore->patterns);
    if (line.len == 0 || !grown) {
        if (grown)
            ignore->patterns = grown;
        return;
    }
    ignore->patterns = grown;
    p.dir = *dir ? str_format("%s/", dir) : str_dup(STR(""));
    p.text = str_dup(line);
    if (!p.dir || !p.text) { /* a pattern less: more files are sent, nothing breaks */
        free(p.dir);
        free(p.text);
        return;
    }
    ignore->patterns[ignore->count++] = p;
}

void ignore_add(struct ignore *ignore, const char *dir, struct str text)
{
    while (text.ptr && text.len > 0) {
        struct str line = str_cut(&text, '\n');
        line = str_trim_end(str_trim_end(line, '\r'), ' ');
        add_pattern(ignore, dir, line);
    }
}

/* "**" as git has it. "**" then "/x": at any depth; "x/" then "**": all below; between two slashes:
 * any folders or none. */
static bool matches(const char *pattern, const char *path)
{
    const char *stars = strstr(pattern, "**");

    if (!stars)
        return fnmatch(pattern, path, FNM_PATHNAME) == 0;
    size_t before = (size_t)(stars - pattern);
    const char *after = stars + 2;
    if (before > 0 && *after == '\0') { /* all below */
        CLEANUP(text) char *all = str_format("%.*s*", (int)before, pattern);
        return all && fnmatch(all, path, FNM_PATHNAME | FNM_LEADING_DIR) == 0;
    }
    if (*after != '/')
        return fnmatch(pattern, path, 0) == 0; /* "a**b": stars without slashes are plain ones */
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        /* What stands before the stars must stand there in the path, then any folders, then the
         * rest. */
        if ((size_t)(at - path) >= before && strncmp(path, pattern, before) == 0 &&
            matches(after + 1, at))
            return true;
    }
    return false;
}

static bool pattern_matches(const struct pattern *p, const char *path, bool is_dir)
{
    const char *base = strrchr(path, '/');

    if (p->is_dir_only && !is_dir)
        return false;
    if (*p->dir && !str_starts(str_of(path), str_of(p->dir)))
        return false;
    if (!p->is_anchored)
        return fnmatch(p->text, base ? base + 1 : path, FNM_PATHNAME) == 0;
    return matches(p->text, path + strlen(p->dir));
}

bool ignore_has(const struct ignore *ignore, const char *path, bool is_dir)
{
    const char *base = strrchr(path, '/');

    base = base ? base + 1 : path;
    if (strcmp(base, ".git") == 0 || strcmp(base, "node_modules") == 0)
        return true;
    for (size_t i = ignore->count; i > 0; i--) {
        if (pattern_matches(&ignore->patterns[i - 1], path, is_dir))
            return !ignore->patterns[i - 1].is_negated;
    }
    return false;
}
