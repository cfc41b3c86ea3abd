/* advisory/update_test.c - fetching the dump from a server on loopback: what has not changed is not
 * fetched again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "advisory/advisory.h"
#include "base/fs.h"
#include "wire/http_server.h"

static const char record[] =
    "{\"id\":\"GHSA-1\",\"modified\":\"2024-01-01T00:00:00Z\",\"affected\":[{\"package\":{\"ecosystem\":"
    "\"npm\",\"name\":\"a\"},\"ranges\":[{\"type\":\"SEMVER\",\"events\":[{\"introduced\":\"0\"}]}]}]}";

struct site { /* what the server gives */
    char zip[65536];
    size_t zip_len;
};

static void make_zip(struct site *site)
{
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();

    assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
    assert_int_equal(archive_write_set_bytes_per_block(a, 0), ARCHIVE_OK);
    assert_int_equal(archive_write_open_memory(a, site->zip, sizeof site->zip, &site->zip_len),
                     ARCHIVE_OK);
    archive_entry_set_pathname(entry, "GHSA-1.json");
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_size(entry, sizeof record - 1);
    assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, record, sizeof record - 1), sizeof record - 1);
    archive_entry_free(entry);
    assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

static void answer(struct http_request *req, void *ctx)
{
    const struct site *site = ctx;
    const char *condition = http_request_header(req, "If-None-Match");
    const struct http_header headers[] = {{"ETag", "\"one\""}, {NULL, NULL}};

    if (strcmp(http_request_path(req), "/npm/all.zip") != 0)
        http_respond(req, 404, NULL, STR("no such dump"));
    else if (condition && strcmp(condition, "\"one\"") == 0)
        http_respond(req, 304, headers, STR(""));
    else
        http_respond(req, 200, headers, str_slice(site->zip, site->zip_len));
}

/* The server is a process of its own: the client blocks. */
static void serve(int listen_fd, struct site *site)
{
    struct http_server_options options = {.listen_fd = listen_fd, .body_max = 1024};
    struct http_server *server = NULL;
    struct loop *loop = NULL;
    struct error err = ERROR_INIT;

    if (loop_new(&loop, &err) < 0 ||
        http_server_new(loop, &options, answer, site, &server, &err) < 0 ||
        loop_run(loop, &err) < 0)
        _exit(1);
    _exit(0);
}

struct fixture {
    char *folder, *db, *url; /* owned */
    struct site site;
    pid_t server;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct error err = ERROR_INIT;
    uint16_t port;
    int fd = -1;

    assert_non_null(f);
    make_zip(&f->site);
    assert_int_equal(fs_make_temp_dir("/tmp/update-test-", &f->folder, &err), 0);
    assert_int_equal(io_listen_tcp("127.0.0.1", 0, -1, &fd, &port, &err), 0);
    f->db = str_format("%s/db/advisories.db", f->folder);
    f->url = str_format("http://127.0.0.1:%u", port);
    f->server = fork();
    assert_true(f->server >= 0);
    if (f->server == 0)
        serve(fd, &f->site);
    io_close(&fd);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;

    assert_int_equal(kill(f->server, SIGKILL), 0);
    assert_int_equal(waitpid(f->server, NULL, 0), f->server);
    assert_int_equal(fs_remove_tree(AT_FDCWD, f->folder, &err), 0);
    free(f->folder);
    free(f->db);
    free(f->url);
    free(f);
    return 0;
}

static struct advisory_report update(const struct fixture *f, const char *const *ecosystems)
{
    struct advisory_update_options options = {
        .url = f->url, .ecosystems = ecosystems, .now_s = 1000};
    struct advisory_report report = ADVISORY_REPORT_INIT;
    struct error err = ERROR_INIT;

    if (advisory_update(f->db, &options, &report, &err) < 0)
        fail_msg("%s", err.text);
    return report;
}

static void what_has_not_changed_is_not_fetched_again(void **state)
{
    struct fixture *f = *state;
    const char *const ecosystems[] = {"npm", NULL};
    struct advisory_report report = update(f, ecosystems);
    CLEANUP(advisory_db) struct advisory_db *db = NULL;
    struct advisory_status status;
    struct error err = ERROR_INIT;

    assert_int_equal(report.added, 1);
    assert_int_equal(report.not_changed, 0);
    advisory_report_done(&report);
    report = update(f, ecosystems);
    assert_int_equal(report.read, 0);
    assert_int_equal(report.not_changed, 1);
    advisory_report_done(&report);
    assert_int_equal(advisory_db_open(f->db, &db, &err), 0);
    advisory_db_status(db, &status);
    assert_int_equal(status.records, 1);
    assert_int_equal(status.imported_s, 1000);
}

static void without_the_database_all_is_fetched_again(void **state)
{
    struct fixture *f = *state;
    const char *const ecosystems[] = {"npm", NULL};
    struct advisory_report report = update(f, ecosystems);
    struct error err = ERROR_INIT;

    advisory_report_done(&report);
    assert_int_equal(fs_remove(AT_FDCWD, f->db, &err), 0);
    report = update(f, ecosystems);
    assert_int_equal(report.added, 1);
    advisory_report_done(&report);
}

static void an_ecosystem_that_is_not_there_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const char *const ecosystems[] = {"npm", "Nowhere", NULL};
    struct advisory_update_options options = {.url = f->url, .ecosystems = ecosystems};
    struct advisory_report report = ADVISORY_REPORT_INIT;
    struct error err = ERROR_INIT;

    assert_int_equal(advisory_update(f->db, &options, &report, &err), -1);
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "Nowhere"));
    assert_false(fs_exists(AT_FDCWD, f->db));
}

static void a_server_that_is_not_there_is_unavailable(void **state)
{
    struct fixture *f = *state;
    struct advisory_update_options options = {.url = "http://127.0.0.1:1"};
    struct advisory_report report = ADVISORY_REPORT_INIT;
    struct error err = ERROR_INIT;

    assert_int_equal(advisory_update(f->db, &options, &report, &err), -1);
    assert_int_equal(err.kind, ERR_UNAVAILABLE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_has_not_changed_is_not_fetched_again),
        TEST(without_the_database_all_is_fetched_again),
        TEST(an_ecosystem_that_is_not_there_changes_nothing),
        TEST(a_server_that_is_not_there_is_unavailable),
    };

    return cmocka_run_group_tests_name("update", tests, NULL, NULL);
}
