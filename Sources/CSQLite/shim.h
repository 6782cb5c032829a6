#include <sqlite3.h>

// Swift cannot call C variadics; one shim for each form that is used
// (https://sqlite.org/c3ref/config.html, https://sqlite.org/c3ref/db_config.html).

static inline int litebase_sqlite3_config_int(int option, int value) { return sqlite3_config(option, value); }

static inline int litebase_sqlite3_config_memory(sqlite3_mem_methods *methods) {
    return sqlite3_config(SQLITE_CONFIG_MALLOC, methods);
}

static inline int litebase_sqlite3_db_config_bool(sqlite3 *db, int option, int value) {
    int now = 0;
    return sqlite3_db_config(db, option, value, &now);
}
