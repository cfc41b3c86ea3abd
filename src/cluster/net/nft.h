/* cluster/net/nft.h - nftables in process (libnftables), in one network namespace.
 *
 * Rule sets are texts made only of our own generated names, numbers and checked addresses: nothing
 * that a user named ever stands in them. A text is one transaction: all of it takes effect, or
 * nothing. */
#pragma once
#include "base/error.h"

struct nft;
NODISCARD int nft_open(int netns_fd, struct nft **ret, struct error *err);
void nft_close(struct nft *nft);
DEFINE_CLEANUP(nft, struct nft *, nft_close)
/* INTERNAL with the library's text if the kernel or the library refuses it. */
NODISCARD int nft_apply(struct nft *nft, const char *text, struct error *err);
