// Records the signal that ends the process, in memory that outlives it: the next process can distinguish a crash from a
// process that somebody else has ended (SIGKILL, which no handler sees).
//
// - The signals are those that a process causes itself, and SIGABRT, by which a service manager ends one that hangs.
// - The default action still happens: the process ends by that signal, with a core file of the place where it occurred.
// - Each thread has a separate stack for this, since a stack overflow is a usual reason (sigaltstack(2)).
#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum { PLACE_COUNT_MAX = 4, STACK_BYTE_COUNT = 16 << 10 };

static const int deadly[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGSYS};
static _Atomic(_Atomic uint32_t *) places[PLACE_COUNT_MAX];
static struct sigaction former[sizeof deadly / sizeof *deadly];
static atomic_bool is_watching;
static _Thread_local void *own_stack;

static void note_end(int number, siginfo_t *info, void *context) {
    (void)context;
    for (int i = 0; i < PLACE_COUNT_MAX; i++) {
        _Atomic uint32_t *place = atomic_load(&places[i]);
        if (place) atomic_store(place, (uint32_t)number);
    }
    // Other handlers, such as a sanitizer's, are called as well.
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        if (deadly[i] == number) sigaction(number, &former[i], NULL);
    // A fault occurs again at its instruction when this returns, and other signals are pending until then: in both
    // cases the core file shows the place.
    int is_fault = number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE;
    if (info->si_code <= 0 || !is_fault) raise(number);
}

static size_t stack_byte_count(void) {
    // For the registers of newer processors (AT_MINSIGSTKSZ in getauxval(3)).
    return STACK_BYTE_COUNT + getauxval(AT_MINSIGSTKSZ);
}

void clinux_take_signal_stack(void) {
    if (!atomic_load(&is_watching) || own_stack) return;
    stack_t stack = {.ss_size = stack_byte_count()};
    // Untouched memory is not resident.
    stack.ss_sp = own_stack = malloc(stack.ss_size);
    if (own_stack && sigaltstack(&stack, NULL) == 0) return;
    free(own_stack);
    own_stack = NULL;
}

void clinux_drop_signal_stack(void) {
    if (!own_stack) return;
    stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    free(own_stack);
    own_stack = NULL;
}

int clinux_note_deadly_signal(uint32_t *place) {
    int index = 0;
    _Atomic uint32_t *none = NULL;
    while (!atomic_compare_exchange_strong(&places[index], &none, (_Atomic uint32_t *)place)) {
        none = NULL;
        if (++index == PLACE_COUNT_MAX) return errno = ENOSPC, -1;
    }
    if (atomic_exchange(&is_watching, true)) return 0;
    clinux_take_signal_stack();
    struct sigaction action = {.sa_sigaction = note_end, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
        if (sigaction(deadly[i], &action, &former[i]) != 0) return -1;
    return 0;
}

void clinux_block_signals(const int *signals, int signal_count) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < signal_count; i++) sigaddset(&set, signals[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

const char *clinux_signal_name(int number) { return sigabbrev_np(number); }
