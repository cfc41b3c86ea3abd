/* deliver/site.c - an agent's folder: whom it follows, whom it trusts, its registry. */
#include <fcntl.h>

#include "base/fs.h"
#include "deliver/job.h"
#include "oci/registry_client.h"
#include "sign/sign.h"

enum { SITE_FILE_MAX = 1 << 20 };

int site_read(const struct site *site, const char *name, struct buf *out, struct error *err)
{
    CLEANUP(text) char *path = fs_join(site->dir, name);

    if (!path)
        return error_no_memory(err);
    if (fs_read_at(AT_FDCWD, path, out, err) < 0)
        return -1;
    while (out->len > 0 && (out->ptr[out->len - 1] == '\n' || out->ptr[out->len - 1] == '\r'))
        buf_truncate(out, out->len - 1);
    return buf_ok(out, err);
}

int site_upstream(const struct site *site, struct registry_client **ret, struct error *err)
{
    CLEANUP(buf) struct buf url = BUF_INIT(4096);
    CLEANUP(buf) struct buf ca = BUF_INIT(SITE_FILE_MAX);
    CLEANUP(buf) struct buf token = BUF_INIT(4096);

    if (site_read(site, "upstream/url", &url, err) < 0 ||
        site_read(site, "upstream/ca.pem", &ca, err) < 0 ||
        site_read(site, "upstream/token", &token, err) < 0)
        return error_wrap(err, "reading whom the agent of '%s' follows", site->cluster);
    struct str host = buf_str(&url);
    ptrdiff_t scheme = str_find_text(host, STR("://"));
    host = scheme < 0 ? host : str_skip(host, (size_t)scheme + 3);
    struct registry_client_options options = {
        .host = host.ptr,
        .base_url = buf_text(&url),
        .ca_pem = buf_text(&ca),
        .bearer_token = buf_text(&token),
        .attempts = 2, /* the agent itself tries again, and says so */
    };
    return registry_client_new(&options, ret, err);
}

int site_trust(const struct site *site, const char *name, struct trust **ret, struct error *err)
{
    CLEANUP(trust) struct trust *trust = NULL;
    CLEANUP(text) char *path = str_format("%s/upstream/%s.pub", site->dir, name);

    if (!path)
        return error_no_memory(err);
    if (trust_new(&trust, err) < 0)
        return -1;
    if (trust_add_file(trust, path, err) < 0)
        return error_wrap(err, "reading whose %ss the agent of '%s' takes", name, site->cluster);
    *ret = TAKE(trust);
    return 0;
}

int site_layout(const struct site *site, struct layout **ret, struct error *err)
{
    return layout_open(site->registry, LAYOUT_CREATE | LAYOUT_SYNC, ret, err);
}
