/* oci/image_user.c - an image's "User" to numbers, by the image's own passwd and group files.
 *
 * Source: image-spec config.md, "User": name, uid, "user:group" in any mixture. Further groups only
 * for a user without an explicit group. The files are hostile: opened beneath their layer, lines
 * that make no sense passed over. */
#include "oci/image.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"

enum { FILE_MAX = 1 << 20, FIELDS_MAX = 7 };

/* /etc/passwd or /etc/group of the topmost layer that has one; empty if none has. */
static int read_topmost(const struct strv *lowerdirs, const char *path, struct buf *out,
                        struct error *err)
{
    for (size_t i = 0; lowerdirs && i < lowerdirs->count; i++) {
        CLEANUP(fd) int dir = -1;
        CLEANUP(fd) int fd = -1;
        struct stat info;
        if (fs_open_dir(AT_FDCWD, lowerdirs->items[i], &dir, err) < 0)
            return -1;
        if (fs_open_beneath(dir, path, O_RDONLY | O_NONBLOCK, 0, &fd, err) < 0) {
            error_clear(
                err); /* not in this layer, or not a file that may be read: as if it were absent */
            continue;
        }
        if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
            return 0; /* a whiteout: layers below do not count */
        return io_read_all(fd, out, err);
    }
    return 0;
}

static size_t split(struct str line, struct str fields[FIELDS_MAX])
{
    size_t count = 0;

    while (line.ptr && count < FIELDS_MAX)
        fields[count++] = str_cut(&line, ':');
    return count;
}

static bool parse_id(struct str text, uint32_t *ret)
{
    uint64_t id;

    if (!str_to_u64(text, &id) || id >= UINT32_MAX)
        return false;
    *ret = (uint32_t)id;
    return true;
}

/* A line whose name (or, for a number, id in field 2) is `wanted`. */
static bool find(struct str text, struct str wanted, struct str fields[FIELDS_MAX], size_t need)
{
    struct lines in = lines_over("", text);
    struct str line;
    uint32_t number = 0, id;
    bool numeric = parse_id(wanted, &number);

    while (lines_next(&in, &line)) {
        if (split(line, fields) < need)
            continue;
        if (str_equal(fields[0], wanted) || (numeric && parse_id(fields[2], &id) && id == number))
            return true;
    }
    return false;
}

static void add_groups(struct str groups, struct str user, struct image_user *ret)
{
    struct lines in = lines_over("", groups);
    struct str line, fields[FIELDS_MAX];

    while (lines_next(&in, &line)) {
        if (split(line, fields) < 4)
            continue;
        struct str members = fields[3];
        while (members.ptr) {
            uint32_t gid;
            if (str_equal(str_cut(&members, ','), user) && parse_id(fields[2], &gid) &&
                ret->group_count < ARRAY_LEN(ret->groups))
                ret->groups[ret->group_count++] = gid;
        }
    }
}

int image_user(const char *user, const struct strv *lowerdirs, struct image_user *ret,
               struct error *err)
{
    CLEANUP(buf) struct buf passwd = BUF_INIT(FILE_MAX), group = BUF_INIT(FILE_MAX);
    struct str rest = str_of(user && user[0] ? user : "0"), fields[FIELDS_MAX];
    struct str name = str_cut(&rest, ':');
    struct image_user out = {0};

    if (read_topmost(lowerdirs, "etc/passwd", &passwd, err) < 0 ||
        read_topmost(lowerdirs, "etc/group", &group, err) < 0)
        return error_wrap(err, "looking up user '%s'", user);
    bool found = find(buf_str(&passwd), name, fields, 4);
    if (found && (!parse_id(fields[2], &out.uid) || !parse_id(fields[3], &out.gid)))
        return error_set(err, ERR_INVALID, "user '%s': bad line in the image's /etc/passwd", user);
    struct str login = found ? fields[0] : name;
    if (!found && !parse_id(name, &out.uid))
        return error_set(err, ERR_NOT_FOUND, "no user '%.*s' in the image's /etc/passwd",
                         STR_ARG(name));
    if (!rest.ptr) {
        add_groups(buf_str(&group), login, &out);
    } else if (find(buf_str(&group), rest, fields, 3)) {
        if (!parse_id(fields[2], &out.gid))
            return error_set(err, ERR_INVALID, "group of '%s': bad line in the image's /etc/group",
                             user);
    } else if (!parse_id(rest, &out.gid)) {
        return error_set(err, ERR_NOT_FOUND, "no group '%.*s' in the image's /etc/group",
                         STR_ARG(rest));
    }
    *ret = out;
    return 0;
}
