/* cluster/node/peer_fuzz.c - frames from the other process: a bad one is an error, and consumed
 * bytes never exceed those given. */
#include <assert.h>

#include "cluster/node/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buf) struct buf in = BUF_INIT(size + 1);
    struct error err = ERROR_INIT;
    int got;

    buf_add(&in, data, size);
    do {
        CLEANUP(json) json_t *message = NULL;
        size_t before = in.len;
        got = peer_take_frame(&in, &message, &err);
        assert(got <= 0 || (in.len < before && json_is_object(message)));
    } while (got > 0);
    return 0;
}
