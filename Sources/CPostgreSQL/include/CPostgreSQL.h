// What the daemon needs of libpq, the PostgreSQL client library, which is opened at run time: a daemon without a
// PostgreSQL database does not load it (nor OpenSSL, Kerberos and LDAP behind it), and does not need it installed.
//
// Declarations follow libpq-fe.h of PostgreSQL 15; libpq has kept this binary interface since libpq.so.5 (2006).
// Functions have the names of libpq's without "PQ"; they must not be called before cpostgresql_load has succeeded.
//
// Source: https://www.postgresql.org/docs/15/libpq.html
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef struct pg_conn pq_connection;
typedef struct pg_result pq_result;
typedef struct pg_cancel pq_cancel_key;
typedef unsigned int pq_oid;

/// PQconninfoOption.
typedef struct {
    char *keyword;
    char *envvar;
    char *compiled;
    char *val;
    char *label;
    char *dispchar;
    int dispsize;
} pq_option;

// ConnStatusType, as far as it is looked at.
#define PQ_CONNECTION_OK 0
#define PQ_CONNECTION_BAD 1
#define PQ_CONNECTION_STARTED 2
// PostgresPollingStatusType.
#define PQ_POLLING_FAILED 0
#define PQ_POLLING_READING 1
#define PQ_POLLING_WRITING 2
#define PQ_POLLING_OK 3
// ExecStatusType.
#define PQ_EMPTY_QUERY 0
#define PQ_COMMAND_OK 1
#define PQ_TUPLES_OK 2
#define PQ_BAD_RESPONSE 5
#define PQ_NONFATAL_ERROR 6
#define PQ_FATAL_ERROR 7
#define PQ_SINGLE_TUPLE 9
#define PQ_PIPELINE_SYNC 10
#define PQ_PIPELINE_ABORTED 11
// PGTransactionStatusType.
#define PQ_TRANS_IDLE 0
#define PQ_TRANS_ACTIVE 1
#define PQ_TRANS_INTRANS 2
#define PQ_TRANS_INERROR 3
#define PQ_TRANS_UNKNOWN 4
// PGVerbosity.
#define PQ_ERRORS_TERSE 0

/// Opens libpq.so.5, once in a process. Thread: any.
/// Returns NULL when it is there, else what dlopen(3) says.
const char *cpostgresql_load(void);

/// Receives notices and drops them; libpq's own would write them to the standard error stream.
void cpostgresql_ignore_notices(pq_connection *connection);

/// Takes a notice, which is libpq's, during a call of any function of the connection's (PQnoticeReceiver).
typedef void (*cpostgresql_receiver)(void *argument, const pq_result *notice);
void cpostgresql_receive_notices(pq_connection *connection, cpostgresql_receiver receiver, void *argument);

/// Lets whatever library this thread calls next receive so many bytes, behind which its socket looks empty; any number of them
/// where it is negative.
void cpostgresql_allow(long byte_count);

/// PQconsumeInput and PQconnectPoll that receive no more than so many bytes, and tell how many these were. What is left is in
/// the socket, which is readable then. (With TLS, the bytes are those on the wire.)
int cpostgresql_consume_input(pq_connection *connection, long byte_count_max, long *byte_count);
///
/// What the server has the client compute to prove who it is (SCRAM) ends after `limit_ms`; then the call fails, and
/// `is_late_proof` is set.
int cpostgresql_connect_poll(
    pq_connection *connection, long byte_count_max, long limit_ms, long *byte_count, bool *is_late_proof);

/// PQcancel, which waits no longer than that for the server to take it. Returns false when the server has not done so.
bool cpostgresql_cancel(pq_cancel_key *key, long limit_ms);

// Returned type, name here, parameters with names, names alone.
#define CPOSTGRESQL_FUNCTIONS(X)                                                                                       \
    X(pq_option *, conninfoParse, (const char *url, char **message), (url, message))                                   \
    X(void, conninfoFree, (pq_option * options), (options))                                                            \
    X(void, freemem, (void *memory), (memory))                                                                         \
    X(pq_connection *, connectStartParams, (const char *const *keys, const char *const *values, int expand_name),      \
      (keys, values, expand_name))                                                                                     \
    X(int, connectPoll, (pq_connection * c), (c))                                                                      \
    X(pq_option *, conninfo, (pq_connection * c), (c))                                                                 \
    X(char *, host, (const pq_connection *c), (c))                                                                     \
    X(char *, hostaddr, (const pq_connection *c), (c))                                                                 \
    X(char *, port, (const pq_connection *c), (c))                                                                     \
    X(void, finish, (pq_connection * c), (c))                                                                          \
    X(int, status, (const pq_connection *c), (c))                                                                      \
    X(int, transactionStatus, (const pq_connection *c), (c))                                                           \
    X(const char *, parameterStatus, (const pq_connection *c, const char *name), (c, name))                            \
    X(char *, errorMessage, (const pq_connection *c), (c))                                                             \
    X(int, socket, (const pq_connection *c), (c))                                                                      \
    X(void *, sslStruct, (pq_connection * c, const char *library), (c, library))                                       \
    X(int, backendPID, (const pq_connection *c), (c))                                                                  \
    X(int, setnonblocking, (pq_connection * c, int value), (c, value))                                                 \
    X(int, setErrorVerbosity, (pq_connection * c, int verbosity), (c, verbosity))                                      \
    X(int, flush, (pq_connection * c), (c))                                                                            \
    X(int, consumeInput, (pq_connection * c), (c))                                                                     \
    X(void *, notifies, (pq_connection * c), (c))                                                                      \
    X(int, isBusy, (pq_connection * c), (c))                                                                           \
    X(pq_result *, getResult, (pq_connection * c), (c))                                                                \
    X(int, setSingleRowMode, (pq_connection * c), (c))                                                                 \
    X(int, enterPipelineMode, (pq_connection * c), (c))                                                                \
    X(int, sendFlushRequest, (pq_connection * c), (c))                                                                 \
    X(int, pipelineSync, (pq_connection * c), (c))                                                                     \
    X(int, sendQueryParams,                                                                                            \
      (pq_connection * c, const char *sql, int count, const pq_oid *types, const char *const *values,                  \
       const int *lengths, const int *formats, int result_format),                                                     \
      (c, sql, count, types, values, lengths, formats, result_format))                                                 \
    X(int, sendPrepare, (pq_connection * c, const char *name, const char *sql, int count, const pq_oid *types),        \
      (c, name, sql, count, types))                                                                                    \
    X(int, sendQueryPrepared,                                                                                          \
      (pq_connection * c, const char *name, int count, const char *const *values, const int *lengths,                  \
       const int *formats, int result_format),                                                                         \
      (c, name, count, values, lengths, formats, result_format))                                                       \
    X(int, sendDescribePrepared, (pq_connection * c, const char *name), (c, name))                                     \
    X(void, clear, (pq_result * r), (r))                                                                               \
    X(int, resultStatus, (const pq_result *r), (r))                                                                    \
    X(size_t, resultMemorySize, (const pq_result *r), (r))                                                             \
    X(char *, resultErrorField, (const pq_result *r, int field), (r, field))                                           \
    X(char *, resultErrorMessage, (const pq_result *r), (r))                                                           \
    X(int, ntuples, (const pq_result *r), (r))                                                                         \
    X(int, nfields, (const pq_result *r), (r))                                                                         \
    X(char *, fname, (const pq_result *r, int column), (r, column))                                                    \
    X(pq_oid, ftype, (const pq_result *r, int column), (r, column))                                                    \
    X(pq_oid, ftable, (const pq_result *r, int column), (r, column))                                                   \
    X(int, nparams, (const pq_result *r), (r))                                                                         \
    X(char *, cmdStatus, (pq_result * r), (r))                                                                         \
    X(char *, cmdTuples, (pq_result * r), (r))                                                                         \
    X(char *, getvalue, (const pq_result *r, int row, int column), (r, row, column))                                   \
    X(int, getlength, (const pq_result *r, int row, int column), (r, row, column))                                     \
    X(int, getisnull, (const pq_result *r, int row, int column), (r, row, column))                                     \
    X(pq_cancel_key *, getCancel, (pq_connection * c), (c))                                                                \
    X(void, freeCancel, (pq_cancel_key * key), (key))                                                                \
    X(int, cancel, (pq_cancel_key * key, char *message, int size), (key, message, size))

#define CPOSTGRESQL_MEMBER(type, name, parameters, arguments) type(*name) parameters;
struct cpostgresql_table {
    CPOSTGRESQL_FUNCTIONS(CPOSTGRESQL_MEMBER)
    // PQsetNoticeReceiver takes a function, which Swift has no use for.
    void (*(*setNoticeReceiver)(pq_connection *, void (*)(void *, const pq_result *), void *))(void *, const pq_result *);
};
extern struct cpostgresql_table cpostgresql_table;

#define CPOSTGRESQL_CALL(type, name, parameters, arguments)                                                            \
    static inline type pq_##name parameters { return cpostgresql_table.name arguments; }
CPOSTGRESQL_FUNCTIONS(CPOSTGRESQL_CALL)
