/* A LiteBase client through shared memory, as "Fast lane" in ../protocol.md has it. client_lane.c uses it.
 * A lane is for one thread. What goes wrong ends the program; a library would return it. */
#ifndef LITEBASE_LANE_H
#define LITEBASE_LANE_H
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_BYTES = 17 << 20, LANES_MAX = 128, LOOKS = 64, LOOK_NS = 50000, FOREIGN_NS = 500000, REST_NS = 50000000 };
/* Where the words of the memory's first page are; each is written by one side only. */
enum { VERSION = 8, REQUEST_RING_BYTES = 12, REPLY_RING_BYTES = 16, REQUEST_WRITTEN = 128, CLIENT_SLEEPS = 192, REQUEST_READ = 256,
       DAEMON_SLEEPS = 320, REPLY_WRITTEN = 384, REPLY_READ = 512, HEADER_BYTES = 4096 };
enum { BELL = 1, LEAVE = 2 }; /* bytes on the socket */

struct lane {
    int socket;
    uint8_t *memory; /* NULL: the socket alone */
    uint32_t request_bytes, reply_bytes;
    uint64_t written, taken; /* own positions; what is in the memory are copies for the daemon */
    uint64_t seen_read;      /* what the daemon had read of the requests when this client last looked */
    int unannounced;         /* the daemon was not told of the room that `taken` has made */
    int wants_room, ended;
    uint8_t *input;
    size_t at, used; /* input[at ..< used] was received and not handled yet */
};

static inline void die(const char *what) {
    fprintf(stderr, "lane: %s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(1);
}

static inline _Atomic uint64_t *word(const struct lane *lane, size_t at) { return (_Atomic uint64_t *)(lane->memory + at); }
static inline _Atomic uint32_t *flag(const struct lane *lane, size_t at) { return (_Atomic uint32_t *)(lane->memory + at); }

static inline void lane_socket_send(struct lane *lane, const uint8_t *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = send(lane->socket, bytes, count, MSG_NOSIGNAL);
        if (sent < 0) die("send");
        bytes += sent, count -= (size_t)sent;
    }
}

/* Behind a published position: rings, if the daemon sleeps. Of two sides that see it asleep one rings (the exchange). */
static inline void lane_wake(struct lane *lane) {
    atomic_thread_fence(memory_order_seq_cst);
    lane->unannounced = 0;
    if (atomic_load_explicit(flag(lane, DAEMON_SLEEPS), memory_order_relaxed) && atomic_exchange(flag(lane, DAEMON_SLEEPS), 0))
        send(lane->socket, &(uint8_t){BELL}, 1, MSG_NOSIGNAL | MSG_DONTWAIT); /* a full socket has bells enough */
}

/* Takes what the daemon has written, as much as there is place for; 0 if there is nothing. Never waits. */
static inline int lane_look(struct lane *lane) {
    if (lane->at >= lane->used - lane->at) { /* more was handled than is left: the rest is worth moving */
        memmove(lane->input, lane->input + lane->at, lane->used - lane->at);
        lane->used -= lane->at, lane->at = 0;
    }
    size_t place = INPUT_BYTES - lane->used;
    if (!lane->memory) {
        ssize_t count = recv(lane->socket, lane->input + lane->used, place < 1 << 18 ? place : 1 << 18, MSG_DONTWAIT);
        if (count == 0) lane->ended = 1;
        if (count < 0 && errno != EAGAIN) die("recv");
        lane->used += count > 0 ? (size_t)count : 0;
        return count > 0;
    }
    uint64_t there = atomic_load_explicit(word(lane, REPLY_WRITTEN), memory_order_acquire) - lane->taken;
    if (there == 0) return 0;
    if (there > lane->reply_bytes) errno = EPROTO, die("the daemon's position");
    size_t count = there < place ? (size_t)there : place, from = lane->taken % lane->reply_bytes;
    size_t first = count < lane->reply_bytes - from ? count : lane->reply_bytes - from;
    const uint8_t *ring = lane->memory + HEADER_BYTES + lane->request_bytes;
    memcpy(lane->input + lane->used, ring + from, first);
    memcpy(lane->input + lane->used + first, ring, count - first);
    lane->used += count, lane->taken += count;
    atomic_store_explicit(word(lane, REPLY_READ), lane->taken, memory_order_release);
    /* A daemon that waits for room is told soon; otherwise with the next request, or before this client sleeps. */
    if (count >= lane->reply_bytes / 2) lane_wake(lane);
    else lane->unannounced = 1;
    return 1;
}

/* The daemon is being replaced: what it has not read goes by the socket, and everything from now on. */
static inline void lane_leave(struct lane *lane) {
    while (lane_look(lane)) {}
    uint64_t from = atomic_load_explicit(word(lane, REQUEST_READ), memory_order_acquire);
    if (lane->written - from > lane->request_bytes) errno = EPROTO, die("the daemon's position");
    const uint8_t *ring = lane->memory + HEADER_BYTES;
    size_t count = lane->written - from, start = from % lane->request_bytes;
    size_t first = count < lane->request_bytes - start ? count : lane->request_bytes - start;
    lane_socket_send(lane, &(uint8_t){LEAVE}, 1);
    lane_socket_send(lane, ring + start, first);
    lane_socket_send(lane, ring, count - first);
    munmap(lane->memory, HEADER_BYTES + (size_t)lane->request_bytes + lane->reply_bytes);
    lane->memory = NULL;
}

/* Receives what is on the socket while the lane is in use: bells, the order to leave it, or the end. */
static inline void lane_take_bells(struct lane *lane) {
    uint8_t bytes[64];
    ssize_t count = recv(lane->socket, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count == 0) lane->ended = 1;
    for (ssize_t i = 0; i < count; i++) {
        if (bytes[i] == BELL) continue;
        if (bytes[i] != LEAVE) errno = EPROTO, die("a byte on the socket");
        lane_leave(lane);
        memcpy(lane->input + lane->used, bytes + i + 1, (size_t)(count - i - 1)); /* these are frames */
        lane->used += (size_t)(count - i - 1);
        return;
    }
}

/* Room in the request ring. The daemon's position is looked at only where there is too little by the last look: it has just written
 * it, so that a look takes the cache line from it. */
static inline uint64_t lane_room(struct lane *lane, size_t wanted) {
    if (lane->request_bytes - (lane->written - lane->seen_read) < wanted)
        lane->seen_read = atomic_load_explicit(word(lane, REQUEST_READ), memory_order_acquire);
    if (lane->written - lane->seen_read > lane->request_bytes) errno = EPROTO, die("the daemon's position");
    return lane->request_bytes - (lane->written - lane->seen_read);
}

/* Sleeps until one of the lanes has something, or room where it is wanted. Whoever says that it sleeps looks once more. */
static inline void lane_sleep(struct lane *lanes, int count) {
    struct pollfd polled[LANES_MAX];
    int ready = 0;
    for (int i = 0; i < count; i++) {
        polled[i] = (struct pollfd){.fd = lanes[i].socket, .events = POLLIN};
        if (!lanes[i].memory) continue;
        if (lanes[i].unannounced) lane_wake(&lanes[i]);
        atomic_store_explicit(flag(&lanes[i], CLIENT_SLEEPS), 1, memory_order_relaxed);
    }
    atomic_thread_fence(memory_order_seq_cst);
    for (int i = 0; i < count; i++)
        if (lanes[i].memory)
            ready |= atomic_load_explicit(word(&lanes[i], REPLY_WRITTEN), memory_order_acquire) != lanes[i].taken ||
                     (lanes[i].wants_room && lane_room(&lanes[i], 1) > 0);
    if (!ready && poll(polled, (nfds_t)count, 10000) == 0) errno = ETIMEDOUT, die("no reply");
    for (int i = 0; i < count; i++) {
        if (!lanes[i].memory) continue;
        atomic_store_explicit(flag(&lanes[i], CLIENT_SLEEPS), 0, memory_order_relaxed);
        if (!ready && polled[i].revents) lane_take_bells(&lanes[i]);
    }
}

static inline uint64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Tells the processor that this thread waits for another one's store. */
static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Waits until one of the lanes has something: looks for a short time, and then sleeps. Others get the core in between: one of them
 * may be the daemon. Where they keep it for long, it is better to sleep at once, since who is woken comes first. */
static inline void lane_wait(struct lane *lanes, int count) {
    static uint64_t rest_until;
    uint64_t start = now_ns(CLOCK_MONOTONIC), now = start;
    while (lanes[0].memory && now >= rest_until && now - start < LOOK_NS) {
        for (int look = 0; look < LOOKS; look++, relax())
            for (int i = 0; i < count; i++)
                if (atomic_load_explicit(word(&lanes[i], REPLY_WRITTEN), memory_order_relaxed) != lanes[i].taken) return;
        sched_yield();
        uint64_t after = now_ns(CLOCK_MONOTONIC);
        if (after - now > FOREIGN_NS) rest_until = after + REST_NS;
        now = after;
    }
    lane_sleep(lanes, count);
}

/* Sends a frame. Where the ring is full it waits, and receives meanwhile: the daemon may wait for that. */
static inline void lane_send(struct lane *lane, const uint8_t *bytes, size_t count) {
    while (count > 0 && lane->memory) {
        uint64_t room = lane_room(lane, count);
        size_t at = lane->written % lane->request_bytes, part = count < room ? count : room;
        size_t first = part < lane->request_bytes - at ? part : lane->request_bytes - at;
        memcpy(lane->memory + HEADER_BYTES + at, bytes, first);
        memcpy(lane->memory + HEADER_BYTES, bytes + first, part - first);
        bytes += part, count -= part, lane->written += part;
        atomic_store_explicit(word(lane, REQUEST_WRITTEN), lane->written, memory_order_release);
        lane_wake(lane);
        lane->wants_room = count > 0;
        if (count > 0 && !lane_look(lane)) lane_sleep(lane, 1);
        if (lane->ended) errno = EPIPE, die("send");
    }
    lane_socket_send(lane, bytes, count);
}

/* The body of the next whole frame, or NULL; it stays where it is until the next lane_look. */
static inline const uint8_t *lane_frame(struct lane *lane, size_t *length) {
    const uint8_t *p = lane->input + lane->at;
    if (lane->used - lane->at < 4) return NULL;
    *length = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (*length > INPUT_BYTES / 2) errno = EMSGSIZE, die("a frame");
    if (lane->used - lane->at - 4 < *length) return NULL;
    lane->at += 4 + *length;
    return p + 4;
}

/* Maps the memory whose descriptor came with the reply to `hello`. Without one, the socket it is. */
static inline void lane_map(struct lane *lane, int descriptor) {
    struct stat status;
    if (fstat(descriptor, &status) < 0) die("fstat");
    lane->memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (lane->memory == MAP_FAILED) die("mmap");
    close(descriptor);
    lane->request_bytes = *flag(lane, REQUEST_RING_BYTES), lane->reply_bytes = *flag(lane, REPLY_RING_BYTES);
    if (memcmp(lane->memory, "LiteLane", 8) || *flag(lane, VERSION) != 1 ||
        (size_t)status.st_size < HEADER_BYTES + (size_t)lane->request_bytes + lane->reply_bytes)
        errno = EPROTO, die("the memory");
}

static inline void lane_open(struct lane *lane, const char *path, int shares) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    lane->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), lane->input = malloc(INPUT_BYTES);
    if (!lane->input || connect(lane->socket, (struct sockaddr *)&address, sizeof address) < 0) die(path);
    if (!shares) return;
    static const uint8_t hello[] = "\0\0\0\x2e\x83\xa2id\0\xa4type\xa5hello\xa4" "data\x81\xa9transport\xad" "shared_memory";
    lane_socket_send(lane, hello, sizeof hello - 1);
    uint8_t control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {lane->input, 4}; /* not a byte behind the reply: that would be a bell */
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(lane->socket, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) != 4) die("hello");
    size_t length = (size_t)lane->input[2] << 8 | lane->input[3];
    if (recv(lane->socket, lane->input, length, MSG_WAITALL) != (ssize_t)length) die("hello");
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS) lane_map(lane, *(int *)CMSG_DATA(header));
}

#endif
