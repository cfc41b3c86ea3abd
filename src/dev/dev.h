/* dev/dev.h - the inner loop: `monban dev DIR` runs an app in the dev cluster and keeps it up to
 * date.
 *
 * Builds a development image (build/build.h), pushes it into the dev cluster's registry, applies a
 * Deployment and a NodePort Service, and then, at each save, sends the changed files to the
 * live-update agent in the pod (launcher/live.h), which restarts the process. Prints the address,
 * the logs, and for each save the time from save to ready. A change of dependency files builds
 * anew. Ctrl-C removes what was made, unless `keep`.
 *
 * Files: dev.c (the session on the event loop), tree.h (inotify over a source tree, ignore
 * patterns), sync.h (files to the live-update agent), deploy.h (the objects). */
#pragma once
#include <stdbool.h>

#include "base/error.h"

struct dev_options {
    const char *home;
    const char *source;  /* the app's folder */
    const char *cluster; /* NULL: the first cluster of the inner loop that is no gate */
    bool keep;           /* leave it running at the end */
    bool quiet;          /* no logs of the app */
};
/* Until SIGINT or SIGTERM. Prints to standard output, a line an event. */
NODISCARD int dev_run(const struct dev_options *options, struct error *err);
