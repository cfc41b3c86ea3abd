/* cluster/net/conntrack.h - forgetting flows of a namespace's connection tracking (ctnetlink over
 * libmnl).
 *
 * Translation is decided for the first packet of a flow and remembered; a pod that is gone, or
 * whose address is given to another pod, must not be remembered. */
#pragma once
#include <stdint.h>

#include "base/error.h"

struct conntrack;
NODISCARD int conntrack_open(int netns_fd, struct conntrack **ret, struct error *err);
void conntrack_close(struct conntrack *ct);
DEFINE_CLEANUP(conntrack, struct conntrack *, conntrack_close)

/* Forgets every flow to or from `address` (host byte order), after translation. *ret_count may be
 * NULL. */
NODISCARD int conntrack_forget(struct conntrack *ct, uint32_t address, unsigned *ret_count,
                               struct error *err);
/* Forgets UDP flows that were translated from `service`:`port`: their next packet chooses among the
 * endpoints of now. TCP flows are left to end by themselves. */
NODISCARD int conntrack_forget_udp(struct conntrack *ct, uint32_t service, uint16_t port,
                                   struct error *err);
