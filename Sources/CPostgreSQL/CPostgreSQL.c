// See CPostgreSQL.h.
#include "CPostgreSQL.h"

#include "CSocketLimits.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

struct cpostgresql_table cpostgresql_table;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char problem[512];
// SSL_pending(3) of the library that libpq is linked with, if any.
static int (*pending_in_tls)(const void *tls);

static void load(void) {
    void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *message = dlerror();
        snprintf(problem, sizeof problem, "%s", message ? message : "libpq.so.5 cannot be opened");
        return;
    }
    const char *missing = NULL;
    // dlsym returns what is no function pointer by the letter of C (dlopen(3)).
#define CPOSTGRESQL_FIND(name)                                                                                         \
    *(void **)&cpostgresql_table.name = dlsym(library, #name);                                                         \
    if (!cpostgresql_table.name) missing = #name;
    CPOSTGRESQL_FUNCTIONS(CPOSTGRESQL_FIND)
    *(void **)&pending_in_tls = dlsym(library, "SSL_pending");
    // Pipelines came with PostgreSQL 14.
    if (missing) snprintf(problem, sizeof problem, "libpq.so.5 has no %s: version 14 or later is needed", missing);
}

const char *cpostgresql_load(void) {
    pthread_once(&once, load);
    return problem[0] ? problem : NULL;
}

// Whether there are bytes that were received and that libpq has not taken: it reads into what room it has, and does not come
// back for the rest of a record (pgtls_read_pending in fe-secure-openssl.c), which no socket would tell of.
static bool has_pending(PGconn *connection) {
    if (!pending_in_tls || cpostgresql_table.PQstatus(connection) == CONNECTION_BAD) return false;
    void *tls = cpostgresql_table.PQsslStruct(connection, "OpenSSL");
    return tls && pending_in_tls(tls) > 0;
}

int cpostgresql_flush(PGconn *connection, long limit_ms) {
    csocketlimits_wait_for_room(limit_ms);
    int result = cpostgresql_table.PQflush(connection);
    csocketlimits_wait_for_room(0);
    return result;
}

int cpostgresql_consume_input(PGconn *connection, long byte_count_max, long *byte_count) {
    csocketlimits_allow_receiving(byte_count_max);
    int result;
    do {
        result = cpostgresql_table.PQconsumeInput(connection);
    } while (result == 1 && has_pending(connection));
    *byte_count = csocketlimits_end_receiving(byte_count_max);
    return result;
}

PostgresPollingStatusType cpostgresql_connect_poll(
    PGconn *connection, long byte_count_max, long limit_ms, long *byte_count, bool *is_late_proof) {
    csocketlimits_allow_receiving(byte_count_max);
    csocketlimits_begin_proof(limit_ms);
    PostgresPollingStatusType result;
    do {
        result = cpostgresql_table.PQconnectPoll(connection);
    } while (result == PGRES_POLLING_READING && has_pending(connection));
    *is_late_proof = !csocketlimits_end_proof();
    *byte_count = csocketlimits_end_receiving(byte_count_max);
    return result;
}

bool cpostgresql_cancel(PGcancel *key, long limit_ms) {
    char message[256];
    csocketlimits_wait_for_bytes(limit_ms);
    cpostgresql_table.PQcancel(key, message, sizeof message);
    return csocketlimits_end_waiting();
}

static void ignore(void *argument, const PGresult *result) {
    (void)argument;
    (void)result;
}

void cpostgresql_ignore_notices(PGconn *connection) {
    cpostgresql_table.PQsetNoticeReceiver(connection, ignore, NULL);
}
