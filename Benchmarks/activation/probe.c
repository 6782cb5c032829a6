/* One client's first seconds with a service that its connection starts: milliseconds from connect(2) to the first
 * health_response, and from there, if SQL is given, to the first reply of a query. measure.py calls it once for each
 * activation; it is C so that the client's own start is not part of the figure.
 * Usage: probe SOCKET [SQL]. Prints "HEALTH_MS" or "HEALTH_MS ROW_MS"; both count from connect(2). */
#define _GNU_SOURCE
#include "../common.h"

enum { REPLY_MAX = 1 << 16 };

static void read_exactly(int fd, uint8_t *bytes, size_t count) {
    while (count > 0) {
        ssize_t got = read(fd, bytes, count);
        if (got <= 0) die("read");
        bytes += got, count -= (size_t)got;
    }
}

/* Sends the request and waits for a reply of the type. */
static void ask(int fd, const struct request *r, const char *type) {
    uint8_t reply[REPLY_MAX];
    if (send(fd, r->bytes, r->used, MSG_NOSIGNAL) != (ssize_t)r->used) die("send");
    read_exactly(fd, reply, 4);
    size_t length = big_endian_32(reply);
    if (length > sizeof reply) errno = EMSGSIZE, die("reply");
    read_exactly(fd, reply, length);
    if (!memmem(reply, length, type, strlen(type))) errno = 0, die(type);
}

static double milliseconds_since(uint64_t start) { return (double)(now_ns() - start) / 1e6; }

int main(int count, char **arguments) {
    if (count < 2 || count > 3) {
        fprintf(stderr, "usage: probe SOCKET [SQL]\n");
        return 2;
    }
    struct request health, query;
    begin_frame(&health, 1, "health_check"), put_byte(&health, 0x80), end_frame(&health);
    begin_frame(&query, 2, "query"), put_byte(&query, 0x81), put_text(&query, "sql");
    put_text(&query, count > 2 ? arguments[2] : ""), end_frame(&query);

    uint64_t start = now_ns();
    int fd = connect_unix(arguments[1]);
    struct timeval limit = {.tv_sec = 30};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0) die("SO_RCVTIMEO");
    ask(fd, &health, "health_response");
    printf("%.3f", milliseconds_since(start));
    if (count > 2) {
        ask(fd, &query, "query_response");
        printf(" %.3f", milliseconds_since(start));
    }
    printf("\n");
    return 0;
}
