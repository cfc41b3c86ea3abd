/* cluster/api/status.h - what went wrong with a request, as a Kubernetes Status object (API
 * conventions, "Response Status Kind"), with the texts that clients and people know from
 * Kubernetes. */
#pragma once
#include "cluster/api/resources.h"

/* Faults of fields, as Kubernetes words them (field.ErrorList). */
struct causes {
    json_t *items; /* owned: [{"reason","message","field"}]; NULL: none */
};
#define CAUSES_INIT                                                                                \
    {                                                                                              \
        0                                                                                          \
    }
void causes_done(struct causes *causes);
DEFINE_CLEANUP_VALUE(causes, struct causes, causes_done)
size_t causes_count(const struct causes *causes);
/* `value` is borrowed and printed as Go does; field as "spec.ports[0].port". */
void causes_invalid(struct causes *causes, const char *field, const json_t *value,
                    const char *format, ...) PRINTF_LIKE(4, 5);
void causes_required(struct causes *causes, const char *field,
                     const char *detail); /* detail may be "" */
void causes_forbidden(struct causes *causes, const char *field, const char *detail);
void causes_duplicate(struct causes *causes, const char *field, const json_t *value);
void causes_not_found(struct causes *causes, const char *field, const json_t *value);
/* `supported` ends with NULL. */
void causes_unsupported(struct causes *causes, const char *field, const json_t *value,
                        const char *const *supported);
void causes_too_long(struct causes *causes, const char *field, size_t limit);

struct status {
    int code;           /* HTTP; 0: nothing went wrong */
    const char *reason; /* "NotFound", … */
    char *message;      /* owned */
    json_t *details;    /* owned; may be NULL */
};
#define STATUS_INIT                                                                                \
    {                                                                                              \
        0                                                                                          \
    }
void status_done(struct status *status);
DEFINE_CLEANUP_VALUE(status, struct status, status_done)

/* Each returns -1, so that `return status_…()` reads well. */
int status_set(struct status *status, int code, const char *reason, const char *format, ...)
    PRINTF_LIKE(4, 5);
int status_bad_request(struct status *status, const char *format, ...) PRINTF_LIKE(2, 3);
int status_not_found(struct status *status, const struct resource *res, const char *name);
int status_already_exists(struct status *status, const struct resource *res, const char *name);
int status_conflict(struct status *status, const struct resource *res, const char *name,
                    const char *why);
extern const char STATUS_MODIFIED[]; /* the usual `why` */
int status_forbidden(struct status *status, const struct resource *res, const char *name,
                     const char *why);
/* 422 with all causes (which are borrowed). */
int status_invalid(struct status *status, const struct resource *res, const char *name,
                   const struct causes *causes);
int status_no_memory(struct status *status);
int status_from_error(struct status *status, const struct error *err); /* by kind */
int status_to_error(const struct status *status, struct error *err);   /* by code */
void status_set_details(struct status *status, const struct resource *res, const char *kind,
                        const char *name);
/* The Status object; NULL without memory. */
json_t *status_json(const struct status *status);
/* {"kind":"Status",…,"status":"Success","details":{name,group,kind,uid}}. */
json_t *status_success_json(const struct resource *res, const char *name, const char *uid);
/* "deployments.apps", "pods". */
const char *resource_qualified(const struct resource *res, char out[API_VERSION_SIZE]);
