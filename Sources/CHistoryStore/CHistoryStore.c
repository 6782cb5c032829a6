// See CHistoryStore.h.
#include "CHistoryStore.h"

#include <dlfcn.h>
#include <sqlite3.h>

static struct {
    void *library;
    __typeof__(sqlite3_open_v2) *open;
    __typeof__(sqlite3_close) *close;
    __typeof__(sqlite3_busy_timeout) *busy_timeout;
    __typeof__(sqlite3_exec) *execute;
    __typeof__(sqlite3_prepare_v2) *prepare;
    __typeof__(sqlite3_bind_text) *bind_text;
    __typeof__(sqlite3_bind_int64) *bind_integer;
    __typeof__(sqlite3_step) *step;
    __typeof__(sqlite3_column_type) *type;
    __typeof__(sqlite3_column_int64) *integer;
    __typeof__(sqlite3_column_text) *text;
    __typeof__(sqlite3_column_bytes) *length;
    __typeof__(sqlite3_finalize) *finalize;
} api;

// Another shell may be writing; nobody waits long for a history.
enum { BUSY_MILLISECONDS = 250 };

static bool load(void) {
    if (api.library) return true;
    void *library = dlopen("libsqlite3.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
#define FIND(name, symbol) ((api.name = (__typeof__(api.name))dlsym(library, #symbol)) != NULL)
    if (FIND(open, sqlite3_open_v2) && FIND(close, sqlite3_close) && FIND(busy_timeout, sqlite3_busy_timeout) &&
        FIND(execute, sqlite3_exec) && FIND(prepare, sqlite3_prepare_v2) && FIND(bind_text, sqlite3_bind_text) &&
        FIND(bind_integer, sqlite3_bind_int64) && FIND(step, sqlite3_step) && FIND(type, sqlite3_column_type) &&
        FIND(integer, sqlite3_column_int64) && FIND(text, sqlite3_column_text) && FIND(length, sqlite3_column_bytes) &&
        FIND(finalize, sqlite3_finalize)) {
        api.library = library;
        return true;
    }
    dlclose(library);
    return false;
}

chistory_store *chistory_open(const char *path, bool is_read_only) {
    if (!load()) return NULL;
    sqlite3 *store = NULL;
    if (api.open(path, &store, is_read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
        api.close(store);
        return NULL;
    }
    api.busy_timeout(store, BUSY_MILLISECONDS);
    return (chistory_store *)store;
}

void chistory_close(chistory_store *store) {
    if (store) api.close((sqlite3 *)store);
}

bool chistory_execute(chistory_store *store, const char *sql) {
    return api.execute((sqlite3 *)store, sql, NULL, NULL, NULL) == SQLITE_OK;
}

chistory_statement *chistory_prepare(chistory_store *store, const char *sql) {
    sqlite3_stmt *statement = NULL;
    return api.prepare((sqlite3 *)store, sql, -1, &statement, NULL) == SQLITE_OK ? (chistory_statement *)statement : NULL;
}

void chistory_bind_text(chistory_statement *statement, int index, const char *text, size_t length) {
    api.bind_text((sqlite3_stmt *)statement, index, text, (int)length, SQLITE_TRANSIENT);
}

void chistory_bind_integer(chistory_statement *statement, int index, int64_t value) {
    api.bind_integer((sqlite3_stmt *)statement, index, value);
}

int chistory_step(chistory_statement *statement) {
    switch (api.step((sqlite3_stmt *)statement)) {
    case SQLITE_ROW: return 1;
    case SQLITE_DONE: return 0;
    default: return -1;
    }
}

bool chistory_is_null(chistory_statement *statement, int column) {
    return api.type((sqlite3_stmt *)statement, column) == SQLITE_NULL;
}

int64_t chistory_integer(chistory_statement *statement, int column) {
    return api.integer((sqlite3_stmt *)statement, column);
}

const char *chistory_text(chistory_statement *statement, int column, size_t *length) {
    const char *text = (const char *)api.text((sqlite3_stmt *)statement, column);
    *length = text ? (size_t)api.length((sqlite3_stmt *)statement, column) : 0;
    return text;
}

void chistory_finalize(chistory_statement *statement) {
    if (statement) api.finalize((sqlite3_stmt *)statement);
}
