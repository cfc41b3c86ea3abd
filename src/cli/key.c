/* cli/key.c - monban key new, monban key show: signing keys that cosign reads too. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "cli/commands.h"
#include "sign/sign.h"

enum { KEY_FILE_MAX = 64 << 10 };

/* MONBAN_KEY_PASSWORD, else cosign's own variable, else empty. Borrowed from the environment. */
static struct str key_password(const struct cli *cli)
{
    static const char *const names[] = {"MONBAN_KEY_PASSWORD=", "COSIGN_PASSWORD="};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (const char *const *e = cli->envp; e && *e; e++)
            if (str_starts(str_of(*e), str_of(names[i])))
                return str_skip(str_of(*e), strlen(names[i]));
    return STR("");
}

static int print_key(const struct cli *cli, const char *path, const char *pem, struct error *err)
{
    struct digest id;

    if (sign_public_id(path, str_of(pem), &id, err) < 0)
        return -1;
    if (!cli->json) {
        printf("# %s\n# %s\n%s", path, id.text, pem);
        return 0;
    }
    CLEANUP(json)
    json_t *root = json_pack("{s:s, s:s, s:s}", "path", path, "id", id.text, "publicKey", pem);
    if (!root)
        return error_no_memory(err);
    cli_print_json(root);
    return 0;
}

static int make_key(const struct cli *cli, const char *dir, const char *name, struct error *err)
{
    CLEANUP(sign_key) struct sign_key *key = NULL;
    CLEANUP(buf) struct buf pem = BUF_INIT(KEY_FILE_MAX);
    CLEANUP(text) char *path = str_format("%s/%s.pub", dir, name);

    if (!path)
        return error_no_memory(err);
    if (sign_key_make(&key, err) < 0 ||
        sign_key_write(key, dir, name, key_password(cli), err) < 0 ||
        sign_key_public_pem(key, &pem, err) < 0)
        return -1;
    return print_key(cli, path, buf_text(&pem), err);
}

static int run_key_new(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(strv) struct strv words = STRV_INIT;
    const char *dir = ".";
    bool done;
    const struct cli_option options[] = {
        {.name = "dir", .value = "DIR", .help = "where to write it; default: here", .text = &dir},
        {.name = NULL},
    };

    if (cli_options(cli, &cli_key_new, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 1 || strchr(words.items[0], '/') || words.items[0][0] == '.')
        return cli_usage(&cli_key_new, "one name for the key, please");
    if (make_key(cli, dir, words.items[0], &err) < 0)
        return cli_fail(cli, &err, NULL);
    return CLI_DONE;
}

const struct cli_command cli_key_new = {
    "key new", "NAME [--dir DIR]", "make a signing key: NAME.key (encrypted) and NAME.pub",
    "ECDSA P-256, in the files that cosign writes. The password comes from MONBAN_KEY_PASSWORD, "
    "else COSIGN_PASSWORD, else it is empty.",
    run_key_new};

/* A .pub file as it is; of a private key its public half. */
static int show_key(const struct cli *cli, const char *path, struct error *err)
{
    CLEANUP(buf) struct buf text = BUF_INIT(KEY_FILE_MAX);
    CLEANUP(buf) struct buf pem = BUF_INIT(KEY_FILE_MAX);
    CLEANUP(sign_key) struct sign_key *key = NULL;

    if (fs_read_at(AT_FDCWD, path, &text, err) < 0)
        return -1;
    if (str_find_text(buf_str(&text), STR("PUBLIC KEY")) >= 0)
        return print_key(cli, path, buf_text(&text), err);
    if (sign_key_parse(path, buf_str(&text), key_password(cli), &key, err) < 0 ||
        sign_key_public_pem(key, &pem, err) < 0)
        return -1;
    return print_key(cli, path, buf_text(&pem), err);
}

static int run_key_show(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(strv) struct strv words = STRV_INIT;
    bool done;

    if (cli_options(cli, &cli_key_show, argc, argv, NULL, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count > 1)
        return cli_usage(&cli_key_show, "at most one file, please");
    CLEANUP(text)
    char *path =
        words.count ? str_dup(str_of(words.items[0])) : fs_join(cli->home, "gate/keys/release.pub");
    if (!path)
        (void)error_no_memory(&err);
    if (!path || show_key(cli, path, &err) < 0)
        return cli_fail(cli, &err, NULL);
    return CLI_DONE;
}

const struct cli_command cli_key_show = {
    "key show", "[FILE]", "print a public key and its id; default: the gate's release key",
    "FILE is a .pub or a .key file; the password of a .key is taken as for 'key new'.",
    run_key_show};
