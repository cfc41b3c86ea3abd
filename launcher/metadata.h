/* launcher/metadata.h - <layers>/config/metadata.toml, as the builder writes it (cnb.md of the
 * buildpacks spec: metadata.toml): its [[processes]] and [[buildpacks]].
 *
 * Read is the part of TOML that such a file consists of: tables, arrays of tables, strings, arrays
 * of strings (also over many lines), booleans and numbers, inline tables of these; anything else is
 * an error. */
#pragma once
#include "sys.h"

struct process {
    const char *type;
    struct list command, args;
    const char *working_dir; /* NULL: the app's folder */
    const char *buildpack_id;
    bool direct;
};
struct metadata {
    struct process *processes;
    size_t process_count;
    struct list buildpacks; /* ids, in group order */
    struct list apis;       /* of each buildpack */
};
enum { PROCESSES_MAX = 64 };
/* False if the text is not as above. */
bool metadata_parse(char *text, struct metadata *ret);
const struct process *metadata_process(const struct metadata *m, const char *type); /* or NULL */
