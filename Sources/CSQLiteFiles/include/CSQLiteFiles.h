// The files that SQLite may open and delete: those of the database that was named, and no others.
#pragma once

#include <stdint.h>

struct sqlite3;

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

// MARK: Indexes of write-ahead logs (-shm) that were lost: somebody has truncated the file while it was mapped, or its disk has
// no space, or fails. What a connection has read since cannot be believed; it fails from then on, and has to be closed.

/// How many were lost in this process; for `litebase_sqlite3_losses`.
extern uint64_t litebase_index_loss_count;

/// The same; what was read before it is called, is counted.
/// - Thread: any.
static inline uint64_t litebase_sqlite3_losses(void) { return __atomic_load_n(&litebase_index_loss_count, __ATOMIC_ACQUIRE); }

/// Whether the index of one of a connection's databases is lost.
/// - Thread: the connection's.
int litebase_sqlite3_has_lost_index(struct sqlite3 *db);

/// Looks whether the index of a connection's main database is shorter than it was; then it is lost. Where a file is truncated
/// within a page, nobody is told by what he reads.
/// - Thread: the connection's.
void litebase_sqlite3_look_at_index(struct sqlite3 *db);

/// A number of its own for the index that a connection's main database has mapped; 0 if it has none.
/// - Thread: the connection's.
uint64_t litebase_sqlite3_index(struct sqlite3 *db);

/// Whether the index of that number is lost, and still mapped.
/// - Thread: any.
int litebase_sqlite3_is_index_lost(uint64_t number);

/// Gives that index up, for all who use it.
/// - Thread: any.
void litebase_sqlite3_lose_index(uint64_t number);

/// How many commits to write-ahead logs this thread has made certain: their last frame is about to be written, and nothing that
/// happens to the index afterwards makes them fail.
uint64_t litebase_sqlite3_commits(void);
