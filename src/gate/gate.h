/* gate/gate.h - the gatekeeper: the daemon of the build cluster. A commit comes in by `git push`
 * (or from a watched repository), walks source → build → sbom → findings → verdict → render →
 * release, and leaves as one signed release that outer clusters pull. Nothing is ever pushed to the
 * right.
 *
 * HOME/gate/
 *   git/APP.git            bare repositories; their hook hands a push to gate.sock
 *   registry/              OCI layout of all releases, served over HTTPS, pull only
 *   keys/release.key, .pub signs releases; the key is held by the signer process alone
 *   pki/ca.pem, ca.key, server.pem, server.key
 *   tokens/CLUSTER         read token of each outer cluster
 *   state/APP.json         the last walk of each app: {"app","commit","state","exit","stages",…}
 *   state/APP.log          what it said
 *   state/APP.watch        what is known of a watched repository: see watch.h
 *   cache/ stacks/ work/   of the build; work/ is emptied at start
 *   gate.sock, gate.pid, gate.log
 *
 * The daemon is three kinds of processes: the loop (sockets, registry, queue), the signer (the
 * key), and a worker for each walk (parses what came from outside, starts sandboxes). Read walk.h
 * next: the road of one commit; then queue.c (who walks when), watch.c (remote repositories),
 * gate.c (the daemon), prepare.c (keys, certificates, tokens). */
#pragma once
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "wire/json.h"

enum {
    GATE_REGISTRY_PORT = 5000,
    GATE_WALKS_AT_ONCE = 2,   /* the machine's cores are for builds */
    GATE_QUEUE_MAX = 256,     /* walks that wait; a push beyond is told to come again */
    GATE_REQUEST_MAX = 65536, /* bytes of a request on gate.sock */
};

/* Makes what is missing: folders, release key, certificates, a read token for each outer cluster of
 * HOME/platform. Can be repeated. */
NODISCARD int gate_prepare(const char *home, struct error *err);

struct gate_options {
    const char *home;
    const char *program; /* this binary, for the hooks of repositories */
    const char *listen; /* IPv4 address of the registry; NULL: the embedded gate cluster's uplink */
    uint16_t port;      /* 0: GATE_REGISTRY_PORT */
    int ready_fd;       /* 0 or -1: none; gets one byte when all listens, and is closed */
};
/* The daemon, until SIGTERM or SIGINT: running walks are ended and their pushes told so. SIGHUP:
 * the platform folder was replaced. CONFLICT if another gate serves this home. */
NODISCARD int gate_run(const struct gate_options *options, struct error *err);

/* The bare repository of an app, made if missing: its path, free() it. */
NODISCARD int gate_repository(const char *home, const char *program, const char *app,
                              char **ret_path, struct error *err);

/* Ask the running gate to walk `commit` of `app` (after a push of ref `ref`), and hand every line
 * it says to `say`, until it ends. *ret_exit: 0 released, 3 refused, 1 failed. UNAVAILABLE if no
 * gate runs. */
struct gate_request {
    const char *app;
    const char *ref;    /* "refs/heads/main" */
    const char *commit; /* hex */
    const char *old; /* where the ref must still stand when the commit is released (zeros: nowhere),
                        or NULL */
    const char *objects; /* of a push that is not accepted yet: the name of its folder below the
                            repository's objects/ (GIT_OBJECT_DIRECTORY), or NULL */
};
typedef void gate_say_fn(struct str line, void *ctx);
NODISCARD int gate_submit(const char *home, const struct gate_request *request, gate_say_fn *say,
                          void *ctx, int *ret_exit, struct error *err);

/* Every app that walked or is watched, by name: an array of the documents state/APP.json, each with
 * "watch" (state/APP.watch) if its remote repository is watched. */
NODISCARD int gate_status(const char *home, json_t **ret, struct error *err);
/* What the last walk of an app said, appended to `out`. NOT_FOUND if there was none. */
NODISCARD int gate_last_words(const char *home, const char *app, struct buf *out,
                              struct error *err);
