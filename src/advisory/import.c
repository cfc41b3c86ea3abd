/* advisory/import.c - OSV dumps into the database: archives, folders, single files. See advisory.h.
 *
 * A record that is broken is counted, named and skipped; a source that is broken (a cut archive)
 * likewise, as long as anything else was read. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "advisory/import_internal.h"
#include "base/fs.h"

enum { IMPORT_DEPTH_MAX = 8, ZIP_BLOCK = 256 << 10, ZIP_ENTRIES_MAX = 10000000 };

void advisory_report_done(struct advisory_report *report)
{
    free(report->faults);
    *report = (struct advisory_report)ADVISORY_REPORT_INIT;
}

void import_done(struct import *import)
{
    draft_done(&import->draft);
    advisory_report_done(&import->report);
    io_close(&import->lock_fd);
}

static int add_fault(struct advisory_report *report, const char *name, const char *text,
                     struct error *err)
{
    struct advisory_fault *faults;

    if (report->fault_count == ADVISORY_FAULTS_MAX)
        return 0;
    faults = reallocarray(report->faults, report->fault_count + 1, sizeof *faults);
    if (!faults)
        return error_no_memory(err);
    report->faults = faults;
    faults += report->fault_count++;
    (void)snprintf(faults->name, sizeof faults->name, "%s", name); /* names may be cut */
    (void)snprintf(faults->text, sizeof faults->text, "%s", text);
    return 0;
}

/* A broken record or source: noted. Anything else stops the import. */
static int survive(struct import *import, const char *name, struct error *err)
{
    struct error why = *err;

    if (why.kind != ERR_INVALID)
        return -1;
    error_clear(err);
    import->report.malformed++;
    return add_fault(&import->report, name, why.text, err);
}

static int take_record(struct import *import, const char *name, const char *short_name,
                       struct str json, struct error *err)
{
    struct advisory_report *report = &import->report;
    enum record_change change;

    report->read++;
    if (record_add(&import->draft, short_name, json, &change, err) < 0)
        return survive(import, name, err);
    report->added += change == RECORD_ADDED;
    report->changed += change == RECORD_CHANGED;
    report->unchanged += change == RECORD_UNCHANGED;
    report->older += change == RECORD_OLDER;
    return 0;
}

static const char *reason(struct archive *a)
{
    return archive_error_string(a) ? archive_error_string(a) : "unreadable archive";
}

/* One member, whole. INVALID if it is damaged or too large. */
static int read_member(struct archive *a, struct buf *out, struct error *err)
{
    la_ssize_t got;
    char *room;

    buf_clear(out);
    while ((room = buf_room(out, 64 << 10)) != NULL) {
        got = archive_read_data(a, room, 64 << 10);
        if (got == 0)
            return 0;
        if (got < 0)
            return error_set(err, ERR_INVALID, "%.200s", reason(a));
        buf_grew(out, (size_t)got);
    }
    return out->failed == 2 ? error_set(err, ERR_INVALID, "more than %zu bytes", out->limit)
                            : error_no_memory(err);
}

static int take_members(struct import *import, struct archive *a, const char *shown,
                        struct error *err)
{
    CLEANUP(buf) struct buf json = BUF_INIT(RECORD_BYTES_MAX + (64 << 10));
    struct archive_entry *entry;
    int rc;

    for (size_t count = 0; (rc = archive_read_next_header(a, &entry)) != ARCHIVE_EOF; count++) {
        const char *path = archive_entry_pathname(entry);
        char name[512];
        if (rc < ARCHIVE_WARN)
            return error_set(err, ERR_INVALID, "%.200s", reason(a));
        if (count == ZIP_ENTRIES_MAX)
            return error_set(err, ERR_LIMIT, "more than %d records in '%s'", ZIP_ENTRIES_MAX,
                             shown);
        if (!path || archive_entry_filetype(entry) != AE_IFREG ||
            !str_ends(str_of(path), STR(".json")))
            continue;
        (void)snprintf(name, sizeof name, "%s:%s", shown, path); /* for people: may be cut */
        if (read_member(a, &json, err) < 0) {
            if (survive(import, name, err) < 0)
                return -1;
        } else if (take_record(import, name, path, buf_str(&json), err) < 0) {
            return -1;
        }
    }
    return 0;
}

int import_zip(struct import *import, const char *path, const char *shown, struct error *err)
{
    struct archive *a = archive_read_new();
    int rc = -1;

    if (!a)
        return error_no_memory(err);
    import->report.sources++;
    if (archive_read_support_format_zip(a) < ARCHIVE_OK ||
        archive_read_open_filename(a, path, ZIP_BLOCK) < ARCHIVE_OK)
        (void)error_set(err, ERR_INVALID, "%.200s", reason(a));
    else
        rc = take_members(import, a, shown, err);
    (void)archive_read_free(a); /* reading only */
    return rc < 0 ? survive(import, shown, err) : 0;
}

static int import_json(struct import *import, const char *path, const char *shown,
                       struct error *err)
{
    CLEANUP(buf) struct buf json = BUF_INIT(RECORD_BYTES_MAX + 1);

    if (fs_read_at(AT_FDCWD, path, &json, err) < 0)
        return -1;
    return take_record(import, shown, shown, buf_str(&json), err);
}

static int import_folder(struct import *import, const char *path, const char *shown, int depth,
                         struct error *err);

static int import_entry(struct import *import, const char *folder, const char *shown_folder,
                        const char *name, int depth, struct error *err)
{
    CLEANUP(text) char *path = fs_join(folder, name);
    CLEANUP(text)
    char *shown = shown_folder[0] ? fs_join(shown_folder, name) : str_dup(str_of(name));
    struct stat st;

    if (!path || !shown)
        return error_no_memory(err);
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : error_errno(err, "reading '%s'", path);
    if (S_ISDIR(st.st_mode))
        return import_folder(import, path, shown, depth + 1, err);
    if (!S_ISREG(st.st_mode))
        return 0;
    if (strcmp(name, "all.zip") == 0)
        return import_zip(import, path, shown, err);
    if (str_ends(str_of(name), STR(".json"))) {
        import->report.sources++;
        return import_json(import, path, shown, err);
    }
    return 0;
}

static int import_folder(struct import *import, const char *path, const char *shown, int depth,
                         struct error *err)
{
    CLEANUP(strv) struct strv names = STRV_INIT;

    if (depth > IMPORT_DEPTH_MAX)
        return error_set(err, ERR_LIMIT, "folders nested deeper than %d: '%s'", IMPORT_DEPTH_MAX,
                         path);
    if (fs_list(AT_FDCWD, path, &names, err) < 0)
        return -1;
    for (size_t i = 0; i < names.count; i++) {
        if (import_entry(import, path, shown, names.items[i], depth, err) < 0)
            return -1;
    }
    return 0;
}

int import_path(struct import *import, const char *path, const char *shown, struct error *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return error_errno(err, "opening '%s'", path);
    if (S_ISDIR(st.st_mode))
        return import_folder(import, path, shown, 0, err);
    if (str_ends(str_of(path), STR(".zip")))
        return import_zip(import, path, path, err);
    import->report.sources++;
    return import_json(import, path, path, err);
}

static int make_folder(const char *db_path, struct error *err)
{
    ptrdiff_t slash = str_find_last(str_of(db_path), '/');
    CLEANUP(text) char *folder = NULL;

    if (slash <= 0)
        return 0;
    folder = str_dup(str_slice(db_path, (size_t)slash));
    if (!folder)
        return error_no_memory(err);
    return fs_make_dirs(AT_FDCWD, folder, 0755, err);
}

int import_begin(struct import *import, struct error *err)
{
    CLEANUP(text) char *lock = str_format("%s.lock", import->db_path);
    CLEANUP(advisory_db) struct advisory_db *db = NULL;

    if (!lock)
        return error_no_memory(err);
    if (make_folder(import->db_path, err) < 0 ||
        fs_lock(AT_FDCWD, lock, true, &import->lock_fd, err) < 0)
        return -1;
    if (advisory_db_open(import->db_path, &db, err) < 0) {
        if (err->kind != ERR_NOT_FOUND)
            return -1;
        error_clear(err);
        return 0;
    }
    return draft_load(&import->draft, db, err);
}

int import_end(struct import *import, int64_t now_s, struct advisory_report *ret_report,
               struct error *err)
{
    if (draft_write(&import->draft, import->db_path, now_s, err) < 0)
        return -1;
    *ret_report = import->report;
    import->report = (struct advisory_report)ADVISORY_REPORT_INIT;
    return 0;
}

int advisory_import(const char *db_path, const char *source, int64_t now_s,
                    struct advisory_report *ret_report, struct error *err)
{
    CLEANUP(import) struct import import = IMPORT_INIT(db_path);
    struct advisory_report *report = &import.report;

    if (import_begin(&import, err) < 0 || import_path(&import, source, "", err) < 0)
        return error_wrap(err, "importing advisories");
    if (report->read == 0 || report->malformed >= report->read + report->sources ||
        report->added + report->changed + report->unchanged + report->older == 0)
        return error_set(err, ERR_INVALID, "importing advisories: no OSV record in '%s'%s%s",
                         source, report->fault_count ? "; the first fault: " : "",
                         report->fault_count ? report->faults[0].text : "");
    return import_end(&import, now_s, ret_report, err);
}
