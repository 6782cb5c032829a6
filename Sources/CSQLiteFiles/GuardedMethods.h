// Methods for open files once the index of a log is lost; for this target only.
#pragma once

#include <sqlite3.h>

/// To be called once, before other threads exist.
/// - Parameter byte_count_below: the size of a file of the VFS below.
/// - Returns: the size of one with guarded methods.
int litebase_guarded_byte_count(int byte_count_below);

/// Replaces the methods with which the VFS below has opened a file.
/// - Returns: a result code; after an error, the file is closed.
int litebase_guard_methods(sqlite3_file *file, const char *name, int flags);
