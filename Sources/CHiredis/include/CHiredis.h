// What the daemon needs of hiredis, the Redis client library, which is opened at run time: a daemon without a Redis
// database does not load it, and does not need it installed.
//
// Declarations follow hiredis.h and read.h of two versions: 0.14 (libhiredis.so.0.14, Debian 12) and 1.1 and 1.2
// (libhiredis.so.1.1.0, Debian 13). Their structures differ; the number of a layout is part of the library's name, so that another
// layout has another name. What Swift needs of them it gets by functions.
// Functions must not be called before chiredis_load has succeeded.
//
// Source: https://github.com/redis/hiredis/blob/v0.14.1/README.md, "Replies" and "Reader API"; hiredis.h and read.h of v1.2.0
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/time.h>

// Kinds of elements.
#define REDIS_REPLY_STRING 1
#define REDIS_REPLY_ARRAY 2
#define REDIS_REPLY_INTEGER 3
#define REDIS_REPLY_NIL 4
#define REDIS_REPLY_STATUS 5
#define REDIS_REPLY_ERROR 6

typedef struct redis_reader redis_reader;
/// redisContext.
typedef struct redis_context redis_context;
/// redisReply: a reply as a tree. For what the daemon itself asks; never for a client's commands.
typedef struct redis_reply redis_reply;

/// What is in a reply.
typedef struct {
    int type;
    long long integer;
    size_t length;
    const char *bytes;
    size_t count;
    redis_reply *const *elements;
} chiredis_reply_view;

/// Opens libhiredis, once in a process. Thread: any.
/// Returns NULL when it is there, else what dlopen(3) says.
const char *chiredis_load(void);
/// What went wrong with a connection; NULL if nothing did.
const char *chiredis_context_problem(const redis_context *context);
/// The reply must outlive the view.
chiredis_reply_view chiredis_view(const redis_reply *reply);

// Returned type, name here, name there, parameters with names, names alone.
#define CHIREDIS_FUNCTIONS(X)                                                                                          \
    X(redis_context *, connect, "redisConnectWithTimeout", (const char *host, int port, struct timeval limit),        \
      (host, port, limit))                                                                                             \
    X(redis_context *, connectUnix, "redisConnectUnixWithTimeout", (const char *path, struct timeval limit),           \
      (path, limit))                                                                                                   \
    X(int, setTimeout, "redisSetTimeout", (redis_context * c, struct timeval limit), (c, limit))                       \
    X(int, enableKeepAlive, "redisEnableKeepAlive", (redis_context * c), (c))                                          \
    X(redis_reply *, command, "redisCommandArgv",                                                                      \
      (redis_context * c, int count, const char **arguments, const size_t *lengths), (c, count, arguments, lengths))   \
    X(void, freeReply, "freeReplyObject", (redis_reply * reply), (reply))                                              \
    X(void, free, "redisFree", (redis_context * c), (c))                                                               \
    X(int, freeKeepDescriptor, "redisFreeKeepFd", (redis_context * c), (c))

#define CHIREDIS_MEMBER(type, name, symbol, parameters, arguments) type(*name) parameters;
struct chiredis_table {
    CHIREDIS_FUNCTIONS(CHIREDIS_MEMBER)
};
extern struct chiredis_table chiredis_table;

#define CHIREDIS_CALL(type, name, symbol, parameters, arguments)                                                       \
    static inline type redis_##name parameters { return chiredis_table.name arguments; }
CHIREDIS_FUNCTIONS(CHIREDIS_CALL)

// MARK: Replies, element by element

/// One element of a reply: the reply itself, or one within its arrays, which come before what is in them.
typedef struct {
    int type;
    /// 0 for the reply itself.
    int depth;
    /// Its place in the array around it, from 0.
    int index;
    /// Elements of an array.
    int count;
    long long integer;
    /// Of strings, statuses and errors. Valid during the call.
    const char *bytes;
    size_t length;
} chiredis_element;

/// Takes an element. Returns whether reading goes on behind it.
typedef bool (*chiredis_take)(void *context, const chiredis_element *element);

typedef enum {
    /// A whole reply has been read; the last element may have said that it is enough.
    CHIREDIS_REPLY,
    /// The element that was read last has said that it is enough.
    CHIREDIS_STOPPED,
    /// What has come in ends within a reply.
    CHIREDIS_NEEDS_MORE,
    /// This is not the Redis protocol, version 2, or arrays are nested deeper than 8 levels, which is where hiredis 0.14 ends.
    CHIREDIS_FAILED,
} chiredis_outcome;

typedef struct chiredis_reader chiredis_reader;

/// Makes a reader. Returns NULL without memory.
chiredis_reader *chiredis_reader_create(chiredis_take take);
void chiredis_reader_free(chiredis_reader *reader);
/// Copies bytes into the reader. Returns false without memory, and after a failure.
bool chiredis_reader_feed(chiredis_reader *reader, const void *bytes, size_t count);
/// Reads up to the end of a reply. `context` is handed to the function that takes the elements.
chiredis_outcome chiredis_reader_read(chiredis_reader *reader, void *context);
/// Whether everything that has come in has been read.
bool chiredis_reader_is_empty(const chiredis_reader *reader);
/// Gives back what a large string has left, when everything has been read.
void chiredis_reader_trim(chiredis_reader *reader);
/// What went wrong.
const char *chiredis_reader_problem(const chiredis_reader *reader);
/// Length of the string of which the beginning has come in, and which hiredis will gather as a whole; else 0.
long long chiredis_reader_awaited(const chiredis_reader *reader);
/// Bytes that have come in of a line whose end is missing: a status, an error, a number; else 0.
size_t chiredis_reader_line_begun(const chiredis_reader *reader);
