// The files that SQLite may open and delete: those of the database that was named, and no others.
#pragma once

#include <stdint.h>

struct sqlite3;

/// Registers a VFS with this name over SQLite's default one, and removes those that would bypass it (`vfs=` in a URI).
/// A VFS that is registered later is put over it as over any other.
/// - Thread: before any other uses SQLite, once.
/// - Returns: a result code.
int litebase_sqlite3_guard_files(void);

/// Why a file was refused on this thread since the last call: a whole sentence, to be copied before SQLite is called
/// again, and the remedy, if there is a special one; NULL if none was refused.
const char *litebase_sqlite3_take_refusal(const char **remedy);

/// The file that this thread has opened last as a database, whatever is at its path now. 0 and 0 if it has opened none.
void litebase_sqlite3_opened_file(unsigned long long *device, unsigned long long *inode);

/// The file to which a path leads, as SQLite would follow it, and its birth time (statx(2)) in nanoseconds; 0 if the
/// file system does not provide it.
/// - Returns: 0, or -1 with `errno`.
int litebase_sqlite3_identify(
    const char *path, unsigned long long *device, unsigned long long *inode, long long *birth);

/// Deletes a file if it still is at its path (device and inode), without following links that others may have made.
/// - Returns: 0, or -1 with `errno`.
int litebase_sqlite3_remove_file(const char *path, unsigned long long device, unsigned long long inode);

/// Likewise, appends a suffix to its name, and a number if another file has that name.
/// - Returns: the number, 1 if there is none; -1 with `errno`.
int litebase_sqlite3_set_aside(
    const char *path, unsigned long long device, unsigned long long inode, const char *suffix);

// MARK: Indexes of write-ahead logs (-shm) that were lost: somebody has truncated the file while it was mapped, or its disk has
// no space, or fails. What a connection has read since cannot be believed; it fails from then on, and has to be closed.

/// Number of indexes lost in this process; for `litebase_sqlite3_losses`.
extern uint64_t litebase_index_loss_count;

/// The same; everything read before the call is counted.
/// - Thread: any.
static inline uint64_t litebase_sqlite3_losses(void) { return __atomic_load_n(&litebase_index_loss_count, __ATOMIC_ACQUIRE); }

/// Whether the index of one of a connection's databases is lost.
/// - Thread: the connection's.
int litebase_sqlite3_has_lost_index(struct sqlite3 *db);

/// Checks whether the index of a connection's main database is shorter than it was; then it is lost. If a file is
/// truncated within a page, reading it shows no error.
/// - Thread: the connection's.
void litebase_sqlite3_look_at_index(struct sqlite3 *db);

/// A unique number for the index that a connection's main database has mapped; 0 if it has none.
/// - Thread: the connection's.
uint64_t litebase_sqlite3_index(struct sqlite3 *db);

/// Whether the index of that number is lost, and still mapped.
/// - Thread: any.
int litebase_sqlite3_is_index_lost(uint64_t number);

/// Marks that index as lost, for all connections that use it.
/// - Thread: any.
void litebase_sqlite3_lose_index(uint64_t number);

/// Whether another process holds the lock of whoever writes to the log of a connection's main database
/// (https://sqlite.org/walformat.html#wal_locks): from before its first frame until its commit can be seen.
/// - Thread: the connection's.
int litebase_sqlite3_is_written_elsewhere(struct sqlite3 *db);

/// Number of commits to write-ahead logs that this thread has made certain: their last frame is about to be written,
/// and no later loss of the index makes them fail.
uint64_t litebase_sqlite3_commits(void);
