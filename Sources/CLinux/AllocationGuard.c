// The guard of a thread that works for a client whose input decides how deep and how long that work goes. A library
// allocates at each level and each step of such work, and when memory runs out it stops in an orderly way. Or it reads a
// file, block after block, and stops when that fails.
#define _GNU_SOURCE
#include "CLinux.h"

#include <pthread.h>

static _Thread_local char *guard_stack_end;
static _Thread_local bool (*guard_asks)(void *);
static _Thread_local void *guard_context;
static _Thread_local unsigned guard_countdown;
static _Thread_local clinux_guard_reason guard_reason;

static _Thread_local bool (*reads_ask)(void *);
static _Thread_local void *reads_context;
static _Thread_local unsigned reads_countdown;

// Reading a block of a file costs ten times as much as looking at the clock.
enum { GUARD_ALLOCATION_COUNT = 16, GUARD_READ_COUNT = 4 };

void clinux_guard_stack(size_t margin)
{
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
    void *lowest = NULL;
    size_t size = 0;
    if (pthread_attr_getstack(&attributes, &lowest, &size) == 0 && size > margin) guard_stack_end = (char *)lowest + margin;
    pthread_attr_destroy(&attributes);
}

void clinux_guard_begin(bool (*asks)(void *), void *context)
{
    guard_asks = asks;
    guard_context = context;
    guard_countdown = GUARD_ALLOCATION_COUNT;
    guard_reason = CLINUX_GUARD_NONE;
}

clinux_guard_reason clinux_guard_end(void)
{
    clinux_guard_reason reason = guard_reason;
    guard_asks = NULL;
    guard_reason = CLINUX_GUARD_NONE;
    return reason;
}

clinux_guard_reason clinux_guard_refusal(void) { return guard_reason; }

bool clinux_is_beyond_guard(void)
{
    if ((char *)__builtin_frame_address(0) < guard_stack_end) {
        guard_reason = CLINUX_GUARD_STACK;
        return true;
    }
    if (!guard_asks) return false;
    if (guard_reason == CLINUX_GUARD_TIME) return true;
    if (--guard_countdown > 0) return false;
    guard_countdown = GUARD_ALLOCATION_COUNT;
    if (!guard_asks(guard_context)) return false;
    guard_reason = CLINUX_GUARD_TIME;
    return true;
}

void clinux_guard_reads(bool (*asks)(void *), void *context)
{
    reads_ask = asks;
    reads_context = context;
    reads_countdown = GUARD_READ_COUNT;
}

bool clinux_must_not_read(void)
{
    if (!reads_ask || --reads_countdown > 0) return false;
    // Each further one asks, too: the answer may be yes only once.
    reads_countdown = 1;
    if (reads_ask(reads_context)) return true;
    reads_countdown = GUARD_READ_COUNT;
    return false;
}
