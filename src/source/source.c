/* source/source.c - bare repositories: made with the gate's hook, asked for commits, fetched into.
 */
#include <ctype.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/proc.h"
#include "source/source_internal.h"

enum {
    COMMIT_MAX = 1 << 20, /* bytes of a commit object: its message may be long */
    REF_MAX = 255,
    URL_MAX = 2048,
};

#define REMOTE_PROTOCOLS "https:http:ssh:git:file"

bool source_name_is_fit(const char *app)
{
    size_t len = strlen(app);

    if (len == 0 || len > 63 || app[0] == '-' || app[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!(app[i] >= 'a' && app[i] <= 'z') && !isdigit((unsigned char)app[i]) && app[i] != '-')
            return false;
    return true;
}

/* A word of a POSIX shell: in single quotes, and each single quote as '\''. */
static void add_shell_word(struct buf *out, const char *word)
{
    buf_add_char(out, '\'');
    for (; *word; word++) {
        if (*word == '\'')
            buf_add_text(out, "'\\''");
        else
            buf_add_char(out, *word);
    }
    buf_add_char(out, '\'');
}

/* git starts hooks as programs: two lines of shell that become ours. */
static int write_hook(const char *path, const char *app, const char *program, const char *home,
                      struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(64 << 10);
    CLEANUP(text) char *hook = str_format("%s/hooks/pre-receive", path);
    CLEANUP(text) char *hooks = str_format("%s/hooks", path);

    if (!hook || !hooks)
        return error_no_memory(err);
    buf_add_text(&text, "#!/bin/sh\nexec ");
    add_shell_word(&text, program);
    buf_add_text(&text, " plumbing push-hook --home ");
    add_shell_word(&text, home);
    buf_add_char(&text, ' ');
    add_shell_word(&text, app);
    buf_add_char(&text, '\n');
    if (buf_ok(&text, err) < 0 || fs_make_dirs(AT_FDCWD, hooks, 0755, err) < 0)
        return -1;
    return fs_write_atomic(AT_FDCWD, hook, buf_str(&text), 0755, err);
}

static int init_bare(const char *path, struct error *err)
{
    static const char *const settings[][2] = {
        {"receive.fsckObjects", "true"}, /* a hostile pack is refused where it arrives */
        {"receive.maxInputSize", "2147483648"},
        {"receive.autogc", "false"}, /* a push should not wait for it */
        {"core.logAllRefUpdates", "true"},
    };

    if (fs_exists(AT_FDCWD, path)) {
        CLEANUP(text) char *head = str_format("%s/HEAD", path);
        if (!head)
            return error_no_memory(err);
        if (fs_exists(AT_FDCWD, head))
            return 0;
    }
    CLEANUP(git_command) struct git_command init;
    git_command_init(&init, path, "");
    GIT_ARGS(&init, "init", "--bare", "--quiet", "--template=", "--initial-branch=main");
    if (git_run(&init, NULL, GIT_TIMEOUT_MS, NULL, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        CLEANUP(git_command) struct git_command config;
        git_command_init(&config, path, "");
        GIT_ARGS(&config, "config", settings[i][0], settings[i][1]);
        if (git_run(&config, NULL, GIT_TIMEOUT_MS, NULL, err) < 0)
            return -1;
    }
    return 0;
}

int source_create_repository(const char *path, const char *app, const char *program,
                             const char *home, struct error *err)
{
    if (!source_name_is_fit(app))
        return error_set(err, ERR_INVALID,
                         "'%s' cannot be the name of an app: expected at most 63 lower-case "
                         "letters, digits and '-'",
                         app);
    if (fs_make_dirs(AT_FDCWD, path, 0755, err) < 0 || init_bare(path, err) < 0 ||
        write_hook(path, app, program, home, err) < 0)
        return error_wrap(err, "making repository '%s'", path);
    return 0;
}

/* What git-check-ref-format(1) refuses, and everything that rev-parse reads as more than a name. */
static bool is_fit_ref(const char *ref)
{
    size_t len = strlen(ref);

    if (len == 0 || len > REF_MAX || ref[0] == '-' || ref[0] == '/' || strstr(ref, "..") ||
        strstr(ref, "@{"))
        return false;
    for (size_t i = 0; i < len; i++)
        if (iscntrl((unsigned char)ref[i]) || strchr(" ~^:?*[\\", ref[i]))
            return false;
    return true;
}

int source_resolve(const char *repository, const char *ref, char ret[SOURCE_COMMIT_SIZE],
                   struct error *err)
{
    CLEANUP(git_command) struct git_command git;
    CLEANUP(buf) struct buf out = BUF_INIT(4096);
    CLEANUP(text) char *peeled = str_format("%s^{commit}", ref);
    int exit_code = 0;

    if (!is_fit_ref(ref))
        return error_set(err, ERR_INVALID, "'%s' cannot be a branch, tag or commit", ref);
    if (!peeled)
        return error_no_memory(err);
    git_command_init(&git, repository, "");
    GIT_ARGS(&git, "rev-parse", "--verify", "--quiet", "--end-of-options", peeled);
    if (git_run(&git, &out, GIT_TIMEOUT_MS, &exit_code, err) < 0)
        return error_wrap(err, "resolving '%s'", ref);
    struct str id = str_trim(buf_str(&out));
    /* rev-parse of 2.39 echoes --end-of-options. */
    if (str_starts(id, STR("--end-of-options\n")))
        id = str_skip(id, strlen("--end-of-options\n"));
    if (exit_code != 0 || !git_is_object_id(id))
        return error_set(err, ERR_NOT_FOUND, "no commit '%s' in repository '%s'", ref, repository);
    (void)snprintf(ret, SOURCE_COMMIT_SIZE, "%.*s", STR_ARG(id));
    return 0;
}

/* How many bytes the UTF-8 character at the start of `s` has (RFC 3629); 0 if it is none or a
 * control character. */
static size_t character_len(struct str s)
{
    unsigned char first = (unsigned char)s.ptr[0];
    size_t len = first < 0x80                    ? 1
                 : first >= 0xc2 && first < 0xe0 ? 2
                 : first >= 0xe0 && first < 0xf0 ? 3
                 : first >= 0xf0 && first < 0xf5 ? 4
                                                 : 0;

    if (len == 0 || len > s.len || first < 0x20 || first == 0x7f)
        return 0;
    for (size_t i = 1; i < len; i++)
        if (((unsigned char)s.ptr[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

/* A line of a commit for people and JSON: whole characters of UTF-8, '?' for all else, cut to fit.
 */
static void copy_text(struct str from, char *out, size_t size)
{
    size_t used = 0;

    while (from.len > 0) {
        size_t len = character_len(from);
        size_t width = len ? len : 1;
        if (used + width >= size)
            break;
        if (len)
            memcpy(out + used, from.ptr, len);
        else
            out[used] = '?';
        used += width;
        from = str_skip(from, width);
    }
    out[used] = '\0';
}

/* "committer NAME <MAIL> 1700000000 +0100" */
static bool parse_person(struct str line, struct str *ret_name, int64_t *ret_time)
{
    ptrdiff_t close = str_find_last(line, '>');

    if (close < 0)
        return false;
    struct str rest = str_skip(line, (size_t)close + 1);
    *ret_name = str_trim(str_first(line, (size_t)close + 1));
    return str_to_i64(str_word(&rest), ret_time);
}

int commit_parse(struct str text, struct source_commit *ret, struct error *err)
{
    struct lines in = lines_over("commit", text);
    struct str line, name;
    int64_t author_time;
    bool has_time = false, has_line;

    while ((has_line = lines_next(&in, &line)) && line.len > 0) {
        if (str_starts(line, STR("tree ")) && git_is_object_id(str_skip(line, 5)))
            (void)snprintf(ret->tree, sizeof(ret->tree), "%.*s", STR_ARG(str_skip(line, 5)));
        if (str_starts(line, STR("author ")) &&
            parse_person(str_skip(line, 7), &name, &author_time))
            copy_text(name, ret->author, sizeof(ret->author));
        if (str_starts(line, STR("committer ")))
            has_time = parse_person(str_skip(line, 10), &name, &ret->time_s);
    }
    /* An empty line ends the header; without one there is no message. */
    bool has_message = has_line;
    while (has_message && line.len == 0)
        has_message = lines_next(&in, &line);
    if (has_message)
        copy_text(line, ret->subject, sizeof(ret->subject));
    if (!ret->tree[0] || !has_time || ret->time_s < 0)
        return error_set(err, ERR_INVALID, "the commit names no tree or no time");
    return 0;
}

int source_describe(const char *repository, const char *commit, struct source_commit *ret,
                    struct error *err)
{
    CLEANUP(git_command) struct git_command git;
    CLEANUP(object_hash) struct object_hash *hash = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT(COMMIT_MAX);
    struct source_commit about = {.id = ""};
    int exit_code = 0;

    if (!git_is_object_id(str_of(commit)))
        return error_set(err, ERR_INVALID, "'%s' is no commit id", commit);
    git_command_init(&git, repository, "");
    GIT_ARGS(&git, "cat-file", "commit", commit);
    if (git_run(&git, &text, GIT_TIMEOUT_MS, &exit_code, err) < 0)
        return error_wrap(err, "reading commit %s", commit);
    if (exit_code != 0)
        return error_set(err, ERR_NOT_FOUND, "no commit %s in repository '%s'", commit, repository);
    if (object_hash_new(strlen(commit), &hash, err) < 0)
        return -1;
    object_hash_begin(hash, "commit", text.len);
    object_hash_add(hash, buf_text(&text), text.len);
    object_hash_end(hash, about.id);
    if (strcmp(about.id, commit) != 0)
        return error_set(err, ERR_UNTRUSTED, "git gave commit %s for %s", about.id, commit);
    if (commit_parse(buf_str(&text), &about, err) < 0)
        return error_wrap(err, "reading commit %s", commit);
    *ret = about;
    return 0;
}

static bool is_fit_url(const char *url)
{
    static const char *const schemes[] = {"https://", "http://", "ssh://", "git://", "file://"};
    bool is_known = false;

    if (strlen(url) > URL_MAX)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        is_known = is_known || str_starts(str_of(url), str_of(schemes[i]));
    for (const char *at = url; *at; at++)
        if (iscntrl((unsigned char)*at) || *at == ' ')
            return false;
    return is_known;
}

int source_fetch(const char *repository, const char *url, const char *branch,
                 char ret_commit[SOURCE_COMMIT_SIZE], bool *ret_changed, struct error *err)
{
    CLEANUP(git_command) struct git_command git;
    CLEANUP(text) char *refspec = str_format("+refs/heads/%s:refs/heads/%s", branch, branch);
    char before[SOURCE_COMMIT_SIZE] = "", after[SOURCE_COMMIT_SIZE];
    struct error lost = ERROR_INIT;

    if (!is_fit_url(url) || !is_fit_ref(branch))
        return error_set(err, ERR_INVALID,
                         "expected an https, ssh, git or file URL and a branch, got '%s' and '%s'",
                         url, branch);
    if (!refspec)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, repository, 0755, err) < 0 || init_bare(repository, err) < 0)
        return error_wrap(err, "making repository '%s'", repository);
    if (source_resolve(repository, branch, before, &lost) < 0)
        before[0] = '\0'; /* the first fetch */
    git_command_init(&git, repository, REMOTE_PROTOCOLS);
    GIT_ARGS(&git, "-c", "fetch.fsckObjects=true", "fetch", "--quiet", "--no-tags",
             "--no-recurse-submodules", "--no-write-fetch-head", "--", url, refspec);
    if (git_run(&git, NULL, SOURCE_FETCH_TIMEOUT_MS, NULL, err) < 0) {
        if (err->kind == ERR_SYSTEM)
            err->kind = ERR_UNAVAILABLE; /* git tells no more than "exited 128" */
        return error_wrap(err, "fetching '%s' from '%s'", branch, url);
    }
    if (source_resolve(repository, branch, after, err) < 0)
        return -1;
    memcpy(ret_commit, after, sizeof(after));
    *ret_changed = strcmp(before, after) != 0;
    return 0;
}
