/* cluster/node/launch.c - runs in a worker: from a container's spec to its running process. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "cluster/node/node_internal.h"
#include "oci/image.h"

enum { LAUNCH_MOUNTS_MAX = 64, LAUNCH_CAPABILITIES_MAX = 48, LAUNCH_ARGUMENT_MAX = 1 << 20 };

/* What a launch gathers; .options points into the rest. */
struct launch {
    struct container *container; /* borrowed */
    const json_t *spec;          /* borrowed */
    const json_t *security;      /* borrowed; may be NULL */
    const json_t *pod_security;  /* borrowed; may be NULL */
    struct node_image image;
    struct container_paths paths;
    struct strv args, env, keep;
    struct container_mount mounts[LAUNCH_MOUNTS_MAX];
    size_t mount_count;
    struct image_user user;
    const char *capabilities[LAUNCH_CAPABILITIES_MAX];
    size_t capability_count;
    char *netns;
    struct container_options options;
    const char *reason; /* of a failure */
};

static void launch_done(struct launch *l)
{
    node_image_done(&l->image);
    container_paths_done(&l->paths);
    strv_done(&l->args);
    strv_done(&l->env);
    strv_done(&l->keep);
    free(l->netns);
    io_close(&l->options.stdout_fd);
}
DEFINE_CLEANUP_VALUE(launch, struct launch, launch_done)

/* A security setting of the container, else of the pod. */
static const json_t *setting(const struct launch *l, const char *key)
{
    const json_t *own = json_object_get(l->security, key);
    return own ? own : json_object_get(l->pod_security, key);
}

static int add_words(struct strv *out, const json_t *list, const struct strv *env,
                     struct error *err)
{
    size_t i;
    json_t *item;

    json_array_foreach((json_t *)list, i, item)
    {
        CLEANUP(buf) struct buf text = BUF_INIT(LAUNCH_ARGUMENT_MAX);
        const char *word = json_string_value(item);
        if (env && env_expand(word ? word : "", env, &text, err) < 0)
            return -1;
        strv_add(out, env ? buf_text(&text) : word ? word : "");
    }
    return 0;
}

/* command replaces Entrypoint, args replaces Cmd; command alone drops Cmd. */
static int choose_args(struct launch *l, struct error *err)
{
    const json_t *command = json_object_get(l->spec, "command"),
                 *args = json_object_get(l->spec, "args");
    bool has_command = json_array_size(command) > 0, has_args = json_array_size(args) > 0;

    if (has_command
            ? add_words(&l->args, command, &l->env, err) < 0
            : add_words(&l->args, json_object_get(l->image.config, "Entrypoint"), NULL, err) < 0)
        return -1;
    if (has_args ? add_words(&l->args, args, &l->env, err) < 0
                 : !has_command &&
                       add_words(&l->args, json_object_get(l->image.config, "Cmd"), NULL, err) < 0)
        return -1;
    if (l->args.count == 0) {
        l->reason = "CreateContainerError";
        return error_set(err, ERR_INVALID,
                         "no command specified: neither the image nor the pod has one");
    }
    return strv_ok(&l->args, err);
}

static int add_group(struct launch *l, int64_t gid, struct error *err)
{
    if (l->user.group_count == ARRAY_LEN(l->user.groups))
        return error_set(err, ERR_LIMIT, "more than %zu groups", ARRAY_LEN(l->user.groups));
    l->user.groups[l->user.group_count++] = (uint32_t)gid;
    return 0;
}

static int choose_user(struct launch *l, struct error *err)
{
    const json_t *uid = setting(l, "runAsUser"), *gid = setting(l, "runAsGroup");
    const json_t *fs_group = json_object_get(l->pod_security, "fsGroup");
    const char *of_image = json_str_at(l->image.config, "User");
    char number[24];
    size_t i;
    json_t *item;

    if (json_is_integer(uid)) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(uid));
        of_image = number;
    }
    l->reason = "CreateContainerConfigError";
    if (image_user(of_image ? of_image : "", &l->image.lowerdirs, &l->user, err) < 0)
        return -1;
    if (json_is_integer(gid))
        l->user.gid = (uint32_t)json_integer_value(gid);
    if (json_is_true(setting(l, "runAsNonRoot")) && l->user.uid == 0)
        return error_set(err, ERR_DENIED, "container has runAsNonRoot and image will run as root");
    if (json_is_integer(fs_group) && add_group(l, json_integer_value(fs_group), err) < 0)
        return -1;
    json_array_foreach(json_object_get(l->pod_security, "supplementalGroups"), i, item)
    {
        if (add_group(l, json_integer_value(item), err) < 0)
            return -1;
    }
    l->options.uid = l->user.uid;
    l->options.gid = l->user.gid;
    l->options.groups = l->user.groups;
    l->options.group_count = l->user.group_count;
    return 0;
}

static bool list_has(const json_t *list, const char *capability)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)list, i, item)
    {
        const char *name = json_string_value(item);
        if (name && (strcmp(name, "ALL") == 0 || strcmp(name, capability + 4) == 0 ||
                     strcmp(name, capability) == 0))
            return true;
    }
    return false;
}

/* Docker's defaults without NET_RAW (it can forge addresses), less `drop`, and `add` of what
 * Docker's defaults have: more would reach out of a container that shares the machine's user
 * namespace. */
static int choose_capabilities(struct launch *l, struct error *err)
{
    const json_t *drop = json_at(l->security, "capabilities.drop");
    const json_t *add = json_at(l->security, "capabilities.add");
    size_t added = 0;

    for (size_t i = 0; container_default_capabilities[i]; i++) {
        const char *name = container_default_capabilities[i];
        bool is_added = list_has(add, name);
        added += is_added;
        if (is_added || (!list_has(drop, name) && strcmp(name, "CAP_NET_RAW") != 0))
            if (l->capability_count + 1 < LAUNCH_CAPABILITIES_MAX)
                l->capabilities[l->capability_count++] = name;
    }
    l->reason = "CreateContainerConfigError";
    if (added < json_array_size(add))
        return error_set(
            err, ERR_UNSUPPORTED,
            "capabilities.add: an embedded cluster gives none beyond Docker's default set");
    if (json_is_true(json_object_get(l->security, "privileged")))
        return error_set(err, ERR_UNSUPPORTED,
                         "privileged containers are not offered by an embedded cluster");
    l->options.capabilities = l->capabilities;
    return 0;
}

static void choose_limits(struct launch *l)
{
    int64_t milli;
    bool has_limit = false;

    if (quantity_parse_milli(json_str_at(l->spec, "resources.limits.memory"), &milli) &&
        milli > 0) {
        l->options.memory_max = (uint64_t)milli / 1000;
        has_limit = true;
    }
    if (quantity_parse_milli(json_str_at(l->spec, "resources.limits.cpu"), &milli) && milli > 0) {
        l->options.cpu_quota_us =
            milli < 10 ? 1000 : milli * 100; /* in 100 ms; the kernel's least is 1 ms */
        has_limit = true;
    }
    if (quantity_parse_milli(json_str_at(l->spec, "resources.requests.cpu"), &milli)) {
        int64_t shares = milli * 1024 / 1000;
        l->options.cpu_shares = shares < 2 ? 2 : (uint32_t)shares;
    } else {
        l->options.cpu_shares = has_limit ? 0 : 2;
    }
    /* pods that asked for nothing go first when memory runs out */
    l->options.oom_score_adj = json_object_size(json_object_get(l->spec, "resources")) ? 500 : 1000;
}

static int add_mount(struct launch *l, enum container_mount_kind kind, const char *source,
                     const char *target, struct error *err)
{
    if (l->mount_count == LAUNCH_MOUNTS_MAX)
        return error_set(err, ERR_LIMIT, "more than %d mounts", LAUNCH_MOUNTS_MAX);
    l->mounts[l->mount_count++] =
        (struct container_mount){.kind = kind, .source = source, .target = target};
    return 0;
}

static int choose_mounts(struct launch *l, struct error *err)
{
    static const char *const files[] = {"hosts", "hostname", "resolv.conf"};
    const struct pod *pod = l->container->pod;
    const char *end_path = json_str_at(l->spec, "terminationMessagePath");

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        strv_addf(&l->keep, "%s/etc/%s", pod->folder, files[i]);
        strv_addf(&l->keep, "/etc/%s", files[i]);
    }
    if (strv_ok(&l->keep, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (add_mount(l, CONTAINER_BIND_RO, l->keep.items[2 * i], l->keep.items[2 * i + 1], err) <
            0)
            return -1;
    if (fs_write_quick(AT_FDCWD, l->paths.end_file, STR(""), 0666, err) < 0 ||
        add_mount(l, CONTAINER_BIND_RW, l->paths.end_file,
                  end_path ? end_path : "/dev/termination-log", err) < 0)
        return -1;
    l->reason = "CreateContainerConfigError";
    return volume_add_mounts(l->container, l->mounts, LAUNCH_MOUNTS_MAX, &l->mount_count, &l->keep,
                             err);
}

static int open_log(struct launch *l, struct error *err)
{
    CLEANUP(text)
    char *folder =
        str_dup(str_first(str_of(l->paths.log), (size_t)str_find_last(str_of(l->paths.log), '/')));

    if (!folder)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, folder, 0700, err) < 0)
        return -1;
    l->options.stdout_fd = open(l->paths.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (l->options.stdout_fd < 0)
        return error_errno(err, "opening the log '%s'", l->paths.log);
    l->options.stderr_fd = l->options.stdout_fd;
    return 0;
}

static int choose_all(struct launch *l, struct error *err)
{
    const struct pod *pod = l->container->pod;
    const char *cwd = json_str_at(l->spec, "workingDir"),
               *hostname = json_str_at(pod->object, "spec.hostname");
    const char *profile = json_str_at(l->security, "seccompProfile.type");

    l->reason = "CreateContainerConfigError";
    if (env_build(l->container, json_object_get(l->image.config, "Env"), &l->env, err) < 0 ||
        choose_args(l, err) < 0 || choose_user(l, err) < 0 || choose_capabilities(l, err) < 0)
        return -1;
    l->reason = "CreateContainerError";
    l->netns = fs_join(pod->folder, "netns");
    if (!l->netns)
        return error_no_memory(err);
    if (choose_mounts(l, err) < 0 || open_log(l, err) < 0)
        return -1;
    choose_limits(l);
    if (!cwd)
        cwd = json_str_at(l->image.config, "WorkingDir");
    if (!profile)
        profile = json_str_at(l->pod_security, "seccompProfile.type");
    l->options.state_dir = pod->node->state_dir;
    l->options.dir = l->paths.dir;
    l->options.id = l->paths.id;
    l->options.cgroup = l->paths.cgroup;
    l->options.lowerdirs = (const char *const *)l->image.lowerdirs.items;
    l->options.readonly_root = json_bool_at(l->security, "readOnlyRootFilesystem", false);
    l->options.args = (const char *const *)l->args.items;
    l->options.env = (const char *const *)l->env.items;
    l->options.cwd = cwd && cwd[0] ? cwd : "/";
    l->options.netns = l->netns;
    l->options.hostname = hostname ? hostname : pod->name;
    l->options.mounts = l->mounts;
    l->options.mount_count = l->mount_count;
    l->options.allow_new_privileges = json_bool_at(l->security, "allowPrivilegeEscalation", true);
    l->options.unconfined = profile && strcmp(profile, "Unconfined") == 0;
    return 0;
}

static int signal_number(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {{"TERM", SIGTERM}, {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"HUP", SIGHUP},
                   {"KILL", SIGKILL}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"WINCH", SIGWINCH}};
    struct str text = str_of(name ? name : "");
    uint64_t number;

    if (str_starts(text, STR("SIG")))
        text = str_skip(text, 3);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        if (str_is(text, signals[i].name))
            return signals[i].number;
    return str_to_u64(text, &number) && number > 0 && number < 65 ? (int)number : SIGTERM;
}

static int launch(struct launch *l, struct worker *worker, json_t **ret, struct error *err)
{
    pid_t pid;

    if (container_paths_of(l->container, &l->paths, err) < 0 ||
        node_image_obtain(l->container, worker, &l->image, &l->reason, err) < 0 ||
        choose_all(l, err) < 0)
        return -1;
    l->reason = "CreateContainerError";
    if (container_prepare(&l->options, err) < 0)
        return -1;
    node_worker_tell(worker, "created");
    l->reason = "RunContainerError";
    if (container_start(&l->options, &pid, err) < 0) {
        struct error ignored = ERROR_INIT; /* the first failure is what counts */
        struct container_ref ref = {l->options.state_dir, l->options.dir, l->options.id};
        if (container_delete(&ref, &ignored) < 0)
            error_clear(&ignored);
        return -1;
    }
    *ret = json_pack("{s:i,s:s,s:i}", "pid", (int)pid, "imageID", l->image.id, "stopSignal",
                     signal_number(json_str_at(l->image.config, "StopSignal")));
    return *ret ? 0 : error_no_memory(err);
}

int launch_job(struct worker *worker, void *ctx, json_t **ret, struct error *err)
{
    struct container *container = ctx;
    CLEANUP(launch) struct launch l = {.container = container, .options = CONTAINER_OPTIONS_INIT};

    l.reason = "CreateContainerError";
    l.spec = container_spec(container);
    l.security = json_object_get(l.spec, "securityContext");
    l.pod_security = json_at(container->pod->object, "spec.securityContext");
    if (launch(&l, worker, ret, err) == 0)
        return 0;
    *ret = json_pack("{s:s,s:s}", "reason", l.reason, "message", err->text);
    error_clear(err);
    return *ret ? 0 : error_no_memory(err);
}
