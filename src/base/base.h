/* base/base.h - what every stage stands on. Read this list, then the header you need.
 *
 *   macros.h   CLEANUP, TAKE, NODISCARD        error.h   struct error, kinds, places, lists of
 * faults str.h      borrowed text, lines, strv      buf.h     the one growable buffer io.h
 * descriptors, sockets            fs.h      files, atomic writes, hostile paths proc.h     starting
 * programs               loop.h    the event loop clock.h    time and durations              log.h
 * one event a line digest.h   sha256                          encode.h  hex, base64, percent
 *   random.h   random bytes, names             secret.h  bytes that must not leak
 *   home.h     the state folder */
#pragma once
