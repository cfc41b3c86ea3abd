/* advisory/db.c - the mapped file: opening, checking, looking up. See db_internal.h. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "advisory/db_internal.h"
#include "base/encode.h"
#include "base/io.h"

static bool take_section(struct advisory_db *db, enum db_section which, size_t item_bytes,
                         const void **ret, size_t *ret_count)
{
    const struct db_span *span = &db->header->sections[which];

    if (span->offset < DB_HEADER_BYTES || span->offset % 8 || span->offset > db->bytes ||
        span->bytes > db->bytes - span->offset || span->bytes % item_bytes)
        return false;
    *ret = db->map + span->offset;
    *ret_count = span->bytes / item_bytes;
    return true;
}

static bool take_sections(struct advisory_db *db)
{
    const void *strings, *records, *lists, *names, *packages, *postings, *ecosystems;
    size_t record_count, package_count;

    if (!take_section(db, DB_STRINGS, 1, &strings, &db->strings_bytes) ||
        !take_section(db, DB_RECORDS, sizeof *db->records, &records, &record_count) ||
        !take_section(db, DB_LISTS, sizeof *db->lists, &lists, &db->list_count) ||
        !take_section(db, DB_NAMES, sizeof *db->names, &names, &db->name_count) ||
        !take_section(db, DB_PACKAGES, sizeof *db->packages, &packages, &package_count) ||
        !take_section(db, DB_POSTINGS, 1, &postings, &db->postings_bytes) ||
        !take_section(db, DB_ECOSYSTEMS, sizeof *db->ecosystems, &ecosystems, &db->ecosystem_count))
        return false;
    db->strings = strings;
    db->records = records;
    db->lists = lists;
    db->names = names;
    db->packages = packages;
    db->postings = postings;
    db->ecosystems = ecosystems;
    db->record_count = (uint32_t)record_count;
    db->package_count = (uint32_t)package_count;
    /* So every offset below strings_bytes is a terminated text. */
    return db->strings_bytes && db->strings[0] == '\0' &&
           db->strings[db->strings_bytes - 1] == '\0' && db->ecosystem_count <= 100000;
}

static int check_header(struct advisory_db *db, const char *path, struct error *err)
{
    uint8_t digest[SHA256_SIZE];

    db->header = (const struct db_header *)db->map;
    if (db->bytes < DB_HEADER_BYTES || memcmp(db->header->magic, DB_MAGIC, sizeof DB_MAGIC) != 0)
        return error_set(err, ERR_INVALID, "'%s' is no advisory database", path);
    if (db->header->format != DB_FORMAT)
        return error_set(err, ERR_INVALID,
                         "'%s' has format %u, this program reads %d: import the advisories again",
                         path, db->header->format, DB_FORMAT);
    sha256_of(str_slice((const char *)db->map, offsetof(struct db_header, header_digest)), digest);
    if (memcmp(digest, db->header->header_digest, SHA256_SIZE) != 0 || !take_sections(db))
        return error_set(err, ERR_INVALID, "'%s' is damaged: import the advisories again", path);
    return 0;
}

static int take_status(struct advisory_db *db, struct error *err)
{
    db->status = calloc(db->ecosystem_count + 1, sizeof *db->status);
    if (!db->status)
        return error_no_memory(err);
    for (size_t i = 0; i < db->ecosystem_count; i++)
        db->status[i] =
            (struct advisory_ecosystem){db_text(db, db->ecosystems[i].name),
                                        db->ecosystems[i].packages, db->ecosystems[i].records};
    return 0;
}

int advisory_db_open(const char *path, struct advisory_db **ret, struct error *err)
{
    CLEANUP(advisory_db) struct advisory_db *db = calloc(1, sizeof *db);
    CLEANUP(fd) int fd = -1;
    struct stat st;
    void *map;

    if (!db)
        return error_no_memory(err);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_errno(err, "opening the advisory database '%s'", path);
    if (!S_ISREG(st.st_mode) || st.st_size < DB_HEADER_BYTES || (uint64_t)st.st_size > DB_BYTES_MAX)
        return error_set(err, ERR_INVALID, "'%s' is no advisory database", path);
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return error_errno(err, "mapping '%s'", path);
    db->map = map;
    db->bytes = (size_t)st.st_size;
    if (check_header(db, path, err) < 0 || take_status(db, err) < 0)
        return -1;
    *ret = TAKE(db);
    return 0;
}

void advisory_db_free(struct advisory_db *db)
{
    if (!db)
        return;
    if (db->map)
        (void)munmap((void *)db->map, db->bytes); /* ours: cannot fail */
    free(db->status);
    free(db);
}

int advisory_db_verify(const struct advisory_db *db, struct error *err)
{
    uint8_t digest[SHA256_SIZE];

    sha256_of(str_slice((const char *)db->map + DB_HEADER_BYTES, db->bytes - DB_HEADER_BYTES),
              digest);
    if (memcmp(digest, db->header->digest, SHA256_SIZE) != 0)
        return error_set(err, ERR_UNTRUSTED, "the advisory database does not have its checksum");
    return 0;
}

void advisory_db_status(const struct advisory_db *db, struct advisory_status *ret)
{
    struct digest version = digest_from_bytes(db->header->digest);

    *ret = (struct advisory_status){
        .imported_s = db->header->imported_s,
        .newest_s = db->header->newest_s,
        .records = db->record_count,
        .packages = db->package_count,
        .file_bytes = db->bytes,
        .ecosystems = db->status,
        .ecosystem_count = db->ecosystem_count,
    };
    for (uint32_t i = 0; i < db->record_count; i++)
        ret->withdrawn += (db->records[i].flags & DB_WITHDRAWN) != 0;
    static_assert(sizeof ret->version >= sizeof version.text, "a digest must fit");
    memcpy(ret->version, version.text, sizeof version.text);
}

const char *db_text(const struct advisory_db *db, uint32_t offset)
{
    return offset < db->strings_bytes ? db->strings + offset : "";
}

bool db_lists(const struct advisory_db *db, const struct db_record *record,
              const uint32_t **aliases, size_t *alias_count, const uint32_t **upstream,
              size_t *upstream_count)
{
    size_t left;

    if (record->list >= db->list_count)
        return false;
    left = db->list_count - record->list;
    *alias_count = db->lists[record->list];
    if (*alias_count > left - 1 || left - 1 - *alias_count < 1)
        return false;
    *aliases = db->lists + record->list + 1;
    left -= 1 + *alias_count;
    *upstream_count = (*aliases)[*alias_count];
    if (*upstream_count > left - 1)
        return false;
    *upstream = *aliases + *alias_count + 1;
    return true;
}

const struct db_package *db_find_package(const struct advisory_db *db, const char *ecosystem,
                                         const char *name)
{
    uint64_t hash = package_hash(ecosystem, name);
    size_t low = 0, high = db->package_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (db->packages[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < db->package_count && db->packages[low].hash == hash; low++) {
        const struct db_package *p = &db->packages[low];
        if (strcmp(db_text(db, p->ecosystem), ecosystem) == 0 &&
            strcmp(db_text(db, p->name), name) == 0)
            return p;
    }
    return NULL;
}

size_t db_find_names(const struct advisory_db *db, const char *text, size_t *ret_first)
{
    size_t low = 0, high = db->name_count, count = 0;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(db_text(db, db->names[middle].text), text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_first = low;
    while (low + count < db->name_count &&
           strcmp(db_text(db, db->names[low + count].text), text) == 0)
        count++;
    return count;
}
