/* cli/plumbing.c - see cli/plumbing.h. Here: documents to compact JSON, a document a line. */
#include "cli/plumbing.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"
#include "cli/commands.h"
#include "wire/doc.h"

enum { LINE_MAX_BYTES = 16 << 20, OUTPUT_MAX = 512 << 20 };

/* What --help and wrong usage leave to say; -1: go on. */
static int parse_arguments(struct cli *cli, const struct cli_command *command, int argc,
                           char **argv, const char **word)
{
    CLEANUP(strv) struct strv words = STRV_INIT;
    bool done = false;

    if (cli_options(cli, command, argc, argv, NULL, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != (word ? 1 : 0))
        return cli_usage(command, word ? "one argument, please" : "no arguments, please");
    for (int i = 1; word && i < argc; i++) {
        if (strcmp(argv[i], words.items[0]) == 0)
            *word = argv[i]; /* outlives `words` */
    }
    return -1;
}

int plumbing_lines(struct cli *cli, const struct cli_command *command, int argc, char **argv,
                   const char **word, plumbing_line_fn *answer, void *ctx)
{
    CLEANUP(buf) struct buf out = BUF_INIT(LINE_MAX_BYTES);
    CLEANUP(text) char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    int code = parse_arguments(cli, command, argc, argv, word);

    if (code >= 0)
        return code;
    code = CLI_DONE;
    while ((len = getline(&line, &capacity, stdin)) >= 0) {
        struct str text = str_trim_end(str_slice(line, (size_t)len), '\n');
        struct error err = ERROR_INIT;
        buf_clear(&out);
        if (!answer(text, &out, ctx))
            code = CLI_FAILED;
        if (buf_ok(&out, &err) < 0)
            return cli_fail(cli, &err, NULL);
        buf_add_char(&out, '\n');
        if (fwrite(out.ptr, 1, out.len, stdout) != out.len)
            return CLI_FAILED;
        (void)fflush(stdout); /* a caller may ask and wait, line by line; a failure is sticky */
    }
    return ferror(stdout) ? CLI_FAILED : code;
}

/* "line:column: message", without the name of a file that there is not. */
static int fail_at(const struct error *err)
{
    static const char name[] = "stdin:";
    const char *place = err->place;

    if (strncmp(place, name, sizeof name - 1) == 0)
        fprintf(stderr, "%s: %s\n", place + sizeof name - 1, err->text);
    else
        fprintf(stderr, "%s\n", err->text);
    return CLI_FAILED;
}

/* Fills `out` with a line for each document of `text`. */
typedef int convert_fn(struct str text, struct buf *out, struct error *err);

static int add_document(const json_t *root, struct buf *out, struct error *err)
{
    if (json_write(root, false, out, err) < 0)
        return -1;
    buf_add_char(out, '\n');
    return 0;
}

static int convert_yaml(struct str text, struct buf *out, struct error *err)
{
    CLEANUP(docs) struct docs docs = {0};

    if (yaml_parse_with("stdin", text, DOC_KEEP_EMPTY | DOC_ALLOW_NUL, &docs, err) < 0)
        return -1;
    for (size_t i = 0; i < docs.count; i++) {
        if (add_document(doc_root(docs.items[i]), out, err) < 0)
            return -1;
    }
    return 0;
}

static int convert_toml(struct str text, struct buf *out, struct error *err)
{
    CLEANUP(doc) struct doc *doc = NULL;

    if (toml_parse_with("stdin", text, DOC_ALLOW_NUL, &doc, err) < 0)
        return -1;
    return add_document(doc_root(doc), out, err);
}

static int convert_json(struct str text, struct buf *out, struct error *err)
{
    CLEANUP(json) json_t *root = NULL;

    if (json_parse_with_nul("stdin", text, &root, err) < 0)
        return -1;
    return add_document(root, out, err);
}

static int run_convert(struct cli *cli, const struct cli_command *command, int argc, char **argv,
                       convert_fn *convert)
{
    CLEANUP(buf) struct buf text = BUF_INIT(JSON_BYTES_MAX + 1);
    CLEANUP(buf) struct buf out = BUF_INIT(OUTPUT_MAX);
    struct error err = ERROR_INIT;
    int code = parse_arguments(cli, command, argc, argv, NULL);

    if (code >= 0)
        return code;
    if (io_read_all(STDIN_FILENO, &text, &err) < 0)
        return cli_fail(cli, &err, NULL);
    if (convert(buf_str(&text), &out, &err) < 0 || buf_ok(&out, &err) < 0)
        return fail_at(&err);
    if (io_write(STDOUT_FILENO, out.ptr, out.len, &err) < 0)
        return cli_fail(cli, &err, NULL);
    return CLI_DONE;
}

static int run_yaml2json(struct cli *cli, int argc, char **argv)
{
    return run_convert(cli, &cli_yaml2json, argc, argv, convert_yaml);
}

static int run_toml2json(struct cli *cli, int argc, char **argv)
{
    return run_convert(cli, &cli_toml2json, argc, argv, convert_toml);
}

static int run_json(struct cli *cli, int argc, char **argv)
{
    return run_convert(cli, &cli_json, argc, argv, convert_json);
}

const struct cli_command cli_yaml2json = {
    "plumbing yaml2json", "", "YAML on standard input to JSON, a document a line",
    "Scalars are read as Kubernetes reads them, except that yes, no, on and off are text. What is\n"
    "not valid is said on standard error as LINE:COLUMN: MESSAGE, with exit code 1.",
    run_yaml2json};

const struct cli_command cli_toml2json = {
    "plumbing toml2json", "", "TOML on standard input to JSON on one line",
    "Dates and times become strings. What is not valid is said on standard error as\n"
    "LINE:COLUMN: MESSAGE, with exit code 1.",
    run_toml2json};

const struct cli_command cli_json = {
    "plumbing json", "", "JSON on standard input to the same on one line",
    "Members keep their order; duplicate keys are refused. What is not valid is said on standard\n"
    "error as LINE:COLUMN: MESSAGE, with exit code 1.",
    run_json};
