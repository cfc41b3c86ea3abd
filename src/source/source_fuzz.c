/* source/source_fuzz.c - what a pushed repository makes git say: commit objects and listings of
 * trees. */
#include <stddef.h>
#include <stdint.h>

#include "source/source_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str text = str_slice((const char *)bytes, size);
    CLEANUP(tree_listing) struct tree_listing listing = {.text = BUF_INIT(1 << 20)};
    struct source_commit commit = {.id = ""};
    struct error err = ERROR_INIT;

    (void)!commit_parse(text, &commit, &err);
    buf_add_str(&listing.text, text);
    if (!listing.text.failed && tree_parse(&listing, 40, &err) == 0)
        (void)!tree_verify(&listing, "4b825dc642cb6eb9a060e54bf8d69288fbee4904", &err);
    return 0;
}
