/* Sends requests by several lanes and falls asleep at random moments, without looking before. Started by test_lane_waiting.py.
 * Usage: sleeper SOCKET LANES SLEEPS. Ends with 1 when a reply does not come. */
#include "../../../docs/examples/lane.h"

static uint32_t dice(uint32_t sides) {
    static uint64_t state = 88172645463325252u;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)((state >> 16) % sides);
}

/* Until the moment is a random one of the daemon's own steps. */
static void dawdle(void) {
    static const uint32_t steps[] = {1, 30, 300, 3000, 20000};
    for (volatile uint32_t left = dice(steps[dice(5)]); left > 0; left--) {}
}

int main(int argc, char **argv) {
    static struct lane lanes[LANES_MAX];
    static const uint8_t request[] = "\0\0\0\x17\x82\xa2id\1\xa4type\xac" "health_check";
    if (argc != 4) return 64;
    int count = atoi(argv[2]), in_flight[LANES_MAX] = {0};
    long wanted = atol(argv[3]), replies = 0, sleeps = 0;
    for (int i = 0; i < count; i++) {
        lane_open(&lanes[i], argv[1], 1);
        if (!lanes[i].memory) errno = 0, die("no lane");
    }
    while (sleeps < wanted) {
        int waiting = 0, news = 0;
        for (int i = 0; i < count; i++) {
            if (in_flight[i] < 4 && (in_flight[i] == 0 || dice(2))) lane_send(&lanes[i], request, sizeof request - 1), in_flight[i]++;
            if (dice(2)) dawdle();
            size_t length;
            for (news |= lane_look(&lanes[i]); lane_frame(&lanes[i], &length);) in_flight[i]--, replies++;
            if (in_flight[i] < 0) errno = 0, die("a reply too many");
            if (lanes[i].ended) errno = ECONNRESET, die("the daemon");
            waiting += in_flight[i];
        }
        if (waiting > 0 && !news) dawdle(), lane_sleep(lanes, count), sleeps++;
    }
    printf("{\"replies\":%ld,\"sleeps\":%ld}\n", replies, sleeps);
    return 0;
}
