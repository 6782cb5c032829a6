/* The library in the program itself: point selects by a prepared statement, each in a transaction of its own, or all in one.
 * Usage: sqlite-select FILE each|one SECONDS KEYS. Prints one line of JSON like lb-load. Started by lane.py as a peer of row 24. */
#define _GNU_SOURCE
#include <sqlite3.h>

#include "common.h"

static void check(sqlite3 *db, int code, int wanted) {
    if (code == wanted) return;
    fprintf(stderr, "sqlite3: %s\n", sqlite3_errmsg(db));
    exit(1);
}

static uint32_t random_key(uint32_t keys) {
    static uint64_t state = 88172645463325252u;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)((state >> 16) % keys) + 1;
}

/* All columns are taken, as a client of the daemon has them. */
static size_t select_one(sqlite3 *db, sqlite3_stmt *statement, uint32_t key) {
    size_t taken = 0;
    sqlite3_bind_int64(statement, 1, key);
    check(db, sqlite3_step(statement), SQLITE_ROW);
    taken += (size_t)sqlite3_column_int64(statement, 0) + strlen((const char *)sqlite3_column_text(statement, 1));
    taken += (size_t)sqlite3_column_double(statement, 2) + (size_t)sqlite3_column_int64(statement, 3);
    taken += strlen((const char *)sqlite3_column_text(statement, 4));
    check(db, sqlite3_step(statement), SQLITE_DONE);
    check(db, sqlite3_reset(statement), SQLITE_OK);
    return taken;
}

int main(int argc, char **argv) {
    if (argc != 5) return fprintf(stderr, "usage: sqlite-select FILE each|one SECONDS KEYS\n"), 64;
    double seconds = strtod(argv[3], NULL);
    uint32_t keys = (uint32_t)strtoul(argv[4], NULL, 10);
    if (!(seconds >= 0.05 && seconds <= 600) || keys == 0) return fprintf(stderr, "SECONDS must be from 0.05 to 600\n"), 64;
    sqlite3 *db = NULL;
    sqlite3_stmt *statement;
    check(db, sqlite3_open(argv[1], &db), SQLITE_OK);
    check(db, sqlite3_prepare_v2(db, "SELECT id, name, price, stock, tag FROM item WHERE id = ?", -1, &statement, NULL), SQLITE_OK);
    if (!strcmp(argv[2], "one")) check(db, sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
    static struct histogram histogram;
    volatile size_t taken = 0;
    uint64_t began = now_ns() + (uint64_t)(seconds * 0.2e9), end = began + (uint64_t)(seconds * 1e9), now = now_ns();
    while (now < end) {
        taken += select_one(db, statement, random_key(keys));
        uint64_t after = now_ns();
        if (now > began) histogram_add(&histogram, after - now);
        now = after;
    }
    printf("{\"requests\":%llu,\"requests_per_second\":%.0f,\"p50_us\":%.2f,\"p99_us\":%.2f}\n", (unsigned long long)histogram.total,
           (double)histogram.total / seconds, histogram_quantile_us(&histogram, 0.5), histogram_quantile_us(&histogram, 0.99));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return 0;
}
