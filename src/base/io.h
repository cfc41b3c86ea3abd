/* base/io.h - descriptors: EINTR, short reads and short writes are handled here, once. */
#pragma once
#include <sys/types.h>

#include "base/buf.h"

void io_close(int *fd); /* closes unless -1, and sets -1 */
/* `CLEANUP(fd) int fd = -1;` */
DEFINE_CLEANUP_VALUE(fd, int, io_close)

/* Exactly `len` bytes; an early end is INVALID "unexpected end". */
NODISCARD int io_read_exact(int fd, void *bytes, size_t len, struct error *err);
/* Up to `len` bytes, repeated until full or end; *ret_got says how many. */
NODISCARD int io_read(int fd, void *bytes, size_t len, size_t *ret_got, struct error *err);
/* All until the end, appended to `out`; LIMIT beyond the buffer's limit. */
NODISCARD int io_read_all(int fd, struct buf *out, struct error *err);
NODISCARD int io_write(int fd, const void *bytes, size_t len, struct error *err);
NODISCARD int io_copy(int from_fd, int to_fd, uint64_t *ret_bytes, struct error *err);

/* Messages over a SOCK_SEQPACKET or SOCK_STREAM Unix socket: bytes with one descriptor at most.
 * `fd` -1: none. Received descriptors are O_CLOEXEC. */
NODISCARD int io_send_fd(int socket_fd, struct str bytes, int fd, struct error *err);
NODISCARD int io_recv_fd(int socket_fd, void *bytes, size_t size, size_t *ret_len, int *ret_fd,
                         struct error *err);

/* Listening and connecting Unix stream sockets; paths up to 4096 bytes work (by /proc/self/fd). */
NODISCARD int io_listen_unix(const char *path, mode_t mode, int *ret_fd, struct error *err);
NODISCARD int io_connect_unix(const char *path, int *ret_fd, struct error *err);
/* A TCP listener on a numeric address ("127.0.0.1", port 0: any; *ret_port says which). If netns_fd
 * is not -1 the socket belongs to that network namespace. */
NODISCARD int io_listen_tcp(const char *address, uint16_t port, int netns_fd, int *ret_fd,
                            uint16_t *ret_port, struct error *err);
NODISCARD int io_connect_tcp(const char *address, uint16_t port, int timeout_ms, int netns_fd,
                             int *ret_fd, struct error *err);
/* Run in a network namespace: makes a socket there and comes back. */
NODISCARD int io_socket_in_netns(int netns_fd, int domain, int type, int protocol, int *ret_fd,
                                 struct error *err);
