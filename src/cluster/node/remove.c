/* cluster/node/remove.c - see node.h. */
#include "cluster/node/node.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/fs.h"
#include "cluster/net/netns.h"
#include "oci/runtime.h"

int node_remove_containers(const char *state_dir, const char *pod_folder, const char *uid,
                           struct error *err)
{
    CLEANUP(text) char *folder = fs_join(pod_folder, "c");
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct error ignored = ERROR_INIT; /* no folder: it had not begun */

    if (!folder)
        return error_no_memory(err);
    if (fs_list(AT_FDCWD, folder, &names, &ignored) < 0)
        error_clear(&ignored);
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(text) char *dir = fs_join(folder, names.items[i]);
        char id[96];
        if (!dir)
            return error_no_memory(err);
        if (strchr(names.items[i], '.')) /* NUMBER.end */
            continue;
        (void)snprintf(id, sizeof(id), "%.40s-%.30s", uid, names.items[i]);
        if (container_delete(&(struct container_ref){state_dir, dir, id}, err) < 0)
            return -1;
    }
    return fs_remove_tree(AT_FDCWD, folder, err);
}

int node_remove_all(const char *cluster_folder, struct error *err)
{
    CLEANUP(text) char *folder = fs_join(cluster_folder, "pods");
    CLEANUP(text) char *state_dir = str_format("%s/pods/.runtime", cluster_folder);
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct error ignored = ERROR_INIT; /* no folder: no pods */

    if (!folder || !state_dir)
        return error_no_memory(err);
    if (fs_list(AT_FDCWD, folder, &names, &ignored) < 0)
        error_clear(&ignored);
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(text) char *pod = fs_join(folder, names.items[i]);
        CLEANUP(text) char *netns = pod ? fs_join(pod, "netns") : NULL;
        if (!netns)
            return error_no_memory(err);
        if (names.items[i][0] == '.')
            continue;
        if (node_remove_containers(state_dir, pod, names.items[i], err) < 0)
            return -1;
        netns_remove(netns);
        if (fs_remove_tree(AT_FDCWD, pod, err) < 0)
            return -1;
    }
    return 0;
}
