// A SQLite file of the user's own, by the library that is opened at run time: only commands that keep or read the history load it.
//
// Source: https://sqlite.org/c3ref/intro.html. Thread: one at a time.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct chistory_store chistory_store;
typedef struct chistory_statement chistory_statement;

/// Opens the file, which exists. NULL if it cannot be opened, or there is no library.
chistory_store *chistory_open(const char *path, bool is_read_only);
void chistory_close(chistory_store *store);
/// Runs statements without rows.
bool chistory_execute(chistory_store *store, const char *sql);
/// NULL if it cannot be prepared.
chistory_statement *chistory_prepare(chistory_store *store, const char *sql);
void chistory_bind_text(chistory_statement *statement, int index, const char *text, size_t length);
void chistory_bind_integer(chistory_statement *statement, int index, int64_t value);
/// 1: a row; 0: the end; −1: an error.
int chistory_step(chistory_statement *statement);
bool chistory_is_null(chistory_statement *statement, int column);
int64_t chistory_integer(chistory_statement *statement, int column);
/// Valid until the next step.
const char *chistory_text(chistory_statement *statement, int column, size_t *length);
void chistory_finalize(chistory_statement *statement);
