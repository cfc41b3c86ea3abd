/* kube/status.c - answers of the API server: Status objects → struct error, good bodies → json_t.
 */
#include "kube/kube_internal.h"

static enum error_kind kind_of(int code)
{
    switch (code) {
    case 400:
    case 422:
        return ERR_INVALID;
    case 401:
    case 403:
        return ERR_DENIED;
    case 404:
        return ERR_NOT_FOUND;
    case 405:
    case 406:
    case 415:
    case 501:
        return ERR_UNSUPPORTED;
    case 408:
    case 504:
        return ERR_TIMEOUT;
    case 409:
        return ERR_CONFLICT;
    case 413:
    case 507:
        return ERR_LIMIT;
    case 410:
    case 429:
        return ERR_UNAVAILABLE;
    default:
        return code >= 500 ? ERR_UNAVAILABLE : ERR_SYSTEM;
    }
}

int kube_status_error(int http_status, struct str body, struct error *err)
{
    struct error parse_err = ERROR_INIT;
    CLEANUP(json) json_t *status = NULL;
    const char *message = NULL;

    if (json_parse("answer", str_first(body, KUBE_ERROR_BODY_MAX), &status, &parse_err) == 0)
        message = json_str_at(status, "message");
    error_clear(&parse_err); /* not every error comes with a Status: proxies speak HTML */
    if (message && *message)
        return error_set(err, kind_of(http_status), "%s", message);
    struct str text = str_trim(str_first(body, 200));
    return error_set(err, kind_of(http_status), "the API server answered %d%s%.*s", http_status,
                     text.len ? ": " : "", STR_ARG(text));
}

/* Items of a typed list usually omit apiVersion and kind (API conventions, "Lists are named
 * kinds"). */
void kube_name_items(json_t *list)
{
    const char *kind = json_str_at(list, "kind");
    const char *api_version = json_str_at(list, "apiVersion");
    json_t *items = json_object_get(list, "items");
    size_t i;
    json_t *item;

    if (!kind || !api_version || !str_ends(str_of(kind), STR("List")))
        return;
    size_t len = strlen(kind) - 4;
    json_array_foreach(items, i, item)
    {
        if (json_object_get(item, "kind"))
            continue;
        (void)json_object_set_new(item, "apiVersion", json_string(api_version));
        (void)json_object_set_new(item, "kind", json_stringn(kind, len));
    }
}

int kube_answer_parse(struct str body, json_t **ret, struct error *err)
{
    CLEANUP(json) json_t *answer = NULL;

    if (json_parse("the API server's answer", body, &answer, err) < 0)
        return -1;
    if (!json_is_object(answer))
        return error_set(err, ERR_INVALID, "expected an object as the API server's answer");
    if (json_is_array(json_object_get(answer, "items")))
        kube_name_items(answer);
    *ret = TAKE(answer);
    return 0;
}
