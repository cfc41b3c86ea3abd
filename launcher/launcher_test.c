#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "env.h"
#include "metadata.h"

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static char *fresh_dir(char room[64])
{
    snprintf(room, 64, "/tmp/monban-launcher-XXXXXX");
    assert_non_null(mkdtemp(room));
    return room;
}

static void remove_dir(const char *dir)
{
    struct list names = {0};

    dir_list(dir, &names);
    for (size_t i = 0; i < names.count; i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%s", dir, names.items[i]);
        if (unlink(path) < 0)
            remove_dir(path);
    }
    rmdir(dir);
}

static void each_suffix_changes_the_variable_as_the_spec_says(void **state)
{
    char *const envp[] = {"KEPT=old",      "APPENDED=a", "PREPENDED=a",
                          "DEFAULTED=old", "SET=old",    NULL};
    char room[64], *dir = fresh_dir(room);
    struct env env = {0};

    write_file(dir, "KEPT.default", "new");
    write_file(dir, "FRESH.default", "new");
    write_file(dir, "APPENDED.append", "b");
    write_file(dir, "APPENDED.delim", ";");
    write_file(dir, "PREPENDED.prepend", "b");
    write_file(dir, "SET", "new\n");
    write_file(dir, "FORCED.override", "x");
    write_file(dir, "UNKNOWN.suffix", "x");
    env_init(&env, envp);
    env_add_dir(&env, dir);
    assert_string_equal(env_get(&env, "KEPT"), "old");
    assert_string_equal(env_get(&env, "FRESH"), "new");
    assert_string_equal(env_get(&env, "APPENDED"), "a;b");
    assert_string_equal(env_get(&env, "PREPENDED"), "ba");
    assert_string_equal(env_get(&env, "SET"), "new\n");
    assert_string_equal(env_get(&env, "FORCED"), "x");
    assert_null(env_get(&env, "UNKNOWN"));
    assert_null(env_get(&env, "DEFAULT"));
    remove_dir(dir);
}

static void launchers_own_variables_do_not_reach_the_app(void **state)
{
    char *const envp[] = {"CNB_LAYERS_DIR=/layers", "MONBAN_LIVE_TOKEN=secret-secret-secret",
                          "PATH=/cnb/process:/usr/bin:/cnb/lifecycle:/bin", "HOME=/h", NULL};
    struct env env = {0};

    env_init(&env, envp);
    assert_null(env_get(&env, "CNB_LAYERS_DIR"));
    assert_null(env_get(&env, "MONBAN_LIVE_TOKEN"));
    assert_string_equal(env_get(&env, "PATH"), "/usr/bin:/bin");
    assert_string_equal(env_get(&env, "HOME"), "/h");
}

static void layer_folders_come_before_the_paths_of_the_image(void **state)
{
    char *const envp[] = {"PATH=/usr/bin", NULL};
    char room[64], path[128], *dir = fresh_dir(room);
    struct env env = {0};

    snprintf(path, sizeof(path), "%s/bin", dir);
    assert_int_equal(mkdir(path, 0755), 0);
    env_init(&env, envp);
    env_add_layer_root(&env, dir);
    assert_string_equal(env_get(&env, "PATH"), TEXT(dir, "/bin:/usr/bin"));
    assert_null(env_get(&env, "LD_LIBRARY_PATH"));
    remove_dir(dir);
}

static void exec_d_output_sets_variables_or_is_refused(void **state)
{
    char *const envp[] = {NULL};
    struct env env = {0};
    char good[] = "# c\nA = \"x\\\"y\"\n\nB='z'\n", bad[] = "A = x\n";

    env_init(&env, envp);
    assert_true(env_add_toml(&env, good));
    assert_string_equal(env_get(&env, "A"), "x\"y");
    assert_string_equal(env_get(&env, "B"), "z");
    assert_false(env_add_toml(&env, bad));
}

static void metadata_gives_processes_and_buildpacks_of_both_forms(void **state)
{
    char text[] =
        "buildpacks = [{ id = \"x/y\", api = \"0.9\" }]\n"
        "[[processes]]\ntype = \"web\"\ncommand = [\"a\", 'b']\nargs = [\n \"c\", # d\n]\n"
        "working-dir = \"/w\"\ndirect = true\n"
        "[[processes]]\ntype = \"job\"\ncommand = \"run me\"\ndirect = false\n"
        "[[buildpacks]]\nid = \"z\"\n";
    struct metadata m = {0};

    assert_true(metadata_parse(text, &m));
    assert_int_equal(m.process_count, 2);
    const struct process *web = metadata_process(&m, "web"), *job = metadata_process(&m, "job");
    assert_non_null(web);
    assert_int_equal(web->command.count, 2);
    assert_string_equal(web->command.items[1], "b");
    assert_string_equal(web->args.items[0], "c");
    assert_string_equal(web->working_dir, "/w");
    assert_true(web->direct);
    assert_non_null(job);
    assert_string_equal(job->command.items[0], "run me");
    assert_false(job->direct);
    assert_int_equal(m.buildpacks.count, 2);
    assert_string_equal(m.buildpacks.items[0], "x/y");
    assert_string_equal(m.buildpacks.items[1], "z");
    assert_null(metadata_process(&m, "worker"));
}

static void metadata_that_is_no_toml_is_refused(void **state)
{
    static const char *const bad[] = {
        "[[processes]\ntype=\"a\"",           "x",          "a = ", "a = \"b", "a = [\"b\"",
        "[[processes]]\ncommand = [\"a\"]\n", "a = \"\\q\""};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct metadata m = {0};
        if (metadata_parse(text_copy(bad[i], strlen(bad[i])), &m))
            fail_msg("taken: %s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_suffix_changes_the_variable_as_the_spec_says),
        cmocka_unit_test(launchers_own_variables_do_not_reach_the_app),
        cmocka_unit_test(layer_folders_come_before_the_paths_of_the_image),
        cmocka_unit_test(exec_d_output_sets_variables_or_is_refused),
        cmocka_unit_test(metadata_gives_processes_and_buildpacks_of_both_forms),
        cmocka_unit_test(metadata_that_is_no_toml_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
