/* Single-purpose probes for run.py, in C so that the client is never the limit.
 *   lb-probe stream SOCKET msgpack|json SQL [DATABASE]
 *                                             reads a whole result; JSON with seconds, bytes, frames, row_count
 *   lb-probe cancel SOCKET COUNT              cancels an endless statement COUNT times; JSON with p50, p99, max
 *   lb-probe listen SOCKET COUNT              so many who subscribe; prints a line when all do, and reads until it is killed
 *   lb-probe drain                            reads standard input to its end; prints the byte count
 *   lb-probe burn SECONDS                     keeps one core busy
 */
#define _GNU_SOURCE
#include "common.h"
#include <sys/epoll.h>

enum { CAPACITY = 1 << 24 };
static uint8_t buffer[CAPACITY];

static const char endless[] = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c";

static void send_all(int fd, const void *bytes, size_t count) {
    if (send(fd, bytes, count, MSG_NOSIGNAL) != (ssize_t)count) die("send");
}

static void limit_waiting(int fd) {
    struct timeval limit = {.tv_sec = 60};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0) die("SO_RCVTIMEO");
}

/* `database` is NULL for the default one. */
static void send_query(int fd, int json, uint32_t id, const char *sql, const char *database) {
    struct request r = {.used = 0};
    if (json) { /* the texts given here hold no character that JSON escapes */
        char place[128] = "";
        if (database) snprintf(place, sizeof place, ",\"database\":\"%s\"", database);
        r.used = (size_t)snprintf((char *)r.bytes, sizeof r.bytes, "{\"id\":%u,\"type\":\"query\",\"data\":{\"sql\":\"%s\"%s}}\n", id,
                                  sql, place);
    } else {
        begin_frame(&r, id, "query");
        put_byte(&r, database ? 0x82 : 0x81), put_text(&r, "sql"), put_text(&r, sql);
        if (database) put_text(&r, "database"), put_text(&r, database);
        end_frame(&r);
    }
    send_all(fd, r.bytes, r.used);
}

/* What has been read and not yet taken: buffer[at ..< used]. */
static size_t at, used;

/* Byte count of the next whole frame or line, or 0; *body and *length are its body. */
static size_t whole(int json, const uint8_t **body, size_t *length) {
    const uint8_t *start = buffer + at;
    if (json) {
        const uint8_t *end = memchr(start, '\n', used - at);
        *body = start;
        *length = end ? (size_t)(end - start) : 0;
        return end ? *length + 1 : 0;
    }
    if (used - at < 4) return 0;
    *body = start + 4;
    *length = big_endian_32(start);
    if (*length > CAPACITY - 4) errno = EMSGSIZE, die("frame");
    return used - at - 4 >= *length ? *length + 4 : 0;
}

/* Reads more, after moving the torn rest to the front: once a read, not once a frame. */
static void read_more(int fd) {
    memmove(buffer, buffer + at, used - at);
    used -= at, at = 0;
    ssize_t count = read(fd, buffer + used, (1 << 20) < CAPACITY - used ? (1 << 20) : CAPACITY - used);
    if (count <= 0) die("read");
    used += (size_t)count;
}

/* Finds a mark in the first or last 400 bytes of a frame: that is where its fields are, the rows lie between. */
static const uint8_t *find(const uint8_t *body, size_t count, const char *mark) {
    size_t part = count < 400 ? count : 400, length = strlen(mark);
    const uint8_t *found = memmem(body, part, mark, length);
    return found ? found : memmem(body + count - part, part, mark, length);
}

static uint64_t integer_after(const uint8_t *p, int json) {
    if (json) return strtoull((const char *)p, NULL, 10);
    if (*p < 0x80) return *p;
    uint64_t value = 0;
    for (int i = 0; i < 1 << (*p - 0xcc); i++) value = value << 8 | p[1 + i];
    return value;
}

struct totals {
    uint64_t bytes, frames, rows;
};

/* Handles one frame; returns 1 when it is the last one. */
static int take(const uint8_t *body, size_t count, int json, struct totals *totals) {
    totals->bytes += count, totals->frames++;
    if (find(body, count, json ? "\"error\"" : "\xa4type\xa5" "error")) {
        fprintf(stderr, "error: %.*s\n", (int)(count < 500 ? count : 500), body);
        exit(1);
    }
    if (!find(body, count, json ? "\"more\":false" : "\xa4more\xc2")) return 0;
    const uint8_t *rows = find(body, count, json ? "\"row_count\":" : "\xa9row_count");
    totals->rows = rows ? integer_after(rows + (json ? 12 : 10), json) : 0;
    return 1;
}

static int stream(const char *path, int json, const char *sql, const char *database) {
    int fd = connect_unix(path), done = 0;
    limit_waiting(fd);
    struct totals totals = {0};
    uint64_t start = now_ns(), cpu = cpu_ns();
    send_query(fd, json, 1, sql, database);
    while (!done) {
        const uint8_t *body;
        size_t length, taken;
        read_more(fd);
        while (!done && (taken = whole(json, &body, &length)) > 0) {
            done = take(body, length, json, &totals);
            at += taken;
        }
    }
    double seconds = (double)(now_ns() - start) / 1e9;
    printf("{\"seconds\":%.6f,\"bytes\":%llu,\"frames\":%llu,\"row_count\":%llu,\"reader_cpu_share\":%.3f}\n", seconds,
           (unsigned long long)totals.bytes, (unsigned long long)totals.frames, (unsigned long long)totals.rows,
           (double)(cpu_ns() - cpu) / 1e9 / seconds);
    return 0;
}

/* Cancels request 1 and returns the microseconds until its terminal frame; the two replies come in either order. */
static double cancel_once(int fd) {
    struct request r = {.used = 0};
    begin_frame(&r, 2, "cancel");
    put_byte(&r, 0x81), put_text(&r, "request"), put_byte(&r, 1);
    end_frame(&r);
    uint64_t start = now_ns();
    send_all(fd, r.bytes, r.used);
    double elapsed = 0;
    for (int open = 2; open > 0; open--) {
        const uint8_t *body;
        size_t length, taken;
        while ((taken = whole(0, &body, &length)) == 0) read_more(fd);
        const uint8_t *id = body + map_header(body);
        if (memcmp(id, "\xa2id", 3)) errno = 0, die("a reply does not begin with its id");
        if (id[3] == 1) {
            elapsed = (double)(now_ns() - start) / 1000;
            if (!find(body, length, "cancelled")) errno = 0, die("the statement was not cancelled");
        }
        at += taken;
    }
    return elapsed;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int cancel(const char *path, long count) {
    double *times = calloc((size_t)count, sizeof *times);
    if (!times) die("memory");
    int fd = connect_unix(path);
    limit_waiting(fd);
    for (long i = 0; i < count; i++) {
        send_query(fd, 0, 1, endless, NULL);
        struct timespec pause = {.tv_nsec = 3000000 + (i % 7) * 1000000};
        nanosleep(&pause, NULL);
        times[i] = cancel_once(fd);
    }
    qsort(times, (size_t)count, sizeof *times, compare);
    printf("{\"count\":%ld,\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f}\n", count, times[count / 2], times[count * 99 / 100],
           times[count - 1]);
    return 0;
}

static int drain(void) {
    unsigned long long total = 0;
    ssize_t count;
    while ((count = read(0, buffer, 1 << 18)) > 0) total += (unsigned long long)count;
    printf("{\"bytes\":%llu}\n", total);
    return count < 0;
}

static int burn(double seconds) {
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    while (now_ns() < end) {
    }
    return 0;
}

static int listen_to_changes(const char *path, long count) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0) die("RLIMIT_NOFILE");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0) die("RLIMIT_NOFILE");
    static const char wish[] = "{\"id\":1,\"type\":\"subscribe\",\"data\":{}}\n";
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (poll < 0) die("epoll_create1");
    for (long i = 0; i < count; i++) {
        int fd = connect_unix(path);
        limit_waiting(fd);
        send_all(fd, wish, sizeof wish - 1);
        ssize_t got = recv(fd, buffer, CAPACITY - 1, 0);
        if (got <= 0) die("subscribe");
        buffer[got] = 0;
        if (strstr((char *)buffer, "\"error\"")) errno = 0, die((char *)buffer);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
    }
    puts("ready"), fflush(stdout);
    struct epoll_event events[64];
    for (;;) {
        int found = epoll_wait(poll, events, 64, -1);
        for (int i = 0; i < found; i++)
            if (recv(events[i].data.fd, buffer, CAPACITY, 0) <= 0) return 0;
    }
}

int main(int argc, char **argv) {
    if ((argc == 5 || argc == 6) && !strcmp(argv[1], "stream"))
        return stream(argv[2], !strcmp(argv[3], "json"), argv[4], argc == 6 ? argv[5] : NULL);
    if (argc == 4 && !strcmp(argv[1], "cancel") && atol(argv[3]) > 0) return cancel(argv[2], atol(argv[3]));
    if (argc == 4 && !strcmp(argv[1], "listen") && atol(argv[3]) > 0) return listen_to_changes(argv[2], atol(argv[3]));
    if (argc == 2 && !strcmp(argv[1], "drain")) return drain();
    if (argc == 3 && !strcmp(argv[1], "burn")) return burn(atof(argv[2]));
    fprintf(stderr, "usage: lb-probe stream SOCKET msgpack|json SQL [DATABASE] | cancel SOCKET COUNT | listen SOCKET COUNT | drain | burn SECONDS\n");
    return 64;
}
