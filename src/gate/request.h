/* gate/request.h - what comes in on gate.sock: one line of JSON, {"app","ref","commit","old"?,
 * "objects"?}, as client.c writes it. */
#pragma once
#include "gate/queue.h"

/* INVALID names the part that does not fit; NOT_FOUND: the gate has no repository of that app. */
NODISCARD int request_parse(const char *home, struct str line, struct queue_item *ret,
                            struct error *err);
