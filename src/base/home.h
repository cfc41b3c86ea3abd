/* base/home.h - the state folder: `--home DIR`, else $MONBAN_HOME, else /var/lib/monban for root,
 * else $XDG_STATE_HOME/monban (or ~/.local/state/monban).
 *
 *   HOME/platform/                the platform folder (copied by `monban up`)
 *   HOME/clusters/NAME/           an embedded cluster: see cluster/cluster.h
 *   HOME/gate/                    the gate: see gate/gate.h
 *   HOME/agents/CLUSTER/          an outer cluster's agent: see deliver/deliver.h
 *   HOME/db/                      the advisory database: see advisory/advisory.h
 *   HOME/net/                     the fabric: see cluster/net/net.h
 *   HOME/run/                     sockets and pid files */
#pragma once
#include "base/error.h"

/* Reads the environment, so only main() calls it. The path is absolute and the caller's to free().
 */
NODISCARD int home_path(const char *option, char **ret_path, struct error *err);
