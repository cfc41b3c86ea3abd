/* platform/platform_internal.h - what the files of this folder share. */
#pragma once
#include "platform/platform.h"
#include "wire/field.h"

struct platform_check { /* a line of spec.checks: the level from each cluster on where it is named
                         */
    const char *name;   /* borrowed: the document */
    signed char raised[PLATFORM_CLUSTERS_MAX]; /* a level, or -1: not named there */
};

struct platform_convention_part {
    const json_t *clusters; /* array of names, or NULL: all */
    const json_t *types;    /* array of workload types, or NULL: all */
    const json_t *set;      /* object */
};

/* Growing arrays of one kind; GROW() makes room for one more. */
#define PLATFORM_LIST(type)                                                                        \
    struct {                                                                                       \
        type *items; /* owned */                                                                   \
        size_t count, capacity;                                                                    \
    }

struct platform {
    char *dir; /* owned; absolute */
    const char *name;
    struct digest digest;
    PLATFORM_LIST(struct doc *) docs; /* owned; all other texts are borrowed from them */
    struct strv texts;                /* owned: texts that stand in no document */
    struct platform_cluster clusters[PLATFORM_CLUSTERS_MAX];
    size_t cluster_count;
    PLATFORM_LIST(struct platform_check) checks;
    struct strv check_names;
    PLATFORM_LIST(struct platform_service) services;
    PLATFORM_LIST(struct platform_agent) agents;
    PLATFORM_LIST(struct platform_stack) stacks;
    PLATFORM_LIST(struct platform_waiver) waivers;
    PLATFORM_LIST(struct platform_source) sources;
    PLATFORM_LIST(struct platform_convention_part) conventions;
    struct strv build_hosts;
    const char *trust_bundle;
    const char *default_stack;
    struct place default_stack_place;
    int64_t build_timeout_ms;
};

/* The new last item, zeroed; NULL beyond PLATFORM_ITEMS_MAX or without memory. */
void *platform_grow(void **items, size_t *count, size_t *capacity, size_t size);
#define GROW(list)                                                                                 \
    ((__typeof__((list)->items))platform_grow((void **)&(list)->items, &(list)->count,             \
                                              &(list)->capacity, sizeof(*(list)->items)))

/* A text kept by the platform; NULL without memory. */
const char *platform_keep(struct platform *p, char *take_text);
/* `path` itself if absolute, else below the platform's folder. */
const char *platform_path(struct platform *p, const char *path);

/* Each reads its part of a document, which is kept, and adds faults. */
void road_read(struct platform *p, const struct fields *f, const json_t *spec);
void checks_read(struct platform *p, const struct fields *f, const json_t *spec);
void services_read(struct platform *p, const struct fields *f, const json_t *root);
void agents_read(struct platform *p, const struct fields *f, const json_t *root);
void stacks_read(struct platform *p, const struct fields *f, const json_t *root);
void conventions_read(struct platform *p, const struct fields *f, const json_t *root);
void waivers_read(struct platform *p, const struct fields *f, const json_t *root);

/* An array of names of clusters under `key`; each must exist. NULL if absent. */
const json_t *cluster_names_read(const struct platform *p, const struct fields *f,
                                 const json_t *object, const char *key);
void cluster_name_check(const struct platform *p, const struct fields *f, const json_t *object,
                        const char *key, const char *name);
bool names_have(const json_t *names, const char *name);
