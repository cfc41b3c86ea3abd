/* cli/gate.c - monban gate, gate repository, plumbing push-hook. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/log.h"
#include "cli/commands.h"
#include "gate/gate.h"
#include "source/source.h"

enum { WORDS_MAX = 64 << 20 }; /* bytes of a walk's output: builds talk a lot */

static int run_gate(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    const char *listen = NULL, *port_text = NULL, *ready = NULL;
    const struct cli_option options[] = {
        {.name = "listen",
         .value = "ADDRESS",
         .help = "IPv4 address of the registry",
         .text = &listen},
        {.name = "port", .value = "N", .help = "its port (5000)", .text = &port_text},
        {.name = "ready-fd", .value = "FD", .help = "gets a byte once all listens", .text = &ready},
        {.name = NULL},
    };
    uint64_t port = 0, ready_fd = 0;
    bool done;

    if (cli_options(cli, &cli_gate, argc, argv, options, NULL, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (port_text && (!str_to_u64(str_of(port_text), &port) || port == 0 || port > 65535))
        return cli_usage(&cli_gate, "'%s' is no port", port_text);
    if (ready && (!str_to_u64(str_of(ready), &ready_fd) || ready_fd > 1000))
        return cli_usage(&cli_gate, "'%s' is no descriptor", ready);
    log_setup(STDERR_FILENO, LOG_INFO, "gate");
    const struct gate_options gate = {.home = cli->home,
                                      .program = cli->program,
                                      .listen = listen,
                                      .port = (uint16_t)port,
                                      .ready_fd = (int)ready_fd};
    if (gate_prepare(cli->home, &err) < 0 || gate_run(&gate, &err) < 0)
        return cli_fail(cli, &err, "monban up");
    return CLI_DONE;
}

const struct cli_command cli_gate = {
    "gate", "[--listen ADDRESS]", "the daemon of the build cluster: commits in, releases out",
    "Runs in the foreground until SIGTERM. 'monban up' starts it for the clusters of one machine.",
    run_gate};

static int run_repository(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(text) char *path = NULL;
    bool done;

    if (cli_options(cli, &cli_gate_repository, argc, argv, NULL, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 1)
        return cli_usage(&cli_gate_repository, "one app's name, please");
    if (gate_repository(cli->home, cli->program, words.items[0], &path, &err) < 0)
        return cli_fail(cli, &err, NULL);
    if (cli->json)
        printf("{\"repository\":\"%s\"}\n", path);
    else
        printf("%s\n", path);
    return CLI_DONE;
}

const struct cli_command cli_gate_repository = {
    "gate repository", "APP", "make an app's git repository at the gate, and print its path",
    "Push to it: git push $(monban gate repository APP) main", run_repository};

static void print_line(struct str line, void *ctx)
{
    (void)ctx;
    printf("%.*s\n", STR_ARG(line));
    (void)fflush(stdout); /* git shows it as it comes; a closed pipe changes nothing */
}

static bool is_zero(struct str id)
{
    return id.len > 0 && strspn(id.ptr, "0") >= id.len;
}

/* Only the default branch walks the road; others are kept, for the developers' own use. */
static int hand_over(struct cli *cli, const char *app, struct str line, struct error *err)
{
    struct str old_id = str_word(&line);
    struct str new_id = str_word(&line);
    struct str ref = str_word(&line);
    CLEANUP(text) char *old = str_dup(old_id);
    CLEANUP(text) char *commit = str_dup(new_id);
    CLEANUP(text) char *ref_text = str_dup(ref);
    int code = CLI_FAILED;

    if (!old || !commit || !ref_text)
        return error_no_memory(err);
    if (is_zero(new_id))
        return 0;
    if (!str_is(ref, "refs/heads/main") && !str_is(ref, "refs/heads/master")) {
        printf("monban: %s is kept; only main walks the road\n", ref_text);
        return 0;
    }
    /* git gives hooks their environment; main() has read it for us. */
    const char *objects = NULL;
    for (const char *const *e = cli->envp; *e; e++) {
        if (str_starts(str_of(*e), STR("GIT_OBJECT_DIRECTORY=")))
            objects = *e + strlen("GIT_OBJECT_DIRECTORY=");
    }
    const char *slash = objects ? strrchr(objects, '/') : NULL;
    const struct gate_request request = {.app = app,
                                         .ref = ref_text,
                                         .commit = commit,
                                         .old = old,
                                         .objects = slash ? slash + 1 : objects};
    if (gate_submit(cli->home, &request, print_line, NULL, &code, err) < 0)
        return -1;
    return code;
}

static int run_push_hook(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(buf) struct buf input = BUF_INIT(1 << 20);
    struct str line;
    bool done;
    int worst = CLI_DONE;

    if (cli_options(cli, &cli_push_hook, argc, argv, NULL, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 1)
        return cli_usage(&cli_push_hook, "one app's name, please");
    if (io_read_all(STDIN_FILENO, &input, &err) < 0)
        return cli_fail(cli, &err, NULL);
    struct lines lines = lines_over("push", buf_str(&input));
    while (lines_next(&lines, &line)) {
        int code = hand_over(cli, words.items[0], line, &err);
        if (code < 0)
            return cli_fail(cli, &err, "monban up, then push again");
        if (code > worst)
            worst = code;
    }
    return worst;
}

const struct cli_command cli_push_hook = {
    "plumbing push-hook", "APP", "what git runs when commits are pushed to the gate",
    "Reads 'OLD NEW REF' lines as git gives them to a pre-receive hook. A refusal refuses the push.",
    run_push_hook};

/* A branch, a tag or an id, as the gate's repository knows it. */
static int find_commit(const struct cli *cli, const char *app, const char *word,
                       char ret[SOURCE_COMMIT_SIZE], struct error *err)
{
    CLEANUP(text) char *repository = str_format("%s/gate/git/%s.git", cli->home, app);

    if (!repository)
        return error_no_memory(err);
    if (!source_name_is_fit(app) || !fs_exists(AT_FDCWD, repository))
        return error_set(err, ERR_NOT_FOUND, "the gate has no repository of '%s'", app);
    return source_resolve(repository, word, ret, err);
}

static int run_gate_walk(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(strv) struct strv words = STRV_INIT;
    char commit[SOURCE_COMMIT_SIZE];
    bool done;
    int code = CLI_FAILED;

    if (cli_options(cli, &cli_gate_walk, argc, argv, NULL, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 2)
        return cli_usage(&cli_gate_walk, "an app and a commit, please");
    if (find_commit(cli, words.items[0], words.items[1], commit, &err) < 0)
        return cli_fail(cli, &err, "git push gate HEAD:refs/heads/try");
    const struct gate_request request = {
        .app = words.items[0], .ref = "refs/heads/main", .commit = commit};
    if (gate_submit(cli->home, &request, print_line, NULL, &code, &err) < 0)
        return cli_fail(cli, &err, "monban up");
    return code;
}

const struct cli_command cli_gate_walk = {
    "gate walk", "APP COMMIT", "walk a commit that is at the gate already, again",
    "COMMIT is an id, a branch or a tag. After the platform changed, or new advisories came.\nExit code 3: refused.",
    run_gate_walk};

static const char *text_at(const json_t *object, const char *path)
{
    const char *text = json_str_at(object, path);

    return text ? text : "-";
}

static void print_walk(const json_t *app)
{
    const json_t *watch = json_object_get(app, "watch");
    char number[24] = "-";
    int64_t sequence = json_int_at(app, "sequence", 0);

    if (sequence)
        (void)snprintf(number, sizeof number, "%lld", (long long)sequence);
    printf("%-20s %-10s %-8s %-12.12s %-21s %s\n", text_at(app, "app"), text_at(app, "state"),
           number, text_at(app, "commit"), text_at(app, "at"), text_at(app, "subject"));
    if (!watch)
        return;
    printf("    watches %s of %s\n", text_at(watch, "branch"), text_at(watch, "url"));
    if (json_str_at(watch, "error"))
        printf("    not fetched since %s: %s\n    owner: the platform team\n"
               "    next: correct spec.sources of platform.yaml, then monban up --platform DIR\n",
               text_at(watch, "since"), text_at(watch, "error"));
}

static int say_last_words(struct cli *cli, const char *app)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT(WORDS_MAX);

    if (gate_last_words(cli->home, app, &text, &err) < 0)
        return cli_fail(cli, &err, "git push $(monban gate repository APP) main");
    (void)fwrite(buf_text(&text), 1, text.len, stdout); /* a closed pipe changes nothing */
    return CLI_DONE;
}

static int run_gate_status(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(json) json_t *apps = NULL;
    size_t i;
    const json_t *app;
    bool done;

    if (cli_options(cli, &cli_gate_status, argc, argv, NULL, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count > 1)
        return cli_usage(&cli_gate_status, "at most one app's name, please");
    if (words.count == 1 && !cli->json)
        return say_last_words(cli, words.items[0]);
    if (gate_status(cli->home, &apps, &err) < 0)
        return cli_fail(cli, &err, NULL);
    if (cli->json) {
        cli_print_json(apps);
        return CLI_DONE;
    }
    printf("%-20s %-10s %-8s %-12s %-21s %s\n", "APP", "LAST WALK", "RELEASE", "COMMIT", "AT",
           "SUBJECT");
    json_array_foreach(apps, i, app)
    {
        print_walk(app);
    }
    return CLI_DONE;
}

const struct cli_command cli_gate_status = {
    "gate status", "[APP]", "how the last walk of each app ended, or what that of one app said",
    "Also of repositories that are watched: why one cannot be fetched.", run_gate_status};
