/* dev/make.h - the blocking work of a session, done in a worker process (deliver/worker.h). */
#pragma once
#include "base/error.h"
#include "wire/json.h"

struct make_job {
    const char *home, *source, *cluster, *kubeconfig, *token;
};
/* Builds the image, pushes it into the cluster's registry and makes the objects. Prints the build's
 * progress. Result: {"objects":[…],"name","namespace","image","notes":[…],"isLive": bool,"cached":
 * bool}. */
NODISCARD int make_image(const void *arg, json_t **ret, struct error *err);
/* What the gate would say of the dependencies as they are in the folder now, from the advisory
 * database alone. Result: {"text": one line, ""}: nothing to say (no gate, no database). */
NODISCARD int make_verdict(const void *arg, json_t **ret, struct error *err);
