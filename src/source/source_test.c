/* source/source_test.c - real repositories made with git in a fresh folder: hooks, refs, exports,
 * fetches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/fs.h"
#include "base/proc.h"
#include "source/source.h"

struct fixture {
    char *dir;  /* owned; has work/ (a clone) and app.git */
    char *work; /* owned */
    char *bare; /* owned */
    char *out;  /* owned: where to export */
};

#define OK(call) check_ok((call), &err, #call)
static void check_ok(int result, const struct error *err, const char *what)
{
    if (result < 0)
        fail_msg("%s: %s", what, err->text);
}

#define GIT(f, out, ...)                                                                           \
    git((f), (out), STR_NONE,                                                                      \
        (const char *const[]){"git", "-C", (f)->work, "-c", "user.name=A", "-c",                   \
                              "user.email=a@example.org", "-c", "core.autocrlf=false",             \
                              __VA_ARGS__, NULL})
static int git(struct fixture *f, struct buf *out, struct str input, const char *const *argv)
{
    struct proc_options options = PROC_OPTIONS_INIT;
    struct error err = ERROR_INIT;
    int exit_code = 0;
    const char *const envp[] = {"PATH=/usr/bin:/bin",
                                "HOME=/nonexistent",
                                "GIT_CONFIG_NOSYSTEM=1",
                                "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z",
                                "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z",
                                NULL};

    options.argv = argv;
    options.envp = envp;
    OK(proc_run(&options, input, out, 60000, &exit_code, &err));
    return exit_code;
}

static void write_file(struct fixture *f, const char *name, const char *text, mode_t mode)
{
    CLEANUP(text) char *path = str_format("%s/%s", f->work, name);
    struct error err = ERROR_INIT;

    OK(fs_write_quick(AT_FDCWD, path, str_of(text), mode, &err));
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = ERROR_INIT;

    OK(fs_make_temp_dir("/tmp/monban-source-", &f->dir, &err));
    f->work = str_format("%s/work", f->dir);
    f->bare = str_format("%s/app.git", f->dir);
    f->out = str_format("%s/out", f->dir);
    CLEANUP(text) char *sub = str_format("%s/lib/deep", f->work);
    OK(fs_make_dirs(AT_FDCWD, sub, 0755, &err));
    assert_int_equal(GIT(f, NULL, "init", "-q", "-b", "main"), 0);
    write_file(f, "README", "hello\r\nworld\n", 0644);
    write_file(f, "run", "#!/bin/sh\n", 0755);
    write_file(f, "lib/deep/a.txt", "$Id$ $Format:%H$\n", 0644);
    write_file(f, "lib.c", "sorts before lib/\n", 0644);
    write_file(f, ".gitattributes", "*.txt ident export-subst eol=crlf\nREADME export-ignore\n",
               0644);
    CLEANUP(text) char *link = str_format("%s/link", f->work);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    assert_int_equal(GIT(f, NULL, "add", "-A"), 0);
    assert_int_equal(GIT(f, NULL, "commit", "-q", "-m", "first\n\nbody"), 0);
    OK(source_create_repository(f->bare, "app", "/bin/true", f->dir, &err));
    assert_int_equal(GIT(f, NULL, "push", "-q", f->bare, "main"), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;

    OK(fs_remove_tree(AT_FDCWD, f->dir, &err));
    free(f->dir);
    free(f->work);
    free(f->bare);
    free(f->out);
    free(f);
    return 0;
}

static void check_file(struct fixture *f, const char *name, const char *want, mode_t mode)
{
    CLEANUP(text) char *path = str_format("%s/%s", f->out, name);
    CLEANUP(buf) struct buf text = BUF_INIT(1 << 20);
    struct error err = ERROR_INIT;
    struct stat info;

    OK(fs_read_at(AT_FDCWD, path, &text, &err));
    assert_string_equal(buf_text(&text), want);
    assert_int_equal(lstat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, mode);
    assert_int_equal(info.st_mtime, 1767323045);
}

static void commit_is_resolved_and_described(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    char commit[SOURCE_COMMIT_SIZE], again[SOURCE_COMMIT_SIZE];
    struct source_commit about;

    OK(source_resolve(f->bare, "main", commit, &err));
    OK(source_resolve(f->bare, "refs/heads/main", again, &err));
    assert_string_equal(commit, again);
    OK(source_resolve(f->bare, commit, again, &err));
    OK(source_describe(f->bare, commit, &about, &err));
    assert_string_equal(about.subject, "first");
    assert_string_equal(about.author, "A <a@example.org>");
    assert_int_equal(about.time_s, 1767323045);
    assert_int_equal(strlen(about.tree), 40);
}

static void subject_is_text_that_json_can_hold(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf commit = BUF_INIT(100);
    CLEANUP(text) char *repository = str_format("%s/.git", f->work);
    char message[400] = "gr\xc3\xbc\xc3\x9f"
                        "e \xff\x1b[31m ";
    struct source_commit about;

    /* Filled with a character of two bytes, so that the cut would fall into one. */
    for (size_t at = strlen(message); at + 2 < sizeof(message); at += 2)
        memcpy(message + at, "\xc3\xa9", 3);
    assert_int_equal(GIT(f, &commit, "-c", "i18n.commitEncoding=UTF-8", "commit-tree",
                         "main^{tree}", "-m", message),
                     0);
    CLEANUP(text) char *id = str_dup(str_trim(buf_str(&commit)));
    OK(source_describe(repository, id, &about, &err));
    /* git itself turns the byte that is no UTF-8 into what it means in Latin-1. */
    assert_true(str_starts(str_of(about.subject), STR("gr\xc3\xbc\xc3\x9f"
                                                      "e \xc3\xbf?[31m \xc3\xa9")));
    assert_int_equal(strlen(about.subject), sizeof(about.subject) - 2); /* no half character */
}

static void what_is_no_commit_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    char commit[SOURCE_COMMIT_SIZE];
    struct source_commit about;
    const char *const unfit[] = {"--help", "a..b", "a b", "x@{1}", "", "main~1", ":/first"};

    assert_int_equal(source_resolve(f->bare, "other", commit, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    for (size_t i = 0; i < ARRAY_LEN(unfit); i++) {
        assert_int_equal(source_resolve(f->bare, unfit[i], commit, &err), -1);
        assert_int_equal(err.kind, ERR_INVALID);
    }
    assert_int_equal(
        source_describe(f->bare, "0123456789012345678901234567890123456789", &about, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void export_writes_exactly_what_was_committed(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    char commit[SOURCE_COMMIT_SIZE], target[64] = "";
    CLEANUP(text) char *link = str_format("%s/link", f->out);

    OK(source_resolve(f->bare, "main", commit, &err));
    OK(source_export(f->bare, commit, f->out, &err));
    check_file(f, "README", "hello\r\nworld\n", 0644);
    check_file(f, "run", "#!/bin/sh\n", 0755);
    check_file(f, "lib/deep/a.txt", "$Id$ $Format:%H$\n", 0644);
    check_file(f, "lib.c", "sorts before lib/\n", 0644);
    assert_int_equal(readlink(link, target, sizeof(target) - 1), 11);
    assert_string_equal(target, "/etc/passwd");
}

static void export_into_a_full_folder_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    char commit[SOURCE_COMMIT_SIZE];

    OK(source_resolve(f->bare, "main", commit, &err));
    OK(source_export(f->bare, commit, f->out, &err));
    assert_int_equal(source_export(f->bare, commit, f->out, &err), -1);
    assert_int_equal(err.kind, ERR_CONFLICT);
}

static void same_tree_has_the_same_digest(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    char commit[SOURCE_COMMIT_SIZE];
    struct digest a, b, c;
    CLEANUP(text) char *changed = str_format("%s/run", f->out);

    OK(source_resolve(f->bare, "main", commit, &err));
    OK(source_export(f->bare, commit, f->out, &err));
    OK(source_tree_digest(f->out, &a, &err));
    OK(source_tree_digest(f->work, &b, &err)); /* with its .git */
    assert_string_equal(a.text, b.text);
    assert_int_equal(chmod(changed, 0644), 0);
    OK(source_tree_digest(f->out, &c, &err));
    assert_string_not_equal(a.text, c.text);
}

/* A commit whose tree has one entry of that raw name; made past git's own checks. */
static void commit_of_hostile_tree(struct fixture *f, const char *entry, char ret[64])
{
    CLEANUP(buf) struct buf blob = BUF_INIT(100), tree = BUF_INIT(100), commit = BUF_INIT(100);
    CLEANUP(buf) struct buf raw = BUF_INIT(1000);

    assert_int_equal(GIT(f, &blob, "rev-parse", "main:README"), 0);
    buf_add_text(&raw, entry);
    buf_add_char(&raw, '\0');
    assert_true(hex_decode(str_trim(buf_str(&blob)), &raw));
    const char *const argv[] = {"git", "-C",   f->work,       "hash-object", "-w",
                                "-t",  "tree", "--literally", "--stdin",     NULL};
    assert_int_equal(git(f, &tree, buf_str(&raw), argv), 0);
    CLEANUP(text) char *tree_id = str_dup(str_trim(buf_str(&tree)));
    assert_int_equal(GIT(f, &commit, "commit-tree", tree_id, "-m", "hostile"), 0);
    (void)snprintf(ret, 64, "%.*s", STR_ARG(str_trim(buf_str(&commit))));
}

static void hostile_names_are_refused(void **state)
{
    struct fixture *f = *state;
    const char *const entries[] = {"100644 ..", "100644 .git", "100644 .GIT", "100644 a/b",
                                   "100644 ."};
    CLEANUP(text) char *repository = str_format("%s/.git", f->work);

    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        struct error err = ERROR_INIT;
        char commit[64];
        commit_of_hostile_tree(f, entries[i], commit);
        if (source_export(repository, commit, f->out, &err) == 0)
            fail_msg("'%s' was written", entries[i]);
        assert_true(err.kind == ERR_INVALID || err.kind == ERR_UNTRUSTED);
        OK(fs_remove_tree(AT_FDCWD, f->out, &err));
    }
}

static void swapped_object_is_untrusted(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf a = BUF_INIT(100), b = BUF_INIT(100), bytes = BUF_INIT(10000);
    CLEANUP(buf) struct buf commit = BUF_INIT(100);

    /* The loose object of one file takes the name of another's: git itself does not hash what it
     * reads. */
    assert_int_equal(GIT(f, &a, "rev-parse", "main:README"), 0);
    assert_int_equal(GIT(f, &b, "rev-parse", "main:run"), 0);
    assert_int_equal(GIT(f, &commit, "rev-parse", "main"), 0);
    CLEANUP(text)
    char *from =
        str_format("%s/.git/objects/%.*s/%.*s", f->work, STR_ARG(str_first(buf_str(&a), 2)),
                   STR_ARG(str_first(str_skip(buf_str(&a), 2), 38)));
    CLEANUP(text)
    char *to = str_format("%s/.git/objects/%.*s/%.*s", f->work, STR_ARG(str_first(buf_str(&b), 2)),
                          STR_ARG(str_first(str_skip(buf_str(&b), 2), 38)));
    CLEANUP(text) char *repository = str_format("%s/.git", f->work);
    CLEANUP(text) char *id = str_dup(str_trim(buf_str(&commit)));
    OK(fs_read_at(AT_FDCWD, from, &bytes, &err));
    OK(fs_remove(AT_FDCWD, to, &err));
    OK(fs_write_quick(AT_FDCWD, to, buf_str(&bytes), 0644, &err));
    assert_int_equal(source_export(repository, id, f->out, &err), -1);
    assert_int_equal(err.kind, ERR_UNTRUSTED);
    assert_non_null(strstr(err.text, "'run' has id"));
}

static void push_runs_the_hook_which_may_refuse(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(text) char *bare = str_format("%s/it's.git", f->dir);
    CLEANUP(text) char *program = str_format("%s/it's a program", f->dir);
    CLEANUP(text) char *log = str_format("%s/log", f->dir);
    CLEANUP(text)
    char *script = str_format("#!/bin/sh\necho \"$@\" >'%s'\ncat >>'%s'\nexit 3\n", log, log);
    CLEANUP(buf) struct buf said = BUF_INIT(10000);
    char commit[SOURCE_COMMIT_SIZE];

    OK(fs_write_quick(AT_FDCWD, program, str_of(script), 0755, &err));
    OK(source_create_repository(bare, "guestbook", program, "/h", &err));
    OK(source_create_repository(bare, "guestbook", program, "/h", &err)); /* again: no harm */
    assert_int_not_equal(GIT(f, NULL, "push", "-q", bare, "main"), 0);
    OK(fs_read_at(AT_FDCWD, log, &said, &err));
    assert_true(str_starts(buf_str(&said), STR("plumbing push-hook --home /h guestbook\n000000")));
    assert_non_null(strstr(buf_text(&said), " refs/heads/main\n"));
    assert_int_equal(source_resolve(bare, "main", commit, &err), -1);
}

static void fetch_tells_when_the_branch_moved(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(text) char *url = str_format("file://%s/.git", f->work);
    CLEANUP(text) char *mirror = str_format("%s/mirror.git", f->dir);
    char first[SOURCE_COMMIT_SIZE], second[SOURCE_COMMIT_SIZE];
    bool changed = false;

    OK(source_fetch(mirror, url, "main", first, &changed, &err));
    assert_true(changed);
    OK(source_fetch(mirror, url, "main", second, &changed, &err));
    assert_false(changed);
    assert_string_equal(first, second);
    write_file(f, "README", "changed\n", 0644);
    assert_int_equal(GIT(f, NULL, "commit", "-q", "-a", "-m", "second"), 0);
    OK(source_fetch(mirror, url, "main", second, &changed, &err));
    assert_true(changed);
    assert_string_not_equal(first, second);
}

static void fetch_of_what_is_not_there_is_unavailable(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(text) char *mirror = str_format("%s/mirror.git", f->dir);
    char commit[SOURCE_COMMIT_SIZE];
    bool changed;

    assert_int_equal(source_fetch(mirror, "file:///nowhere", "main", commit, &changed, &err), -1);
    assert_int_equal(err.kind, ERR_UNAVAILABLE);
    assert_int_equal(
        source_fetch(mirror, "ext::sh -c touch% /tmp/x", "main", commit, &changed, &err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(commit_is_resolved_and_described),
        TEST(subject_is_text_that_json_can_hold),
        TEST(what_is_no_commit_is_not_found),
        TEST(export_writes_exactly_what_was_committed),
        TEST(export_into_a_full_folder_is_a_conflict),
        TEST(same_tree_has_the_same_digest),
        TEST(hostile_names_are_refused),
        TEST(swapped_object_is_untrusted),
        TEST(push_runs_the_hook_which_may_refuse),
        TEST(fetch_tells_when_the_branch_moved),
        TEST(fetch_of_what_is_not_there_is_unavailable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
