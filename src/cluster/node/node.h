/* cluster/node/node.h - what others need of the node: its process is cluster_node() (cluster.h);
 * this removes what it left when it cannot do so itself. */
#pragma once
#include "base/error.h"

/* Kills and removes all containers of one pod: each folder POD_FOLDER/c/NUMBER-ATTEMPT is the
 * container UID-NUMBER-ATTEMPT of the runtime. Blocks. May be repeated. */
NODISCARD int node_remove_containers(const char *state_dir, const char *pod_folder, const char *uid,
                                     struct error *err);
/* The same for every pod of a cluster folder, with their namespaces. No node may run. */
NODISCARD int node_remove_all(const char *cluster_folder, struct error *err);
