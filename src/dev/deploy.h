/* dev/deploy.h - what `monban dev` puts into the dev cluster: the app's own objects, made easy to
 * change.
 *
 * The same render/ as on the road, but without NetworkPolicy and PodDisruptionBudget (the inner
 * loop has no governor), one replica, a Service of type NodePort with a second port for live
 * update, and a container that may write to its files. */
#pragma once
#include "base/digest.h"
#include "wire/json.h"

enum { DEPLOY_LIVE_PORT = 9393 };
#define DEPLOY_LABEL "monban.dev/dev" /* = the app's name, on all that was made */

struct workload;
struct platform;
struct deploy_input {
    const struct workload *workload;
    const struct platform *platform; /* for its services in `cluster` */
    const char *cluster;
    const char *secrets_dir; /* of the services' credentials */
    const struct digest *image;
    const json_t *image_config; /* or NULL */
    const char *token;          /* of live update; NULL: the app cannot be live-updated */
    const char *build;          /* another text makes new pods */
};
/* An array of objects. `notes` gets a line for each claim that this cluster has no service for. */
NODISCARD int deploy_objects(const struct deploy_input *input, json_t **ret, struct strv *notes,
                             struct error *err);
