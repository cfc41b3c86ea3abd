/* cluster/api/store_test.c - the store: order, history, durability through kill -9. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/io.h"
#include "cluster/api/store.h"

static const struct resource *configmaps(void)
{
    return resource_get(RES_CONFIGMAPS);
}

static json_t *configmap(const char *name, int number)
{
    return json_pack("{s:{s:s, s:s, s:s}, s:{s:i}}", "metadata", "name", name, "namespace",
                     "default", "uid", name, "data", "n", number);
}

static void put(struct store *store, const char *name, int number)
{
    struct error err = ERROR_INIT;
    assert_int_equal(store_put(store, configmaps(), configmap(name, number), NULL, &err), 0);
}

static struct store *open_store(const char *path, size_t history_max)
{
    struct error err = ERROR_INIT;
    struct store *store = NULL;
    struct store_options options = {.path = path, .history_max = history_max};
    if (store_new(&options, &store, &err) < 0)
        fail_msg("%s", err.text);
    return store;
}

static void objects_are_listed_by_namespace_and_name(void **state)
{
    CLEANUP(store) struct store *store = open_store(NULL, 0);
    struct error err = ERROR_INIT;
    put(store, "b", 1);
    put(store, "c", 2);
    put(store, "a", 3);
    json_t *other = json_pack("{s:{s:s, s:s}}", "metadata", "name", "z", "namespace", "abc");
    assert_int_equal(store_put(store, configmaps(), other, NULL, &err), 0);

    struct object_list all = store_list(store, configmaps(), NULL);
    assert_int_equal(all.count, 4);
    assert_string_equal(object_name(all.items[0]), "z");
    assert_string_equal(object_name(all.items[1]), "a");
    assert_string_equal(object_name(all.items[3]), "c");
    assert_int_equal(store_list(store, configmaps(), "default").count, 3);
    assert_int_equal(store_list(store, configmaps(), "none").count, 0);
    assert_null(store_get(store, configmaps(), "default", "z"));
    assert_non_null(store_get(store, configmaps(), "abc", "z"));
}

struct seen {
    char text[512];
    struct store *store;
    int writes_left;
};

static void note(const struct store_event *event, void *ctx)
{
    struct seen *seen = ctx;
    size_t used = strlen(seen->text);
    (void)snprintf(seen->text + used, sizeof(seen->text) - used, "%c%s%lld ", "+~-"[event->type],
                   object_name(event->object), (long long)event -> revision);
    if (seen->writes_left-- > 0)
        put(seen->store, "written-by-watcher", seen->writes_left);
}

static void watchers_are_told_in_order_and_never_inside_a_write(void **state)
{
    CLEANUP(store) struct store *store = open_store(NULL, 0);
    struct error err = ERROR_INIT;
    struct store_watch *fast = NULL, *durable = NULL;
    struct seen a = {.store = store, .writes_left = 1}, b = {.store = store};
    struct store_watch_options options = {.resource = configmaps()};

    put(store, "before", 0);
    assert_int_equal(store_flush(store, &err), 0);
    assert_int_equal(store_watch_add(store, &options, note, &a, &fast, &err), 0);
    options.is_durable = true;
    assert_int_equal(store_watch_add(store, &options, note, &b, &durable, &err), 0);
    put(store, "x", 1);
    put(store, "x", 2);
    assert_int_equal(store_remove(store, configmaps(), "default", "x", NULL, &err), 0);
    assert_string_equal(a.text, "");
    assert_int_equal(store_flush(store, &err), 0);
    assert_int_equal(store_flush(store, &err), 0);
    assert_string_equal(a.text, "+x2 ~x3 -x4 +written-by-watcher5 ");
    assert_string_equal(b.text, a.text);
    store_watch_remove(fast);
    put(store, "y", 1);
    assert_int_equal(store_flush(store, &err), 0);
    assert_string_equal(a.text, "+x2 ~x3 -x4 +written-by-watcher5 ");
    store_watch_remove(durable);
}

static void history_replays_and_says_when_it_is_too_old(void **state)
{
    CLEANUP(store) struct store *store = open_store(NULL, 4);
    struct error err = ERROR_INIT;
    struct seen seen = {0};

    for (int i = 0; i < 10; i++)
        put(store, "x", i);
    assert_int_equal(store_flush(store, &err), 0);
    assert_int_equal(store_oldest_revision(store), 6);
    assert_int_equal(store_history(store, 8, configmaps(), note, &seen, &err), 0);
    assert_string_equal(seen.text, "~x9 ~x10 ");
    assert_int_equal(store_history(store, 5, configmaps(), note, &seen, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_string_equal(err.text, "too old resource version: 5 (6)");
}

static void object_too_large_is_refused_and_changes_nothing(void **state)
{
    CLEANUP(store) struct store *store = open_store(NULL, 0);
    struct error err = ERROR_INIT;
    char *big = malloc(STORE_OBJECT_MAX + 1);
    memset(big, 'x', STORE_OBJECT_MAX);
    big[STORE_OBJECT_MAX] = '\0';
    json_t *object = configmap("big", 1);
    json_object_set_new(object, "data", json_pack("{s:s}", "k", big));
    free(big);
    assert_int_equal(store_put(store, configmaps(), object, NULL, &err), -1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_int_equal(store_revision(store), 0);
    assert_int_equal(store_list(store, configmaps(), NULL).count, 0);
}

/* The child writes and reports each number once it is durable; it is killed in the middle of it. */
static void child_writes(const char *path, int report_fd)
{
    struct store *store = open_store(path, 0);
    struct error err = ERROR_INIT;
    for (int i = 0;; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "n%06d", i);
        put(store, name, i);
        if (store_flush(store, &err) < 0 || io_write(report_fd, &i, sizeof(i), &err) < 0)
            _exit(1);
    }
}

static void acknowledged_writes_survive_kill_9(void **state)
{
    CLEANUP(text) char *dir = NULL;
    struct error err = ERROR_INIT;
    int reports[2], last = -1;

    assert_int_equal(fs_make_temp_dir("/tmp/store-test-", &dir, &err), 0);
    CLEANUP(text) char *path = fs_join(dir, "store.db");
    for (int round = 0; round < 5; round++) {
        assert_int_equal(pipe(reports), 0);
        pid_t child = fork();
        if (child == 0)
            child_writes(path, reports[1]);
        close(reports[1]);
        int number;
        for (int i = 0;
             i <= round * 3 && io_read_exact(reports[0], &number, sizeof(number), &err) == 0; i++)
            last = number;
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        while (io_read_exact(reports[0], &number, sizeof(number), &err) == 0)
            last = number;
        close(reports[0]);

        CLEANUP(store) struct store *store = open_store(path, 0);
        struct object_list list = store_list(store, configmaps(), NULL);
        assert_true(list.count >= (size_t)last + 1);
        for (int i = 0; i <= last; i++) {
            char name[16];
            (void)snprintf(name, sizeof(name), "n%06d", i);
            const struct object *object = store_get(store, configmaps(), "default", name);
            assert_non_null(object);
            assert_int_equal(json_int_at(object_root(object), "data.n", -1), i);
            assert_true(store_revision(store) > object_revision(object));
        }
        assert_int_equal(store_oldest_revision(store), store_revision(store));
    }
    assert_int_equal(fs_remove_tree(AT_FDCWD, dir, &err), 0);
}

static void full_disk_refuses_writes_until_there_is_room(void **state)
{
    CLEANUP(text) char *dir = NULL;
    struct error err = ERROR_INIT;
    struct rlimit before, full;

    assert_int_equal(fs_make_temp_dir("/tmp/store-test-", &dir, &err), 0);
    CLEANUP(text) char *path = fs_join(dir, "store.db");
    struct store *store = open_store(path, 0);
    put(store, "first", 1);
    assert_int_equal(store_flush(store, &err), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    full = before;
    full.rlim_cur = 4096; /* no file may grow beyond it */
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    put(store, "second", 2);
    assert_int_equal(store_flush(store, &err), -1);
    error_clear(&err);
    assert_int_equal(store_put(store, configmaps(), configmap("third", 3), NULL, &err), -1);
    assert_int_equal(err.kind, ERR_UNAVAILABLE);
    assert_true(store_durable_revision(store) < store_revision(store));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(store_flush(store, &err), 0);
    put(store, "third", 3);
    store_free(store);

    store = open_store(path, 0);
    assert_int_equal(store_list(store, configmaps(), NULL).count, 3);
    store_free(store);
    assert_int_equal(fs_remove_tree(AT_FDCWD, dir, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_listed_by_namespace_and_name),
        cmocka_unit_test(watchers_are_told_in_order_and_never_inside_a_write),
        cmocka_unit_test(history_replays_and_says_when_it_is_too_old),
        cmocka_unit_test(object_too_large_is_refused_and_changes_nothing),
        cmocka_unit_test(acknowledged_writes_survive_kill_9),
        cmocka_unit_test(full_disk_refuses_writes_until_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
