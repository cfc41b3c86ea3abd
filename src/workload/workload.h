/* workload/workload.h - the developer's file: workload.yaml → a checked Workload
 * (carto.run/v1alpha1).
 *
 * Takes the text of workload.yaml, or nothing at all: then the name comes from the repository and
 * all else is default. Gives a Workload that never changes. A file is read strictly: every fault of
 * the document is reported at once, each at file:line:column. What belongs to the platform
 * (replicas, securityContext, …) is a fault that names the platform file to write it in.
 *
 * Read workload.c first, then fields.c (the fields, and whose each one is).
 * Source: carto.run/v1alpha1 Workload of the Tanzu Application Platform 1.6. */
#pragma once
#include "wire/doc.h"

enum {
    WORKLOAD_FILE_MAX = 256 << 10, /* bytes: no person writes more */
    WORKLOAD_PORTS_MAX = 16,
    WORKLOAD_CLAIMS_MAX = 32,
};

#define WORKLOAD_FILE       "workload.yaml"
#define WORKLOAD_TYPE_LABEL "apps.tanzu.vmware.com/workload-type"

enum workload_type {
    WORKLOAD_WEB,    /* HTTP, gets a Service on port 80; the default */
    WORKLOAD_SERVER, /* any TCP, gets a Service with its `ports` */
    WORKLOAD_WORKER, /* no network: no Service */
};

struct workload_port {
    const char *name; /* borrowed: the workload; "http", "port-9000" */
    uint16_t port;    /* of the Service */
    uint16_t container_port;
};

/* spec.serviceClaims[i]. The platform's service of the name `service` (or of that class) is bound
 * under /bindings/NAME. */
struct workload_claim {
    const char *name;        /* borrowed: the workload; the folder below /bindings */
    const char *service;     /* ref.name */
    const char *kind;        /* ref.kind: "ClassClaim", "ResourceClaim", … */
    const char *api_version; /* ref.apiVersion */
    struct place place;      /* of ref.name, for faults that are found later */
};

struct workload;

/* A stream in which exactly one document is a Workload; documents of other kinds are let be.
 * INVALID with all faults, one a line; LIMIT above WORKLOAD_FILE_MAX. */
NODISCARD int workload_parse(const char *file, struct str text, struct workload **ret,
                             struct error *err);
/* workload.yaml of a source tree (also config/workload.yaml, where the Tanzu tools put it); without
 * either the default for `repository` ("git/guestbook.git" gives the name guestbook). The tree is
 * hostile. */
NODISCARD int workload_read(int tree_fd, const char *repository, struct workload **ret,
                            struct error *err);
NODISCARD int workload_new_default(const char *repository, struct workload **ret,
                                   struct error *err);
void workload_free(struct workload *w);
DEFINE_CLEANUP(workload, struct workload *, workload_free)

/* All borrowed from the workload. */
const char *workload_name(const struct workload *w);      /* a DNS label */
const char *workload_namespace(const struct workload *w); /* "default" if not said */
enum workload_type workload_type(const struct workload *w);
const char *workload_type_name(enum workload_type type); /* "web", "server", "worker" */
const char *workload_sub_path(const struct workload *w); /* the folder to build; "" for the root */
const char *workload_image(const struct workload *w);    /* spec.image, or NULL */
/* The folder to build in an exported tree, opened beneath it. INVALID at the place of subPath if
 * missing. */
NODISCARD int workload_open_sub_path(const struct workload *w, int tree_fd, int *ret_fd,
                                     struct error *err);

/* spec.env and spec.build.env: arrays of {"name","value"} or {"name","valueFrom"}; empty arrays if
 * none. */
json_t *workload_env(const struct workload *w);
json_t *workload_build_env(const struct workload *w);
json_t *workload_param(const struct workload *w, const char *name); /* any JSON, or NULL */
json_t *workload_resources(const struct workload *w); /* {"limits","requests"}, or NULL */
json_t *workload_labels(const struct workload *w);    /* metadata.labels; maybe empty */
const struct workload_port *workload_ports(const struct workload *w, size_t *ret_count);
const struct workload_claim *workload_claims(const struct workload *w, size_t *ret_count);
/* The whole document as read (or as defaulted): its digest is an input of the stages. */
json_t *workload_document(const struct workload *w);
bool workload_is_default(const struct workload *w); /* there was no file */
