/* kube/watch.h - follow a collection on the event loop: first all of it, then every change, for
 * ever.
 *
 * Lists, then watches from there; goes on from the last seen version when the connection ends;
 * lists again when the server says that version is gone (410), and then reports what changed
 * meanwhile as ordinary events (deletions included). Errors on the way are retried with a growing
 * pause up to 5 s; the last one is told to on_state. Source: Kubernetes API concepts, "Efficient
 * detection of changes". */
#pragma once
#include "kube/kube.h"

enum kube_event {
    KUBE_ADDED,
    KUBE_MODIFIED,
    KUBE_DELETED, /* the object's last state; after a new list only its metadata is known */
    KUBE_SYNCED,  /* no object: everything that exists has been told once */
};

struct kube_watch;
/* `object` is borrowed and carries apiVersion and kind. */
typedef void kube_watch_fn(struct kube_watch *watch, enum kube_event event, const json_t *object,
                           void *ctx);
/* err NULL: connected (again). Else: cut off, and why; we go on trying. May be NULL. */
typedef void kube_watch_state_fn(struct kube_watch *watch, const struct error *err, void *ctx);

struct kube_watch_options {
    struct kube_ref ref; /* name set: only that object; ns "": all namespaces. Copied */
    struct kube_list_options list;
    kube_watch_fn *on_event;
    kube_watch_state_fn *on_state;
    void *ctx;
};
NODISCARD int kube_watch_start(struct kube_client *client, struct loop *loop,
                               const struct kube_watch_options *options, struct kube_watch **ret,
                               struct error *err);
void kube_watch_remove(struct kube_watch *watch); /* allowed in its own callback; NULL is allowed */
