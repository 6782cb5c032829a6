// A VFS over the default one (https://sqlite.org/vfs.html) that counts the size of temporary files. The VFS below opens
// all other files, and its methods work on them.
#include "CSQLiteAccounts.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "CLinux.h"

// The file of the VFS below follows it in memory.
typedef struct {
    sqlite3_file base;
    clinux_account *account;
    sqlite3_int64 charged;
    void *alignment;
} counted_file;

static sqlite3_vfs *below;

static sqlite3_file *real(sqlite3_file *file) { return (sqlite3_file *)((counted_file *)file + 1); }

// A file without a name is deleted when it is closed, whatever its purpose.
static bool is_temporary(const char *name, int flags)
{
    return !name || (flags & (SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_TRANSIENT_DB | SQLITE_OPEN_TEMP_JOURNAL | SQLITE_OPEN_SUBJOURNAL));
}

static int charge(sqlite3_file *file, sqlite3_int64 size)
{
    counted_file *counted = (counted_file *)file;
    if (!clinux_charge_file(counted->account, size - counted->charged)) return SQLITE_FULL;
    counted->charged = size;
    return SQLITE_OK;
}

static int close_file(sqlite3_file *file)
{
    charge(file, 0);
    clinux_close_file(((counted_file *)file)->account);
    return real(file)->pMethods->xClose(real(file));
}

static int read_file(sqlite3_file *file, void *place, int byte_count, sqlite3_int64 offset)
{
    // As of a database (CSQLiteFiles/GuardedMethods.c).
    if (clinux_must_not_read()) return SQLITE_INTERRUPT;
    return real(file)->pMethods->xRead(real(file), place, byte_count, offset);
}

static int write_file(sqlite3_file *file, const void *bytes, int byte_count, sqlite3_int64 offset)
{
    sqlite3_int64 end = offset + byte_count;
    if (end > ((counted_file *)file)->charged && charge(file, end) != SQLITE_OK) return SQLITE_FULL;
    return real(file)->pMethods->xWrite(real(file), bytes, byte_count, offset);
}

static int truncate_file(sqlite3_file *file, sqlite3_int64 size)
{
    int result = real(file)->pMethods->xTruncate(real(file), size);
    if (result == SQLITE_OK && size < ((counted_file *)file)->charged) charge(file, size);
    return result;
}

static int sync_file(sqlite3_file *file, int flags) { return real(file)->pMethods->xSync(real(file), flags); }
static int size_of_file(sqlite3_file *file, sqlite3_int64 *size) { return real(file)->pMethods->xFileSize(real(file), size); }
static int lock_file(sqlite3_file *file, int level) { return real(file)->pMethods->xLock(real(file), level); }
static int unlock_file(sqlite3_file *file, int level) { return real(file)->pMethods->xUnlock(real(file), level); }
static int check_lock(sqlite3_file *file, int *is_reserved)
{
    return real(file)->pMethods->xCheckReservedLock(real(file), is_reserved);
}
static int sector_size(sqlite3_file *file) { return real(file)->pMethods->xSectorSize(real(file)); }
static int characteristics(sqlite3_file *file) { return real(file)->pMethods->xDeviceCharacteristics(real(file)); }

// A file that grows by a hint would be larger than what is counted; it is only a hint.
static int control_file(sqlite3_file *file, int operation, void *argument)
{
    if (operation == SQLITE_FCNTL_SIZE_HINT || operation == SQLITE_FCNTL_CHUNK_SIZE) return SQLITE_OK;
    return real(file)->pMethods->xFileControl(real(file), operation, argument);
}

// Version 1: neither shared memory nor memory-mapped access, by which a file would grow uncounted.
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = close_file,
    .xRead = read_file,
    .xWrite = write_file,
    .xTruncate = truncate_file,
    .xSync = sync_file,
    .xFileSize = size_of_file,
    .xLock = lock_file,
    .xUnlock = unlock_file,
    .xCheckReservedLock = check_lock,
    .xFileControl = control_file,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *flags_out)
{
    (void)vfs;
    if (!is_temporary(name, flags)) return below->xOpen(below, name, file, flags, flags_out);
    counted_file *counted = (counted_file *)file;
    counted->base.pMethods = NULL;
    real(file)->pMethods = NULL;
    counted->account = clinux_worked_for();
    if (!clinux_open_file(counted->account)) return SQLITE_FULL;
    int result = below->xOpen(below, name, real(file), flags, flags_out);
    if (!real(file)->pMethods) {
        clinux_close_file(counted->account);
        return result;
    }
    counted->charged = 0;
    counted->base.pMethods = &methods;
    return result;
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync) { (void)vfs; return below->xDelete(below, name, sync); }
static int access_file(sqlite3_vfs *vfs, const char *name, int flags, int *result)
{
    (void)vfs;
    return below->xAccess(below, name, flags, result);
}
static int full_path(sqlite3_vfs *vfs, const char *name, int size, char *path)
{
    (void)vfs;
    return below->xFullPathname(below, name, size, path);
}
static void *open_library(sqlite3_vfs *vfs, const char *name) { (void)vfs; return below->xDlOpen(below, name); }
static void library_error(sqlite3_vfs *vfs, int size, char *text) { (void)vfs; below->xDlError(below, size, text); }
static void (*library_symbol(sqlite3_vfs *vfs, void *library, const char *name))(void)
{
    (void)vfs;
    return below->xDlSym(below, library, name);
}
static void close_library(sqlite3_vfs *vfs, void *library) { (void)vfs; below->xDlClose(below, library); }
static int randomness(sqlite3_vfs *vfs, int size, char *place) { (void)vfs; return below->xRandomness(below, size, place); }
static int sleep_for(sqlite3_vfs *vfs, int microseconds) { (void)vfs; return below->xSleep(below, microseconds); }
static int last_error(sqlite3_vfs *vfs, int size, char *text)
{
    (void)vfs;
    return below->xGetLastError ? below->xGetLastError(below, size, text) : 0;
}
static int current_time(sqlite3_vfs *vfs, double *time) { (void)vfs; return below->xCurrentTime(below, time); }
static int current_time_64(sqlite3_vfs *vfs, sqlite3_int64 *time) { (void)vfs; return below->xCurrentTimeInt64(below, time); }

int litebase_charge_temporary_files(void)
{
    static sqlite3_vfs vfs;
    below = sqlite3_vfs_find(NULL);
    if (!below) return SQLITE_ERROR;
    vfs = (sqlite3_vfs){
        .iVersion = below->iVersion >= 2 ? 2 : 1,
        .szOsFile = (int)sizeof(counted_file) + below->szOsFile,
        .mxPathname = below->mxPathname,
        .zName = "litebase-temporary",
        .xOpen = open_file,
        .xDelete = delete_file,
        .xAccess = access_file,
        .xFullPathname = full_path,
        .xDlOpen = open_library,
        .xDlError = library_error,
        .xDlSym = library_symbol,
        .xDlClose = close_library,
        .xRandomness = randomness,
        .xSleep = sleep_for,
        .xCurrentTime = current_time,
        .xGetLastError = last_error,
        .xCurrentTimeInt64 = current_time_64,
    };
    return sqlite3_vfs_register(&vfs, 1);
}
