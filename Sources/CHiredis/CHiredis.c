// See CHiredis.h.
#include "CHiredis.h"

#include <dlfcn.h>
#include <hiredis/hiredis.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

// MARK: Layouts

// hiredis has no functions for what is needed here of its structures, so their layouts are known; for two versions, of which
// the machine that builds has one, and the one that runs may have the other. Hence they are written down here: l0 is 0.14, l1 is
// 1.1 and 1.2. Three things keep them true:
// - The compiler compares one of them, member by member, with the headers that are installed, and with the number that these
//   give the library's binary interface. Builds on Debian 12 and 13 so compare both.
// - That number is in the name of the file that is opened: another layout has another name.
// - A reader is made when the library is opened, and must look as a new one does (`looks_new`).

/// redisReadTask.
typedef struct {
    int type;
    int elements;
    int idx;
    void *obj;
    void *parent;
    void *privdata;
} l0_task;

typedef struct {
    int type;
    long long elements;
    int idx;
    void *obj;
    void *parent;
    void *privdata;
} l1_task;

/// redisReplyObjectFunctions.
typedef struct {
    void *(*createString)(const redisReadTask *, char *, size_t);
    void *(*createArray)(const redisReadTask *, int);
    void *(*createInteger)(const redisReadTask *, long long);
    void *(*createNil)(const redisReadTask *);
    void (*freeObject)(void *);
} l0_functions;

typedef struct {
    void *(*createString)(const redisReadTask *, char *, size_t);
    void *(*createArray)(const redisReadTask *, size_t);
    void *(*createInteger)(const redisReadTask *, long long);
    void *(*createDouble)(const redisReadTask *, double, char *, size_t);
    void *(*createNil)(const redisReadTask *);
    void *(*createBool)(const redisReadTask *, int);
    void (*freeObject)(void *);
} l1_functions;

/// redisReader, as far as both begin alike.
typedef struct {
    int err;
    char errstr[128];
    char *buf;
    size_t pos;
    size_t len;
    size_t maxbuf;
} common_reader;

typedef struct {
    common_reader common;
    l0_task rstack[9];
    int ridx;
    void *reply;
    void *fn;
    void *privdata;
} l0_reader;

typedef struct {
    common_reader common;
    long long maxelements;
    l1_task **task;
    int tasks;
    int ridx;
    void *reply;
    void *fn;
    void *privdata;
} l1_reader;

/// redisContext, its beginning.
typedef struct {
    int err;
    char errstr[128];
} l0_context;

typedef struct {
    const void *funcs;
    int err;
    char errstr[128];
} l1_context;

#define L0_LIBRARY "libhiredis.so.0.14"
#define L1_LIBRARY "libhiredis.so.1.1.0"

#define TEXT_OF(words) #words
#define TEXT(words) TEXT_OF(words)
/// The library that belongs to the installed headers.
#define INSTALLED_LIBRARY "libhiredis.so." TEXT(HIREDIS_SONAME)

#if HIREDIS_MAJOR == 0
typedef l0_task installed_task;
typedef l0_functions installed_functions;
typedef l0_reader installed_reader;
typedef l0_context installed_context;
_Static_assert(__builtin_strcmp(INSTALLED_LIBRARY, L0_LIBRARY) == 0, "hiredis before 1.0 is known as 0.14 only");
#else
typedef l1_task installed_task;
typedef l1_functions installed_functions;
typedef l1_reader installed_reader;
typedef l1_context installed_context;
_Static_assert(__builtin_strcmp(INSTALLED_LIBRARY, L1_LIBRARY) == 0, "the binary interface of hiredis is not 1.1.0");
#endif

#define SAME_SIZE(own, its) _Static_assert(sizeof(own) == sizeof(its), TEXT(its) " has another size")
#define SAME_MEMBER(own, own_name, its, name)                                                                          \
    _Static_assert(offsetof(own, own_name) == offsetof(its, name) &&                                                   \
                       sizeof(((own *)0)->own_name) == sizeof(((its *)0)->name),                                       \
                   TEXT(its) "." TEXT(name) " is at another place")
#define SAME(own, its, name) SAME_MEMBER(own, name, its, name)

SAME_SIZE(installed_task, redisReadTask);
SAME(installed_task, redisReadTask, type);
SAME(installed_task, redisReadTask, idx);
SAME(installed_task, redisReadTask, privdata);
SAME_SIZE(installed_functions, redisReplyObjectFunctions);
SAME(installed_functions, redisReplyObjectFunctions, createString);
SAME(installed_functions, redisReplyObjectFunctions, createArray);
SAME(installed_functions, redisReplyObjectFunctions, createInteger);
SAME(installed_functions, redisReplyObjectFunctions, createNil);
SAME(installed_functions, redisReplyObjectFunctions, freeObject);
#if HIREDIS_MAJOR > 0
SAME(installed_functions, redisReplyObjectFunctions, createDouble);
SAME(installed_functions, redisReplyObjectFunctions, createBool);
SAME(installed_reader, redisReader, task);
#else
SAME(installed_reader, redisReader, rstack);
#endif
SAME_SIZE(installed_reader, redisReader);
SAME_MEMBER(installed_reader, common.err, redisReader, err);
SAME_MEMBER(installed_reader, common.errstr, redisReader, errstr);
SAME_MEMBER(installed_reader, common.buf, redisReader, buf);
SAME_MEMBER(installed_reader, common.pos, redisReader, pos);
SAME_MEMBER(installed_reader, common.len, redisReader, len);
SAME_MEMBER(installed_reader, common.maxbuf, redisReader, maxbuf);
SAME(installed_reader, redisReader, ridx);
SAME(installed_reader, redisReader, fn);
SAME(installed_reader, redisReader, privdata);
SAME(installed_context, redisContext, err);
SAME(installed_context, redisContext, errstr);

// What both versions call an element by, and what Swift calls it.
_Static_assert(CHIREDIS_STRING == REDIS_REPLY_STRING && CHIREDIS_ARRAY == REDIS_REPLY_ARRAY &&
                   CHIREDIS_INTEGER == REDIS_REPLY_INTEGER && CHIREDIS_NIL == REDIS_REPLY_NIL &&
                   CHIREDIS_STATUS == REDIS_REPLY_STATUS && CHIREDIS_ERROR == REDIS_REPLY_ERROR,
               "the kinds of replies have other numbers");

/// Which of them the library has that was opened.
static bool is_l1;

static const common_reader *common(const redisReader *reader) { return (const common_reader *)reader; }
static common_reader *mutable_common(redisReader *reader) { return (common_reader *)reader; }

// -1 between two replies.
static int depth_of(const redisReader *reader) {
    return is_l1 ? ((const l1_reader *)reader)->ridx : ((const l0_reader *)reader)->ridx;
}

/// What is being read. `depth_of` must not be negative.
static int current_type(const redisReader *reader) {
    int depth = depth_of(reader);
    return is_l1 ? ((const l1_reader *)reader)->task[depth]->type : ((const l0_reader *)reader)->rstack[depth].type;
}

static const void *functions_of(const redisReader *reader) {
    return is_l1 ? ((const l1_reader *)reader)->fn : ((const l0_reader *)reader)->fn;
}

static void set_private_data(redisReader *reader, void *data) {
    if (is_l1)
        ((l1_reader *)reader)->privdata = data;
    else
        ((l0_reader *)reader)->privdata = data;
}

const char *chiredis_context_problem(const redisContext *context) {
    if (is_l1) {
        const l1_context *c = (const l1_context *)context;
        return c->err ? c->errstr : NULL;
    }
    const l0_context *c = (const l0_context *)context;
    return c->err ? c->errstr : NULL;
}

// MARK: Opening

#define CHIREDIS_FUNCTIONS(X)                                                                                          \
    X(redisConnectWithTimeout) X(redisConnectUnixWithTimeout) X(redisEnableKeepAlive) X(redisFree) X(redisFreeKeepFd)  \
    X(redisReaderCreateWithFunctions) X(redisReaderFree) X(redisReaderFeed) X(redisReaderGetReply)

static struct {
#define CHIREDIS_MEMBER(name) __typeof__(name) *name;
    CHIREDIS_FUNCTIONS(CHIREDIS_MEMBER)
} api;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char problem[512];

static bool looks_new(void);

static void load(void) {
    const char *name = L1_LIBRARY;
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    is_l1 = library != NULL;
    if (!library) library = dlopen(name = L0_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *message = dlerror();
        snprintf(problem, sizeof problem, "%s, nor can " L1_LIBRARY, message ? message : L0_LIBRARY " cannot be opened");
        return;
    }
    const char *missing = NULL;
    // dlsym returns what is no function pointer by the letter of C (dlopen(3)).
#define CHIREDIS_FIND(name)                                                                                            \
    *(void **)&api.name = dlsym(library, #name);                                                                       \
    if (!api.name) missing = #name;
    CHIREDIS_FUNCTIONS(CHIREDIS_FIND)
    if (missing) {
        snprintf(problem, sizeof problem, "%s has no %s", name, missing);
    } else if (!looks_new()) {
        snprintf(problem, sizeof problem, "%s is not the hiredis that its name says", name);
    }
}

const char *chiredis_load(void) {
    pthread_once(&once, load);
    return problem[0] ? problem : NULL;
}

// MARK: Connecting

redisContext *chiredis_connect(const char *host, int port, struct timeval limit) {
    return api.redisConnectWithTimeout(host, port, limit);
}

redisContext *chiredis_connect_unix(const char *path, struct timeval limit) {
    return api.redisConnectUnixWithTimeout(path, limit);
}

void chiredis_enable_keep_alive(redisContext *context) { (void)api.redisEnableKeepAlive(context); }

void chiredis_free(redisContext *context) { api.redisFree(context); }

int chiredis_free_keep_descriptor(redisContext *context) { return api.redisFreeKeepFd(context); }

// MARK: Replies, element by element

// hiredis makes an object of each element by functions of its user's choice. Ours make none: they hand the element on, and
// return something that is not NULL, which would mean that memory is short.

struct chiredis_reader {
    redisReader *reader;
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

static place place_of(const redisReadTask *task) {
    if (is_l1) {
        const l1_task *t = (const l1_task *)task;
        return (place){t->type, t->idx, t->privdata};
    }
    const l0_task *t = (const l0_task *)task;
    return (place){t->type, t->idx, t->privdata};
}

/// Hands an element on. `end` is where it ends in hiredis's buffer.
static void *hand_on(place place, chiredis_element element, size_t end) {
    chiredis_reader *self = place.reader;
    element.depth = depth_of(self->reader);
    element.index = place.index;
    if (!self->take(self->context, &element)) {
        // hiredis reads all that it has. So it is shown no more than what it has read already.
        self->is_stopped = true;
        mutable_common(self->reader)->len = end;
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

static void *create_string(const redisReadTask *task, char *bytes, size_t length) {
    place place = place_of(task);
    if (place.type != REDIS_REPLY_STRING && place.type != REDIS_REPLY_STATUS && place.type != REDIS_REPLY_ERROR)
        return refuse(place, unasked);
    // hiredis has moved on behind a line (status, error) by now, and not yet behind a string.
    const common_reader *reader = common(place.reader->reader);
    size_t end = place.type == REDIS_REPLY_STRING ? (size_t)(bytes - reader->buf) + length + 2 : reader->pos;
    return hand_on(place, (chiredis_element){.type = (chiredis_kind)place.type, .bytes = bytes, .length = length}, end);
}

/// Arrays within arrays: as many as hiredis 0.14 reads.
static const int depth_max = 7;

static void *create_array(const redisReadTask *task, size_t count) {
    place place = place_of(task);
    if (place.type != REDIS_REPLY_ARRAY) return refuse(place, unasked);
    if (depth_of(place.reader->reader) > depth_max) return refuse(place, "arrays are nested deeper than 8 levels");
    if (count > INT_MAX) return refuse(place, "an array has more elements than there can be");
    size_t end = common(place.reader->reader)->pos;
    return hand_on(place, (chiredis_element){.type = CHIREDIS_ARRAY, .count = (int)count}, end);
}

static void *l0_create_array(const redisReadTask *task, int count) { return create_array(task, (size_t)count); }

static void *create_integer(const redisReadTask *task, long long value) {
    place place = place_of(task);
    size_t end = common(place.reader->reader)->pos;
    return hand_on(place, (chiredis_element){.type = CHIREDIS_INTEGER, .integer = value}, end);
}

static void *create_nil(const redisReadTask *task) {
    place place = place_of(task);
    if (place.type != REDIS_REPLY_STRING && place.type != REDIS_REPLY_ARRAY) return refuse(place, unasked);
    // "$-1\r\n", of which "$" has been read, or "*-1\r\n", which has been read.
    size_t end = common(place.reader->reader)->pos + (place.type == REDIS_REPLY_STRING ? sizeof "-1\r\n" - 1 : 0);
    return hand_on(place, (chiredis_element){.type = CHIREDIS_NIL}, end);
}

static void *create_double(const redisReadTask *task, double value, char *bytes, size_t length) {
    (void)value, (void)bytes, (void)length;
    return refuse(place_of(task), unasked);
}

static void *create_bool(const redisReadTask *task, int value) {
    (void)value;
    return refuse(place_of(task), unasked);
}

static l0_functions own_l0 = {create_string, l0_create_array, create_integer, create_nil, NULL};
static l1_functions own_l1 = {create_string, create_array, create_integer, create_double, create_nil, create_bool, NULL};

static redisReplyObjectFunctions *own_functions(void) {
    return is_l1 ? (redisReplyObjectFunctions *)&own_l1 : (redisReplyObjectFunctions *)&own_l0;
}

/// Whether a reader that was just made is what the layout says.
static bool looks_new(void) {
    redisReader *reader = api.redisReaderCreateWithFunctions(own_functions());
    if (!reader) return false;
    const common_reader *c = common(reader);
    bool is_new = c->err == 0 && c->buf && c->pos == 0 && c->len == 0 && c->maxbuf == REDIS_READER_MAX_BUF &&
                  depth_of(reader) == -1 && functions_of(reader) == own_functions();
    api.redisReaderFree(reader);
    return is_new;
}

static redisReader *make_reader(chiredis_reader *self) {
    redisReader *reader = api.redisReaderCreateWithFunctions(own_functions());
    if (!reader) return NULL;
    mutable_common(reader)->maxbuf = kept_byte_count_max;
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
    api.redisReaderFree(self->reader);
    free(self);
}

bool chiredis_reader_feed(chiredis_reader *self, const void *bytes, size_t count) {
    if (api.redisReaderFeed(self->reader, bytes, count) != 0) return false;
    if (common(self->reader)->len > self->peak) self->peak = common(self->reader)->len;
    return true;
}

bool chiredis_reader_is_empty(const chiredis_reader *self) {
    const common_reader *reader = common(self->reader);
    return !reader->err && depth_of(self->reader) < 0 && reader->pos == reader->len;
}

void chiredis_reader_trim(chiredis_reader *self) {
    redisReader *reader = self->reader;
    if (self->peak <= kept_byte_count_max || !chiredis_reader_is_empty(self)) return;
    redisReader *fresh = make_reader(self);
    if (!fresh) return;
    api.redisReaderFree(reader);
    self->reader = fresh;
    self->peak = 0;
}

chiredis_outcome chiredis_reader_read(chiredis_reader *self, void *context) {
    common_reader *reader = mutable_common(self->reader);
    size_t length = reader->len;
    void *reply = NULL;
    self->context = context;
    self->is_stopped = false;
    int result = api.redisReaderGetReply(self->reader, &reply);
    self->context = NULL;
    if (result != 0) return CHIREDIS_FAILED;
    // Unless hiredis has moved what is left to the front, and counted it anew.
    if (self->is_stopped && reader->pos > 0) reader->len = length;
    if (reply) return CHIREDIS_REPLY;
    return self->is_stopped ? CHIREDIS_STOPPED : CHIREDIS_NEEDS_MORE;
}

const char *chiredis_reader_problem(const chiredis_reader *self) {
    return self->refusal ? self->refusal : common(self->reader)->errstr;
}

size_t chiredis_reader_line_begun(const chiredis_reader *self) {
    const common_reader *reader = common(self->reader);
    if (depth_of(self->reader) < 0 || current_type(self->reader) == REDIS_REPLY_STRING) return 0;
    return reader->len - reader->pos;
}

long long chiredis_reader_awaited(const chiredis_reader *self) {
    const common_reader *reader = common(self->reader);
    if (depth_of(self->reader) < 0 || current_type(self->reader) != REDIS_REPLY_STRING) return 0;
    long long length = 0;
    for (size_t index = reader->pos; index < reader->len; index++) {
        char digit = reader->buf[index];
        if (digit < '0' || digit > '9') return length;
        if (length > (1LL << 50)) return length;
        length = length * 10 + (digit - '0');
    }
    return 0;
}
