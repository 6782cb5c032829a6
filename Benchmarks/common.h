/* What the load generator and the probes share: time, processor share, sockets, histograms, MessagePack.
 * Header only; each program includes it once. Called by nothing outside Benchmarks/. */
#ifndef LITEBASE_BENCH_COMMON_H
#define LITEBASE_BENCH_COMMON_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static inline void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(1);
}

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Processor time that this process has used, in nanoseconds. */
static inline uint64_t cpu_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline struct sockaddr_un unix_address(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        die(path);
    }
    strcpy(address.sun_path, path);
    return address;
}

static inline int connect_unix(const char *path) {
    struct sockaddr_un address = unix_address(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die(path);
    return fd;
}

/* Latencies in buckets of at most 1/32 relative width, from 1 ns to hours. */
enum { SUB_BITS = 5, BUCKET_COUNT = (64 - SUB_BITS) << SUB_BITS };
struct histogram {
    uint64_t count[BUCKET_COUNT], total;
};

static inline void histogram_add(struct histogram *h, uint64_t value) {
    unsigned shift = value < (1u << SUB_BITS) ? 0 : 63 - (unsigned)__builtin_clzll(value) - SUB_BITS + 1;
    unsigned index = (shift << SUB_BITS) + (unsigned)(shift ? (value >> (shift - 1)) - (1u << SUB_BITS) : value);
    h->count[index < BUCKET_COUNT ? index : BUCKET_COUNT - 1]++;
    h->total++;
}

/* The upper bound of the bucket that holds the quantile, in microseconds. */
static inline double histogram_quantile_us(const struct histogram *h, double quantile) {
    uint64_t wanted = (uint64_t)(quantile * (double)h->total), seen = 0;
    for (unsigned index = 0; index < BUCKET_COUNT; index++) {
        seen += h->count[index];
        if (seen > wanted || (seen == h->total && seen)) {
            unsigned shift = index >> SUB_BITS, low = index & ((1u << SUB_BITS) - 1);
            uint64_t value = shift ? ((uint64_t)((1u << SUB_BITS) + low + 1) << (shift - 1)) : low + 1;
            return (double)value / 1000.0;
        }
    }
    return 0;
}

static inline uint32_t big_endian_32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void put_big_endian_32(uint8_t *p, uint32_t value) {
    p[0] = (uint8_t)(value >> 24), p[1] = (uint8_t)(value >> 16), p[2] = (uint8_t)(value >> 8), p[3] = (uint8_t)value;
}

/* Byte count of a MessagePack map's header (fixmap, map16, map32), or 0 where there is no map. */
static inline size_t map_header(const uint8_t *p) {
    return (*p & 0xf0) == 0x80 ? 1 : *p == 0xde ? 3 : *p == 0xdf ? 5 : 0;
}

/* A request under construction: a frame of MessagePack, or plain text. */
struct request {
    uint8_t bytes[1024];
    size_t used;
};

static inline void put(struct request *r, const void *bytes, size_t count) {
    if (count > sizeof r->bytes - r->used) {
        errno = EMSGSIZE;
        die("request");
    }
    memcpy(r->bytes + r->used, bytes, count);
    r->used += count;
}

static inline void put_byte(struct request *r, uint8_t byte) { put(r, &byte, 1); }

/* A MessagePack string: fixstr, str8 or str16. */
static inline void put_text(struct request *r, const char *text) {
    size_t count = strlen(text);
    if (count < 32) {
        put_byte(r, (uint8_t)(0xa0 | count));
    } else if (count < 256) {
        put_byte(r, 0xd9), put_byte(r, (uint8_t)count);
    } else {
        put_byte(r, 0xda), put_byte(r, (uint8_t)(count >> 8)), put_byte(r, (uint8_t)count);
    }
    put(r, text, count);
}

/* uint32 in its full width, so that it can be changed in place; returns where its four bytes are. */
static inline size_t put_uint32(struct request *r, uint32_t value) {
    uint8_t bytes[4];
    put_big_endian_32(bytes, value);
    put_byte(r, 0xce);
    put(r, bytes, 4);
    return r->used - 4;
}

/* Begins a frame with {"id": …, "type": …, "data": and returns where the id's four bytes are. */
static inline size_t begin_frame(struct request *r, uint32_t id, const char *type) {
    r->used = 0;
    put(r, "\0\0\0\0\x83", 5);
    put_text(r, "id");
    size_t id_at = put_uint32(r, id);
    put_text(r, "type"), put_text(r, type), put_text(r, "data");
    return id_at;
}

static inline void end_frame(struct request *r) { put_big_endian_32(r->bytes, (uint32_t)(r->used - 4)); }

#endif
