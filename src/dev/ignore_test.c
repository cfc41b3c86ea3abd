/* Tests of dev/ignore.c: patterns as git reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/ignore.h"

static void patterns_are_read_as_git_reads_them(void **state)
{
    static const struct {
        const char *dir, *patterns, *path;
        bool is_dir, ignored;
    } cases[] = {
        {"", "*.log\n", "a.log", false, true},
        {"", "*.log\n", "deep/down/a.log", false, true},
        {"", "*.log\n", "a.logs", false, false},
        {"", "# a.txt\n\n", "a.txt", false, false},
        {"", "/dist\n", "dist", true, true},
        {"", "/dist\n", "sub/dist", true, false},
        {"", "dist/\n", "dist", true, true},
        {"", "dist/\n", "dist", false, false},
        {"", "dist/\n", "sub/dist", true, true},
        {"", "a/b\n", "a/b", false, true},
        {"", "a/b\n", "x/a/b", false, false},
        {"", "*.log\n!keep.log\n", "keep.log", false, false},
        {"", "!keep.log\n*.log\n", "keep.log", false, true},
        {"", "**/tmp\n", "tmp", true, true},
        {"", "**/tmp\n", "a/b/tmp", true, true},
        {"", "a/**/z\n", "a/z", false, true},
        {"", "a/**/z\n", "a/b/c/z", false, true},
        {"", "a/**/z\n", "b/z", false, false},
        {"", "logs/**\n", "logs/x/y", false, true},
        {"", "logs/**\n", "log", false, false},
        {"sub", "*.o\n", "sub/a.o", false, true},
        {"sub", "*.o\n", "a.o", false, false},
        {"sub", "/x\n", "sub/x", false, true},
        {"", "a?c\n", "abc", false, true},
        {"", "a?c\n", "a/c", false, false},
        {"", "[ab].c\r\n", "b.c", false, true},
        {"", "", ".git", true, true},
        {"", "", "x/node_modules", true, true},
        {"", "!node_modules\n", "node_modules", true, true},
        {"", "", "server.js", false, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(ignore) struct ignore *ignore = ignore_new();
        ignore_add(ignore, cases[i].dir, str_of(cases[i].patterns));
        if (ignore_has(ignore, cases[i].path, cases[i].is_dir) != cases[i].ignored)
            fail_msg("case %zu: '%s' against '%s'", i, cases[i].path, cases[i].patterns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_are_read_as_git_reads_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
