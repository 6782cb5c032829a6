/* The floor of durable inserts: the sqlite3 library in one process, one commit for each row, WAL, synchronous=FULL.
 * Usage: sqlite-commit FILE SECONDS. Prints one line of JSON like lb-load. Started by run.py as a peer of row 7. */
#define _GNU_SOURCE
#include <sqlite3.h>

#include "common.h"

static void check(sqlite3 *db, int code, int wanted) {
    if (code == wanted) return;
    fprintf(stderr, "sqlite3: %s\n", sqlite3_errmsg(db));
    exit(1);
}

static void execute(sqlite3 *db, const char *sql) { check(db, sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK); }

static void insert(sqlite3 *db, sqlite3_stmt *statement, int number) {
    char name[32];
    snprintf(name, sizeof name, "item number %d", number);
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_TRANSIENT);
    sqlite3_bind_double(statement, 2, number * 0.25);
    sqlite3_bind_int(statement, 3, number % 1000);
    sqlite3_bind_text(statement, 4, "a tag", -1, SQLITE_STATIC);
    check(db, sqlite3_step(statement), SQLITE_DONE);
    check(db, sqlite3_reset(statement), SQLITE_OK);
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: sqlite-commit FILE SECONDS\n"), 64;
    double seconds = strtod(argv[2], NULL);
    if (!(seconds >= 0.05 && seconds <= 600)) return fprintf(stderr, "SECONDS must be from 0.05 to 600\n"), 64;
    sqlite3 *db = NULL;
    sqlite3_stmt *statement;
    check(db, sqlite3_open(argv[1], &db), SQLITE_OK);
    execute(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                "CREATE TABLE entry(id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER, tag TEXT)");
    check(db, sqlite3_prepare_v2(db, "INSERT INTO entry(name, price, stock, tag) VALUES(?, ?, ?, ?)", -1, &statement, NULL), SQLITE_OK);
    static struct histogram histogram;
    int number = 0;
    uint64_t warm = now_ns() + (uint64_t)(seconds * 0.2e9);
    while (now_ns() < warm) insert(db, statement, number++);
    uint64_t began = now_ns(), now = began, end = began + (uint64_t)(seconds * 1e9);
    while (now < end) {
        insert(db, statement, number++);
        uint64_t after = now_ns();
        histogram_add(&histogram, after - now);
        now = after;
    }
    double wall = (double)(now - began) / 1e9;
    printf("{\"requests\":%llu,\"requests_per_second\":%.0f,\"p50_us\":%.2f,\"p99_us\":%.2f}\n", (unsigned long long)histogram.total,
           (double)histogram.total / wall, histogram_quantile_us(&histogram, 0.5), histogram_quantile_us(&histogram, 0.99));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return 0;
}
