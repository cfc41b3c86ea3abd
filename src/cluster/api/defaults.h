/* cluster/api/defaults.h - what Kubernetes fills in where a field was left out, kind by kind, in
 * place. Source: pkg/apis/.../v1/defaults.go of Kubernetes 1.20 to 1.30, and the admission steps
 * for service accounts and priority. Each gives -1 only without memory. Fields of a wrong type are
 * left for validation. */
#pragma once
#include "wire/json.h"

NODISCARD int defaults_namespace(json_t *object);
NODISCARD int defaults_pod(json_t *object);
NODISCARD int defaults_deployment(json_t *object);
NODISCARD int defaults_replicaset(json_t *object);
NODISCARD int defaults_service(json_t *object);
NODISCARD int defaults_secret(json_t *object); /* also turns stringData into data */
NODISCARD int defaults_network_policy(json_t *object);
NODISCARD int defaults_disruption_budget(json_t *object);
NODISCARD int defaults_binding(json_t *object); /* RoleBinding, ClusterRoleBinding */

/* Removes members that are null, at every depth: for Kubernetes they are absent. */
void defaults_drop_nulls(json_t *value);
