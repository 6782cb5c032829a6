// A mapped file may be truncated by anybody who may write it, or its disk may be full or fail: then the next access
// raises SIGBUS, which ends the process (mmap(2), NOTES). Of the daemon's files SQLite maps one for each database in
// WAL mode, the index of the log (-shm), since other processes may use the database as well. So:
//
// - All mappings are listed. If SIGBUS comes from one of them, memory of the process replaces all mappings of that
//   file, the file is marked as lost, and the access is repeated. SIGBUS from anywhere else has its former effect.
// - A reader of that memory finds no frames, and so the state of the database before the log: nothing that was done
//   with a lost index may be trusted. The mark is set before the memory is there. So a connection that has read, then
//   checks the mark, and finds it unset, has read the content of the file. GuardedMethods.c checks before anything is
//   written, and SQLiteConnection before anything is answered; the database's connections are then closed, and it is
//   opened again.
//
// The table has a fixed size and is read without a lock: a signal handler can neither wait nor allocate. mmap(2),
// mremap(2) and sched_yield(2) are not in the list of signal-safety(7), but in the C library they are only the system
// call.
#define _GNU_SOURCE
#include "IndexMappings.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "CSQLiteFiles.h"

enum {
    // A database in WAL mode needs three descriptors, of which there are some ten thousands at most.
    INDEX_COUNT_MAX = 8192,
    // Each is for 16 MiB of a log with pages of 4 KiB.
    REGION_COUNT_MAX = 32768,
    NONE = -1,
    // Of the header (https://sqlite.org/walformat.html#the_wal_index_file_format): words of four bytes, and places of bytes.
    HEADER_WORD_COUNT = 12,
    HEADER_IS_INITIALIZED = 12,
    HEADER_PAGE_SIZE = 14,
    // The byte that whoever writes to the log has locked (https://sqlite.org/walformat.html#wal_locks).
    WRITE_LOCK_PLACE = 120,
    // Slots have 16 bits, and each is for a word.
    SLACK_BYTE_COUNT = 65536 * 4,
};

enum { SOUND, BEING_REPLACED, REPLACED, NOT_REPLACED };

typedef struct {
    // 0: not in use. The other fields are set before.
    atomic_uintptr_t base;
    size_t byte_count;
    litebase_index *index;
    // Of the same index, in the order of the file.
    atomic_int next;
} region;

struct litebase_index {
    atomic_int state;
    atomic_bool is_lost;
    bool is_used;
    int descriptor;
    uint64_t serial;
    atomic_int first;
    int last;
    atomic_size_t byte_count;
    atomic_bool has_header;
    _Atomic uint32_t header[HEADER_WORD_COUNT];
};

static litebase_index indexes[INDEX_COUNT_MAX];
static region regions[REGION_COUNT_MAX];
// No region at or after this index was ever in use.
static atomic_int region_end;
static int index_end;
static uint64_t last_serial;
// For threads that map and unmap, not for the handler.
static pthread_mutex_t change = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction former_action;

uint64_t litebase_index_loss_count;

static region *region_at(uintptr_t address) {
    int end = atomic_load_explicit(&region_end, memory_order_acquire);
    for (int i = 0; i < end; i++) {
        uintptr_t base = atomic_load_explicit(&regions[i].base, memory_order_acquire);
        if (base && address >= base && address - base < regions[i].byte_count) return &regions[i];
    }
    return NULL;
}

// MARK: Losing one

/// Replaces a region by zeros.
static bool replace(region *region) {
    void *base = (void *)atomic_load(&region->base);
    return mmap(base, region->byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == base;
}

/// The first region keeps the header as it was when the present writer began, but marked as not initialized: nobody
/// uses it, but a rollback finds the frame after which its own frames are. With zeros it would search for frames in
/// regions that were never mapped (sqlite3WalUndo in src/wal.c, walFramePgno). At no time can anybody see it half done.
static bool replace_first(litebase_index *index, region *region) {
    if (!atomic_load(&index->has_header)) return replace(region);
    void *base = (void *)atomic_load(&region->base);
    void *made = mmap(NULL, region->byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) return false;
    for (int i = 0; i < HEADER_WORD_COUNT; i++) ((uint32_t *)made)[i] = atomic_load(&index->header[i]);
    ((char *)made)[HEADER_IS_INITIALIZED] = 0;
    if (mremap(made, region->byte_count, region->byte_count, MREMAP_MAYMOVE | MREMAP_FIXED, base) == base) return true;
    munmap(made, region->byte_count);
    return false;
}

/// In the order of the file: what a checkpoint writes into the header, after it has found nothing in another region,
/// must have no effect; and it must not find an older frame of a page when the region of the newer one is lost
/// (walIteratorNext in src/wal.c).
/// - Thread: any; within a signal handler.
static bool lose(litebase_index *index) {
    int sound = SOUND;
    if (!atomic_compare_exchange_strong(&index->state, &sound, BEING_REPLACED)) {
        // Another thread that meets it at the same time uses what is there then; replaced once more, it would be empty.
        while (atomic_load(&index->state) == BEING_REPLACED) sched_yield();
        return atomic_load(&index->state) == REPLACED;
    }
    atomic_store(&index->is_lost, true);
    __atomic_fetch_add(&litebase_index_loss_count, 1, __ATOMIC_SEQ_CST);
    bool is_done = true;
    for (int i = atomic_load(&index->first); i != NONE && is_done; i = atomic_load(&regions[i].next)) {
        is_done = i == atomic_load(&index->first) ? replace_first(index, &regions[i]) : replace(&regions[i]);
    }
    atomic_store(&index->state, is_done ? REPLACED : NOT_REPLACED);
    return is_done;
}

// MARK: The signal

/// The default action, or the runtime's crash report. A fault occurs again when the handler returns; a signal that was
/// sent is sent again.
static void leave_to_former(int number, siginfo_t *information) {
    sigaction(SIGBUS, &former_action, NULL);
    bool comes_again = information->si_code == BUS_ADRALN || information->si_code == BUS_ADRERR
        || information->si_code == BUS_OBJERR || information->si_code == BUS_MCEERR_AR;
    if (!comes_again) raise(number);
}

static void bus_error(int number, siginfo_t *information, void *context) {
    (void)context;
    int error = errno;
    // Not positive: sent by a process, and the address is not an address.
    region *region = information->si_code > 0 ? region_at((uintptr_t)information->si_addr) : NULL;
    if (!region || !lose(region->index)) leave_to_former(number, information);
    errno = error;
}

int litebase_catch_lost_indexes(void) {
    // On the signal stack if a thread has one: the runtime's or a sanitizer's. Other threads have room for this.
    struct sigaction action = {.sa_sigaction = bus_error, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, &former_action) == 0 ? SQLITE_OK : SQLITE_ERROR;
}

// MARK: The table

static off_t size_of(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) == 0 ? status.st_size : 0;
}

static litebase_index *index_of(int descriptor) {
    for (int i = 0; i < index_end; i++) {
        if (indexes[i].is_used && indexes[i].descriptor == descriptor) return &indexes[i];
    }
    for (int i = 0; i < INDEX_COUNT_MAX; i++) {
        if (indexes[i].is_used) continue;
        litebase_index *index = &indexes[i];
        if (index_end <= i) index_end = i + 1;
        index->is_used = true;
        index->descriptor = descriptor;
        index->serial = ++last_serial;
        index->last = NONE;
        atomic_store(&index->first, NONE);
        atomic_store(&index->byte_count, 0);
        atomic_store(&index->has_header, false);
        atomic_store(&index->is_lost, false);
        atomic_store(&index->state, SOUND);
        return index;
    }
    return NULL;
}

static bool list(litebase_index *index, void *base, size_t byte_count) {
    int i = 0;
    while (i < REGION_COUNT_MAX && atomic_load(&regions[i].base)) i++;
    if (i == REGION_COUNT_MAX) return false;
    regions[i].byte_count = byte_count;
    regions[i].index = index;
    atomic_store(&regions[i].next, NONE);
    atomic_store(&regions[i].base, (uintptr_t)base);
    if (atomic_load(&region_end) <= i) atomic_store(&region_end, i + 1);
    if (index->last == NONE) {
        atomic_store(&index->first, i);
    } else {
        atomic_store(&regions[index->last].next, i);
    }
    index->last = i;
    atomic_fetch_add(&index->byte_count, byte_count);
    return true;
}

/// With slack after it for the largest index that a slot can contain, in a false table (sqlite3WalFindFrame).
static void *map_with_slack(size_t byte_count, int protection, int flags, int descriptor, long offset) {
    size_t all = byte_count + SLACK_BYTE_COUNT;
    void *place = mmap(NULL, all, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED) return place;
    void *base = mmap(place, byte_count, protection, flags | MAP_FIXED, descriptor, offset);
    if (base == MAP_FAILED) {
        int error = errno;
        munmap(place, all);
        errno = error;
    }
    return base;
}

void *litebase_map_index(void *address, size_t byte_count, int protection, int flags, int descriptor, long offset) {
    (void)address;
    // A false header can make SQLite request any number of regions. The first region was there just now; if it is not,
    // it is lost.
    if (offset > 0 && size_of(descriptor) < offset + (off_t)byte_count) {
        errno = EIO;
        return MAP_FAILED;
    }
    void *base = map_with_slack(byte_count, protection, flags, descriptor, offset);
    if (base == MAP_FAILED) return base;
    pthread_mutex_lock(&change);
    litebase_index *index = index_of(descriptor);
    bool is_listed = index && list(index, base, byte_count);
    if (index && !is_listed && index->last == NONE) index->is_used = false;
    pthread_mutex_unlock(&change);
    if (!is_listed) {
        munmap(base, byte_count + SLACK_BYTE_COUNT);
        errno = ENOMEM;
        return MAP_FAILED;
    }
    // It may have been too late for the handler.
    if (!litebase_is_index_lost(index)) return base;
    return mmap(base, byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

int litebase_unmap_index(void *address, size_t byte_count) {
    pthread_mutex_lock(&change);
    region *region = region_at((uintptr_t)address);
    if (region) {
        // When the first region is unmapped, nobody uses any of them; and nobody may declare a half unmapped index lost
        // by its number.
        litebase_index *index = region->index;
        index->serial = 0;
        size_t left = atomic_fetch_sub(&index->byte_count, region->byte_count) - region->byte_count;
        atomic_store(&region->base, 0);
        if (left == 0) index->is_used = false;
    }
    pthread_mutex_unlock(&change);
    return munmap(address, byte_count + SLACK_BYTE_COUNT);
}

// MARK: Questions

litebase_index *litebase_index_at(const volatile void *address) {
    region *region = region_at((uintptr_t)address);
    return region ? region->index : NULL;
}

uint64_t litebase_index_serial(const litebase_index *index) { return index->serial; }
size_t litebase_index_byte_count(const litebase_index *index) { return atomic_load(&index->byte_count); }
bool litebase_is_index_lost(const litebase_index *index) { return atomic_load_explicit(&index->is_lost, memory_order_acquire); }

void litebase_lose_index(litebase_index *index) { lose(index); }

void litebase_look_at_index(litebase_index *index) {
    if (size_of(index->descriptor) < (off_t)litebase_index_byte_count(index)) lose(index);
}

/// At the present end of the file: a hole that somebody has made meanwhile is not filled, and shows in the length.
static ssize_t append_zeros(int descriptor, size_t byte_count) {
    static char zeros[LITEBASE_REGION_BYTE_COUNT];
    struct iovec part = {zeros, byte_count < sizeof zeros ? byte_count : sizeof zeros};
    return pwritev2(descriptor, &part, 1, -1, RWF_APPEND);
}

bool litebase_extend_index(litebase_index *index, size_t byte_count) {
    off_t size = size_of(index->descriptor), least = (off_t)litebase_index_byte_count(index);
    while (size >= least && size < (off_t)byte_count) {
        ssize_t count = append_zeros(index->descriptor, byte_count - (size_t)size);
        if (count <= 0) return false;
        least = size + count;
        size = size_of(index->descriptor);
    }
    if (size < least) lose(index);
    return !litebase_is_index_lost(index);
}

static const uint32_t *header_of(const litebase_index *index) {
    int first = atomic_load(&index->first);
    return first == NONE ? NULL : (const uint32_t *)atomic_load(&regions[first].base);
}

void litebase_keep_header(litebase_index *index) {
    const uint32_t *header = header_of(index);
    if (!header) return;
    for (int i = 0; i < HEADER_WORD_COUNT; i++) {
        atomic_store_explicit(&index->header[i], __atomic_load_n(header + i, __ATOMIC_RELAXED), memory_order_relaxed);
    }
    atomic_store(&index->has_header, true);
}

bool litebase_is_index_written_elsewhere(const litebase_index *index) {
    // SQLite's own descriptor: closing another one would release its locks. Locks of this process are not found.
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = WRITE_LOCK_PLACE, .l_len = 1};
    return fcntl(index->descriptor, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

uint32_t litebase_index_page_size(const litebase_index *index) {
    const uint32_t *header = header_of(index);
    if (!header) return 0;
    // Two bytes in the machine's order, 1 for 65536.
    uint16_t size;
    memcpy(&size, (const char *)header + HEADER_PAGE_SIZE, sizeof size);
    return size == 1 ? 65536 : size;
}

static litebase_index *index_numbered(uint64_t number) {
    for (int i = 0; i < index_end; i++) {
        if (indexes[i].is_used && indexes[i].serial == number) return &indexes[i];
    }
    return NULL;
}

int litebase_sqlite3_is_index_lost(uint64_t number) {
    pthread_mutex_lock(&change);
    litebase_index *index = index_numbered(number);
    bool is_lost = index && litebase_is_index_lost(index);
    pthread_mutex_unlock(&change);
    return is_lost;
}

void litebase_sqlite3_lose_index(uint64_t number) {
    pthread_mutex_lock(&change);
    litebase_index *index = index_numbered(number);
    if (index) lose(index);
    pthread_mutex_unlock(&change);
}
