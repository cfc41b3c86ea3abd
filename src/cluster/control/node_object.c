/* cluster/control/node_object.c - the one Node: what the machine has, and whether the node process
 * runs. */
#include <stdio.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "cluster/control/control_internal.h"
#include "cluster/net/net.h"

static json_t *capacity_new(void)
{
    struct sysinfo info = {0};
    char cpu[24], memory[32];

    (void)sysinfo(&info); /* cannot fail with a good pointer */
    (void)snprintf(cpu, sizeof(cpu), "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    (void)snprintf(memory, sizeof(memory), "%lluKi",
                   (unsigned long long)info.totalram * info.mem_unit / 1024);
    return json_pack("{s:s,s:s,s:s}", "cpu", cpu, "memory", memory, "pods", "253");
}

static json_t *node_info_new(void)
{
    struct utsname name = {0};
    const char *arch;

    (void)uname(&name); /* cannot fail with a good pointer */
    arch = strcmp(name.machine, "x86_64") == 0    ? "amd64"
           : strcmp(name.machine, "aarch64") == 0 ? "arm64"
                                                  : name.machine;
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "machineID", "", "systemUUID", "",
                     "bootID", "", "kernelVersion", name.release, "osImage", "Linux",
                     "containerRuntimeVersion", "crun://1", "kubeletVersion", "v1.32.0-monban",
                     "kubeProxyVersion", "v1.32.0-monban", "operatingSystem", "linux",
                     "architecture", arch);
}

static int make_node(struct control *control, struct error *err)
{
    struct utsname name = {0};

    (void)uname(&name); /* cannot fail with a good pointer */
    const char *arch = strcmp(name.machine, "aarch64") == 0 ? "arm64" : "amd64";
    json_t *node = json_pack("{s:{s:s,s:{s:s,s:s,s:s,s:s}},s:{}}", "metadata", "name",
                             control->node_name, "labels", "kubernetes.io/hostname",
                             control->node_name, "kubernetes.io/os", "linux", "kubernetes.io/arch",
                             arch, "node-role.kubernetes.io/control-plane", "", "spec");
    return api_create(control->api, RES_NODES, node, NULL, err);
}

int node_object_write(struct control *control, struct error *err)
{
    const struct object *node = api_get(control->api, RES_NODES, "", control->node_name);
    char address[NET_ADDRESS_SIZE];

    if (!node) {
        if (make_node(control, err) < 0)
            return -1;
        node = api_get(control->api, RES_NODES, "", control->node_name);
    }
    CLEANUP(json) json_t *copy = node ? object_copy(node) : NULL;
    json_t *status = json_deep_copy(json_object_get(copy, "status"));
    if (!status)
        status = json_object();
    if (!copy || json_object_set_new(copy, "status", status) < 0)
        return error_no_memory(err);
    net_node_address(control->index, address);
    json_t *addresses = json_pack("[{s:s,s:s},{s:s,s:s}]", "type", "InternalIP", "address", address,
                                  "type", "Hostname", "address", control->node_name);
    if (json_object_set_new(status, "capacity", capacity_new()) < 0 ||
        json_object_set_new(status, "allocatable", capacity_new()) < 0 ||
        json_object_set_new(status, "addresses", addresses) < 0 ||
        json_object_set_new(status, "nodeInfo", node_info_new()) < 0 ||
        condition_set(status, "Ready", control->is_node_ready ? "True" : "False",
                      control->is_node_ready ? "KubeletReady" : "KubeletNotReady",
                      control->is_node_ready ? "the node process runs"
                                             : "the node process does not run",
                      false, err) < 0)
        return error_no_memory(err);
    if (json_equal(status, json_object_get(object_root(node), "status")))
        return 0;
    return api_update_status(control->api, RES_NODES, TAKE(copy), NULL, err);
}
