/* cluster/files.h - the folder HOME/clusters/NAME: cluster.json, keys, kubeconfigs, pid files. */
#pragma once
#include "cluster/cluster.h"

char *cluster_path(const char *home, const char *name,
                   const char *file); /* file NULL: the folder; free() it */
NODISCARD int cluster_read(const char *home, const char *name, struct cluster_info *ret,
                           struct error *err); /* cluster.json; NOT_FOUND */
NODISCARD int cluster_write(const struct cluster_info *info,
                            struct error *err); /* and both kubeconfigs */
NODISCARD int cluster_make_pki(const struct cluster_info *info, struct error *err);
NODISCARD int cluster_read_file(const struct cluster_info *info, const char *file, char **ret_text,
                                struct error *err);
/* "PID START" of the calling process, so that another process of the same number is not taken for
 * it. */
NODISCARD int cluster_write_pid(const struct cluster_info *info, const char *file,
                                struct error *err);
pid_t cluster_read_pid(const struct cluster_info *info, const char *file); /* 0: does not run */
/* When a process began, in clock ticks since boot (field 22 of /proc/PID/stat): with the pid it
 * names one process for ever. 0 if there is no such process, or only its remains. */
uint64_t cluster_process_start(pid_t pid);
NODISCARD int cluster_check_name(const char *name, struct error *err); /* INVALID */
