/* cluster/api/auth.c - who asks, and whether they may. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/secret.h"
#include "cluster/api/server_internal.h"

enum { TOKENS_FILE_MAX = 1 << 20 };

void auth_done(struct api_server *server)
{
    while (server->tokens) {
        struct token *token = server->tokens;
        server->tokens = token->next;
        if (token->text)
            explicit_bzero(token->text, strlen(token->text));
        free(token->text);
        free(token->user);
        strv_done(&token->groups);
        free(token);
    }
}

static void add_token(struct api_server *server, struct str line)
{
    struct str text = str_word(&line), user = str_word(&line);
    struct token *token;

    if (text.len == 0 || text.ptr[0] == '#' || user.len == 0)
        return;
    token = calloc(1, sizeof(*token));
    if (!token)
        return; /* this token does not work until the file is read again */
    token->text = str_dup(text);
    token->user = str_dup(user);
    for (struct str group = str_word(&line); group.len > 0; group = str_word(&line))
        strv_add_str(&token->groups, group);
    token->next = server->tokens;
    server->tokens = token;
}

/* Again whenever the file has changed; a file that cannot be read means no tokens. */
static void read_tokens(struct api_server *server)
{
    CLEANUP(buf) struct buf text = BUF_INIT(TOKENS_FILE_MAX);
    struct error err = ERROR_INIT;
    struct stat st;

    if (!server->tokens_path)
        return;
    int64_t mtime = stat(server->tokens_path, &st) == 0
                        ? st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec
                        : 0;
    if (mtime == server->tokens_mtime)
        return;
    server->tokens_mtime = mtime;
    auth_done(server);
    if (mtime == 0 || fs_read_at(AT_FDCWD, server->tokens_path, &text, &err) < 0) {
        log_warn("no bearer tokens are known", log_str("file", server->tokens_path));
        return;
    }
    struct lines in = lines_over(server->tokens_path, buf_str(&text));
    struct str line;
    while (lines_next(&in, &line))
        add_token(server, line);
    explicit_bzero(text.ptr, text.len);
}

static bool identify_by_token(struct request *rq)
{
    const char *header = http_request_header(rq->http, "Authorization");
    const struct token *found = NULL;

    if (!header || strncasecmp(header, "Bearer ", 7) != 0)
        return false;
    read_tokens(rq->server);
    struct str given = str_trim(str_of(header + 7));
    for (const struct token *token = rq->server->tokens; token; token = token->next) {
        if (secret_equal(given, str_of(token->text)))
            found = token; /* all are looked at, so that time does not tell which */
    }
    if (!found)
        return false;
    (void)snprintf(rq->user, sizeof(rq->user), "%s", found->user);
    for (size_t i = 0; i < found->groups.count; i++)
        strv_add(&rq->groups, found->groups.items[i]);
    return true;
}

void auth_identify(struct request *rq)
{
    rq->is_known = http_request_client_cert(rq->http, rq->user, sizeof(rq->user), &rq->groups) ||
                   identify_by_token(rq);
    if (rq->is_known)
        strv_add(&rq->groups, "system:authenticated");
}

bool auth_is_allowed(const struct request *rq)
{
    return rq->is_known && !rq->groups.failed &&
           (strv_has(&rq->groups, "system:masters") || strv_has(&rq->groups, "monban:admins"));
}
