// Loaded into the daemon, ends it just before it would say READY=1, as START_CRASH says: fault, abort, overflow, kill.
// START_CRASH_PAUSE: the other threads may go on for so many milliseconds until then.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int depth;

static int overflow(int value) {
    volatile char room[4096];
    room[value % sizeof room] = (char)value;
    if (depth++ < 0) return 0;
    return overflow(value + 1) + room[0];
}

int sd_notify(int unset, const char *state) {
    const char *how = strncmp(state, "READY=1", 7) == 0 ? getenv("START_CRASH") : NULL;
    const char *pause = how ? getenv("START_CRASH_PAUSE") : NULL;
    if (pause) usleep((useconds_t)atoi(pause) * 1000);
    if (how && strcmp(how, "fault") == 0) *(volatile int *)8 = 1;
    if (how && strcmp(how, "abort") == 0) abort();
    if (how && strcmp(how, "overflow") == 0) overflow(1);
    if (how && strcmp(how, "kill") == 0) kill(getpid(), SIGKILL);
    int (*next)(int, const char *) = (int (*)(int, const char *))dlsym(RTLD_NEXT, "sd_notify");
    return next(unset, state);
}
