// See CSocketLimits.h.
#include "CSocketLimits.h"

#include "CLinux.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// The bytes that this thread may still receive, and send; any number of them where it is negative.
static _Thread_local long allowance = -1;
static _Thread_local long send_allowance = -1;
// Until when this thread waits for room in a socket, in milliseconds of the monotonic clock; 0 where it does not.
static _Thread_local long long send_deadline;
// When this thread has waited long enough, in milliseconds of the monotonic clock; 0 where it may wait for ever.
static _Thread_local long long deadline;
static _Thread_local bool is_late;

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000LL + time.tv_nsec / 1000000;
}

// Stands before that of libc, for libpq and everybody else in this process (ld.so(8): the program is searched first).
//
// libpq reads a message in one call, as long as more of it is there (pqReadData in fe-misc.c): a row of a gigabyte would
// occupy its loop for a second and memory for twice its size, and nobody could say no. An allowance that is used up looks
// to it like a socket that is empty for now. PQcancel waits for the server's end without any limit (internal_cancel in
// fe-connect.c); a deadline that has passed looks like that end.
__attribute__((visibility("default"))) ssize_t recv(int socket, void *buffer, size_t size, int flags) {
    if (allowance == 0 && size > 0) {
        errno = EAGAIN;
        return -1;
    }
    if (allowance > 0 && size > (size_t)allowance) size = (size_t)allowance;
    if (deadline) {
        struct pollfd entry = {.fd = socket, .events = POLLIN};
        long long left = deadline - now();
        int ready = poll(&entry, 1, left > 0 ? (int)left : 0);
        if (ready < 0) return -1;
        if (ready == 0) {
            is_late = true;
            return 0;
        }
    }
    ssize_t count = syscall(SYS_recvfrom, socket, buffer, size, flags, NULL, NULL);
    if (allowance > 0 && count > 0 && !(flags & MSG_PEEK)) allowance -= count;
    return count;
}

// Stands before that of libc likewise.
//
// A library sends a long text as long as the socket takes some of it, which it does while a quick server reads; and libpq moves
// what is left to the beginning of its buffer each time that the socket is full (pqSendSome in fe-misc.c). An allowance that is used
// up looks like a full socket, on a loop; a worker waits for room.
__attribute__((visibility("default"))) ssize_t send(int socket, const void *bytes, size_t size, int flags) {
    if (send_allowance == 0 && size > 0) {
        errno = EAGAIN;
        return -1;
    }
    if (send_allowance > 0 && size > (size_t)send_allowance) size = (size_t)send_allowance;
    ssize_t count;
    for (;;) {
        count = syscall(SYS_sendto, socket, bytes, size, flags, NULL, 0);
        if (count >= 0 || errno != EAGAIN || !send_deadline) break;
        struct pollfd entry = {.fd = socket, .events = POLLOUT};
        long long left = send_deadline - now();
        if (left <= 0 || poll(&entry, 1, (int)left) <= 0) {
            errno = EAGAIN;
            break;
        }
    }
    if (send_allowance > 0 && count > 0) send_allowance -= count;
    return count;
}

// Stands before that of libc, for all libraries in this process: what speaks over a Unix socket to a server that a client has
// named takes no descriptors from it (Sockets+Descriptors.swift).
__attribute__((visibility("default"))) int socket(int domain, int type, int protocol) {
    int descriptor = (int)syscall(SYS_socket, domain, type, protocol);
    if (descriptor >= 0 && domain == AF_UNIX) {
        int error = errno;
        clinux_refuse_descriptors(descriptor);
        errno = error;
    }
    return descriptor;
}

// When this thread has proved for long enough who it is; 0 where it may take for ever. Set while a library connects.
static _Thread_local long long proof_deadline;
static _Thread_local unsigned int round_count;
static _Thread_local bool is_proof_late;

typedef int (*hmac_init)(void *context, const void *key, int length, const void *digest, void *engine);
static hmac_init real_hmac_init;
static pthread_once_t hmac_once = PTHREAD_ONCE_INIT;

static void find_hmac(void) {
    // It is there already, whoever calls; this does not load it.
    void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_NOLOAD | RTLD_LOCAL);
    if (!library) library = dlopen("libcrypto.so.1.1", RTLD_NOW | RTLD_NOLOAD | RTLD_LOCAL);
    if (library) *(void **)&real_hmac_init = dlsym(library, "HMAC_Init_ex");
}

// Stands before that of OpenSSL (Package.swift exports it), for libpq and whoever else uses it in this process.
//
// In SCRAM the server says how many rounds of HMAC the client has to do, up to 2^31, and libpq does them all within one call
// of PQconnectPoll, for half an hour and more, uninterrupted (scram_SaltedPassword in src/common/scram-common.c). Each round
// begins here, whether the connection is encrypted or not; after the time for connecting it fails, and so does the call.
__attribute__((visibility("default"))) int HMAC_Init_ex(
    void *context, const void *key, int length, const void *digest, void *engine) {
    pthread_once(&hmac_once, find_hmac);
    if (!real_hmac_init) return 0;
    if (proof_deadline && (++round_count & 1023) == 0 && now() >= proof_deadline) {
        is_proof_late = true;
        return 0;
    }
    return real_hmac_init(context, key, length, digest, engine);
}

void csocketlimits_allow(long byte_count) { allowance = send_allowance = byte_count; }

void csocketlimits_allow_receiving(long byte_count) { allowance = byte_count; }

long csocketlimits_end_receiving(long byte_count) {
    long received = byte_count - allowance;
    allowance = -1;
    return received;
}

void csocketlimits_wait_for_room(long limit_ms) { send_deadline = limit_ms ? now() + limit_ms : 0; }

void csocketlimits_wait_for_bytes(long limit_ms) {
    is_late = false;
    deadline = now() + limit_ms;
}

bool csocketlimits_end_waiting(void) {
    deadline = 0;
    return !is_late;
}

void csocketlimits_begin_proof(long limit_ms) {
    is_proof_late = false;
    round_count = 0;
    proof_deadline = now() + (limit_ms > 0 ? limit_ms : 1);
}

bool csocketlimits_end_proof(void) {
    proof_deadline = 0;
    return !is_proof_late;
}
