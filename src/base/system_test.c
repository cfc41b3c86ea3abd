/* base/system_test.c - fs, io, proc, loop on the real system, in a fresh folder. */
#include "base/base_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/loop.h"
#include "base/proc.h"

struct folder {
    char *path;
    int fd;
};

static int make_folder(void **state)
{
    struct folder *f = calloc(1, sizeof *f);
    struct error err = ERROR_INIT;

    if (fs_make_temp_dir("/tmp/monban-base-test.", &f->path, &err) < 0 ||
        fs_open_dir(AT_FDCWD, f->path, &f->fd, &err) < 0)
        return -1;
    *state = f;
    return 0;
}

static int remove_folder(void **state)
{
    struct folder *f = *state;
    struct error err = ERROR_INIT;
    int result = fs_remove_tree(AT_FDCWD, f->path, &err);

    io_close(&f->fd);
    free(f->path);
    free(f);
    return result;
}

static void a_file_is_replaced_whole(void **state)
{
    const struct folder *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT(100);
    CLEANUP(strv) struct strv names = STRV_INIT;

    assert_int_equal(fs_write_atomic(f->fd, "x", STR("old"), 0644, &err), 0);
    assert_int_equal(fs_write_atomic(f->fd, "x", STR("newer"), 0600, &err), 0);
    assert_int_equal(fs_read_at(f->fd, "x", &text, &err), 0);
    assert_string_equal(buf_text(&text), "newer");
    assert_int_equal(fs_list(f->fd, ".", &names, &err), 0);
    assert_int_equal(names.count, 1); /* nothing unfinished is left */
}

static void a_path_cannot_leave_its_folder(void **state)
{
    const struct folder *f = *state;
    struct error err = ERROR_INIT;
    int fd;

    assert_int_equal(symlinkat("/etc", f->fd, "out"), 0);
    assert_int_equal(fs_open_beneath(f->fd, "out/passwd", O_RDONLY, 0, &fd, &err), -1);
    assert_int_equal(err.kind, ERR_DENIED);
    assert_int_equal(fs_open_beneath(f->fd, "../x", O_RDONLY, 0, &fd, &err), -1);
    assert_int_equal(err.kind, ERR_DENIED);
}

static void a_tree_is_removed_without_following_links(void **state)
{
    const struct folder *f = *state;
    struct error err = ERROR_INIT;

    assert_int_equal(fs_make_dirs(f->fd, "keep", 0755, &err), 0);
    assert_int_equal(fs_write_quick(f->fd, "keep/me", STR("x"), 0644, &err), 0);
    assert_int_equal(fs_make_dirs(f->fd, "tree/a/b", 0755, &err), 0);
    assert_int_equal(symlinkat("../keep", f->fd, "tree/link"), 0);
    assert_int_equal(fs_remove_tree(f->fd, "tree", &err), 0);
    assert_false(fs_exists(f->fd, "tree"));
    assert_true(fs_exists(f->fd, "keep/me"));
    assert_int_equal(fs_remove_tree(f->fd, "tree", &err), 0); /* gone already is fine */
}

static void a_tree_is_copied_with_its_links(void **state)
{
    const struct folder *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP(text) char *from = fs_join(f->path, "from");
    CLEANUP(text) char *to = fs_join(f->path, "to");
    CLEANUP(buf) struct buf target = BUF_INIT(100);

    assert_int_equal(fs_make_dirs(f->fd, "from/a", 0750, &err), 0);
    assert_int_equal(fs_write_quick(f->fd, "from/a/x", STR("x"), 0755, &err), 0);
    assert_int_equal(symlinkat("a/x", f->fd, "from/l"), 0);
    assert_int_equal(fs_copy_tree(from, to, &err), 0);
    assert_int_equal(fs_read_link(f->fd, "to/l", &target, &err), 0);
    assert_string_equal(buf_text(&target), "a/x");
    struct stat info;
    assert_int_equal(fstatat(f->fd, "to/a/x", &info, 0), 0);
    assert_int_equal(info.st_mode & 07777, 0755);
}

static void a_lock_is_held_until_it_is_closed(void **state)
{
    const struct folder *f = *state;
    struct error err = ERROR_INIT;
    int first, second;

    assert_int_equal(fs_lock(f->fd, "l", false, &first, &err), 0);
    assert_int_equal(fs_lock(f->fd, "l", false, &second, &err), -1);
    assert_int_equal(err.kind, ERR_CONFLICT);
    io_close(&first);
    assert_int_equal(fs_lock(f->fd, "l", false, &second, &err), 0);
    io_close(&second);
}

static void a_program_that_is_missing_says_so_at_the_start(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(PROC_RUN(NULL, 1000, &err, "/no/such/program"), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void a_failing_program_is_quoted(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(PROC_RUN(NULL, 5000, &err, "sh", "-c", "echo why >&2; exit 3"), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    assert_string_equal(err.text, "'sh' exited 3: why");
}

static void a_program_is_fed_and_read_at_once(void **state)
{
    struct error err = ERROR_INIT;
    struct proc_options options = PROC_OPTIONS_INIT;
    CLEANUP(buf) struct buf out = BUF_INIT(4 << 20);
    CLEANUP(buf) struct buf in = BUF_INIT(4 << 20);
    const char *const argv[] = {"cat", NULL};

    (void)state;
    for (int i = 0; i < 200000; i++)
        buf_add_text(&in, "0123456789");
    options.argv = argv;
    assert_int_equal(proc_run(&options, buf_str(&in), &out, 20000, NULL, &err), 0);
    assert_true(str_equal(buf_str(&in), buf_str(&out)));
}

static void a_program_beyond_its_time_is_ended(void **state)
{
    struct error err = ERROR_INIT;

    (void)state;
    assert_int_equal(PROC_RUN(NULL, 50, &err, "sleep", "1000"), -1);
    assert_int_equal(err.kind, ERR_TIMEOUT);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
}

static void further_descriptors_start_at_three(void **state)
{
    struct error err = ERROR_INIT;
    struct proc_options options = PROC_OPTIONS_INIT;
    CLEANUP(buf) struct buf out = BUF_INIT(100);
    int ends[2];
    const char *const argv[] = {"cat", "/dev/fd/3", NULL};

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], "hello", 5), 5);
    io_close(&ends[1]);
    options.argv = argv;
    options.keep_fds = &ends[0];
    options.keep_fds_count = 1;
    assert_int_equal(proc_run(&options, STR_NONE, &out, 5000, NULL, &err), 0);
    assert_string_equal(buf_text(&out), "hello");
    io_close(&ends[0]);
}

static void a_descriptor_crosses_a_socket(void **state)
{
    struct error err = ERROR_INIT;
    int pair[2], ends[2], got = -1;
    char bytes[10];
    size_t len;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(io_send_fd(pair[0], STR("hi"), ends[1], &err), 0);
    assert_int_equal(io_recv_fd(pair[1], bytes, sizeof bytes, &len, &got, &err), 0);
    assert_int_equal(len, 2);
    assert_true(got >= 0 && got != ends[1]);
    assert_int_equal(fcntl(got, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    io_close(&got);
    for (int i = 0; i < 2; i++) {
        io_close(&pair[i]);
        io_close(&ends[i]);
    }
}

/* --- the loop --- */
struct seen {
    struct loop_timer *timer;
    struct loop_io *io;
    int count;
    int status;
    char order[8];
};

static void note_tick(struct loop *loop, void *ctx)
{
    struct seen *seen = ctx;

    if (++seen->count < 3)
        loop_timer_set(seen->timer, 1);
    else
        loop_stop(loop);
}

static void a_timer_set_again_repeats(void **state)
{
    struct error err = ERROR_INIT;
    struct seen seen = {0};
    CLEANUP(loop) struct loop *loop = NULL;

    (void)state;
    assert_int_equal(loop_new(&loop, &err), 0);
    assert_int_equal(loop_add_timer(loop, 0, note_tick, &seen, &seen.timer, &err), 0);
    assert_int_equal(loop_run(loop, &err), 0);
    assert_int_equal(seen.count, 3);
}

static void seen_letter(struct seen *seen, char letter)
{
    size_t len = strlen(seen->order);

    assert_true(len + 1 < sizeof seen->order);
    seen->order[len] = letter;
}

static void note_a(struct loop *loop, void *ctx)
{
    (void)loop;
    seen_letter(ctx, 'a');
}

static void note_b(struct loop *loop, void *ctx)
{
    seen_letter(ctx, 'b');
    loop_stop(loop);
}

static void timers_fire_in_the_order_of_their_time(void **state)
{
    struct error err = ERROR_INIT;
    struct seen seen = {0};
    CLEANUP(loop) struct loop *loop = NULL;

    (void)state;
    assert_int_equal(loop_new(&loop, &err), 0);
    assert_int_equal(loop_add_timer(loop, 5, note_b, &seen, NULL, &err), 0);
    assert_int_equal(loop_add_timer(loop, 1, note_a, &seen, NULL, &err), 0);
    assert_int_equal(loop_run(loop, &err), 0);
    assert_string_equal(seen.order, "ab");
}

static void note_end(struct loop *loop, pid_t pid, int status, void *ctx)
{
    (void)pid;
    ((struct seen *)ctx)->status = status;
    loop_stop(loop);
}

static void a_child_that_ends_is_reaped_and_told(void **state)
{
    struct error err = ERROR_INIT;
    struct seen seen = {0};
    struct proc_options options = PROC_OPTIONS_INIT;
    const char *const argv[] = {"sh", "-c", "exit 7", NULL};
    CLEANUP(loop) struct loop *loop = NULL;
    pid_t pid;

    (void)state;
    options.argv = argv;
    assert_int_equal(loop_new(&loop, &err), 0);
    assert_int_equal(proc_start(&options, &pid, &err), 0);
    assert_int_equal(loop_add_child(loop, pid, note_end, &seen, &err), 0);
    assert_int_equal(loop_run(loop, &err), 0);
    assert_int_equal(WEXITSTATUS(seen.status), 7);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
}

static void note_io(struct loop *loop, int fd, uint32_t events, void *ctx)
{
    struct seen *seen = ctx;

    (void)fd;
    (void)events;
    seen->count++;
    loop_io_remove(seen->io); /* inside its own callback */
    loop_stop(loop);
}

static void a_handle_may_go_inside_its_own_callback(void **state)
{
    struct error err = ERROR_INIT;
    struct seen seen = {0};
    CLEANUP(loop) struct loop *loop = NULL;
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(loop_new(&loop, &err), 0);
    assert_int_equal(loop_add_io(loop, ends[0], EPOLLIN, note_io, &seen, &seen.io, &err), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(loop_run(loop, &err), 0);
    assert_int_equal(seen.count, 1);
    io_close(&ends[0]);
    io_close(&ends[1]);
}

static void note_signal(struct loop *loop, int signal, void *ctx)
{
    ((struct seen *)ctx)->status = signal;
    loop_stop(loop);
}

static void a_signal_arrives_in_the_loop(void **state)
{
    struct error err = ERROR_INIT;
    struct seen seen = {0};
    CLEANUP(loop) struct loop *loop = NULL;

    (void)state;
    assert_int_equal(loop_new(&loop, &err), 0);
    assert_int_equal(loop_add_signal(loop, SIGUSR1, note_signal, &seen, &err), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    assert_int_equal(loop_run(loop, &err), 0);
    assert_int_equal(seen.status, SIGUSR1);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(a_file_is_replaced_whole),
        WITH_FOLDER(a_path_cannot_leave_its_folder),
        WITH_FOLDER(a_tree_is_removed_without_following_links),
        WITH_FOLDER(a_tree_is_copied_with_its_links),
        WITH_FOLDER(a_lock_is_held_until_it_is_closed),
        cmocka_unit_test(a_program_that_is_missing_says_so_at_the_start),
        cmocka_unit_test(a_failing_program_is_quoted),
        cmocka_unit_test(a_program_is_fed_and_read_at_once),
        cmocka_unit_test(a_program_beyond_its_time_is_ended),
        cmocka_unit_test(further_descriptors_start_at_three),
        cmocka_unit_test(a_descriptor_crosses_a_socket),
        cmocka_unit_test(a_timer_set_again_repeats),
        cmocka_unit_test(timers_fire_in_the_order_of_their_time),
        cmocka_unit_test(a_child_that_ends_is_reaped_and_told),
        cmocka_unit_test(a_handle_may_go_inside_its_own_callback),
        cmocka_unit_test(a_signal_arrives_in_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
