// See CMariaDB.h.
#include "CMariaDB.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

struct cmariadb_table cmariadb_table;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char problem[512];

static void load(void) {
    void *library = dlopen("libmariadb.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *message = dlerror();
        snprintf(problem, sizeof problem, "%s", message ? message : "libmariadb.so.3 cannot be opened");
        return;
    }
    const char *missing = NULL;
    // dlsym returns what is no function pointer by the letter of C (dlopen(3)).
#define CMARIADB_FIND(name)                                                                                            \
    *(void **)&cmariadb_table.name = dlsym(library, #name);                                                            \
    if (!cmariadb_table.name) missing = #name;
    // mariadb_field_attr came with version 3.3, as in Debian 12.
    CMARIADB_FUNCTIONS(CMARIADB_FIND)
    if (missing) {
        snprintf(problem, sizeof problem, "libmariadb.so.3 has no %s: version 3.3 or later is needed", missing);
    } else if (cmariadb_table.mysql_server_init(0, NULL, NULL)) {
        snprintf(problem, sizeof problem, "libmariadb.so.3 cannot be initialised");
    }
}

const char *cmariadb_load(void) {
    pthread_once(&once, load);
    return problem[0] ? problem : NULL;
}

static int refuse(void **handle, const char *name, void *userdata) {
    (void)name;
    (void)userdata;
    *handle = NULL;
    return 1;
}

static int read_nothing(void *handle, char *target, unsigned int size) {
    (void)handle;
    (void)target;
    (void)size;
    return -1;
}

static void end_nothing(void *handle) { (void)handle; }

static int refusal(void *handle, char *message, unsigned int size) {
    (void)handle;
    snprintf(message, size, "Local files are not sent to a server");
    return 2068;  // CR_LOAD_DATA_LOCAL_INFILE_REJECTED
}

void cmariadb_refuse_local_files(MYSQL *connection) {
    cmariadb_table.mysql_set_local_infile_handler(connection, refuse, read_nothing, end_nothing, refusal, NULL);
}

void cmariadb_shutdown(MYSQL *connection) { (void)shutdown(cmariadb_table.mysql_get_socket(connection), SHUT_RDWR); }

size_t cmariadb_format_double(double value, unsigned int decimals, char *target) {
    int count = snprintf(target, CMARIADB_DOUBLE_BYTE_COUNT_MAX, "%.*f", (int)decimals, value);
    return count < 0 ? 0 : count < CMARIADB_DOUBLE_BYTE_COUNT_MAX ? (size_t)count : CMARIADB_DOUBLE_BYTE_COUNT_MAX - 1;
}

size_t cmariadb_format_float(float value, unsigned int decimals, char *target) {
    // No locale is ever set in the daemon: the point is a point.
    int count = decimals >= 31 ? snprintf(target, CMARIADB_FLOAT_BYTE_COUNT_MAX, "%.6g", (double)value)
                               : snprintf(target, CMARIADB_FLOAT_BYTE_COUNT_MAX, "%.*f", (int)decimals, (double)value);
    return count < 0 ? 0 : count < CMARIADB_FLOAT_BYTE_COUNT_MAX ? (size_t)count : CMARIADB_FLOAT_BYTE_COUNT_MAX - 1;
}
