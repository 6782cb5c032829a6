// See CHiredis.h.
#include "CHiredis.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

// MARK: Layouts

// The beginning of the name says in which version: l0 is 0.14, l1 is 1.1 and 1.2.

/// redisReadTask.
typedef struct {
    int type;
    int elements;
    int index;
    void *object;
    void *parent;
    void *private_data;
} l0_task;

typedef struct {
    int type;
    long long elements;
    int index;
    void *object;
    void *parent;
    void *private_data;
} l1_task;

/// redisReplyObjectFunctions.
typedef struct {
    void *(*createString)(const void *, char *, size_t);
    void *(*createArray)(const void *, int);
    void *(*createInteger)(const void *, long long);
    void *(*createNil)(const void *);
    void (*freeObject)(void *);
} l0_functions;

typedef struct {
    void *(*createString)(const void *, char *, size_t);
    void *(*createArray)(const void *, size_t);
    void *(*createInteger)(const void *, long long);
    void *(*createDouble)(const void *, double, char *, size_t);
    void *(*createNil)(const void *);
    void *(*createBool)(const void *, int);
    void (*freeObject)(void *);
} l1_functions;

/// redisReader, as far as both begin alike.
struct redis_reader {
    int err;
    char errstr[128];
    char *buf;
    size_t pos;
    size_t len;
    size_t maxbuf;
};

typedef struct {
    redis_reader common;
    l0_task stack[9];
    int depth;
    void *reply;
    void *functions;
    void *private_data;
} l0_reader;

typedef struct {
    redis_reader common;
    long long elements_max;
    l1_task **stack;
    int stack_size;
    int depth;
    void *reply;
    void *functions;
    void *private_data;
} l1_reader;

/// redisContext, its beginning.
typedef struct {
    int err;
    char errstr[128];
} l0_context;

typedef struct {
    const void *functions;
    int err;
    char errstr[128];
} l1_context;

/// redisReply.
typedef struct {
    int type;
    long long integer;
    size_t len;
    char *str;
    size_t elements;
    redis_reply **element;
} l0_reply;

typedef struct {
    int type;
    long long integer;
    double number;
    size_t len;
    char *str;
    char kind[4];
    size_t elements;
    redis_reply **element;
} l1_reply;

/// Which of them the library has that was opened.
static bool is_l1;

// -1 between two replies.
static int depth_of(const redis_reader *reader) {
    return is_l1 ? ((const l1_reader *)reader)->depth : ((const l0_reader *)reader)->depth;
}

/// What is being read. `depth_of` must not be negative.
static int current_type(const redis_reader *reader) {
    int depth = depth_of(reader);
    return is_l1 ? ((const l1_reader *)reader)->stack[depth]->type : ((const l0_reader *)reader)->stack[depth].type;
}

static void set_private_data(redis_reader *reader, void *data) {
    if (is_l1)
        ((l1_reader *)reader)->private_data = data;
    else
        ((l0_reader *)reader)->private_data = data;
}

const char *chiredis_context_problem(const redis_context *context) {
    if (is_l1) {
        const l1_context *c = (const l1_context *)context;
        return c->err ? c->errstr : NULL;
    }
    const l0_context *c = (const l0_context *)context;
    return c->err ? c->errstr : NULL;
}

chiredis_reply_view chiredis_view(const redis_reply *reply) {
#define CHIREDIS_VIEW(r) (chiredis_reply_view){r->type, r->integer, r->len, r->str, r->elements, r->element}
    const l1_reply *l1 = (const l1_reply *)reply;
    const l0_reply *l0 = (const l0_reply *)reply;
    return is_l1 ? CHIREDIS_VIEW(l1) : CHIREDIS_VIEW(l0);
}

// MARK: Opening

struct chiredis_table chiredis_table;

// Needed here only.
static redis_reader *(*create_reader)(void *);
static void (*free_reader)(redis_reader *);
static int (*feed)(redis_reader *, const char *, size_t);
static int (*get_reply)(redis_reader *, void **);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char problem[512];

static void load(void) {
    const char *name = "libhiredis.so.1.1.0";
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    is_l1 = library != NULL;
    if (!library) library = dlopen(name = "libhiredis.so.0.14", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *message = dlerror();
        snprintf(problem, sizeof problem, "%s, nor can libhiredis.so.1.1.0", message ? message : "libhiredis.so.0.14 cannot be opened");
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
    if (missing) snprintf(problem, sizeof problem, "%s has no %s", name, missing);
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
    /// Why we ended it; hiredis would say that memory is short.
    const char *refusal;
    /// The most bytes that hiredis had to keep, since its storage was made.
    size_t peak;
};

/// Storage that hiredis may keep between replies, in bytes.
static const size_t kept_byte_count_max = 128 << 10;

static char nothing;

/// What both layouts have of a task.
typedef struct {
    int type;
    int index;
    chiredis_reader *reader;
} place;

static place place_of(const void *task) {
    if (is_l1) {
        const l1_task *t = task;
        return (place){t->type, t->index, t->private_data};
    }
    const l0_task *t = task;
    return (place){t->type, t->index, t->private_data};
}

/// Hands an element on. `end` is where it ends in hiredis's buffer.
static void *hand_on(place place, chiredis_element element, size_t end) {
    chiredis_reader *self = place.reader;
    element.depth = depth_of(self->reader);
    element.index = place.index;
    if (!self->take(self->context, &element)) {
        // hiredis reads all that it has. So it is shown no more than what it has read already.
        self->is_stopped = true;
        self->reader->len = end;
    }
    return &nothing;
}

/// Ends the reader.
static void *refuse(place place, const char *reason) {
    place.reader->refusal = reason;
    return NULL;
}

// hiredis 1 also reads what a server sends to those who ask for version 3 of the protocol, which nobody does here.
static const char unasked[] = "a type of RESP3, which was not asked for";

static void *create_string(const void *task, char *bytes, size_t length) {
    place place = place_of(task);
    if (place.type != REDIS_REPLY_STRING && place.type != REDIS_REPLY_STATUS && place.type != REDIS_REPLY_ERROR)
        return refuse(place, unasked);
    // hiredis has moved on behind a line (status, error) by now, and not yet behind a string.
    redis_reader *reader = place.reader->reader;
    size_t end = place.type == REDIS_REPLY_STRING ? (size_t)(bytes - reader->buf) + length + 2 : reader->pos;
    return hand_on(place, (chiredis_element){.type = place.type, .bytes = bytes, .length = length}, end);
}

/// Arrays within arrays: as many as hiredis 0.14 reads.
static const int depth_max = 7;

static void *create_array(const void *task, size_t count) {
    place place = place_of(task);
    if (place.type != REDIS_REPLY_ARRAY) return refuse(place, unasked);
    if (depth_of(place.reader->reader) > depth_max) return refuse(place, "arrays are nested deeper than 8 levels");
    if (count > INT_MAX) return refuse(place, "an array has more elements than there can be");
    return hand_on(place, (chiredis_element){.type = REDIS_REPLY_ARRAY, .count = (int)count}, place.reader->reader->pos);
}

static void *l0_create_array(const void *task, int count) { return create_array(task, (size_t)count); }

static void *create_integer(const void *task, long long value) {
    place place = place_of(task);
    return hand_on(place, (chiredis_element){.type = REDIS_REPLY_INTEGER, .integer = value}, place.reader->reader->pos);
}

static void *create_nil(const void *task) {
    place place = place_of(task);
    if (place.type != REDIS_REPLY_STRING && place.type != REDIS_REPLY_ARRAY) return refuse(place, unasked);
    // "$-1\r\n", of which "$" has been read, or "*-1\r\n", which has been read.
    size_t end = place.reader->reader->pos + (place.type == REDIS_REPLY_STRING ? sizeof "-1\r\n" - 1 : 0);
    return hand_on(place, (chiredis_element){.type = REDIS_REPLY_NIL}, end);
}

static void *create_double(const void *task, double value, char *bytes, size_t length) {
    (void)value, (void)bytes, (void)length;
    return refuse(place_of(task), unasked);
}

static void *create_bool(const void *task, int value) {
    (void)value;
    return refuse(place_of(task), unasked);
}

static l0_functions own_l0 = {create_string, l0_create_array, create_integer, create_nil, NULL};
static l1_functions own_l1 = {create_string, create_array, create_integer, create_double, create_nil, create_bool, NULL};

static redis_reader *make_reader(chiredis_reader *self) {
    redis_reader *reader = create_reader(is_l1 ? (void *)&own_l1 : (void *)&own_l0);
    if (!reader) return NULL;
    reader->maxbuf = kept_byte_count_max;
    set_private_data(reader, self);
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
    return !reader->err && depth_of(reader) < 0 && reader->pos == reader->len;
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

const char *chiredis_reader_problem(const chiredis_reader *self) { return self->refusal ? self->refusal : self->reader->errstr; }

size_t chiredis_reader_line_begun(const chiredis_reader *self) {
    const redis_reader *reader = self->reader;
    if (depth_of(reader) < 0 || current_type(reader) == REDIS_REPLY_STRING) return 0;
    return reader->len - reader->pos;
}

long long chiredis_reader_awaited(const chiredis_reader *self) {
    const redis_reader *reader = self->reader;
    if (depth_of(reader) < 0 || current_type(reader) != REDIS_REPLY_STRING) return 0;
    long long length = 0;
    for (size_t index = reader->pos; index < reader->len; index++) {
        char digit = reader->buf[index];
        if (digit < '0' || digit > '9') return length;
        if (length > (1LL << 50)) return length;
        length = length * 10 + (digit - '0');
    }
    return 0;
}
