// Paths that lead only where root or the daemon's user has made them lead. See TrustedPaths.c.
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

/// Whether an existing file may be opened; if not, `errno` is set. It is called before anything is opened.
typedef bool (*trusted_judge)(const char *path, int flags, const struct stat *status);

/// Like open(2), with O_NONBLOCK, O_NOCTTY and O_CLOEXEC; regular files and directories only. Nothing is closed that
/// might be open elsewhere in the process with locks.
/// - Returns: -1 with `errno`: EINVAL for anything else.
int trusted_open(const char *path, int flags, int mode, trusted_judge judge, struct stat *status);
/// Like stat(2).
int trusted_stat(const char *path, struct stat *status);
/// Like access(2).
int trusted_access(const char *path, int mode);
/// Like unlink(2).
int trusted_unlink(const char *path);
/// The path without links, even if its last name, or a parent directory, does not exist.
/// - Returns: the number of links that were followed; -1 with `errno`: ENAMETOOLONG if `size` is too small.
int trusted_full_path(const char *path, char *out, int size);

/// Why a call of this thread was refused, for people: a sentence in a buffer of the thread, and the remedy; NULL if
/// none was refused since the last call.
const char *trusted_take_refusal(const char **remedy);
void trusted_forget_refusal(void);
