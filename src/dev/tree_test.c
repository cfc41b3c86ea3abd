/* Tests of dev/tree.c and dev/sync.c: saves are told once, and go to an agent that speaks
 * launcher/live.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../launcher/live.h"
#include "base/fs.h"
#include "dev/sync.h"

struct world {
    struct loop *loop;
    struct tree *tree;
    char *dir;
    char told[512];
    unsigned calls;
};

static void on_change(const struct tree_change *changes, size_t count, int64_t since_ms, void *ctx)
{
    struct world *w = ctx;

    w->calls++;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(w->told);
        (void)snprintf(w->told + len, sizeof w->told - len, "%s%s ", changes[i].is_gone ? "-" : "+",
                       changes[i].path);
    }
}

static void put(struct world *w, const char *name, const char *text)
{
    CLEANUP(text) char *path = fs_join(w->dir, name);
    struct error err = ERROR_INIT;
    CLEANUP(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(io_write(fd, text, strlen(text), &err), 0);
}

static void wait_told(struct world *w)
{
    struct error err = ERROR_INIT;

    w->told[0] = '\0';
    w->calls = 0;
    for (int i = 0; i < 1000 && w->calls == 0; i++)
        assert_int_equal(loop_turn(w->loop, 1000, &err), 0);
    assert_int_equal(w->calls, 1);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct error err = ERROR_INIT;

    assert_int_equal(fs_make_temp_dir("/tmp/dev-tree-", &w->dir, &err), 0);
    put(w, ".gitignore", "*.tmp\nbuild/\n");
    put(w, "server.js", "1");
    assert_int_equal(loop_new(&w->loop, &err), 0);
    assert_int_equal(tree_watch(w->loop, w->dir, on_change, w, &w->tree, &err), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    struct error err = ERROR_INIT;

    tree_free(w->tree);
    loop_free(w->loop);
    assert_int_equal(fs_remove_tree(AT_FDCWD, w->dir, &err), 0);
    free(w->dir);
    free(w);
    return 0;
}

static void a_save_is_told_once_and_ignored_files_never(void **state)
{
    struct world *w = *state;
    CLEANUP(text) char *from = fs_join(w->dir, "x.tmp");
    CLEANUP(text) char *to = fs_join(w->dir, "b.js");
    CLEANUP(text) char *folder = fs_join(w->dir, "lib/deep");
    CLEANUP(text) char *ignored = fs_join(w->dir, "build");
    struct error err = ERROR_INIT;

    put(w, "server.js", "2");
    put(w, "server.js", "3");
    put(w, "x.tmp", "4");
    wait_told(w);
    assert_string_equal(w->told, "+server.js ");
    assert_int_equal(rename(from, to), 0); /* as editors save */
    wait_told(w);
    assert_string_equal(w->told, "+b.js ");
    put(w, "sedABC", "4"); /* as sed -i does: a file of its own that becomes another */
    CLEANUP(text) char *own = fs_join(w->dir, "sedABC");
    assert_int_equal(rename(own, to), 0);
    wait_told(w);
    assert_string_equal(w->told, "+b.js ");
    assert_int_equal(unlink(to), 0);
    wait_told(w);
    assert_string_equal(w->told, "-b.js ");
    assert_int_equal(fs_make_dirs(AT_FDCWD, ignored, 0755, &err), 0);
    put(w, "build/out.js", "5");
    assert_int_equal(fs_make_dirs(AT_FDCWD, folder, 0755, &err), 0);
    put(w, "lib/deep/a.js", "6"); /* before the new folders are watched */
    wait_told(w);
    assert_string_equal(w->told, "+lib/deep/a.js ");
    put(w, "lib/deep/a.js", "7"); /* and after */
    wait_told(w);
    assert_string_equal(w->told, "+lib/deep/a.js ");
}

static void a_saved_gitignore_counts_from_then_on(void **state)
{
    struct world *w = *state;

    put(w, "a.out", "1");
    wait_told(w);
    assert_string_equal(w->told, "+a.out ");
    put(w, ".gitignore", "*.out\n");
    wait_told(w);
    assert_string_equal(w->told, "+.gitignore ");
    put(w, "a.out", "2");
    put(w, "x.tmp", "3"); /* ignored before, and no more */
    wait_told(w);
    assert_string_equal(w->told, "+x.tmp ");
}

/* --- sync */

struct heard {
    bool connected;
    char state[32];
};

static void on_connected(bool connected, const char *why, void *ctx)
{
    struct heard *heard = ctx;
    heard->connected = connected;
}

static void on_commit(const json_t *report, int64_t took_ms, void *ctx)
{
    struct heard *heard = ctx;
    (void)snprintf(heard->state, sizeof heard->state, "%s", json_str_at(report, "state"));
    assert_true(took_ms >= 0);
}

/* Reads one frame (blocking) and says what it was: "F server.js 3 644". */
static void read_frame(int fd, char *out, size_t size)
{
    struct error err = ERROR_INIT;
    uint8_t header[LIVE_HEADER_SIZE];
    uint32_t len, mode, path_len;
    char payload[4096];

    assert_int_equal(io_read_exact(fd, header, sizeof header, &err), 0);
    memcpy(&len, header + 4, 4);
    len = ntohl(len);
    assert_true(len < sizeof payload);
    assert_int_equal(io_read_exact(fd, payload, len, &err), 0);
    payload[len] = '\0';
    if (header[0] != 'F') {
        (void)snprintf(out, size, "%c %s", header[0], payload);
        return;
    }
    memcpy(&mode, payload, 4);
    memcpy(&path_len, payload + 4, 4);
    path_len = ntohl(path_len);
    (void)snprintf(out, size, "F %.*s=%.*s %o", (int)path_len, payload + 8,
                   (int)(len - 8 - path_len), payload + 8 + path_len, ntohl(mode));
}

static void answer(int fd, char type, const char *json)
{
    struct error err = ERROR_INIT;
    uint8_t header[LIVE_HEADER_SIZE] = {(uint8_t)type};
    uint32_t len = htonl((uint32_t)strlen(json));

    memcpy(header + 4, &len, 4);
    assert_int_equal(io_write(fd, header, sizeof header, &err), 0);
    assert_int_equal(io_write(fd, json, strlen(json), &err), 0);
}

static void files_go_to_the_agent_and_the_report_comes_back(void **state)
{
    struct world *w = *state;
    struct heard heard = {0};
    struct error err = ERROR_INIT;
    CLEANUP(sync) struct sync *sync = NULL;
    CLEANUP(fd) int listener = -1;
    CLEANUP(fd) int peer = -1;
    uint16_t port = 0;
    char frame[256];

    assert_int_equal(io_listen_tcp("127.0.0.1", 0, -1, &listener, &port, &err), 0);
    struct sync_options options = {.root = w->dir,
                                   .host = "127.0.0.1",
                                   .port = port,
                                   .token = "0123456789abcdef",
                                   .on_connected = on_connected,
                                   .on_commit = on_commit,
                                   .ctx = &heard};
    const struct tree_change changes[] = {{"gone.js", true}, {"server.js", false}};
    assert_int_equal(sync_start(w->loop, &options, &sync, &err), 0);
    assert_int_equal(sync_send(sync, changes, 2, 0, &err), -1); /* nobody is there yet */
    assert_int_equal(err.kind, ERR_UNAVAILABLE);
    assert_int_equal(loop_turn(w->loop, 1000, &err), 0);
    assert_int_equal(loop_turn(w->loop, 1000, &err), 0);
    peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(peer >= 0);
    read_frame(peer, frame, sizeof frame);
    assert_string_equal(frame, "A 0123456789abcdef");
    answer(peer, 'S', "{\"state\":\"ready\"}");
    while (!heard.connected)
        assert_int_equal(loop_turn(w->loop, 1000, &err), 0);
    assert_int_equal(sync_send(sync, changes, 2, 0, &err), 0);
    assert_int_equal(loop_turn(w->loop, 100, &err), 0);
    read_frame(peer, frame, sizeof frame);
    assert_string_equal(frame, "D gone.js");
    read_frame(peer, frame, sizeof frame);
    assert_string_equal(frame, "F server.js=1 644");
    read_frame(peer, frame, sizeof frame);
    assert_string_equal(frame, "C r");
    answer(peer, 'R', "{\"ok\":true,\"state\":\"ready\"}");
    while (!heard.state[0])
        assert_int_equal(loop_turn(w->loop, 1000, &err), 0);
    assert_string_equal(heard.state, "ready");
    io_close(&peer); /* the container goes away */
    while (heard.connected)
        assert_int_equal(loop_turn(w->loop, 1000, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_save_is_told_once_and_ignored_files_never, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_saved_gitignore_counts_from_then_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_go_to_the_agent_and_the_report_comes_back, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
