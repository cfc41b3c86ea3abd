/* wire/wire.h - the wire formats: thin and strict over well-kept libraries.
 *
 *   json.h         jansson's json_t is the one tree type; paths, limits
 *   doc.h          YAML (libyaml) and TOML (toml++) into json_t, with file:line:column of every
 * value field.h        checked fields of such a document, all faults at once http_server.h
 * libmicrohttpd on the event loop      http_client.h  libcurl, blocking or on the loop tls.h
 * private CAs and certificates */
#pragma once
