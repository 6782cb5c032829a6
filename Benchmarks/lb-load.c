/* Closed-loop load over a Unix socket: N connections, each with D requests in flight, one thread, epoll.
 * Usage: lb-load SOCKET WORKLOAD CONNECTIONS DEPTH SECONDS [KEYS]
 * Workloads: echo, health, select, insert, redis-ping, redis-get; pool-select and pool-literal, a select by LiteBase in a
 * PostgreSQL database "pg", its value as a parameter and within the text; pool-mysql and pool-redis, the same and a GET in
 * databases "my" and "cache"; postgres-prepared and postgres-simple, the same by
 * PostgreSQL's own protocol (user "bench", database "postgres"). Prints one line of JSON, with the share of one core that it
 * used itself: near 1.0 means that the generator, not the server, may be the limit. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/epoll.h>

#include "common.h"

enum { IN_CAPACITY = 1 << 18, DEPTH_MAX = 1024, CONNECTION_COUNT_MAX = 20000 };

enum parse { INCOMPLETE = 0, BAD = -1 };

/* One kind of request, and how its reply is recognised. */
struct workload {
    const char *name;
    void (*build)(struct request *r, uint32_t slot);
    /* Returns the reply's byte count, INCOMPLETE or BAD; sets *slot where the reply says which one it answers. */
    long (*parse)(const uint8_t *bytes, size_t count, uint32_t *slot);
    /* What goes before, on a socket that still blocks. */
    void (*begin)(int fd);
};

struct connection {
    int fd;
    uint32_t oldest;      /* slot that the next reply answers, where replies come in order */
    int writing;          /* EPOLLOUT is being watched */
    size_t in_used, out_used, out_sent;
    uint8_t *in, *out;
    uint64_t *sent_ns;    /* by slot */
};

static uint32_t key_count = 1000000;
static size_t request_byte_count; /* of an echo */

static uint32_t random_key(void) {
    static uint64_t state = 88172645463325252u;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)((state >> 16) % key_count);
}

/* LiteBase */

static void build_health(struct request *r, uint32_t slot) {
    begin_frame(r, slot, "health_check");
    put_byte(r, 0xc0);
    end_frame(r);
}

static void build_select(struct request *r, uint32_t slot) {
    begin_frame(r, slot, "query");
    put_byte(r, 0x82);
    put_text(r, "sql"), put_text(r, "SELECT id, name, price, stock, tag FROM item WHERE id = ?");
    put_text(r, "params"), put_byte(r, 0x91), put_uint32(r, random_key() + 1);
    end_frame(r);
}

static void build_insert(struct request *r, uint32_t slot) {
    char name[32];
    uint32_t key = random_key();
    snprintf(name, sizeof name, "item number %u", key);
    begin_frame(r, slot, "query");
    put_byte(r, 0x82);
    put_text(r, "sql"), put_text(r, "INSERT INTO entry(name, price, stock, tag) VALUES(?, ?, ?, ?)");
    put_text(r, "params"), put_byte(r, 0x94), put_text(r, name);
    put_uint32(r, key / 4), put_uint32(r, key % 1000), put_text(r, "a tag");
    end_frame(r);
}

static void build_with_parameter(struct request *r, uint32_t slot, const char *database, const char *sql) {
    begin_frame(r, slot, "query");
    put_byte(r, 0x83);
    put_text(r, "database"), put_text(r, database);
    put_text(r, "sql"), put_text(r, sql);
    put_text(r, "params"), put_byte(r, 0x91), put_uint32(r, random_key() + 1);
    end_frame(r);
}

static void build_pool_select(struct request *r, uint32_t slot) {
    build_with_parameter(r, slot, "pg", "SELECT id, name, price, stock, tag FROM item WHERE id = $1");
}

static void build_pool_mysql(struct request *r, uint32_t slot) {
    build_with_parameter(r, slot, "my", "SELECT id, name, price, stock, tag FROM item WHERE id = ?");
}

static void build_pool_redis(struct request *r, uint32_t slot) {
    char command[32];
    snprintf(command, sizeof command, "GET key:%u", random_key());
    begin_frame(r, slot, "query");
    put_byte(r, 0x82);
    put_text(r, "database"), put_text(r, "cache");
    put_text(r, "sql"), put_text(r, command);
    end_frame(r);
}

static void build_pool_literal(struct request *r, uint32_t slot) {
    char sql[96];
    snprintf(sql, sizeof sql, "SELECT id, name, price, stock, tag FROM item WHERE id = %u", random_key() + 1);
    begin_frame(r, slot, "query");
    put_byte(r, 0x82);
    put_text(r, "database"), put_text(r, "pg");
    put_text(r, "sql"), put_text(r, sql);
    end_frame(r);
}

static int text_is(const uint8_t *p, size_t count, const char *text) {
    size_t length = strlen(text);
    return count > length && p[0] == (0xa0 | length) && !memcmp(p + 1, text, length);
}

/* Reads {"id": small integer, "type": text, …; the daemon writes these two first. */
static long parse_frame(const uint8_t *bytes, size_t count, uint32_t *slot, const char *type) {
    if (count < 4) return INCOMPLETE;
    size_t length = big_endian_32(bytes);
    if (length > IN_CAPACITY - 4 || length < 16) return BAD;
    if (count - 4 < length) return INCOMPLETE;
    const uint8_t *p = bytes + 4, *end = p + length;
    size_t header = map_header(p);
    if (header == 0 || !text_is(p + header, length - header, "id")) return BAD;
    p += header + 3;
    if (*p < 0x80) {
        *slot = *p, p += 1;
    } else if (*p == 0xcc) {
        *slot = p[1], p += 2;
    } else if (*p == 0xcd) {
        *slot = (uint32_t)p[1] << 8 | p[2], p += 3;
    } else if (*p == 0xce) {
        *slot = big_endian_32(p + 1), p += 5;
    } else {
        return BAD;
    }
    if (!text_is(p, (size_t)(end - p), "type")) return BAD;
    p += 5;
    return text_is(p, (size_t)(end - p), type) ? (long)length + 4 : BAD;
}

static long parse_health(const uint8_t *bytes, size_t count, uint32_t *slot) {
    return parse_frame(bytes, count, slot, "health_response");
}

/* A row of five columns never fits into fewer bytes than this. */
static long parse_select(const uint8_t *bytes, size_t count, uint32_t *slot) {
    long length = parse_frame(bytes, count, slot, "query_response");
    return length > 0 && length < 60 ? BAD : length;
}

static long parse_insert(const uint8_t *bytes, size_t count, uint32_t *slot) {
    return parse_frame(bytes, count, slot, "query_response");
}

/* Peers */

static void build_echo(struct request *r, uint32_t slot) {
    build_health(r, slot);
    request_byte_count = r->used;
}

static long parse_echo(const uint8_t *bytes, size_t count, uint32_t *slot) {
    (void)slot;
    return count < request_byte_count ? INCOMPLETE : memcmp(bytes + 4, "\x83\xa2id", 4) ? BAD : (long)request_byte_count;
}

static void build_redis_ping(struct request *r, uint32_t slot) {
    (void)slot;
    r->used = 0;
    put(r, "*1\r\n$4\r\nPING\r\n", 14);
}

static long parse_redis_ping(const uint8_t *bytes, size_t count, uint32_t *slot) {
    (void)slot;
    return count < 7 ? INCOMPLETE : memcmp(bytes, "+PONG\r\n", 7) ? BAD : 7;
}

static void build_redis_get(struct request *r, uint32_t slot) {
    (void)slot;
    char key[16];
    int length = snprintf(key, sizeof key, "key:%u", random_key());
    r->used = (size_t)snprintf((char *)r->bytes, sizeof r->bytes, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", length, key);
}

static long parse_redis_get(const uint8_t *bytes, size_t count, uint32_t *slot) {
    (void)slot;
    if (count < 6) return INCOMPLETE;
    if (memcmp(bytes, "$100\r\n", 6)) return BAD;
    return count < 108 ? INCOMPLETE : 108;
}

/* PostgreSQL's messages: a type, the length that counts itself, the rest. */
static void put_message(struct request *r, char type, const void *rest, size_t count) {
    uint32_t length = (uint32_t)count + 4;
    uint8_t head[5] = {(uint8_t)type, (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
    put(r, head, 5), put(r, rest, count);
}

/* A reply ends with ReadyForQuery, outside of a transaction. */
static long parse_postgres(const uint8_t *bytes, size_t count, uint32_t *slot) {
    size_t at = 0;
    int rows = 0;
    (void)slot;
    while (count - at >= 5) {
        size_t length = big_endian_32(bytes + at + 1);
        if (length < 4 || length > IN_CAPACITY || bytes[at] == 'E') return BAD;
        if (count - at - 1 < length) return INCOMPLETE;
        rows += bytes[at] == 'D';
        if (bytes[at] == 'Z') return rows == 1 ? (long)(at + 1 + length) : BAD;
        at += 1 + length;
    }
    return INCOMPLETE;
}

static void await_ready(int fd) {
    uint8_t bytes[8192];
    size_t used = 0, at = 0;
    for (;;) {
        ssize_t count = read(fd, bytes + used, sizeof bytes - used);
        if (count <= 0) die("read");
        used += (size_t)count;
        while (used - at >= 5 && used - at - 1 >= big_endian_32(bytes + at + 1)) {
            if (bytes[at] == 'E') fprintf(stderr, "PostgreSQL: %.*s\n", (int)(used - at - 5), bytes + at + 5), exit(1);
            if (bytes[at] == 'Z') return;
            at += 1 + big_endian_32(bytes + at + 1);
        }
    }
}

static void begin_postgres(int fd) {
    static const char startup[] = "\0\0\0\x26\0\x03\0\0user\0bench\0database\0postgres\0";
    _Static_assert(sizeof startup == 0x26, "the length of the start-up message");
    if (write(fd, startup, sizeof startup) != sizeof startup) die("write");
    await_ready(fd);
}

static void begin_postgres_prepared(int fd) {
    static const char parse[] = "s\0SELECT id, name, price, stock, tag FROM item WHERE id = $1\0\0";
    struct request r = {.used = 0};
    begin_postgres(fd);
    put_message(&r, 'P', parse, sizeof parse), put_message(&r, 'S', "", 0);
    if (write(fd, r.bytes, r.used) != (ssize_t)r.used) die("write");
    await_ready(fd);
}

static void build_postgres_prepared(struct request *r, uint32_t slot) {
    char key[16];
    int length = snprintf(key, sizeof key, "%u", random_key() + 1);
    struct request bind = {.used = 0};
    (void)slot;
    put(&bind, "\0s\0\0\0\0\x01\0\0\0", 10), put_byte(&bind, (uint8_t)length), put(&bind, key, (size_t)length);
    put(&bind, "\0", 2);
    r->used = 0;
    put_message(r, 'B', bind.bytes, bind.used), put_message(r, 'D', "P", 2);
    put_message(r, 'E', "\0\0\0\0", 5), put_message(r, 'S', "", 0);
}

static void build_postgres_simple(struct request *r, uint32_t slot) {
    char sql[96];
    int length = snprintf(sql, sizeof sql, "SELECT id, name, price, stock, tag FROM item WHERE id = %u", random_key() + 1);
    (void)slot;
    r->used = 0;
    put_message(r, 'Q', sql, (size_t)length + 1);
}

static const struct workload workloads[] = {
    {"echo", build_echo, parse_echo, NULL},
    {"health", build_health, parse_health, NULL},
    {"select", build_select, parse_select, NULL},
    {"insert", build_insert, parse_insert, NULL},
    {"pool-select", build_pool_select, parse_select, NULL},
    {"pool-literal", build_pool_literal, parse_select, NULL},
    {"pool-mysql", build_pool_mysql, parse_select, NULL},
    {"pool-redis", build_pool_redis, parse_select, NULL},
    {"postgres-prepared", build_postgres_prepared, parse_postgres, begin_postgres_prepared},
    {"postgres-simple", build_postgres_simple, parse_postgres, begin_postgres},
    {"redis-ping", build_redis_ping, parse_redis_ping, NULL},
    {"redis-get", build_redis_get, parse_redis_get, NULL},
};

/* The loop */

struct load {
    const struct workload *workload;
    int epoll;
    uint32_t depth, connection_count;
    struct connection *connections;
    struct histogram histogram;
    int measuring;
};

static void queue_request(struct load *load, struct connection *c, uint32_t slot, uint64_t now) {
    struct request r;
    load->workload->build(&r, slot);
    memcpy(c->out + c->out_used, r.bytes, r.used);
    c->out_used += r.used;
    c->sent_ns[slot] = now;
}

static void flush(struct load *load, struct connection *c) {
    while (c->out_sent < c->out_used) {
        ssize_t count = write(c->fd, c->out + c->out_sent, c->out_used - c->out_sent);
        if (count > 0) {
            c->out_sent += (size_t)count;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            die("write");
        }
    }
    int writing = c->out_sent < c->out_used;
    if (!writing) c->out_sent = c->out_used = 0;
    if (writing != c->writing) {
        struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
        if (epoll_ctl(load->epoll, EPOLL_CTL_MOD, c->fd, &event) < 0) die("epoll_ctl");
        c->writing = writing;
    }
}

static void complain(const uint8_t *bytes, size_t count) {
    fprintf(stderr, "an unexpected reply: ");
    for (size_t i = 0; i < count && i < 300; i++)
        fprintf(stderr, bytes[i] >= 32 && bytes[i] < 127 ? "%c" : "\\x%02x", bytes[i]);
    fputc('\n', stderr);
    exit(1);
}

/* Takes every whole reply off the buffer and queues one request for each. */
static void answer(struct load *load, struct connection *c) {
    uint64_t now = now_ns();
    size_t at = 0;
    while (at < c->in_used) {
        uint32_t slot = UINT32_MAX;
        long length = load->workload->parse(c->in + at, c->in_used - at, &slot);
        if (length == INCOMPLETE) break;
        if (length == BAD) complain(c->in + at, c->in_used - at);
        if (slot == UINT32_MAX) {
            slot = c->oldest;
            c->oldest = (c->oldest + 1) % load->depth;
        }
        if (slot >= load->depth) complain(c->in + at, c->in_used - at);
        if (load->measuring) histogram_add(&load->histogram, now - c->sent_ns[slot]);
        at += (size_t)length;
        queue_request(load, c, slot, now);
    }
    if (at > 0 && at < c->in_used) memmove(c->in, c->in + at, c->in_used - at);
    c->in_used -= at;
}

static void read_replies(struct load *load, struct connection *c) {
    ssize_t count = read(c->fd, c->in + c->in_used, IN_CAPACITY - c->in_used);
    if (count == 0) errno = 0, die("the server closed a connection");
    if (count < 0) {
        if (errno == EAGAIN || errno == EINTR) return;
        die("read");
    }
    c->in_used += (size_t)count;
    answer(load, c);
}

/* Runs until `end_ns`; a server that stops answering ends the run after five seconds without an event. */
static void run_until(struct load *load, uint64_t end_ns) {
    while (now_ns() < end_ns) {
        struct epoll_event events[256];
        int count = epoll_wait(load->epoll, events, 256, 5000);
        if (count < 0 && errno != EINTR) die("epoll_wait");
        if (count == 0) errno = ETIMEDOUT, die("no reply");
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_replies(load, c);
            flush(load, c);
        }
    }
}

static void open_connections(struct load *load, const char *path) {
    for (uint32_t i = 0; i < load->connection_count; i++) {
        struct connection *c = &load->connections[i];
        c->fd = connect_unix(path);
        if (load->workload->begin) load->workload->begin(c->fd);
        if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0) die("fcntl");
        c->in = malloc(IN_CAPACITY);
        c->out = malloc((size_t)load->depth * sizeof(struct request));
        c->sent_ns = calloc(load->depth, sizeof *c->sent_ns);
        if (!c->in || !c->out || !c->sent_ns) die("memory");
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0) die("epoll_ctl");
        for (uint32_t slot = 0; slot < load->depth; slot++) queue_request(load, c, slot, now_ns());
        flush(load, c);
    }
}

static void measure(struct load *load, double seconds) {
    uint64_t start = now_ns();
    run_until(load, start + (uint64_t)(seconds * 0.2e9)); /* warm up */
    load->measuring = 1;
    uint64_t began = now_ns(), cpu = cpu_ns();
    run_until(load, began + (uint64_t)(seconds * 1e9));
    double wall = (double)(now_ns() - began) / 1e9, share = (double)(cpu_ns() - cpu) / 1e9 / wall;
    const struct histogram *h = &load->histogram;
    printf("{\"workload\":\"%s\",\"connections\":%u,\"depth\":%u,\"seconds\":%.3f,\"requests\":%llu,\"requests_per_second\":%.0f,"
           "\"p50_us\":%.2f,\"p99_us\":%.2f,\"p999_us\":%.2f,\"generator_cpu_share\":%.3f}\n",
           load->workload->name, load->connection_count, load->depth, wall, (unsigned long long)h->total, (double)h->total / wall,
           histogram_quantile_us(h, 0.5), histogram_quantile_us(h, 0.99), histogram_quantile_us(h, 0.999), share);
}

static long number(const char *text, long low, long high, const char *what) {
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || end == text || value < low || value > high) {
        fprintf(stderr, "%s must be from %ld to %ld, not %s\n", what, low, high, text);
        exit(64);
    }
    return value;
}

int main(int argc, char **argv) {
    if (argc < 6 || argc > 7) {
        fprintf(stderr, "usage: lb-load SOCKET WORKLOAD CONNECTIONS DEPTH SECONDS [KEYS]\n");
        return 64;
    }
    static struct load load;
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (!strcmp(workloads[i].name, argv[2])) load.workload = &workloads[i];
    if (!load.workload) return fprintf(stderr, "unknown workload %s\n", argv[2]), 64;
    load.connection_count = (uint32_t)number(argv[3], 1, CONNECTION_COUNT_MAX, "CONNECTIONS");
    load.depth = (uint32_t)number(argv[4], 1, DEPTH_MAX, "DEPTH");
    double seconds = strtod(argv[5], NULL);
    if (!(seconds >= 0.05 && seconds <= 600)) return fprintf(stderr, "SECONDS must be from 0.05 to 600\n"), 64;
    if (argc == 7) key_count = (uint32_t)number(argv[6], 1, 1000000000, "KEYS");
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.connections = calloc(load.connection_count, sizeof *load.connections);
    if (load.epoll < 0 || !load.connections) die("set-up");
    open_connections(&load, argv[1]);
    measure(&load, seconds);
    return 0;
}
