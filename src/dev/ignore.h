/* dev/ignore.h - which files of a source tree are not the app: .gitignore patterns, and what never
 * is.
 *
 * Patterns as of gitignore(5): comments, '!' to take one back, a leading or inner '/' ties it to
 * the file's folder, a trailing '/' means folders only, '*', '?', '[…]' do not match '/', "**"
 * does. The last pattern that matches wins. `.git` and `node_modules` are ignored always. */
#pragma once
#include "base/str.h"

enum { IGNORE_PATTERNS_MAX = 4096, IGNORE_FILE_MAX = 1 << 20 };

struct ignore;
struct ignore *ignore_new(void); /* NULL without memory */
void ignore_free(struct ignore *ignore);
DEFINE_CLEANUP(ignore, struct ignore *, ignore_free)
/* The patterns of a .gitignore that lies in folder `dir` of the tree ("" for its root). */
void ignore_add(struct ignore *ignore, const char *dir, struct str text);
/* `path` relative to the tree's root. A file in an ignored folder must be asked for by that folder.
 */
bool ignore_has(const struct ignore *ignore, const char *path, bool is_dir);
