/* oci/registry_auth.h - the challenge of a registry that wants credentials (RFC 9110 11.6.1; Docker
 * token authentication specification), and where Docker keeps them. */
#pragma once
#include "base/buf.h"

struct registry_challenge {
    enum { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER } scheme;
    /* Of Bearer; owned, terminated; "" if absent. Several scopes are parted by blanks. */
    char *realm, *service, *scope;
};
void registry_challenge_done(struct registry_challenge *challenge);
DEFINE_CLEANUP_VALUE(registry_challenge, struct registry_challenge, registry_challenge_done)

/* A WWW-Authenticate header, which may hold several challenges: Bearer if offered, else Basic.
 * Pieces that make no sense are passed over; CHALLENGE_NONE if nothing is left. */
NODISCARD int registry_challenge_parse(struct str header, struct registry_challenge *ret,
                                       struct error *err);
/* The URL to ask for a token: realm?service=…&scope=…&scope=…; the caller's to free(). */
NODISCARD int registry_challenge_url(const struct registry_challenge *challenge, char **ret_url,
                                     struct error *err);
