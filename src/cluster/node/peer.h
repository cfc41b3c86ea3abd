/* cluster/node/peer.h - JSON messages between the API process and the node process, over a socket
 * pair.
 *
 * A frame is a length (4 bytes, little endian) and compact JSON: an object with "type". A bad frame
 * ends the peer, never us. Server → node: put {kind, object}, drop {kind, namespace, name, uid},
 * synced {}, stop {pods}. Node → server: ready {}, status {namespace, name, uid, status}, event
 * {namespace, name, uid, eventType, reason, message}, gone {namespace, name, uid}, stopped {}. */
#pragma once
#include "base/loop.h"
#include "wire/json.h"

enum {
    PEER_FRAME_MAX = 8 << 20,    /* bytes: an object is at most 1.5 MiB */
    PEER_PENDING_MAX = 256 << 20 /* bytes unsent: the first look at a large cluster */
};

struct peer;
typedef void peer_message_fn(struct peer *peer, const json_t *message, void *ctx);
/* The other side is gone, or sent what is no frame (err says). Free the peer inside or later. */
typedef void peer_end_fn(struct peer *peer, const struct error *err, void *ctx);

NODISCARD int peer_new(struct loop *loop, int take_fd, peer_message_fn *on_message,
                       peer_end_fn *on_end, void *ctx, struct peer **ret, struct error *err);
void peer_free(struct peer *peer);
DEFINE_CLEANUP(peer, struct peer *, peer_free)
/* Queued and sent as the other side reads. A message too many ends the peer in the next turn. NULL:
 * no memory, the same. */
void peer_send(struct peer *peer, json_t *take_message);

/* The pure part: takes one whole frame off the front of `in`. 1: *ret_message is a new reference;
 * 0: more bytes are needed; -1: INVALID or LIMIT. */
int peer_take_frame(struct buf *in, json_t **ret_message, struct error *err);
