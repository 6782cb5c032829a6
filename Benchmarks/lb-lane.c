/* Requests through one lane, as many as a line on standard input says: "health 1000" or "select 1000". One is in flight at a time;
 * "done" is printed behind the last reply. Started by thresholds.py, which counts what they cost the daemon.
 * Usage: lb-lane SOCKET KEYS. The client itself is ../docs/examples/lane.h. */
#define _GNU_SOURCE
#include "../docs/examples/lane.h"

static const uint64_t ALONE_NS = 1000000, PATIENCE_NS = 60000000000u;
static const uint8_t health[] = "\0\0\0\x1d\x83\xa2id\1\xa4type\xac" "health_check\xa4" "data\xc0";
static uint8_t point_select[] = "\0\0\0\x62\x83\xa2id\1\xa4type\xa5query\xa4" "data\x82\xa3sql\xd9\x39"
    "SELECT id, name, price, stock, tag FROM item WHERE id = ?\xa6params\x91\xce\0\0\0";

static void send_select(struct lane *lane, uint32_t keys) {
    static uint64_t state = 88172645463325252u;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    uint32_t key = (uint32_t)((state >> 16) % keys) + 1;
    for (int i = 0; i < 4; i++) point_select[sizeof point_select - 4 + (size_t)i] = (uint8_t)(key >> (24 - 8 * i));
    lane_send(lane, point_select, sizeof point_select);
}

/* Looks for as long as it takes: a client that sleeps has to be rung, and how often it does is a question of time. A daemon that is
 * measured is slow, and may need the core. */
static void await_reply(struct lane *lane) {
    size_t length;
    const uint8_t *body;
    uint64_t start = now_ns(CLOCK_MONOTONIC), waited;
    while (!(body = lane_frame(lane, &length))) {
        if (lane_look(lane)) continue;
        waited = now_ns(CLOCK_MONOTONIC) - start;
        if (waited > ALONE_NS) sched_yield();
        if (waited > PATIENCE_NS) errno = ETIMEDOUT, die("no reply");
    }
    if (memmem(body, length < 40 ? length : 40, "\xa5" "error", 6)) errno = 0, die("the daemon refused");
}

int main(int argc, char **argv) {
    static struct lane lane;
    char line[64], what[16];
    long count;
    if (argc != 3) return fprintf(stderr, "usage: lb-lane SOCKET KEYS\n"), 64;
    lane_open(&lane, argv[1], 1);
    if (!lane.memory) errno = 0, die("the daemon shares no memory");
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%15s %ld", what, &count) != 2) errno = EINVAL, die(line);
        for (; count > 0; count--) {
            if (!strcmp(what, "health")) lane_send(&lane, health, sizeof health - 1);
            else send_select(&lane, (uint32_t)atol(argv[2]));
            await_reply(&lane);
        }
        puts("done"), fflush(stdout);
    }
    return 0;
}
