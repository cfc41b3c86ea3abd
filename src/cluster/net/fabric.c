/* cluster/net/fabric.c - the namespace that joins clusters and hosts, and its one table of ways. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "cluster/net/link.h"
#include "cluster/net/net.h"
#include "cluster/net/netns.h"
#include "cluster/net/nft.h"
#include "cluster/net/table.h"

enum { WAYS_TEXT_MAX = 1 << 20, WAYS_MAX = 4096 };

/* One end of a link between the fabric and another namespace. */
struct spur {
    char name[16];    /* of the fabric's end: c<i>, h<k> */
    unsigned third;   /* octet: index, or 200 + k */
    const char *peer; /* name of the other end */
};

static struct mac mac_of(unsigned third, unsigned last)
{
    return (struct mac){{0x0a, 0x5a, 100, 64, (uint8_t)third, (uint8_t)last}};
}

static int open_fabric(const char *home, int *ret_netns, struct error *err)
{
    CLEANUP(text) char *path = str_format("%s/net/fabric", home);
    if (!path)
        return error_no_memory(err);
    return netns_open(path, ret_netns, err);
}

static int write_fabric_table(const struct fabric_way *ways, size_t count, struct buf *out,
                              struct error *err)
{
    buf_add_text(out, "table ip monban\ndelete table ip monban\ntable ip monban {\n"
                      "  chain input {\n    type filter hook input priority 0; policy drop\n  }\n"
                      "  chain forward {\n    type filter hook forward priority 0; policy drop\n"
                      "    ct state established,related accept\n");
    for (size_t i = 0; i < count; i++) {
        unsigned from = ways[i].from_index;
        uint32_t to;
        if (from < 1 || from > NET_CLUSTER_INDEX_MAX || ways[i].port == 0 ||
            !table_parse_address(ways[i].to, &to))
            return error_set(err, ERR_INVALID, "a way from cluster %u to '%s' port %u cannot be",
                             from, ways[i].to, ways[i].port);
        buf_addf(out, "    iifname \"c%u\" ip saddr { 100.64.%u.2", from, from);
        if (ways[i].with_pods)
            buf_addf(out, ", 10.90.%u.2-10.90.%u.254", from, from);
        buf_addf(out, " } ip daddr %u.%u.%u.%u tcp dport %u accept\n", to >> 24, (to >> 16) & 255,
                 (to >> 8) & 255, to & 255, ways[i].port);
    }
    buf_add_text(out, "  }\n}\n");
    return buf_ok(out, err);
}

static int apply_fabric_table(int netns, const struct fabric_way *ways, size_t count,
                              struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(WAYS_TEXT_MAX);
    CLEANUP(nft) struct nft *nft = NULL;

    if (write_fabric_table(ways, count, &text, err) < 0 || nft_open(netns, &nft, err) < 0)
        return -1;
    return nft_apply(nft, buf_text(&text), err);
}

int fabric_ensure(const char *home, struct error *err)
{
    CLEANUP(text) char *folder = fs_join(home, "net");
    CLEANUP(text) char *path = str_format("%s/net/fabric", home);
    CLEANUP(fd) int netns = -1;
    CLEANUP(fd) int lock = -1;
    bool made = false;

    if (!folder || !path)
        return error_no_memory(err);
    CLEANUP(text) char *lock_path = fs_join(folder, "lock");
    if (!lock_path)
        return error_no_memory(err);
    if (fs_make_dirs(AT_FDCWD, folder, 0755, err) < 0 ||
        fs_lock(AT_FDCWD, lock_path, true, &lock, err) < 0 || netns_make(path, &made, err) < 0)
        return error_wrap(err, "making the fabric");
    if (!made)
        return 0;
    if (netns_open(path, &netns, err) < 0 || netns_sysctl(netns, "ipv4/ip_forward", "1", err) < 0 ||
        netns_sysctl(netns, "ipv4/conf/all/rp_filter", "1", err) < 0 ||
        netns_sysctl(netns, "ipv4/conf/default/rp_filter", "1", err) < 0 ||
        apply_fabric_table(netns, NULL, 0, err) < 0) {
        netns_remove(path);
        return error_wrap(err, "making the fabric");
    }
    return 0;
}

/* A link from the fabric (address .1) into `netns` (address .2, which becomes its default route).
 */
static int add_spur(const char *home, const struct spur *spur, int netns, struct error *err)
{
    CLEANUP(fd) int fabric = -1;
    CLEANUP(nl) struct nl *here = NULL;
    CLEANUP(nl) struct nl *there = NULL;
    char near[NET_ADDRESS_SIZE], far[NET_ADDRESS_SIZE];

    (void)snprintf(near, sizeof(near), "100.64.%u.1", spur->third);
    (void)snprintf(far, sizeof(far), "100.64.%u.2", spur->third);
    if (open_fabric(home, &fabric, err) < 0 || nl_open(fabric, &here, err) < 0 ||
        nl_open(netns, &there, err) < 0)
        return -1;
    if (link_exists(here, spur->name) && !link_exists(there, spur->peer) &&
        link_remove(here, spur->name, err) < 0) /* it led to a namespace of before */
        return -1;
    if (link_add_veth(here, spur->name, spur->peer, netns, mac_of(spur->third, 2), err) < 0 ||
        link_add_address(here, spur->name, near, 30, err) < 0 ||
        link_up(here, spur->name, err) < 0 ||
        link_add_address(there, spur->peer, far, 30, err) < 0 ||
        link_up(there, spur->peer, err) < 0)
        return -1;
    return link_add_route(there, &(struct route){.via = near, .link = spur->peer}, err);
}

static void remove_spur(const char *home, const char *name)
{
    struct error err = ERROR_INIT;
    CLEANUP(fd) int fabric = -1;
    CLEANUP(nl) struct nl *nl = NULL;

    if (open_fabric(home, &fabric, &err) < 0) /* no fabric, no link */
        return;
    if (nl_open(fabric, &nl, &err) < 0 || link_remove(nl, name, &err) < 0)
        log_warn("a link of the fabric stays until the fabric goes", log_str("link", name),
                 log_err(&err));
}

/* HOME/net/c<i> → the cluster's namespace, so that fabric_set_ways() finds it by index. */
static int note_cluster(const char *home, unsigned index, const char *netns, struct error *err)
{
    CLEANUP(text) char *note = str_format("%s/net/c%u", home, index);
    if (!note)
        return error_no_memory(err);
    (void)unlink(note); /* of a cluster before us, or absent */
    if (symlink(netns, note) < 0)
        return error_errno(err, "making '%s'", note);
    return 0;
}

int fabric_attach_cluster(const char *home, const char *name, unsigned index, struct error *err)
{
    CLEANUP(text) char *path = str_format("%s/clusters/%s/netns", home, name);
    CLEANUP(fd) int netns = -1;
    CLEANUP(fd) int fabric = -1;
    CLEANUP(nl) struct nl *nl = NULL;
    struct spur spur = {.third = index, .peer = "uplink"};
    char pods[NET_ADDRESS_SIZE], uplink[NET_ADDRESS_SIZE];

    if (!path)
        return error_no_memory(err);
    if (index < 1 || index > NET_CLUSTER_INDEX_MAX)
        return error_set(err, ERR_LIMIT, "cluster index %u: expected 1 to %d", index,
                         NET_CLUSTER_INDEX_MAX);
    (void)snprintf(spur.name, sizeof(spur.name), "c%u", index);
    net_pod_address(index, 0, pods);
    if (netns_open(path, &netns, err) < 0 || add_spur(home, &spur, netns, err) < 0 ||
        open_fabric(home, &fabric, err) < 0 || nl_open(fabric, &nl, err) < 0 ||
        link_add_route(nl,
                       &(struct route){.to = pods,
                                       .prefix = 24,
                                       .via = net_uplink_address(index, uplink),
                                       .link = spur.name},
                       err) < 0 ||
        note_cluster(home, index, path, err) < 0)
        return error_wrap(err, "joining cluster '%s' to the fabric", name);
    return 0;
}

unsigned fabric_cluster_index(const char *home, const char *name)
{
    CLEANUP(text) char *path = str_format("%s/clusters/%s/netns", home, name);

    for (unsigned index = 1; path && index <= NET_CLUSTER_INDEX_MAX; index++) {
        CLEANUP(text) char *note = str_format("%s/net/c%u", home, index);
        CLEANUP(buf) struct buf target = BUF_INIT(4096);
        struct error ignored = ERROR_INIT; /* no note: not this index */
        if (note && fs_read_link(AT_FDCWD, note, &target, &ignored) == 0 &&
            str_is(buf_str(&target), path))
            return index;
    }
    return 0;
}

/* Neither cluster nor host is left: nothing needs the fabric. */
static void remove_unused_fabric(const char *home)
{
    CLEANUP(text) char *folder = fs_join(home, "net");
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct error err = ERROR_INIT;

    if (!folder || fs_list(AT_FDCWD, folder, &names, &err) < 0)
        return; /* no folder: no fabric */
    for (size_t i = 0; i < names.count; i++)
        if (strcmp(names.items[i], "fabric") != 0 && strcmp(names.items[i], "lock") != 0)
            return;
    fabric_teardown(home);
}

void fabric_detach_cluster(const char *home, unsigned index)
{
    CLEANUP(text) char *note = str_format("%s/net/c%u", home, index);
    char link[16];

    (void)snprintf(link, sizeof(link), "c%u", index);
    remove_spur(home, link);
    if (note)
        (void)unlink(note); /* gone already is what we want */
    remove_unused_fabric(home);
}

int fabric_attach_host(const char *home, const char *name, unsigned k, struct error *err)
{
    CLEANUP(text) char *path = str_format("%s/net/%s", home, name);
    CLEANUP(fd) int netns = -1;
    struct spur spur = {.third = 200 + k, .peer = "eth0"};

    if (!path)
        return error_no_memory(err);
    if (k > NET_HOST_INDEX_MAX || strchr(name, '/') || strcmp(name, "fabric") == 0 ||
        strcmp(name, "lock") == 0)
        return error_set(err, ERR_INVALID, "host '%s' number %u cannot be on the fabric", name, k);
    (void)snprintf(spur.name, sizeof(spur.name), "h%u", k);
    if (netns_make(path, NULL, err) < 0 || netns_open(path, &netns, err) < 0 ||
        add_spur(home, &spur, netns, err) < 0)
        return error_wrap(err, "joining host '%s' to the fabric", name);
    return 0;
}

void fabric_detach_host(const char *home, const char *name, unsigned k)
{
    CLEANUP(text) char *path = str_format("%s/net/%s", home, name);
    char link[16];

    (void)snprintf(link, sizeof(link), "h%u", k);
    remove_spur(home, link);
    if (path)
        netns_remove(path);
    remove_unused_fabric(home);
}

/* Inside a cluster's namespace: its pods may take those ways that are for pods. */
static int set_pod_ways(const char *netns_path, unsigned index, const struct fabric_way *ways,
                        size_t count, struct error *err)
{
    struct table_endpoint allowed[WAYS_MAX];
    size_t allowed_count = 0;
    CLEANUP(fd) int netns = -1;
    CLEANUP(nft) struct nft *nft = NULL;
    CLEANUP(buf) struct buf text = BUF_INIT(WAYS_TEXT_MAX);

    for (size_t i = 0; i < count; i++) {
        uint32_t to;
        if (ways[i].from_index == index && ways[i].with_pods &&
            table_parse_address(ways[i].to, &to))
            allowed[allowed_count++] = (struct table_endpoint){to, ways[i].port};
    }
    if (table_write_ways(allowed, allowed_count, &text, err) < 0 ||
        netns_open(netns_path, &netns, err) < 0 || nft_open(netns, &nft, err) < 0)
        return -1;
    return nft_apply(nft, buf_text(&text), err);
}

int fabric_set_ways(const char *home, const struct fabric_way *ways, size_t count,
                    struct error *err)
{
    CLEANUP(fd) int fabric = -1;

    if (count > WAYS_MAX)
        return error_set(err, ERR_LIMIT, "%zu ways: at most %d", count, WAYS_MAX);
    if (open_fabric(home, &fabric, err) < 0 || apply_fabric_table(fabric, ways, count, err) < 0)
        return error_wrap(err, "setting the ways of the fabric");
    for (unsigned index = 1; index <= NET_CLUSTER_INDEX_MAX; index++) {
        CLEANUP(text) char *note = str_format("%s/net/c%u", home, index);
        if (!note)
            return error_no_memory(err);
        if (netns_is_at(note) && set_pod_ways(note, index, ways, count, err) < 0)
            return error_wrap(err, "setting the ways of cluster %u", index);
    }
    return 0;
}

void fabric_teardown(const char *home)
{
    CLEANUP(text) char *folder = fs_join(home, "net");
    CLEANUP(strv) struct strv names = STRV_INIT;
    struct error err = ERROR_INIT;

    if (!folder || fs_list(AT_FDCWD, folder, &names, &err) < 0)
        return; /* no folder: nothing was made */
    for (size_t i = 0; i < names.count; i++) {
        CLEANUP(text) char *path = fs_join(folder, names.items[i]);
        struct stat sb;
        if (!path || lstat(path, &sb) < 0)
            continue;
        if (S_ISLNK(sb.st_mode))
            (void)unlink(path); /* our note of a cluster: the namespace is the cluster's */
        else
            netns_remove(path);
    }
    (void)rmdir(folder); /* stays if somebody else keeps a file in it */
}
