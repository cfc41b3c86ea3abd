/* sbom/sbom.h - the inventory: which packages an image or a folder holds, which layer brought each,
 * and who owns it. Takes an image in an OCI layout, a folder with lock files, or a CycloneDX
 * document; gives a struct inventory; writes it as CycloneDX 1.6.
 *
 *   owner.h      who answers for a layer          purl.h      package URLs
 *   layer.h      one layer, read once as a stream: facts that do not depend on other layers
 *   inventory.c  facts of all layers → packages   cyclonedx.c writing and reading documents
 *   dpkg.h npm.h osrelease.h   parsers of the evidence; read layer.h first, then these
 *
 * Everything read is hostile: limits are in layer.h, refused with LIMIT; broken evidence (a lock
 * file that is no JSON) is not an error but a `fault` of the inventory, and the packages of it are
 * missing. Source: CycloneDX 1.6 JSON schema, OCI image-spec "Layer Filesystem Changeset" for
 * whiteouts. */
#pragma once
#include "base/digest.h"
#include "sbom/owner.h"
#include "wire/json.h"

enum { PACKAGE_NO_LAYER = 0xffffffff };

struct package_need {  /* who asked for a package, and how */
    const char *by;    /* "express@4.21.2", or "" for the app's own package.json */
    const char *range; /* as written: "^4.21.0" */
};

struct package { /* all texts are borrowed from the inventory; none is NULL unless it says so */
    const char *name; /* "libssl3", "@scope/name" */
    const char *version;
    const char *purl;        /* canonical; unique together with `layer` */
    const char *ecosystem;   /* OSV's: "Debian:12", "npm"; "" where OSV has none */
    const char *source_name; /* of OS packages: what advisories name; else the same as name */
    const char *source_version;
    const char *architecture; /* "" if not known */
    const char *const *paths; /* where the evidence stood, sorted, NULL-ended, at least one */
    const struct package_need *needs; /* who requires it */
    size_t need_count;
    uint32_t layer; /* index into inventory_layers(), or PACKAGE_NO_LAYER */
    enum owner owner;
    const char *team; /* "" if not known */
    bool is_direct;   /* the app's own package.json asks for it */
    bool is_dev;      /* only for development (lock files of a folder) */
};

struct inventory_layer {
    struct digest diff_id;
    enum owner owner;
    const char *team; /* "" if not known */
    const char *name; /* "node@22.11.0"; "" if not known */
    bool is_labelled; /* owner comes from a label, not from a guess by what was found in it */
};

struct inventory_fault { /* evidence that could not be used */
    const char *path;
    const char *text;
};

struct inventory;

struct inventory_options {
    const char *name;          /* of the image or app, for the document; NULL: not known */
    const char *cache_dir;     /* results by digest are kept here; NULL: no cache */
    const char *app_team;      /* where no label says it; NULL: "app team" */
    const char *platform_team; /* NULL: "platform team" */
    bool with_dev;             /* folders: packages that are only for development, too */
};

/* Of the image whose manifest has the digest `manifest` in the OCI layout at `layout_path`; an
 * index is followed to its linux/amd64 manifest. Each layer is streamed once, unless the cache
 * knows its diff id. Blocks on disk. *ret is the caller's to inventory_free(). Errors: NOT_FOUND no
 * such blob; INVALID no manifest or config; UNTRUSTED bytes and digest differ; LIMIT. */
NODISCARD int inventory_of_image(const char *layout_path, const struct digest *manifest,
                                 const struct inventory_options *options, struct inventory **ret,
                                 struct error *err);
/* Of a folder of source: its lock files (package-lock.json, npm-shrinkwrap.json) and, where there
 * are none, its node_modules. Nothing is followed out of the folder. */
NODISCARD int inventory_of_folder(const char *path, const struct inventory_options *options,
                                  struct inventory **ret, struct error *err);
/* Of a CycloneDX document (1.4 to 1.6), ours or not: without our properties the layer is not known
 * and the owner is guessed from the package's type. INVALID if it is no such document. */
NODISCARD int inventory_of_cyclonedx(const json_t *bom, struct inventory **ret, struct error *err);

/* Of whatever a person names: a folder of source; an OCI layout, as PATH, PATH:TAG,
 * PATH:REPOSITORY:TAG or PATH@sha256:HEX (without a tag it must hold one image); a CycloneDX file;
 * else REPOSITORY:TAG or REPOSITORY@sha256:HEX in the layout `registry` (NULL: none). NOT_FOUND
 * says what was looked for. */
NODISCARD int inventory_of_target(const char *target, const char *registry,
                                  const struct inventory_options *options, struct inventory **ret,
                                  struct error *err);

void inventory_free(struct inventory *inventory);
DEFINE_CLEANUP(inventory, struct inventory *, inventory_free)

/* Sorted by purl, then layer. Borrowed. */
const struct package *inventory_packages(const struct inventory *inventory, size_t *ret_count);
const struct inventory_layer *inventory_layers(const struct inventory *inventory,
                                               size_t *ret_count);
const struct inventory_fault *inventory_faults(const struct inventory *inventory,
                                               size_t *ret_count);
const char *inventory_name(const struct inventory *inventory); /* "" if not known */
/* Manifest digest of the image; "" for a folder. */
const struct digest *inventory_image(const struct inventory *inventory);
/* Of os-release: ID and VERSION_ID ("debian", "12"); "" if not known. */
const char *inventory_os_id(const struct inventory *inventory);
const char *inventory_os_version(const struct inventory *inventory);

/* How a scan went, for progress and benchmarks. */
struct inventory_cost {
    size_t layers_read;
    size_t layers_cached;
    uint64_t bytes_read; /* uncompressed */
};
const struct inventory_cost *inventory_cost(const struct inventory *inventory);

/* CycloneDX 1.6 (the predicate of https://cyclonedx.org/bom): valid against the schema, and a
 * function of the inventory alone: no clock, the serial number is made of the image's digest (or of
 * the content). Each component has the properties dev.monban:layer, dev.monban:owner,
 * dev.monban:team, dev.monban:ecosystem, dev.monban:source, dev.monban:required-by ("BY RANGE"), as
 * far as known. New reference in *ret. */
NODISCARD int inventory_to_cyclonedx(const struct inventory *inventory, json_t **ret,
                                     struct error *err);
