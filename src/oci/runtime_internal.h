/* oci/runtime_internal.h - the parts of runtime.h among each other. */
#pragma once
#include "oci/runtime.h"

/* The seccomp member of config.json for these capabilities. A new reference; NULL without memory.
 */
json_t *runtime_seccomp(const char *const *capabilities);

/* DIR/rootfs: the overlay, mounted. */
int runtime_mount_overlay(const struct container_options *options, struct error *err);
/* Unmounts what is mounted beneath `dir`; none is fine. */
int runtime_unmount(const char *dir, struct error *err);

/* Processes of the cgroup `path` get `signal`; *ret_count says how many there were. */
int runtime_cgroup_kill(const char *path, int signal, size_t *ret_count, struct error *err);

/* When the process began, in clock ticks since boot: with it a pid is not mistaken for a later
 * process of that number. 0: there is no such process. */
uint64_t runtime_start_time(pid_t pid);
/* Returns when `pid` is our child (if we are the subreaper) and the runtime's leftovers are reaped.
 */
void runtime_adopt(pid_t pid);
