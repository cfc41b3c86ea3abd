/* cluster/api/selector.h - label and field selectors: as text in queries, as objects in specs.
 * Source: Kubernetes documentation, "Labels and Selectors", "Field Selectors". */
#pragma once
#include "wire/json.h"

enum { SELECTOR_TERMS_MAX = 256 };

enum selector_op {
    SELECTOR_IN,     /* also = and == */
    SELECTOR_NOT_IN, /* also != ; true if the key is absent */
    SELECTOR_EXISTS,
    SELECTOR_ABSENT,
    SELECTOR_GREATER,
    SELECTOR_LESS,
};

struct selector_term {
    char *key; /* owned */
    enum selector_op op;
    struct strv values;
};

struct selector {                /* all terms must hold; none: everything matches */
    struct selector_term *items; /* owned */
    size_t count;
};
#define SELECTOR_INIT                                                                              \
    {                                                                                              \
        0                                                                                          \
    }
void selector_done(struct selector *selector);
DEFINE_CLEANUP_VALUE(selector, struct selector, selector_done)

/* "a=b,c in (d,e),!f,g>5". INVALID. */
NODISCARD int selector_parse_labels(struct str text, struct selector *ret, struct error *err);
/* "metadata.name=x,spec.nodeName!=y"; a backslash escapes '\', ',' and '='. INVALID. */
NODISCARD int selector_parse_fields(struct str text, struct selector *ret, struct error *err);

bool selector_matches_labels(const struct selector *selector, const json_t *labels);
/* Each key is a path into the object; an absent field is "". Numbers and booleans compare as their
 * text. */
bool selector_matches_fields(const struct selector *selector, const json_t *object);

/* {matchLabels, matchExpressions}; NULL matches nothing, {} all. */
bool selector_object_matches(const json_t *label_selector, const json_t *labels);
/* As text for Scale.status.selector and tables: "a=b,c in (d,e)"; "<none>" if empty. */
void selector_object_text(const json_t *label_selector, struct buf *out);
