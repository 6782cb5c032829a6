// libpq, the PostgreSQL client library, which is opened at run time: a daemon without a PostgreSQL database does not load it
// (nor OpenSSL, Kerberos and LDAP behind it), and does not need it installed.
//
// Types, constants and functions are those of libpq-fe.h (Debian: libpq-dev). The functions are reached through
// cpostgresql_table, which cpostgresql_load fills; called by their names alone, they would need libpq when the program is
// linked, and the linker would say so.
//
// Source: https://www.postgresql.org/docs/15/libpq.html
#pragma once
#include <postgresql/libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#pragma clang assume_nonnull begin

/// Opens libpq.so.5, once in a process. Thread: any.
/// Returns NULL when it is there, else what dlopen(3) says.
const char *_Nullable cpostgresql_load(void);

/// Receives notices and drops them; libpq's own would write them to the standard error stream.
void cpostgresql_ignore_notices(PGconn *connection);

/// PQflush that waits up to so long for a server to take more. Thread: one that may block.
int cpostgresql_flush(PGconn *connection, long limit_ms);

/// PQconsumeInput and PQconnectPoll that receive no more than so many bytes, and tell how many these were. What is left is in
/// the socket, which is readable then. (With TLS, the bytes are those on the wire.)
int cpostgresql_consume_input(PGconn *connection, long byte_count_max, long *byte_count);
///
/// What the server has the client compute to prove who it is (SCRAM) ends after `limit_ms`; then the call fails, and
/// `is_late_proof` is set.
PostgresPollingStatusType cpostgresql_connect_poll(
    PGconn *connection, long byte_count_max, long limit_ms, long *byte_count, bool *is_late_proof);

/// PQcancel, which waits no longer than that for the server to take it. Returns false when the server has not done so.
bool cpostgresql_cancel(PGcancel *key, long limit_ms);

/// PG_DIAG_… of postgres_ext.h as far as they are looked at: characters, which Swift does not import.
enum {
    CPOSTGRESQL_SEVERITY = PG_DIAG_SEVERITY_NONLOCALIZED,
    CPOSTGRESQL_SHOWN_SEVERITY = PG_DIAG_SEVERITY,
    CPOSTGRESQL_SQLSTATE = PG_DIAG_SQLSTATE,
    CPOSTGRESQL_MESSAGE = PG_DIAG_MESSAGE_PRIMARY,
    CPOSTGRESQL_DETAIL = PG_DIAG_MESSAGE_DETAIL,
    CPOSTGRESQL_HINT = PG_DIAG_MESSAGE_HINT,
    CPOSTGRESQL_CONTEXT = PG_DIAG_CONTEXT,
    CPOSTGRESQL_POSITION = PG_DIAG_STATEMENT_POSITION,
};

// The functions that are called.
#define CPOSTGRESQL_FUNCTIONS(X)                                                                                       \
    X(PQconninfoParse) X(PQconninfoFree) X(PQfreemem) X(PQconnectStartParams) X(PQconnectPoll) X(PQconninfo)           \
    X(PQhost) X(PQhostaddr) X(PQport) X(PQfinish) X(PQstatus) X(PQtransactionStatus) X(PQparameterStatus)              \
    X(PQerrorMessage) X(PQsocket) X(PQsslStruct) X(PQbackendPID) X(PQsetnonblocking) X(PQsetErrorVerbosity)            \
    X(PQsetNoticeReceiver) X(PQflush) X(PQconsumeInput) X(PQnotifies) X(PQisBusy) X(PQgetResult)                       \
    X(PQsetSingleRowMode) X(PQenterPipelineMode) X(PQexitPipelineMode) X(PQputCopyData) X(PQputCopyEnd)                \
    X(PQsendFlushRequest) X(PQpipelineSync) X(PQsendQuery) X(PQsendQueryParams)                                        \
    X(PQsendPrepare) X(PQsendQueryPrepared) X(PQsendDescribePrepared) X(PQclear) X(PQresultStatus)                     \
    X(PQresultMemorySize) X(PQresultErrorField) X(PQresultErrorMessage) X(PQntuples) X(PQnfields) X(PQfname)           \
    X(PQftype) X(PQftable) X(PQnparams) X(PQcmdStatus) X(PQgetvalue) X(PQgetlength) X(PQgetisnull) X(PQgetCancel)      \
    X(PQfreeCancel) X(PQcancel) X(PQfmod)

struct cpostgresql_table {
#define CPOSTGRESQL_MEMBER(name) __typeof__(name) *name;
    CPOSTGRESQL_FUNCTIONS(CPOSTGRESQL_MEMBER)
};
extern struct cpostgresql_table cpostgresql_table;

/// The functions. They must not be called before cpostgresql_load has succeeded; after that the table stays as it is.
static inline const struct cpostgresql_table *cpostgresql_functions(void) { return &cpostgresql_table; }

#pragma clang assume_nonnull end
