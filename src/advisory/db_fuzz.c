/* advisory/db_fuzz.c - a hostile database file: whatever it says, opening, matching and loading
 * neither fault nor hang. The header's own digest is put right first, or nothing behind it would
 * ever be reached. */
#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

#include "advisory/draft.h"
#include "base/io.h"

static void ask(const struct advisory_db *db, const char *ecosystem, const char *name)
{
    struct advisory_query query = {ecosystem, name, "1.0.0"};
    CLEANUP(advisory_matches) struct advisory_matches matches = ADVISORY_MATCHES_INIT;
    CLEANUP(buf) struct buf safe = BUF_INIT(65536);
    struct error err = ERROR_INIT;

    if (advisory_match(db, &query, &matches, &err) < 0)
        assert(err.kind == ERR_INVALID || err.kind == ERR_LIMIT);
    for (size_t i = 0; i < matches.count; i++)
        assert(matches.items[i].id && matches.items[i].ids[0]);
    if (advisory_safe_version(db, &query, &safe, &err) < 0)
        assert(err.kind == ERR_INVALID || err.kind == ERR_LIMIT);
}

static void use(const char *path)
{
    CLEANUP(advisory_db) struct advisory_db *db = NULL;
    CLEANUP(draft) struct draft draft = DRAFT_INIT;
    struct advisory_status status;
    struct error err = ERROR_INIT;

    if (advisory_db_open(path, &db, &err) < 0)
        return;
    advisory_db_status(db, &status);
    if (advisory_db_verify(db, &err) < 0)
        assert(err.kind == ERR_UNTRUSTED);
    ask(db, "npm", "a");
    ask(db, "Debian:12", "tar");
    ask(db, db_text(db, 1), db_text(db, 5));
    if (draft_load(&draft, db, &err) < 0)
        assert(err.kind == ERR_INVALID || err.kind == ERR_LIMIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct db_header header;
    CLEANUP(fd) int fd = memfd_create("db", MFD_CLOEXEC);
    struct error err = ERROR_INIT;
    char path[64];

    if (fd < 0 || size < DB_HEADER_BYTES)
        return 0;
    memcpy(&header, data, sizeof header);
    memcpy(header.magic, DB_MAGIC, sizeof DB_MAGIC);
    header.format = DB_FORMAT;
    sha256_of(str_slice((const char *)&header, offsetof(struct db_header, header_digest)),
              header.header_digest);
    if (io_write(fd, &header, sizeof header, &err) < 0 ||
        io_write(fd, data + sizeof header, size - sizeof header, &err) < 0)
        return 0;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd); /* fits */
    use(path);
    return 0;
}
