/* workload/workload_internal.h - what the files of this folder share. */
#pragma once
#include "workload/workload.h"

struct workload {
    struct doc *doc; /* owned; NULL: there was no file */
    json_t *root;    /* owned */
    json_t *none;    /* owned: an empty array, for lists that are not there */
    json_t *nothing; /* owned: an empty object */
    enum workload_type type;
    struct workload_port ports[WORKLOAD_PORTS_MAX];
    char port_names[WORKLOAD_PORTS_MAX][64];
    size_t port_count;
    struct workload_claim claims[WORKLOAD_CLAIMS_MAX];
    size_t claim_count;
};

/* Every fault of the document (fields.c). */
void fields_check(const struct doc *doc, struct error_list *faults);
