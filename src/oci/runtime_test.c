/* oci/runtime_test.c - real containers; the programs in them are the machine's own, bound
 * read-only. Needs root and a runtime; says that it is skipped where there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "oci/oci_test.h"
#include "oci/runtime.h"

enum { OUTPUT_MAX = 1 << 20, WAIT_MS = 20000 };

static const struct container_mount host_programs[] = {
    {.kind = CONTAINER_BIND_RO, .source = "/usr", .target = "/usr"},
};

struct box { /* a container of a test and its output */
    struct container_options options;
    struct container_ref ref;
    struct buf output;
    int pipe[2];
    pid_t pid;
    char *layer, *layer2, *state, *dir; /* owned */
    const char *lowerdirs[3];
};

static bool can_run(void)
{
    if (geteuid() != 0 ||
        (access("/usr/bin/crun", X_OK) < 0 && access("/usr/sbin/runc", X_OK) < 0)) {
        print_message("skipped: needs root and crun or runc\n");
        return false;
    }
    return prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
}

static void box_init(struct box *b, const struct fixture *f, const char *id,
                     const char *const *args)
{
    static const char *const env[] = {"PATH=/usr/bin:/usr/sbin:/bin", NULL};

    *b = (struct box){.output = BUF_INIT(OUTPUT_MAX)};
    b->layer = fs_join(f->dir, "layer");
    b->layer2 = fs_join(f->dir, "layer2");
    b->state = fs_join(f->dir, "state");
    b->dir = str_format("%s/%s", f->dir, id);
    OK(fs_make_dirs(AT_FDCWD, b->layer, 0755, &err));
    OK(fs_make_dirs(AT_FDCWD, b->layer2, 0755, &err));
    static const char *const links[] = {"bin", "sbin", "lib", "lib64"};
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        char to[32];
        CLEANUP(text) char *path = fs_join(b->layer, links[i]);
        snprintf(to, sizeof(to), "usr/%s", links[i]);
        if (symlink(to, path) < 0)
            assert_true(fs_exists(AT_FDCWD, path));
    }
    b->lowerdirs[0] = b->layer2;
    b->lowerdirs[1] = b->layer;
    assert_int_equal(pipe2(b->pipe, O_CLOEXEC), 0);
    b->options = (struct container_options){.state_dir = b->state,
                                            .dir = b->dir,
                                            .id = id,
                                            .lowerdirs = b->lowerdirs,
                                            .args = args,
                                            .env = env,
                                            .mounts = host_programs,
                                            .mount_count = ARRAY_LEN(host_programs),
                                            .stdout_fd = b->pipe[1],
                                            .stderr_fd = b->pipe[1],
                                            .cgroup = NULL,
                                            .hostname = "box"};
    b->ref = (struct container_ref){.state_dir = b->state, .dir = b->dir, .id = id};
}

static void box_start(struct box *b)
{
    OK(container_prepare(&b->options, &err));
    OK(container_start(&b->options, &b->pid, &err));
    io_close(&b->pipe[1]);
}

/* Waits for the end: all of the output, and the exit code. */
static int box_end(struct box *b)
{
    int status;

    OK(io_read_all(b->pipe[0], &b->output, &err));
    assert_int_equal(waitpid(b->pid, &status, 0), b->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void box_delete(struct box *b)
{
    OK(container_delete(&b->ref, &err));
    assert_false(fs_exists(AT_FDCWD, b->dir));
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    io_close(&b->pipe[0]);
    io_close(&b->pipe[1]);
    buf_done(&b->output);
    free(b->layer);
    free(b->layer2);
    free(b->state);
    free(b->dir);
}

static int run(struct box *b)
{
    box_start(b);
    return box_end(b);
}

#define SH(script) ((const char *const[]){"/bin/sh", "-c", script, NULL})

static void assert_says(const struct box *b, const char *words)
{
    if (!strstr(buf_text(&b->output), words))
        fail_msg("'%s' is not in: %s", words, buf_text(&b->output));
}

static void exit_code_and_output_come_through(void **state)
{
    struct box b;

    if (!can_run())
        skip();
    box_init(&b, *state, "plain", SH("echo out; echo err >&2; hostname; pwd; exit 7"));
    assert_int_equal(run(&b), 7);
    assert_string_equal(buf_text(&b.output), "out\nerr\nbox\n/\n");
    box_delete(&b);
}

static void program_that_ends_at_once_is_no_failure(void **state)
{
    if (!can_run())
        skip();
    for (int i = 0; i < 10; i++) {
        struct box b;
        box_init(&b, *state, "quick", (const char *const[]){"/bin/true", NULL});
        assert_int_equal(run(&b), 0);
        box_delete(&b);
    }
}

static void process_has_no_privileges(void **state)
{
    struct box b;

    if (!can_run())
        skip();
    box_init(
        &b, *state, "bare",
        SH("grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; id -u; id -g;"
           "unshare -r true || echo no-userns; mount -t tmpfs x /mnt 2>/dev/null || echo no-mount;"
           "cat /proc/kcore 2>/dev/null | wc -c; touch /proc/sys/kernel/x 2>/dev/null || echo ro;"
           "ls /sys/class/net; ls /proc | grep -c '^[0-9]'"));
    b.options.uid = 1000;
    b.options.gid = 1001;
    assert_int_equal(run(&b), 0);
    assert_says(&b, "CapBnd:\t0000000000000000");
    assert_says(&b, "CapEff:\t0000000000000000");
    assert_says(&b, "NoNewPrivs:\t1");
    assert_says(&b, "Seccomp:\t2");
    assert_says(&b, "1000\n1001\n");
    assert_says(&b, "no-userns");
    assert_says(&b, "no-mount");
    assert_says(&b, "\n0\nro\nlo\n"); /* kcore is masked; only the loopback is there */
    box_delete(&b);
}

static void upper_layer_hides_lower_and_root_is_writable(void **state)
{
    struct box b;
    CLEANUP(text) char *low = NULL, *high = NULL;

    if (!can_run())
        skip();
    box_init(&b, *state, "overlay", SH("cat /f; echo new > /f && cat /f; echo x > /tmpfile"));
    low = fs_join(b.layer, "f");
    high = fs_join(b.layer2, "f");
    OK(fs_write_quick(AT_FDCWD, low, STR("low\n"), 0644, &err));
    OK(fs_write_quick(AT_FDCWD, high, STR("high\n"), 0644, &err));
    assert_int_equal(run(&b), 0);
    assert_string_equal(buf_text(&b.output), "high\nnew\n");
    CLEANUP(text) char *inside = fs_join(b.layer2, "tmpfile");
    assert_false(fs_exists(AT_FDCWD, inside));
    box_delete(&b);
}

static void read_only_root_with_a_tmpfs_and_binds(void **state)
{
    struct fixture *f = *state;
    struct box b;
    struct container_mount mounts[4] = {host_programs[0]};

    if (!can_run())
        skip();
    box_init(
        &b, f, "ro",
        SH("touch /x 2>/dev/null || echo ro-root; touch /tmp/x && echo rw-tmp; cat /etc/hosts;"
           "touch /etc/hosts 2>/dev/null || echo ro-bind; echo hi > /data/f; df -k /tmp | tail -1"));
    CLEANUP(text) char *hosts = fs_join(f->dir, "hosts");
    CLEANUP(text) char *data = fs_join(f->dir, "data");
    OK(fs_write_quick(AT_FDCWD, hosts, STR("127.0.0.1 me\n"), 0644, &err));
    OK(fs_make_dirs(AT_FDCWD, data, 0755, &err));
    mounts[1] =
        (struct container_mount){.kind = CONTAINER_TMPFS, .target = "/tmp", .size = 4 << 20};
    mounts[2] =
        (struct container_mount){CONTAINER_BIND_RO, .source = hosts, .target = "/etc/hosts"};
    mounts[3] = (struct container_mount){CONTAINER_BIND_RW, .source = data, .target = "/data"};
    b.options.mounts = mounts;
    b.options.mount_count = 4;
    b.options.readonly_root = true;
    assert_int_equal(run(&b), 0);
    assert_says(&b, "ro-root\nrw-tmp\n127.0.0.1 me\nro-bind\n");
    assert_says(&b, " 4096 ");
    CLEANUP(text) char *written = fs_join(data, "f");
    assert_true(fs_exists(AT_FDCWD, written));
    box_delete(&b);
}

static void limits_hold(void **state)
{
    struct box b;

    if (!can_run())
        skip();
    box_init(&b, *state, "memory", SH("head -c 200m /dev/zero | tail -c 200m | wc -c"));
    b.options.memory_max = 32 << 20;
    b.options.cpu_shares = 256;
    b.options.cpu_quota_us = 50000;
    (void)run(&b); /* the shell survives, tail was killed */
    assert_null(strstr(buf_text(&b.output), "209715200"));
    box_delete(&b);
    box_init(&b, *state, "pids", SH("for i in 1 2 3 4 5 6 7 8 9; do sleep 100 & done; echo done"));
    b.options.pids_max = 5;
    (void)run(&b);
    assert_null(strstr(buf_text(&b.output), "done"));
    box_delete(&b);
}

static void writable_space_is_limited(void **state)
{
    struct box b;

    if (!can_run())
        skip();
    box_init(&b, *state, "space", SH("head -c 8m /dev/zero > /big || echo full"));
    b.options.writable_max = 2 << 20;
    (void)run(&b);
    assert_says(&b, "full");
    box_delete(&b);
}

static void missing_program_is_named(void **state)
{
    struct box b;

    if (!can_run())
        skip();
    box_init(&b, *state, "missing", (const char *const[]){"/no/such/program", NULL});
    OK(container_prepare(&b.options, &err));
    FAILS_SAYING(container_start(&b.options, &b.pid, &err), ERR_INVALID, "/no/such/program");
    box_delete(&b);
}

static void exec_runs_inside_and_gives_its_exit_code(void **state)
{
    struct box b;
    struct container_exec exec = {.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    CLEANUP(fd) int out_read = -1, out_write = -1;
    CLEANUP(buf) struct buf out = BUF_INIT(4096);
    int fds[2], code;

    if (!can_run())
        skip();
    box_init(&b, *state, "exec", (const char *const[]){"/bin/sleep", "1000", NULL});
    box_start(&b);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    out_read = fds[0];
    out_write = fds[1];
    exec.args = SH("hostname; echo $X; pwd; grep CapEff /proc/self/status; exit 5");
    exec.env = (const char *const[]){"X=1 2", NULL};
    exec.cwd = "/usr";
    exec.stdout_fd = out_write;
    OK(container_exec(&b.ref, &exec, WAIT_MS, &code, &err));
    assert_int_equal(code, 5);
    io_close(&out_write);
    OK(io_read_all(out_read, &out, &err));
    assert_string_equal(buf_text(&out), "box\n1 2\n/usr\nCapEff:\t0000000000000000\n");
    exec = (struct container_exec){
        .args = SH("sleep 1000"), .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
    FAILS(container_exec(&b.ref, &exec, 300, &code, &err), ERR_TIMEOUT);
    OK(container_kill(&b.ref, SIGKILL, false, &err));
    assert_int_equal(box_end(&b), 128 + SIGKILL);
    box_delete(&b);
}

static void second_container_joins_namespaces(void **state)
{
    struct box a, b;
    char ipc[64], uts[64], net[64];

    if (!can_run())
        skip();
    box_init(&a, *state, "first", (const char *const[]){"/bin/sleep", "1000", NULL});
    box_start(&a);
    snprintf(ipc, sizeof(ipc), "/proc/%d/ns/ipc", a.pid);
    snprintf(uts, sizeof(uts), "/proc/%d/ns/uts", a.pid);
    snprintf(net, sizeof(net), "/proc/%d/ns/net", a.pid);
    box_init(&b, *state, "second",
             SH("readlink /proc/self/ns/ipc /proc/self/ns/uts /proc/self/ns/net; hostname"));
    b.options.ipcns = ipc;
    b.options.utsns = uts;
    b.options.netns = net;
    b.options.hostname = "ignored";
    assert_int_equal(run(&b), 0);
    CLEANUP(buf) struct buf expected = BUF_INIT(512);
    const char *const links[] = {ipc, uts, net};
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        OK(fs_read_link(AT_FDCWD, links[i], &expected, &err));
        buf_add_char(&expected, '\n');
    }
    buf_add_text(&expected, "box\n");
    assert_string_equal(buf_text(&b.output), buf_text(&expected));
    box_delete(&b);
    box_delete(&a);
}

static void delete_ends_everything_and_may_be_repeated(void **state)
{
    struct box b;
    CLEANUP(buf) struct buf mounts = BUF_INIT(4 << 20);
    struct container_ref ref;

    if (!can_run())
        skip();
    box_init(&b, *state, "gone", SH("trap '' TERM; sleep 1000 & sleep 1000 & wait"));
    b.options.cgroup = "/monban-test/pod/gone";
    box_start(&b);
    ref = b.ref;
    uint64_t memory, cpu;
    container_usage(b.options.cgroup, &memory, &cpu);
    assert_true(memory > 0 && cpu > 0);
    OK(container_delete(&ref, &err));
    OK(container_delete(&ref, &err));
    OK(fs_read_at(AT_FDCWD, "/proc/self/mountinfo", &mounts, &err));
    assert_null(strstr(buf_text(&mounts), b.dir));
    assert_false(fs_exists(AT_FDCWD, "/sys/fs/cgroup/memory/monban-test/pod/gone"));
    OK(container_cgroup_remove("/monban-test", &err));
    assert_false(fs_exists(AT_FDCWD, "/sys/fs/cgroup/memory/monban-test"));
    FAILS(container_cgroup_remove("/", &err), ERR_INVALID);
    FAILS(container_exec(&ref, &(struct container_exec){.args = SH("x")}, 1000, &(int){0}, &err),
          ERR_NOT_FOUND);
    assert_int_equal(kill(b.pid, 0), 0); /* a zombie: ours to reap */
    box_delete(&b);
}

static void bad_options_are_refused(void **state)
{
    struct box b;
    struct container_mount relative = {CONTAINER_BIND_RO, .source = "etc", .target = "/etc"};

    box_init(&b, *state, "../up", SH("x"));
    FAILS(container_prepare(&b.options, &err), ERR_INVALID);
    b.options.id = "fine";
    b.options.mounts = &relative;
    b.options.mount_count = 1;
    FAILS(container_prepare(&b.options, &err), ERR_INVALID);
    b.options.mount_count = 0;
    b.options.args = (const char *const[]){NULL};
    FAILS(container_prepare(&b.options, &err), ERR_INVALID);
    b.ref.id = "fine";
    box_delete(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exit_code_and_output_come_through),
        TEST(program_that_ends_at_once_is_no_failure),
        TEST(process_has_no_privileges),
        TEST(upper_layer_hides_lower_and_root_is_writable),
        TEST(read_only_root_with_a_tmpfs_and_binds),
        TEST(limits_hold),
        TEST(writable_space_is_limited),
        TEST(missing_program_is_named),
        TEST(exec_runs_inside_and_gives_its_exit_code),
        TEST(second_container_joins_namespaces),
        TEST(delete_ends_everything_and_may_be_repeated),
        TEST(bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
