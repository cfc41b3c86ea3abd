/* cluster/net/nft.c - a libnftables context keeps the netlink socket it was made with, so it works
 * in the namespace where it was made. */
#include "cluster/net/nft.h"

#include <nftables/libnftables.h>
#include <stdlib.h>

#include "cluster/net/netns.h"

struct nft {
    struct nft_ctx *ctx; /* owned */
};

int nft_open(int netns_fd, struct nft **ret, struct error *err)
{
    CLEANUP(nft) struct nft *nft = calloc(1, sizeof(*nft));
    int home = -1;

    if (!nft)
        return error_no_memory(err);
    if (netns_enter(netns_fd, &home, err) < 0)
        return -1;
    nft->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    netns_leave(&home);
    if (!nft->ctx || nft_ctx_buffer_error(nft->ctx) != 0 || nft_ctx_buffer_output(nft->ctx) != 0)
        return error_no_memory(err);
    *ret = TAKE(nft);
    return 0;
}

void nft_close(struct nft *nft)
{
    if (!nft)
        return;
    if (nft->ctx)
        nft_ctx_free(nft->ctx);
    free(nft);
}

int nft_apply(struct nft *nft, const char *text, struct error *err)
{
    int failed = nft_run_cmd_from_buffer(nft->ctx, text);
    const char *why = nft_ctx_get_error_buffer(nft->ctx); /* also empties it for the next call */

    (void)nft_ctx_get_output_buffer(nft->ctx);
    if (failed)
        return error_set(err, ERR_INTERNAL, "nftables refused the rules: %.600s", why ? why : "");
    return 0;
}
