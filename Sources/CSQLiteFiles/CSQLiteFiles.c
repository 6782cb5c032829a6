// A VFS of SQLite (https://sqlite.org/vfs.html) over the default one. A database file, or a journal beside it, may have
// been made by an attacker, and SQLite does what they say. So:
//
// - Only regular files are opened, and opening never blocks: no pipe, device or lease.
// - A journal may name a super-journal (https://sqlite.org/atomiccommit.html, section 5), which SQLite deletes once no
//   journal refers to it: any file of the machine, if an attacker wrote the name. The name is accepted only if it is
//   the name of the database's own super-journal. Any other one reads as empty, and deleting it does nothing. The
//   price: the super-journal of a commit that a crash interrupted is left if its main database is recovered first.
// - A journal, log or index with another name (hard link) may be another database's; writing it would destroy that one.
// - A path leads only where root or the daemon's user has made it lead (TrustedPaths.c), in every call of SQLite's.
// - Of URI parameters only `mode` and `cache=private` have a meaning: no locks switched off, no other file system.
//
// - What is mapped may be truncated by others (IndexMappings.c).
//
// The methods of an open file are the default VFS's own, except those of GuardedMethods.c.
#define _GNU_SOURCE
#include "CSQLiteFiles.h"

#include "TrustedPaths.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "GuardedMethods.h"
#include "IndexMappings.h"

enum { PATH_BYTE_COUNT = 4096 };

static sqlite3_vfs *below;

// The operation of this thread. SQLite opens a journal, its super-journal, and the journals that that names, in this
// order and in one call (pager_playback and pager_delsuper in src/pager.c).
static __thread char journal[PATH_BYTE_COUNT];
static __thread char foreign_super[PATH_BYTE_COUNT];
static __thread bool reads_own_super;
static __thread const char *refusal;
// Why the last call could not make its file; 0 if it did, or was not to.
static __thread int creation_error;
// The file that was opened last as a database's, and whether one is being opened.
static __thread bool opens_database;
static __thread dev_t database_device;
static __thread ino_t database_inode;

void litebase_sqlite3_opened_file(unsigned long long *device, unsigned long long *inode) {
    *device = database_device;
    *inode = database_inode;
}

static void note_database(const struct stat *status) {
    if (!opens_database) return;
    database_device = status->st_dev;
    database_inode = status->st_ino;
}

const char *litebase_sqlite3_take_refusal(const char **remedy) {
    const char *trusted = trusted_take_refusal(remedy), *taken = refusal;
    refusal = 0;
    return taken ? taken : trusted;
}

/// An earlier refusal belongs to another file, which may be another user's.
static void forget_refusal(void) {
    refusal = 0;
    creation_error = 0;
    trusted_forget_refusal();
}

static bool ends_with(const char *name, const char *end) {
    size_t length = strlen(name), end_length = strlen(end);
    return length > end_length && memcmp(name + length - end_length, end, end_length) == 0;
}

static void remember(char place[PATH_BYTE_COUNT], const char *name) {
    place[0] = 0;
    if (name && strlen(name) < PATH_BYTE_COUNT) strcpy(place, name);
}

// MARK: Names of super-journals: the database's, "-mj", six digits, "9", two digits (vdbeCommit in src/vdbeaux.c)

enum { SUPER_SUFFIX_LENGTH = 12 };

static bool is_super_suffix(const char *suffix) {
    if (memcmp(suffix, "-mj", 3) != 0 || suffix[9] != '9') return false;
    for (int i = 3; i < SUPER_SUFFIX_LENGTH; i++) {
        if (!strchr("0123456789ABCDEF", suffix[i])) return false;
    }
    return true;
}

static bool is_super_name(const char *name) {
    size_t length = strlen(name);
    return length > SUPER_SUFFIX_LENGTH && is_super_suffix(name + length - SUPER_SUFFIX_LENGTH);
}

/// Whether it is the super-journal of the database whose journal this thread has opened.
static bool is_own_super(const char *name) {
    size_t stem = strlen(name) - (is_super_name(name) ? SUPER_SUFFIX_LENGTH : 0);
    return is_super_name(name) && strlen(journal) == stem + strlen("-journal") && memcmp(name, journal, stem) == 0;
}

// MARK: A file that is empty

static int empty_close(sqlite3_file *file) { return SQLITE_OK; }
static int empty_read(sqlite3_file *file, void *buffer, int count, sqlite3_int64 offset) {
    memset(buffer, 0, (size_t)count);
    return count == 0 ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}
static int empty_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset) { return SQLITE_READONLY; }
static int empty_truncate(sqlite3_file *file, sqlite3_int64 size) { return SQLITE_READONLY; }
static int empty_flags(sqlite3_file *file, int flags) { return SQLITE_OK; }
static int empty_size(sqlite3_file *file, sqlite3_int64 *size) { return *size = 0, SQLITE_OK; }
static int empty_reserved(sqlite3_file *file, int *result) { return *result = 0, SQLITE_OK; }
static int empty_control(sqlite3_file *file, int operation, void *argument) { return SQLITE_NOTFOUND; }
static int empty_none(sqlite3_file *file) { return 0; }

static const sqlite3_io_methods empty_methods = {
    .iVersion = 1, .xClose = empty_close, .xRead = empty_read, .xWrite = empty_write, .xTruncate = empty_truncate,
    .xSync = empty_flags, .xFileSize = empty_size, .xLock = empty_flags, .xUnlock = empty_flags,
    .xCheckReservedLock = empty_reserved, .xFileControl = empty_control, .xSectorSize = empty_none,
    .xDeviceCharacteristics = empty_none,
};

// MARK: Opening and deleting

static const char *const no_file = "It is no regular file, but a pipe, a socket, a device or the like.";

static int refuse(const char *why) {
    refusal = why;
    return SQLITE_CANTOPEN;
}

static bool are_parameters_known(const char *name) {
    const char *key;
    for (int i = 0; (key = sqlite3_uri_key(name, i)); i++) {
        const char *value = sqlite3_uri_parameter(name, key);
        if (strcmp(key, "mode") == 0) continue;
        if (strcmp(key, "cache") == 0 && value && strcmp(value, "private") == 0) continue;
        return false;
    }
    return true;
}

/// Random numbers for the names of files, and the replacement of descriptors below 3, which SQLite does not use
/// (src/os_unix.c).
static bool is_device_of_sqlite(const char *path) {
    return strcmp(path, "/dev/urandom") == 0 || strcmp(path, "/dev/null") == 0;
}

static int open_super(const char *name, sqlite3_file *file, int flags, int *flags_out) {
    if (flags & SQLITE_OPEN_CREATE) {
        if (!is_super_name(name)) return refuse("A super-journal has another name than SQLite gives it.");
        return below->xOpen(below, name, file, flags, flags_out);
    }
    bool is_own = is_own_super(name);
    if (is_own) reads_own_super = true;
    // The database's own super-journal names journals, which SQLite reads to find out whether it is still needed.
    if (is_own || (reads_own_super && ends_with(name, "-journal"))) {
        return below->xOpen(below, name, file, flags, flags_out);
    }
    remember(foreign_super, name);
    file->pMethods = &empty_methods;
    if (flags_out) *flags_out = flags;
    return SQLITE_OK;
}

static int open_file(const char *name, sqlite3_file *file, int flags, int *flags_out) {
    if (!name) return below->xOpen(below, name, file, flags, flags_out);
    if (flags & SQLITE_OPEN_SUPER_JOURNAL) return open_super(name, file, flags, flags_out);
    foreign_super[0] = 0;
    if (flags & SQLITE_OPEN_MAIN_DB) {
        if (!are_parameters_known(name)) {
            return refuse("A file: URI has a parameter that is not known; only mode and cache=private are.");
        }
        // The VFS below allows these, for SQLite's own use.
        if (is_device_of_sqlite(name)) return refuse(no_file);
        opens_database = true;
        int result = below->xOpen(below, name, file, flags, flags_out);
        opens_database = false;
        return result;
    } else if (flags & SQLITE_OPEN_MAIN_JOURNAL) {
        remember(journal, name);
        reads_own_super = false;
    } else if (!(flags & SQLITE_OPEN_WAL)) {
        return refuse("A temporary file has no name.");
    }
    return below->xOpen(below, name, file, flags, flags_out);
}

static int guarded_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *flags_out) {
    file->pMethods = 0;
    forget_refusal();
    int result = open_file(name, file, flags, flags_out);
    return result != SQLITE_OK ? result : litebase_guard_methods(file, name, flags);
}

static int guarded_delete(sqlite3_vfs *vfs, const char *name, int syncs_directory) {
    // Named by a foreign journal, and shown as an empty file just before.
    bool is_foreign = foreign_super[0] && strcmp(name, foreign_super) == 0;
    foreign_super[0] = 0;
    if (is_foreign) return SQLITE_OK;
    if (is_super_name(name)) {
        reads_own_super = false;
    } else if (!ends_with(name, "-journal") && !ends_with(name, "-wal")) {
        return SQLITE_IOERR_DELETE;
    }
    return below->xDelete(below, name, syncs_directory);
}

// MARK: The system call that opens. It has the last word, since what a path leads to may change at any time.

static bool only_reads(int flags) { return (flags & O_ACCMODE) == O_RDONLY; }

static bool refuse_file(int error, const char *why) {
    refusal = why;
    errno = error;
    return false;
}

static bool may_be_opened(const char *path, int flags, const struct stat *status) {
    if (S_ISDIR(status->st_mode)) return only_reads(flags) || refuse_file(EISDIR, no_file);
    bool is_companion = ends_with(path, "-journal") || ends_with(path, "-wal") || ends_with(path, "-shm");
    return !is_companion || status->st_nlink < 2
        || refuse_file(
               EMLINK,
               "Its -journal, -wal or -shm has another name as well (a hard link); make a copy of the database in its place.");
}

static int guarded_open_call(const char *path, int flags, int mode) {
    if (only_reads(flags) && is_device_of_sqlite(path)) return open(path, flags | O_CLOEXEC, mode);
    struct stat status;
    int descriptor = trusted_open(path, flags, mode, may_be_opened, &status);
    // It is about this file alone: the next call asks, or nobody does.
    int error_before = creation_error;
    creation_error = 0;
    if (descriptor >= 0 && S_ISREG(status.st_mode)) note_database(&status);
    if (descriptor >= 0) return descriptor;
    if (errno == EINVAL) refusal = no_file;
    // SQLite tries a file that it could not make again, to read it (unixOpen in src/os_unix.c), and keeps the error of that attempt:
    // that the file is missing.
    if (flags & O_CREAT) creation_error = errno;
    else if (errno == ENOENT && error_before != 0) errno = error_before;
    return -1;
}

// MARK: The other calls that take a path. SQLite follows no links itself then, and makes no directories for what is used here.

/// Before SQLite opens a database, it checks whether it has kept a descriptor of that file, which it then reuses
/// (findReusableFd in src/os_unix.c).
static int guarded_stat_call(const char *path, struct stat *status) {
    int result = trusted_stat(path, status);
    if (result == 0) note_database(status);
    return result;
}

static int set_system_calls(sqlite3_vfs *system) {
    static const struct { const char *name; sqlite3_syscall_ptr call; } calls[] = {
        {"open", (sqlite3_syscall_ptr)guarded_open_call}, {"stat", (sqlite3_syscall_ptr)guarded_stat_call},
        {"access", (sqlite3_syscall_ptr)trusted_access}, {"unlink", (sqlite3_syscall_ptr)trusted_unlink},
        {"mmap", (sqlite3_syscall_ptr)litebase_map_index}, {"munmap", (sqlite3_syscall_ptr)litebase_unmap_index},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int result = system->xSetSystemCall(system, calls[i].name, calls[i].call);
        if (result != SQLITE_OK) return result;
    }
    return SQLITE_OK;
}

static int guarded_full_path(sqlite3_vfs *vfs, const char *name, int count, char *out) {
    forget_refusal();
    int link_count = trusted_full_path(name, out, count);
    if (link_count < 0) return SQLITE_CANTOPEN;
    return link_count > 0 ? SQLITE_OK_SYMLINK : SQLITE_OK;
}

// MARK: The rest

/// Checking whether a file exists needs more than stat(2) does (TrustedPaths.c), such as free descriptors. If the check
/// fails, the answer must not be that there is no journal, as the VFS below would say.
static int guarded_access(sqlite3_vfs *vfs, const char *name, int flags, int *result) {
    if (flags != SQLITE_ACCESS_EXISTS) return below->xAccess(below, name, flags, result);
    struct stat status;
    *result = 0;
    if (trusted_stat(name, &status) != 0) {
        bool could_look = errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != EIO;
        return could_look ? SQLITE_OK : SQLITE_IOERR_ACCESS;
    }
    // As in the VFS below: an empty file counts as none.
    *result = !S_ISREG(status.st_mode) || status.st_size > 0;
    return SQLITE_OK;
}
static void *no_library(sqlite3_vfs *vfs, const char *name) { return 0; }
static void no_library_error(sqlite3_vfs *vfs, int count, char *message) {
    sqlite3_snprintf(count, message, "extensions cannot be loaded");
}
static void (*no_symbol(sqlite3_vfs *vfs, void *library, const char *name))(void) { return 0; }
static void no_library_close(sqlite3_vfs *vfs, void *library) {}
static int guarded_randomness(sqlite3_vfs *vfs, int count, char *out) { return below->xRandomness(below, count, out); }
static int guarded_sleep(sqlite3_vfs *vfs, int microseconds) { return below->xSleep(below, microseconds); }
static int guarded_time(sqlite3_vfs *vfs, double *time) { return below->xCurrentTime(below, time); }
static int guarded_last_error(sqlite3_vfs *vfs, int count, char *out) {
    return below->xGetLastError ? below->xGetLastError(below, count, out) : 0;
}
static int guarded_time_64(sqlite3_vfs *vfs, sqlite3_int64 *time) { return below->xCurrentTimeInt64(below, time); }

static sqlite3_vfs guarded = {
    .iVersion = 2, .zName = "litebase", .xOpen = guarded_open, .xDelete = guarded_delete, .xAccess = guarded_access,
    .xFullPathname = guarded_full_path, .xDlOpen = no_library, .xDlError = no_library_error, .xDlSym = no_symbol,
    .xDlClose = no_library_close, .xRandomness = guarded_randomness, .xSleep = guarded_sleep, .xCurrentTime = guarded_time,
    .xGetLastError = guarded_last_error, .xCurrentTimeInt64 = guarded_time_64,
};

int litebase_sqlite3_guard_files(void) {
    // The library's own; "memdb" opens no files.
    static const char *const around[] = {"unix", "unix-none", "unix-dotfile", "unix-excl"};
    below = sqlite3_vfs_find(0);
    if (!below || below->iVersion < 2) return SQLITE_ERROR;
    sqlite3_vfs *system = sqlite3_vfs_find("unix");
    if (!system || system->iVersion < 3) return SQLITE_ERROR;
    int result = set_system_calls(system);
    if (result == SQLITE_OK) result = litebase_catch_lost_indexes();
    if (result != SQLITE_OK) return result;
    guarded.szOsFile = litebase_guarded_byte_count(below->szOsFile);
    guarded.mxPathname = below->mxPathname;
    result = sqlite3_vfs_register(&guarded, 1);
    for (size_t i = 0; result == SQLITE_OK && i < sizeof around / sizeof *around; i++) {
        sqlite3_vfs *other = sqlite3_vfs_find(around[i]);
        if (other) result = sqlite3_vfs_unregister(other);
    }
    return result;
}
