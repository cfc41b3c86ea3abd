/* cluster/api/validate.h - whether an object means something, kind by kind; every fault is found,
 * with its path. Types of fields have been checked before (decode.h). `old` is NULL on creation.
 * Source: pkg/apis/.../validation of Kubernetes, texts included. */
#pragma once
#include "cluster/api/status.h"

/* Name, namespace, labels, annotations, owner references, finalizers. */
void validate_metadata(const struct resource *res, const json_t *object, const json_t *old,
                       struct causes *causes);

void validate_pod(const json_t *object, const json_t *old, struct causes *causes);
void validate_deployment(const json_t *object, const json_t *old, struct causes *causes);
void validate_replicaset(const json_t *object, const json_t *old, struct causes *causes);
void validate_service(const json_t *object, const json_t *old, struct causes *causes);
void validate_configmap(const json_t *object, const json_t *old, struct causes *causes);
void validate_secret(const json_t *object, const json_t *old, struct causes *causes);
void validate_network_policy(const json_t *object, const json_t *old, struct causes *causes);
void validate_disruption_budget(const json_t *object, const json_t *old, struct causes *causes);
void validate_binding(const json_t *object, const json_t *old, struct causes *causes);

/* A pod's spec, alone or in a template, at `path` ("spec.template.spec"). */
void validate_pod_spec(const json_t *spec, const char *path, struct causes *causes);
void validate_labels(const json_t *labels, const char *path, struct causes *causes);
void validate_selector(const json_t *selector, const char *path, struct causes *causes);

/* The forms of names. */
bool name_is_label(const char *name);      /* RFC 1123, at most 63 */
bool name_is_label_1035(const char *name); /* starts with a letter */
bool name_is_subdomain(const char *name);  /* at most 253 */
bool name_is_label_key(const char *name);  /* [prefix/]name */
bool name_is_label_value(const char *name);
bool quantity_is_valid(const json_t *value);

enum { FIELD_PATH_MAX = 512 };
/* "path.field", "path[3]" into `out`; returns it. */
const char *field_path(char out[FIELD_PATH_MAX], const char *format, ...) PRINTF_LIKE(2, 3);
