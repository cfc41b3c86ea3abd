/* platform/init.c - a new platform folder: four embedded clusters, the stack, and a file of each
 * kind to begin with. */
#include <fcntl.h>

#include "base/fs.h"
#include "platform/platform_internal.h"

static const char platform_yaml[] =
    "    # The order is the road, left to right. A cluster is cloned by copying its line.\n"
    "    - {name: dev,        loop: inner, engine: embedded}\n"
    "    - {name: build,      loop: inner, engine: embedded, role: gate}\n"
    "    - {name: staging,    loop: outer, engine: embedded, follows: build}\n"
    "    - {name: production, loop: outer, engine: embedded, follows: staging,\n"
    "       promotion: {soak: 10m, approvals: 0}}\n"
    "  # A level holds from that cluster on, along the road, until it is raised: off < note < warn <\n"
    "  # hold < refuse. Lowering it further right is an error.\n"
    "  checks:\n"
    "    signature:               {staging: refuse}\n"
    "    provenance:              {staging: warn, production: refuse}\n"
    "    vulnerability-critical:  {dev: note, build: refuse}\n"
    "    vulnerability-high:      {dev: note, build: refuse}\n"
    "    vulnerability-medium:    {dev: note}\n"
    "    advisory-age-24h:        {build: note, staging: warn}\n"
    "    pod-security-restricted: {dev: note, staging: warn, production: refuse}\n"
    "    runs-as-two:             {dev: note, production: warn}\n"
    "  build:\n"
    "    stack: base\n"
    "    allowedHosts: [registry.npmjs.org]\n";

static const char stack_yaml[] =
    "# What runs below every app: Debian packages, and the team that answers for them.\n"
    "apiVersion: monban.dev/v1alpha1\n"
    "kind: Stack\n"
    "metadata: {name: base}\n"
    "spec:\n"
    "  owner: platform\n"
    "  run:\n"
    "    packages: [base-files, libc6, libgcc-s1, libstdc++6, libatomic1, ca-certificates, tzdata,\n"
    "               netbase, media-types]\n"
    "    drop: [debconf, mawk, openssl, libssl3]\n"
    "  build:\n"
    "    packages: [base-files, bash, dash, coreutils, sed, grep, findutils, diffutils, mawk, tar,\n"
    "               gzip, xz-utils, patch, make, gcc, g++, libc6-dev, pkg-config, git,\n"
    "               ca-certificates, netbase]\n"
    "    drop: [debconf, openssl, perl, perl-base, perl-modules-5.36, libperl5.36, libgdbm6,\n"
    "           libgdbm-compat4, libdb5.3, liberror-perl, git-man, dpkg, libdpkg-perl, install-info,\n"
    "           libasan8, liblsan0, libtsan2, libubsan1, libgprofng0, libitm1, libquadmath0,\n"
    "           libcc1-0, libtirpc-dev, libtirpc3, libtirpc-common, libnsl-dev, libnsl2,\n"
    "           rpcsvc-proto, bzip2, libsemanage2, passwd, xz-lzma-compat]\n"
    "    links:\n"
    "      usr/bin/cc: gcc\n"
    "      usr/bin/c++: g++\n"
    "      usr/bin/awk: mawk\n";

static const char convention_yaml[] =
    "# What the platform adds to the YAML of a release, by workload type and cluster.\n"
    "apiVersion: monban.dev/v1alpha1\n"
    "kind: Convention\n"
    "metadata: {name: production-runs-as-two}\n"
    "spec:\n"
    "  clusters: [production]\n"
    "  workloadTypes: [web, server]\n"
    "  set: {replicas: 2}\n";

static const char services_yaml[] =
    "# Instances that a service claim may be bound to, by cluster. The password's file lies in the\n"
    "# agent's own folder (HOME/agents/CLUSTER/secrets), never here.\n"
    "#   - {name: guestbook-db, class: postgresql, cluster: staging, type: postgresql,\n"
    "#      provider: rds, host: 100.64.201.2, port: 5432, database: guestbook, username: guestbook,\n"
    "#      password: {file: guestbook-db.password}}\n"
    "apiVersion: monban.dev/v1alpha1\n"
    "kind: ServiceInstances\n"
    "metadata: {name: databases}\n"
    "spec:\n"
    "  instances: []\n";

static const char waivers_yaml[] =
    "# Accepted findings: each with an owner, a reason and the last day on which it holds.\n"
    "#   - {advisory: GHSA-xxxx-xxxx-xxxx, purl: pkg:npm/name, owner: team, reason: why,\n"
    "#      until: 2026-12-31}\n"
    "apiVersion: monban.dev/v1alpha1\n"
    "kind: Waivers\n"
    "metadata: {name: waivers}\n"
    "spec:\n"
    "  waivers: []\n";

static int write_file(const char *dir, const char *name, struct str text, struct error *err)
{
    CLEANUP(text) char *path = fs_join(dir, name);

    if (!path)
        return error_no_memory(err);
    if (fs_exists(AT_FDCWD, path))
        return 0; /* a person's own file stays */
    return fs_write_quick(AT_FDCWD, path, text, 0644, err);
}

static int make_folders(const char *dir, struct error *err)
{
    static const char *const folders[] = {"stacks", "conventions", "services", "agents", "waivers"};

    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        CLEANUP(text) char *path = fs_join(dir, folders[i]);
        if (!path)
            return error_no_memory(err);
        if (fs_make_dirs(AT_FDCWD, path, 0755, err) < 0)
            return -1;
    }
    return 0;
}

int platform_init(const char *dir, const char *name, struct error *err)
{
    CLEANUP(text) char *path = fs_join(dir, "platform.yaml");
    CLEANUP(buf) struct buf text = BUF_INIT(64 << 10);

    if (!path)
        return error_no_memory(err);
    if (fs_exists(AT_FDCWD, path))
        return error_set(err, ERR_CONFLICT, "'%s' exists", path);
    if (!field_is_label(str_of(name)))
        return error_set(err, ERR_INVALID,
                         "'%s' cannot be the name of a platform: expected at most 63 lower-case "
                         "letters, digits and '-'",
                         name);
    buf_addf(&text,
             "apiVersion: " PLATFORM_API_VERSION "\nkind: Platform\nmetadata: {name: \"%s\"}\n"
             "spec:\n  clusters:\n%s",
             name, platform_yaml);
    if (buf_ok(&text, err) < 0 || make_folders(dir, err) < 0 ||
        write_file(dir, "stacks/base.yaml", STR(stack_yaml), err) < 0 ||
        write_file(dir, "conventions/production.yaml", STR(convention_yaml), err) < 0 ||
        write_file(dir, "services/databases.yaml", STR(services_yaml), err) < 0 ||
        write_file(dir, "waivers/waivers.yaml", STR(waivers_yaml), err) < 0 ||
        /* Last: a folder without it is no platform, so a broken attempt can be repeated. */
        write_file(dir, "platform.yaml", buf_str(&text), err) < 0)
        return error_wrap(err, "making platform folder '%s'", dir);
    return 0;
}
