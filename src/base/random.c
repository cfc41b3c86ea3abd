/* base/random.c - see base/random.h. */
#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *out, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = getrandom((char *)out + done, len - done, 0);
        if (n < 0 && errno != EINTR)
            abort(); /* a kernel without random numbers: no key may be made */
        if (n > 0)
            done += (size_t)n;
    }
}

void random_uuid(char out[UUID_SIZE])
{
    uint8_t b[16];

    random_bytes(b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    /* 36 characters and the terminator, always. */
    (void)snprintf(out, UUID_SIZE,
                   "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]);
}

void random_name(char *out, size_t len)
{
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";

    for (size_t i = 0; i < len; i++) {
        uint8_t byte;
        do
            random_bytes(&byte, 1);
        while (byte >= 243); /* 9 * 27: no letter is likelier than another */
        out[i] = letters[byte % 27];
    }
    out[len] = 0;
}
