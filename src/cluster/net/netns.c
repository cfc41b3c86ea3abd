/* cluster/net/netns.c - a namespace stays alive as long as its file is mounted. */
#include "cluster/net/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "cluster/net/link.h"

bool netns_is_at(const char *path)
{
    struct statfs sb;
    return statfs(path, &sb) == 0 && sb.f_type == NSFS_MAGIC;
}

int netns_open(const char *path, int *ret_fd, struct error *err)
{
    if (!netns_is_at(path))
        return error_set(err, ERR_NOT_FOUND, "no network namespace at '%s'", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "opening the network namespace '%s'", path);
    *ret_fd = fd;
    return 0;
}

int netns_enter(int netns_fd, int *ret_home, struct error *err)
{
    CLEANUP(fd) int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

    if (home < 0)
        return error_errno(err, "opening our network namespace");
    if (setns(netns_fd, CLONE_NEWNET) < 0)
        return error_errno(err, "entering a network namespace");
    *ret_home = TAKE_FD(home);
    return 0;
}

void netns_leave(int *home_fd)
{
    if (*home_fd < 0)
        return;
    /* Going on in the wrong namespace would touch the wrong machine: nothing sane can follow. */
    if (setns(*home_fd, CLONE_NEWNET) < 0)
        abort();
    io_close(home_fd);
}

static int write_sysctl(const char *name, const char *value, struct error *err)
{
    CLEANUP(text) char *path = str_format("/proc/sys/net/%s", name);
    CLEANUP(fd) int fd = -1;

    if (!path)
        return error_no_memory(err);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "opening '%s'", path);
    return io_write(fd, value, strlen(value), err);
}

int netns_sysctl(int netns_fd, const char *name, const char *value, struct error *err)
{
    int home = -1;

    if (netns_enter(netns_fd, &home, err) < 0)
        return -1;
    int failed = write_sysctl(name, value, err);
    netns_leave(&home);
    return failed;
}

/* In a fresh namespace: mount it at `path`, so that it outlives us. */
static int keep_namespace(const char *path, struct error *err)
{
    if (mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL) < 0)
        return error_errno(err, "mounting a network namespace at '%s'", path);
    /* Addresses are IPv4 only (docs/design.md): what has no address needs no rule. */
    if (fs_exists(AT_FDCWD, "/proc/sys/net/ipv6") &&
        (write_sysctl("ipv6/conf/all/disable_ipv6", "1", err) < 0 ||
         write_sysctl("ipv6/conf/default/disable_ipv6", "1", err) < 0))
        return -1;
    return 0;
}

int netns_make(const char *path, bool *ret_made, struct error *err)
{
    CLEANUP(fd) int file = -1;
    int home = -1;

    if (ret_made)
        *ret_made = false;
    if (netns_is_at(path))
        return 0;
    file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return error_errno(err, "making '%s'", path);
    home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0)
        return error_errno(err, "opening our network namespace");
    if (unshare(CLONE_NEWNET) < 0) {
        io_close(&home);
        return error_errno(err, "making a network namespace");
    }
    int failed = keep_namespace(path, err);
    netns_leave(&home);
    if (!failed) {
        CLEANUP(fd) int netns = -1;
        CLEANUP(nl) struct nl *nl = NULL;
        failed = netns_open(path, &netns, err) < 0 || nl_open(netns, &nl, err) < 0 ||
                 link_up(nl, "lo", err) < 0;
    }
    if (failed) {
        netns_remove(path);
        return -1;
    }
    if (ret_made)
        *ret_made = true;
    return 0;
}

void netns_remove(const char *path)
{
    while (netns_is_at(path) && umount2(path, MNT_DETACH) == 0)
        ;
    (void)unlink(path); /* gone already is what we want */
}
