// Memory and temporary files of a library, counted in all and for each user.
//
// Each allocation begins with a pointer to its account, so that freeing it credits the right one. Each thread collects
// its changes for the account for which it works, so that loops do not compete for cache lines: a point SELECT makes
// six calls.
#include "CLinux.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

struct clinux_account {
    uint32_t uid;
    _Atomic int64_t bytes, peak, file_bytes, file_peak, file_count;
    _Atomic uint64_t refusals, file_refusals;
    clinux_account *next;
};

typedef struct {
    clinux_account *account;
    int64_t byte_count;
} header;

enum {
    GATHERED_BYTE_COUNT_MAX = 64 << 10,
    // The header, and malloc's own data for each chunk.
    OVERHEAD = sizeof(header) + sizeof(size_t),
    BUCKET_COUNT = 256,
};

static clinux_account nobody, everybody;
static _Atomic(clinux_account *) buckets[BUCKET_COUNT];
static _Atomic int64_t limit_in_all, limit_by_one, file_limit_by_one, file_count_limit_in_all, file_count_limit_by_one;
static _Thread_local clinux_account *current = &nobody;
static _Thread_local int64_t gathered_bytes;
static _Thread_local int refusal;

#define GET(place) atomic_load_explicit(&(place), memory_order_relaxed)
#define ADD(place, change) (atomic_fetch_add_explicit(&(place), change, memory_order_relaxed) + (change))

clinux_account *clinux_account_of(uint32_t uid)
{
    _Atomic(clinux_account *) *bucket = &buckets[(uid ^ uid >> 8 ^ uid >> 16) % BUCKET_COUNT];
    clinux_account *first = atomic_load_explicit(bucket, memory_order_acquire), *made = NULL;
    while (true) {
        for (clinux_account *known = first; known; known = known->next) {
            if (known->uid == uid) {
                free(made);
                return known;
            }
        }
        if (!made && !(made = calloc(1, sizeof *made))) return NULL;
        made->uid = uid;
        made->next = first;
        if (atomic_compare_exchange_strong_explicit(bucket, &first, made, memory_order_release, memory_order_acquire)) return made;
    }
}

uint32_t clinux_account_uid(const clinux_account *account) { return account->uid; }
clinux_account *clinux_worked_for(void) { return current == &nobody ? NULL : current; }

static void note_peak(_Atomic int64_t *place, int64_t now)
{
    int64_t peak = GET(*place);
    while (now > peak && !atomic_compare_exchange_weak_explicit(place, &peak, now, memory_order_relaxed, memory_order_relaxed)) {
    }
}

// The counted part of the process's heap, and its peak since memory was last returned.
static _Atomic int64_t heap_bytes, heap_peak;
static sem_t freed;
static _Atomic bool is_watched;

void clinux_note_heap(int64_t change)
{
    int64_t now = ADD(heap_bytes, change), peak = GET(heap_peak);
    if (change > 0) {
        note_peak(&heap_peak, now);
    } else if (peak - now >= CLINUX_FREED_BYTE_COUNT_MIN && atomic_load(&is_watched) &&
               atomic_compare_exchange_strong(&heap_peak, &peak, now)) {
        sem_post(&freed);
    }
}

bool clinux_watch_freed_memory(void)
{
    static atomic_flag is_taken = ATOMIC_FLAG_INIT;
    if (atomic_flag_test_and_set(&is_taken)) return false;
    sem_init(&freed, 0, 0);
    atomic_store(&is_watched, true);
    return true;
}

void clinux_wait_for_freed_memory(void)
{
    while (sem_wait(&freed) != 0 && errno == EINTR) {
    }
}

static void add(clinux_account *account, int64_t change)
{
    clinux_note_heap(change);
    note_peak(&account->peak, ADD(account->bytes, change));
    note_peak(&everybody.peak, ADD(everybody.bytes, change));
}

void clinux_flush_counted(void)
{
    int64_t change = gathered_bytes;
    gathered_bytes = 0;
    if (change != 0) add(current, change);
}

void clinux_work_for(clinux_account *account)
{
    clinux_account *next = account ? account : &nobody;
    if (next == current) return;
    clinux_flush_counted();
    current = next;
}

void clinux_begin_work_for(clinux_account *account)
{
    refusal = CLINUX_REFUSED_NOTHING;
    clinux_work_for(account);
}

static bool has_room(clinux_account *account, int64_t change)
{
    int64_t in_all = GET(limit_in_all), by_one = GET(limit_by_one);
    if (account != &nobody && by_one > 0 && GET(account->bytes) + change > by_one) {
        refusal = CLINUX_REFUSED_MEMORY_BY_ONE;
    } else if (in_all > 0 && GET(everybody.bytes) + change > in_all) {
        refusal = CLINUX_REFUSED_MEMORY_IN_ALL;
        ADD(everybody.refusals, 1);
    } else {
        return true;
    }
    ADD(account->refusals, 1);
    return false;
}

// False if that exceeds a limit; then nothing is counted.
static bool count_bytes(clinux_account *account, int64_t change)
{
    if (account != current) {
        if (change > 0 && !has_room(account, change)) return false;
        add(account, change);
        return true;
    }
    int64_t gathered = gathered_bytes + change;
    if (gathered > -GATHERED_BYTE_COUNT_MAX && gathered < GATHERED_BYTE_COUNT_MAX) {
        gathered_bytes = gathered;
        return true;
    }
    if (change > 0 && !has_room(current, gathered)) return false;
    gathered_bytes = gathered;
    clinux_flush_counted();
    return true;
}

static header *header_of(void *memory) { return (header *)memory - 1; }

int clinux_counted_size(void *memory) { return memory ? (int)header_of(memory)->byte_count : 0; }

enum {
    TABLE_BYTE_COUNT = 1024,
    ROOMY_COUNT_MAX = 16,
    ROOMY_BYTE_COUNT_MIN = 8 << 10,
    ROOMY_BYTE_COUNT_MAX = 16 << 20,
    // Several tables begin at the same size.
    ROOMY_FIRST_COUNT = 4,
};
static _Thread_local int roomy_count_left;

void clinux_begin_roomy_tables(void) { roomy_count_left = ROOMY_COUNT_MAX; }
void clinux_end_roomy_tables(void) { roomy_count_left = 0; }

static void *allocate(int byte_count)
{
    if (clinux_is_beyond_guard() || !count_bytes(current, (int64_t)byte_count + OVERHEAD)) return NULL;
    header *made = malloc(sizeof(header) + (size_t)byte_count);
    if (!made) {
        count_bytes(current, -((int64_t)byte_count + OVERHEAD));
        return NULL;
    }
    made->account = current;
    made->byte_count = byte_count;
    return made + 1;
}

static void *allocate_roomy(void)
{
    int doublings = ROOMY_COUNT_MAX - roomy_count_left - ROOMY_FIRST_COUNT + 1;
    int byte_count = ROOMY_BYTE_COUNT_MIN << (doublings > 0 ? doublings : 0);
    roomy_count_left -= 1;
    if (byte_count > ROOMY_BYTE_COUNT_MAX) byte_count = ROOMY_BYTE_COUNT_MAX;
    void *made = allocate(byte_count);
    // That there is no room for more than was asked for is no reason to refuse.
    return made ? made : allocate(TABLE_BYTE_COUNT);
}

void *clinux_counted_allocate(int byte_count)
{
    if (byte_count == TABLE_BYTE_COUNT && roomy_count_left > 0) return allocate_roomy();
    return allocate(byte_count);
}

void clinux_counted_free(void *memory)
{
    if (!memory) return;
    header *freed = header_of(memory);
    count_bytes(freed->account, -(freed->byte_count + OVERHEAD));
    free(freed);
}

void *clinux_counted_resize(void *memory, int byte_count)
{
    if (!memory) return clinux_counted_allocate(byte_count);
    if (clinux_is_beyond_guard()) return NULL;
    header *former = header_of(memory);
    clinux_account *account = former->account;
    int64_t growth = byte_count - former->byte_count;
    if (growth > 0 && !count_bytes(account, growth)) return NULL;
    header *resized = realloc(former, sizeof(header) + (size_t)byte_count);
    if (!resized) {
        if (growth > 0) count_bytes(account, -growth);
        return NULL;
    }
    if (growth < 0) count_bytes(account, growth);
    resized->byte_count = byte_count;
    return resized + 1;
}

bool clinux_charge_file(clinux_account *charged, int64_t change)
{
    clinux_account *account = charged ? charged : &nobody;
    int64_t limit = GET(file_limit_by_one);
    if (change > 0 && charged && limit > 0 && GET(account->file_bytes) + change > limit) {
        refusal = CLINUX_REFUSED_FILES_BY_ONE;
        ADD(account->file_refusals, 1);
        ADD(everybody.file_refusals, 1);
        return false;
    }
    note_peak(&account->file_peak, ADD(account->file_bytes, change));
    note_peak(&everybody.file_peak, ADD(everybody.file_bytes, change));
    return true;
}

static bool is_beyond(int64_t count, int64_t limit) { return limit > 0 && count > limit; }

bool clinux_open_file(clinux_account *charged)
{
    clinux_account *account = charged ? charged : &nobody;
    int64_t in_all = ADD(everybody.file_count, 1), by_one = ADD(account->file_count, 1);
    // The daemon's own work is not refused.
    if (!charged || (!is_beyond(in_all, GET(file_count_limit_in_all)) && !is_beyond(by_one, GET(file_count_limit_by_one)))) {
        return true;
    }
    clinux_close_file(charged);
    refusal = CLINUX_REFUSED_FILE_COUNT;
    ADD(account->file_refusals, 1);
    ADD(everybody.file_refusals, 1);
    return false;
}

void clinux_close_file(clinux_account *charged)
{
    clinux_account *account = charged ? charged : &nobody;
    ADD(account->file_count, -1);
    ADD(everybody.file_count, -1);
}

clinux_usage clinux_memory_usage(const clinux_account *account)
{
    const clinux_account *asked = account ? account : &everybody;
    int64_t bytes = GET(asked->bytes);
    return (clinux_usage){bytes > 0 ? bytes : 0, GET(asked->peak), GET(asked->refusals)};
}

clinux_usage clinux_file_usage(const clinux_account *account)
{
    const clinux_account *asked = account ? account : &everybody;
    return (clinux_usage){GET(asked->file_bytes), GET(asked->file_peak), GET(asked->file_refusals)};
}

void clinux_set_memory_limits(int64_t in_all, int64_t by_one)
{
    atomic_store_explicit(&limit_in_all, in_all, memory_order_relaxed);
    atomic_store_explicit(&limit_by_one, by_one, memory_order_relaxed);
}

void clinux_set_file_limits(int64_t by_one, int64_t count_in_all, int64_t count_by_one)
{
    atomic_store_explicit(&file_limit_by_one, by_one, memory_order_relaxed);
    atomic_store_explicit(&file_count_limit_in_all, count_in_all, memory_order_relaxed);
    atomic_store_explicit(&file_count_limit_by_one, count_by_one, memory_order_relaxed);
}

int clinux_take_refusal(void)
{
    int was = refusal;
    refusal = CLINUX_REFUSED_NOTHING;
    return was;
}
