// Tells thread sanitizer about `Mutex` of Swift's Synchronization, whose contended half lies in a library that is not
// instrumented: without this every value behind a contended lock is reported. To be preloaded (scripts/sanitize.sh).
//
// The uncontended half is compiled into the callers and seen: it exchanges the same word whose address is told here.
//
// What is reported without this file: the client's tests, built with thread sanitizer, have 583 reports then, all of what
// LiteBaseClient.Connection has behind its mutexes (`state`, and what is read and sent), and none with it. What goes from the client's
// thread to a task, frames, `Columns` and rows, is ordered by `state` alone: it is put in and taken out within
// `withLock`, and not changed afterwards. Whoever runs the tests without scripts/sanitize.sh has to preload this too.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWIFT __attribute__((swiftcall, visibility("default")))
#define SELF __attribute__((swift_context)) void *handle

static void tell(const char *what, void *address) {
    void (*told)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, what);
    if (told) told(address);
}

SWIFT void lock_slow(uint32_t self_id, SELF) __asm__("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");
SWIFT bool try_lock_slow(SELF) __asm__("$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF");
SWIFT void unlock_slow(SELF) __asm__("$s15Synchronization12_MutexHandleV11_unlockSlowyyF");

SWIFT void lock_slow(uint32_t self_id, SELF) {
    static void (*next)(uint32_t, SELF) __attribute__((swiftcall));
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");
    next(self_id, handle);
    tell("__tsan_acquire", handle);
}

SWIFT bool try_lock_slow(SELF) {
    static bool (*next)(SELF) __attribute__((swiftcall));
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF");
    bool is_locked = next(handle);
    if (is_locked) tell("__tsan_acquire", handle);
    return is_locked;
}

SWIFT void unlock_slow(SELF) {
    static void (*next)(SELF) __attribute__((swiftcall));
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "$s15Synchronization12_MutexHandleV11_unlockSlowyyF");
    tell("__tsan_release", handle);
    next(handle);
}
