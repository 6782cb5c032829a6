/* Small requests through shared memory, and how long they take: an example, and the benchmark of Benchmarks/lane.py.
 *     cc -O2 -o client_lane client_lane.c
 *     client_lane SOCKET shared_memory|socket health|select|SQL [CONNECTIONS [SECONDS [KEYS]]]
 * "health" and "select" keep one request in flight on each connection, all in this one thread; anything else is a statement, whose
 * rows are read once. "select" reads a table item(id INTEGER PRIMARY KEY, name, price, stock, tag) with the ids 1 to KEYS. Prints one
 * line of JSON. The client itself is lane.h. */
#define _GNU_SOURCE
#include "lane.h"

static const uint8_t health[] = "\0\0\0\x17\x82\xa2id\1\xa4type\xac" "health_check";
static uint8_t point_select[] = "\0\0\0\x62\x83\xa2id\1\xa4type\xa5query\xa4" "data\x82\xa3sql\xd9\x39"
    "SELECT id, name, price, stock, tag FROM item WHERE id = ?\xa6params\x91\xce\0\0\0";
static uint32_t keys = 1000000, latencies[1 << 16]; /* in steps of 16 ns */

static void request(struct lane *lane, int selects) {
    static uint64_t state = 88172645463325252u;
    if (!selects) return lane_send(lane, health, sizeof health - 1);
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    uint32_t key = (uint32_t)((state >> 16) % keys) + 1;
    for (int i = 0; i < 4; i++) point_select[sizeof point_select - 4 + (size_t)i] = (uint8_t)(key >> (24 - 8 * i));
    lane_send(lane, point_select, sizeof point_select);
}

static void check(const uint8_t *body, size_t length) {
    if (!memmem(body, length < 40 ? length : 40, "\xa5" "error", 6)) return;
    for (size_t i = 0; i < length; i++) fputc(body[i] >= ' ' && body[i] <= '~' ? body[i] : ' ', stderr);
    fputc('\n', stderr);
    exit(1);
}

static double quantile_us(uint64_t total, double share) {
    uint64_t seen = 0;
    for (uint32_t i = 0; i < 1 << 16; i++)
        if ((seen += latencies[i]) > (uint64_t)((double)total * share)) return (i + 0.5) * 0.016;
    return 0;
}

static uint64_t measure(struct lane *lanes, int count, int selects, double seconds) {
    uint64_t started[LANES_MAX], now = now_ns(CLOCK_MONOTONIC), total = 0;
    uint64_t warm = now + (uint64_t)(seconds * 0.2e9), end = warm + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < count; i++) started[i] = now, request(&lanes[i], selects);
    while (now < end) {
        int news = 0;
        for (int i = 0; i < count; i++) {
            const uint8_t *body;
            size_t length;
            if (lanes[i].ended) errno = ECONNRESET, die("the daemon");
            if (!lane_look(&lanes[i])) continue;
            for (news = 1; (body = lane_frame(&lanes[i], &length)) != NULL; request(&lanes[i], selects)) {
                check(body, length);
                now = now_ns(CLOCK_MONOTONIC);
                uint64_t step = (now - started[i]) >> 4;
                if (now > warm) latencies[step < 1 << 16 ? step : (1 << 16) - 1]++, total++;
                started[i] = now;
            }
        }
        if (!news) lane_wait(lanes, count), now = now_ns(CLOCK_MONOTONIC);
    }
    return total;
}

/* Reads all rows of a statement; returns how many replies they came in. */
static uint64_t read_rows(struct lane *lane, const char *sql, uint64_t *bytes) {
    uint8_t frame[4096] = "\0\0\0\0\x83\xa2id\1\xa4type\xa5query\xa4" "data\x81\xa3sql\xda";
    size_t used = 31, count = strlen(sql), length;
    if (count > sizeof frame - used - 2) errno = EMSGSIZE, die("the statement");
    frame[used++] = (uint8_t)(count >> 8), frame[used++] = (uint8_t)count;
    memcpy(frame + used, sql, count), used += count;
    frame[2] = (uint8_t)((used - 4) >> 8), frame[3] = (uint8_t)(used - 4);
    lane_send(lane, frame, used);
    for (uint64_t frames = 0;;) {
        const uint8_t *body = lane_frame(lane, &length);
        if (body) {
            check(body, length);
            frames++, *bytes += length;
            size_t part = length < 400 ? length : 400; /* where the last fields are */
            if (memmem(body + length - part, part, "\xa4more\xc2", 6)) return frames;
        } else if (lane->ended) {
            errno = ECONNRESET, die("the daemon");
        } else if (!lane_look(lane)) {
            lane_wait(lane, 1);
        }
    }
}

int main(int argc, char **argv) {
    static struct lane lanes[LANES_MAX];
    if (argc < 4 || (strcmp(argv[2], "shared_memory") && strcmp(argv[2], "socket"))) return fprintf(stderr, "usage: client_lane SOCKET shared_memory|socket health|select|SQL [CONNECTIONS [SECONDS [KEYS]]]\n"), 64;
    int count = argc > 4 ? atoi(argv[4]) : 1, selects = !strcmp(argv[3], "select"), reads = !selects && strcmp(argv[3], "health");
    double seconds = argc > 5 ? atof(argv[5]) : 1;
    if (argc > 6) keys = (uint32_t)atoi(argv[6]);
    if (count < 1 || count > LANES_MAX || keys < 1) return fprintf(stderr, "from 1 to %d connections\n", LANES_MAX), 64;
    for (int i = 0; i < count; i++) lane_open(&lanes[i], argv[1], !strcmp(argv[2], "shared_memory"));
    const char *transport = lanes[0].memory ? "shared_memory" : "socket";
    uint64_t began = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID), bytes = 0;
    uint64_t total = reads ? read_rows(lanes, argv[3], &bytes) : measure(lanes, count, selects, seconds);
    double wall = (double)(now_ns(CLOCK_MONOTONIC) - began) / 1e9, share = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e9 / wall;
    printf("{\"transport\":\"%s\",\"generator_cpu_share\":%.3f,", transport, share);
    if (reads) return printf("\"seconds\":%.6f,\"bytes\":%lu,\"replies\":%lu}\n", wall, bytes, total), 0;
    printf("\"requests\":%lu,\"requests_per_second\":%.0f,\"p50_us\":%.3f,\"p99_us\":%.3f}\n", total, (double)total / seconds,
           quantile_us(total, 0.5), quantile_us(total, 0.99));
    return 0;
}
