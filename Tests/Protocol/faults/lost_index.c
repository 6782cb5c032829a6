// Truncates the index of a log (-shm) before the n-th system call that SQLite makes, or statement, for every n: what was committed is there
// afterwards, what failed is not, and nobody has read anything else. Built with Sources/CSQLiteFiles by test_lost_index.py.
// Arguments: a path without databases, the length that is left, how many n's to go on by.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "CSQLiteFiles.h"

static char path[200], index_path[220], log_path[220];
static long length_left, calls_left, call_count, failure_count;
static bool is_counting;
static sqlite3 *writer, *reader;
static int committed;

static void note(void) {
    struct stat status;
    if (!is_counting) return;
    call_count++;
    if (--calls_left != 0 || stat(index_path, &status) != 0 || status.st_size <= length_left) return;
    if (truncate(index_path, length_left) != 0) abort();
}

static ssize_t read_call(int file, void *bytes, size_t count, off_t offset) { return note(), pread(file, bytes, count, offset); }
static ssize_t write_call(int file, const void *bytes, size_t count, off_t offset) {
    return note(), pwrite(file, bytes, count, offset);
}
static int lock_call(int file, int command, void *argument) { return note(), fcntl(file, command, argument); }
static int status_call(int file, struct stat *status) { return note(), fstat(file, status); }
static int truncate_call(int file, off_t length) { return note(), ftruncate(file, length); }

static void fail(const char *what, const char *detail, long number) {
    printf("%s: %s %ld\n", what, detail, number);
    failure_count++;
}

/// Whether a connection is well, as the daemon asks after each piece of work.
static bool is_well(sqlite3 *db) {
    litebase_sqlite3_look_at_index(db);
    return !litebase_sqlite3_has_lost_index(db);
}

static int number(sqlite3 *db, const char *sql) {
    sqlite3_stmt *statement = 0;
    int value = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, 0) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        value = sqlite3_column_int(statement, 0);
    }
    return sqlite3_finalize(statement) == SQLITE_OK ? value : -1;
}

static bool done(const char *sql) {
    note();
    int result = sqlite3_exec(writer, sql, 0, 0, 0);
    if (result != SQLITE_OK && is_well(writer)) fail(sql, sqlite3_errmsg(writer), result);
    return result == SQLITE_OK;
}

static bool insert(int count, int byte_count, bool is_within) {
    char sql[200];
    snprintf(sql, sizeof sql,
             "WITH c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT %d) INSERT INTO t(f) SELECT zeroblob(%d) FROM c",
             count, byte_count);
    if (!done(sql)) return false;
    if (!is_within) committed += count;
    return true;
}

static bool sees(void) {
    int seen = number(reader, "SELECT count(*) FROM t");
    if (!is_well(reader)) return false;
    if (seen != committed) fail("seen instead of what was committed", "", seen);
    return true;
}

/// Commits, transactions that are in the log before they are committed, some of which are undone, and checkpoints.
static bool work(void) {
    if (!(insert(3, 10, false) && sees() && insert(30, 2000, false) && sees())) return false;
    if (!(done("BEGIN IMMEDIATE") && insert(2, 10, true) && done("SAVEPOINT s") && insert(20, 2000, true))) return false;
    if (!(done("ROLLBACK TO s") && insert(2, 10, true) && done("COMMIT"))) return false;
    committed += 4;
    // With its first savepoint the whole transaction is undone, and goes on; RELEASE commits what is left of it.
    if (!(done("SAVEPOINT whole") && insert(2, 10, true) && done("ROLLBACK TO whole") && done("RELEASE whole") && sees())) return false;
    if (!(sees() && done("BEGIN") && insert(20, 2000, true) && done("ROLLBACK"))) return false;
    if (!(done("UPDATE t SET f = x'01' WHERE x % 2") && sees() && done("PRAGMA wal_checkpoint(PASSIVE)"))) return false;
    return insert(4, 10, false) && sees() && done("PRAGMA wal_checkpoint(TRUNCATE)") && insert(6, 10, false) && sees();
}

static void run(long call) {
    unlink(path), unlink(index_path), unlink(log_path);
    committed = 0;
    sqlite3_open(path, &writer);
    done("PRAGMA page_size = 512; PRAGMA journal_mode = WAL; CREATE TABLE t(x INTEGER PRIMARY KEY, f BLOB)");
    sqlite3_open(path, &reader);
    // So that a transaction is in the log before it is committed; and nothing is to be durable here.
    done("PRAGMA cache_size = 10; PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0");
    if (!insert(5, 10, false) || !sees()) fail("it cannot be begun", "", call);
    calls_left = call, call_count = 0, is_counting = true;
    work();
    if (!sqlite3_get_autocommit(writer)) sqlite3_exec(writer, "ROLLBACK", 0, 0, 0);
    sqlite3_close(reader), sqlite3_close(writer);
    is_counting = false;
    sqlite3_open(path, &writer);
    if (number(writer, "SELECT count(*) FROM t") != committed) fail("rows are lost, or too many", "before call", call);
    const char *check = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'";
    if (number(writer, check) != 1) fail("the file is damaged", "before call", call);
    sqlite3_close(writer);
}

static const struct {
    const char *name;
    void *call;
} calls[] = {{"pread", read_call}, {"pread64", read_call}, {"pwrite", write_call}, {"pwrite64", write_call},
             {"fcntl", lock_call}, {"fstat", status_call}, {"ftruncate", truncate_call}};

int main(int count, char **arguments) {
    if (count != 4) return 2;
    snprintf(path, sizeof path, "%s", arguments[1]);
    snprintf(index_path, sizeof index_path, "%s-shm", path);
    snprintf(log_path, sizeof log_path, "%s-wal", path);
    length_left = atol(arguments[2]);
    sqlite3_initialize();
    sqlite3_vfs *system = sqlite3_vfs_find("unix");
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (system->xGetSystemCall(system, calls[i].name)) {
            system->xSetSystemCall(system, calls[i].name, (sqlite3_syscall_ptr)calls[i].call);
        }
    }
    if (litebase_sqlite3_guard_files() != SQLITE_OK) return 2;
    run(-1);
    long end = call_count, before = (long)litebase_sqlite3_losses();
    for (long call = 1; call <= end; call += atol(arguments[3])) run(call);
    printf("%ld calls, %ld losses, %ld failures\n", end, (long)litebase_sqlite3_losses() - before, failure_count);
    return failure_count != 0;
}
