/* cli/cli.c - see cli/cli.h: options, help, errors. */
#include "cli/cli.h"

#include <stdarg.h>

#include "base/home.h"

enum { OUTPUT_MAX = 256 << 20 };

static const struct cli_option common_options[] = {
    {.name = "home", .value = "DIR", .help = "the state folder"},
    {.name = "output", .letter = 'o', .value = "json", .help = "print JSON"},
    {.name = "help", .letter = 'h', .help = "this text"},
    {.name = NULL},
};

static void option_left(const struct cli_option *option, char *out, size_t size)
{
    /* Cut to fit by design: names are ours and short. */
    if (option->letter)
        (void)snprintf(out, size, "-%c, --%s%s%s", option->letter, option->name,
                       option->value ? " " : "", option->value ? option->value : "");
    else
        (void)snprintf(out, size, "--%s%s%s", option->name, option->value ? " " : "",
                       option->value ? option->value : "");
}

static void print_options(const struct cli *cli, const struct cli_option *options)
{
    char left[64];

    for (const struct cli_option *o = options; o && o->name; o++) {
        option_left(o, left, sizeof left);
        if (cli->help == CLI_HELP_MAN)
            printf(".TP\n.B %s\n%s\n", left, o->help);
        else if (cli->help == CLI_HELP_MARKDOWN)
            printf("- `%s`: %s\n", left, o->help);
        else
            printf("  %s%-*s %s\n", o->letter ? "" : "    ", o->letter ? 28 : 24, left, o->help);
    }
}

static void print_help(const struct cli *cli, const struct cli_command *command,
                       const struct cli_option *options)
{
    const char *space = command->usage[0] ? " " : "";
    const char *text = command->help ? command->help : "";

    switch (cli->help) {
    case CLI_HELP_TEXT:
        printf("usage: monban %s%s%s\n\n%s\n\n%s%soptions:\n", command->name, space, command->usage,
               command->summary, text, text[0] ? "\n\n" : "");
        break;
    case CLI_HELP_MAN:
        printf(".TH MONBAN 1\n.SH NAME\nmonban %s \\- %s\n.SH SYNOPSIS\n.B monban %s%s%s\n",
               command->name, command->summary, command->name, space, command->usage);
        if (text[0])
            printf(".SH DESCRIPTION\n%s\n", text);
        printf(".SH OPTIONS\n");
        break;
    case CLI_HELP_MARKDOWN:
        printf("## monban %s\n\n`monban %s%s%s`: %s.\n\n%s%s", command->name, command->name, space,
               command->usage, command->summary, text, text[0] ? "\n\n" : "");
        break;
    }
    print_options(cli, options);
    if (cli->help != CLI_HELP_MARKDOWN)
        print_options(cli, common_options);
    if (cli->help == CLI_HELP_MAN)
        printf(".SH EXIT STATUS\n0 done; 1 failed; 2 wrong usage; 3 refused by the gate or a "
               "check.\n");
}

int cli_usage(const struct cli_command *command, const char *format, ...)
{
    va_list args;

    fputs("monban: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args); /* nothing to do about a closed terminal */
    va_end(args);
    fprintf(stderr, "\nusage: monban %s%s%s\nnext: monban %s --help\n", command->name,
            command->usage[0] ? " " : "", command->usage, command->name);
    return CLI_USAGE;
}

static const struct cli_option *find_option(const struct cli_option *options, struct str name)
{
    for (const struct cli_option *o = options; o && o->name; o++) {
        if (str_is(name, o->name) || (name.len == 1 && o->letter == name.ptr[0]))
            return o;
    }
    return NULL;
}

static int set_option(const struct cli_option *option, const char *value, struct error *err)
{
    if (option->flag)
        *option->flag = true;
    if (option->text)
        *option->text = value;
    if (option->list)
        strv_add(option->list, value);
    return option->list ? strv_ok(option->list, err) : 0;
}

struct parse {
    struct cli *cli;
    const struct cli_command *command;
    const struct cli_option *options;
    const char *output;
    const char *home;
    bool help;
};

/* One "--name[=value]" or "-x [value]"; *at is moved over a value of its own. */
static int parse_option(struct parse *parse, int argc, char **argv, int *at)
{
    const struct cli_option common[] = {
        {.name = "home", .value = "DIR", .text = &parse->home},
        {.name = "output", .letter = 'o', .value = "FORMAT", .text = &parse->output},
        {.name = "help", .letter = 'h', .flag = &parse->help},
        {.name = NULL},
    };
    struct error err = ERROR_INIT;
    struct str rest = str_of(argv[*at]);
    bool is_long = str_starts(rest, STR("--"));

    rest = str_skip(rest, is_long ? 2 : 1);
    struct str name = is_long ? str_cut(&rest, '=') : str_first(rest, 1);
    if (!is_long)
        rest = rest.len > 1 ? str_skip(rest, 1) : STR_NONE;
    const struct cli_option *option = find_option(parse->options, name);
    if (!option)
        option = find_option(common, name);
    if (!option)
        return cli_usage(parse->command, "unknown option '%s'", argv[*at]);
    const char *value = NULL;
    if (option->value && rest.ptr) {
        value = rest.ptr; /* the end of an argument: terminated */
    } else if (option->value) {
        if (*at + 1 >= argc)
            return cli_usage(parse->command, "option '%s' needs %s", argv[*at], option->value);
        value = argv[++*at];
    } else if (rest.ptr) {
        return cli_usage(parse->command, "option '--%s' takes no value", option->name);
    }
    if (set_option(option, value, &err) < 0)
        return cli_fail(parse->cli, &err, NULL);
    return 0;
}

int cli_options(struct cli *cli, const struct cli_command *command, int argc, char **argv,
                const struct cli_option *options, struct strv *words, bool *ret_done)
{
    struct parse parse = {.cli = cli, .command = command, .options = options};
    bool only_words = false;

    *ret_done = false;
    for (int i = 1; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
            if (parse_option(&parse, argc, argv, &i) != 0)
                return -1;
        } else if (words) {
            strv_add(words, argv[i]);
        } else {
            (void)cli_usage(command, "unexpected argument '%s'", argv[i]);
            return -1;
        }
    }
    if (parse.help) {
        print_help(cli, command, options);
        *ret_done = true;
        return 0;
    }
    if (parse.output && strcmp(parse.output, "json") != 0) {
        (void)cli_usage(command, "unknown output '%s': only json", parse.output);
        return -1;
    }
    if (parse.output)
        cli->json = true;
    if (parse.home) {
        struct error err = ERROR_INIT;
        char *home = NULL;
        if (home_path(parse.home, &home, &err) < 0) {
            (void)cli_fail(cli, &err, NULL);
            return -1;
        }
        free(cli->home);
        cli->home = home;
    }
    return 0;
}

int cli_fail(const struct cli *cli, const struct error *err, const char *next)
{
    bool refused = err->kind == ERR_DENIED || err->kind == ERR_UNTRUSTED;
    char text[ERROR_TEXT_MAX + ERROR_PLACE_MAX];

    error_format(err, text, sizeof text);
    if (cli->json) {
        json_t *root = json_pack("{s:s, s:s, s:s?}", "error", text, "kind",
                                 error_kind_name(err->kind), "next", next);
        if (root)
            cli_print_json(root);
        json_decref(root);
    }
    fprintf(stderr, "monban: %s\n", text);
    if (next)
        fprintf(stderr, "next: %s\n", next);
    return refused ? CLI_REFUSED : CLI_FAILED;
}

void cli_print_json(const json_t *root)
{
    struct error err = ERROR_INIT;
    CLEANUP(buf) struct buf text = BUF_INIT(OUTPUT_MAX);

    if (json_write_pretty(root, &text, &err) < 0) {
        fprintf(stderr, "monban: cannot print: %s\n", err.text);
        return;
    }
    (void)fwrite(buf_text(&text), 1, text.len, stdout); /* a closed pipe ends us by SIGPIPE */
    (void)fflush(stdout);
}
