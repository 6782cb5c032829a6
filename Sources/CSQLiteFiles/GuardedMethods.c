// The methods of a database file and of its log that must not do what they are asked to, once the index of the log is
// lost (IndexMappings.c). A connection with a lost index finds no frames, and so takes old pages for the present ones.
// By SQLite 3.40, src/wal.c:
//
// - Nothing new starts: each read, write, checkpoint and recovery begins with a lock on the index (xShmLock), and none
//   is granted. Locks that a connection holds can be released.
// - A writer may have read old pages and changed them. Its transaction counts when its last frame, whose header says
//   so, is in the log (sqlite3WalFrames); everything that it has read of the index, it has read before. So the header
//   of that frame is written only if the index is not lost at that moment; otherwise the statement fails and has no
//   effect. Nothing else is written to the log, either: without the header of the index it would be written to the
//   beginning of the log. From that moment on the transaction is complete and must not fail any more, since the next
//   recovery finds it: the index gets the room for it before, and entries in an index that is lost meanwhile go into
//   memory that nobody else reads.
// - A checkpoint copies frames into the database, which is right for each that it still finds, but it misses others,
//   and would then take the log for copied. What it does next needs a lock (to restart the log), or is refused here:
//   truncating the database, and syncing it; nobody reads what it enters into the index. The last connection that
//   closes makes a checkpoint, without locks, and deletes the log (sqlite3WalClose): it gets no lock on the file for
//   that; if it has the lock already, it is told that the log has to be kept (SQLITE_FCNTL_PERSIST_WAL), and the log is
//   not truncated either.
//
// So the log stays, with everything that was committed, and the next connection that opens the database rebuilds its
// index.
//
// A file that is truncated within a page reads as zeros up to the end of that page, without an error. So before a
// transaction or a checkpoint is completed, the length is checked as well. Short reads are not worth that cost: they
// may miss the content of that page until the next check, a tenth of a second at most (SQLiteLink.look).
//
// This is for an index that was truncated, or cannot be read. Somebody who writes into it, or makes it longer again
// with zeros, may write the database as well.
//
// And reading ends when the thread's time is over: to find a column behind a large value SQLite follows that value's
// pages, one by one (accessPayload in src/btree.c), within one step of its program, in which it asks nobody. A read that
// fails ends the statement with its result code; it has changed nothing, and starts again elsewhere.
#include "GuardedMethods.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "CLinux.h"
#include "CSQLiteFiles.h"
#include "IndexMappings.h"

// Sizes of a log (https://sqlite.org/walformat.html#the_wal_file_format) and of its index: the first region has room
// for fewer.
enum { LOG_HEADER = 32, FRAME_HEADER = 24, FRAMES_OF_REGION = 4096, FRAMES_LESS_IN_FIRST = 34 };
enum { WRITE_LOCK = 0, CHECKPOINT_READ_LOCK = 3 };

/// Follows the file of the VFS below in memory.
typedef struct guard {
    const sqlite3_io_methods *below;
    // For a database: where the index is mapped, while it is, and whether the transaction that holds the write lock
    // counts.
    litebase_index *index;
    bool is_committing;
    // For a log: the guard of its database.
    struct guard *database;
    sqlite3_file *database_file;
    uint32_t page_size;
} guard;

/// The size of a file of the VFS below.
static int guard_offset;
static __thread uint64_t commit_count;

uint64_t litebase_sqlite3_commits(void) { return commit_count; }

static guard *guard_of(sqlite3_file *file) { return (guard *)((char *)file + guard_offset); }
static const sqlite3_io_methods *below(sqlite3_file *file) { return guard_of(file)->below; }
static bool is_lost(const guard *guard) { return guard->index && litebase_is_index_lost(guard->index); }

/// The same, for actions that must not be based on unnoticed zeros: a call of fstat(2).
static bool is_lost_or_short(const guard *guard) {
    if (guard->index) litebase_look_at_index(guard->index);
    return is_lost(guard);
}

// MARK: Reading

static int guarded_read(sqlite3_file *file, void *place, int count, sqlite3_int64 offset) {
    return clinux_must_not_read() ? SQLITE_INTERRUPT : below(file)->xRead(file, place, count, offset);
}

// MARK: A database's file

static int database_lock(sqlite3_file *file, int level) {
    if (level == SQLITE_LOCK_EXCLUSIVE && is_lost(guard_of(file))) return SQLITE_IOERR_LOCK;
    return below(file)->xLock(file, level);
}

static int database_truncate(sqlite3_file *file, sqlite3_int64 size) {
    return is_lost_or_short(guard_of(file)) ? SQLITE_IOERR_TRUNCATE : below(file)->xTruncate(file, size);
}

static int database_sync(sqlite3_file *file, int flags) {
    return is_lost_or_short(guard_of(file)) ? SQLITE_IOERR_FSYNC : below(file)->xSync(file, flags);
}

static int database_control(sqlite3_file *file, int operation, void *argument) {
    int result = below(file)->xFileControl(file, operation, argument);
    if (operation == SQLITE_FCNTL_PERSIST_WAL && is_lost_or_short(guard_of(file))) *(int *)argument = 1;
    return result;
}

/// A region that nobody in this process has mapped yet. It is requested when frames were entered there, or are about to
/// be.
static int map_more(sqlite3_file *file, int region, int byte_count, int extends, void volatile **place) {
    guard *guard = guard_of(file);
    *place = 0;
    if (is_lost(guard)) return SQLITE_IOERR_SHMMAP;
    size_t unit = (size_t)(sysconf(_SC_PAGESIZE) > byte_count ? sysconf(_SC_PAGESIZE) : byte_count);
    size_t end = ((size_t)region * (size_t)byte_count / unit + 1) * unit;
    if (extends && !litebase_extend_index(guard->index, end)) {
        return is_lost(guard) ? SQLITE_IOERR_SHMMAP : SQLITE_IOERR_SHMSIZE;
    }
    int result = below(file)->xShmMap(file, region, byte_count, 0, place);
    if (result != SQLITE_OK || *place) return result;
    // The file ends before it: it was truncated, or the header is false.
    litebase_lose_index(guard->index);
    return SQLITE_IOERR_SHMMAP;
}

static int index_map(sqlite3_file *file, int region, int byte_count, int extends, void volatile **place) {
    guard *guard = guard_of(file);
    if (guard->index && (size_t)region * (size_t)byte_count >= litebase_index_byte_count(guard->index)) {
        return map_more(file, region, byte_count, extends, place);
    }
    int result = below(file)->xShmMap(file, region, byte_count, extends, place);
    if (guard->index || !*place) return result;
    // An index that others have lost and not closed yet is useless for a new connection.
    guard->index = litebase_index_at(*place);
    if (is_lost(guard)) return *place = 0, SQLITE_IOERR_SHMMAP;
    return result;
}

static int index_lock(sqlite3_file *file, int offset, int count, int flags) {
    guard *guard = guard_of(file);
    if ((flags & SQLITE_SHM_LOCK) && is_lost(guard)) return SQLITE_IOERR_SHMLOCK;
    // A checkpoint has entered its progress, possibly without the last two of the calls above.
    if (offset == CHECKPOINT_READ_LOCK && flags == (SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE)) is_lost_or_short(guard);
    int result = below(file)->xShmLock(file, offset, count, flags);
    bool may_write = result == SQLITE_OK && offset == WRITE_LOCK && flags == (SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE);
    if (may_write) guard->is_committing = false;
    if (may_write && guard->index) litebase_keep_header(guard->index);
    return result;
}

static int index_unmap(sqlite3_file *file, int deletes) {
    guard_of(file)->index = 0;
    return below(file)->xShmUnmap(file, deletes);
}

// MARK: Its log

/// Whether a transaction whose last frame is written at that offset of the log may count.
static int admit_commit(guard *log, sqlite3_int64 offset) {
    guard *database = log->database;
    // A single connection, which has the index in its own memory.
    if (!database->index) return SQLITE_OK;
    uint32_t page_size = log->page_size ? log->page_size : litebase_index_page_size(database->index);
    sqlite3_int64 frame = (offset - LOG_HEADER) / (page_size + FRAME_HEADER) + 1;
    sqlite3_int64 region = (frame + FRAMES_LESS_IN_FIRST - 1) / FRAMES_OF_REGION;
    int result = SQLITE_OK;
    if ((size_t)region * LITEBASE_REGION_BYTE_COUNT >= litebase_index_byte_count(database->index)) {
        void volatile *place = 0;
        result = index_map(log->database_file, (int)region, LITEBASE_REGION_BYTE_COUNT, 1, &place);
    }
    if (result == SQLITE_OK && is_lost_or_short(database)) result = SQLITE_IOERR_WRITE;
    if (result != SQLITE_OK) return result;
    database->is_committing = true;
    commit_count++;
    return SQLITE_OK;
}

static int log_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset) {
    guard *guard = guard_of(file);
    if (count > FRAME_HEADER && offset >= LOG_HEADER) guard->page_size = (uint32_t)count;
    if (!guard->database->is_committing) {
        // A writer that takes the log for empty would write its frames, or the header, over those that count.
        if (is_lost_or_short(guard->database)) return SQLITE_IOERR_WRITE;
        // The size of the database afterwards, which only the last frame of a transaction has.
        bool completes = count == FRAME_HEADER && memcmp((const char *)bytes + 4, "\0\0\0\0", 4) != 0;
        int result = completes ? admit_commit(guard, offset) : SQLITE_OK;
        if (result != SQLITE_OK) return result;
    }
    return below(file)->xWrite(file, bytes, count, offset);
}

static int log_truncate(sqlite3_file *file, sqlite3_int64 size) {
    return is_lost(guard_of(file)->database) ? SQLITE_IOERR_TRUNCATE : below(file)->xTruncate(file, size);
}

// MARK: Putting them in place

/// The methods of all files of a kind: the VFS below gives each the same ones.
typedef struct {
    const sqlite3_io_methods *_Atomic below;
    sqlite3_io_methods methods;
} kind;

static kind databases, logs;
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

static void set_database_methods(sqlite3_io_methods *methods) {
    methods->xRead = guarded_read;
    methods->xLock = database_lock;
    methods->xTruncate = database_truncate;
    methods->xSync = database_sync;
    methods->xFileControl = database_control;
    methods->xShmMap = index_map;
    methods->xShmLock = index_lock;
    methods->xShmUnmap = index_unmap;
}

static void set_log_methods(sqlite3_io_methods *methods) {
    methods->xRead = guarded_read;
    methods->xWrite = log_write;
    methods->xTruncate = log_truncate;
}

static bool take_methods(kind *kind, sqlite3_file *file, void (*set)(sqlite3_io_methods *)) {
    pthread_mutex_lock(&making);
    if (!kind->below) {
        kind->methods = *file->pMethods;
        set(&kind->methods);
        kind->below = file->pMethods;
    }
    pthread_mutex_unlock(&making);
    if (kind->below != file->pMethods) return false;
    *guard_of(file) = (guard){.below = file->pMethods};
    file->pMethods = &kind->methods;
    return true;
}

int litebase_guarded_byte_count(int byte_count_below) {
    guard_offset = byte_count_below;
    return byte_count_below + (int)sizeof(guard);
}

int litebase_guard_methods(sqlite3_file *file, const char *name, int flags) {
    bool is_guarded = true;
    if (flags & SQLITE_OPEN_MAIN_DB) {
        is_guarded = file->pMethods->iVersion >= 2 && take_methods(&databases, file, set_database_methods);
    } else if (flags & SQLITE_OPEN_WAL) {
        is_guarded = take_methods(&logs, file, set_log_methods);
        if (is_guarded) {
            guard_of(file)->database_file = sqlite3_database_file_object(name);
            guard_of(file)->database = guard_of(guard_of(file)->database_file);
        }
    }
    if (is_guarded) return SQLITE_OK;
    file->pMethods->xClose(file);
    file->pMethods = 0;
    return SQLITE_CANTOPEN;
}

// MARK: Questions about a connection

static litebase_index *index_of(sqlite3 *db, const char *name) {
    sqlite3_file *file = 0;
    if (sqlite3_file_control(db, name, SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file) return 0;
    return file->pMethods == &databases.methods ? guard_of(file)->index : 0;
}

int litebase_sqlite3_has_lost_index(sqlite3 *db) {
    const char *name;
    for (int i = 0; (name = sqlite3_db_name(db, i)); i++) {
        litebase_index *index = index_of(db, name);
        if (index && litebase_is_index_lost(index)) return 1;
    }
    return 0;
}

void litebase_sqlite3_look_at_index(sqlite3 *db) {
    litebase_index *index = index_of(db, "main");
    if (index) litebase_look_at_index(index);
}

int litebase_sqlite3_is_written_elsewhere(sqlite3 *db) {
    litebase_index *index = index_of(db, "main");
    return index && litebase_is_index_written_elsewhere(index);
}

uint64_t litebase_sqlite3_index(sqlite3 *db) {
    litebase_index *index = index_of(db, "main");
    return index ? litebase_index_serial(index) : 0;
}
