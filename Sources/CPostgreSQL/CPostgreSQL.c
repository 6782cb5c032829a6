// See CPostgreSQL.h.
#include "CPostgreSQL.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

struct cpostgresql_table cpostgresql_table;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char problem[512];

static void load(void) {
    void *library = dlopen("libpq.so.5", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *message = dlerror();
        snprintf(problem, sizeof problem, "%s", message ? message : "libpq.so.5 cannot be opened");
        return;
    }
    const char *missing = NULL;
    // In capitals as libpq has them; dlsym returns what is no function pointer by the letter of C (dlopen(3)).
#define CPOSTGRESQL_FIND(type, name, parameters, arguments)                                                            \
    *(void **)&cpostgresql_table.name = dlsym(library, "PQ" #name);                                                    \
    if (!cpostgresql_table.name) missing = "PQ" #name;
    CPOSTGRESQL_FUNCTIONS(CPOSTGRESQL_FIND)
    CPOSTGRESQL_FIND(, setNoticeReceiver, , )
    // Pipelines came with PostgreSQL 14.
    if (missing) snprintf(problem, sizeof problem, "libpq.so.5 has no %s: version 14 or later is needed", missing);
}

const char *cpostgresql_load(void) {
    pthread_once(&once, load);
    return problem[0] ? problem : NULL;
}

static void ignore(void *argument, const pq_result *result) {
    (void)argument;
    (void)result;
}

void cpostgresql_ignore_notices(pq_connection *connection) {
    cpostgresql_table.setNoticeReceiver(connection, ignore, NULL);
}

void cpostgresql_receive_notices(pq_connection *connection, cpostgresql_receiver receiver, void *argument) {
    cpostgresql_table.setNoticeReceiver(connection, receiver, argument);
}
