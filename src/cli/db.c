/* cli/db.c - monban db import, db update, db status. */
#include <fcntl.h>

#include "advisory/advisory.h"
#include "base/clock.h"
#include "base/fs.h"
#include "cli/commands.h"

static json_t *report_to_json(const struct advisory_report *r)
{
    json_t *faults = json_array();

    for (size_t i = 0; i < r->fault_count; i++)
        (void)json_array_append_new(faults, json_pack("{ssss}", "name", r->faults[i].name, "text",
                                                      r->faults[i].text)); /* not UTF-8: left out */
    return json_pack("{sIsIsIsIsIsIsIsIso}", "sources", (json_int_t)r->sources, "notChanged",
                     (json_int_t)r->not_changed, "read", (json_int_t)r->read, "added",
                     (json_int_t)r->added, "changed", (json_int_t)r->changed, "unchanged",
                     (json_int_t)r->unchanged, "older", (json_int_t)r->older, "malformed",
                     (json_int_t)r->malformed, "faults", faults);
}

static void print_report(struct cli *cli, const struct advisory_report *r, int64_t took_ms)
{
    if (cli->json) {
        CLEANUP(json) json_t *root = report_to_json(r);
        if (root)
            cli_print_json(root);
        return;
    }
    printf("read %u records from %u sources in %lld ms: %u new, %u changed, %u as before\n",
           r->read, r->sources, (long long)took_ms, r->added, r->changed, r->unchanged + r->older);
    if (r->not_changed)
        printf("%u sources have not changed since they were fetched\n", r->not_changed);
    if (r->malformed)
        printf("%u malformed, skipped:\n", r->malformed);
    for (size_t i = 0; i < r->fault_count; i++)
        printf("  %s: %s\n", r->faults[i].name, r->faults[i].text);
    if (r->malformed > r->fault_count)
        printf("  and %zu more\n", r->malformed - r->fault_count);
}

static int run_import(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    const char *db = NULL;
    const struct cli_option options[] = {
        {.name = "db",
         .value = "FILE",
         .help = "the database (HOME/db/advisories.db)",
         .text = &db},
        {.name = NULL},
    };
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(advisory_report) struct advisory_report report = ADVISORY_REPORT_INIT;
    CLEANUP(text) char *usual = NULL;
    int64_t start_ms = clock_monotonic_ms();
    bool done;

    if (cli_options(cli, &cli_db_import, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 1)
        return cli_usage(&cli_db_import, "one folder, archive or record, please");
    usual = fs_join(cli->home, "db/advisories.db");
    if (!usual && error_no_memory(&err) < 0)
        return cli_fail(cli, &err, NULL);
    if (advisory_import(db ? db : usual, words.items[0], clock_now_s(), &report, &err) < 0)
        return cli_fail(cli, &err, NULL);
    print_report(cli, &report, clock_monotonic_ms() - start_ms);
    return CLI_DONE;
}

const struct cli_command cli_db_import = {
    "db import", "DIR", "add advisories of an OSV dump to the database",
    "DIR holds ECOSYSTEM/all.zip as the public OSV dump does, or OSV records as .json files at any depth; one\n"
    "archive or one record works, too. Of two records with the same id the newer one counts. Malformed records\n"
    "are named and skipped. The database is replaced as a whole: a scan meanwhile sees the old or the new one.",
    run_import};

static int run_update(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    struct advisory_update_options update = {.now_s = clock_now_s()};
    const char *db = NULL;
    CLEANUP(strv) struct strv ecosystems = STRV_INIT;
    const struct cli_option options[] = {
        {.name = "url",
         .value = "URL",
         .help = "where URL/ECOSYSTEM/all.zip is",
         .text = &update.url},
        {.name = "ecosystem",
         .value = "NAME",
         .help = "which to fetch; repeat it (npm and Debian)",
         .list = &ecosystems},
        {.name = "trust",
         .value = "FILE",
         .help = "further roots",
         .text = &update.trust_bundle_path},
        {.name = "db",
         .value = "FILE",
         .help = "the database (HOME/db/advisories.db)",
         .text = &db},
        {.name = NULL},
    };
    CLEANUP(strv) struct strv words = STRV_INIT;
    CLEANUP(advisory_report) struct advisory_report report = ADVISORY_REPORT_INIT;
    CLEANUP(text) char *usual = NULL;
    int64_t start_ms = clock_monotonic_ms();
    bool done;

    if (cli_options(cli, &cli_db_update, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 0)
        return cli_usage(&cli_db_update, "no arguments, please");
    usual = fs_join(cli->home, "db/advisories.db");
    if (!usual && error_no_memory(&err) < 0)
        return cli_fail(cli, &err, NULL);
    if (ecosystems.count)
        update.ecosystems = (const char *const *)ecosystems.items;
    if (advisory_update(db ? db : usual, &update, &report, &err) < 0)
        return cli_fail(cli, &err, "monban db import DIR");
    print_report(cli, &report, clock_monotonic_ms() - start_ms);
    return CLI_DONE;
}

const struct cli_command cli_db_update = {
    "db update", "[--url URL] [--ecosystem NAME]", "fetch advisories that have changed",
    "From the public OSV dump unless --url says otherwise. Archives that the server has not changed are not\n"
    "fetched again. Without a network the database stays as it is: import a dump that was carried over.",
    run_update};

static int print_status(struct cli *cli, const struct advisory_db *db, const char *path)
{
    struct advisory_status s;
    char imported[CLOCK_TEXT_SIZE], newest[CLOCK_TEXT_SIZE], age[CLOCK_TEXT_SIZE];

    advisory_db_status(db, &s);
    clock_rfc3339(s.imported_s, imported);
    clock_rfc3339(s.newest_s, newest);
    if (cli->json) {
        json_t *list = json_array();
        CLEANUP(json) json_t *root = NULL;
        for (size_t i = 0; i < s.ecosystem_count; i++)
            (void)json_array_append_new(
                list, json_pack("{sssIsI}", "name", s.ecosystems[i].name, "packages",
                                (json_int_t)s.ecosystems[i].packages, "records",
                                (json_int_t)s.ecosystems[i].records)); /* not UTF-8: left out */
        root = json_pack("{sssssssIsIsIsIsIso}", "path", path, "version", s.version, "imported",
                         imported, "ageSeconds", (json_int_t)(clock_now_s() - s.imported_s),
                         "records", (json_int_t)s.records, "withdrawn", (json_int_t)s.withdrawn,
                         "packages", (json_int_t)s.packages, "bytes", (json_int_t)s.file_bytes,
                         "ecosystems", list);
        if (root)
            cli_print_json(root);
        return CLI_DONE;
    }
    printf("%s: %llu bytes, %s\n", path, (unsigned long long)s.file_bytes, s.version);
    printf("imported %s, %s ago; newest record of %s\n", imported,
           clock_age(clock_now_s() - s.imported_s, age), newest);
    printf("%u records (%u withdrawn) of %u packages\n", s.records, s.withdrawn, s.packages);
    for (size_t i = 0; i < s.ecosystem_count; i++)
        printf("  %-24s %8u records %8u packages\n", s.ecosystems[i].name, s.ecosystems[i].records,
               s.ecosystems[i].packages);
    return CLI_DONE;
}

static int run_status(struct cli *cli, int argc, char **argv)
{
    struct error err = ERROR_INIT;
    const char *path = NULL;
    const struct cli_option options[] = {
        {.name = "db",
         .value = "FILE",
         .help = "the database (HOME/db/advisories.db)",
         .text = &path},
        {.name = NULL},
    };
    CLEANUP(text) char *usual = NULL;
    CLEANUP(advisory_db) struct advisory_db *db = NULL;
    CLEANUP(strv) struct strv words = STRV_INIT;
    bool done;

    if (cli_options(cli, &cli_db_status, argc, argv, options, &words, &done) < 0)
        return CLI_USAGE;
    if (done)
        return CLI_DONE;
    if (words.count != 0)
        return cli_usage(&cli_db_status, "no arguments, please");
    usual = fs_join(cli->home, "db/advisories.db");
    if (!usual && error_no_memory(&err) < 0)
        return cli_fail(cli, &err, NULL);
    if (advisory_db_open(path ? path : usual, &db, &err) < 0 || advisory_db_verify(db, &err) < 0)
        return cli_fail(cli, &err, "monban db update (or: monban db import DIR)");
    return print_status(cli, db, path ? path : usual);
}

const struct cli_command cli_db_status = {
    "db status", "", "age, size and content of the advisory database", NULL, run_status};
