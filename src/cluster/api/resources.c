/* cluster/api/resources.c - the table of kinds. */
#include "cluster/api/resources.h"

#include "cluster/api/cells.h"
#include "cluster/api/defaults.h"
#include "cluster/api/validate.h"

#define APPS       "apps", "v1", NULL
#define CORE       "", "v1", NULL
#define RBAC       "rbac.authorization.k8s.io", "v1", NULL
#define SHOW(kind) columns_##kind, cells_##kind

static const char POD_LABELS[] =
    "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork"
    " status.phase status.podIP status.nominatedNodeName";
static const char EVENT_LABELS[] =
    "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid"
    " involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath reason"
    " reportingComponent source type";

enum {
    NS = RESOURCE_NAMESPACED,
    STATUS = RESOURCE_HAS_STATUS,
    SCALE = RESOURCE_HAS_SCALE,
    GENERATION = RESOURCE_HAS_GENERATION,
    ALL = RESOURCE_IN_ALL,
};

static const struct resource RESOURCES[RES_COUNT] = {
    {RES_NAMESPACES, CORE, "namespaces", "namespace", "Namespace", "ns",
     STATUS | RESOURCE_LABEL_NAME, "status.phase", defaults_namespace, NULL, SHOW(namespace)},
    {RES_NODES, CORE, "nodes", "node", "Node", "no", STATUS, "spec.unschedulable", NULL, NULL,
     SHOW(node)},
    {RES_PODS, CORE, "pods", "pod", "Pod", "po", NS | STATUS | ALL, POD_LABELS, defaults_pod,
     validate_pod, SHOW(pod)},
    {RES_SERVICES, CORE, "services", "service", "Service", "svc",
     NS | STATUS | ALL | RESOURCE_LABEL_1035, "", defaults_service, validate_service,
     SHOW(service)},
    {RES_ENDPOINTS, CORE, "endpoints", "endpoints", "Endpoints", "ep", NS, "", NULL, NULL,
     SHOW(endpoints)},
    {RES_CONFIGMAPS, CORE, "configmaps", "configmap", "ConfigMap", "cm", NS, "", NULL,
     validate_configmap, SHOW(configmap)},
    {RES_SECRETS, CORE, "secrets", "secret", "Secret", "", NS, "type", defaults_secret,
     validate_secret, SHOW(secret)},
    {RES_SERVICEACCOUNTS, CORE, "serviceaccounts", "serviceaccount", "ServiceAccount", "sa", NS, "",
     NULL, NULL, SHOW(serviceaccount)},
    {RES_EVENTS, CORE, "events", "event", "Event", "ev", NS, EVENT_LABELS, NULL, NULL, SHOW(event)},
    {RES_DEPLOYMENTS, APPS, "deployments", "deployment", "Deployment", "deploy",
     NS | STATUS | SCALE | GENERATION | ALL, "", defaults_deployment, validate_deployment,
     SHOW(deployment)},
    {RES_REPLICASETS, APPS, "replicasets", "replicaset", "ReplicaSet", "rs",
     NS | STATUS | SCALE | GENERATION | ALL, "status.replicas", defaults_replicaset,
     validate_replicaset, SHOW(replicaset)},
    {RES_ENDPOINTSLICES, "discovery.k8s.io", "v1", NULL, "endpointslices", "endpointslice",
     "EndpointSlice", "", NS | GENERATION, "", NULL, NULL, SHOW(endpointslice)},
    {RES_NETWORKPOLICIES, "networking.k8s.io", "v1", NULL, "networkpolicies", "networkpolicy",
     "NetworkPolicy", "netpol", NS | GENERATION, "", defaults_network_policy,
     validate_network_policy, SHOW(networkpolicy)},
    {RES_PODDISRUPTIONBUDGETS, "policy", "v1", "v1beta1", "poddisruptionbudgets",
     "poddisruptionbudget", "PodDisruptionBudget", "pdb", NS | STATUS | GENERATION, "",
     defaults_disruption_budget, validate_disruption_budget, SHOW(poddisruptionbudget)},
    {RES_LEASES, "coordination.k8s.io", "v1", NULL, "leases", "lease", "Lease", "", NS, "", NULL,
     NULL, SHOW(lease)},
    {RES_ROLES, RBAC, "roles", "role", "Role", "", NS | RESOURCE_PATH_NAME, "", NULL, NULL,
     SHOW(default)},
    {RES_ROLEBINDINGS, RBAC, "rolebindings", "rolebinding", "RoleBinding", "",
     NS | RESOURCE_PATH_NAME, "", defaults_binding, validate_binding, SHOW(rolebinding)},
    {RES_CLUSTERROLES, RBAC, "clusterroles", "clusterrole", "ClusterRole", "", RESOURCE_PATH_NAME,
     "", NULL, NULL, SHOW(default)},
    {RES_CLUSTERROLEBINDINGS, RBAC, "clusterrolebindings", "clusterrolebinding",
     "ClusterRoleBinding", "", RESOURCE_PATH_NAME, "", defaults_binding, validate_binding,
     SHOW(rolebinding)},
};

const struct resource *resource_get(enum resource_id id)
{
    return &RESOURCES[id];
}

static bool serves_version(const struct resource *res, const char *version)
{
    return !version || strcmp(res->version, version) == 0 ||
           (res->other_version && strcmp(res->other_version, version) == 0);
}

const struct resource *resource_find(const char *group, const char *version, const char *plural)
{
    for (size_t i = 0; i < RES_COUNT; i++) {
        const struct resource *res = &RESOURCES[i];
        if (strcmp(res->plural, plural) == 0 && strcmp(res->group, group) == 0 &&
            serves_version(res, version))
            return res;
    }
    return NULL;
}

const struct resource *resource_find_kind(const char *api_version, const char *kind)
{
    struct str version = str_of(api_version);
    struct str group = str_find(version, '/') >= 0 ? str_cut(&version, '/') : STR("");
    CLEANUP(text) char *version_text = str_dup(version);

    for (size_t i = 0; version_text && i < RES_COUNT; i++) {
        const struct resource *res = &RESOURCES[i];
        if (strcmp(res->kind, kind) == 0 && str_is(group, res->group) &&
            serves_version(res, version_text))
            return res;
    }
    return NULL;
}

const char *resource_api_version(const struct resource *res, char out[API_VERSION_SIZE])
{
    (void)snprintf(out, API_VERSION_SIZE, "%s%s%s", res->group, *res->group ? "/" : "",
                   res->version);
    return out;
}
