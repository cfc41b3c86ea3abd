/* cli/plumbing_advisory.c - monban plumbing version-compare, purl, cvss: pure functions, a line in,
 * a line out. */
#include "advisory/cvss.h"
#include "advisory/version.h"
#include "cli/commands.h"
#include "cli/plumbing.h"
#include "sbom/purl.h"

static bool compare_line(struct str line, struct buf *out, void *ctx)
{
    enum version_scheme scheme = version_scheme_of(str_of(*(const char **)ctx));
    struct str b = line;
    struct str a = str_cut(&b, '\t');
    int order;

    if (!b.ptr) {
        buf_add_text(out, "error: expected two versions with a tab between them");
        return false;
    }
    for (int i = 0; i < 2; i++) {
        struct str v = i ? b : a;
        if (!version_is_valid(scheme, v)) {
            buf_addf(out, "error: '%.*s' is no version of %s", STR_ARG(str_first(v, 200)),
                     *(const char **)ctx);
            return false;
        }
    }
    order = version_compare(scheme, a, b);
    buf_add_char(out, order < 0 ? '<' : order > 0 ? '>' : '=');
    return true;
}

static int run_compare(struct cli *cli, int argc, char **argv)
{
    const char *ecosystem = NULL;

    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-' && version_scheme_of(str_of(argv[i])) == VERSION_NONE)
            return cli_usage(&cli_version_compare, "'%s' is no ecosystem with an order", argv[i]);
    }
    return plumbing_lines(cli, &cli_version_compare, argc, argv, &ecosystem, compare_line,
                          &ecosystem);
}

const struct cli_command cli_version_compare = {
    "plumbing version-compare", "ECOSYSTEM", "`A<tab>B` to <, = or >",
    "ECOSYSTEM is OSV's name: Debian, npm, PyPI, Go, Maven, RubyGems, crates.io, Packagist, NuGet, Alpine, 'Red Hat', …",
    run_compare};

static bool error_line(const struct error *err, struct buf *out)
{
    buf_add_text(out, "{\"error\":");
    json_add_quoted(out, str_of(err->text));
    buf_add_char(out, '}');
    return false;
}

static bool purl_line(struct str line, struct buf *out, void *ctx)
{
    CLEANUP(purl) struct purl purl = PURL_INIT;
    CLEANUP(json) json_t *root = NULL;
    struct error err = ERROR_INIT;

    (void)ctx; /* nothing to know but the line */
    if (purl_parse(line, &purl, &err) < 0)
        return error_line(&err, out);
    root = purl_to_json(&purl);
    if (!root) {
        (void)error_set(&err, ERR_INVALID, "expected UTF-8"); /* its -1 says nothing new */
        return error_line(&err, out);
    }
    return json_write(root, false, out, &err) == 0 || error_line(&err, out);
}

static int run_purl(struct cli *cli, int argc, char **argv)
{
    return plumbing_lines(cli, &cli_purl, argc, argv, NULL, purl_line, NULL);
}

const struct cli_command cli_purl = {
    "plumbing purl", "", "a package URL to its parts and canonical form", NULL, run_purl};

static bool cvss_line(struct str line, struct buf *out, void *ctx)
{
    struct error err = ERROR_INIT;
    struct cvss cvss;

    (void)ctx; /* nothing to know but the line */
    if (cvss_parse(line, &cvss, &err) < 0)
        return error_line(&err, out);
    /* 0.0 is the rating "none" (CVSS v3.1 section 5); elsewhere we say negligible. */
    buf_addf(out, "{\"version\":\"%s\",\"score\":%d.%d,\"severity\":\"%s\"}", cvss.version,
             cvss.score_tenths / 10, cvss.score_tenths % 10,
             cvss.score_tenths == 0 ? "none" : severity_name(cvss.severity));
    return true;
}

static int run_cvss(struct cli *cli, int argc, char **argv)
{
    return plumbing_lines(cli, &cli_cvss, argc, argv, NULL, cvss_line, NULL);
}

const struct cli_command cli_cvss = {"plumbing cvss", "", "a CVSS vector to its score and severity",
                                     NULL, run_cvss};
