/* oci/runtime_seccomp.c - the default seccomp profile: what Docker's denies, denied.
 *
 * Docker's profile lists what is allowed. Ours has the same effect with a short filter: calls on
 * the list below fail with EPERM, all others that libseccomp knows are allowed, and those it does
 * not know (newer kernels) fail with ENOSYS, so that a C library falls back. Source: runtime-spec
 * config-linux.md, "Seccomp". */
#include <errno.h>
#include <seccomp.h>

#include "oci/runtime_internal.h"

enum {
    SYSCALL_NUMBER_MAX =
        600,         /* x86-64 and arm64 stand below 470 in Linux 6.x; the table is sparse above */
    FAMILY_ALG = 38, /* AF_ALG: the kernel's crypto, a rich source of holes */
    FAMILY_VSOCK = 40, /* AF_VSOCK: speaks to the hypervisor, past the network namespace */
};
#define CLONE_NEW_ANY                                                                              \
    0x7E020000ULL /* every CLONE_NEW* flag but CLONE_NEWTIME, which clone() cannot carry */

static const char *const denied[] = {
    "_sysctl",
    "acct",
    "add_key",
    "bpf",
    "clone3",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "get_mempolicy",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "migrate_pages",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_madvise",
    "query_module",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "clock_settime",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "umount",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
    "vm86",
    "vm86old",
};

/* Given back to those who hold the capability that the kernel asks for anyway. */
static const struct {
    const char *capability, *syscall;
} given_back[] = {
    {"CAP_SYS_ADMIN", "bpf"},           {"CAP_SYS_ADMIN", "fanotify_init"},
    {"CAP_SYS_ADMIN", "fsconfig"},      {"CAP_SYS_ADMIN", "fsmount"},
    {"CAP_SYS_ADMIN", "fsopen"},        {"CAP_SYS_ADMIN", "fspick"},
    {"CAP_SYS_ADMIN", "mount"},         {"CAP_SYS_ADMIN", "mount_setattr"},
    {"CAP_SYS_ADMIN", "move_mount"},    {"CAP_SYS_ADMIN", "open_tree"},
    {"CAP_SYS_ADMIN", "pivot_root"},    {"CAP_SYS_ADMIN", "quotactl"},
    {"CAP_SYS_ADMIN", "setdomainname"}, {"CAP_SYS_ADMIN", "sethostname"},
    {"CAP_SYS_ADMIN", "setns"},         {"CAP_SYS_ADMIN", "syslog"},
    {"CAP_SYS_ADMIN", "umount"},        {"CAP_SYS_ADMIN", "umount2"},
    {"CAP_SYS_ADMIN", "unshare"},       {"CAP_SYS_PTRACE", "kcmp"},
    {"CAP_SYS_PTRACE", "pidfd_getfd"},  {"CAP_SYS_PTRACE", "process_madvise"},
    {"CAP_SYS_TIME", "settimeofday"},   {"CAP_SYS_TIME", "clock_settime"},
    {"CAP_SYS_NICE", "mbind"},          {"CAP_SYS_NICE", "set_mempolicy"},
    {"CAP_SYS_NICE", "get_mempolicy"},  {"CAP_SYS_BOOT", "reboot"},
    {"CAP_SYSLOG", "syslog"},           {"CAP_SYS_MODULE", "init_module"},
    {"CAP_SYS_MODULE", "finit_module"}, {"CAP_SYS_MODULE", "delete_module"},
};

static bool has_capability(const char *const *capabilities, const char *name)
{
    for (; capabilities && *capabilities; capabilities++)
        if (strcmp(*capabilities, name) == 0)
            return true;
    return false;
}

static bool is_denied(const char *name, const char *const *capabilities)
{
    bool on_list = false;

    for (size_t i = 0; i < ARRAY_LEN(denied) && !on_list; i++)
        on_list = strcmp(denied[i], name) == 0;
    for (size_t i = 0; i < ARRAY_LEN(given_back) && on_list; i++)
        if (strcmp(given_back[i].syscall, name) == 0 &&
            has_capability(capabilities, given_back[i].capability))
            return false;
    return on_list;
}

/* Those with a rule of their own below. */
static bool is_special(const char *name)
{
    return strcmp(name, "clone") == 0 || strcmp(name, "clone3") == 0 ||
           strcmp(name, "personality") == 0 || strcmp(name, "socket") == 0;
}

/* Every call of this machine that libseccomp knows, but for the special ones. */
static int list_names(const char *const *capabilities, json_t *allow, json_t *deny)
{
    for (int number = 0; number < SYSCALL_NUMBER_MAX; number++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
        int failed = 0;
        if (name && !is_special(name))
            failed = json_array_append_new(is_denied(name, capabilities) ? deny : allow,
                                           json_string(name));
        free(name);
        if (failed)
            return -1;
    }
    return 0;
}

/* {"names":[name],"action":"SCMP_ACT_ALLOW","args":[{index 0, op, value, valueTwo}]} */
static int allow_if(json_t *rules, const char *name, const char *op, uint64_t value, uint64_t two)
{
    return json_array_append_new(rules, json_pack("{s:[s], s:s, s:[{s:i, s:I, s:I, s:s}]}", "names",
                                                  name, "action", "SCMP_ACT_ALLOW", "args", "index",
                                                  0, "value", (json_int_t)value, "valueTwo",
                                                  (json_int_t)two, "op", op));
}

static int special_rules(json_t *rules, bool admin)
{
    /* Linux, 32-bit addresses, both without randomised addresses, and the query 0xffffffff. */
    static const uint64_t personalities[] = {0, 8, 0x20000, 0x20008, 0xffffffff};
    int failed = 0;

    for (size_t i = 0; i < ARRAY_LEN(personalities); i++)
        failed |= allow_if(rules, "personality", "SCMP_CMP_EQ", personalities[i], 0);
    failed |= allow_if(rules, "socket", "SCMP_CMP_LT", FAMILY_ALG, 0);
    failed |= allow_if(rules, "socket", "SCMP_CMP_EQ", FAMILY_ALG + 1, 0);
    failed |= allow_if(rules, "socket", "SCMP_CMP_GT", FAMILY_VSOCK, 0);
    /* MASKED_EQ: value is the mask, valueTwo what must come out. */
    failed |= allow_if(rules, "clone", "SCMP_CMP_MASKED_EQ", admin ? 0 : CLONE_NEW_ANY, 0);
    /* Its flags stand in memory, where no filter can look: ENOSYS makes libc take clone(). */
    failed |=
        json_array_append_new(rules, json_pack("{s:[s], s:s, s:i}", "names", "clone3", "action",
                                               "SCMP_ACT_ERRNO", "errnoRet", ENOSYS));
    return failed;
}

json_t *runtime_seccomp(const char *const *capabilities)
{
    CLEANUP(json) json_t *allow = json_array();
    CLEANUP(json) json_t *deny = json_array();
    CLEANUP(json) json_t *rules = json_array();

    if (!allow || !deny || !rules || list_names(capabilities, allow, deny) < 0)
        return NULL;
    if (json_array_append_new(
            rules, json_pack("{s:O, s:s}", "names", allow, "action", "SCMP_ACT_ALLOW")) < 0 ||
        json_array_append_new(rules, json_pack("{s:O, s:s, s:i}", "names", deny, "action",
                                               "SCMP_ACT_ERRNO", "errnoRet", EPERM)) < 0 ||
        special_rules(rules, has_capability(capabilities, "CAP_SYS_ADMIN")) < 0)
        return NULL;
    return json_pack("{s:s, s:i, s:O}", "defaultAction", "SCMP_ACT_ERRNO", "defaultErrnoRet",
                     ENOSYS, "syscalls", rules);
}
