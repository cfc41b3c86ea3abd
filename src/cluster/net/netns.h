/* cluster/net/netns.h - network namespaces held by a file: made, entered for a moment, removed. */
#pragma once
#include <stdbool.h>

#include "base/error.h"

/* Makes an empty file at `path` with a fresh namespace bind-mounted on it, its loopback up, IPv6
 * off. One that is there already stays (*ret_made says which; may be NULL). */
NODISCARD int netns_make(const char *path, bool *ret_made, struct error *err);
NODISCARD int netns_open(const char *path, int *ret_fd,
                         struct error *err); /* NOT_FOUND if no namespace */
bool netns_is_at(const char *path);          /* a namespace is mounted there */
void netns_remove(const char *path);         /* unmounts and unlinks; gone already is fine */

/* The calling thread moves into `netns_fd` and *ret_home is what it was in; netns_leave() closes
 * that. */
NODISCARD int netns_enter(int netns_fd, int *ret_home, struct error *err);
void netns_leave(int *home_fd);

/* Writes /proc/sys/net/`name` of that namespace. Absent names are an error. */
NODISCARD int netns_sysctl(int netns_fd, const char *name, const char *value, struct error *err);
