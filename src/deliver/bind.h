/* deliver/bind.h - service claims → bound services, in the objects of one release
 * (servicebinding.io/v1).
 *
 * For each claim of a Deployment (annotation RENDER_CLAIMS): a Secret `WORKLOAD-CLAIM` of type
 * servicebinding.io/TYPE is added before it; every container and init container gets it as
 * projected volume at $SERVICE_BINDING_ROOT/CLAIM (/bindings unless the container says otherwise),
 * read-only; the NetworkPolicies of the release let its pods out to the service's address and port.
 * Pure but for the name look-up of a host that is no address. */
#pragma once
#include "wire/json.h"

struct bind_service {
    const char *claim;     /* the folder */
    const char *type;      /* of the Secret */
    const json_t *entries; /* {"type":"postgresql","host":"10.0.0.7",…}: strings */
    const char *host;      /* for the NetworkPolicy; NULL: none */
    uint16_t port;
};
/* The claims of all Deployments: an array of {"name","service","kind"}; new reference. INVALID if
 * an annotation is no such array. */
NODISCARD int bind_claims(const json_t *objects, json_t **ret, struct error *err);
/* Changes `objects` (an array) in place. */
NODISCARD int bind_service(json_t *objects, const char *workload,
                           const struct bind_service *service, struct error *err);
