/* sbom/purl_osv.c - which OSV ecosystem and package a package URL means. Source: OSV schema,
 * "affected[].package", and the purl type definitions. */
#include "sbom/purl.h"
#include "sbom/sbom_internal.h"

/* Debian's and Ubuntu's releases by codename, as `distro` qualifiers may give them. */
static const struct {
    const char *id, *codename, *version;
} releases[] = {
    {"debian", "buster", "10"},   {"debian", "bullseye", "11"}, {"debian", "bookworm", "12"},
    {"debian", "trixie", "13"},   {"debian", "forky", "14"},    {"debian", "duke", "15"},
    {"ubuntu", "focal", "20.04"}, {"ubuntu", "jammy", "22.04"}, {"ubuntu", "noble", "24.04"},
};

static bool is_lts(const char *version) /* every second April */
{
    size_t len = strlen(version);

    return len == 5 && (version[1] - '0') % 2 == 0 && strcmp(version + 2, ".04") == 0;
}

static void add_os(struct buf *out, const char *id, const char *version)
{
    if (strcmp(id, "debian") == 0) {
        buf_add_text(out, "Debian:");
        buf_add_str(out, str_first(str_of(version), strcspn(version, ".")));
    } else if (strcmp(id, "ubuntu") == 0) {
        buf_addf(out, "Ubuntu:%s%s", version, is_lts(version) ? ":LTS" : "");
    } else if (strcmp(id, "alpine") == 0) {
        size_t dots = 0, len = 0;
        while (version[len] && (dots += version[len] == '.') < 2)
            len++;
        buf_add_text(out, "Alpine:v");
        buf_add_str(out, str_first(str_of(version), len));
    } else if (strcmp(id, "almalinux") == 0 || strcmp(id, "rocky") == 0) {
        buf_add_text(out, id[0] == 'a' ? "AlmaLinux:" : "Rocky Linux:");
        buf_add_str(out, str_first(str_of(version), strcspn(version, ".")));
    } else if (strcmp(id, "wolfi") == 0) {
        buf_add_text(out, "Wolfi");
    } else if (strcmp(id, "chainguard") == 0) {
        buf_add_text(out, "Chainguard");
    }
}

const char *ecosystem_of_os(struct texts *texts, const char *id, const char *version)
{
    CLEANUP(buf) struct buf out = BUF_INIT(512);

    if (!id[0] || (!version[0] && strcmp(id, "wolfi") != 0 && strcmp(id, "chainguard") != 0))
        return "";
    add_os(&out, id, version);
    return texts_add(texts, buf_str(&out));
}

/* "debian-12", "bookworm", "alpine-3.20.1" → the release number. */
static const char *release_of(const char *id, const char *distro)
{
    size_t len = strlen(id);

    for (size_t i = 0; i < ARRAY_LEN(releases); i++) {
        if (strcmp(distro, releases[i].codename) == 0 && strcmp(id, releases[i].id) == 0)
            return releases[i].version;
    }
    if (strncmp(distro, id, len) == 0 && distro[len] == '-')
        return distro + len + 1;
    return distro;
}

static bool osv_of_os(const struct purl *p, struct buf *ecosystem, struct buf *name)
{
    const char *distro = purl_qualifier(p, "distro");
    const char *upstream = purl_qualifier(p, "upstream");
    const char *id = p->namespace_ ? p->namespace_ : "";
    size_t before = ecosystem->len;

    add_os(ecosystem, id, distro ? release_of(id, distro) : "");
    if (ecosystem->len == before)
        return false;
    /* "openssl", "openssl@3.0.11-1": advisories name the source. */
    if (upstream)
        buf_add_str(name, str_first(str_of(upstream), strcspn(upstream, "@")));
    else
        buf_add_text(name, p->name);
    return true;
}

bool purl_osv(const struct purl *p, struct buf *ecosystem, struct buf *name)
{
    static const struct {
        const char *type, *ecosystem;
        char separator; /* between namespace and name */
    } plain[] = {
        {"npm", "npm", '/'},         {"pypi", "PyPI", 0},
        {"golang", "Go", '/'},       {"maven", "Maven", ':'},
        {"gem", "RubyGems", 0},      {"cargo", "crates.io", 0},
        {"nuget", "NuGet", 0},       {"composer", "Packagist", '/'},
        {"hex", "Hex", '/'},         {"pub", "Pub", 0},
        {"hackage", "Hackage", 0},   {"cran", "CRAN", 0},
        {"bitnami", "Bitnami", 0},   {"swift", "SwiftURL", '/'},
        {"conan", "ConanCenter", 0},
    };

    if (strcmp(p->type, "deb") == 0 || strcmp(p->type, "apk") == 0 || strcmp(p->type, "rpm") == 0)
        return osv_of_os(p, ecosystem, name);
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        if (strcmp(p->type, plain[i].type) != 0)
            continue;
        buf_add_text(ecosystem, plain[i].ecosystem);
        if (p->namespace_ && plain[i].separator) {
            buf_add_text(name, p->namespace_);
            buf_add_char(name, plain[i].separator);
        }
        buf_add_text(name, p->name);
        return true;
    }
    return false;
}
