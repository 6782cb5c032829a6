// The indexes of write-ahead logs (-shm) that this process has mapped; for this target only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// A -shm that is mapped. SQLite maps each only once, however many connections share it (unixShmNode in src/os_unix.c).
typedef struct litebase_index litebase_index;

enum {
    /// The size that SQLite maps at a time, unless the system's pages are larger (WALINDEX_PGSZ in src/wal.c).
    LITEBASE_REGION_BYTE_COUNT = 32768,
};

/// Catches SIGBUS from now on. A result code of SQLite's.
int litebase_catch_lost_indexes(void);

/// mmap(2) and munmap(2) for SQLite, which maps nothing else (SQLITE_CONFIG_MMAP_SIZE is 0).
void *litebase_map_index(void *address, size_t byte_count, int protection, int flags, int descriptor, long offset);
int litebase_unmap_index(void *address, size_t byte_count);

/// The index in whose mapping an address lies; NULL for any other address.
litebase_index *litebase_index_at(const volatile void *address);
/// A unique number for each index that was ever mapped.
uint64_t litebase_index_serial(const litebase_index *index);
size_t litebase_index_byte_count(const litebase_index *index);
bool litebase_is_index_lost(const litebase_index *index);

/// Extends the file to that length. SQLite checks the length and then writes the missing part: in a truncated file it
/// would fill the lost part with zeros unnoticed. Here the index is marked as lost instead.
/// - Returns: whether the file has that length.
bool litebase_extend_index(litebase_index *index, size_t byte_count);

/// Marks the index as lost if its file is shorter than the mapping: if it is truncated within a page, the rest of that
/// page reads as zeros, without an error (truncate(2), mmap(2)).
void litebase_look_at_index(litebase_index *index);

/// Whether another process holds its lock for writing.
bool litebase_is_index_written_elsewhere(const litebase_index *index);

/// Marks the index as lost.
void litebase_lose_index(litebase_index *index);

/// Keeps the header for the present writer. See `lose` in IndexMappings.c.
void litebase_keep_header(litebase_index *index);

/// The page size in the header; 0 for a log that was never written.
uint32_t litebase_index_page_size(const litebase_index *index);
