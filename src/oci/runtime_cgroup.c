/* oci/runtime_cgroup.c - cgroups of containers: kill, remove, measure; version 1 (one tree a
 * controller) and 2. */
#include "oci/runtime_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/fs.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

enum { PROCS_MAX = 4 << 20, VALUE_MAX = 64 << 10 };

static bool is_version_2(void)
{
    return fs_exists(AT_FDCWD, CGROUP_ROOT "/cgroup.controllers");
}

/* The folder of `path` in the tree of `controller` ("" with version 2). */
static char *cgroup_dir(const char *controller, const char *path)
{
    if (is_version_2())
        return str_format(CGROUP_ROOT "%s", path);
    return str_format(CGROUP_ROOT "/%s%s", controller, path);
}

static bool is_plain(const char *path)
{
    return path && path[0] == '/' && path[1] && !strstr(path, "/../") && !strstr(path, "//");
}

int runtime_cgroup_kill(const char *path, int signal, size_t *ret_count, struct error *err)
{
    CLEANUP(text) char *dir = cgroup_dir("pids", path);
    CLEANUP(text) char *file = dir ? fs_join(dir, "cgroup.procs") : NULL;
    CLEANUP(buf) struct buf text = BUF_INIT(PROCS_MAX);
    struct str line;
    uint64_t pid;

    *ret_count = 0;
    if (!file)
        return error_no_memory(err);
    if (!is_plain(path))
        return error_set(err, ERR_INVALID, "'%s' is no cgroup path", path ? path : "");
    if (fs_read_at(AT_FDCWD, file, &text, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    struct lines in = lines_over(file, buf_str(&text));
    while (lines_next(&in, &line)) {
        if (!str_to_u64(line, &pid) || pid < 2)
            continue;
        ++*ret_count;
        if (kill((pid_t)pid, signal) < 0 && errno != ESRCH)
            return error_errno(err, "cannot send signal %d to process %llu", signal,
                               (unsigned long long)pid);
    }
    return 0;
}

/* rmdir of a cgroup and those below; one that is busy stays, and is told. */
static int remove_tree(const char *dir, unsigned depth, struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct stat info;

    if (rmdir(dir) == 0 || errno == ENOENT)
        return 0;
    if (depth > 20 || fs_list(AT_FDCWD, dir, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(text) char *below = fs_join(dir, names.items[i]);
        if (!below)
            return error_no_memory(err);
        if (lstat(below, &info) == 0 && S_ISDIR(info.st_mode) &&
            remove_tree(below, depth + 1, err) < 0)
            return -1;
    }
    if (rmdir(dir) < 0 && errno != ENOENT)
        return error_errno(err, "cannot remove cgroup '%s'", dir);
    return 0;
}

int container_cgroup_remove(const char *path, struct error *err)
{
    CLEANUP(strv) struct strv controllers = STRV_INIT;

    if (!is_plain(path))
        return error_set(err, ERR_INVALID, "'%s' is no cgroup path", path ? path : "");
    if (is_version_2())
        strv_add(&controllers, "");
    else if (fs_list(AT_FDCWD, CGROUP_ROOT, &controllers, err) < 0)
        return -1;
    if (strv_ok(&controllers, err) < 0)
        return -1;
    for (size_t i = 0; i < controllers.count; i++) {
        CLEANUP(text) char *dir = cgroup_dir(controllers.items[i], path);
        if (!dir)
            return error_no_memory(err);
        if (remove_tree(dir, 0, err) < 0)
            return -1;
    }
    return 0;
}

/* The number in a file of one line, or after `key` in one of many; 0 if there is none. */
static uint64_t read_number(const char *controller, const char *path, const char *name,
                            const char *key)
{
    CLEANUP(text) char *dir = cgroup_dir(controller, path);
    CLEANUP(text) char *file = dir ? fs_join(dir, name) : NULL;
    CLEANUP(buf) struct buf text = BUF_INIT(VALUE_MAX);
    struct error ignored = ERROR_INIT; /* unknown is 0 */
    struct str line;
    uint64_t value;

    if (!file || fs_read_at(AT_FDCWD, file, &text, &ignored) < 0)
        return 0;
    struct lines in = lines_over(file, buf_str(&text));
    while (lines_next(&in, &line)) {
        if (key && !str_is(str_word(&line), key))
            continue;
        if (str_to_u64(str_trim(line), &value))
            return value;
    }
    return 0;
}

void container_usage(const char *cgroup, uint64_t *ret_memory, uint64_t *ret_cpu_ns)
{
    *ret_memory = *ret_cpu_ns = 0;
    if (!is_plain(cgroup))
        return;
    if (is_version_2()) {
        *ret_memory = read_number("", cgroup, "memory.current", NULL);
        *ret_cpu_ns = read_number("", cgroup, "cpu.stat", "usage_usec") * 1000;
        return;
    }
    *ret_memory = read_number("memory", cgroup, "memory.usage_in_bytes", NULL);
    *ret_cpu_ns = read_number("cpuacct", cgroup, "cpuacct.usage", NULL);
}
