// What is done with open files once the index of a log is lost; for this target only.
#pragma once

#include <sqlite3.h>

/// What each file needs behind that of the file system below.
extern const int litebase_guard_byte_count;

/// Puts methods in the place of those with which the file system below has opened a file, whose own size is `byte_count_below`.
/// - Returns: a result code; where it is an error, the file is closed.
int litebase_guard_methods(sqlite3_file *file, const char *name, int flags, int byte_count_below);
