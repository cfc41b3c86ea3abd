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
