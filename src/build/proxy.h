/* build/proxy.h - the only way out of a sandbox: an HTTP CONNECT proxy with a list of allowed hosts
 * (RFC 9110, section 9.3.6). It runs outside the sandbox, as an ordinary user; its listening socket
 * lies in the sandbox's network namespace. One process for each connection, so a hostile client
 * harms only its own. */
#pragma once
#include "base/error.h"
#include "base/str.h"

enum {
    PROXY_HOST_MAX = 254,       /* bytes with the terminator (RFC 1035) */
    PROXY_HEAD_MAX = 8192,      /* bytes of a request's head */
    PROXY_CONNECTIONS_MAX = 64, /* at once; npm opens 15 */
    PROXY_HEAD_TIMEOUT_MS = 10000,
    PROXY_CONNECT_TIMEOUT_MS = 15000,
    PROXY_IDLE_TIMEOUT_MS = 300000,
};

/* The head of a request, whole or in part. 1: "CONNECT host:port"; 0: more bytes are needed; -1: it
 * is none. */
int proxy_parse_connect(struct str head, char ret_host[PROXY_HOST_MAX], uint16_t *ret_port);
/* An item is "host" (port 443), "host:port", or ".domain" for all hosts below it. */
bool proxy_allows(const char *const *allow_hosts, const char *host, uint16_t port);

/* Serves connections of `listen_fd` for ever; writes "host:port\n" to refused_fd for what it
 * refused. Called in a process of its own, which it first strips of root and of all privileges. */
void proxy_serve(int listen_fd, const char *const *allow_hosts, int refused_fd)
    __attribute__((noreturn));
