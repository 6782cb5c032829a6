#include <sqlite3.h>
#include <stdint.h>

// Swift cannot call C variadics; one shim for each form that is used
// (https://sqlite.org/c3ref/config.html, https://sqlite.org/c3ref/db_config.html).

static inline int litebase_sqlite3_config_int(int option, int value) { return sqlite3_config(option, value); }

/// No file is mapped but the indexes of logs, whatever a PRAGMA says (https://sqlite.org/mmap.html).
static inline int litebase_sqlite3_config_no_mapping(void) {
    return sqlite3_config(SQLITE_CONFIG_MMAP_SIZE, (sqlite3_int64)0, (sqlite3_int64)0);
}

static inline int litebase_sqlite3_config_memory(sqlite3_mem_methods *methods) {
    return sqlite3_config(SQLITE_CONFIG_MALLOC, methods);
}

static inline int litebase_sqlite3_db_config_bool(sqlite3 *db, int option, int value) {
    int now = 0;
    return sqlite3_db_config(db, option, value, &now);
}

/// The header of a write-ahead log's index (https://sqlite.org/walformat.html, 2.1): version, change counter, frames, salts.
typedef struct litebase_wal_header { uint64_t words[6]; } litebase_wal_header;

/// Where that header is, in the shared memory of a connection that is in WAL mode already; NULL when it cannot be had.
/// By the methods of the connection's file (https://sqlite.org/c3ref/io_methods.html): opening and closing the file
/// oneself would drop SQLite's locks (https://sqlite.org/howtocorrupt.html, 2.2).
static inline const volatile void *litebase_sqlite3_wal_header(sqlite3 *db) {
    enum { BLOCK_BYTE_COUNT = 32768 };
    sqlite3_file *file = 0;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file || !file->pMethods) return 0;
    if (file->pMethods->iVersion < 2 || !file->pMethods->xShmMap) return 0;
    volatile void *block = 0;
    return file->pMethods->xShmMap(file, 0, BLOCK_BYTE_COUNT, 0, &block) == SQLITE_OK ? block : 0;
}

static inline litebase_wal_header litebase_wal_header_copy(const void *header) {
    litebase_wal_header copy;
    for (int i = 0; i < 6; i++) copy.words[i] = __atomic_load_n((const uint64_t *)header + i, __ATOMIC_ACQUIRE);
    return copy;
}

/// Whether the header is what it was. Torn by a commit that goes on at the moment, it is not, or that commit has not
/// returned yet and need not be seen.
static inline int litebase_wal_header_equals(const void *header, const litebase_wal_header *known) {
    uint64_t difference = 0;
    for (int i = 0; i < 6; i++) {
        difference |= __atomic_load_n((const uint64_t *)header + i, __ATOMIC_ACQUIRE) ^ known->words[i];
    }
    return difference == 0;
}

/// Fields of that header, and how many frames a checkpoint has copied into the database, which stands behind its two copies.
static inline uint32_t litebase_wal_header_frames(const litebase_wal_header *header) { return ((const uint32_t *)header)[4]; }
static inline uint32_t litebase_wal_header_pages(const litebase_wal_header *header) { return ((const uint32_t *)header)[5]; }
static inline const uint8_t *litebase_wal_header_salts(const litebase_wal_header *header) { return (const uint8_t *)header + 32; }
static inline uint32_t litebase_wal_header_page_size(const litebase_wal_header *header) {
    uint16_t size = ((const uint16_t *)header)[7];
    return size == 1 ? 65536 : size;
}
/// The change counter, which each commit increments, in shared memory.
static inline uint32_t litebase_wal_changes(const void *header) { return __atomic_load_n((const uint32_t *)header + 2, __ATOMIC_ACQUIRE); }
static inline uint32_t litebase_wal_copied_frames(const void *header) {
    return __atomic_load_n((const uint32_t *)header + 24, __ATOMIC_ACQUIRE);
}

static const int litebase_sqlite3_short_read = SQLITE_IOERR_SHORT_READ;

/// Reads from the main database's file, or from its log, by SQLite's own descriptor: see `litebase_sqlite3_wal_header`.
/// Bytes behind the end are zeros, and the result is `litebase_sqlite3_short_read`.
static inline int litebase_sqlite3_read_file(sqlite3 *db, int is_log, void *buffer, int byte_count, int64_t offset) {
    sqlite3_file *file = 0;
    int pointer = is_log ? SQLITE_FCNTL_JOURNAL_POINTER : SQLITE_FCNTL_FILE_POINTER;
    if (sqlite3_file_control(db, "main", pointer, &file) != SQLITE_OK || !file || !file->pMethods) return SQLITE_ERROR;
    return file->pMethods->xRead(file, buffer, byte_count, offset);
}

/// Bytes of the main database's file and of its write-ahead log or rollback journal, as far as they are open.
static inline int64_t litebase_sqlite3_file_bytes(sqlite3 *db) {
    static const int pointers[] = {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER};
    int64_t sum = 0;
    for (int i = 0; i < 2; i++) {
        sqlite3_file *file = 0;
        sqlite3_int64 size = 0;
        if (sqlite3_file_control(db, "main", pointers[i], &file) != SQLITE_OK || !file || !file->pMethods) continue;
        if (file->pMethods->xFileSize(file, &size) == SQLITE_OK) sum += size;
    }
    return sum;
}
