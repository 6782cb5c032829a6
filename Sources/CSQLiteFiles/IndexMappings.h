// The indexes of write-ahead logs (-shm) that this process has mapped; for this target only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A -shm that is mapped. SQLite maps each only once, however many connections share it (unixShmNode in src/os_unix.c).
typedef struct litebase_index litebase_index;

enum {
    /// What SQLite maps at a time, except where the system's pages are larger (WALINDEX_PGSZ in src/wal.c).
    LITEBASE_REGION_BYTE_COUNT = 32768,
};

/// Catches SIGBUS from now on. A result code of SQLite's.
int litebase_catch_lost_indexes(void);

/// mmap(2) and munmap(2) for SQLite, which maps nothing else (SQLITE_CONFIG_MMAP_SIZE is 0).
void *litebase_map_index(void *address, size_t byte_count, int protection, int flags, int descriptor, long offset);
int litebase_unmap_index(void *address, size_t byte_count);

/// The index in whose mapping an address lies; NULL for any other address.
litebase_index *litebase_index_at(const volatile void *address);
/// Different for each index that was ever mapped.
uint64_t litebase_index_serial(const litebase_index *index);
size_t litebase_index_byte_count(const litebase_index *index);
bool litebase_is_index_lost(const litebase_index *index);

/// Makes the file that long. SQLite looks how long it is, and then writes what is missing: where somebody has truncated it, it
/// would fill the place of what was there with zeros, and nobody would notice. Here the index is lost then.
/// - Returns: whether it is that long.
bool litebase_extend_index(litebase_index *index, size_t byte_count);

/// Gives the index up if its file is shorter than what is mapped: within a page that it is cut off in, the rest reads as zeros,
/// and nothing is said (truncate(2), mmap(2)).
void litebase_look_at_index(litebase_index *index);

/// Gives the index up.
void litebase_lose_index(litebase_index *index);

/// Keeps the header, for the one who may write now. See `lose` in IndexMappings.c.
void litebase_keep_header(litebase_index *index);

/// The page size that the header tells; 0 for a log that was never written.
uint32_t litebase_index_page_size(const litebase_index *index);
