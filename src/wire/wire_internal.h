/* wire/wire_internal.h - what the files of this folder share. */
#pragma once
#include "base/buf.h"

/* Length of the UTF-8 sequence that `text` starts with; 0 if it is not one (RFC 3629). */
size_t utf8_length(struct str text);
/* The shortest text that reads back as the same number, and as a real. */
void number_add_real(struct buf *out, double value);
