// See CHiredis.h.
#include "CHiredis.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/// redisReadTask.
typedef struct task {
    int type;
    int elements;
    int index;
    void *object;
    struct task *parent;
    void *private_data;
} task;

/// redisReplyObjectFunctions.
typedef struct {
    void *(*createString)(const task *, char *, size_t);
    void *(*createArray)(const task *, int);
    void *(*createInteger)(const task *, long long);
    void *(*createNil)(const task *);
    void (*freeObject)(void *);
} functions;

/// redisReader.
struct redis_reader {
    int err;
    char errstr[128];
    char *buf;
    size_t pos;
    size_t len;
    size_t maxbuf;
    task rstack[9];
    int ridx;
    void *reply;
    functions *fn;
    void *private_data;
};

struct chiredis_table chiredis_table;

// Needed here only.
static redis_reader *(*create_reader)(functions *);
static void (*free_reader)(redis_reader *);
static int (*feed)(redis_reader *, const char *, size_t);
static int (*get_reply)(redis_reader *, void **);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char problem[512];

static void load(void) {
    void *library = dlopen("libhiredis.so.0.14", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *message = dlerror();
        snprintf(problem, sizeof problem, "%s", message ? message : "libhiredis.so.0.14 cannot be opened");
        return;
    }
    const char *missing = NULL;
    // dlsym returns what is no function pointer by the letter of C (dlopen(3)).
#define CHIREDIS_FIND(place, symbol)                                                                                   \
    *(void **)&place = dlsym(library, symbol);                                                                         \
    if (!place) missing = symbol;
#define CHIREDIS_FIND_MEMBER(type, name, symbol, parameters, arguments) CHIREDIS_FIND(chiredis_table.name, symbol)
    CHIREDIS_FUNCTIONS(CHIREDIS_FIND_MEMBER)
    CHIREDIS_FIND(create_reader, "redisReaderCreateWithFunctions")
    CHIREDIS_FIND(free_reader, "redisReaderFree")
    CHIREDIS_FIND(feed, "redisReaderFeed")
    CHIREDIS_FIND(get_reply, "redisReaderGetReply")
    if (missing) snprintf(problem, sizeof problem, "libhiredis.so.0.14 has no %s", missing);
}

const char *chiredis_load(void) {
    pthread_once(&once, load);
    return problem[0] ? problem : NULL;
}

// MARK: Replies, element by element

// hiredis makes an object of each element by functions of its user's choice. Ours make none: they hand the element on, and
// return something that is not NULL, which would mean that memory is short.

struct chiredis_reader {
    redis_reader *reader;
    chiredis_take take;
    void *context;
    bool is_stopped;
    /// The most bytes that hiredis had to keep, since its storage was made.
    size_t peak;
};

/// Storage that hiredis may keep between replies, in bytes.
static const size_t kept_byte_count_max = 128 << 10;

static char nothing;

/// Hands an element on. `end` is where it ends in hiredis's buffer.
static void *hand_on(const task *task, chiredis_element element, size_t end) {
    chiredis_reader *self = task->private_data;
    element.depth = (int)(task - self->reader->rstack);
    element.index = task->index;
    if (!self->take(self->context, &element)) {
        // hiredis reads all that it has. So it is shown no more than what it has read already.
        self->is_stopped = true;
        self->reader->len = end;
    }
    return &nothing;
}

static size_t position(const task *task) { return ((chiredis_reader *)task->private_data)->reader->pos; }

static void *create_string(const task *task, char *bytes, size_t length) {
    // hiredis has moved on behind a line (status, error) by now, and not yet behind a string.
    redis_reader *reader = ((chiredis_reader *)task->private_data)->reader;
    size_t end = task->type == REDIS_REPLY_STRING ? (size_t)(bytes - reader->buf) + length + 2 : reader->pos;
    return hand_on(task, (chiredis_element){.type = task->type, .bytes = bytes, .length = length}, end);
}

static void *create_array(const task *task, int count) {
    return hand_on(task, (chiredis_element){.type = REDIS_REPLY_ARRAY, .count = count}, position(task));
}

static void *create_integer(const task *task, long long value) {
    return hand_on(task, (chiredis_element){.type = REDIS_REPLY_INTEGER, .integer = value}, position(task));
}

static void *create_nil(const task *task) {
    // "$-1\r\n", of which "$" has been read, or "*-1\r\n", which has been read.
    size_t end = position(task) + (task->type == REDIS_REPLY_STRING ? sizeof "-1\r\n" - 1 : 0);
    return hand_on(task, (chiredis_element){.type = REDIS_REPLY_NIL}, end);
}

static functions own_functions = {create_string, create_array, create_integer, create_nil, NULL};

static redis_reader *make_reader(chiredis_reader *self) {
    redis_reader *reader = create_reader(&own_functions);
    if (!reader) return NULL;
    reader->maxbuf = kept_byte_count_max;
    reader->private_data = self;
    return reader;
}

chiredis_reader *chiredis_reader_create(chiredis_take take) {
    chiredis_reader *self = calloc(1, sizeof *self);
    if (!self) return NULL;
    self->take = take;
    self->reader = make_reader(self);
    if (self->reader) return self;
    free(self);
    return NULL;
}

void chiredis_reader_free(chiredis_reader *self) {
    free_reader(self->reader);
    free(self);
}

bool chiredis_reader_feed(chiredis_reader *self, const void *bytes, size_t count) {
    if (feed(self->reader, bytes, count) != 0) return false;
    if (self->reader->len > self->peak) self->peak = self->reader->len;
    return true;
}

bool chiredis_reader_is_empty(const chiredis_reader *self) {
    const redis_reader *reader = self->reader;
    return !reader->err && reader->ridx < 0 && reader->pos == reader->len;
}

void chiredis_reader_trim(chiredis_reader *self) {
    redis_reader *reader = self->reader;
    if (self->peak <= kept_byte_count_max || !chiredis_reader_is_empty(self)) return;
    redis_reader *fresh = make_reader(self);
    if (!fresh) return;
    free_reader(reader);
    self->reader = fresh;
    self->peak = 0;
}

chiredis_outcome chiredis_reader_read(chiredis_reader *self, void *context) {
    redis_reader *reader = self->reader;
    size_t length = reader->len;
    void *reply = NULL;
    self->context = context;
    self->is_stopped = false;
    int result = get_reply(reader, &reply);
    self->context = NULL;
    if (result != 0) return CHIREDIS_FAILED;
    // Unless hiredis has moved what is left to the front, and counted it anew.
    if (self->is_stopped && reader->pos > 0) reader->len = length;
    if (reply) return CHIREDIS_REPLY;
    return self->is_stopped ? CHIREDIS_STOPPED : CHIREDIS_NEEDS_MORE;
}

const char *chiredis_reader_problem(const chiredis_reader *self) { return self->reader->errstr; }

size_t chiredis_reader_line_begun(const chiredis_reader *self) {
    const redis_reader *reader = self->reader;
    if (reader->ridx < 0 || reader->rstack[reader->ridx].type == REDIS_REPLY_STRING) return 0;
    return reader->len - reader->pos;
}

long long chiredis_reader_awaited(const chiredis_reader *self) {
    const redis_reader *reader = self->reader;
    if (reader->ridx < 0 || reader->rstack[reader->ridx].type != REDIS_REPLY_STRING) return 0;
    long long length = 0;
    for (size_t index = reader->pos; index < reader->len; index++) {
        char digit = reader->buf[index];
        if (digit < '0' || digit > '9') return length;
        if (length > (1LL << 50)) return length;
        length = length * 10 + (digit - '0');
    }
    return 0;
}
