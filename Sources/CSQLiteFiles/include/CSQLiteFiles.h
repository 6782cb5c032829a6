// The files that SQLite may open and delete: those of the database that was named, and no others.
#pragma once

/// Puts a file system of this name over SQLite's default one, and takes those away that would lead around it
/// (`vfs=` in a URI). What is registered later stacks on it as on any other.
/// - Thread: before any other uses SQLite, once.
/// - Returns: a result code.
int litebase_sqlite3_guard_files(void);

/// Why a file was refused on this thread since it was asked last: a sentence of its own, to be copied before SQLite is called
/// again, and what to do about it, if there is more to say than for any file; NULL when none was.
const char *litebase_sqlite3_take_refusal(const char **remedy);

/// Which file this thread has opened last as a database: the one that is open, whatever is at its path by now. 0
/// and 0 when it has opened none.
void litebase_sqlite3_opened_file(unsigned long long *device, unsigned long long *inode);

/// Which file a path leads to, as SQLite would follow it, and when that was born (statx(2)), in nanoseconds; 0 where the file
/// system does not say.
/// - Returns: 0, or -1 with `errno`.
int litebase_sqlite3_identify(
    const char *path, unsigned long long *device, unsigned long long *inode, long long *birth);

/// Deletes a file if it still is at its path (device and inode), without following links that others may have made.
/// - Returns: 0, or -1 with `errno`.
int litebase_sqlite3_remove_file(const char *path, unsigned long long device, unsigned long long inode);

/// Likewise, adds a suffix to its name.
int litebase_sqlite3_set_aside(
    const char *path, unsigned long long device, unsigned long long inode, const char *suffix);
