/* launcher/live.h - the protocol of live update: the dev cluster's side (src/dev) talks to the
 * launcher of a running container, which then is its PID 1 and the parent of the app.
 *
 * Switched on only by the environment (the dev cluster sets it, no other cluster does):
 *   MONBAN_LIVE_UPDATE=PORT   listen on 0.0.0.0:PORT (TCP)
 *   MONBAN_LIVE_TOKEN=TEXT    at least 16 characters; the app does not get to see either
 *
 * Every message is a frame: one byte of type, three zero bytes, payload length as 32 bits
 * big-endian, payload. Client to agent: A  the token. Must come first; a wrong one closes the
 * connection. Answer: S. F  a file: mode (32 bits BE, only 0777 counts), length of path (32 bits
 * BE), path, contents. The path is relative to /workspace; missing folders are made. The file is
 * written beside and renamed. P  more contents for the last F (files above LIVE_FRAME_MAX). L  a
 * symbolic link: length of path (32 bits BE), path, target. D  a path to remove, with what is below
 * it. Absent already is fine. C  commit: payload empty or one byte; 'r' (and empty): restart the
 * app; 'n': do not. Answer: R. Q  what is the state? Answer: S. Agent to client: S  JSON
 * {"state","pid","exit","port","restarts"}: after A and Q, and at every change, unasked. `state` is
 *      "starting" (not yet listening), "ready" (its $PORT accepts), "exited" (waits for the next
 * commit). `exit` is "exited 1", "was killed by signal 9", or null. R  JSON
 * {"ok","state","files","write_ms","stop_ms","start_ms","total_ms","exit","tail","error"}: the
 * commit's end: app ready, or exited, or not ready within LIVE_READY_MS. `tail`: the last output of
 * the new process. `error` (string or null): a file that could not be written. Frames are answered
 * in order. Several clients may be connected; only whole commits are applied, one at a time. */
#pragma once

enum {
    LIVE_FRAME_MAX = 16 << 20, /* bytes of payload */
    LIVE_HEADER_SIZE = 8,
    LIVE_TOKEN_MIN = 16,
    LIVE_TAIL_MAX = 4096, /* bytes of output kept for R */
    LIVE_GRACE_MS = 500,  /* between TERM and KILL */
    LIVE_READY_MS = 20000,
};
