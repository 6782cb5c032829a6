// hiredis, the Redis client library, which is opened at run time: a daemon without a Redis database does not load it, and does
// not need it installed.
//
// Two versions are known: 0.14 (libhiredis.so.0.14, Debian 12) and 1.1 with 1.2 (libhiredis.so.1.1.0, Debian 13). A program that
// was built with the headers of one runs with the other, too, and their structures differ; so Swift sees none of them, and
// gets by functions what it needs. CHiredis.c says how both are kept true.
// Functions must not be called before chiredis_load has succeeded.
//
// Source: https://github.com/redis/hiredis/blob/v0.14.1/README.md, "Replies" and "Reader API"; hiredis.h and read.h of v1.2.0
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/time.h>

/// Kinds of elements: REDIS_REPLY_… of read.h.
typedef enum {
    CHIREDIS_STRING = 1,
    CHIREDIS_ARRAY = 2,
    CHIREDIS_INTEGER = 3,
    CHIREDIS_NIL = 4,
    CHIREDIS_STATUS = 5,
    CHIREDIS_ERROR = 6,
} chiredis_kind;

struct redisContext;

/// Opens libhiredis, once in a process. Thread: any.
/// Returns NULL when it is there, else what dlopen(3) says.
const char *chiredis_load(void);

// MARK: Connecting

/// redisConnectWithTimeout.
struct redisContext *chiredis_connect(const char *host, int port, struct timeval limit);
/// redisConnectUnixWithTimeout.
struct redisContext *chiredis_connect_unix(const char *path, struct timeval limit);
/// redisEnableKeepAlive.
void chiredis_enable_keep_alive(struct redisContext *context);
/// What went wrong with a connection; NULL if nothing did.
const char *chiredis_context_problem(const struct redisContext *context);
/// redisFree.
void chiredis_free(struct redisContext *context);
/// redisFreeKeepFd: returns the socket.
int chiredis_free_keep_descriptor(struct redisContext *context);

// MARK: Replies, element by element

/// One element of a reply: the reply itself, or one within its arrays, which come before what is in them.
typedef struct {
    chiredis_kind type;
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
