/* base/encode.h - hex, base64 (RFC 4648) and percent-encoding (RFC 3986). */
#pragma once
#include "base/buf.h"

void hex_encode(struct str bytes, struct buf *out);
bool hex_decode(struct str text, struct buf *out);
void base64_encode(struct str bytes, struct buf *out);    /* standard alphabet, padded */
void base64url_encode(struct str bytes, struct buf *out); /* URL alphabet, not padded */
bool base64_decode(struct str text,
                   struct buf *out); /* either alphabet, padding optional; strict else */
void percent_encode(struct str bytes, const char *safe,
                    struct buf *out); /* unreserved and `safe` stay */
bool percent_decode(struct str text, struct buf *out);
