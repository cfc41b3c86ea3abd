/* oci/runtime_config.c - config.json of a container (runtime-spec config.md and config-linux.md).
 */
#include "oci/runtime_internal.h"

enum { CPU_PERIOD_US = 100000, DEFAULT_TMPFS_SIZE = 64 << 20, DEFAULT_UMASK = 022 };

const char *const container_default_capabilities[] = {
    "CAP_CHOWN",  "CAP_DAC_OVERRIDE",     "CAP_FSETID",     "CAP_FOWNER",      "CAP_MKNOD",
    "CAP_SETGID", "CAP_SETUID",           "CAP_SETFCAP",    "CAP_SETPCAP",     "CAP_NET_RAW",
    "CAP_KILL",   "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_AUDIT_WRITE", NULL};

/* Docker's lists: files of /proc and /sys that tell or change more than the container's own
 * affairs. */
static const char *const masked_paths[] = {"/proc/acpi",
                                           "/proc/asound",
                                           "/proc/interrupts",
                                           "/proc/kcore",
                                           "/proc/keys",
                                           "/proc/latency_stats",
                                           "/proc/sched_debug",
                                           "/proc/scsi",
                                           "/proc/timer_list",
                                           "/proc/timer_stats",
                                           "/sys/devices/virtual/powercap",
                                           "/sys/firmware",
                                           NULL};
static const char *const readonly_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL};

/* All of these give a new reference, NULL without memory. */
static json_t *string_list(const char *const *items)
{
    json_t *list = json_array();

    for (; list && items && *items; items++) {
        if (json_array_append_new(list, json_string(*items)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *capability_sets(const char *const *capabilities, bool privileged_user)
{
    /* An ordinary user keeps none over exec, as with Docker; ambient ones are for nobody. */
    json_t *held = string_list(privileged_user ? capabilities : NULL);
    CLEANUP(json) json_t *bounding = string_list(capabilities);
    json_t *sets = json_pack("{s:O, s:o, s:O, s:[], s:[]}", "bounding", bounding, "effective", held,
                             "permitted", held, "inheritable", "ambient");
    return sets;
}

static json_t *user(const struct container_options *o)
{
    json_t *groups = json_array();

    for (size_t i = 0; groups && i < o->group_count; i++) {
        if (json_array_append_new(groups, json_integer(o->groups[i])) < 0) {
            json_decref(groups);
            return NULL;
        }
    }
    return json_pack("{s:I, s:I, s:I, s:o}", "uid", (json_int_t)o->uid, "gid", (json_int_t)o->gid,
                     "umask", (json_int_t)(o->umask ? o->umask : DEFAULT_UMASK), "additionalGids",
                     groups);
}

/* No "rlimits": raising one above our own hard limit fails, and ours are inherited. */
static json_t *process(const struct container_options *o)
{
    CLEANUP(json)
    json_t *p = json_pack("{s:b, s:o, s:o, s:o, s:s, s:b, s:o}", "terminal", 0, "user", user(o),
                          "args", string_list(o->args), "env", string_list(o->env), "cwd",
                          o->cwd ? o->cwd : "/", "noNewPrivileges", !o->allow_new_privileges,
                          "capabilities", capability_sets(o->capabilities, o->uid == 0));

    if (!p || (o->oom_score_adj &&
               json_object_set_new(p, "oomScoreAdj", json_integer(o->oom_score_adj)) < 0))
        return NULL;
    return TAKE(p);
}

static int add_mount(json_t *mounts, const char *target, const char *type, const char *source,
                     json_t *take_options)
{
    return json_array_append_new(mounts,
                                 json_pack("{s:s, s:s, s:s, s:o}", "destination", target, "type",
                                           type, "source", source, "options", take_options));
}

static int add_system_mounts(json_t *mounts, const struct container_options *o)
{
    int failed = 0;

    failed |= add_mount(mounts, "/proc", "proc", "proc",
                        json_pack("[s,s,s]", "nosuid", "noexec", "nodev"));
    failed |= add_mount(mounts, "/dev", "tmpfs", "tmpfs",
                        json_pack("[s,s,s,s]", "nosuid", "strictatime", "mode=755", "size=65536k"));
    failed |= add_mount(
        mounts, "/dev/pts", "devpts", "devpts",
        json_pack("[s,s,s,s,s]", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"));
    failed |= add_mount(
        mounts, "/dev/shm", "tmpfs", "shm",
        json_pack("[s,s,s,s,s]", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"));
    failed |= add_mount(mounts, "/dev/mqueue", "mqueue", "mqueue",
                        json_pack("[s,s,s]", "nosuid", "noexec", "nodev"));
    if (o->no_sysfs)
        return failed;
    failed |= add_mount(mounts, "/sys", "sysfs", "sysfs",
                        json_pack("[s,s,s,s]", "nosuid", "noexec", "nodev", "ro"));
    failed |= add_mount(mounts, "/sys/fs/cgroup", "cgroup", "cgroup",
                        json_pack("[s,s,s,s,s]", "nosuid", "noexec", "nodev", "relatime", "ro"));
    return failed;
}

static json_t *tmpfs_options(const struct container_mount *m)
{
    char size[48], mode[24];

    snprintf(size, sizeof(size), "size=%llu",
             (unsigned long long)(m->size ? m->size : DEFAULT_TMPFS_SIZE));
    snprintf(mode, sizeof(mode), "mode=%o", m->mode ? m->mode & 07777 : 01777);
    return json_pack("[s,s,s,s,s]", "nosuid", "nodev", m->exec ? "exec" : "noexec", size, mode);
}

static int add_own_mounts(json_t *mounts, const struct container_options *o, struct error *err)
{
    for (size_t i = 0; i < o->mount_count; i++) {
        const struct container_mount *m = &o->mounts[i];
        bool tmpfs = m->kind == CONTAINER_TMPFS;
        json_t *options = tmpfs ? tmpfs_options(m)
                                : json_pack("[s,s,s,s,s,s]", "rbind", "rprivate", "nosuid", "nodev",
                                            m->noexec ? "noexec" : "exec",
                                            m->kind == CONTAINER_BIND_RO ? "ro" : "rw");
        if (!m->target || m->target[0] != '/' || (!tmpfs && (!m->source || m->source[0] != '/'))) {
            json_decref(options);
            return error_set(err, ERR_INVALID, "container: mount of '%s' on '%s' is not absolute",
                             m->source ? m->source : "", m->target ? m->target : "");
        }
        if (add_mount(mounts, m->target, tmpfs ? "tmpfs" : "bind", tmpfs ? "tmpfs" : m->source,
                      options) < 0)
            return error_no_memory(err);
    }
    return 0;
}

static int add_namespace(json_t *list, const char *type, const char *path)
{
    return json_array_append_new(list, path ? json_pack("{s:s, s:s}", "type", type, "path", path)
                                            : json_pack("{s:s}", "type", type));
}

static json_t *namespaces(const struct container_options *o)
{
    CLEANUP(json) json_t *list = json_array();

    if (!list || add_namespace(list, "pid", o->pidns) < 0 ||
        add_namespace(list, "network", o->netns) < 0 || add_namespace(list, "ipc", o->ipcns) < 0 ||
        add_namespace(list, "uts", o->utsns) < 0 || add_namespace(list, "mount", NULL) < 0 ||
        add_namespace(list, "cgroup", NULL) < 0)
        return NULL;
    return TAKE(list);
}

static json_t *resources(const struct container_options *o)
{
    CLEANUP(json)
    json_t *r =
        json_pack("{s:[{s:b, s:s}], s:{s:I}}", "devices", "allow", 0, "access", "rwm", "pids",
                  "limit", (json_int_t)(o->pids_max ? o->pids_max : CONTAINER_PIDS_DEFAULT));
    CLEANUP(json) json_t *cpu = json_object();
    int failed = !r || !cpu;

    if (!failed && o->memory_max)
        failed |= json_object_set_new(r, "memory",
                                      json_pack("{s:I}", "limit", (json_int_t)o->memory_max));
    if (!failed && o->cpu_shares)
        failed |= json_object_set_new(cpu, "shares", json_integer(o->cpu_shares));
    if (!failed && o->cpu_quota_us) {
        failed |= json_object_set_new(cpu, "quota", json_integer(o->cpu_quota_us));
        failed |= json_object_set_new(cpu, "period", json_integer(CPU_PERIOD_US));
    }
    if (!failed && json_object_size(cpu) > 0)
        failed |= json_object_set(r, "cpu", cpu);
    return failed ? NULL : TAKE(r);
}

static json_t *linux_member(const struct container_options *o)
{
    char cgroup[256];

    snprintf(cgroup, sizeof(cgroup), "/monban-%s", o->id);
    CLEANUP(json)
    json_t *l = json_pack("{s:o, s:s, s:o, s:o, s:o}", "namespaces", namespaces(o), "cgroupsPath",
                          o->cgroup ? o->cgroup : cgroup, "resources", resources(o), "maskedPaths",
                          string_list(masked_paths), "readonlyPaths", string_list(readonly_paths));
    if (!l ||
        (!o->unconfined && json_object_set_new(l, "seccomp", runtime_seccomp(o->capabilities)) < 0))
        return NULL;
    return TAKE(l);
}

int container_config(const struct container_options *o, const char *rootfs, json_t **ret,
                     struct error *err)
{
    CLEANUP(json) json_t *mounts = json_array();
    CLEANUP(json) json_t *config = NULL;

    if (!o->args || !o->args[0])
        return error_set(err, ERR_INVALID, "container '%s' has nothing to run", o->id);
    if (!mounts || add_system_mounts(mounts, o) < 0)
        return error_no_memory(err);
    if (add_own_mounts(mounts, o, err) < 0)
        return -1;
    config = json_pack("{s:s, s:o, s:{s:s, s:b}, s:O, s:o}", "ociVersion", "1.0.2", "process",
                       process(o), "root", "path", rootfs, "readonly", o->readonly_root, "mounts",
                       mounts, "linux", linux_member(o));
    /* Joining a uts namespace means taking its name (runtime-spec: hostname needs a uts namespace).
     */
    if (!config || (o->hostname && !o->utsns &&
                    json_object_set_new(config, "hostname", json_string(o->hostname)) < 0))
        return error_set(err, ERR_INVALID, "container '%s': no memory, or text that is not UTF-8",
                         o->id);
    *ret = TAKE(config);
    return 0;
}
