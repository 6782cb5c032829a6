// The files that SQLite may open and delete: those of the database that was named, and no others.
#pragma once

/// Puts a file system of this name over SQLite's default one, and takes those away that would lead around it
/// (`vfs=` in a URI). What is registered later stacks on it as on any other.
/// - Thread: before any other uses SQLite, once.
/// - Returns: a result code.
int litebase_sqlite3_guard_files(void);

/// Why a file was refused on this thread since it was asked last: a sentence of its own; NULL when none was.
const char *litebase_sqlite3_take_refusal(void);
