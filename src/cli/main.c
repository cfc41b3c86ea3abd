/* cli/main.c - finds the command in the table and runs it. Only here the environment is read. */
#include <locale.h>
#include <signal.h>
#include <unistd.h>

#include "base/home.h"
#include "base/log.h"
#include "cli/commands.h"

extern char **environ;

static void print_table(FILE *to)
{
    fprintf(to, "Monban: from a commit to production, in two loops.\n\nusage: monban COMMAND "
                "[options]\n\n");
    for (const struct cli_command *const *c = cli_table; *c; c++)
        fprintf(to, "  %-20s %s\n", (*c)->name, (*c)->summary);
    fprintf(to,
            "\nmonban COMMAND --help explains one. Exit codes: 0 done, 1 failed, 2 wrong usage, "
            "3 refused.\n");
}

/* How many words of argv the command's name takes ("cluster create": 2), or 0. */
static int words_matched(const char *name, int argc, char **argv)
{
    struct str rest = str_of(name);
    int count = 0;

    while (rest.len > 0) {
        struct str word = str_word(&rest);
        if (count >= argc || !str_is(word, argv[count]))
            return 0;
        count++;
    }
    return count;
}

static const struct cli_command *find_command(int argc, char **argv, int *ret_words)
{
    const struct cli_command *found = NULL;

    *ret_words = 0;
    for (const struct cli_command *const *c = cli_table; *c; c++) {
        int words = words_matched((*c)->name, argc, argv);
        if (words > *ret_words) {
            found = *c;
            *ret_words = words;
        }
    }
    return found;
}

/* Levenshtein distance, for names of at most 31 letters. */
static size_t distance(const char *a, const char *b)
{
    size_t row[32], la = strlen(a), lb = strlen(b);

    if (la > 31 || lb > 31)
        return 99;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t above = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[lb];
}

static int unknown_command(const char *word)
{
    const char *nearest = NULL;
    size_t best = 3;

    for (const struct cli_command *const *c = cli_table; *c; c++) {
        struct str rest = str_of((*c)->name);
        CLEANUP(text) char *first = str_dup(str_word(&rest));
        size_t d = first ? distance(word, first) : 99;
        if (d < best) {
            best = d;
            nearest = (*c)->name;
        }
    }
    fprintf(stderr, "monban: unknown command '%s'%s%s%s\nnext: monban help\n", word,
            nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    return CLI_USAGE;
}

static bool wants_debug(void)
{
    const char *value = getenv("MONBAN_LOG");

    return value && strcmp(value, "debug") == 0;
}

int main(int argc, char **argv)
{
    struct cli cli = {.envp = (const char *const *)environ};
    struct error err = ERROR_INIT;
    char program[4096];
    int words;

    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* without it text is bytes, which also works */
    (void)signal(SIGPIPE, SIG_IGN);       /* a peer that leaves is an error of the write */
    log_setup(STDERR_FILENO, wants_debug() ? LOG_DEBUG : LOG_INFO, "");
    cli.color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    cli.progress = isatty(STDERR_FILENO);
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len < 0) {
        (void)error_errno(&err, "cannot tell where this program is");
        return cli_fail(&cli, &err, NULL);
    }
    program[len] = 0;
    cli.program = program;
    if (home_path(NULL, &cli.home, &err) < 0)
        return cli_fail(&cli, &err, NULL);

    int code;
    if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0) {
        print_table(argc < 2 ? stderr : stdout);
        code = argc < 2 ? CLI_USAGE : CLI_DONE;
    } else {
        const struct cli_command *command = find_command(argc - 1, argv + 1, &words);
        code = command ? command->run(&cli, argc - words, argv + words) : unknown_command(argv[1]);
    }
    free(cli.home);
    if (fflush(stdout) != 0)
        code = code == CLI_DONE ? CLI_FAILED : code;
    return code;
}
