/* wire/plain.h - what a plain (unquoted) scalar of YAML means; used by loader and writer. */
#pragma once
#include "base/str.h"

enum plain_kind { PLAIN_TEXT, PLAIN_NULL, PLAIN_BOOL, PLAIN_INTEGER, PLAIN_REAL, PLAIN_NO_NUMBER };

struct plain {
    enum plain_kind kind; /* NO_NUMBER: .nan and .inf, which JSON cannot say */
    bool truth;
    int64_t integer;
    double real;
};

/* As Kubernetes reads it (resolve.go of its YAML library), except that yes, no, on, off, y and n
 * are text. */
struct plain plain_resolve(struct str text);
/* Would some reader of YAML 1.1 or 1.2 take this text, unquoted, for something else than text? */
bool plain_is_ambiguous(struct str text);
